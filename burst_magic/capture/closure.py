"""What the names of a cell drag in: packed name by name, with size and reason; what cannot travel, with its path."""

from __future__ import annotations

import functools
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING

from burst_magic.capture.mapping import CALL_FUNCTION
from burst_magic.errors import CaptureError
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
    """One name that travels.

    Attributes:
        kind: module, function, class or value.
        type: name of its type.
        size: bytes it adds, buffers included.
        lines: where the cell mentions it; empty when only something else does.
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
    """A name cannot be packed; `refusal` says why."""

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
    """Pack what the cell reads and all that this needs.

    Args:
        reads: name -> lines of the cell.
        home: the notebook's globals.
        words: attribute names in the cell, to find submodules.
        unsure: names that the cell may not need: those that cannot travel are left out.
        last: names that are to be loaded after all others.
        parts: objects that items refer to, by number.

    Returns:
        What travels, and a sentence for each name that was left out.

    Raises:
        CaptureError: something cannot travel; names it, where in it, and who uses it.
    """
    notes: list[str] = []
    while True:
        try:
            return _pack(reads, home, words, last=last, parts=parts), tuple(notes)
        except _Stuck as stuck:
            if stuck.name in _sure(reads, home, unsure):
                raise stuck.refusal from stuck.refusal.__cause__
            notes.append(f"{stuck.refusal.problem}: left out, for it may not be needed; a task that needs it fails")
            home = Changed(home, {name: value for name, value in home.items() if name != stuck.name})
            reads = {name: lines for name, lines in reads.items() if name != stuck.name}


def _sure(
    reads: Mapping[str, tuple[int, ...]], home: Mapping[str, object], unsure: AbstractSet[str]
) -> AbstractSet[str]:
    """Names that are needed whatever way the cell takes."""
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
) -> Packed:
    packing = Packing(home)
    packing.packer.notes.words.update(words)
    packing.packer.last = last
    for name, value in packing.packer.claim(dict.fromkeys(reads, "")).items():
        try:
            packing.add(name, value)
        except Exception as error:
            raise _stuck(name, error, home, used_by(name, reads, packing.packer.notes.why)) from error
    try:
        return packing.finish(parts)
    except Exception as error:
        name = packing.current
        raise _stuck(name, error, home, used_by(name, reads, packing.packer.notes.why)) from error


def used_by(name: str, reads: Mapping[str, tuple[int, ...]], why: Mapping[str, str]) -> str:
    """As "used in line 3" or "used by helper, which line 3 uses"."""
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
    """As people know it: what `burst.map` was given need have no name."""
    return "the function" if name == CALL_FUNCTION else name


def refusal(path: str, reason: str, use: str) -> CaptureError:
    """What a user sees of a captured value that cannot travel."""
    return CaptureError(f"{path}: {reason} ({use})", way_out=WAY_OUT)
