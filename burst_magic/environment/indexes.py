"""Where packages come from: the indexes that uv and pip are configured with, and which of them workers may use.

Credentials never leave this machine. An index that asks for some is used here, to resolve; what comes from it is sent
as it is installed here, or not at all.
"""

from __future__ import annotations

import configparser
import netrc
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from burst_magic import folders
from burst_magic.dataclass import dataclass

PYPI = "https://pypi.org/simple"
_TOKEN = re.compile(r"[A-Za-z0-9_]{16,}")
_NAMED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)=(?P<url>.+)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """One package index.

    Attributes:
        url: without credentials.
        name: uv's, by which it finds credentials in the environment.
        is_open: workers can use it: it is on the network, and asks for no credentials or gets them by ``--setenv``.
        private: as configured, for this machine only.
    """

    url: str
    private: str = field(default="", repr=False)
    name: str = ""
    is_open: bool = True

    @property
    def is_on_the_network(self) -> bool:
        """Not a folder of this machine."""
        return urlsplit(self.url).scheme in {"http", "https"}

    @property
    def text(self) -> str:
        """As uv's options take it."""
        return f"{self.name}={self.url}" if self.name else self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexes:
    """All indexes of a configuration.

    Attributes:
        default: asked last.
        others: asked before it, in order.
        of_pip: they are pip's, which takes the best version of all; uv takes the first index that has the name.
    """

    default: Index = Index(url=PYPI, private=PYPI)
    others: tuple[Index, ...] = ()
    of_pip: bool = False

    @property
    def here(self) -> dict[str, str]:
        """Variables for uv on this machine, whose own configuration it reads itself. They may hold credentials."""
        if not self.of_pip:
            return {}
        others = [index.private for index in self.others if index.is_on_the_network]
        return {
            "UV_DEFAULT_INDEX": self.default.private if self.default.is_on_the_network else PYPI,
            "UV_INDEX": " ".join(others),
            "UV_INDEX_STRATEGY": "unsafe-best-match",
        }

    @property
    def there(self) -> tuple[str, ...]:
        """Options for uv on a worker. Hashes are checked there, so it does not matter which index answers."""
        others = [("--index", index.text) for index in self.others if index.is_open]
        default = self.default.text if self.default.is_open else PYPI
        return ("--default-index", default, *chain(*others), "--index-strategy", "unsafe-best-match")

    @property
    def facts(self) -> list[object]:
        """What tells this configuration from others, without credentials."""
        return [(index.text, index.is_open) for index in (self.default, *self.others)] + [self.of_pip]

    def is_open(self, url: str) -> bool:
        """Whether workers can use the index of this address."""
        known = {_bare(index.url): index.is_open for index in (self.default, *self.others)}
        return known.get(_bare(url), True)


def find(
    environ: Mapping[str, str], *, setenv: Iterable[str] = (), home: Path | None = None, folder: Path | None = None
) -> Indexes:
    """The configured indexes: uv's, or pip's where uv has none.

    Args:
        environ: variables of the process.
        setenv: names of the variables that workers get.
        home: of the user.
        folder: the current one.
    """
    home, folder = home or Path.home(), folder or folders.current()
    read = _Reader(environ, frozenset(setenv), home)
    default, others = _of_uv(environ, home, folder)
    if default or others:
        return Indexes(default=read.index(default or PYPI), others=tuple(map(read.index, others)))
    default, others = _of_pip(environ, home)
    if not default and not others:
        return Indexes()
    return Indexes(default=read.index(default or PYPI), others=tuple(map(read.index, others)), of_pip=True)


