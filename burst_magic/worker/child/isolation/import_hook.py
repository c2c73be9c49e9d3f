"""Observes imports and notifies listeners when a module is loaded."""

from __future__ import annotations

import contextlib
import sys
from _thread import get_ident
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from burst_magic.worker.child.isolation.import_record import ImportRecord

if TYPE_CHECKING:
    from burst_magic.worker.child.isolation.prepared import PreparedModules

Told = Callable[[ModuleType], None]


class ImportHook:  # not an importlib.abc.MetaPathFinder: importing that takes 13 ms
    """Observes imports; one per process."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[Told]] = {}
        self._any: list[Told] = []
        self.record = ImportRecord()
        self.prepared: PreparedModules | None = None
        self.loading: Callable[[str, ModuleType], AbstractContextManager[None]] = lambda *_: contextlib.nullcontext()
        self._thread = get_ident()  # the thread that runs tasks
        self.under_way = 0  # nested imports and other activities that are not the task's own
        sys.meta_path.insert(0, self)

    def of(self, name: str, told: Told) -> None:
        """Call a listener once this module is loaded; immediately if it already is."""
        self._by_name.setdefault(name, []).append(told)
        module = sys.modules.get(name)
        if module is not None:
            told(module)

    def of_any(self, told: Told) -> None:
        """Call a listener for each module loaded from now on, after those that it imports."""
        self._any.append(told)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module through the other finders, with a loader that notifies listeners."""
        hidden = None if self.prepared is None else self.prepared.take(fullname)
        if hidden is not None:
            return hidden
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Telling(fullname, spec.loader, self)  # type: ignore[assignment] # a loader in all but name
                return spec
        return None

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Changes made inside are not attributed to the task."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def load(self, name: str, loader: Any, module: ModuleType) -> None:
        """Run a module's code and notify listeners; its ``__name__`` may differ (``_decimal`` has ``decimal``)."""
        mine = get_ident() == self._thread  # imports of other threads must not move this one's generators
        if not mine:
            with self.aside():
                self._load(name, loader, module)
            return
        with self.aside(), self.record.loading(name, module), self.loading(name, module):
            self._load(name, loader, module)

    def _load(self, name: str, loader: Any, module: ModuleType) -> None:
        loader.exec_module(module)
        module = sys.modules.get(name, module)
        for told in (*self._by_name.get(name, ()), *self._any):
            told(module)


class _Telling:
    """A loader that notifies listeners after loading, and leaves no trace of itself."""

    def __init__(self, name: str, loader: Any, import_hook: ImportHook) -> None:
        self._name, self._loader, self._import_hook = name, loader, import_hook

    def __getattr__(self, name: str) -> Any:
        """Other features of the original loader, such as code and resources."""
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._import_hook.load(self._name, self._loader, module)
