"""Settings: defaults < ``config.toml`` < ``BURST_*`` environment < the call. The only reader of ``os.environ``.

Importing this is cheap: platformdirs is imported only if no directory is given, tomlkit only if a ``config.toml``
exists or is written. Nothing here opens a store or contacts a cloud.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burst_magic import folders, host
from burst_magic.dataclass import dataclass
from burst_magic.errors import OptionError
from burst_magic.units import format_duration, format_size, parse_duration, parse_money, parse_size, whole

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

__version__ = "0.1.0"  # the one place: the package's face and its metadata read it here
APP = "burst_magic"
FILE = "config.toml"
SESSIONS = "sessions.jsonl"
PREFIX = "BURST_"
DIRECTORIES = ("config_dir", "data_dir")
HIDDEN = ("interval", "floor")  # for tests: the protocol chooses them by store
TABLE = "aws"  # of config.toml; its keys are written aws.cluster, and BURST_AWS_CLUSTER in the environment
IN_TABLE = (
    *("stack", "region", "cluster", "task_definition", "subnets", "security_groups", "public_ip", "image", "account"),
    *("repository", "build_project"),
)
HERE = "local"  # the launcher of this machine
ARCHES = ("x86_64", "arm64")
ENVS = ("sync", "image")  # and image:URI
IMAGE = "image:"
_IN_PATH = r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
_IMAGE_NAME = re.compile(
    rf"(?:[\w.-]+(?::\d+)?/)?{_IN_PATH}(?:/{_IN_PATH})*(?::\w[\w.-]*)?(?:@\w+:[0-9a-f]+)?", re.ASCII
)
SCHEMES = ("file", "s3", "memory")
# Fixed when a session starts; a later job of the session cannot change these.
OF_THE_SESSION = (
    "budget",
    "deadline",
    "idle",
    "launcher",
    "workers",
    "cpu",
    "memory",
    "arch",
    "slots",
    "env",
    "setenv",
)
# Fixed for an account, so no option of a call sets them.
OF_THE_ACCOUNT = ("spot_fallback", "max_hourly_cost", "cost_alert", *(f"{TABLE}.{key}" for key in IN_TABLE))
_AT_IMPORT = dict(os.environ)
_CHANGED: set[str] = set()
DEADLINE_MAX = 21 * 86400.0  # S3's lifecycle rule deletes a session's objects soon after


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one call.

    Durations are seconds, memory is MiB, budget is micro-dollars; ``max_hourly_cost`` and ``cost_alert`` are those an
    hour. ``None`` means unset: ``plan`` then chooses (cpu, memory, threads), the launcher's own is used (arch), the
    session draws (seed), the store decides (interval, floor), or there is no limit (timeout, and everything about
    money). ``aws`` is the table of that name: where in the user's account workers start, as ``burst setup`` wrote it.
    """

    store: str
    workers: int
    config_dir: Path
    data_dir: Path
    launcher: str = HERE
    cpu: float | None = None
    memory: int | None = None
    arch: str | None = None
    env: str = "sync"
    slots: int = 1
    threads: int | None = None
    timeout: float | None = None
    retries: int = 0
    deadline: float = 86400.0
    idle: float = 300.0
    budget: int | None = None
    seed: int | None = None
    spot_fallback: bool = True
    max_hourly_cost: int | None = None
    cost_alert: int | None = None
    aws: Mapping[str, str] = field(default_factory=dict)
    interval: float | None = None
    floor: float | None = None

    @property
    def config_file(self) -> Path:
        """The file that ``%burst_config`` writes."""
        return self.config_dir / FILE

    @property
    def sessions_file(self) -> Path:
        """The user's list of sessions, one JSON object per line."""
        return self.data_dir / SESSIONS

    @property
    def logs_dir(self) -> Path:
        """Where launchers keep what the workers of this machine print."""
        return self.data_dir / "logs"

    @property
    def keys_dir(self) -> Path:
        """The folder of the sessions' keys, one 0600 file each."""
        return self.config_dir / "keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A setting for display: its value as typed, and where it comes from."""

    key: str
    text: str
    source: str


