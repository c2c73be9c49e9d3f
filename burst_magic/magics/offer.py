"""Compute completions: options, their values, session ids, settings; from the table in ``options``. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from burst_magic import config, launchers
from burst_magic.dataclass import dataclass
from burst_magic.magics.option import Option, Verb
from burst_magic.magics.options import options
from burst_magic.magics.verb_table import verb

_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*$")
_CELL = re.compile(r"%%burst\s+(.*)", re.DOTALL)
_LINE = re.compile(r"(?:.*=)?\s*%burst_(\w+)\s+(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Replacements for ``fragment``, the text just before the cursor."""

    fragment: str
    words: tuple[str, ...]


def offer(
    line: str, *, ids: Callable[[], Iterable[str]], names: Callable[[str], Iterable[str]], first: bool = True
) -> Offer | None:
    """Compute what could follow.

    Args:
        line: the cursor's line up to the cursor.
        ids: returns the sessions' ids and names; called only where one fits.
        names: returns the Python names with a prefix; called only in the expression of ``--map``.
        first: whether it is the cell's first line, the only place for ``%%burst``.

    Returns:
        None if no completion of burst_magic fits.
    """
    spec, text = _magic(line, first=first)
    if spec is None:
        return None
    *before, fragment = re.split(r"\s+", text)
    if spec.name == "config":
        key, mark, typed = fragment.partition("=")
        return _fitting(typed, _values(key)) if mark else _fitting(fragment, _settings())
    table = {option.name: option for option in options(spec.name) if option.shown}
    option, typed = _open(table, before, fragment)
    if option and option.rest:
        word = _NAME.search(typed)
        return _fitting(word[0], names(word[0])) if word else None
    if option:
        return _fitting(typed, ids() if option.metavar == "ID" else option.choices)
    return _fitting(fragment, [*_plain(spec, fragment, ids), *_unused(table, before)])


def _magic(line: str, *, first: bool) -> tuple[Verb | None, str]:
    """The verb that the line calls, and the text after its name."""
    cell = _CELL.match(line) if first else None
    if cell:
        return verb("burst"), cell[1]
    match = _LINE.match(line)
    try:
        spec = verb(match[1]) if match else None
    except KeyError:
        spec = None
    return (spec, match[2]) if match and spec and spec.place == "line" else (None, "")


def _fitting(fragment: str, words: Iterable[str]) -> Offer | None:
    fitting = tuple(word for word in words if word.startswith(fragment))
    return Offer(fragment=fragment, words=fitting) if fitting else None


def _open(table: dict[str, Option], before: list[str], fragment: str) -> tuple[Option | None, str]:
    """The option whose value is being typed, with the text typed so far."""
    name, mark, typed = fragment.partition("=")
    if mark and name in table:
        return table[name], typed
    if fragment.startswith("-") or not before:
        return None, fragment
    last = next((word.partition("=")[0] for word in reversed(before) if word.startswith("--")), "")
    option = table.get(last)
    if option and option.rest:  # takes spaces: its text extends to the next option
        return option, fragment
    option = table.get(before[-1])
    return (option if option and not option.flag else None), fragment


def _plain(spec: Verb, fragment: str, ids: Callable[[], Iterable[str]]) -> Iterable[str]:
    takes = any(argument.metavar == "ID" for argument in spec.arguments)
    return ids() if takes and not fragment.startswith("-") else ()


def _unused(table: dict[str, Option], before: list[str]) -> Iterable[str]:
    said = {word.partition("=")[0] for word in before}
    return (name for name, option in table.items() if option.many or name not in said)


def _settings() -> list[str]:
    written = config.keys()
    return [key + "=" for key in written]


def _values(key: str) -> tuple[str, ...]:
    return {"launcher": launchers.names(), "arch": config.ARCHES}.get(key, ())
