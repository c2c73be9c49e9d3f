"""Asks before something is destroyed. Where nobody can answer it refuses: it never hangs."""

from __future__ import annotations

import sys
from typing import Protocol

from burst_magic.errors import BurstError
from burst_magic.magics import calls


class Terminal(Protocol):
    """Where questions are asked."""

    def __call__(self, question: str, /) -> str | None:
        """The answer, or None where nobody can answer."""


def confirm(call: calls.Call, ask: Terminal) -> None:
    """Asks, if the call destroys anything.

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


def ask(question: str, /) -> str | None:
    """Asks who sits at this process's terminal; a kernel has none."""
    if not sys.stdin or not sys.stdin.isatty():
        return None
    try:
        return input(question)
    except EOFError:
        return ""
