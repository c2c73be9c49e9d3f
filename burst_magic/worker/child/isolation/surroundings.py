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
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
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
        self.raw: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined] # noqa: SLF001 - 20 x faster
        self.local: frozenset[str] = frozenset()  # top-level names of the active job's local modules
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
        self.local = frozenset(packages_in(bundle))
        self._go_back()
        self._restore_environment()
        self.restore()

    def listen(self, number: int, handler: Callable[..., None]) -> None:
        """Make a signal handler part of the clean state, with all changes so far."""
        self._touched.listen(number, handler)

    def accept(self) -> None:
        """The changes so far are not the task's (see ``only_replayable``); they are undone after it all the same."""
        self._touched.accept()

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

    def are_clean(self, filters: Container[tuple[Any, ...]], variables: Mapping[bytes, bytes]) -> bool:
        """Whether a module imported now finds what it would find at the start of a task.

        Args:
            filters: warning filters that modules added meanwhile.
            variables: environment variables that modules set meanwhile.
        """
        clean, now = self._environment, warnings.filters
        return (
            _OS.get("environ") is self.variables
            and self.raw.keys() >= clean.keys()
            and all(value in {clean.get(name), variables.get(name)} for name, value in self.raw.items())
            and self.only_replayable()
            and sys.argv == [""]
            and all(one in now for one in self._filters)
            and all(one[0] == "ignore" or one in self._filters or one in filters for one in now)
        )

    def set_variables(self, variables: Mapping[bytes, bytes]) -> None:
        """Set environment variables, as a task would."""
        for name, value in variables.items():
            os.environb[name] = value

    def only_replayable(self) -> bool:
        """Whether nothing was changed but the environment; opened files and ended processes don't count."""
        return sys.path == self._path and not self._touched.beyond_environment

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
        for name in set(self.raw) - set(self._environment):
            del os.environb[name]
        for name, value in self._environment.items():
            if self.raw.get(name) != value:
                os.environb[name] = value


def packages_in(bundle: str) -> Iterator[str]:
    """Top-level names of the modules in a folder."""
    with contextlib.suppress(OSError):
        yield from (entry.partition(".")[0] for entry in (os.listdir(bundle) if bundle else ()))


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
