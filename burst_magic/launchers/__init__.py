"""How workers start. Adding a launcher is a file and a line in ``TABLE``.

A launcher of another package is found by its entry point in the group ``burst_magic.launchers``, or is named with
``register``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from burst_magic import config
from burst_magic.errors import OptionError

if TYPE_CHECKING:
    from burst_magic.launchers.base import Launcher, Traits

# name -> the class, as "module:name"
TABLE: dict[str, str] = {"local": "burst_magic.launchers.local:LocalLauncher"}
GROUP = "burst_magic.launchers"
_REGISTERED: dict[str, Callable[[Path], Launcher]] = {}

__all__ = ["GROUP", "TABLE", "check", "names", "open_launcher", "parse", "register", "traits"]


def register(name: str, launcher: Callable[[Path], Launcher]) -> Callable[[], None]:
    """Makes a launcher known to this process under a name; returns how to take that back.

    Args:
        name: what ``--launcher`` calls it: lower-case letters, digits and dashes.
        launcher: its class, with ``traits`` as a class attribute; called with the folder for logs.
    """
    _REGISTERED[str(config.parse("launcher", name, where="register"))] = launcher

    def forget() -> None:
        _REGISTERED.pop(name, None)

    return forget


def names() -> tuple[str, ...]:
    """The launchers that this process can open without looking for other packages."""
    return (*TABLE, *(name for name in _REGISTERED if name not in TABLE))


def parse(text: str) -> tuple[str, ...]:
    """``--launcher``: a name, or a name and the one to fall back on.

    >>> parse("spot,fargate")
    ('spot', 'fargate')
    """
    return tuple(text.split(","))


def check(text: str, *, where: str) -> None:
    """Raises ``OptionError`` for the first name in ``text`` that is no launcher; it begins with ``where``."""
    for name in parse(text):
        try:
            _find(name)
        except LookupError:
            guess = config.nearest(name, names())
            said = f"did you mean {guess}?" if guess else f"not available (choose from {', '.join(names())})"
            raise OptionError(f"{where}: {name}: {said}") from None


def open_launcher(name: str, *, logs: Path) -> Launcher:
    """The launcher of that name; raises ``OptionError`` where there is none."""
    check(name, where="launcher")
    return _find(name)(logs)


def traits(text: str) -> dict[str, Traits]:
    """Name -> traits, in order, of what ``--launcher`` names; raises ``OptionError``."""
    check(text, where="launcher")
    return {name: cast("Traits", _find(name).traits) for name in parse(text)}  # type: ignore[attr-defined]


def _find(name: str) -> Callable[[Path], Launcher]:
    """Its class; raises ``LookupError``."""
    if name in _REGISTERED:
        return _REGISTERED[name]
    if name in TABLE:
        module, _, attribute = TABLE[name].partition(":")
        return cast("Callable[[Path], Launcher]", getattr(import_module(module), attribute))
    from importlib.metadata import entry_points  # looks at every package that is installed

    for found in entry_points(group=GROUP, name=name):
        return cast("Callable[[Path], Launcher]", found.load())
    raise LookupError(name)
