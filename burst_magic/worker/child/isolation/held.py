"""Undo what tasks set in objects that installed modules hold: ``json.JSONEncoder.default``, ``sys.meta_path``.

The code says where to look (`payload.mutations`), each task's end shows whether something is different. Attributes and
the contents of containers are put back; where that is not possible, each task gets a process of its own. What code
sets in another way, such as by a function of a library, is not seen here: see `libraries`. A method counts only where
its object is a container: ``scipy.stats.norm.fit(x)`` sets nothing.
"""

from __future__ import annotations

import collections
import contextlib
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, MutableSet
from typing import Any, TypeGuard

from burst_magic.payload.mutations import ANY, Mutation, Reach, mutations_by_functions, mutations_of
from burst_magic.worker.child.isolation.surroundings import packages_in

# Restored after each task anyway, or by a runner of its own.
_RESTORED = frozenset({
    ("os", "environ"), ("sys", "path"), ("warnings", "filters"), ("matplotlib", "rcParams"),
    ("matplotlib.pyplot", "rcParams"),
})  # fmt: skip
_COPIED = (list, dict, set, bytearray, collections.deque)
_CONTAINERS = (MutableMapping, MutableSequence, MutableSet)
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_MISSING = object()
_learnt: dict[str, tuple[weakref.ref[types.ModuleType], frozenset[Mutation]]] = {}  # by name of a local module
_names_of: Callable[[types.ModuleType], dict[str, Any]] = vars(types.ModuleType)["__dict__"].__get__


class HeldObjects:
    """Restores the objects that a program's code changes in installed modules.

    Args:
        codes: of the cell and of the notebook's functions; local modules are added when they are loaded.
        home: the notebook's names and values.
        bundle: the folder of local modules, or "": what is in these has a check of its own.
    """

    def __init__(self, codes: Iterable[types.CodeType], home: Mapping[str, Any], bundle: str) -> None:
        self._local = frozenset(packages_in(bundle))
        self._looks: list[Callable[[], None]] = []  # each undoes what the last task may have changed
        self.irreversible = False  # code changes something that cannot be put back
        found = {mutation for code in codes for mutation in mutations_of(code)}
        names = {mutation.owner.name for mutation in found} & home.keys()
        held = {name: (home[name], module) for name in names if (module := _home_of(home[name], name))}
        self._roots: dict[str, tuple[Any, str]] = held
        self._pending = {mutation for mutation in found if mutation.owner.module or mutation.owner.name in held}
        self._read: set[str] = set()  # local modules
        for module in list(sys.modules) if self._local else ():
            self._add_local(module)
        self._resolve()

    @property
    def any(self) -> bool:
        """Whether tasks may change anything."""
        return bool(self._local or self._looks or self._pending or self.irreversible)

    def restore(self) -> None:
        """Undo what the last task changed."""
        for look in self._looks:
            look()

    def arrived(self, module: str) -> None:
        """Look again for what wasn't there, since this module was loaded, and those that it needs."""
        if self._local and _top(module) in self._local:
            self._add_local(module)
            self._resolve()
        elif self._pending:
            self._resolve(module)

    def _add_local(self, module: str) -> None:
        """Add what the functions of a local module change in modules that it imports."""
        if _top(module) in self._local and module not in self._read:
            self._read.add(module)
            self._pending.update(_set_by(module))

    def _resolve(self, just: str = "") -> None:
        for mutation in list(self._pending):
            if just and _top(just) != _top(mutation.owner.module or self._roots[mutation.owner.name][1]):
                continue
            owner, module = self._owner(mutation.owner, just)
            if owner is _MISSING:
                continue
            self._pending.discard(mutation)
            if _top(module) not in self._local and not _is_restored(owner, module, mutation):
                self._note(owner, mutation)

    def _owner(self, reach: Reach, just: str) -> tuple[Any, str]:
        """The object, if it is there with all that its module sets, and the module that holds it.

        Args:
            reach: how the code reaches it.
            just: the module that has just been loaded, or "".
        """
        if reach.module:
            value, module = sys.modules.get(reach.module, _MISSING), reach.module
        else:
            value, module = self._roots[reach.name]
        for name in ("", *reach.attributes):
            value = _part(value, name) if name else value
            if _is_module(value) and value.__name__ != just and _is_being_loaded(value):
                return _MISSING, module
        return value, module

    def _note(self, owner: Any, mutation: Mutation) -> None:
        if mutation.attribute == ANY:
            self._looks.append(_attributes(owner))
        elif mutation.attribute:
            self._looks.append(_attribute(owner, mutation.attribute))
        elif isinstance(owner, _COPIED) and owner is not sys.modules:
            self._looks.append(_contents(owner))
        elif mutation.by_method and not issubclass(type(owner), _CONTAINERS):
            return
        elif not isinstance(owner, (types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType)):
            self.irreversible = True


