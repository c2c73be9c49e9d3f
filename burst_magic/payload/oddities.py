"""Reductions for small objects, mostly of the standard library, that pickle would send by names nobody else knows."""

from __future__ import annotations

import codecs
import contextvars
import copyreg
import dataclasses
import functools
import gc
import pickle
import sys
import threading
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any

from burst_magic.payload import live, rebuild
from burst_magic.payload.declared import module_of
from burst_magic.payload.notes import PackerView, importable
from burst_magic.payload.reducers import by_name

Reduction = Any

# dataclasses compares these by identity.
_SENTINELS = {
    id(value): name
    for name, value in vars(dataclasses).items()
    if module_of(type(value)) == "dataclasses" and not callable(value)
}


def _sentinel(_packer: PackerView, obj: object) -> Reduction:
    name = _SENTINELS.get(id(obj))
    return NotImplemented if name is None else (getattr, (dataclasses, name))


def _type_variable(packer: PackerView, obj: Any) -> Reduction:
    if importable(obj):
        packer.notes.module(obj.__module__)
        return NotImplemented
    reference = by_name(packer, obj)
    if reference is not None:
        return reference
    if id(obj) in packer.notes.parameters:
        return rebuild.type_parameter, packer.notes.parameters[id(obj)]
    if getattr(obj, "__infer_variance__", False):  # of ``class A[T: A]``: its limits are evaluated lazily
        scope = rebuild.Scope()
        head = (obj.__name__, obj.__module__, _declared(obj), scope)
        contents = {f"of {obj.__name__}": _limits(obj)}
        return rebuild.lazy_type_variable, head, (scope, contents), None, None, rebuild.fill_scope
    names = {"__bound__": "bound", "__covariant__": "covariant", "__contravariant__": "contravariant",
             "__infer_variance__": "infer_variance"}  # fmt: skip
    options = {option: value for name, option in names.items() if (value := getattr(obj, name, None))}
    if getattr(obj, "has_default", bool)():
        options["default"] = obj.__default__
    constraints = getattr(obj, "__constraints__", ())
    return rebuild.type_variable, (type(obj), obj.__name__, constraints, options, obj.__module__)


def _new_type(packer: PackerView, obj: Any) -> Reduction:
    if importable(obj):
        return NotImplemented
    return by_name(packer, obj) or (rebuild.new_type, (obj.__name__, obj.__supertype__, obj.__module__))


def _type_alias(packer: PackerView, obj: Any) -> Reduction:
    if importable(obj):
        return NotImplemented
    reference = by_name(packer, obj)
    if reference is not None:
        return reference
    if not any(isinstance(part, types.FunctionType) for part in gc.get_referents(obj)):  # by a call, of a value
        return rebuild.type_alias, (obj.__name__, obj.__value__, obj.__type_params__)
    # By a ``type`` statement: its value is evaluated lazily, and may refer to it.
    parameters = obj.__type_params__
    packer.notes.parameters.update({id(one): (obj, place) for place, one in enumerate(parameters)})
    scope = rebuild.Scope()
    contents = {"value": obj.__value__, **{f"of {one.__name__}": _limits(one) for one in parameters}}
    head = (obj.__name__, obj.__module__, tuple(map(_declared, parameters)), scope)
    return rebuild.lazy_type_alias, head, (scope, contents), None, None, rebuild.fill_scope


def _limits(parameter: Any) -> tuple[object, ...]:
    """Bound, constraints and default of a type parameter, if any."""
    bound = getattr(parameter, "__bound__", None)
    limits = getattr(parameter, "__constraints__", ()) or (() if bound is None else (bound,))
    return (*limits, parameter.__default__) if _has_default(parameter) else limits


