"""``burst``: the line magics for a terminal, with the same grammar, texts and errors.

Exit codes: 0 done, 1 refused or failed (one message on stderr, no traceback of ours), 2 wrong use.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Protocol

from burst_magic import config
from burst_magic.errors import BurstError, OptionError
from burst_magic.magics import calls
from burst_magic.magics.grammar import parse_argv
from burst_magic.magics.helptext import overview
from burst_magic.magics.options import VERBS

DONE, FAILED, MISUSED, INTERRUPTED = 0, 1, 2, 130


class Terminal(Protocol):
    """Where questions are asked."""

    def __call__(self, question: str, /) -> str | None:
        """The answer, or None where nobody can answer."""


def main(
    argv: Sequence[str] | None = None,
    *,
    perform: Callable[[calls.Call, config.Settings], str | None] | None = None,
    ask: Terminal | None = None,
) -> int:
    """Runs one verb.

    Args:
        argv: without the program's name; the process's own if not given.
        perform: does what a call says; the verbs of ``magics`` if not given.
        ask: puts a question to the user; the terminal if not given.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] in ([], ["--help"], ["-h"]):
        print(overview(), file=sys.stdout if words else sys.stderr)
        return DONE if words else MISUSED
    if words[0] == "--version":
        print(f"burst {_version()}")
        return DONE
    try:
        call = parse_argv(words)
    except OptionError as error:
        print(error, file=sys.stderr)
        return MISUSED
    return _run(call, perform or _perform, ask or _ask)


def _run(call: calls.Call, perform: Callable[[calls.Call, config.Settings], str | None], ask: Terminal) -> int:
    try:
        confirm(call, ask)
        text = call.text if isinstance(call, calls.Help) else perform(call, config.load())
        if text:
            print(text, flush=True)
    except BurstError as error:
        print(error, file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # `burst logs | head`: nobody reads on. The interpreter must not try to flush again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    return DONE


def confirm(call: calls.Call, ask: Terminal) -> None:
    """Asks before something is destroyed.

    Raises:
        BurstError: the answer is no, or nobody can answer.
    """
    if not isinstance(call, calls.CleanupCall) or call.yes or not (call.force or call.blobs):
        return
    what = "stored values that no session needs" if call.blobs else f"every object of {call.id or 'the session'}"
    answer = ask(f"Delete {what}? [y/N] ")
    if answer is None:
        raise BurstError(f"this deletes {what}, and there is no terminal to ask: say --yes")
    if answer.strip().lower() not in {"y", "yes"}:
        raise BurstError("nothing was deleted")


def _ask(question: str, /) -> str | None:
    if not sys.stdin or not sys.stdin.isatty():
        return None
    try:
        return input(question)
    except EOFError:
        return ""


def _perform(call: calls.Call, settings: config.Settings) -> str | None:
    """The function of ``magics.verbs`` that has the verb's name."""
    verbs = import_module("burst_magic.magics.verbs")
    name = next(spec.name for spec in VERBS if spec.call is type(call))
    text: str | None = getattr(verbs, name)(call, settings)
    return text


def _version() -> str:
    from importlib.metadata import version

    return version("burst_magic")
