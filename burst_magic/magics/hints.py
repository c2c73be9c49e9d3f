"""The way out of wrong words on a line: what the user most likely meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from burst_magic import config
from burst_magic.magics.option import Argument, Option, Verb
from burst_magic.magics.verb_table import VERBS

_UNITS = {
    "D": ("a duration", re.compile(r"(?:s|sec|second|m|min|minute|h|hr|hour|d|day)s?", re.IGNORECASE)),
    "SIZE": ("a size", re.compile(r"(?:[mg](?:i?b)?|(?:mega|giga|mebi|gibi)bytes?)", re.IGNORECASE)),
}
_TEXTS = ("LABEL", "PATH", "NAME[=VALUE]", "ID", "URL")  # of options whose values may hold blanks
# What people type out of habit, or by the words of other tools.
_SYNONYMS = {
    "cancel": ("abort", "end", "kill", "stop"),
    "cleanup": ("clean", "delete", "destroy", "remove", "rm"),
    "collect": ("fetch", "gather", "get", "result", "results", "values"),
    "sessions": ("jobs", "list", "ls", "ps", "session"),
    "status": ("info", "progress", "show", "stat"),
    "logs": ("output", "tail"),
    "scale": ("resize", "workers"),
    "config": ("configure", "set", "settings"),
    "doctor": ("check", "test"),
    "cost": ("bill", "price", "prices"),
    "quota": ("limits", "quotas"),
    "watch": ("follow", "wait"),
    "key show": ("key",),
    "sandbox": ("demo",),
}
_MEANT = {word: verb for verb, words in _SYNONYMS.items() for word in words}


def verb_meant(word: str) -> str:
    """The end of the message for a word that is no verb of ``burst``."""
    have = tuple(spec.command.removeprefix("burst ") for spec in VERBS if spec.command)
    typed = word.strip("%").lower().removeprefix("burst_")
    guess = typed if typed in have else _MEANT.get(typed) or config.nearest(typed, have)
    return f"unknown verb; did you mean burst {guess}?" if guess else "unknown verb (burst --help lists them)"


def one_word(where: str, metavar: str, text: str, words: Sequence[str]) -> str:
    """Why ``1 minute`` and ``8 GB`` are refused, which would parse as a number and an extra word; "" if they aren't."""
    kind, unit = _UNITS.get(metavar, ("", None))
    if unit is None or not re.fullmatch(r"[\d.]+", text) or not words or not unit.fullmatch(words[0]):
        return ""
    short = words[0][0].lower() if metavar == "D" else f"{words[0][0].upper()}B"
    return f"{where}: write {kind} as one word: {text}{short}, not {text} {words[0]}"


def left_over(option: Option, text: str, words: Sequence[str]) -> str:
    """The message for words behind an option's value."""
    said = " ".join(words)
    problem = f"{option.name} takes one word, and {said!r} is left over"
    if option.metavar in _TEXTS:
        return f'{problem}; with blanks, write {option.name} "{text} {said}"'
    return f"{problem}; if it is what to run for: --map {_quoted(words)}"


def no_word(title: str, words: Sequence[str]) -> str:
    """The message for words of a cell's line that belong to no option: items, or ``%burst status`` for a magic."""
    said = " ".join(words)
    magic = any(spec.name == words[0] and spec.place not in {"cell", "terminal"} for spec in VERBS)
    meant = f"%burst_{said}, or --map {_quoted(words)}" if magic else f"--map {_quoted(words)}"
    return f"{title} accepts options only, not {said!r}; did you mean {meant}?"


def _quoted(words: Sequence[str]) -> str:
    return f'"{" ".join(words)}"' if len(words) > 1 else words[0]


def no_setting(words: Sequence[str]) -> str:
    """The message for words of ``config`` that are not key=value; "" if all are."""
    wrong = next((word for word in words if not word.partition("=")[0] or "=" not in word), "")
    if not wrong:
        return ""
    said = [word for word in words if word not in {"set", "get", "show"}]
    if said and said[0] in config.keys():
        value = said[1] if len(said) > 1 and "=" not in said[1] else "VALUE"
        return f"{wrong!r} is not key=value; did you mean {said[0]}={value}?"
    return f"{wrong!r} is not key=value"


def no_argument(verb: Verb, title: str, usage: str, words: Sequence[str]) -> str:
    """The message for words that a verb has no argument for."""
    named = f"{words[0]!r} is an unexpected argument"
    if any(spec.metavar == "ID" for spec in verb.arguments) or not verb.arguments:
        return f"{title}: {named} (usage: {usage})"
    return f"{title}: {named}"


def missing(title: str, argument: Argument, usage: str) -> str:
    """The message for an argument that is not there."""
    return f"{title}: {argument.metavar} is missing (usage: {usage})"


def of_the_session(names: Sequence[str], session: str) -> tuple[str, str]:
    """(problem, way out) for options that only a new session can have."""
    listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    are, them = ("are", "them") if len(names) > 1 else ("is", "it")
    return (
        f"{listed} {are} fixed when a session starts, and --session {session} has started",
        f"leave out {listed}, or leave out --session to start a session with {them}",
    )