def load(
    overrides: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config_dir: str | Path | None = None,
    data_dir: str | Path | None = None,
) -> Settings:
    """Merge all layers.

    Args:
        overrides: the call's own settings in the units that a user types (``memory="8GB"``, ``budget=5.0``
            dollars); ``None`` values are ignored.
        environ: instead of the process's environment.
        config_dir: instead of ``BURST_CONFIG_DIR`` and the user's directory.
        data_dir: instead of ``BURST_DATA_DIR`` and the user's directory.

    Raises:
        OptionError: unknown key or wrong value; the message names its source.
    """
    host.check_platform()
    environ = environment() if environ is None else environ
    config, data = directories(environ, config_dir=config_dir, data_dir=data_dir)
    said = {key: value for key, (value, _) in _said(overrides or {}, environ, config).items()}
    values: dict[str, Any] = {key: value for key, value in said.items() if not _in_table(key)}
    values[TABLE] = {key.partition(".")[2]: value for key, value in said.items() if _in_table(key)}
    values.setdefault("store", (data / "store").as_uri())
    values.setdefault("workers", host.cores())
    return Settings(config_dir=config, data_dir=data, **values)


def explain(*, environ: Mapping[str, str] | None = None, config_dir: str | Path | None = None) -> tuple[Origin, ...]:
    """Every setting with its value and source, for ``%burst_config`` without arguments."""
    environ = environment() if environ is None else environ
    settings = load(environ=environ, config_dir=config_dir)
    said = _said({}, environ, settings.config_dir)
    return tuple(
        Origin(key=key, text=show(key, _get(settings, key)), source=said[key][1] if key in said else "default")
        for key in keys()
    )


def save(changes: Mapping[str, str], *, config_dir: Path) -> Path:
    """Write ``k=v`` to ``config.toml``, keeping comments and order; an empty value removes the key.

    All changes are checked first: if one is wrong, none is written.

    Raises:
        OptionError: unknown key or wrong value.
    """
    import tomlkit

    for key, text in changes.items():
        _known(key, keys(), where=f"{key}={text}")
        if text:
            parse(key, text, where=key)
    path = config_dir / FILE
    document = _document(path)
    for key, text in changes.items():
        table, name = (document.setdefault(TABLE, {}), key[len(TABLE) + 1 :]) if _in_table(key) else (document, key)
        if text:
            table[name] = _plain(text)
        else:
            table.pop(name, None)
    folders.make(config_dir)
    draft = path.with_name(f"{FILE}.{os.getpid()}")
    with folders.told(draft):
        draft.write_text(tomlkit.dumps(document), encoding="utf-8")
        draft.replace(path)  # a reader sees the old file or the new one
    return path


def keys() -> tuple[str, ...]:
    """The settings that users may write."""
    plain = (each.name for each in fields(Settings) if each.name not in (*DIRECTORIES, *HIDDEN, TABLE))
    return (*plain, *(key for key in OF_THE_ACCOUNT if _in_table(key)))


