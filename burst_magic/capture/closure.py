"""What the names of a cell drag in: packed name by name, with size and reason; what cannot travel, with its path."""

from __future__ import annotations

import contextlib
import functools
import re
import time
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from burst_magic.capture.mapping import CALL_FUNCTION
from burst_magic.capture.sensitive import attributes_of
from burst_magic.errors import CaptureError
from burst_magic.payload.notes import OMITTED, importable
from burst_magic.payload.pack import Packing
from burst_magic.payload.walk import closure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from burst_magic.payload import Packed

SEARCH_SECONDS = 5.0  # looking for the part that cannot travel: long enough for a few thousand objects
SEARCH_DEPTH = 20

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
) -> tuple[Packed, tuple[str, ...]]:
    """Pack what the cell reads and all that this needs.

    Args:
        reads: name -> lines of the cell.
        home: the notebook's globals.
        words: attribute names in the cell, to find submodules.
        unsure: names that the cell may not need: those that cannot travel are left out.

    Returns:
        What travels, and a sentence for each name that was left out.

    Raises:
        CaptureError: something cannot travel; names it, where in it, and who uses it.
    """
    notes: list[str] = []
    while True:
        try:
            return _pack(reads, home, words), tuple(notes)
        except _Stuck as stuck:
            if stuck.name in _sure(reads, home, unsure):
                raise stuck.refusal from stuck.refusal.__cause__
            notes.append(f"{stuck.refusal.problem}: left out, for it may not be needed; a task that needs it fails")
            home = {name: value for name, value in home.items() if name != stuck.name}
            reads = {name: lines for name, lines in reads.items() if name != stuck.name}


def _sure(
    reads: Mapping[str, tuple[int, ...]], home: Mapping[str, object], unsure: AbstractSet[str]
) -> AbstractSet[str]:
    """Names that are needed whatever way the cell takes."""
    asked = dict.fromkeys((name for name in reads if name not in unsure), "")
    found = closure(asked, home, skip=frozenset(), omit=OMITTED)
    return closure(asked, home, skip=found.spoken, omit=OMITTED).names.keys() if found.spoken else found.names.keys()


def _pack(reads: Mapping[str, tuple[int, ...]], home: Mapping[str, object], words: Iterable[str]) -> Packed:
    packing = Packing(home)
    packing.packer.notes.words.update(words)
    for name, value in packing.packer.claim(dict.fromkeys(reads, "")).items():
        try:
            packing.add(name, value)
        except Exception as error:
            raise _stuck(name, error, home, used_by(name, reads, packing.packer.notes.why)) from error
    try:
        return packing.finish()
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
    path, reason = find_culprit(shown(name), home[name], error, home)
    refusal = CaptureError(
        f"{path}: {reason} ({use})",
        way_out="make it inside the cell or a function that the cell calls, or leave it out of what the cell mentions",
    )
    refusal.__cause__ = error
    return _Stuck(name, refusal)


def shown(name: str) -> str:
    """As people know it: what `burst.map` was given need have no name."""
    return "the function" if name == CALL_FUNCTION else name


def reason_of(error: Exception) -> str:
    """One line: pickle's words, or the type and text of what a ``__reduce__`` raised."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else ""
    known = re.match(r"cannot pickle '(?:[\w.]*\.)?(\w+)' (?:object|instances)", text)  # wording differs by version
    if known:
        return f"cannot pickle {known[1]!r} object"
    if isinstance(error, RecursionError):
        return "it is nested too deeply to be pickled"
    return f"cannot be pickled: {type(error).__name__}: {text}"


def find_culprit(name: str, value: object, error: Exception, home: Mapping[str, object]) -> tuple[str, str]:
    """The innermost part that cannot be packed by itself, as a path such as ``cfg.client._sock``, and the reason."""
    if isinstance(error, RecursionError):  # it is the whole that is too deep
        return name, reason_of(error)
    until = time.monotonic() + SEARCH_SECONDS
    path, seen = name, {id(value)}
    for _ in range(SEARCH_DEPTH):
        for step, child in children(value):
            if id(child) in seen or time.monotonic() > until:
                continue
            seen.add(id(child))
            failure = _fails(child, home)
            if failure is not None:
                path, value, error = path + step, child, failure
                break
        else:
            break
    return path, reason_of(error)


def _fails(value: object, home: Mapping[str, object]) -> Exception | None:
    try:
        packing = Packing(home, hold=False)
        packing.packer.notes.sent |= home.keys()  # other names are looked at under their own name
        packing.packer.dump(value)
    except Exception as error:  # noqa: BLE001 - a user's __reduce__ may raise anything; that it failed is the answer
        return error
    return None


def children(value: Any) -> Iterator[tuple[str, object]]:
    """Parts of an object, each with the text that leads to it."""
    if isinstance(value, types.ModuleType):
        return
    if isinstance(value, types.FunctionType):
        yield from _of_function(value)
        return
    if isinstance(value, dict):
        yield from ((f"[{_short(key)}]", part) for key, part in list(value.items()))
        yield from ((f" key {_short(key)}", key) for key in list(value))
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from ((f" element {_short(part)}", part) for part in list(value))
    elif isinstance(value, types.MethodType):
        yield ".__self__", value.__self__
    yield from _attributes(value)
    if not importable(type(value)):
        yield f" (its class {type(value).__name__})", type(value)


def _of_function(value: types.FunctionType) -> Iterator[tuple[str, object]]:
    for name, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
        try:
            yield f" (its variable {name})", cell.cell_contents
        except ValueError:  # not filled yet
            continue
    names = value.__code__.co_varnames[: value.__code__.co_argcount]
    defaults = value.__defaults__ or ()
    named = zip(names[len(names) - len(defaults) :], defaults, strict=True)
    yield from ((f" (default of {name})", part) for name, part in named)
    yield from ((f" (default of {name})", part) for name, part in (value.__kwdefaults__ or {}).items())
    yield from ((f".{name}", part) for name, part in vars(value).items())


def _attributes(value: Any) -> Iterator[tuple[str, object]]:
    yield from ((f".{name}", part) for name, part in attributes_of(value).items())
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            descriptor = vars(kind).get(name)
            if isinstance(descriptor, types.MemberDescriptorType):
                with contextlib.suppress(AttributeError):  # not set
                    yield f".{name}", descriptor.__get__(value)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
