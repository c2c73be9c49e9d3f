"""Pickle the notebook's classes by value, in two steps: first an empty class, so that its methods can refer to it.

Hooks that ran when the class was created (its metaclass, ``__init_subclass__``, ``__set_name__``) don't run again: the
finished class is pickled.
"""

from __future__ import annotations

import operator
import os
import pickle
import types
from _abc import _get_dump  # type: ignore[import-not-found] # typeshed leaves it out; functools and abc use it too
from abc import ABCMeta
from enum import EnumMeta
from typing import Any

from burst_magic.payload import rebuild
from burst_magic.payload.declared import module_of
from burst_magic.payload.notes import Mode, PackerView, by_import, importable
from burst_magic.payload.reducers import by_name, path_in

Reduction = Any
# The importable class that creates it, its metaclass, name, bases, first contents, id.
Head = tuple[Any, Any, str, tuple[type, ...], dict[str, Any], str]
Members = tuple[tuple[str, tuple[object, ...], object], ...]  # name, arguments of the mixed-in type, value

_PROCESS = os.urandom(16).hex()

_IMMUTABLE, _HEAP = 1 << 8, 1 << 9  # type flags: immutable; created at run time

# Created by the interpreter for each class, or passed at its creation.
_AUTOMATIC = frozenset({"__weakref__", "__dict__", "_abc_impl", "__slots__", "__orig_bases__", "__module__",
                        "__qualname__", "__slotnames__"})  # fmt: skip
# Created by EnumMeta from the members.
_OF_MEMBERS = frozenset({"_member_names_", "_member_map_", "_member_type_", "_value2member_map_", "_boundary_",
                         "_unhashable_values_", "_unhashable_values_map_", "_hashable_values_", "_flag_mask_",
                         "_singles_mask_", "_all_bits_", "_inverted_", "__new__"})  # fmt: skip
_OF_A_MEMBER = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"})

# By identity: a metaclass may define __eq__ and __hash__.
_TYPES = {id(value): name for name, value in vars(types).items() if isinstance(value, type)}
_SINGLE = {id(type(value)) for value in (None, ..., NotImplemented)}  # pickle handles these itself


def reduce_class(packer: PackerView, cls: type) -> Reduction:
    """Reduce by import, by name, or by value."""
    if id(cls) in _SINGLE:
        return NotImplemented
    if by_import(packer, cls):
        packer.notes.module(cls.__module__)
        return NotImplemented
    reference = by_name(packer, cls)
    if reference is not None:
        return reference
    return _by_value(packer, cls) if cls.__flags__ & _HEAP and not cls.__flags__ & _IMMUTABLE else _made_in_c(cls)


def _by_value(packer: PackerView, cls: type) -> Reduction:
    if type(cls).__name__ == "PyCArrayType" and cls.__base__ is not None and cls.__base__.__name__ == "Array":
        sized: Any = cls  # ctypes.c_int * 3
        return operator.mul, (sized._type_, sized._length_)
    maker = next(meta for meta in type.mro(type(cls)) if importable(meta))
    head = (maker, type(cls), cls.__name__, cls.__bases__, _body(cls), _identity(packer, cls))
    if isinstance(cls, EnumMeta):
        return rebuild_enum, (head, _members(cls)), _enum_state(cls), None, None, fill_enum
    return rebuild_class, (head,), _state(cls), None, None, fill_class


def _made_in_c(cls: type) -> Reduction:
    if id(cls) in _TYPES:
        return getattr, (types, _TYPES[id(cls)])
    message = f"cannot pickle the class {cls.__module__}.{cls.__qualname__}: no module defines it under this name"
    raise pickle.PicklingError(message)


def _identity(packer: PackerView, cls: type) -> str:
    """An id for a class without a name that both sides know."""
    if packer.mode is Mode.NAMESPACE and path_in(packer.home, cls) is not None:
        return ""
    return rebuild.tracker.id_of(cls, lambda: f"{_PROCESS}.{os.urandom(16).hex()}")


def _body(cls: type) -> dict[str, Any]:
    """Contents that the class needs at its creation."""
    given = {name: vars(cls)[name] for name in ("__slots__", "__orig_bases__") if name in vars(cls)}
    return {**given, "__module__": module_of(cls) or "__main__", "__qualname__": cls.__qualname__}


