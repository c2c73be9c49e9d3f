"""Modules loaded in advance, while the slot is idle, and shown to tasks when these import them.

A task must not see whether a module was loaded before. So a module loaded in advance is in no table of Python's until
the task imports it: then it appears with what it needs, with the warning filters, import finders and variables that it
set, and its listeners are told. Each is loaded with all the others hidden, so that what it needs is known. A task that
imports one in surroundings that it has changed (a variable, the folder, the module path, a filter that raises) needs a
process that imports it itself, and starts again there.
"""

from __future__ import annotations

import builtins
import importlib
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any

from burst_magic.dataclass import dataclass
from burst_magic.worker.child.isolation import registrations
from burst_magic.worker.child.isolation.import_record import ImportRecord
from burst_magic.worker.child.isolation.offspring import children
from burst_magic.worker.child.isolation.surroundings import Surroundings, set_filters

Filter = tuple[Any, ...]
_WITHIN = frozenset({__name__, "burst_magic.worker.child.isolation.import_hook"})  # between an import and its check
_add_filter: Callable[..., None] = vars(warnings)["_add_filter"]
_ADD: CodeType = compile("add(*item, append=append)", "<filter>", "exec")


@dataclass(slots=True, eq=False)
class _Group:
    """A module loaded in advance, with the submodules that came with it.

    Attributes:
        roots: its name; with those of others if they need each other, so that each loads all.
        modules: by name.
        needs: groups that were shown while it was loaded.
        bound: (package, name in it, module) of those whose package is in another group, or in none.
        filters: warning filters that it added, each with whether it was appended.
        finders: import finders that it appended.
        variables: environment variables that it set.
        reducers: what it registered with ``copyreg``.
    """

    roots: list[str]
    modules: dict[str, ModuleType] = field(default_factory=dict)
    needs: list[_Group] = field(default_factory=list)
    bound: list[tuple[ModuleType, str, ModuleType]] = field(default_factory=list)
    filters: list[tuple[Filter, bool]] = field(default_factory=list)
    finders: list[Any] = field(default_factory=list)
    variables: dict[bytes, bytes] = field(default_factory=dict)
    reducers: registrations.Reducers = field(default_factory=dict)
    shown: bool = True


@dataclass(slots=True)
class _Clean:
    """What a task finds that has changed nothing.

    Attributes:
        sought: names that modules looked for when they were loaded, but that led to none.
        finders: import finders.
        filters: warning filters added by modules that were shown.
        variables: environment variables set by them.
    """

    sought: frozenset[str] = frozenset()
    finders: list[Any] = field(default_factory=list)
    hooks: list[Any] = field(default_factory=lambda: list(sys.path_hooks))
    filters: list[Filter] = field(default_factory=list)
    variables: dict[bytes, bytes] = field(default_factory=dict)

    def is_so(self) -> bool:
        """Whether imports find what they found."""
        return self.sought.isdisjoint(sys.modules) and (sys.meta_path, sys.path_hooks) == (self.finders, self.hooks)


