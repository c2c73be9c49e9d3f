"""Functions that a stream calls during loading, to rebuild functions, classes, cells and references.

Streams name these functions, so a rename is a format change. Everything that belongs to "the notebook" is looked up in,
or gets as its globals, the `home` dict of the current load in this thread.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import importlib
import marshal
import sys
import threading
import types
import typing
import weakref
from typing import TYPE_CHECKING, Any

from burst_magic.dataclass import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Home = dict[str, object]


class _Here(threading.local):
    """The current load in this thread."""

    home: Home | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """An object whose state could not be set yet, because it needs later values; with the exception raised."""

    made: object
    state: object
    error: Exception


here = _Here()
late: dict[int, list[Late]] = {}  # by thread; nearly always empty, which is faster to check than a thread-local


class Tracker:
    """Keeps the identity of classes without a unique name (defined in a function, or redefined) across processes.

    A class gets an id in the process that first packs it. There the id always refers to that class; elsewhere it refers
    to the copy loaded last, so that items find the payload's class.
    """

    def __init__(self) -> None:
        # By identity: a metaclass may define __eq__ and __hash__.
        self._ids: dict[int, tuple[weakref.ref[type], str]] = {}
        self._own: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()
        self._copies: weakref.WeakValueDictionary[str, type] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()

    def id_of(self, cls: type, new: Callable[[], str]) -> str:
        """The id of a class; `new` assigns one if it has none."""
        with self._lock:
            reference, known = self._ids.get(id(cls), (None, ""))
            if reference is None or reference() is not cls:
                known = new()
                self._note(cls, known)
                self._own[known] = cls
            return known

    def find(self, ident: str) -> type | None:
        """The class with this id, if this process has it."""
        own = self._own.get(ident)
        return self._copies.get(ident) if own is None else own

    def loaded(self, ident: str, cls: type) -> None:
        """Record a copy, unless the class is this process's own."""
        if ident and ident not in self._own:
            self._note(cls, ident)
            self._copies[ident] = cls

    def _note(self, cls: type, ident: str) -> None:
        key = id(cls)
        self._ids[key] = (weakref.ref(cls, lambda _: self._ids.pop(key, None)), ident)


tracker = Tracker()

# What the client brought to this process: id -> object. Only these may be named in a result, because only these does
# the client have too. Identity, not equality: a metaclass may define __eq__.
_arrived: dict[int, weakref.ref[Any]] = {}


_aliases: dict[str, object] = {}  # the same for objects without weak references: the latest of each name


def arrive(name: str, value: object) -> None:
    """Record that the client knows this function, class or alias by its name."""
    key = id(value)
    try:
        _arrived[key] = weakref.ref(value, lambda _: _arrived.pop(key, None))
    except TypeError:
        if type(value).__module__ == "typing":  # otherwise a different callable, which is never sent as a name
            _aliases[name] = value


def has_arrived(value: object) -> bool:
    """True for objects from the client."""
    found = _arrived.get(id(value))
    return (found is not None and found() is value) or any(value is alias for alias in _aliases.values())


def _home() -> Home:
    return {} if here.home is None else here.home


# The code of a payload that is loaded anew for each task is the same object each time: it keeps what the interpreter
# specialised.
@functools.lru_cache(maxsize=4096)
def code(data: bytes) -> types.CodeType:
    """A code object."""
    made: types.CodeType = marshal.loads(data)
    return made


def cell() -> types.CellType:
    """An empty cell, filled by its owner."""
    return types.CellType()


def fill_cell(empty: types.CellType, contents: tuple[object]) -> None:
    """Set the contents of a cell that is sent on its own."""
    empty.cell_contents = contents[0]


def function(
    body: types.CodeType, scope: str | Scope | None, cells: tuple[types.CellType, ...] | None = None
) -> types.FunctionType:
    """A function whose globals are the notebook (None), a module (its name) or a separate scope."""
    made = types.FunctionType(body, _globals(scope), closure=cells)
    made.__module__ = "__main__" if scope is None else made.__module__
    return made


def fill_function(made: types.FunctionType, state: dict[str, Any]) -> None:
    """Second step: set everything that may refer to the function itself."""
    needs = state.pop("needs", None)
    if needs:
        made.__globals__.update(needs)
    for box, contents in state.pop("cells", ()):
        box.cell_contents = contents
    for name, value in state.items():
        setattr(made, name, value)


