"""What tasks change of the process through libraries: put back where that is plain, else the process goes.

A library is looked at from the moment on that somebody has loaded it. Calls that change the state of the process are
watched, not looked for after each task.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from burst_magic.worker.arrivals import Arrivals

# Calls after which a process is not what it was. Of a class the method is watched, for all its instances.
_CALLS = {
    "asyncio": ("set_event_loop_policy",),
    "codecs": ("register", "register_error"),
    "copyreg": ("pickle", "constructor"),
    "faulthandler": ("disable", "enable", "register"),
    "locale": ("setlocale",),
    "logging": ("Logger.addHandler", "Logger.removeHandler", "Logger.addFilter", "Logger.removeFilter",
                "Logger.setLevel", "Handler.setLevel", "Handler.setFormatter", "addLevelName", "disable",
                "setLogRecordFactory", "setLoggerClass"),
    "mimetypes": ("add_type",),
    "multiprocessing": ("set_start_method",),
    "numexpr": ("set_num_threads",),
    "polars": ("Config.load", "Config.restore_defaults"),
    "sklearn": ("set_config",),
    "socket": ("setdefaulttimeout",),
    "sys": ("setprofile", "settrace", "set_int_max_str_digits"),
    "threading": ("setprofile", "settrace", "stack_size"),
    "torch": ("set_default_dtype", "set_default_device", "set_num_threads", "set_grad_enabled", "set_printoptions",
              "use_deterministic_algorithms", "set_float32_matmul_precision"),
    "tracemalloc": ("start", "stop"),
    "xarray": ("set_options",),
}  # fmt: skip
_OLD_NUMPY = ("set_printoptions", "seterr", "seterrcall", "setbufsize", "set_string_function")  # of the process


class Libraries:
    """Looks after what libraries keep for the whole process.

    Args:
        arrivals: tells which are there.
        spoil: called when a task did what only a new process is rid of.
    """

    def __init__(self, arrivals: Arrivals, spoil: Callable[[], None]) -> None:
        self._arrivals, self._spoil = arrivals, spoil
        self.looks: list[Callable[[], None]] = []  # put back what the last task changed and can be put back
        for name, paths in _CALLS.items():
            arrivals.of(name, functools.partial(self._watch_all, paths))
        arrivals.of("numpy", self._watch_numpy)
        arrivals.of("matplotlib", lambda module: self.looks.append(_rc_params(module)))
        arrivals.of("matplotlib._pylab_helpers", lambda module: self.looks.append(_figures(module)))
        arrivals.of("pandas", lambda _: self.looks.append(_options(sys.modules["pandas._config.config"])))

    def _watch_numpy(self, module: ModuleType) -> None:
        """It keeps these in context variables since 2.2, and each task has a context of its own."""
        version = tuple(int(part) for part in module.__version__.split(".")[:2] if part.isdigit())
        if version < (2, 2):
            self._watch_all(_OLD_NUMPY, module)

    def _watch_all(self, paths: Iterable[str], module: ModuleType) -> None:
        for path in paths:
            owner: Any = module
            *parents, name = path.split(".")
            for parent in parents:
                owner = getattr(owner, parent, None)
            original = getattr(owner, name, None)
            if callable(original):
                setattr(owner, name, self._watched(original))

    def _watched(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def watched(*args: Any, **options: Any) -> Any:
            if not self._arrivals.under_way:  # what a module does when it is loaded belongs to it
                self._spoil()
            return original(*args, **options)

        return watched


def _rc_params(module: Any) -> Callable[[], None]:
    """Matplotlib's settings; its backend is chosen at the first picture."""
    settings = module.rcParams
    before = {name: value for name, value in dict.items(settings) if not name.startswith("backend")}

    def look() -> None:
        if any(dict.get(settings, name) is not value for name, value in before.items()):
            dict.update(settings, before)

    return look


def _figures(module: Any) -> Callable[[], None]:
    """Matplotlib's current figures."""

    def look() -> None:
        if module.Gcf.figs:
            module.Gcf.destroy_all()

    return look


def _options(module: Any) -> Callable[[], None]:
    """The options of pandas: a tree of dictionaries, which grows when a part of it is loaded."""
    options = module._global_config  # noqa: SLF001 - the one place that every way to set one ends at
    before = _copied(options)

    def look() -> None:
        nonlocal before
        if options != before:
            _put_back(options, before)
            before = _copied(options)

    return look


def _copied(tree: dict[str, Any]) -> dict[str, Any]:
    return {name: _copied(part) if isinstance(part, dict) else part for name, part in tree.items()}


def _put_back(tree: dict[str, Any], before: dict[str, Any]) -> None:
    for name in tree.keys() & before.keys():
        if isinstance(tree[name], dict) and isinstance(before[name], dict):
            _put_back(tree[name], before[name])
        else:
            tree[name] = before[name]
