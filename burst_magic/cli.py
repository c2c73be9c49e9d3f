"""``burst``: the line magics for a terminal, with the same grammar, texts and errors.

Exit codes: 0 success, 1 failure (one message on stderr, no traceback), 2 wrong usage.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper

from burst_magic import config
from burst_magic.errors import BurstError, OptionError, visible
from burst_magic.magics import calls, consent
from burst_magic.magics.grammar import parse_argv
from burst_magic.magics.helptext import overview
from burst_magic.magics.verb_table import VERBS

_MAGIC = re.compile(r"%burst_(\w+)")
DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


def main(
    argv: Sequence[str] | None = None,
    *,
    perform: Callable[[calls.Call, config.Settings], str | None] | None = None,
    ask: consent.Terminal | None = None,
) -> int:
    """Runs one verb.

    Args:
        argv: without the program's name; by default the process's own.
        perform: carries out a call; by default the verbs of ``magics``.
        ask: asks the user a question; by default in the terminal.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # whatever the terminal cannot show is escaped
            stream.reconfigure(errors="backslashreplace")
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        return _main(words, perform or _perform, ask or consent.ask)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `burst logs | head` closes the pipe
        _say_no_more()
        return DONE
    except _Unprinted as error:
        _say_no_more()
        print(BurstError(str(error), context="the output of this command"), file=sys.stderr)
        return FAILED
    except OSError as error:  # of the system, where no module knows better
        if error.filename is None:
            _say_no_more()
        print(_in_words(error), file=sys.stderr)
        return FAILED


Perform = Callable[[calls.Call, config.Settings], "str | None"]


def _main(words: list[str], perform: Perform, ask: consent.Terminal) -> int:
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    if words[:1] in ([], ["--help"], ["-h"]):
        if not words:
            print(overview(), file=sys.stderr)
            return MISUSED
        _print(overview())
        return DONE
    if words[0] in {"--version", "-V", "version"}:
        _print(f"burst {_version()}")
        return DONE
    try:
        call = parse_argv(words)
    except OptionError as error:
        print(error, file=sys.stderr)
        return MISUSED
    return _run(call, perform, ask)


def _run(call: calls.Call, perform: Perform, ask: consent.Terminal) -> int:
    try:
        consent.confirm(call, ask)
        text = call.text if isinstance(call, calls.Help) else perform(call, config.load())
        if text:
            _print(visible(text))
    except BurstError as error:
        print(_as_typed_here(str(error)), file=sys.stderr)
        return FAILED
    return DONE


class _Unprinted(Exception):
    """The system's reason why this command's output cannot be written: a full disk behind ``>``."""


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _Unprinted(error.strerror or str(error)) from None


def _in_words(error: OSError) -> str:
    """What the system refuses, with the file if it names one."""
    where = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return str(BurstError(error.strerror or str(error), context=where))


def _say_no_more() -> None:
    """The interpreter must not flush again at exit what could not be written."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _as_typed_here(text: str) -> str:
    """Replace magics in error messages with terminal commands."""
    return _MAGIC.sub(r"burst \1", text)


def _perform(call: calls.Call, settings: config.Settings) -> str | None:
    """Call the function of ``magics.verbs`` with the verb's name."""
    verbs = import_module("burst_magic.magics.verbs")
    name = next(spec.name for spec in VERBS if spec.call is type(call))
    text: str | None = getattr(verbs, name)(call, settings)
    return text


def _version() -> str:
    from importlib.metadata import version

    return version("burst_magic")
