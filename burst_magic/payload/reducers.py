"""Reductions of objects that the C pickler cannot handle. `rebuild` puts them together again."""

from __future__ import annotations

import collections
import copyreg
import functools
import io
import marshal
import pickle
import sys
import types
from typing import TYPE_CHECKING, Any

from burst_magic.payload import rebuild
from burst_magic.payload.mentions import of_code
from burst_magic.payload.notes import OMITTED, OUT_OF_BAND, Mode, PackerView, by_import, find_module, importable
from burst_magic.payload.pure import only_computes
from burst_magic.payload.walk import belongs, is_notebook, needed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Reduction = Any  # a tuple, a string or NotImplemented: pickle's own protocol


def path_in(home: Mapping[str, object], obj: Any) -> tuple[str, ...] | None:
    """The dotted path to this object in the notebook."""
    qualname = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
    if not isinstance(qualname, str):
        return None
    path = tuple(qualname.split("."))
    found: Any = home
    try:
        found = home[path[0]]
        for part in path[1:]:
            found = getattr(found, part)
    except (KeyError, AttributeError):
        return None
    return path if found is obj else None


_DISPLAY = frozenset({"display", "update_display", "publish_display_data", "clear_output"})


def by_name(packer: PackerView, obj: Any) -> Reduction | None:
    """A reference, if the other side knows the object by name."""
    path = path_in(packer.home, obj)
    if path is None:
        return None
    if packer.mode is Mode.NAMESPACE:
        packer.notes.sent.add(path[0])  # by value here, and by this name in items and results
        return None
    if packer.mode is Mode.RESULT and not rebuild.has_arrived(packer.home[path[0]]):
        return None
    packer.notes.sent.add(path[0])
    return rebuild.named, path


def reduce_function(packer: PackerView, obj: types.FunctionType) -> Reduction:
    """Reduce by import, by name, or by value in two steps: parts that may refer to the function are its state."""
    if obj.__module__ == "IPython.core.display_functions" and obj.__name__ in _DISPLAY:
        return rebuild.display_function, () if obj.__name__ == "display" else (obj.__name__,)
    if by_import(packer, obj):
        packer.notes.module(obj.__module__)
        return NotImplemented
    reference = by_name(packer, obj)
    if reference is not None:
        return reference
    scope, needs = _scope(packer, obj)
    closure = obj.__closure__ or ()
    fresh = [cell for cell in closure if id(cell) not in packer.notes.cells]
    packer.notes.cells.update((id(cell), cell) for cell in fresh)
    state = _function_state(obj)
    if needs:
        state["needs"] = needs
    contents = [(cell, cell.cell_contents) for cell in fresh if _filled(cell)]
    if contents:
        state["cells"] = contents
    args = (obj.__code__, scope, closure) if closure else (obj.__code__, scope)
    if scope is None and obj.__module__ == "__main__":
        state.pop("__module__", None)
    return (rebuild.function, args, state, None, None, rebuild.fill_function) if state else (rebuild.function, args)


def _function_state(obj: types.FunctionType) -> dict[str, Any]:
    """Only the differences from a new function with the same code."""
    code = obj.__code__
    state: dict[str, Any] = dict(vars(obj))
    state["__module__"] = obj.__module__
    if obj.__name__ != code.co_name:
        state["__name__"] = obj.__name__
    if obj.__qualname__ != getattr(code, "co_qualname", code.co_name):
        state["__qualname__"] = obj.__qualname__
    first = code.co_consts[0] if code.co_consts and isinstance(code.co_consts[0], str) else None
    if obj.__doc__ != first:
        state["__doc__"] = obj.__doc__
    for name in ("__defaults__", "__kwdefaults__", "__annotations__", "__type_params__"):
        value = getattr(obj, name, None)
        if value:
            state[name] = value
    return state


def _filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - asking is the only way to know
    except ValueError:
        return False
    return True


