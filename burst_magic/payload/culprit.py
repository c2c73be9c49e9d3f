"""Find the part of a value that cannot be pickled, after the whole has failed, and report its path."""

from __future__ import annotations

import contextlib
import re
import time
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from burst_magic.payload.declared import module_of
from burst_magic.payload.mentions import of_code
from burst_magic.payload.notes import importable

SEARCH_SECONDS = 5.0  # enough for a few thousand objects
SEARCH_DEPTH = 20
WAY_OUT = "create it inside the cell, or don't refer to it there"

_HEAP = 1 << 9  # flag of a class created at run time, not in C

_OURS = __name__.partition(".")[0]


def reason_of(error: BaseException) -> str:
    """One line: pickle's message, or the type and text of an exception from ``__reduce__``."""
    text = first_line(error)
    known = re.match(
        r"cannot pickle '(?:[\w.]*\.)?(\w+)' (?:object|instances)", text
    )  # the wording differs between versions
    if known:
        return f"cannot pickle {known[1]!r} object"
    if isinstance(error, RecursionError):
        return "it is nested too deeply to be pickled"
    return f"cannot be pickled: {type(error).__name__}: {text}"


def first_line(error: BaseException) -> str:
    """The first line of an exception's text; a user's ``__str__`` may raise."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001 - user code
        return "(its str() failed)"
    return lines[0] if lines else ""


def find_culprit(
    name: str, value: object, error: BaseException, fails: Callable[[object], BaseException | None]
) -> tuple[str, BaseException]:
    """Find the innermost part that fails on its own, as a path such as ``cfg.client._sock``, and its error.

    Args:
        name: name of the whole.
        value: the whole value.
        error: its exception.
        fails: tries a part on its own; returns None on success.
    """
    until = time.monotonic() + SEARCH_SECONDS
    path, part, found, seen = name, value, error, {id(value)}
    for _ in range(SEARCH_DEPTH):
        for step, child in children(part):
            if id(child) in seen or time.monotonic() > until:
                continue
            seen.add(id(child))
            failure = fails(child)
            if failure is not None:
                path, part, found = path + step, child, failure
                break
        else:
            return path, found
    return (name, error) if isinstance(error, RecursionError) else (path, found)  # the whole is nested too deeply


def attributes_of(value: object) -> dict[str, object]:
    """An object's own attributes, read without its help; none for classes of this package."""
    if module_of(type(value)).partition(".")[0] == _OURS:
        return {}
    try:
        state = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return {name: part for name, part in state.items() if isinstance(name, str)} if isinstance(state, Mapping) else {}


def children(value: Any) -> Iterator[tuple[str, object]]:
    """Parts of an object, each with the text that leads to it."""
    if isinstance(value, types.ModuleType) or (issubclass(type(value), type) and not value.__flags__ & _HEAP):
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
    scope = value.__globals__
    yield from ((f" (its global {name})", scope[name]) for name in sorted(of_code(value.__code__).names & scope.keys()))


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
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - user code
        return f"({type(value).__name__})"
    return text if len(text) <= 40 else text[:37] + "..."