class _Reader:
    """Makes values of texts, and forgets credentials."""

    def __init__(self, environ: Mapping[str, str], setenv: frozenset[str], home: Path) -> None:
        self._environ, self._setenv = environ, setenv
        self._netrc = _hosts(Path(environ.get("NETRC") or home / ".netrc"))

    def index(self, text: str) -> Index:
        named = _NAMED.match(text) if "://" not in text.partition("=")[0] else None
        name, url = (named["name"], named["url"]) if named else ("", text)
        parts = urlsplit(url)
        secret = bool(parts.username or parts.password or parts.query) or (parts.hostname or "") in self._netrc
        secret = secret or any(map(_is_token, parts.path.split("/")))
        variable = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}_" if name else ""
        if name and any(f"{variable}{end}" in self._environ for end in ("USERNAME", "PASSWORD")):
            secret = True
        given = bool(name) and any(f"{variable}{end}" in self._setenv for end in ("USERNAME", "PASSWORD"))
        found = Index(url=_bare(url), private=url, name=name)
        return replace(found, is_open=found.is_on_the_network and (given or not secret))


def _is_token(part: str) -> bool:
    """Whether part of a path is a credential: some services of private indexes have it there."""
    return _TOKEN.fullmatch(part) is not None and any(map(str.isdigit, part)) and any(map(str.isalpha, part))


def _bare(url: str) -> str:
    """Without credentials, query and the slash at its end."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    place = f"{host}:{parts.port}" if parts.port else host
    return urlunsplit((parts.scheme, place, parts.path.rstrip("/"), "", ""))


def _hosts(file: Path) -> set[str]:
    try:
        return set(netrc.netrc(file).hosts)
    except (OSError, netrc.NetrcParseError):
        return set()


def _of_uv(environ: Mapping[str, str], home: Path, folder: Path) -> tuple[str, list[str]]:
    """Default and further indexes by uv's variables and files."""
    default = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or ""
    others = [*environ.get("UV_INDEX", "").split(), *environ.get("UV_EXTRA_INDEX_URL", "").split()]
    for table in _uv_tables(environ, home, folder):
        for entry in table.get("index", ()):
            text = f"{entry['name']}={entry['url']}" if entry.get("name") else str(entry["url"])
            if entry.get("default"):
                default = default or text
            else:
                others.append(text)
        default = default or str(table.get("index-url", ""))
        others += map(str, table.get("extra-index-url", ()))
        pip = table.get("pip", {})
        default = default or str(pip.get("index-url", ""))
        others += map(str, pip.get("extra-index-url", ()))
    return default, list(dict.fromkeys(others))


def _uv_tables(environ: Mapping[str, str], home: Path, folder: Path) -> Iterator[Mapping[str, Any]]:
    """In uv's own order: the project's, the user's, the system's."""
    if file := environ.get("UV_CONFIG_FILE"):
        yield _toml(Path(file))
        return
    for place in (folder, *folder.parents):
        if (place / "uv.toml").exists():
            yield _toml(place / "uv.toml")
            break
        table = _toml(place / "pyproject.toml").get("tool", {}).get("uv")
        if table is not None:
            yield table
            break
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    yield _toml(config / "uv" / "uv.toml")
    yield _toml(Path("/etc/uv/uv.toml"))


def _toml(path: Path) -> dict[str, Any]:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(path.read_text(encoding="utf-8")).unwrap()
    except (OSError, TOMLKitError, UnicodeDecodeError):
        return {}


def _of_pip(environ: Mapping[str, str], home: Path) -> tuple[str, list[str]]:
    """Default and further indexes by pip's files and variables, the later ones winning."""
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        home / "Library" / "Application Support" / "pip" / "pip.conf",
        config / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
        *([Path(environ["PIP_CONFIG_FILE"])] if environ.get("PIP_CONFIG_FILE") else ()),
    ]
    default, others = "", ""
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        for section in ("global", "install"):
            default = parser.get(section, "index-url", fallback=default)
            others = parser.get(section, "extra-index-url", fallback=others)
    default = environ.get("PIP_INDEX_URL") or default
    others = environ.get("PIP_EXTRA_INDEX_URL") or others
    return default, others.split()
