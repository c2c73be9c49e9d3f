"""Collect process-wide settings of the notebook that affect results or output and differ from the defaults.

Environment variables are sent if the notebook changed them and its code names them. Settings made by the kernel itself
are ignored.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Collection, Iterable, Mapping

from burst_magic import config
from burst_magic.capture.sensitive import find_secret
from burst_magic.dataclass import dataclass
from burst_magic.payload.settings import ENVIRONMENT, KINDS, OF, OPAQUE, WARNINGS, Kind, Settings, State

# Set by ipykernel, IPython, debuggers and pytest, and by libraries during their import.
_KERNELS_VARIABLES = {"TERM", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "PAGER", "GIT_PAGER", "MPLBACKEND",
                      "COLUMNS", "LINES", "_", "SHLVL", "PWD", "OLDPWD"}  # fmt: skip
_KERNELS_PREFIXES = ("JPY_", "PYDEVD_", "KMP_", "_RJEM_", "BURST_", "POLARS_FMT_", "TF2_", "TORCHINDUCTOR_",
                     "PYTEST_")  # fmt: skip
_ALWAYS = {"TZ"}  # affects code that doesn't name it
_KERNELS_LOGGERS = {"IPKernelApp", "TerminalIPythonApp", "ipykernel", "IPython", "traitlets", "tornado", "asyncio",
                    "parso", "comm", "debugpy", "burst_magic"}  # fmt: skip
_KERNELS_PACKAGES = {"IPython", "ipykernel", "traitlets", "jupyter_client", "zmq", "tornado", "debugpy"}
_KERNELS_MESSAGE = re.compile("Trio's signal handling")
_LIBRARYS_MESSAGE = re.compile(r"numpy\.\w+ size changed|the matrix subclass is not")
_LIBRARYS_ACTIONS = {"always", "once", "default"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The settings to send, and sentences about those that cannot be sent."""

    settings: Settings
    told: tuple[str, ...] = ()


def collect(source: str, stream: bytes, bundle: bytes) -> Collected:
    """Collect the settings of all loaded libraries.

    Args:
        source: the cell's text.
        stream: its captured values and functions.
        bundle: zip of its local modules, or b"".
    """
    settings: Settings = {}
    told: list[str] = []
    for kind in KINDS:
        changed = _changed(kind)
        opaque = sorted(key for key, value in changed.items() if value == OPAQUE)
        told.extend(f"{kind.name}: {key} was set to something that cannot be pickled, so tasks use the default;"
                    " set it in the cell" for key in opaque)  # fmt: skip
        settings[kind.name] = {key: value for key, value in changed.items() if key not in opaque}
    settings[ENVIRONMENT] = _variables(_Code(source, stream, bundle))
    return Collected(settings={name: state for name, state in settings.items() if state}, told=tuple(told))


def describe(settings: Mapping[str, State]) -> str:
    """One line for ``--dry-run``; environment variables appear by name only."""
    parts = []
    for name, state in settings.items():
        if name == ENVIRONMENT:
            said = ", ".join(sorted(state))
        elif name == WARNINGS:
            said = f"{len(state['filters'])} filters"
        else:
            said = ", ".join(f"{key} {_short(value)}".strip() for key, value in sorted(state.items()))
        parts.append(f"{name}: {said}")
    return "; ".join(parts) or "none"


def about_environment(settings: Mapping[str, State], started: Mapping[str, str] | None, known: Collection[str]) -> str:
    """Warn about variables that differ between warm workers and this kernel; empty if none.

    Args:
        settings: the settings to send.
        started: the environment that the session's workers started with; None: the same as this kernel's.
        known: variables that the session sets by ``--setenv``.
    """
    theirs = config.first_environment() if started is None else started
    here = config.environment()
    travelling = settings.get(ENVIRONMENT, {})
    other = {name for name in {*theirs, *here} if theirs.get(name) != here.get(name) and not _kernels_own(name)}
    names = sorted(other - travelling.keys() - set(known))
    if not names:
        return ""
    return (
        f"{', '.join(names)} in os.environ differ{'s' * (len(names) == 1)} from what the session's workers were started"
        " with; tasks don't see the change. Set it in the cell, or start a new session with --setenv NAME"
    )


def _changed(kind: Kind) -> State:
    """Values that differ from the default, without the kernel's own."""
    module = kind.loaded()
    if module is None:
        return {}
    try:
        state, default = kind.read(module, None), kind.default(module)
    except (AttributeError, KeyError):  # a version, or an unrelated module, without such settings
        return {}
    if kind.name == WARNINGS:
        return _changed_filters(state["filters"], default["filters"])
    changed = {key: value for key, value in state.items() if value != default.get(key)}
    return {key: value for key, value in changed.items() if not _is_kernels_logger(key)}


def _is_kernels_logger(key: str) -> bool:
    return key.partition(OF)[2].partition(".")[0] in _KERNELS_LOGGERS


def _changed_filters(filters: list[list[object]], default: list[list[object]]) -> State:
    """All filters in order, if the notebook made some of them."""
    filters = [one for one in filters if not _is_kernels_filter(one)]
    if [one for one in filters if not _is_librarys_filter(one)] == default:
        return {}
    ours = [one for one in filters if one[2] != "__main__"]
    return {"filters": ours} | ({"a filter for a warning class of the notebook": OPAQUE} if ours != filters else {})


def _is_kernels_filter(one: list[object]) -> bool:
    _, message, home, *_ = one
    return str(home).partition(".")[0] in _KERNELS_PACKAGES or bool(_KERNELS_MESSAGE.search(str(message)))


def _is_librarys_filter(one: list[object]) -> bool:
    """A filter that a library adds during its import, on workers too."""
    action, message, home, _, module, _ = one
    if _LIBRARYS_MESSAGE.search(str(message)):
        return True
    top = str(home).partition(".")[0]
    return top not in {"builtins", "__main__"} and message is module is None and (
        action in _LIBRARYS_ACTIONS or top == "urllib3"
    )  # fmt: skip


class _Code:
    """The text where code may name a variable; local modules are unpacked only if a variable was changed."""

    def __init__(self, source: str, stream: bytes, bundle: bytes) -> None:
        self._source, self._stream, self._bundle = source.encode(), stream, bundle
        self._modules: bytes | None = None

    def names(self, variable: str) -> bool:
        word = variable.encode()
        if word in self._source or word in self._stream:
            return True
        if self._modules is None:
            self._modules = b"\n".join(_texts(self._bundle))
        return word in self._modules


def _texts(bundle: bytes) -> Iterable[bytes]:
    if not bundle:
        return []
    with zipfile.ZipFile(io.BytesIO(bundle)) as files:
        return [files.read(name) for name in files.namelist() if name.endswith(".py")]


def _variables(code: _Code) -> State:
    here = config.environment()
    return {
        name: here.get(name)
        for name in sorted(config.changed_variables())
        if not _kernels_own(name)
        and (name in _ALWAYS or code.names(name))
        and not find_secret(name, here.get(name, ""))
    }


def _kernels_own(name: str) -> bool:
    return name in _KERNELS_VARIABLES or name.startswith(_KERNELS_PREFIXES)


def _short(value: object) -> str:
    text = "" if isinstance(value, list | dict) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