def _scope(packer: PackerView, obj: types.FunctionType) -> tuple[str | rebuild.Scope | None, dict[str, object]]:
    """Where the copy finds its globals, and the globals to send with it."""
    names = needed(obj)
    packer.notes.words |= of_code(obj.__code__).words
    packer.notes.modules |= of_code(obj.__code__).imports
    if belongs(obj, packer.home):
        packer.notes.files.add(obj.__code__.co_filename)
        if packer.mode is Mode.NAMESPACE:
            return None, packer.claim(dict.fromkeys(sorted(names - OMITTED), obj.__name__))
        if packer.mode is Mode.ITEM:
            packer.notes.sent |= (names - OMITTED) & packer.home.keys()
            packer.notes.omitted.update(dict.fromkeys(names & OMITTED & packer.home.keys(), obj.__name__))
            return None, {}
    else:
        module = find_module(str(obj.__globals__.get("__name__")))
        if module is not None and vars(module) is obj.__globals__:
            packer.notes.module(module.__name__)
            return module.__name__, {}
        packer.notes.files.add(obj.__code__.co_filename)
    scope, _ = packer.notes.scopes.setdefault(id(obj.__globals__), (rebuild.Scope(), obj.__globals__))
    wanted = set(names | {"__name__"}) & obj.__globals__.keys() - scope.names.keys()
    if isinstance(builtins := obj.__globals__.get("__builtins__"), dict) and not builtins:
        wanted.add("__builtins__")  # namedtuple's __new__ has none on purpose
    needs = {name: obj.__globals__[name] for name in sorted(wanted)}
    scope.names.update(needs)
    return scope, needs


def reduce_scope(_packer: PackerView, _obj: rebuild.Scope) -> Reduction:
    """Reduce to an empty scope: the functions that use it bring its contents."""
    return rebuild.Scope, ()


def reduce_code(_packer: PackerView, obj: types.CodeType) -> Reduction:
    """Marshal the code: the envelope's header ensures that both sides run the same Python."""
    try:
        data = marshal.dumps(
            obj, 2
        )  # before 3 no back references, which depend on reference counts: same code, same bytes
    except ValueError:  # a constant that only newer versions know
        data = marshal.dumps(obj)
    return rebuild.code, (data,)


def reduce_cell(packer: PackerView, obj: types.CellType) -> Reduction:
    """Reduce to an empty cell if a function brings the contents, else include them."""
    if id(obj) in packer.notes.cells or not _filled(obj):
        return rebuild.cell, ()
    packer.notes.cells[id(obj)] = obj
    return rebuild.cell, (), (obj.cell_contents,), None, None, rebuild.fill_cell


def reduce_module(packer: PackerView, obj: types.ModuleType) -> Reduction:
    """Reduce by import, with the submodules that the code accesses through it; a module created by hand by value."""
    name = obj.__name__
    if is_notebook(obj, packer.home):  # `import __main__ as me`, `me = sys.modules[__name__]`
        packer.notes.modules.add("__main__")
        return rebuild.module, ("__main__",)
    if find_module(name) is not obj:
        state = {key: value for key, value in vars(obj).items() if not (key.startswith("__") and key.endswith("__"))}
        return rebuild.plain_module, (name,), state, None, None, rebuild.fill_module
    packer.notes.module(name)
    if not hasattr(obj, "__path__"):
        return rebuild.module, (name,)
    subs = sorted(
        key
        for key in sys.modules
        if key.startswith(name + ".") and packer.notes.words.issuperset(key[len(name) + 1 :].split("."))
    )
    packer.notes.modules.update(subs)
    return rebuild.module, (name, tuple(subs)) if subs else (name,)


def reduce_method(packer: PackerView, obj: types.MethodType) -> Reduction:
    """Reduce to function and owner; methods of imported classes as in pickle."""
    if by_import(packer, obj.__func__) and "." in obj.__func__.__qualname__:
        return NotImplemented
    return rebuild.method, (obj.__func__, obj.__self__)


def reduce_builtin(packer: PackerView, obj: types.BuiltinFunctionType) -> Reduction:
    """Reduce as pickle does; only record the module."""
    if isinstance(obj.__module__, str):
        packer.notes.module(obj.__module__)
    return NotImplemented


def reduce_cached(packer: PackerView, obj: Any) -> Reduction:
    """An `lru_cache`: same parameters, empty cache."""
    if by_import(packer, obj):
        packer.notes.module(obj.__module__)
        return NotImplemented
    reference = by_name(packer, obj)
    if reference is not None:
        return reference
    if packer.notes.steady:
        return rebuild.cached, (*obj.cache_info(), obj.__wrapped__)
    if obj.cache_info().currsize and not only_computes(obj.__wrapped__, obj):
        packer.notes.anew.add("cache, without the results that it has in the notebook")
    parameters = obj.cache_parameters()
    state = {key: value for key, value in vars(obj).items() if key not in {"cache_parameters", "__wrapped__"}}
    return rebuild.cached, (parameters["maxsize"], parameters["typed"], obj.__wrapped__), state


def by_dill(obj: Any) -> Reduction:
    """The reduction by dill of an object; nested objects still go through our pickler."""
    import dill._dill as dill

    if isinstance(obj, io.IOBase):  # dill would send its path, which elsewhere is another file or none
        return NotImplemented
    save = dill.Pickler.dispatch.get(type(obj))
    if save is None:
        return NotImplemented
    recorder = _Recorder()
    try:
        save(recorder, obj)
    except Exception:  # noqa: BLE001 - dill cannot either: pickle's own words are the clearer ones
        return NotImplemented
    return recorder.reduction