def learn_local(bundle: str) -> None:
    """Read the local modules that are loaded, for all processes that are forked from this one."""
    local = frozenset(packages_in(bundle))
    for module in list(sys.modules) if local else ():
        if _top(module) in local:
            _set_by(module)


def _set_by(module: str) -> frozenset[Mutation]:
    """What the functions of a local module set in other modules; read once."""
    there, (known, found) = sys.modules.get(module), _learnt.get(module, (None, frozenset()))
    if not _is_module(there) or (known is not None and known() is there):
        return found
    code = None
    with contextlib.suppress(Exception):  # other loaders have no code
        loader: Any = there.__spec__ and there.__spec__.loader
        code = loader.get_code(module)
    if code is not None:
        found = mutations_by_functions(code)
    _learnt[module] = weakref.ref(there), found
    return found


def _is_module(value: Any) -> TypeGuard[types.ModuleType]:
    """Not by ``isinstance``: libraries of cffi in ``sys.modules`` say that they are modules."""
    return issubclass(type(value), types.ModuleType)


def _top(module: str) -> str:
    return module.partition(".")[0]


def _is_being_loaded(module: types.ModuleType) -> bool:
    return bool(getattr(_names_of(module).get("__spec__"), "_initializing", False))


def _part(value: Any, name: str) -> Any:
    if not _is_module(value):
        return _read(value, name)
    found = _names_of(value).get(name, _MISSING)  # not through the module: a lazy one would load itself
    return sys.modules.get(f"{value.__name__}.{name}", _MISSING) if found is _MISSING else found


def _read(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, _MISSING)
    except Exception:  # noqa: BLE001 - a property may be user code
        return _MISSING


def _home_of(value: Any, name: str) -> str:
    """The module that a captured value belongs to, or "" if that is the notebook."""
    if _is_module(value):
        found = _read(value, "__name__")
    elif isinstance(value, (type, types.FunctionType)):
        found = _read(value, "__module__")  # types that ``exec`` made may lack it
    else:
        loaded: list[Any] = list(sys.modules.values())
        modules = (module for module in loaded if _is_module(module))
        found = next((module.__name__ for module in modules if _names_of(module).get(name) is value), "")
    return found if isinstance(found, str) and found != "__main__" else ""


def _is_restored(owner: Any, module: str, mutation: Mutation) -> bool:
    """Whether that is done elsewhere; ``from os import environ`` gives such an object another name."""
    if (module, *mutation.owner.attributes[:1]) in _RESTORED:
        return True
    return any(home in sys.modules and _part(sys.modules[home], name) is owner for home, name in _RESTORED)


def _attribute(owner: Any, name: str) -> Callable[[], None]:
    before = _value(owner, name)

    def look() -> None:
        now = _value(owner, name)
        if now is before or (type(now) is type(before) and isinstance(now, _PLAIN) and now == before):
            return
        if before is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, before)

    return look


def _attributes(owner: Any) -> Callable[[], None]:
    """All that it has of its own, where the name is not known in advance."""
    before = dict(_own(owner))

    def look() -> None:
        now = _own(owner)
        for name in [name for name in {**before, **now} if now.get(name, _MISSING) is not before.get(name, _MISSING)]:
            if name in before:
                setattr(owner, name, before[name])
            else:
                delattr(owner, name)

    return look


def _own(owner: Any) -> Mapping[str, Any]:
    """Its attributes; none where it has no room for any, and a class defines them all."""
    found: Mapping[str, Any] = _names_of(owner) if _is_module(owner) else getattr(owner, "__dict__", {})
    return found


def _value(owner: Any, name: str) -> Any:
    if isinstance(owner, type):
        return vars(owner).get(name, _MISSING)
    if _is_module(owner):
        return _names_of(owner).get(name, _MISSING)
    return _read(owner, name)


def _contents(owner: Any) -> Callable[[], None]:
    """Containers keep their identity: the module's own code may have them under other names."""
    before = list(owner.items()) if isinstance(owner, dict) else list(owner)

    def look() -> None:
        now = list(owner.items()) if isinstance(owner, dict) else list(owner)
        if len(now) == len(before) and all(map(_same, now, before)):
            return
        owner.clear()
        owner.update(before) if isinstance(owner, (dict, set)) else owner.extend(before)

    return look


def _same(one: Any, other: Any) -> bool:
    """By identity, the parts of a dict's items, too: an ``__eq__`` may be user code."""
    if type(one) is tuple and type(other) is tuple and len(one) == len(other):
        return all(a is b for a, b in zip(one, other, strict=True))
    return one is other or (type(one) is type(other) and isinstance(one, _PLAIN) and one == other)