class PreparedModules:
    """The modules loaded in advance in this process.

    Args:
        surroundings: of the tasks.
        record: notes what tasks import.
        spoiled: whether the running task has changed the process in a way that only a new one undoes.
        arrived: called for each module that a task's import shows.
        refuse: called when a task imports one in surroundings that it has changed; returns if it cannot start again.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        record: ImportRecord,
        *,
        spoiled: Callable[[], bool],
        arrived: Callable[[ModuleType], None],
        refuse: Callable[[], None],
    ) -> None:
        self._surroundings, self._record = surroundings, record
        self._spoiled, self._arrived, self._refuse = spoiled, arrived, refuse
        self._groups: dict[str, _Group] = {}  # by each of their modules
        self._making: _Group | None = None
        self._due: dict[str, None] = {}  # modules that are still to be loaded
        self._sought: set[str] = set()  # names looked for while loading, found or not
        self._clean = _Clean()

    def load(self, names: Iterable[str], unnoticed: Callable[[], bool]) -> Iterator[bool]:
        """Load modules in advance and hide them: True for each, False for the first that a task might notice.

        This process must not run tasks after that.

        Args:
            names: of the modules, each after those that it needs.
            unnoticed: called after each; whether there is nothing else that a task might notice.
        """
        before = _state()
        self._due = dict.fromkeys(names)
        for name in list(self._due):
            del self._due[name]
            if name not in self._groups and name not in sys.modules and not self._load(name):
                yield False
                return
            logging: Any = self._groups["logging"].modules["logging"] if "logging" in self._groups else None
            if _state() != before or (logging is not None and logging.root.handlers) or not unnoticed():
                yield False
                return
            missed = frozenset(self._sought - self._groups.keys() - sys.modules.keys())
            self._clean = _Clean(sought=missed, finders=list(sys.meta_path))
            yield True

    def take(self, name: str) -> ModuleSpec | None:
        """A spec that shows a hidden module; None if there is none of that name."""
        group = self._groups.get(name)
        if group is None:
            if self._making is not None:
                self._sought.add(name)
            return None
        if group.shown:  # the task has removed it from ``sys.modules``
            return None
        module = group.modules[name]
        loader: Any = _Shower(module, check=lambda: self._check(group, name), show=lambda: self._show_all(group, name))
        found, before = ModuleSpec(name, loader), module.__spec__
        if before is not None:  # a task may only look for the module
            found.origin, found.submodule_search_locations = before.origin, before.submodule_search_locations
            found.has_location, found.cached = before.has_location, before.cached
        return found

    def _check(self, group: _Group, name: str) -> None:
        """Start the task again elsewhere, unless the module is as if it was loaded now."""
        if self._making is not None:
            return
        right = (
            name in group.roots
            and self._clean.is_so()
            and not (self._surroundings.local and self._surroundings.local.intersection(_tops(self._sought)))
            and not any(each in sys.modules for one in _closure(group) if not one.shown for each in one.modules)
        )
        # Our own code imports between two tasks, when surroundings may still be the last one's.
        ours = _is_ours(sys._getframe(1))  # noqa: SLF001 - as traceback.walk_stack, which takes an import
        if not right or not (ours or self._is_clean()):
            self._refuse()

    def _is_clean(self) -> bool:
        return not self._spoiled() and self._surroundings.are_clean(self._clean.filters, self._clean.variables)

    # --- loading ---------------------------------------------------------------------------------------------

    def _load(self, name: str) -> bool:
        group = self._making = _Group([name])
        before, filters, finders = set(sys.modules), list(warnings.filters), list(sys.meta_path)
        variables, reducers = dict(self._surroundings.raw), registrations.reducers()
        held = vars(warnings)["_add_filter"]
        added: list[tuple[Filter, bool]] = []

        def add(*item: Any, append: bool) -> None:
            added.append((item, append))
            _add_filter(*item, append=append)  # not to the notebook's filters

        vars(warnings)["_add_filter"] = add
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001 - it did load for a task: something is different here
            return False
        finally:
            vars(warnings)["_add_filter"] = held
        given = [pair for need in group.needs for pair in need.filters]
        group.filters = [pair for pair in added if pair[0] in warnings.filters and pair not in given]
        known = [finder for need in group.needs for finder in need.finders]
        group.finders = [finder for finder in sys.meta_path if finder not in finders and finder not in known]
        now, others = self._surroundings.raw, _all_variables(group.needs)
        group.variables = {key: now[key] for key in now if now[key] not in {variables.get(key), others.get(key)}}
        theirs = {kind for need in group.needs for kind in need.reducers}
        registered = registrations.reducers()
        group.reducers = {kind: registered[kind] for kind in registered.keys() - reducers.keys() - theirs}
        right = sys.meta_path[: len(finders)] == finders and now.keys() >= variables.keys() and not children()
        right = right and all(registered.get(kind) is reducer for kind, reducer in reducers.items())
        new = [each for each in sys.modules if each not in before and each not in self._groups]
        self._making = None
        if not right or not self._surroundings.only_replayable() or not self._adopt(group, new):
            return False
        for one in (group, *reversed(group.needs)):
            self._hide(one)
        set_filters(filters)
        sys.meta_path[:] = finders
        return self._surroundings.restore()

    def _adopt(self, group: _Group, new: Iterable[str]) -> bool:
        """Take the new modules into a group; False if parts of something else are among them."""
        # One that completed later although this one needs it was being loaded then: each needs the other.
        group.roots += [name for name in new if name in self._due]
        others = {id(sys.modules[name]) for name in new if _is_within(name, group.roots)}
        for name in new:
            module: Any = sys.modules[name]
            if getattr(module, "__spec__", None) is None and not _is_within(name, group.roots):
                continue  # made by C code, for all modules of its kind
            own = _is_within(name, group.roots) or id(module) in others or _is_namespace_of(name, module, group.roots)
            if not own or not isinstance(module, ModuleType):
                return False
            group.modules[name] = module
            self._groups[name] = group
        return group.roots[0] in group.modules

    def _hide(self, group: _Group) -> None:
        group.bound.clear()
        for name, module in group.modules.items():
            parent, _, child = name.rpartition(".")
            owner = sys.modules.get(parent) if parent and parent not in group.modules else None
            if owner is not None and vars(owner).get(child) is module:
                group.bound.append((owner, child, module))
        for name in group.modules:
            del sys.modules[name]
        for owner, child, _ in group.bound:
            del vars(owner)[child]
        registrations.take_out(group.reducers)
        group.shown = False

    # --- showing ---------------------------------------------------------------------------------------------

    def _show_all(self, group: _Group, name: str) -> None:
        """Show a group with what it needs, and tell as if the import of ``name`` had loaded it."""
        shown: list[_Group] = []
        self._show(group, shown)
        if self._making is not None:
            self._making.needs += shown
            return
        for each in shown:
            for root in each.roots:
                self._record.add(root, within=name)
            for module in each.modules.values():
                self._arrived(module)

    def _show(self, group: _Group, shown: list[_Group]) -> None:
        for need in group.needs:
            if not need.shown:
                self._show(need, shown)
        group.shown = True
        sys.modules.update(group.modules)
        for owner, child, module in group.bound:
            vars(owner)[child] = module
        for item, append in group.filters:
            self._clean.filters.append(item)
            # In a frame like the module's own: the notebook's filters keep their order only among those of modules.
            frame = {"__name__": group.roots[0], "add": vars(warnings)["_add_filter"]}
            exec(_ADD, {**frame, "item": item, "append": append})  # noqa: S102
        registrations.put(group.reducers)
        new = [finder for finder in group.finders if finder not in sys.meta_path]
        sys.meta_path += new
        self._clean.finders += new
        self._clean.variables.update(group.variables)
        self._surroundings.set_variables(group.variables)
        shown.append(group)


class _Shower:
    """A loader of a module that is there; it leaves no trace of itself."""

    def __init__(self, module: ModuleType, *, check: Callable[[], None], show: Callable[[], None]) -> None:
        self._module, self._spec, self._check, self._show = module, module.__spec__, check, show

    def __getattr__(self, name: str) -> Any:
        """Other features of the original loader, such as code and resources."""
        return getattr(getattr(self._spec, "loader", None), name)

    def create_module(self, _: ModuleSpec) -> ModuleType:
        self._check()
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec
        self._show()  # not when it is found: Python would take the spec of a module that is in its table by then


def _closure(group: _Group) -> Iterator[_Group]:
    yield group
    yield from group.needs  # with what they need


def _tops(names: Iterable[str]) -> Iterator[str]:
    return (name.partition(".")[0] for name in names)


def _is_within(name: str, packages: Iterable[str]) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in packages)


def _is_namespace_of(name: str, module: Any, roots: Iterable[str]) -> bool:
    """Whether it is a package without code of its own, and so not recorded."""
    return getattr(module, "__file__", None) is None and any(each.startswith(f"{name}.") for each in roots)


def _all_variables(groups: Iterable[_Group]) -> dict[bytes, bytes]:
    return {key: value for group in groups for key, value in group.variables.items()}


def _is_ours(frame: Any) -> bool:
    """Whether the innermost code that imports is burst_magic's own."""
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        if name.partition(".")[0] != "importlib" and name not in _WITHIN:
            return name.startswith("burst_magic.")
        frame = frame.f_back
    return False


def _state() -> tuple[Any, ...]:
    """What importing should leave alone, and what could not be hidden."""
    hooks = sys.excepthook, sys.displayhook, sys.unraisablehook, sys.stdout, sys.stderr
    return (*hooks, list(sys.argv), list(sys.path_hooks), dict(vars(builtins)), *registrations.lasting())