def _state(cls: type) -> dict[str, Any]:
    slots = {name for name, value in vars(cls).items() if isinstance(value, types.MemberDescriptorType)}
    state = {name: value for name, value in vars(cls).items() if name not in _AUTOMATIC and name not in slots}
    if isinstance(cls, ABCMeta):
        registry = _get_dump(cls)[0]
        registered = [found for reference in registry if (found := reference()) is not None]
        if registered:
            state["<registered>"] = registered
    return state


def rebuild_class(head: Head) -> type:
    """First step: create the class without its contents, or return it if this process knows it."""
    maker, meta, name, bases, body, ident = head
    known = rebuild.tracker.find(ident) if ident else None
    if known is not None:
        return known
    with _Quiet(bases):
        try:
            cls: type = maker.__new__(meta, name, bases, body)
        except TypeError:  # a library's metaclass that needs more arguments, such as TypedDict's
            cls = type.__new__(meta, name, bases, body)
    rebuild.tracker.loaded(ident, cls)
    return cls


class _Quiet:
    """Prevents ``__init_subclass__`` of the notebook's bases from running again."""

    def __init__(self, bases: tuple[type, ...]) -> None:
        self._hooks = [
            (owner, vars(owner)["__init_subclass__"])
            for base in bases
            for owner in base.__mro__
            if "__init_subclass__" in vars(owner) and not importable(owner)
        ]

    def __enter__(self) -> None:
        for owner, _ in self._hooks:
            type.__setattr__(owner, "__init_subclass__", classmethod(lambda cls: None))  # noqa: ARG005

    def __exit__(self, *_: object) -> None:
        for owner, hook in self._hooks:
            type.__setattr__(owner, "__init_subclass__", hook)


def fill_class(cls: type, state: dict[str, Any]) -> None:
    """Second step: set its contents."""
    registered = state.pop("<registered>", ())
    for name, value in state.items():
        type.__setattr__(cls, name, value)
    for other in registered:
        cls.register(other)  # type: ignore[attr-defined] # only an ABC has any


def _members(cls: Any) -> Members:
    """Each member, aliases included."""
    kind = cls._member_type_
    return tuple((name, _base_arguments(kind, member), member._value_) for name, member in cls.__members__.items())


def _base_arguments(kind: type, member: Any) -> tuple[object, ...]:
    if hasattr(kind, "__getnewargs__"):  # int, str, float, bytes, tuple ...
        arguments: tuple[object, ...] = kind.__getnewargs__(member)
        return arguments
    plain: Any = object.__new__
    if kind.__new__ is plain:
        return ()
    return member._value_ if isinstance(member._value_, tuple) else (member._value_,)


def _enum_state(cls: Any) -> dict[str, Any]:
    state = {
        name: value for name, value in _state(cls).items() if name not in _OF_MEMBERS and name not in cls.__members__
    }
    extras = {}
    for name, member in cls.__members__.items():
        own = {key: value for key, value in getattr(member, "__dict__", {}).items() if key not in _OF_A_MEMBER}
        if own:
            extras[name] = own
    if extras:
        state["<members>"] = extras
    return state


def rebuild_enum(head: Head, members: Members) -> type:
    """First step: create the class with its members from their final values; no user ``__new__`` runs."""
    maker, meta, name, bases, body, ident = head
    known = rebuild.tracker.find(ident) if ident else None
    if known is not None:
        return known
    space = maker.__prepare__(name, bases)
    for key, value in body.items():
        space[key] = value
    if members:
        space["__new__"] = _new_member
        space["__init__"] = _init_member
    for key, arguments, value in members:
        space[key] = (arguments, value)
    with _Quiet(bases):
        cls: Any = maker.__new__(meta, name, bases, space)
    rebuild.tracker.loaded(ident, cls)
    return cls  # type: ignore[no-any-return]


def _new_member(cls: Any, *parts: Any) -> Any:
    arguments, value = parts if len(parts) == 2 else parts[0]
    kind = cls._member_type_ if "_member_type_" in vars(cls) else object
    member = kind.__new__(cls, *arguments)
    member._value_ = value
    return member


def _init_member(self: object, *parts: object) -> None:
    """Skip ``__init__``: the members' attributes come with the state."""


def fill_enum(cls: Any, state: dict[str, Any]) -> None:
    """Second step: set its methods, and the attributes that the user's ``__init__`` or ``__new__`` gave its members."""
    extras = state.pop("<members>", {})
    for name in ("__init__", "__new_member__", "__reduce_ex__"):
        if name in vars(cls) and name not in state:
            type.__delattr__(cls, name)
    fill_class(cls, state)
    for name, attributes in extras.items():
        vars(cls.__members__[name]).update(attributes)
