"""Restore process state that a task changed, before the next task.

Each comparison costs well under a microsecond. Context variables (decimal's precision, numpy's error state) need no
restoring: each task runs in a copy of the context (``execute.py``).
"""

from __future__ import annotations

import builtins
import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from burst_magic.payload.display import display
from burst_magic.worker.child.isolation.touched import Touched

_OS = vars(os)


class Surroundings:
    """A clean slot's folder, environment, module path, warning filters and the like."""

    def __init__(self, *, check_output: Callable[[], None]) -> None:
        os.environ.setdefault("MPLBACKEND", "Agg")  # a worker has no display
        builtins.input = _refuse_input
        builtins.display = display  # type: ignore[attr-defined] # as in IPython
        self._cwd = self._first_cwd = os.getcwd()
        self._first_environment = dict(os.environb)
        self._environment = dict(self._first_environment)
        self.variables = os.environ
        self._raw: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined] # noqa: SLF001 - 20 x faster
        self._first_path = list(sys.path)
        self._path = list(sys.path)
        self._filters = list(warnings.filters)
        self._touched = Touched(check_output, self._go_back, self._restore_environment)

    def enter(self, *, setenv: Iterable[tuple[str, str]], folder: str, bundle: str, unset: Iterable[str] = ()) -> None:
        """Switch to a job's environment, folder and local modules, instead of the previous job's."""
        self._cwd = folder if os.path.isdir(folder) else self._first_cwd
        gone = {os.fsencode(name) for name in unset}
        kept = {name: value for name, value in self._first_environment.items() if name not in gone}
        self._environment = kept | {os.fsencode(k): os.fsencode(v) for k, v in setenv}
        for entry in set(self._path) - set(self._first_path):
            _forget_modules(entry)
        self._path = [bundle, *self._first_path] if bundle else list(self._first_path)
        self._go_back()
        self._restore_environment()
        self.restore()

    def listen(self, number: int, handler: Callable[..., None]) -> None:
        """Make a signal handler part of the clean state, with all changes so far."""
        self._touched.listen(number, handler)

    def restore(self) -> bool:
        """Undo the last task's changes. Return False if something cannot be restored."""
        if _OS.get("environ") is not self.variables:
            os.environ = self.variables  # noqa: B003 - the original object
        if self._touched.undo:
            self._touched.restore()
        if sys.path != self._path:
            sys.path[:] = self._path
        if warnings.filters != self._filters:
            self._restore_filters()
        return not self._touched.spoiled

    def _go_back(self) -> None:
        with contextlib.suppress(OSError):  # a task removed the folder; other tasks may not need it
            self._touched.chdir(self._cwd)

    def hold_filters(self, filters: Iterable[tuple[Any, ...]]) -> None:
        """Set the warning filters, now and before each task."""
        self._filters = list(filters)
        set_filters(self._filters)

    def _restore_filters(self) -> None:
        """Keep special filters: modules add them only when they are first imported."""
        kept = [one for one in warnings.filters if one in self._filters or is_special(one)]
        self.hold_filters(kept + [one for one in self._filters if one not in kept])

    def _restore_environment(self) -> None:
        """Undo changes of variables; ``os.environ`` makes them with ``putenv`` and ``unsetenv``."""
        for name in set(self._raw) - set(self._environment):
            del os.environb[name]
        for name, value in self._environment.items():
            if self._raw.get(name) != value:
                os.environb[name] = value


def set_filters(filters: list[Any]) -> None:
    """Replace the warning filters."""
    warnings.resetwarnings()  # also clears decisions cached from the old ones
    warnings.filters[:] = filters  # type: ignore[index] # a list at run time


def is_special(one: tuple[Any, ...]) -> bool:
    """Whether a warning filter is of the kind that modules add when they are imported."""
    _, message, category, module, _ = one
    return bool(message or module) or category.__module__ != "builtins"


def _forget_modules(bundle: str) -> None:
    """Unload local modules of another job, since this job's may have the same names."""
    for name, module in list(sys.modules.items()):
        file: Any = getattr(module, "__file__", None)
        if isinstance(file, str) and file.startswith(bundle + os.sep):
            del sys.modules[name]
    sys.path_importer_cache.pop(bundle, None)


def _refuse_input(_prompt: object = "", /) -> NoReturn:
    raise RuntimeError("input() does not work on a worker")