class _Recorder:
    """Takes the place of dill's pickler and records the one reduction it receives."""

    def __init__(self) -> None:
        self.reduction: Reduction = NotImplemented

    def save_reduce(self, *parts: Any, obj: Any = None, **named: Any) -> None:
        if self.reduction is not NotImplemented or named:
            message = "more than one step"
            raise pickle.PicklingError(message)
        self.reduction = parts


class Raw:
    """Large bytes at the top level of a namespace: out of band."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data


def reduce_raw(_packer: PackerView, obj: Raw) -> Reduction:
    """As a buffer."""
    return bytes, (pickle.PickleBuffer(obj.data),)


def with_raw_state(reduction: Reduction) -> Reduction:
    """Large bytes as state, such as a polars frame's: out of band."""
    state = reduction[2] if isinstance(reduction, tuple) and len(reduction) > 2 else None
    if type(state) is bytes and len(state) >= OUT_OF_BAND:
        return (*reduction[:2], Raw(state), *reduction[3:])
    return reduction


def sets_its_state(kind: type) -> bool:
    """Whether setting an object's state runs user code, which may need values that are not loaded yet."""
    own: Any = kind
    asks = own.__getattribute__ is not object.__getattribute__ or hasattr(own, "__getattr__")
    if not (asks or own.__setattr__ is not object.__setattr__ or hasattr(own, "__setstate__")):
        return False  # nearly all
    setter = rebuild.of_type(kind, "__setstate__")
    if setter is not None:
        return isinstance(setter, types.FunctionType) and find_module(str(setter.__module__)) is None
    slotted: Any = copyreg
    refuses = isinstance(rebuild.of_type(kind, "__setattr__"), types.FunctionType) and slotted._slotnames(kind)  # noqa: SLF001 - pickle's
    hooks = [rebuild.of_type(kind, name) for name in ("__getattr__", "__getattribute__")]
    asks = any(isinstance(hook, types.FunctionType) for hook in hooks)
    return bool(refuses) or (asks and _fails_when_blank(kind))


def _fails_when_blank(kind: type) -> bool:
    """Whether ``__getattr__`` fails on a blank object: loading calls it for ``__setstate__``."""
    try:
        return getattr(object.__new__(kind), "__setstate__", None) is not None
    except Exception:  # noqa: BLE001 - of the user's; RecursionError above all
        return True


def with_setter(reduction: Reduction) -> Reduction:
    """A reduction whose state is set by `rebuild.set_state`, which can wait for other values."""
    if not isinstance(reduction, tuple) or len(reduction) < 3 or reduction[2] is None or len(reduction) == 6:
        return reduction
    return (*(*reduction, None, None)[:5], rebuild.set_state)


def knows_no_attributes(kind: type) -> bool:
    """Whether an instance's attributes can only come from the notebook's class and its reduction omits them.

    For example a subclass of numpy's array: the type pickles without attributes.
    """
    for name in ("__reduce_ex__", "__reduce__", "__getstate__"):
        owner = next((base for base in kind.__mro__ if name in vars(base)), object)
        if not importable(owner):
            return False
    known = (base for base in kind.__mro__ if importable(base))
    return all(base is collections.Counter or not base.__dictoffset__ for base in known)


def with_own_attributes(obj: Any, reduction: Reduction) -> Reduction:
    """The reduction of a type that knows no attributes, and the instance's attributes."""
    if not isinstance(reduction, tuple) or len(reduction) == 6:
        return reduction
    function, args, state, *items = (*reduction, None, None, None)[:5]
    attributes = getattr(obj, "__dict__", None)
    if not attributes or any(_has(part, attributes) for part in (state, *(state if type(state) is tuple else ()))):
        return with_setter(reduction)
    return (function, args, (state, attributes), *items, rebuild.set_state_and_attributes)


def _has(state: object, attributes: dict[str, object]) -> bool:
    return isinstance(state, dict) and attributes.keys() <= state.keys()


TABLE: dict[type, Callable[[Any, Any], Reduction]] = {
    types.FunctionType: reduce_function,
    types.BuiltinFunctionType: reduce_builtin,
    types.CodeType: reduce_code,
    types.CellType: reduce_cell,
    types.ModuleType: reduce_module,
    types.MethodType: reduce_method,
    type(functools.lru_cache(len)): reduce_cached,
    rebuild.Scope: reduce_scope,
    Raw: reduce_raw,
}
