"""Parse ``%%burst``, the line magics and ``burst`` into calls.

A line is split as in a shell, except that an option such as ``--map`` takes its text verbatim, up to the next
`` --option`` outside quotes. Every mistake gives one line: an ``OptionError`` that names the option.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from burst_magic import config, launchers
from burst_magic.errors import OptionError
from burst_magic.magics import calls
from burst_magic.magics.helptext import help_text
from burst_magic.magics.option import Argument, Option, Reader, Verb
from burst_magic.magics.options import options
from burst_magic.magics.verb_table import VERBS, verb

_PIECE = r"""(?:[^\s'"]|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
_WORD = re.compile(rf"{_PIECE}+")
_REST = re.compile(rf"(?:(?!\s--[a-zA-Z])(?:\s|{_PIECE}))*")
_QUOTED = re.compile(r"""'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)\"""")
_UNIT = re.compile(r"(?:s|sec|second|m|min|minute|h|hr|hour|d|day)s?", re.IGNORECASE)


def parse_line(name: str, line: str) -> calls.Call:
    """Parse a magic's line.

    Args:
        name: of the verb, ``burst`` for the cell magic.
        line: the text after the magic's name, unexpanded.

    Raises:
        OptionError: with one clear line.
    """
    spec = verb(name)
    return _build(spec, _scan(spec, line), terminal=False)


def parse_argv(argv: Sequence[str]) -> calls.Call:
    """Parse the arguments of the ``burst`` command, verb first, as split by the shell.

    Raises:
        OptionError: with one clear line.
    """
    spec, rest = _verb_of(argv)
    return _build(spec, list(rest), terminal=True)


def _verb_of(argv: Sequence[str]) -> tuple[Verb, Sequence[str]]:
    for spec in VERBS:
        words = spec.command.split()[1:]
        if words and list(argv[: len(words)]) == words:
            return spec, argv[len(words) :]
    have = tuple(spec.command.removeprefix("burst ") for spec in VERBS if spec.command)
    raise OptionError(
        f"burst {argv[0]}: " + _instead(argv[0], have, what="verb", otherwise=f"available: {', '.join(have)}")
    )


def _scan(spec: Verb, line: str) -> list[str]:
    """Split a line into unquoted words; the text of an option that takes the rest is one word."""
    greedy = {option.name for option in options(spec.name) if option.rest}
    words: list[str] = []
    position = 0
    while rest := line[position:].lstrip():
        position = len(line) - len(rest)
        name = re.match(r"--[\w-]+", rest)
        if name and name[0] in greedy and (rest[name.end() :] + " ")[0] in "= \t":
            start = position + name.end()
            text = _REST.match(line, start)
            position = text.end() if text else start
            _closed(line, position)
            value = line[start:position].strip()
            value = value.removeprefix("=").strip()
            words += [name[0] + "=" + _whole_quote(value)] if value else [name[0]]
            continue
        word = _WORD.match(line, position)
        position = word.end() if word else position
        _closed(line, position)
        words.append(_unquote(line[len(line) - len(rest) : position]))
    return words


def _closed(line: str, position: int) -> None:
    """Check that a match ended at a space or the end; anything else is an unclosed quote."""
    if position < len(line) and not line[position].isspace():
        raise OptionError(f"a quote is not closed: {line[position:].rstrip()}")


def _unquote(word: str) -> str:
    return _QUOTED.sub(lambda match: re.sub(r"\\(.)", r"\1", match[1] or match[2] or ""), word)


def _whole_quote(text: str) -> str:
    """``"x in xs"`` becomes x in xs; ``"a" + "b"`` is unchanged."""
    match = _QUOTED.fullmatch(text)
    return (match[1] or match[2] or "") if match else text


def _build(spec: Verb, words: list[str], *, terminal: bool) -> calls.Call:
    if "--help" in words or "-h" in words:
        return calls.Help(text=help_text(spec, terminal=terminal))
    title = spec.command if terminal else spec.magic
    table = {option.name: option for option in options(spec.name, terminal=terminal)}
    given: dict[str, Any] = {}
    plain: list[str] = []
    while words:
        word = words.pop(0)
        if word.startswith("-") and len(word) > 1:
            name, mark, value = word.partition("=")
            option = _known(table, name, title)
            text = value if mark else _value(option, words, table)
            _take(given, option, text, mark=bool(mark))
            _one_word(option.name, option.metavar, text, words)
        else:
            plain.append(word)
    _place(given, spec, plain, title)
    _check(spec, given, title)
    return spec.call(**given)


def _known(table: dict[str, Option], name: str, title: str) -> Option:
    if name in table:
        return table[name]
    help_ = f"see {title} --help"
    raise OptionError(f"{name}: " + _instead(name, tuple(table), what="option", otherwise=help_))


def _instead(word: str, choices: tuple[str, ...], *, what: str, otherwise: str) -> str:
    """The end of an error message. Dashes are ignored in guesses, or all options would look similar."""
    bare = {choice.strip("-"): choice for choice in choices}
    guess = bare.get(config.nearest(word.strip("-"), tuple(bare)))
    return f"unknown {what}; did you mean {guess}?" if guess else f"unknown {what} ({otherwise})"


def _value(option: Option, words: list[str], table: dict[str, Option]) -> str:
    """The value after an option that takes one."""
    if option.flag:
        return ""
    if not words or words[0].startswith("--") or words[0] in table:
        raise OptionError(f"{option.name}: missing value ({option.usage})")
    return words.pop(0)


def _one_word(where: str, metavar: str, text: str, words: list[str]) -> None:
    """Refuse ``1 minute``, which would parse as one second and an extra word."""
    if metavar == "D" and text.isdigit() and words and _UNIT.fullmatch(words[0]):
        raise OptionError(f"{where}: write a duration as one word: {text}{words[0][0].lower()}, not {text} {words[0]}")


def _take(given: dict[str, Any], option: Option, text: str, *, mark: bool) -> None:
    """Parse one option into the call's fields."""
    if option.flag and mark:
        raise OptionError(f"{option.name}: takes no value (got {text!r})")
    if not option.flag and not text:
        raise OptionError(f"{option.name}: missing value ({option.usage})")
    if option.many:
        given[option.target] = (*given.get(option.target, ()), _read(option.read, option.name, text))
        return
    values = given.setdefault("settings", {}) if option.setting else given
    key = option.setting or option.target
    if key in values:
        raise OptionError(f"{option.name}: given twice")
    if option.setting:
        config.parse(key, text, where=option.name)
        if key == "launcher":
            launchers.check(text, where=option.name)
        values[key] = text
    else:
        values[key] = True if option.flag else _read(option.read, option.name, text)


def _read(read: Reader, where: str, text: str) -> object:
    try:
        return read(text)
    except ValueError as error:
        raise OptionError(f"{where}: {error}") from None


def _place(given: dict[str, Any], spec: Verb, plain: list[str], title: str) -> None:
    """Assign positional words to the verb's arguments, in order."""
    if spec.name == "config":
        given["changes"] = dict(_change(word) for word in plain)
        return
    for argument in spec.arguments:
        if plain and (not argument.skip or _reads(argument, plain[0])):
            _one_word(title, argument.metavar, plain[0], plain[1:])
            given[argument.field] = _read(argument.read, f"{title} {argument.metavar}", plain.pop(0))
        elif argument.required:
            raise OptionError(f"{title}: {argument.metavar} is missing")
    if plain and spec.place == "cell":
        raise OptionError(f"{title} accepts options only, not {plain[0]!r}; did you mean --map {plain[0]}?")
    if plain:
        raise OptionError(f"{title}: {plain[0]!r} is an unexpected argument")


def _change(word: str) -> tuple[str, str]:
    key, mark, value = word.partition("=")
    if not mark or not key:
        raise OptionError(f"{word!r} is not key=value")
    return key, value


def _reads(argument: Argument, word: str) -> bool:
    try:
        argument.read(word)
    except ValueError:
        return False
    return True


def _check(spec: Verb, given: dict[str, Any], title: str) -> None:
    """Check combinations of options."""
    if spec.name == "extend" and not {"duration", "budget"} & given.keys():
        raise OptionError(f"{title}: give a duration (1h), --budget, or both")
    if spec.name == "cleanup" and given.get("blobs") and (given.get("id") or given.get("force")):
        raise OptionError("--blobs applies to the whole store: omit ID and --force")
    if given.get("session") and given.get("fresh"):
        raise OptionError("--fresh starts a new session: omit --session")
    if given.get("session"):
        for key in config.OF_THE_SESSION:
            if key in given.get("settings", {}) or given.get(key):
                raise OptionError(f"--{key}: is fixed when the session starts; it cannot be used with --session")