def of_type(kind: type, name: str) -> Any:
    """A type's special attribute, without asking the object or a metaclass; None if it has none."""
    return next((vars(base)[name] for base in type.mro(kind) if base is not object and name in vars(base)), None)


def set_state(made: object, state: object) -> None:
    """Set an object's state; if it needs something not loaded yet, retry at the end."""
    try:
        _set_state(made, state)
    except Exception as error:  # noqa: BLE001 - of the class; raised in the end where nothing helps
        late.setdefault(threading.get_ident(), []).append(Late(made=made, state=state, error=error))


def _set_state(made: object, state: Any) -> None:
    if of_type(type(made), "__setstate__") is not None:
        type(made).__setstate__(made, state)  # type: ignore[attr-defined] # it was found
        return
    attributes, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
    if attributes:
        object.__getattribute__(made, "__dict__").update(attributes)
    for name, value in (slots or {}).items():
        object.__setattr__(made, name, value)  # a user's ``__setattr__`` may refuse, or have side effects


def set_state_and_attributes(made: object, state: tuple[object, dict[str, object]]) -> None:
    """Set the type's own state, and the attributes of a subclass."""
    own, attributes = state
    if own is not None:
        set_state(made, own)
    object.__getattribute__(made, "__dict__").update(attributes)


def set_late_states() -> None:
    """Retry as long as that helps.

    Raises:
        Exception: the last error of the first state that cannot be set.
    """
    while waiting := late.pop(threading.get_ident(), None):
        for one in waiting:
            set_state(one.made, one.state)
        still = late.get(threading.get_ident())
        if still and len(still) == len(waiting):
            raise still[0].error


class Scope:
    """Globals of neither the notebook nor a module."""

    __slots__ = ("names",)

    def __init__(self) -> None:
        self.names: dict[str, object] = {}


def _globals(scope: str | Scope | None) -> dict[str, Any]:
    if scope is None:
        return _home()
    if isinstance(scope, str):
        return vars(module(scope))
    scope.names.setdefault("__builtins__", vars(builtins))
    return scope.names


def module(name: str, submodules: Iterable[str] = ()) -> types.ModuleType:
    """Import by name, with the submodules that the code accesses through it."""
    for sub in submodules:
        importlib.import_module(sub)
    found = sys.modules.get(name)
    return importlib.import_module(name) if found is None else found


def attribute(name: str, *path: str) -> object:
    """An attribute of a module, by path."""
    found: Any = module(name)
    for part in path:
        found = getattr(found, part)
    return found


def named(*path: str) -> object:
    """An object of the notebook, by name."""
    try:
        found = _home()[path[0]]
    except KeyError:
        text = f"name {path[0]!r} is not defined in the notebook (any more)"
        raise NameError(text, name=path[0]) from None
    for part in path[1:]:
        found = getattr(found, part)
    return found


def method(func: Callable[..., object], owner: object) -> types.MethodType:
    """A bound method."""
    return types.MethodType(func, owner)


def cached(maxsize: int | None, typed: bool, func: Callable[..., object]) -> object:  # noqa: FBT001 - positional in the stream
    """An `lru_cache` with an empty cache."""
    return functools.lru_cache(maxsize, typed)(func)


_STREAMS = ("stdout", "stderr", "stdin", "__stdout__", "__stderr__", "__stdin__")


def stream_name(obj: object) -> str:
    """The name of this stream in `sys`, or ""."""
    return next((name for name in _STREAMS if getattr(sys, name, None) is obj), "")


def stream(name: str) -> object:
    """The process's own stream of that name: output goes to the task."""
    return getattr(sys, name)


def view(data: Any, form: str, shape: tuple[int, ...], readonly: bool) -> memoryview:  # noqa: FBT001 - in the stream
    """A memoryview."""
    made = memoryview(data).cast("B")
    if (form, shape) != ("B", (made.nbytes,)):
        made = made.cast(form, shape)  # type: ignore[call-overload] # any format
    return made.toreadonly() if readonly else made


def display_function(name: str = "display") -> object:
    """``display``, or another of IPython's functions, without IPython."""
    from burst_magic.payload.display import FUNCTIONS

    return FUNCTIONS[name]


def comparison_key(compare: Any, *keyed: object) -> object:
    """A key function of `functools.cmp_to_key`, or one of its keys."""
    made: Any = functools.cmp_to_key(compare)
    return made(*keyed) if keyed else made


