"""Reductions for small things of the standard library that pickle sends by a name which only the notebook knows."""

from __future__ import annotations

import dataclasses
import functools
import threading
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any

from burst_magic.payload import rebuild
from burst_magic.payload.notes import Packer, importable
from burst_magic.payload.reducers import by_name

Reduction = Any

# dataclasses compares with these by identity.
_SENTINELS = {
    id(value): name
    for name, value in vars(dataclasses).items()
    if type(value).__module__ == "dataclasses" and not callable(value)
}


def _sentinel(_packer: Packer, obj: object) -> Reduction:
    name = _SENTINELS.get(id(obj))
    return NotImplemented if name is None else (getattr, (dataclasses, name))


def _type_variable(packer: Packer, obj: Any) -> Reduction:
    if importable(obj):
        packer.notes.module(obj.__module__)
        return NotImplemented
    reference = by_name(packer, obj)
    if reference is not None:
        return reference
    names = {"__bound__": "bound", "__covariant__": "covariant", "__contravariant__": "contravariant",
             "__infer_variance__": "infer_variance"}  # fmt: skip
    options = {option: value for name, option in names.items() if (value := getattr(obj, name, None))}
    if getattr(obj, "has_default", bool)():
        options["default"] = obj.__default__
    constraints = getattr(obj, "__constraints__", ())
    return rebuild.type_variable, (type(obj), obj.__name__, constraints, options, obj.__module__)


def _new_type(packer: Packer, obj: Any) -> Reduction:
    if importable(obj):
        return NotImplemented
    return by_name(packer, obj) or (rebuild.new_type, (obj.__name__, obj.__supertype__, obj.__module__))


def _type_alias(packer: Packer, obj: Any) -> Reduction:
    if importable(obj):
        return NotImplemented
    return by_name(packer, obj) or (rebuild.type_alias, (obj.__name__, obj.__value__, obj.__type_params__))


def _weak_reference(_packer: Packer, obj: Any) -> Reduction:
    target = obj()
    return NotImplemented if target is None else (weakref.ref, (target,))


def _cached_property(_packer: Packer, obj: Any) -> Reduction:
    """Without its lock, which it has before 3.12."""
    return rebuild.cached_property, (obj.func, obj.attrname, obj.__doc__)


def _lock(packer: Packer, obj: Any) -> Reduction:
    """A new one: what the old one guarded lies in another process."""
    packer.notes.anew.add(type(obj).__name__)
    if packer.notes.steady:
        return rebuild.lock, (repr(obj),)
    return (rebuild.rlock if isinstance(obj, _RLock) else rebuild.lock), ()


_Lock, _RLock = type(threading.Lock()), type(threading.RLock())
_VARIABLES = [getattr(typing, name) for name in ("TypeVar", "ParamSpec", "TypeVarTuple") if hasattr(typing, name)]

TABLE: dict[type, Callable[[Any, Any], Reduction]] = {
    **{type(vars(dataclasses)[name]): _sentinel for name in _SENTINELS.values()},
    **dict.fromkeys(_VARIABLES, _type_variable),
    typing.NewType: _new_type,
    weakref.ref: _weak_reference,
    weakref.WeakKeyDictionary: lambda _, obj: (weakref.WeakKeyDictionary, (dict(obj),)),
    weakref.WeakValueDictionary: lambda _, obj: (weakref.WeakValueDictionary, (dict(obj),)),
    weakref.WeakSet: lambda _, obj: (weakref.WeakSet, (list(obj),)),
    functools.cached_property: _cached_property,
    types.MappingProxyType: lambda _, obj: (types.MappingProxyType, (dict(obj),)),
    property: lambda _, obj: (property, (obj.fget, obj.fset, obj.fdel, obj.__doc__)),
    staticmethod: lambda _, obj: (staticmethod, (obj.__func__,)),
    classmethod: lambda _, obj: (classmethod, (obj.__func__,)),
    _Lock: _lock,
    _RLock: _lock,
}
if hasattr(typing, "TypeAliasType"):  # 3.12
    TABLE[typing.TypeAliasType] = _type_alias
