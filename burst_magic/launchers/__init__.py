"""How workers start. Adding a launcher is a file and a line in ``TABLE``.

Launchers of other packages are found through the entry point group ``burst_magic.launchers``, or registered with
``register``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from burst_magic import config
from burst_magic.errors import OptionError

if TYPE_CHECKING:
    from burst_magic.launchers.base import Launcher, Traits

# name -> its class, or what makes it and has its traits, as "module:name"
TABLE: dict[str, str] = {
    "local": "burst_magic.launchers.local:LocalLauncher",
    "fargate": "burst_magic.launchers.ecs:FARGATE",
    "spot": "burst_magic.launchers.ecs:SPOT",
}
IN_AN_ACCOUNT = "fargate"  # what `burst setup` makes the default
GROUP = "burst_magic.launchers"
_REGISTERED: dict[str, Callable[[Path], Launcher]] = {}

__all__ = [
    "GROUP",
    "IN_AN_ACCOUNT",
    "TABLE",
    "check",
    "names",
    "open_launcher",
    "own_arch",
    "parse",
    "register",
    "traits",
]


def register(name: str, launcher: Callable[[Path], Launcher]) -> Callable[[], None]:
    """Register a launcher in this process; return a function that unregisters it.

    Args:
        name: what ``--launcher`` calls it: lower-case letters, digits and dashes.
        launcher: its class, with ``traits`` as a class attribute; called with the folder for logs.
    """
    _REGISTERED[str(config.parse("launcher", name, where="register"))] = launcher

    def forget() -> None:
        _REGISTERED.pop(name, None)

    return forget


def names() -> tuple[str, ...]:
    """The launchers available without searching other packages."""
    return (*TABLE, *(name for name in _REGISTERED if name not in TABLE))


def parse(text: str) -> tuple[str, ...]:
    """Parse ``--launcher``: a name, or a name and a fallback.

    >>> parse("spot,fargate")
    ('spot', 'fargate')
    """
    return tuple(text.split(","))


def check(text: str, *, where: str) -> None:
    """Raise ``OptionError`` for the first unknown launcher in ``text``; the message begins with ``where``."""
    for name in parse(text):
        try:
            _find(name)
        except LookupError:
            guess = config.nearest(name, names())
            said = f"did you mean {guess}?" if guess else f"not available (choose from {', '.join(names())})"
            raise OptionError(f"{where}: {name}: {said}") from None


def open_launcher(name: str, *, logs: Path) -> Launcher:
    """Open the launcher of that name; raises ``OptionError`` if there is none."""
    check(name, where="launcher")
    return _find(name)(logs)


def traits(text: str, *, fallback: bool = False) -> dict[str, Traits]:
    """Name -> traits of the launchers in ``--launcher``, in order; raises ``OptionError``.

    Args:
        text: the option's.
        fallback: add the launcher that a single one falls back on by itself.
    """
    check(text, where="launcher")
    found = {name: _traits_of(name) for name in parse(text)}
    (first, *others) = found.values()
    if fallback and first.fallback and not others:
        found[first.fallback] = _traits_of(first.fallback)
    return found


def own_arch(terms: Mapping[str, Traits], options: Mapping[str, str]) -> str:
    """The architecture of workers for which none is asked, or "" where that is not known.

    Args:
        terms: of the launcher and its fallback.
        options: the ``[aws]`` table.
    """
    first = next(iter(terms.values()))
    return first.own_arch(options) if all(options.get(name) for name in first.needs) else ""


def _traits_of(name: str) -> Traits:
    return cast("Traits", _find(name).traits)  # type: ignore[attr-defined]


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
