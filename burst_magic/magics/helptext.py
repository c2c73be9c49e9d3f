"""Generate ``--help``, the overview of ``burst`` and the reference from the table of options."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields

from burst_magic import config
from burst_magic.magics.option import Option, Verb
from burst_magic.magics.options import options
from burst_magic.magics.verb_table import VERBS

_DEFAULTS = {"workers": "config, or the number of cores here", "store": "config, or a folder in your data directory"}
_SIZED = {"cpu": "one per slot", "memory": "2GB per vCPU"}


def default(option: Option) -> str:
    """The default, for display."""
    key = option.setting
    if option.default or not key:
        return option.default
    if key in _DEFAULTS:
        return _DEFAULTS[key]
    standing = next(field.default for field in fields(config.Settings) if field.name == key)
    return _SIZED.get(key) or config.show(key, None if standing is MISSING else standing)


def usage(verb: Verb, *, terminal: bool = False) -> str:
    """One line: the verb, its arguments, and its options if they are few."""
    words = [verb.command if terminal or not verb.magic else verb.magic]
    words += [spec.metavar if spec.required else f"[{spec.metavar}{' …' * bool(spec.more)}]" for spec in verb.arguments]
    if verb.name == "config":
        words.append("[key=value …]")
    shown = [option for option in options(verb.name, terminal=terminal) if option.shown and option.name != "--help"]
    words += ["[options]"] if verb.place == "cell" else [f"[{option.usage}]" for option in shown]
    return " ".join(words)


def help_text(verb: Verb, *, terminal: bool = False) -> str:
    """The text of ``--help``."""
    parts = [usage(verb, terminal=terminal), "", f"  {verb.help}"]
    shown = [option for option in options(verb.name, terminal=terminal) if option.shown]
    groups = [*dict.fromkeys(option.group for option in shown if option.group)]
    groups = groups if len(groups) > 1 else []  # of few options, one heading would say what the others are not
    for group in groups:
        parts += ["", group, *_lines(option for option in shown if option.group == group)]
    parts += ["", *_lines(option for option in shown if option.group not in groups)]
    parts += ["", *_notes(verb)]
    return "\n".join(parts).rstrip()


def overview() -> str:
    """The text of ``burst --help``."""
    rows = [(verb.command.removeprefix("burst "), verb.help) for verb in VERBS if verb.command]
    width = max(len(name) for name, _ in rows)
    listed = (f"  {name:{width}}  {text}" for name, text in rows)
    return "\n".join(
        ["burst VERB [arguments]", "", "  burst_magic's line magics, for a terminal.", "", *listed, "", _TAIL]
    )


def reference() -> str:
    """The tables of docs/reference, in Markdown."""
    parts = []
    for verb in VERBS:
        names = " · ".join(f"`{usage(verb, terminal=bool(way))}`" for way in (0, 1) if (verb.magic, verb.command)[way])
        parts += [f"### {verb.magic or verb.command}", "", names, "", verb.help, ""]
        rows = [option for option in options(verb.name, terminal=True) if option.shown]
        parts += ["| option | default | meaning |", "|---|---|---|"]
        parts += [f"| `{_bars(option.usage)}` | {_bars(default(option))} | {_bars(option.help)} |" for option in rows]
        parts.append("")
    return "\n".join(parts)


_TAIL = "burst VERB --help describes a verb; burst --version prints the version."


def _lines(rows: Iterable[Option]) -> list[str]:
    lines = []
    for option in rows:
        text = option.help + (f" ({default(option)})" if default(option) else "")
        head = f"  {option.usage}"
        lines += [f"{head:26}{text}"] if len(head) < 26 else [head, f"{'':26}{text}"]
    return lines


def _notes(verb: Verb) -> list[str]:
    notes = []
    if any(spec.metavar == "ID" for spec in verb.arguments) or verb.place == "cell":
        notes.append("An ID is a session (its latest job), session/job, or a --name.")
    if any("D" in option.usage.split() for option in options(verb.name)) or verb.name == "extend":
        notes.append("D is 300, 300s, 5m, 24h or 2d.")
    return notes


def _bars(text: str) -> str:
    return text.replace("|", "\\|")
