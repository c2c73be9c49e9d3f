"""The installed modules that a job's tasks loaded, for the slot's next process to load in advance."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType

from burst_magic.worker.channel.board import IMPORTED_BYTES


class ImportRecord:
    """Names of modules, each after those that it needs. Submodules that their package loads itself are left out.

    Local modules are not in it, nor libraries that the notebook doesn't mention: whether another job loads those (a
    method of pandas that draws, and so loads matplotlib) is not known before.
    """

    def __init__(self) -> None:
        self._names: dict[str, None] = {}
        self._loading: list[str] = []
        self._bundle = os.sep
        self._mentioned: frozenset[str] = frozenset()
        self._told = self._size = 0
        self.new = False  # names were added that no call of ``news`` has returned

    def enter(self, bundle: str, mentioned: Iterable[str]) -> None:
        """Set the folder of the active job's local modules, and the installed packages that it mentions."""
        self._bundle, self._mentioned = bundle + os.sep, frozenset(mentioned)

    @contextlib.contextmanager
    def loading(self, name: str, module: ModuleType) -> Iterator[None]:
        """Record a module once it is loaded."""
        if self._is_local(module):
            yield
            return
        self._loading.append(name)
        try:
            yield
            self.add(name)
        finally:
            self._loading.pop()

    def add(self, name: str, *, within: str = "") -> None:
        """Record a module, unless it is part of a package that is being loaded.

        Args:
            name: the module.
            within: the module whose import loaded it, if that is not under way.
        """
        first = (self._loading or [within or name])[0].partition(".")[0]
        known = first in sys.stdlib_module_names or first in self._mentioned
        fits = self._size + len(name) < IMPORTED_BYTES and name.isascii()  # names beyond are imported by tasks
        if known and fits and not any(name.startswith(f"{each}.") for each in self._loading):
            self.new = self.new or name not in self._names
            self._names[name] = None
            self._size += len(name) + 1

    def forget(self) -> None:
        """Start over."""
        self._names.clear()
        self._told, self._size, self.new = 0, 0, False

    def news(self) -> list[str]:
        """The names added since the last call."""
        found = list(self._names)[self._told :]
        self._told, self.new = len(self._names), False
        return found

    def _is_local(self, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        return isinstance(file, str) and self._bundle != os.sep and file.startswith(self._bundle)
