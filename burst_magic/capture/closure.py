"""Pack a cell's names and their dependencies one by one, with size and reason; find the path to unpicklable values."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING

from burst_magic.capture.mapping import CALL_FUNCTION
from burst_magic.dataclass import dataclass
from burst_magic.errors import CaptureError
from burst_magic.payload import nans
from burst_magic.payload.culprit import WAY_OUT
from burst_magic.payload.notes import OMITTED, Changed, Mode
from burst_magic.payload.pack import Packing, culprit_of
from burst_magic.payload.walk import closure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from burst_magic.payload import Packed

_Cached = type(functools.lru_cache(len))


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A captured name.

    Attributes:
        kind: module, function, class or value.
        type: name of its type.
        size: bytes it adds, buffers included.
        lines: where the cell uses it; empty if only other code does.
        why: "line 3" or "used by helper".
        secret: it looks like a secret.
    """

    name: str
    kind: str
    type: str
    size: int
    lines: tuple[int, ...]
    why: str
    secret: bool = False


def kind_of(value: object) -> str:
    """module, function, class or value."""
    if isinstance(value, types.ModuleType):
        return "module"
    if isinstance(value, type):
        return "class"
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, _Cached)):
        return "function"
    return "value"


class _Stuck(Exception):
    """A name that cannot be packed; `refusal` says why."""

    def __init__(self, name: str, refusal: CaptureError) -> None:
        super().__init__(name)
        self.name = name
        self.refusal = refusal


def pack_names(
    reads: Mapping[str, tuple[int, ...]],
    home: Mapping[str, object],
    *,
    words: Iterable[str],
    unsure: AbstractSet[str] = frozenset(),
    last: tuple[str, ...] = (),
    parts: Sequence[object] = (),
) -> tuple[Packed, tuple[str, ...]]:
    """Pack the names that the cell reads and all their dependencies.

    Args:
        reads: name -> lines of the cell.
        home: the notebook's globals.
        words: attribute names in the cell, to find submodules.
        unsure: names that the cell may not need; omitted if they cannot be pickled.
        last: names to load after all others.
        parts: objects that items refer to, by number.

    Returns:
        The packed names, and a sentence for each omitted name.

    Raises:
        CaptureError: a value cannot be pickled; names it, the path inside it, and its user.
    """
    notes: list[str] = []
    while True:
        try:
            return _pack(reads, home, words, last=last, parts=parts), tuple(notes)
        except _Stuck as stuck:
            if stuck.name in _sure(reads, home, unsure):
                raise stuck.refusal from stuck.refusal.__cause__
            notes.append(
                f"{stuck.refusal.problem}: not sent, because the cell may not need it; a task that does will fail"
            )
            home = Changed(home, {name: value for name, value in home.items() if name != stuck.name})
            reads = {name: lines for name, lines in reads.items() if name != stuck.name}


def _sure(
    reads: Mapping[str, tuple[int, ...]], home: Mapping[str, object], unsure: AbstractSet[str]
) -> AbstractSet[str]:
    """Names that are needed on every path through the cell."""
    asked = dict.fromkeys((name for name in reads if name not in unsure), "")
    found = closure(asked, home, skip=frozenset(), omit=OMITTED)
    return closure(asked, home, skip=found.spoken, omit=OMITTED).names.keys() if found.spoken else found.names.keys()


def _pack(
    reads: Mapping[str, tuple[int, ...]],
    home: Mapping[str, object],
    words: Iterable[str],
    *,
    last: tuple[str, ...],
    parts: Sequence[object],
    apart: bool = False,
) -> Packed:
    packing = Packing(home, apart=apart)
    packing.packer.notes.words.update(words)
    packing.packer.last = last
    for name, value in packing.packer.claim(dict.fromkeys(reads, "")).items():
        try:
            packing.add(name, value)
        except Exception as error:
            raise _stuck(name, error, home, used_by(name, reads, packing.packer.notes.why)) from error
    try:
        packed = packing.finish(parts)
    except Exception as error:
        name = packing.current
        raise _stuck(name, error, home, used_by(name, reads, packing.packer.notes.why)) from error
    if not apart and nans.may_matter(packed.stream, packed.words, (home.get(name) for name in packed.names)):
        return _pack(reads, home, words, last=last, parts=parts, apart=True)
    return packed


def used_by(name: str, reads: Mapping[str, tuple[int, ...]], why: Mapping[str, str]) -> str:
    """Describe the use: "used in line 3" or "used by helper, which line 3 needs"."""
    chain: list[str] = []
    while name not in reads and why.get(name) and why[name] not in chain:
        name = why[name]
        chain.append(name)
    lines = reads.get(name, ())
    if not chain:
        return f"used in line {lines[0]}" if lines else "used by the items"
    text = f"used by {shown(chain[0])}"
    return f"{text}, which line {lines[0]} needs" if lines else text


def _stuck(name: str, error: Exception, home: Mapping[str, object], use: str) -> _Stuck:
    path, reason = culprit_of(home[name], error, name=shown(name), home=home, mode=Mode.NAMESPACE)
    refused = refusal(path, reason, use)
    refused.__cause__ = error
    return _Stuck(name, refused)


def shown(name: str) -> str:
    """A display name: a function given to `burst.map` may have none."""
    return "the function" if name == CALL_FUNCTION else name


def refusal(path: str, reason: str, use: str) -> CaptureError:
    """The error for a captured value that cannot be pickled."""
    return CaptureError(f"{path}: {reason} ({use})", way_out=WAY_OUT)