def context_variable(name: str, *value: object) -> object:
    """A context variable; its default is its value in the notebook."""
    import contextvars

    return contextvars.ContextVar(name, default=value[0]) if value else contextvars.ContextVar(name)


class _Gone:
    def method(self) -> None:
        """A method of an object that is not kept."""


def weak_reference(target: Any) -> object:
    """A `weakref.ref`; None for a dead one.

    Its callback keeps the object alive: its owner in the notebook may not have been sent.
    """
    return weakref.ref(_Gone() if target is None else target, functools.partial(_forget, target))


def weak_proxy(target: Any, is_callable: bool) -> object:  # noqa: FBT001 - positional in the stream
    """The same for a `weakref.proxy`, which has a separate type for callables."""
    gone = _Gone().method if is_callable else _Gone()
    return weakref.proxy(gone if target is None else target, functools.partial(_forget, target))


def weak_container(kind: Callable[[Any], Any], content: Any) -> object:
    """The same for a `weakref.WeakSet` and its like."""
    made = kind(content)
    vars(made)["_alive"] = content
    return made


def _forget(_target: object, _reference: object) -> None:
    """Called when both are gone."""


def member(owner: type, name: str) -> object:
    """A descriptor, as stored in its class."""
    return vars(owner)[name]


def weak_method(target: Any) -> object:
    """The same for a `weakref.WeakMethod`."""
    return weakref.WeakMethod(_Gone().method if target is None else target, functools.partial(_forget, target))


def scanner(parts: dict[str, object]) -> object:
    """The C part of a `json.JSONDecoder`."""
    from json import scanner

    return scanner.make_scanner(types.SimpleNamespace(**parts, memo={}))  # type: ignore[arg-type,attr-defined,unused-ignore]


def class_dict(cls: type) -> object:
    """``vars(cls)``."""
    return vars(cls)


def lock() -> object:
    """A free lock: its holder is in another process."""
    return threading.Lock()


def rlock() -> object:
    """A free re-entrant lock."""
    return threading.RLock()


def plain_module(name: str) -> types.ModuleType:
    """A module created by hand."""
    return types.ModuleType(name)


def fill_module(made: types.ModuleType, state: dict[str, object]) -> None:
    """Its contents."""
    vars(made).update(state)


def type_variable(
    kind: Any, name: str, constraints: tuple[object, ...], options: dict[str, object], owner: str
) -> object:
    """A TypeVar, ParamSpec or TypeVarTuple."""
    made = kind(name, *constraints, **options)
    with contextlib.suppress(AttributeError):  # it takes its caller's by itself; ours is not the one to be seen
        made.__module__ = owner
    return made


def new_type(name: str, base: Any, owner: str) -> object:
    """A NewType."""
    made: Any = typing.NewType(name, base)  # type: ignore[misc] # mypy wants literals
    made.__module__ = owner
    return made


def type_alias(name: str, value: object, parameters: tuple[object, ...]) -> object:
    """The result of a ``type`` statement."""
    return typing.TypeAliasType(name, value, type_params=parameters)  # type: ignore[attr-defined] # 3.12


def lazy_type_alias(name: str, owner: str, parameters: tuple[str, ...], scope: Scope) -> Any:
    """The result of a ``type`` statement, first step: its value, which may refer to it, is set later."""
    brackets = f"[{', '.join(parameters)}]" if parameters else ""
    contents: dict[str, Any] = scope.names
    space: dict[str, Any] = {
        "__name__": owner,
        "_value_": lambda: contents["value"],
        "_of_": lambda parameter, place: contents[f"of {parameter}"][place],
    }
    exec(f"type {name}{brackets} = _value_()", space)  # noqa: S102 - syntax of 3.12; both are names
    return space[name]


def lazy_type_variable(name: str, owner: str, declared: str, scope: Scope) -> object:
    """The type parameter of ``class A[T: A]``, first step: its limits are set later."""
    return type_parameter(lazy_type_alias(f"Of{name}", owner, (declared,), scope), 0)


def fill_scope(_made: object, state: tuple[Scope, dict[str, object]]) -> None:
    """Second step: set the value of an alias and the limits of type parameters."""
    scope, contents = state
    scope.names.update(contents)


def type_parameter(alias: Any, place: int) -> object:
    """A parameter of an alias."""
    return alias.__type_params__[place]


def cached_property(func: Callable[[Any], object], name: str | None, doc: str | None) -> object:
    """A `functools.cached_property`."""
    made = functools.cached_property(func)
    made.attrname, made.__doc__ = name, doc
    return made
