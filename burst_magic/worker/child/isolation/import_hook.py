"""Observes imports and notifies listeners when a module is loaded."""

from __future__ import annotations

import contextlib
import sys
from _thread import get_ident
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Told = Callable[[ModuleType], None]


class ImportHook:  # not an importlib.abc.MetaPathFinder: importing that takes 13 ms
    """Looks on while modules are imported; one for each process."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[Told]] = {}
        self._any: list[Told] = []
        self.loading: Callable[[str, ModuleType], AbstractContextManager[None]] = lambda *_: contextlib.nullcontext()
        self._thread = get_ident()  # that runs tasks
        self.under_way = 0  # modules that are being loaded, and what else is no doing of a task's
        sys.meta_path.insert(0, self)

    def of(self, name: str, told: Told) -> None:
        """Tells when this module is there: at once if it is."""
        self._by_name.setdefault(name, []).append(told)
        module = sys.modules.get(name)
        if module is not None:
            told(module)

    def of_any(self, told: Told) -> None:
        """Tells of each that is loaded from now on, its parts first."""
        self._any.append(told)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the other finders find, with a loader that tells."""
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Telling(fullname, spec.loader, self)  # type: ignore[assignment] # a loader in all but name
                return spec
        return None

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Changes made inside are not the task's."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def load(self, name: str, loader: Any, module: ModuleType) -> None:
        """Runs a module's code, and tells; its own name may be another one's (``_decimal`` says ``decimal``)."""
        mine = get_ident() == self._thread  # what another thread loads meanwhile is not to move this one's generators
        with self.aside(), self.loading(name, module) if mine else contextlib.nullcontext():
            self._load(name, loader, module)

    def _load(self, name: str, loader: Any, module: ModuleType) -> None:
        loader.exec_module(module)
        module = sys.modules.get(name, module)
        for told in (*self._by_name.get(name, ()), *self._any):
            told(module)


class _Telling:
    """A loader that tells after loading, and then leaves no trace of itself."""

    def __init__(self, name: str, loader: Any, import_hook: ImportHook) -> None:
        self._name, self._loader, self._import_hook = name, loader, import_hook

    def __getattr__(self, name: str) -> Any:
        """What else a loader can do: give the code, or a file beside it."""
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._import_hook.load(self._name, self._loader, module)
