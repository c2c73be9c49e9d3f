"""Undo process-wide changes that tasks make through libraries; replace the process if that isn't possible.

Libraries are checked only once they are loaded. Calls that change process state are wrapped, so that tasks without
such calls pay nothing.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import types
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from burst_magic.worker.child.isolation.import_hook import ImportHook

# Calls that change the process for good. Methods are watched on the class, for all instances. State that libraries
# change temporarily and restore themselves (event loops, context managers) is not here: see `_LOOKS`.
_CALLS = {
    "asyncio": ("set_event_loop_policy",),
    "calendar": ("setfirstweekday",),
    "codecs": ("register", "register_error"),
    "copyreg": ("pickle", "constructor"),
    "csv": ("field_size_limit", "register_dialect", "unregister_dialect"),
    "joblib": ("register_parallel_backend",),
    "faulthandler": ("disable", "enable", "register"),
    "locale": ("setlocale",),
    "logging": ("Logger.addHandler", "Logger.removeHandler", "Logger.addFilter", "Logger.removeFilter",
                "Logger.setLevel", "Handler.setLevel", "Handler.setFormatter", "addLevelName", "disable",
                "setLogRecordFactory", "setLoggerClass", "captureWarnings"),
    "mimetypes": ("add_type",),
    "multiprocessing": ("set_start_method",),
    "numexpr": ("set_num_threads",),
    "pandas.api.extensions": ("register_dataframe_accessor", "register_index_accessor", "register_series_accessor"),
    "scipy.special": ("seterr",),
    "socket": ("setdefaulttimeout",),
    "sqlite3": ("enable_callback_tracebacks",),
    "sympy": ("init_printing",),
    "sys": ("setprofile", "settrace", "set_int_max_str_digits"),
    "threading": ("setprofile", "settrace", "setprofile_all_threads", "settrace_all_threads", "stack_size"),
    "torch": ("set_default_dtype", "set_default_device", "set_num_threads", "set_printoptions",
              "use_deterministic_algorithms", "set_float32_matmul_precision"),
    "tracemalloc": ("start", "stop"),
    "urllib.request": ("install_opener",),
    "zoneinfo": ("reset_tzpath",),
}  # fmt: skip
_OF_LOGGERS = frozenset({"propagate", "disabled", "level", "handlers", "filters"})
_HEADLESS = "agg"  # matplotlib's choice where there is no screen
_OLD_NUMPY = ("set_printoptions", "seterr", "seterrcall", "setbufsize", "set_string_function")  # process-wide


class Libraries:
    """Restores process-wide state of libraries.

    Args:
        import_hook: reports loaded libraries.
        spoil: called when a task made a change that only a new process removes.
    """

    def __init__(self, import_hook: ImportHook, spoil: Callable[[], None]) -> None:
        self._import_hook, self._spoil = import_hook, spoil
        self.looks: list[Callable[[], None]] = []  # each restores state that the last task may have changed
        for name, paths in _CALLS.items():
            import_hook.of(name, functools.partial(self._watch_all, paths))
        import_hook.of("numpy", self._watch_numpy)
        import_hook.of("logging", self._watch_loggers)
        import_hook.of("abc", self._watch_abstract)
        import_hook.of("sqlite3", self._undo_sqlite)
        import_hook.of("matplotlib", self._watch_backend)
        for name, made in _LOOKS.items():
            import_hook.of(name, functools.partial(self._look_after, made))

    def _look_after(self, made: Callable[[Any], Callable[[], None]], module: ModuleType) -> None:
        with contextlib.suppress(AttributeError):  # a local module of that name, or another version
            self.looks.append(made(module))

    def _watch_numpy(self, module: ModuleType) -> None:
        """Watch versions before 2.2; later ones use context variables, and each task has its own context."""
        version = tuple(int(part) for part in module.__version__.split(".")[:2] if part.isdigit())
        if version < (2, 2):
            self._watch_all(_OLD_NUMPY, module)

    def _watch_loggers(self, module: ModuleType) -> None:
        """Watch attributes of loggers: ``logger.propagate = False``. What a new logger sets itself doesn't count."""
        keep = object.__setattr__

        def watched(logger: Any, name: str, value: Any) -> None:
            before = vars(logger).get(name, value)
            if name in _OF_LOGGERS and before != value and not self._import_hook.under_way:
                self._spoil()
            keep(logger, name, value)

        vars(module)["Logger"].__setattr__ = watched

    def _watch_abstract(self, module: ModuleType) -> None:
        """Watch ``Number.register(Mine)`` on classes that outlive the task."""
        meta: Any = vars(module)["ABCMeta"]
        register = meta.register

        @functools.wraps(register)
        def watched(cls: type, subclass: type) -> type:
            if getattr(cls, "__module__", "") != "__main__" and not self._import_hook.under_way:
                self._spoil()
            made: type = register(cls, subclass)
            return made

        meta.register = watched

    def _watch_backend(self, module: ModuleType) -> None:
        """Watch what draws matplotlib's figures. Which one the first figure chooses is no change."""
        settings: dict[str, Any] | None = getattr(module, "rcParams", None)
        if settings is None:  # a local module of that name
            return
        before = dict.get(settings, "backend")
        known = before.lower() if isinstance(before, str) else _HEADLESS  # "Agg" becomes "agg"

        def look() -> None:
            now, pyplot = dict.get(settings, "backend"), sys.modules.get("matplotlib.pyplot")
            if now is before or str(now).lower() == known:
                return
            if pyplot is None:
                dict.__setitem__(settings, "backend", before)
            elif isinstance(before, str):
                pyplot.switch_backend(before)
            else:
                self._spoil()

        self.looks.append(look)

    def _undo_sqlite(self, module: ModuleType) -> None:
        """Take back adapters and converters: pandas registers its own for each table that it writes."""
        for call, table in (("register_adapter", "adapters"), ("register_converter", "converters")):
            with contextlib.suppress(AttributeError):  # a local module of that name
                self._undo_entries(module, call, getattr(module, table))

    def _undo_entries(self, module: ModuleType, call: str, table: dict[Any, Any]) -> None:
        """Put back the entries of a table that a call sets, except those that belong to a module being imported."""
        original, changed = getattr(module, call), dict[Any, Any]()

        @functools.wraps(original)
        def watched(*args: Any, **options: Any) -> Any:
            before = None if self._import_hook.under_way else dict(table)
            found = original(*args, **options)
            if before is not None:
                for key in table.keys() - {key for key in before if before[key] is table.get(key)}:
                    changed.setdefault(key, before.get(key))
            return found

        def look() -> None:
            for key, value in changed.items():
                if value is None:
                    table.pop(key, None)
                else:
                    table[key] = value
            changed.clear()

        setattr(module, call, watched)
        self.looks.append(look)

    def _watch_all(self, paths: Iterable[str], module: ModuleType) -> None:
        for path in paths:
            owner: Any = module
            *parents, name = path.split(".")
            for parent in parents:
                owner = getattr(owner, parent, None)
            original = getattr(owner, name, None)
            if isinstance(owner, type) and isinstance(original, types.MethodType):  # a class method
                setattr(owner, name, staticmethod(self._watched(original)))
            elif callable(original) and not isinstance(original, type):
                setattr(owner, name, self._watched(original))

    def _watched(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def watched(*args: Any, **options: Any) -> Any:
            if not self._import_hook.under_way and not _only_asks(
                original, args, options
            ):  # calls during an import belong to the module
                self._spoil()
            return original(*args, **options)

        return watched


def _only_asks(call: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> bool:
    """``setlocale(category)`` and ``field_size_limit()`` only return the setting."""
    name = getattr(call, "__name__", "")
    if name == "setlocale":
        return (args[1] if len(args) > 1 else options.get("locale")) is None
    return name == "field_size_limit" and not (args or options)


def _polars(module: Any) -> Callable[[], None]:
    """Polars' display options; some are kept in its compiled code."""
    before = module.Config.save()

    def look() -> None:
        if module.Config.save() != before:
            module.Config.restore_defaults()
            module.Config.load(before)

    return look


def _rc_params(module: Any) -> Callable[[], None]:
    """Matplotlib's settings, without its backend, which is chosen at the first figure."""
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


def _patches(module: Any) -> Callable[[], None]:
    """What ``mock.patch(…).start()`` has patched."""
    active = module._patch._active_patches  # noqa: SLF001 - ``patch.stopall`` would end those of a local module, too
    before = list(active)

    def look() -> None:
        for each in reversed([each for each in active if each not in before]):
            each.stop()

    return look


def _parallel(module: Any) -> Callable[[], None]:
    """What ``joblib.parallel_config``, and its older names, set without ``with``."""
    local = module._backend  # noqa: SLF001 - every way to configure it ends here
    before = dict(vars(local))

    def look() -> None:
        if vars(local) != before:
            vars(local).clear()
            vars(local).update(before)

    return look


def _grad(module: Any) -> Callable[[], None]:
    """Whether torch records gradients; its context managers restore that themselves."""
    before = module.is_grad_enabled()

    def look() -> None:
        if module.is_grad_enabled() is not before:
            module.set_grad_enabled(before)

    return look


def _configuration(module: Any) -> Callable[[], None]:
    """scikit-learn's configuration, which many of its estimators change temporarily."""
    before = module.get_config()

    def look() -> None:
        if module.get_config() != before:
            module.set_config(**before)

    return look


def _dictionary(module: Any) -> Callable[[], None]:
    """Options of xarray."""
    options, before = module.OPTIONS, dict(module.OPTIONS)

    def look() -> None:
        if options != before:
            options.clear()
            options.update(before)

    return look


def _options(module: Any) -> Callable[[], None]:
    """Options of pandas: a tree of dictionaries, which grows as parts of pandas are loaded."""
    options = module._config.config._global_config  # noqa: SLF001 - every way to set an option ends here
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


def _event_loop(module: Any) -> Callable[[], None]:
    """The main thread's event loop: the next task must not find one that is closed."""

    def look() -> None:
        policy = module._event_loop_policy  # noqa: SLF001 - asking for it would make one
        if policy is not None and hasattr(policy, "_local"):
            vars(policy._local).clear()  # noqa: SLF001 - as above

    return look


_LOOKS: dict[str, Callable[[Any], Callable[[], None]]] = {
    "asyncio.events": _event_loop,
    "joblib.parallel": _parallel,
    "matplotlib": _rc_params,
    "matplotlib._pylab_helpers": _figures,
    "pandas": _options,
    "polars": _polars,
    "sklearn": _configuration,
    "torch": _grad,
    "unittest.mock": _patches,
    "xarray.core.options": _dictionary,
}
