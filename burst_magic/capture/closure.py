"""What the names of a cell drag in: packed name by name, with size and reason; what cannot travel, with its path."""

from __future__ import annotations

import functools
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING

from burst_magic.errors import CaptureError
from burst_magic.payload.culprit import WAY_OUT
from burst_magic.payload.notes import Mode
from burst_magic.payload.pack import Packing, culprit_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

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


def pack_names(
    reads: Mapping[str, tuple[int, ...]],
    home: Mapping[str, object],
    *,
    words: Iterable[str],
    last: tuple[str, ...] = (),
    parts: Sequence[object] = (),
) -> Packed:
    """Pack what the cell reads and all that this needs.

    Args:
        reads: name -> lines of the cell.
        home: the notebook's globals.
        words: attribute names in the cell, to find submodules.
        last: names that are to be loaded after all others.
        parts: objects that items refer to, by number.

    Raises:
        CaptureError: something cannot travel; names it, where in it, and who uses it.
    """
    packing = Packing(home)
    packing.packer.notes.words.update(words)
    packing.packer.last = last
    for name, value in packing.packer.claim(dict.fromkeys(reads, "")).items():
        try:
            packing.add(name, value)
        except Exception as error:
            raise _unpackable(name, value, error, home, used_by(name, reads, packing.packer.notes.why)) from error
    try:
        return packing.finish(parts)
    except Exception as error:
        name = packing.current
        raise _unpackable(name, home[name], error, home, used_by(name, reads, packing.packer.notes.why)) from error


def used_by(name: str, reads: Mapping[str, tuple[int, ...]], why: Mapping[str, str]) -> str:
    """As "used in line 3" or "used by helper, which line 3 uses"."""
    chain: list[str] = []
    while name not in reads and why.get(name) and why[name] not in chain:
        name = why[name]
        chain.append(name)
    lines = reads.get(name, ())
    if not chain:
        return f"used in line {lines[0]}" if lines else "used by the items"
    text = f"used by {chain[0]}"
    return f"{text}, which line {lines[0]} needs" if lines else text


def refusal(path: str, reason: str, use: str) -> CaptureError:
    """What a user sees of a captured value that cannot travel."""
    return CaptureError(f"{path}: {reason} ({use})", way_out=WAY_OUT)


def _unpackable(name: str, value: object, error: Exception, home: Mapping[str, object], use: str) -> CaptureError:
    path, reason = culprit_of(value, error, name=name, home=home, mode=Mode.NAMESPACE)
    return refusal(path, reason, use)
