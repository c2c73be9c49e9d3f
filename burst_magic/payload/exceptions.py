"""Reduce exceptions without calling their classes, with the exceptions they were raised from.

No ``__init__`` is called, since `args` may not match its parameters, and no ``__setattr__``, since it may refuse. Slots
and C-level state (a file name, an errno) are included.
"""

from __future__ import annotations

import builtins
import contextlib
import types
from collections.abc import Iterator
from typing import Any

from burst_magic.errors import TaskFailed
from burst_magic.payload import rebuild
from burst_magic.payload.declared import module_of, qualname_of
from burst_magic.payload.notes import PROTOCOL, Link, PackerView

Reduction = Any

MESSAGE_CHARS = 10_000
DEEPEST = 50  # maximum length of a chain; pickles cannot nest without limit

# Recreated, or handled by name.
_LEFT = frozenset({"__dict__", "__weakref__", "exceptions", "message", "obj"})
_Group: Any = getattr(builtins, "BaseExceptionGroup", ())  # 3.11
_LINKS: dict[str, Any] = {  # in the order in which they can be set
    name: vars(BaseException)[name] for name in ("__cause__", "__context__", "__suppress_context__")
}


def type_name(kind: type) -> str:
    """A type's name for display."""
    module, name = module_of(kind), qualname_of(kind)
    return name if module in {"", "builtins", "__main__"} else f"{module}.{name}"


def text_of(error: BaseException) -> str:
    """The exception's text, truncated."""
    try:
        return str(error)[:MESSAGE_CHARS]
    except BaseException:  # noqa: BLE001 - a __str__ is user code
        return "(its str() failed)"


def stand_in(error: BaseException) -> TaskFailed:
    """A stand-in that names an exception which cannot be rebuilt."""
    made = TaskFailed(_said(error))
    _set_links(made, _own_links(error))
    return made


def _said(error: BaseException) -> str:
    return ": ".join(filter(None, (type_name(type(error)), text_of(error))))


def attributes(error: BaseException) -> dict[str, Any]:
    """An exception's attribute dict, without calling its class."""
    found: dict[str, Any] = object.__getattribute__(error, "__dict__")
    return found


def raised_from(error: BaseException) -> BaseException | None:
    """The exception that a traceback shows above this one."""
    links = _own_links(error)
    if "__cause__" in links:
        return links["__cause__"]  # type: ignore[no-any-return]
    return None if "__suppress_context__" in links else links.get("__context__")


def set_cause(error: BaseException, cause: BaseException) -> None:
    """Like ``raise error from cause``, even if the class objects."""
    _LINKS["__cause__"].__set__(error, cause)


def _own_links(error: BaseException) -> dict[str, Any]:
    found = {name: link.__get__(error) for name, link in _LINKS.items()}
    return {name: value for name, value in found.items() if value is not None and value is not False}


def _set_links(error: BaseException, links: dict[str, Any]) -> None:
    for name, value in links.items():
        _LINKS[name].__set__(error, value)


def reduce_exception(packer: PackerView, obj: BaseException) -> Reduction:
    """Use the class's own ``__reduce__`` or reduce part by part; include the exceptions it was raised from."""
    links = _links(packer, obj)
    if not _says_how(type(obj)):
        state = {"attributes": dict(attributes(obj)), "members": dict(_members(obj)), "links": links}
        state = {name: part for name, part in state.items() if part}
        return rebuild_exception, (type(obj), _arguments(packer, obj)), state or None, None, None, fill_exception
    if not links:
        return NotImplemented
    reduction: Any = obj.__reduce_ex__(PROTOCOL)
    if not isinstance(reduction, tuple):
        return reduction
    make, arguments, own, items, pairs = (*reduction, None, None, None)[:5]
    state = {"links": links} if own is None else {"links": links, "own": own}
    return make, arguments, state, items, pairs, fill_exception


def _says_how(kind: type[BaseException]) -> bool:
    """Whether a class of the user or a library defines its reduction."""
    known: set[Any] = {base.__reduce__ for base in kind.__mro__ if module_of(base) == "builtins"}
    return kind.__reduce__ not in known or kind.__reduce_ex__ is not object.__reduce_ex__


def _members(error: BaseException) -> Iterator[tuple[str, object]]:
    """Slots and C-level members."""
    for base in type(error).__mro__:
        if base in {BaseException, object}:
            continue
        for name, member in vars(base).items():
            if isinstance(member, types.MemberDescriptorType | types.GetSetDescriptorType) and name not in _LEFT:
                with contextlib.suppress(AttributeError):  # not set
                    value = member.__get__(error)
                    if value is not None or module_of(base) != "builtins":  # to C, None set is more than none set
                        yield name, value


def _arguments(packer: PackerView, error: BaseException) -> tuple[object, ...]:
    """`args`; for a group its members, one by one if requested."""
    if not isinstance(error, _Group) or not packer.lenient:
        return error.args
    if packer.alone:
        return error.message, [TaskFailed("")]
    depth = _depth(packer, error) + 1
    return error.message, [_sent(packer, member, depth) for member in error.exceptions]


def _links(packer: PackerView, error: BaseException) -> dict[str, object]:
    if packer.alone:
        return {}
    links = _own_links(error)
    depth = _depth(packer, error) + 1 if links else 0
    return {
        name: _sent(packer, value, depth) if isinstance(value, BaseException) else value
        for name, value in links.items()
    }


def _depth(packer: PackerView, error: BaseException) -> int:
    link = packer.notes.links.get(id(error))
    return link.depth if link is not None else 0


def _sent(packer: PackerView, error: BaseException, depth: int) -> BaseException:
    """The exception, or its stand-in if it cannot be rebuilt on the other side."""
    known = packer.notes.links.get(id(error))
    if known is None:
        sent = error
        if depth > DEEPEST:
            sent = TaskFailed(_said(error))
        elif not packer.comes_back(error):
            sent = stand_in(error)
        known = Link(sent, depth, error)
        packer.notes.links[id(error)] = packer.notes.links[id(sent)] = known
    return known.sent


def rebuild_exception(kind: type[BaseException], args: tuple[object, ...]) -> BaseException:
    """First step: create it without the user's ``__new__`` or ``__init__``, whose parameters are unknown."""
    builtin: Any = next(base for base in kind.__mro__ if module_of(base) == "builtins")
    made: BaseException = builtin.__new__(kind, *args)
    builtin.__init__(made, *args)
    return made


def fill_exception(made: BaseException, state: dict[str, Any]) -> None:
    """Second step: set attributes, slots, C-level members, and the exceptions it was raised from."""
    if "own" in state:
        rebuild.set_state(made, state["own"])
    for name, value in state.get("members", {}).items():
        member = rebuild.of_type(type(made), name)
        with contextlib.suppress(AttributeError, TypeError):  # read-only in C, which sets it from `args`
            member.__set__(made, value)
    if own := state.get("attributes"):
        if isinstance(rebuild.of_type(type(made), "__setstate__"), types.FunctionType):
            rebuild.set_state(made, own)
        else:
            attributes(made).update(own)
    _set_links(made, state.get("links", {}))