def variable(key: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + key.upper().replace(".", "_")


def parse(key: str, raw: object, *, where: str) -> object:
    """Parse and check one value.

    Args:
        key: a field of ``Settings``.
        raw: text, or a number from TOML or Python.
        where: prefix of the error message: an option, a variable, or a key of the file.
    """
    try:
        return _PARSERS[key](str(raw))
    except ValueError as error:
        raise OptionError(f"{where}: {error}") from None


def show(key: str, value: object) -> str:
    """Format a value as the user would type it; ``none`` if unset."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return _SHOWN[key](value) if key in _SHOWN else str(value)


def nearest(word: str, choices: tuple[str, ...]) -> str:
    """The choice that ``word`` most likely stands for, or an empty string."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, choices, n=1, cutoff=0.6)), "")


def one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    """Return a parser for the names that this version supports."""

    def read(text: str) -> str:
        if text not in choices:
            guess = nearest(text, choices)
            have = f"did you mean {guess}?" if guess else f"not available (choose from {', '.join(choices)})"
            raise ValueError(f"{text}: {have}")
        return text

    return read


def environment() -> dict[str, str]:
    """A copy of the process's environment, to pass on to other processes."""
    return dict(os.environ)


def take_variables(prefix: str) -> dict[str, str]:
    """Takes the variables that begin so out of the process's environment, and returns them."""
    return {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(prefix)}


def first_environment() -> dict[str, str]:
    """The environment at process start; if the system doesn't provide it, at import of this module."""
    try:
        raw = Path("/proc/self/environ").read_bytes()
    except OSError:  # macOS
        return dict(_AT_IMPORT)
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def changed_variables() -> set[str]:
    """Environment variables that have differed from the process's initial environment in any call so far.

    Call this before you start a process that may outlive a change: it may keep a value that is later reverted.
    """
    first, here = first_environment(), environment()
    _CHANGED.update(name for name in {*first, *here} if first.get(name) != here.get(name))
    return set(_CHANGED)


def directories(
    environ: Mapping[str, str], *, config_dir: str | Path | None = None, data_dir: str | Path | None = None
) -> tuple[Path, Path]:
    """The user's (config, data) directories: as given, else ``BURST_…_DIR``, else the platform's default."""
    config = config_dir or environ.get("BURST_CONFIG_DIR")
    data = data_dir or environ.get("BURST_DATA_DIR")
    if not (config and data):
        import platformdirs

        config = config or platformdirs.user_config_path(APP)
        data = data or platformdirs.user_data_path(APP)
    return Path(config).expanduser().absolute(), Path(data).expanduser().absolute()


def _said(
    overrides: Mapping[str, object], environ: Mapping[str, str], config_dir: Path
) -> dict[str, tuple[object, str]]:
    """Explicitly set values, the last layer winning: key -> (value, source)."""
    said: dict[str, tuple[object, str]] = {}
    path = config_dir / FILE
    for key, raw in _flat(_document(path)) if os.path.lexists(path) else ():
        _known(key, keys(), where=f"{key} in {path}")
        said[key] = parse(key, raw, where=f"{key} in {path}"), FILE
    keyed = {variable(key): key for key in (*keys(), *HIDDEN, *DIRECTORIES)}
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        _known(name, tuple(keyed), where=f"the environment variable {name}")
        key = keyed[name]
        if key not in DIRECTORIES:
            said[key] = parse(key, environ[name], where=name), name
    for key, raw in overrides.items():
        _known(key, (*keys(), *HIDDEN), where=key)
        if raw is not None:
            said[key] = parse(key, raw, where=key), "the call"
    return said


def _flat(document: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """The settings of a file, those of its table by their dotted names."""
    for key, raw in document.items():
        if isinstance(raw, Mapping):
            yield from (
                (f"{key}.{name}", ",".join(value) if isinstance(value, list) else value) for name, value in raw.items()
            )
        else:
            yield key, raw


def _in_table(key: str) -> bool:
    return key.startswith(f"{TABLE}.")


def _get(settings: Settings, key: str) -> object:
    return settings.aws.get(key[len(TABLE) + 1 :]) if _in_table(key) else getattr(settings, key)


def _known(word: str, choices: tuple[str, ...], *, where: str) -> None:
    if word not in choices:
        guess = nearest(word, choices)
        raise OptionError(
            f"{word}: unknown setting" + (f"; did you mean {guess}?" if guess else ""),
            context=where,
            way_out="" if guess else f"one of {', '.join(choices)}",
        )


def _document(path: Path) -> TOMLDocument:
    """The file's TOML document, empty if there is no file."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    if not os.path.lexists(path):
        return tomlkit.document()
    try:
        with folders.told(path):
            return tomlkit.parse(folders.read(path).decode())
    except (TOMLKitError, UnicodeDecodeError, RecursionError) as error:
        raise OptionError(f"{FILE} is not TOML: {error}", context=str(path)) from None


def _plain(text: str) -> int | float | str:
    """Keep numbers as numbers in the file, but for those that begin with a zero: an account's."""
    if text.startswith("0") and text.isdecimal() and len(text) > 1:
        return text
    with suppress(ValueError):
        return int(text)
    with suppress(ValueError):
        return float(text)
    return text


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"{text!r} is not a number above 0")
    return value


def _deadline(text: str) -> float:
    seconds = parse_duration(text)
    if seconds > DEADLINE_MAX:
        raise ValueError(f"{text} is more than {format_duration(DEADLINE_MAX)}")
    return seconds


def _launcher(text: str) -> str:
    """A name, or a name and the one to fall back on; whether there are such launchers is known where they are."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*(,[a-z][a-z0-9-]*)?", text):
        raise ValueError(f"{text!r}: expected NAME or NAME,FALLBACK")
    return text


def _env(text: str) -> str:
    """Whether an image exists is known where it is pulled."""
    if not text.startswith(IMAGE):
        return one_of(ENVS)(text)
    if text == IMAGE:
        raise ValueError(f"{text!r}: expected image:URI")
    return IMAGE + image_name(text[len(IMAGE) :])


def image_name(text: str) -> str:
    """An image as docker names it: ``[host[:port]/]path[:tag][@digest]``."""
    if not _IMAGE_NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not the name of an image ([HOST/]NAME[:TAG], the name in lower case)")
    return text


def _store(text: str) -> str:
    scheme, mark, rest = text.partition("://")
    if not mark or scheme not in SCHEMES or (scheme != "memory" and not rest.strip("/")):
        raise ValueError(f"{text!r} is not a store (file:///dir or s3://bucket/prefix)")
    if scheme == "file" and not rest.startswith("/"):
        raise ValueError(f"{text!r} is not an absolute path (file:///dir has three slashes)")
    return text if scheme == "memory" else text.rstrip("/")


def _arch(text: str) -> str:
    """Docker and Linux have names of their own for the same two."""
    return one_of(ARCHES)({"amd64": "x86_64", "aarch64": "arm64"}.get(text, text))


def _yes_or_no(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _text(text: str) -> str:
    if not text.strip() or re.search(r"\s", text.strip()):
        raise ValueError(f"{text!r} is not one word (several are separated by commas)")
    return text.strip()


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text.strip().lower() == "none" else read(text)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "store": _store,
    "launcher": _launcher,
    "workers": whole(1),
    "cpu": _or_none(_number),
    "memory": _or_none(parse_size),
    "arch": _or_none(_arch),
    "env": _env,
    "slots": whole(1),
    "threads": _or_none(whole(1)),
    "timeout": _or_none(parse_duration),
    "retries": whole(0),
    "deadline": _deadline,
    "idle": parse_duration,
    "budget": _or_none(parse_money),
    "seed": _or_none(whole(0)),
    "spot_fallback": _yes_or_no,
    "max_hourly_cost": _or_none(parse_money),
    "cost_alert": _or_none(parse_money),
    **{key: _text for key in OF_THE_ACCOUNT if key.startswith(TABLE)},
    f"{TABLE}.public_ip": lambda text: str(_yes_or_no(text)).lower(),
    "interval": _number,
    "floor": _number,
}

_SHOWN: dict[str, Callable[[Any], str]] = {
    "cpu": lambda value: f"{value:g}",
    "memory": format_size,
    "timeout": format_duration,
    "deadline": format_duration,
    "idle": format_duration,
    **dict.fromkeys(("budget", "max_hourly_cost", "cost_alert"), lambda value: f"{value / 1_000_000:.2f}"),
}
