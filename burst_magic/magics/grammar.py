"""Parse ``%%burst``, the line magics and ``burst`` into calls.

A line is split as in a shell, except that an option such as ``--map`` takes its text verbatim, up to the next
`` --option`` outside quotes. Every mistake gives one line: an ``OptionError`` that names the option.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from burst_magic import config, launchers
from burst_magic.errors import OptionError
from burst_magic.magics import calls, helptext, hints
from burst_magic.magics.option import Argument, Option, Reader, Verb
from burst_magic.magics.options import OPTIONS, options
from burst_magic.magics.verb_table import VERBS, verb

_PIECE = r"""(?:[^\s'"]|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
_WORD = re.compile(rf"{_PIECE}+")
_REST = re.compile(rf"(?:(?!\s--[a-zA-Z])(?:\s|{_PIECE}))*")
_QUOTED = re.compile(r"""'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)\"""")


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
    raise OptionError(f"burst {argv[0]}: {hints.verb_meant(argv[0])}")


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
        return calls.Help(text=helptext.help_text(spec, terminal=terminal))
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
            _nothing_left(spec, option, text, words)
        else:
            plain.append(word)
    _place(given, spec, plain, title)
    _check(spec, given, title)
    return spec.call(**given)


def _known(table: dict[str, Option], name: str, title: str) -> Option:
    if name in table:
        return table[name]
    help_ = f"{_having(name, magics=title.startswith('%'))}see {title} --help"
    raise OptionError(f"{name}: " + _instead(name, tuple(table), what="option", otherwise=help_))


def _having(name: str, *, magics: bool) -> str:
    """The verbs that have an option which another one has not."""
    found = [each for each in OPTIONS if each.name == name and each.shown and not (magics and each.terminal)]
    verbs = {verb for option in found for verb in option.verbs}
    named = [(each.magic if magics or not each.command else each.command) for each in VERBS if each.name in verbs]
    return f"an option of {', '.join(filter(None, named))}; " if any(named) else ""


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
    """Refuse ``1 minute`` and ``8 GB``, which would parse as a number and an extra word."""
    problem = hints.one_word(where, metavar, text, words)
    if problem:
        raise OptionError(problem)


def _nothing_left(spec: Verb, option: Option, text: str, words: list[str]) -> None:
    """Refuse words behind the value of an option where a verb takes none of its own."""
    _one_word(option.name, option.metavar, text, words)
    more = list(takewhile(lambda word: not word.startswith("-"), words))
    if more and spec.place == "cell" and not option.flag:
        raise OptionError(hints.left_over(option, text, more))


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
        problem = hints.no_setting(plain)
        if problem:
            raise OptionError(problem)
        given["changes"] = {key: value for key, _, value in (word.partition("=") for word in plain)}
        return
    usage = helptext.usage(spec, terminal=title == spec.command)
    for argument in spec.arguments:
        at = next((at for at, word in enumerate(plain) if _reads(argument, word)), 0)  # in any order: N ID, or ID N
        if plain and (not argument.skip or _reads(argument, plain[at])):
            _one_word(title, argument.metavar, plain[at], plain[at + 1 :])
            given[argument.field] = _read(argument.read, f"{title} {argument.metavar}", plain.pop(at))
            if argument.more and plain:
                given[argument.more], plain = tuple(plain), []
        elif argument.required:
            raise OptionError(hints.missing(title, argument, usage))
    if plain and spec.place == "cell":
        raise OptionError(hints.no_word(title, plain))
    if plain:
        raise OptionError(hints.no_argument(spec, title, usage, plain))


def _reads(argument: Argument, word: str) -> bool:
    try:
        argument.read(word)
    except ValueError:
        return False
    return True


def _check_cleanup(given: dict[str, Any]) -> None:
    by_age = given.get("finished") or given.get("older_than") is not None
    if given.get("blobs") and (given.get("id") or given.get("force") or by_age):
        raise OptionError("--blobs applies to the whole store: omit ID and --force")
    if given.get("id") and by_age:
        raise OptionError("--finished and --older-than choose sessions: omit ID")


def _check_image(given: dict[str, Any]) -> None:
    pruning, building = given.keys() & {"older_than", "all"}, given.keys() & {"base", "remote"}
    if pruning and not given.get("prune"):
        raise OptionError("--older-than and --all choose the images that --prune deletes: add --prune")
    if building and given.get("prune"):
        raise OptionError("--prune builds no image: omit --base and --remote")


def _check_sandbox(given: dict[str, Any]) -> None:
    if given.get("demo") and given.get("empty"):
        raise OptionError("--demo runs on an account that is set up: omit --empty")


def _check(spec: Verb, given: dict[str, Any], title: str) -> None:
    """Check combinations of options."""
    if spec.name == "extend" and not {"duration", "budget"} & given.keys():
        raise OptionError(f"{title}: give a duration (1h), --budget, or both")
    if spec.name == "cleanup":
        _check_cleanup(given)
    if spec.name == "image":
        _check_image(given)
    if spec.name == "sandbox":
        _check_sandbox(given)
    if given.get("session") and given.get("fresh"):
        raise OptionError("--fresh starts a new session: omit --session")
    if given.get("session"):
        fixed = [key for key in config.OF_THE_SESSION if key in given.get("settings", {}) or given.get(key)]
        if fixed:
            problem, way_out = hints.of_the_session([f"--{key}" for key in fixed], given["session"])
            raise OptionError(problem, way_out=way_out)
