"""Apply the notebook's process-wide settings before each task, and revert them when another job comes.

Loaded libraries get them before the task starts, libraries loaded by its values before it runs, and libraries that the
cell imports at the moment they are loaded.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from burst_magic.errors import BurstError
from burst_magic.worker.child.isolation.import_hook import ImportHook
from burst_magic.worker.child.isolation.surroundings import Surroundings, is_special, set_filters

if TYPE_CHECKING:
    from burst_magic.payload.settings import Kind

_ENVIRONMENT, _WARNINGS = "environment", "warnings"  # without settings, their table is not imported
Setenv = tuple[tuple[str, str], ...]


def variables(settings: Mapping[str, Mapping[str, Any]]) -> tuple[Setenv, frozenset[str]]:
    """The notebook's environment variables: those to set, and the names of those to unset."""
    said = settings.get(_ENVIRONMENT, {})
    setenv = tuple((name, value) for name, value in said.items() if value is not None)
    return setenv, frozenset(name for name, value in said.items() if value is None)


class NotebookSettings:
    """Settings of the active job.

    Args:
        surroundings: its tasks' surroundings, which keep the warning filters.
        import_hook: reports libraries loaded during a task.
    """

    def __init__(self, surroundings: Surroundings, import_hook: ImportHook) -> None:
        self._surroundings = surroundings
        self._wanted: list[tuple[Kind, dict[str, Any]]] = []
        self._before: dict[str, dict[str, Any]] = {}  # by kind: the values before
        self._filters: _Filters | None = None
        self._zone = False
        self._modules = 0  # number of modules when the settings were last applied
        self._awaited: set[str] = set()  # modules with settings, or with warning categories in filters
        self.wanted = False  # the active job has settings besides its environment
        import_hook.of_any(self.arrived)

    def enter(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        """Revert the last job's settings; this job's are applied with its tasks. Its environment is already set."""
        self._take_back()
        zone = "TZ" in settings.get(_ENVIRONMENT, {})
        if zone or self._zone:
            time.tzset()
        self._zone = zone
        if settings.keys() - {_ENVIRONMENT}:
            self._want(settings)
        self.wanted = bool(self._wanted) or self._filters is not None

    def _want(self, settings: Mapping[str, Mapping[str, Any]]) -> None:
        from burst_magic.payload.settings import KINDS

        if _WARNINGS in settings:
            self._filters = _Filters(settings[_WARNINGS]["filters"], self._surroundings)
        chosen = [kind for kind in KINDS if kind.name in settings and kind.name != _WARNINGS]
        self._wanted = [(kind, dict(settings[kind.name])) for kind in chosen]
        self._awaited = {kind.module for kind in chosen} | (self._filters.modules if self._filters else set())

    def prepare(self) -> None:
        """Before a task, outside its context: reapply settings that earlier tasks changed."""
        self._make()

    def renew(self) -> None:
        """In the task's context: apply settings that live there, and all settings of modules loaded since."""
        for kind, state in self._wanted:
            if kind.in_context and kind.loaded():
                kind.write(kind.loaded(), state)
        if self._modules != len(sys.modules):
            self._make()

    def _make(self) -> None:
        self._modules = len(sys.modules)
        if self._filters is not None:
            self._filters.make()
        for kind, state in self._wanted:
            module = kind.loaded()
            if module is not None and not kind.in_context:
                self._set(kind, module, state)

    def arrived(self, module: ModuleType) -> None:
        """Apply a module's settings when a task loads it; other settings that the task has changed stay."""
        if module.__name__ not in self._awaited:
            return
        if self._filters is not None:
            self._filters.imported()
        for kind, state in self._wanted:
            if kind.module == module.__name__:
                self._set(kind, module, state)

    def _set(self, kind: Kind, module: ModuleType, state: dict[str, Any]) -> None:
        self._before[kind.name] = _write(kind, module, state) | self._before.get(kind.name, {})

    def _take_back(self) -> None:
        for kind, _ in self._wanted:
            module = kind.loaded()
            if module is not None and not kind.in_context:
                _write(kind, module, self._before.get(kind.name, {}))
        if self._filters is not None:
            self._filters.leave()
        self._filters, self._wanted, self._before, self._awaited = None, [], {}, set()


def _write(kind: Kind, module: Any, state: dict[str, Any]) -> dict[str, Any]:
    """Write the values that differ; returns the values before."""
    try:
        now = kind.read(module, state.keys())
        changes = {key: value for key, value in state.items() if now.get(key) != value}
        if changes:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # already shown in the notebook
                kind.write(module, changes)
    except Exception as error:
        raise BurstError(f"the notebook's {kind.name} settings could not be applied on the worker: {error}") from error
    return {key: now.get(key) for key in changes}


class _Filters:
    """The notebook's warning filters, in order.

    Modules add filters when they are imported, which may be later on a worker than in the notebook. Filters that the
    notebook has too keep its order; others come first, as if a cell had imported their module in the notebook.
    """

    def __init__(self, said: list[list[Any]], surroundings: Surroundings) -> None:
        self._said, self._surroundings = said, surroundings
        self._before = list(warnings.filters)
        self._added: list[Any] = []  # by modules
        self._made: list[Any] = []
        self._wanted: list[Any] = []  # the notebook's filters whose category is loaded
        self._list: object = None  # warnings.filters itself; catch_warnings replaces it by another list
        self._loaded = 0
        self.modules = {home for _, _, home, *_ in said} - {"builtins"}
        self._add = vars(warnings)["_add_filter"]
        vars(warnings)["_add_filter"] = self._add_filter

    def make(self) -> None:
        """Apply the filters, unless they are in place."""
        from burst_magic.payload.settings import is_pythons

        self._list = warnings.filters
        if warnings.filters == self._made and self._loaded == len(sys.modules):
            return
        self._loaded = len(sys.modules)
        self._wanted = self._resolved()
        others = [one for one in (*self._added, *self._before) if is_special(one) and not is_pythons(one)]
        self._made = [*dict.fromkeys(one for one in others if one not in self._wanted), *self._wanted]
        self._surroundings.hold_filters(self._made)

    def imported(self) -> None:
        """Add filters whose category is in a module that a task has just imported."""
        known, self._wanted = self._wanted, self._resolved()
        for one in self._wanted:
            if one not in known:
                self._place(one)

    def leave(self) -> None:
        """Restore the filters from before, and keep those that modules added."""
        vars(warnings)["_add_filter"] = self._add
        rest = [one for one in self._before if one not in self._added]
        self._surroundings.hold_filters([*self._added, *rest])

    def _resolved(self) -> list[Any]:
        from burst_magic.payload.settings import made_filter

        return [one for one in map(made_filter, self._said) if one is not None]

    def _add_filter(self, *item: Any, append: bool) -> None:
        """Replacement for the function that ``warnings`` calls for every new filter."""
        if warnings.filters is self._list and _is_importing(sys._getframe(1)):  # noqa: SLF001 - the only way to find the caller
            self._added = [item, *(one for one in self._added if one != item)]
            if item in self._resolved():
                self._place(item)
                return
        self._add(*item, append=append)

    def _place(self, one: Any) -> None:
        """Insert a filter in the notebook's order, unless it is there."""
        filters = list(warnings.filters)
        if one not in filters:
            wanted = self._resolved()
            behind = wanted[wanted.index(one) + 1 :]
            at = next((place for place, other in enumerate(filters) if other in behind), len(filters))
            set_filters([*filters[:at], one, *filters[at:]])


def _is_importing(frame: FrameType | None) -> bool:
    """Whether the caller is a module being imported, not the cell."""
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") != "__main__"
