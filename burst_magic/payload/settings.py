"""Read and write process-wide settings of a notebook that affect results or output.

No library is imported for this: a library that isn't loaded has no settings. Values are plain JSON data; anything else
(a function, a class of the notebook) is read as ``OPAQUE`` and not sent.
"""

from __future__ import annotations

import functools
import linecache
import re
import sys
from collections.abc import Callable, Collection
from typing import Any

from burst_magic.dataclass import dataclass

OPAQUE = "\0opaque"
ENVIRONMENT = "environment"  # in the same table of settings: variable -> value, or None if deleted
WARNINGS = "warnings"

State = dict[str, Any]
Settings = dict[str, State]  # by the name of its kind
Keys = Collection[str] | None  # None: all of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Settings of one library, or of one part of Python.

    Attributes:
        name: for display.
        module: must be loaded before anything can be read or written.
        read: returns the current state, at least of these keys.
        default: the untouched state; missing keys are unset.
        write: sets some keys; None unsets a key that ``default`` lacks.
        in_context: it belongs to the setter's context, so nothing has to be restored.
    """

    name: str
    module: str
    read: Callable[[Any, Keys], State]
    default: Callable[[Any], State]
    write: Callable[[Any, State], None]
    in_context: bool = False

    def loaded(self, just: str = "") -> Any:
        """Its module, or None while it is not (fully) loaded.

        Args:
            just: the module that has just finished loading but isn't marked as loaded yet.
        """
        module = sys.modules.get(self.module)
        half = getattr(getattr(module, "__spec__", None), "_initializing", False) and self.module != just
        return None if half else module


def plain(value: object) -> Any:
    """The value if JSON can represent it exactly, else ``OPAQUE``."""
    if value is None or isinstance(value, bool | int | float | str):
        return value if type(value) in {type(None), bool, int, float, str} else OPAQUE
    if isinstance(value, list | tuple) and type(value) in {list, tuple}:
        parts = [plain(part) for part in value]
        return OPAQUE if OPAQUE in parts else parts
    text = getattr(value, "__self__", None)
    if isinstance(text, str) and getattr(value, "__name__", "") == "format":  # pandas: "{:.2f}".format
        return {"format": text}
    return OPAQUE


def back(value: Any) -> Any:
    """The inverse of ``plain``."""
    return value["format"].format if isinstance(value, dict) and value.keys() == {"format"} else value


# --- Python's own -----------------------------------------------------------------------------------------------------

_CONTEXT = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


def _read_decimal(module: Any, _keys: Keys = None) -> State:
    context = module.getcontext()
    traps = sorted(signal.__name__ for signal, on in context.traps.items() if on)
    return {name: getattr(context, name) for name in _CONTEXT} | {"traps": traps}


def _default_decimal(_: Any) -> State:
    limits = {"prec": 28, "rounding": "ROUND_HALF_EVEN", "Emin": -999999, "Emax": 999999, "capitals": 1, "clamp": 0}
    return limits | {"traps": ["DivisionByZero", "InvalidOperation", "Overflow"]}


def _write_decimal(module: Any, changes: State) -> None:
    context = module.getcontext().copy()  # the one that is there belongs to whoever has it
    for name in changes.keys() & set(_CONTEXT):
        setattr(context, name, changes[name])
    if "traps" in changes:
        for signal in context.traps:
            context.traps[signal] = signal.__name__ in changes["traps"]
    module.setcontext(context)


def _read_sys(module: Any, _keys: Keys = None) -> State:
    digits = getattr(module, "get_int_max_str_digits", lambda: None)()
    return {"recursionlimit": module.getrecursionlimit(), "int_max_str_digits": digits}


def _default_sys(module: Any) -> State:
    depth = 3000 if "jedi" in module.modules else 1000  # jedi, which completes for the notebook, sets it
    digits = getattr(module.int_info, "default_max_str_digits", None)
    return {"recursionlimit": depth, "int_max_str_digits": digits}


def _write_sys(module: Any, changes: State) -> None:
    if "recursionlimit" in changes:
        module.setrecursionlimit(changes["recursionlimit"])
    if changes.get("int_max_str_digits") is not None:
        module.set_int_max_str_digits(changes["int_max_str_digits"])


OF = " of "  # between a fact and the logger that it is about
_STREAMS = ("stdout", "stderr")
_HOSTS = ("_pytest.", "ipykernel.", "IPython.")  # the notebook didn't create their handlers


def _read_logging(module: Any, keys: Keys = None) -> State:
    loggers = module.root.manager.loggerDict
    names = loggers if keys is None else {name for key in keys if (name := key.partition(OF)[2])}
    adds, named = functools.cache(adds_its_own), dict[str, Any]()
    for name in names:
        if isinstance(logger := loggers.get(name), module.Logger):
            facts = _facts(module, logger, whole=keys is not None or not adds(name.partition(".")[0]))
            named |= {fact + OF + name: value for fact, value in facts.items()}
    handlers = _handlers(module, module.root.handlers)
    return {"level": module.root.level, "disable": module.root.manager.disable, "handlers": handlers} | named


_OF_HANDLERS = re.compile(r"Handler|logging\.config|basicConfig|propagate")


def adds_its_own(logger: str) -> bool:
    """Whether it is the logger of a loaded module that may add handlers when it is imported: on a worker, too."""
    top = logger.partition(".")[0]
    if top not in sys.modules or top == "__main__" or top in sys.stdlib_module_names:
        return False
    files = [str(getattr(one, "__file__", "")) for name, one in [*sys.modules.items()] if top == name.partition(".")[0]]
    return any("-packages" in file or _OF_HANDLERS.search("".join(linecache.getlines(file))) for file in files)


def _facts(module: Any, logger: Any, *, whole: bool) -> State:
    """What was set on a named logger."""
    facts: State = {"level": logger.level or None}
    if whole:
        handlers = [handler for handler in logger.handlers if type(handler) is not module.NullHandler]
        facts |= {"handlers": _handlers(module, handlers) or None, "filters": OPAQUE if logger.filters else None}
        facts |= {"propagate": None if logger.propagate else False, "disabled": True if logger.disabled else None}
    return {fact: value for fact, value in facts.items() if value is not None}


def _handlers(module: Any, handlers: list[Any]) -> Any:
    said = [_handler(module, handler) for handler in handlers if not _of_host(handler)]
    return OPAQUE if OPAQUE in said else said


def _of_host(handler: Any) -> bool:
    return type(handler).__module__.startswith(_HOSTS)


def _handler(module: Any, handler: Any) -> Any:
    """Describe a printing handler by stream, level and format; no other is plain."""
    streams = [name for name in _STREAMS if getattr(handler, "stream", None) is getattr(sys, name)]
    form = handler.formatter
    if type(handler) is not module.StreamHandler or not streams or handler.filters:
        return OPAQUE
    if form is None:
        return [streams[0], handler.level, None, None, "%"]
    styles = {module.PercentStyle: "%", module.StrFormatStyle: "{", module.StringTemplateStyle: "$"}
    style = styles.get(type(form._style))  # noqa: SLF001 - it has no public name
    if type(form) is not module.Formatter or style is None:
        return OPAQUE
    return [streams[0], handler.level, form._fmt, form.datefmt, style]  # noqa: SLF001 - as above


def _default_logging(module: Any) -> State:
    return {"level": module.WARNING, "disable": 0, "handlers": []}


def _write_logging(module: Any, changes: State) -> None:
    for key, value in changes.items():
        if key == "level":
            module.root.setLevel(value)
        elif key == "disable":
            module.disable(value)
        elif key == "handlers":
            module.root.handlers[:] = [_made_handler(module, each) for each in value]
        else:
            fact, _, name = key.partition(OF)
            _write_fact(module, module.getLogger(name), fact, value)


def _write_fact(module: Any, logger: Any, fact: str, value: Any) -> None:
    """Set it on a named logger; None unsets it."""
    if fact == "level":
        logger.setLevel(value or 0)
    elif fact == "handlers":
        silent = [handler for handler in logger.handlers if type(handler) is module.NullHandler]
        logger.handlers[:] = [*silent, *(_made_handler(module, each) for each in value or ())]
    elif fact == "propagate":
        logger.propagate = value is not False
    else:
        logger.disabled = bool(value)


def _made_handler(module: Any, said: list[Any]) -> Any:
    stream, level, form, dates, style = said
    handler = module.StreamHandler(getattr(sys, stream))
    handler.setLevel(level)
    if form is not None:
        handler.setFormatter(module.Formatter(form, dates, style))
    return handler


_CATEGORIES = ("LC_COLLATE", "LC_TIME", "LC_NUMERIC", "LC_MONETARY", "LC_MESSAGES")


def _read_locale(module: Any, _keys: Keys = None) -> State:
    there = [name for name in _CATEGORIES if hasattr(module, name)]
    return {name: module.setlocale(getattr(module, name)) for name in there}


def _write_locale(module: Any, changes: State) -> None:
    for name, value in changes.items():
        module.setlocale(getattr(module, name), value)


def _always(**state: Any) -> Callable[[Any], State]:
    return lambda _: dict(state)


# --- warnings ---------------------------------------------------------------------------------------------------------


def read_filter(one: tuple[Any, ...]) -> list[Any]:
    """A filter of ``warnings`` as plain data: action, message, module of the category, its name, module, line."""
    action, message, category, module, line = one
    patterns = [getattr(part, "pattern", part) for part in (message, module)]
    return [action, patterns[0], category.__module__, category.__qualname__, patterns[1], line]


def made_filter(said: list[Any]) -> tuple[Any, ...] | None:
    """The filter; None while the library that defines its category is not loaded and cannot warn."""
    action, message, home, name, module, line = said
    category: Any = sys.modules.get(home)
    for part in name.split("."):
        category = getattr(category, part, None)
    if category is None:
        return None
    pattern = None if message is None else re.compile(message, re.IGNORECASE)
    where = module if module is None or module == "__main__" else re.compile(module)
    return action, pattern, category, where, line


def _read_warnings(module: Any, _keys: Keys = None) -> State:
    return {"filters": [read_filter(one) for one in module.filters]}


def is_pythons(one: tuple[Any, ...]) -> bool:
    """Whether every interpreter starts with this filter."""
    return read_filter(one) in _default_warnings(None)["filters"]


def _default_warnings(_: Any) -> State:
    own = (("default", "DeprecationWarning", "__main__"), ("ignore", "DeprecationWarning", None),
           ("ignore", "PendingDeprecationWarning", None), ("ignore", "ImportWarning", None),
           ("ignore", "ResourceWarning", None))  # fmt: skip
    return {"filters": [[action, None, "builtins", name, module, 0] for action, name, module in own]}


def _write_warnings(module: Any, changes: State) -> None:
    made = [made_filter(said) for said in changes["filters"]]
    module.resetwarnings()
    module.filters[:] = [one for one in made if one is not None]


# --- libraries --------------------------------------------------------------------------------------------------------

_PRINT = "print "
_ERRORS = ("divide", "over", "under", "invalid")


def _read_numpy(module: Any, keys: Keys = None) -> State:
    options: State = {}
    if keys is None or any(key.startswith(_PRINT) for key in keys):
        options = {_PRINT + name: plain(value) for name, value in module.get_printoptions().items()}
    errors: State = module.geterr()
    return errors | {"errcall": plain(module.geterrcall()), "bufsize": module.getbufsize()} | options


def _default_numpy(_: Any) -> State:
    printing = {"edgeitems": 3, "threshold": 1000, "floatmode": "maxprec", "precision": 8, "suppress": False,
                "linewidth": 75, "nanstr": "nan", "infstr": "inf", "sign": "-", "formatter": None, "legacy": False,
                "override_repr": None}  # fmt: skip
    errors = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
    return errors | {"errcall": None, "bufsize": 8192} | {_PRINT + name: value for name, value in printing.items()}


def _write_numpy(module: Any, changes: State) -> None:
    errors = {name: changes[name] for name in _ERRORS if name in changes}
    if errors:
        module.seterr(**errors)
    if "bufsize" in changes:
        module.setbufsize(changes["bufsize"])
    printing = {key.removeprefix(_PRINT): value for key, value in changes.items() if key.startswith(_PRINT)}
    if printing:
        module.set_printoptions(**printing)


def _pandas_options(module: Any) -> Any:
    return sys.modules[f"{module.__name__}._config.config"]


def _read_pandas(module: Any, keys: Keys = None) -> State:
    options = _pandas_options(module)
    return {key: plain(_value_at(options._global_config, key)) for key in keys or options._registered_options}  # noqa: SLF001


def _value_at(tree: Any, path: str) -> Any:
    for part in path.split("."):
        tree = tree[part]
    return tree


def _default_pandas(module: Any) -> State:
    options = _pandas_options(module)._registered_options  # noqa: SLF001 - only text tells it in public
    return {key: plain(option.defval) for key, option in options.items()}


def _write_pandas(module: Any, changes: State) -> None:
    for key, value in changes.items():
        module.set_option(key, back(value))


def _read_sklearn(module: Any, _keys: Keys = None) -> State:
    return {key: plain(value) for key, value in module.get_config().items()}


def _default_sklearn(module: Any) -> State:
    first = getattr(sys.modules.get(f"{module.__name__}._config"), "_global_config", {})
    return {key: plain(value) for key, value in first.items()}


def _write_sklearn(module: Any, changes: State) -> None:
    module.set_config(**changes)


def _read_polars(module: Any, _keys: Keys = None) -> State:
    state = module.Config.state()
    return {key: plain(value) for key, value in state.items()}


def _default_polars(module: Any) -> State:
    drawn = {"set_fmt_float": "mixed", "set_thousands_separator": "", "set_decimal_separator": ".",
             "set_trim_decimal_zeros": False}  # fmt: skip
    return dict.fromkeys(module.Config.state()) | drawn


def _write_polars(module: Any, changes: State) -> None:
    import json

    direct = {key: value for key, value in changes.items() if key.startswith("set_")}
    variables = {key: value for key, value in changes.items() if key not in direct}
    module.Config.load(json.dumps({"environment": variables, "direct": direct}))


_BACKEND = ("backend", "backend_fallback", "interactive")  # a worker has no display
_CYCLE = "axes.prop_cycle"


def _read_matplotlib(module: Any, keys: Keys = None) -> State:
    return _parameters(module.rcParams, keys)


def _default_matplotlib(module: Any) -> State:
    return _parameters(module.rcParamsOrig)  # as matplotlibrc has it, which a worker reads too


def _parameters(of: Any, keys: Keys = None) -> State:
    found = {key: plain(dict.__getitem__(of, key)) for key in keys or dict.keys(of) if key not in _BACKEND}
    cycle: Any = dict.get(of, _CYCLE)
    if _CYCLE in found and hasattr(cycle, "by_key"):
        found[_CYCLE] = {name: plain(values) for name, values in cycle.by_key().items()}
    return found


def _write_matplotlib(module: Any, changes: State) -> None:
    for key, value in changes.items():
        module.rcParams[key] = module.cycler(**value) if key == _CYCLE else value


def _read_torch(module: Any, _keys: Keys = None) -> State:
    return {"default_dtype": str(module.get_default_dtype())}


def _write_torch(module: Any, changes: State) -> None:
    module.set_default_dtype(getattr(module, changes["default_dtype"].rpartition(".")[2]))


OF_JAX = {
    "jax_enable_x64": False, "jax_default_matmul_precision": None, "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow", "jax_default_prng_impl": "threefry2x32", "jax_debug_nans": False,
    "jax_debug_infs": False, "jax_disable_jit": False,
}  # fmt: skip


def _read_jax(module: Any, _keys: Keys = None) -> State:
    return {key: plain(getattr(module.config, key)) for key in OF_JAX if hasattr(module.config, key)}


def _write_jax(module: Any, changes: State) -> None:
    for key, value in changes.items():
        module.config.update(key, value)


def _read_mpmath(module: Any, _keys: Keys = None) -> State:
    return {"prec": module.mp.prec, "pretty": bool(module.mp.pretty)}


def _write_mpmath(module: Any, changes: State) -> None:
    for key, value in changes.items():
        setattr(module.mp, key, value)


def _read_scipy(module: Any, _keys: Keys = None) -> State:
    state: State = module.geterr()
    return state


def _default_scipy(module: Any) -> State:
    return {key: "raise" if key == "memory" else "ignore" for key in module.geterr()}


def _write_scipy(module: Any, changes: State) -> None:
    module.seterr(**changes)


def _number_of(name: str, get: str, put: str) -> tuple[Callable[[Any, Keys], State], Callable[[Any, State], None]]:
    """Reads and writes one number through two functions of a module."""
    return lambda module, _: {name: getattr(module, get)()}, lambda module, changes: getattr(module, put)(changes[name])


def _kind(
    name: str,
    module: str,
    accessors: tuple[Callable[[Any, Keys], State], Callable[[Any, State], None]],
    default: Callable[[Any], State],
    *,
    in_context: bool = False,
) -> Kind:
    return Kind(name=name, module=module, read=accessors[0], write=accessors[1], default=default, in_context=in_context)


KINDS: tuple[Kind, ...] = (
    _kind("decimal", "decimal", (_read_decimal, _write_decimal), _default_decimal, in_context=True),
    _kind("sys", "sys", (_read_sys, _write_sys), _default_sys),
    _kind("logging", "logging", (_read_logging, _write_logging), _default_logging),
    _kind(WARNINGS, "warnings", (_read_warnings, _write_warnings), _default_warnings),
    _kind("locale", "locale", (_read_locale, _write_locale), _always(**dict.fromkeys(_CATEGORIES, "C"))),
    _kind("socket", "socket", _number_of("timeout", "getdefaulttimeout", "setdefaulttimeout"), _always(timeout=None)),
    _kind("csv", "csv", _number_of("field_size_limit", "field_size_limit", "field_size_limit"),
          _always(field_size_limit=131072)),
    _kind("calendar", "calendar", _number_of("firstweekday", "firstweekday", "setfirstweekday"),
          _always(firstweekday=0)),
    _kind("numpy", "numpy", (_read_numpy, _write_numpy), _default_numpy),
    _kind("scipy", "scipy.special", (_read_scipy, _write_scipy), _default_scipy),
    _kind("pandas", "pandas", (_read_pandas, _write_pandas), _default_pandas),
    _kind("polars", "polars", (_read_polars, _write_polars), _default_polars),
    _kind("sklearn", "sklearn", (_read_sklearn, _write_sklearn), _default_sklearn),
    _kind("matplotlib", "matplotlib", (_read_matplotlib, _write_matplotlib), _default_matplotlib),
    _kind("torch", "torch", (_read_torch, _write_torch), _always(default_dtype="torch.float32")),
    _kind("jax", "jax", (_read_jax, _write_jax), _always(**OF_JAX)),
    _kind("mpmath", "mpmath", (_read_mpmath, _write_mpmath), _always(prec=53, pretty=False)),
)  # fmt: skip