def _declared(parameter: Any) -> str:
    """A type parameter in a ``type`` statement, which takes its limits from ``_of_``."""
    stars = {"TypeVarTuple": "*", "ParamSpec": "**"}.get(type(parameter).__name__, "")
    name, limits = (
        parameter.__name__,
        [f"_of_('{parameter.__name__}', {place})" for place in range(len(_limits(parameter)))],
    )
    default = f" = {limits.pop()}" if _has_default(parameter) else ""
    listed = f"({', '.join(limits)},)" if getattr(parameter, "__constraints__", ()) else "".join(limits)
    return f"{stars}{name}{': ' if listed else ''}{listed}{default}"


def _has_default(parameter: Any) -> bool:
    return bool(getattr(parameter, "has_default", bool)())


def _weak_proxy(_packer: PackerView, obj: Any) -> Reduction:
    try:  # the only way to what it stands for is a method of that
        method: Any = obj.mro if isinstance(obj, type) else obj.__reduce_ex__
        target = method.__self__
    except ReferenceError:
        target = None
    return rebuild.weak_proxy, (target, type(obj) is weakref.CallableProxyType)


def _cached_property(_packer: PackerView, obj: Any) -> Reduction:
    """Without its lock, which it has before 3.12."""
    return rebuild.cached_property, (obj.func, obj.attrname, obj.__doc__)


def _view(_packer: PackerView, obj: memoryview) -> Reduction:
    """A view of a whole bytearray or array shares it there, too; any other view sends its visible bytes only."""
    memoryview(b"").cast(obj.format)  # type: ignore[call-overload] # says so where it cannot be made again
    if _shows_all(obj):
        data: object = pickle.PickleBuffer(obj.obj) if type(obj.obj) is bytes else obj.obj
    else:  # copied: a buffer of the view itself would keep it from being collected
        data = pickle.PickleBuffer(bytes(obj) if obj.readonly else bytearray(obj.tobytes()))
    return rebuild.view, (data, obj.format, obj.shape, obj.readonly)


def _shows_all(view: memoryview) -> bool:
    known = module_of(type(view.obj)) in {"builtins", "array", "numpy"}
    return known and view.c_contiguous and memoryview(view.obj).nbytes == view.nbytes


def _proxy(_packer: PackerView, obj: Any) -> Reduction:
    """A proxy of a class's contents becomes that of the class there."""
    owner = _owner(obj)
    return (types.MappingProxyType, (dict(obj),)) if owner is None else (rebuild.class_dict, (owner,))


def _owner(proxy: Any) -> type | None:
    if "__doc__" not in proxy:  # each class has one
        return None
    (contents,) = gc.get_referents(proxy)
    made = getattr(proxy.get("__new__"), "__self__", None)  # of a class in C, which nobody refers to by its contents
    candidates = [made, *gc.get_referrers(contents)]
    return next(
        (one for one in candidates if isinstance(one, type) and gc.get_referents(vars(one))[0] is contents), None
    )


def _comparison_key(_packer: PackerView, obj: Any) -> Reduction:
    """A key function of `functools.cmp_to_key`, or one of its keys: only the garbage collector sees the function."""
    compare, *keyed = (part for part in gc.get_referents(obj) if part is not type(obj))
    return rebuild.comparison_key, (compare, *keyed)


def _context_variable(_packer: PackerView, obj: contextvars.ContextVar[Any]) -> Reduction:
    """A context variable keeps its value."""
    try:
        return rebuild.context_variable, (obj.name, obj.get())
    except LookupError:
        return rebuild.context_variable, (obj.name,)


def _scanner(_packer: PackerView, obj: Any) -> Reduction:
    """The C part of a `json.JSONDecoder`, rebuilt from its arguments."""
    names = ("strict", "object_hook", "object_pairs_hook", "parse_float", "parse_int", "parse_constant")
    return rebuild.scanner, ({name: getattr(obj, name) for name in names},)


def _lock(packer: PackerView, obj: Any) -> Reduction:
    """A new lock: the old one guarded something in another process."""
    packer.notes.anew.add(f"{type(obj).__name__}, which does not exclude other tasks")
    if packer.notes.steady:
        return rebuild.lock, (repr(obj),)
    return (rebuild.rlock if isinstance(obj, _RLock) else rebuild.lock), ()


