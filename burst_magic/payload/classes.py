"""Classes of the notebook, by value, in two steps: an empty class first, so that its methods can lead back to it."""

from __future__ import annotations

import types
import uuid
from typing import TYPE_CHECKING, Any

from burst_magic.payload import rebuild
from burst_magic.payload.pack import Mode, Packer, importable
from burst_magic.payload.reducers import by_name, path_in

if TYPE_CHECKING:
    Reduction = Any

_PROCESS = uuid.uuid4().hex

# Made by the interpreter for each class anew.
_AUTOMATIC = frozenset({"__weakref__", "__dict__", "_abc_impl", "__slots__", "__orig_bases__", "__module__", "__qualname__", "__slotnames__"})

_TYPES = {value: name for name, value in vars(types).items() if isinstance(value, type)}


def reduce_class(packer: Packer, cls: type) -> Reduction:
    """By import, by name, or by value."""
    if cls in (type(None), type(...), type(NotImplemented)):
        return NotImplemented
    if importable(cls):
        packer.modules.add(cls.__module__)
        return NotImplemented
    if cls in _TYPES:
        return getattr, (types, _TYPES[cls])
    reference = by_name(packer, cls)
    if reference is not None:
        return reference
    ident = _identity(packer, cls)
    body = {name: vars(cls)[name] for name in ("__slots__", "__orig_bases__") if name in vars(cls)}
    body["__module__"], body["__qualname__"] = cls.__module__, cls.__qualname__
    slots = _slot_names(cls)
    state = {name: value for name, value in vars(cls).items() if name not in _AUTOMATIC and name not in slots}
    return make_class, (type(cls), cls.__name__, cls.__bases__, body, ident), state, None, None, fill_class


def _identity(packer: Packer, cls: type) -> str:
    """An id for a class that has no name which both sides know."""
    if packer.mode is Mode.NAMESPACE and path_in(packer.home, cls) is not None:
        return ""
    return rebuild.tracker.id_of(cls, lambda: f"{_PROCESS}.{uuid.uuid4().hex}")


def _slot_names(cls: type) -> set[str]:
    return {name for name, value in vars(cls).items() if isinstance(value, types.MemberDescriptorType)}


def make_class(meta: type, name: str, bases: tuple[type, ...], body: dict[str, Any], ident: str) -> type:
    """First step: the class without its contents, or the one that this process knows already."""
    known = rebuild.tracker.find(ident) if ident else None
    if known is not None:
        return known
    cls: type = meta(name, bases, body)
    rebuild.tracker.loaded(ident, cls)
    return cls


def fill_class(cls: type, state: dict[str, Any]) -> None:
    """Second step: its contents."""
    for name, value in state.items():
        type.__setattr__(cls, name, value)
