"""Completion of options, their values, session ids and settings, from the table in ``options``.

``offer`` is pure: text before the cursor in, words out. ``register`` hands it to IPython (8.12 and newer) as a
matcher, which the terminal, ``shell.complete`` and a kernel's ``complete_request`` all ask.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from burst_magic import config
from burst_magic.magics.options import Option, Verb, options, verb

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext
    from IPython.core.interactiveshell import InteractiveShell

IDENTIFIER = "burst_magic"
TAIL = 65536  # bytes of the session list that are looked at: some hundred sessions

_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*$")
_CELL = re.compile(r"%%burst\s+(.*)", re.DOTALL)
_LINE = re.compile(r"(?:.*=)?\s*%burst_(\w+)\s+(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What may stand instead of ``fragment``, the text just before the cursor."""

    fragment: str
    words: tuple[str, ...]


def offer(
    line: str, *, ids: Callable[[], Iterable[str]], names: Callable[[str], Iterable[str]], first: bool = True
) -> Offer | None:
    """What could follow.

    Args:
        line: the cursor's line up to the cursor.
        ids: gives the sessions' ids and names, asked only where one fits.
        names: gives the Python names with a beginning, asked only in the expression of ``--map``.
        first: whether it is the first line of its cell, where alone ``%%burst`` is a magic.

    Returns:
        None where nothing of ours fits.
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
    return _fitting(fragment, [*_plain(spec, fragment, ids), *_unused(table, before, fragment)])


def session_ids(path: Path) -> list[str]:
    """Ids and names in the user's session list, newest first."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL))
        lines = file.read().splitlines()
    found: dict[str, None] = {}
    for line in reversed(lines):
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the first line is cut by TAIL, the last may be just being written
        if isinstance(row, dict):
            found.update(dict.fromkeys(str(row[key]) for key in ("id", "name") if row.get(key)))
    return list(found)


def register(shell: InteractiveShell) -> None:
    """Adds the matcher to the shell's completer, once."""
    from IPython.core.completer import SimpleCompletion, context_matcher

    def propose(context: CompletionContext) -> dict[str, object]:
        line, first = context.text_until_cursor, context.cursor_line == 0
        made = offer(line, ids=_user_ids, names=shell.Completer.global_matches, first=first)
        words = made.words if made else ()
        return {
            "completions": [SimpleCompletion(text=word, type="magic") for word in words],
            "suppress": bool(words),
            "ordered": True,
            "matched_fragment": made.fragment if made else context.token,
        }

    unregister(shell)
    shell.Completer.custom_matchers.append(context_matcher(identifier=IDENTIFIER)(propose))


def unregister(shell: InteractiveShell) -> None:
    """Removes it again, as ``%unload_ext`` does."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", "") != IDENTIFIER]


def _user_ids() -> list[str]:
    _, data = config.directories(config.environment())
    return session_ids(data / config.SESSIONS)


def _magic(line: str, *, first: bool) -> tuple[Verb | None, str]:
    """The verb that the line calls, and what follows its name."""
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
    """The option whose value is being typed, with what is typed of it."""
    name, mark, typed = fragment.partition("=")
    if mark and name in table:
        return table[name], typed
    if fragment.startswith("-") or not before:
        return None, fragment
    last = next((word.partition("=")[0] for word in reversed(before) if word.startswith("--")), "")
    option = table.get(last)
    if option and option.rest:  # takes blanks: its text goes on until the next option
        return option, fragment
    option = table.get(before[-1])
    return (option if option and not option.flag else None), fragment


def _plain(spec: Verb, fragment: str, ids: Callable[[], Iterable[str]]) -> Iterable[str]:
    takes = any(argument.metavar == "ID" for argument in spec.arguments)
    return ids() if takes and not fragment.startswith("-") else ()


def _unused(table: dict[str, Option], before: list[str], fragment: str) -> Iterable[str]:
    said = {word.partition("=")[0] for word in before}
    wanted = fragment.startswith("-") or not fragment
    return (name for name, option in table.items() if wanted and (option.many or name not in said))


def _settings() -> list[str]:
    written = config.keys()
    return [key + "=" for key in written]


def _values(key: str) -> tuple[str, ...]:
    return {"launcher": config.LAUNCHERS, "arch": config.ARCHES}.get(key, ())