def of_a_thread(obj: Any) -> Reduction:
    """An object of a class derived from `threading.local`, as this thread sees it."""
    return copyreg.__newobj__, (type(obj),), dict(vars(obj))  # type: ignore[attr-defined]


def _of_mpmath(_packer: PackerView, obj: Any) -> Reduction:
    """``mpmath.mp``, ``mpmath.pi`` and their like are the module's own; its precision is among the settings."""
    module = sys.modules["mpmath"]
    name = next((name for name, value in vars(module).items() if value is obj), "")
    if not name:
        raise pickle.PicklingError("only contexts and constants that mpmath itself has can be pickled")
    return getattr, (module, name)


_Lock, _RLock = type(threading.Lock()), type(threading.RLock())
_VARIABLES = [getattr(typing, name) for name in ("TypeVar", "ParamSpec", "TypeVarTuple") if hasattr(typing, name)]

TABLE: dict[type, Callable[[Any, Any], Reduction]] = {
    **{type(vars(dataclasses)[name]): _sentinel for name in _SENTINELS.values()},
    **dict.fromkeys(_VARIABLES, _type_variable),
    typing.NewType: _new_type,
    weakref.ref: lambda _, obj: (rebuild.weak_reference, (obj(),)),
    weakref.ProxyType: _weak_proxy,
    weakref.CallableProxyType: _weak_proxy,
    weakref.WeakKeyDictionary: lambda packer, obj: (
        rebuild.weak_container,
        (
            weakref.WeakKeyDictionary,
            {} if packer.notes.steady else dict(obj),
        ),  # a cache: its contents don't count as a change
    ),
    weakref.WeakValueDictionary: lambda _, obj: (rebuild.weak_container, (weakref.WeakValueDictionary, dict(obj))),
    weakref.WeakSet: lambda _, obj: (rebuild.weak_container, (weakref.WeakSet, list(obj))),
    functools.cached_property: _cached_property,
    types.MappingProxyType: _proxy,
    types.MemberDescriptorType: lambda _, obj: (rebuild.member, (obj.__objclass__, obj.__name__)),
    memoryview: _view,
    super: lambda _, obj: (super, (obj.__thisclass__, obj.__self__)),
    property: lambda _, obj: (property, (obj.fget, obj.fset, obj.fdel, obj.__doc__)),
    staticmethod: lambda _, obj: (staticmethod, (obj.__func__,)),
    classmethod: lambda _, obj: (classmethod, (obj.__func__,)),
    _Lock: _lock,
    _RLock: _lock,
}
if hasattr(typing, "TypeAliasType"):  # 3.12
    TABLE[typing.TypeAliasType] = _type_alias

# Types whose modules must not be imported here: "module.name" -> reducer; None is for whatever comes next.
NAMED: dict[str, Callable[[Any, Any], Reduction]] = {
    "_contextvars.ContextVar": _context_variable,
    "_json.Scanner": _scanner,
    "_struct.Struct": lambda _, obj: (type(obj), (obj.format,)),
    "_thread._local": lambda _, obj: (type(obj), (), dict(vars(obj))),
    "codecs.CodecInfo": lambda _, obj: (codecs.lookup, (obj.name,)),
    "functools.KeyWrapper": _comparison_key,
    "matplotlib.RcParams": live.reduce_inside,
    "matplotlib.cm.ColormapRegistry": live.reduce_inside,
    "mpmath.ctx_fp.FPContext": _of_mpmath,
    "mpmath.ctx_iv.MPIntervalContext": _of_mpmath,
    "mpmath.ctx_mp.MPContext": _of_mpmath,
    "mpmath.ctx_mp_python.constant": _of_mpmath,
    "os._Environ": live.reduce_inside,
    "random.SystemRandom": lambda _, obj: (type(obj), ()),
    "weakref.WeakMethod": lambda _, obj: (rebuild.weak_method, (obj(),)),
}
MODULES = frozenset({"sys", *(name.rpartition(".")[0] for name in NAMED)})
