"""Asks before something is destroyed. Where nobody can answer it refuses: it never hangs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from burst_magic import config
from burst_magic.errors import AttachError, BurstError
from burst_magic.magics import calls
from burst_magic.magics.desk import DESK, described

if TYPE_CHECKING:
    from burst_magic.session.session import Session


class Terminal(Protocol):
    """Where questions are asked."""

    def __call__(self, question: str, /) -> str | None:
        """The answer, or None where nobody can answer."""


def confirm(call: calls.Call, ask: Terminal) -> None:
    """Asks, if the call destroys anything. The question names what that is, and the desk keeps it for the verb.

    Raises:
        BurstError: the answer is no, or nobody can answer; or it is not clear what is meant.
    """
    DESK.agreed = None
    if not isinstance(call, calls.CleanupCall) or call.yes or not (call.force or call.blobs):
        return
    what, session = ("stored values that no session needs", None) if call.blobs else _doomed(call.id)
    answer = ask(f"Delete {what}? [y/N] ")
    if answer is None:
        raise BurstError(f"this deletes {what}, and there is no terminal to ask: say --yes")
    if answer.strip().lower() not in {"y", "yes"}:
        raise BurstError("nothing was deleted")
    DESK.agreed = session


def _doomed(ident: str) -> tuple[str, Session | None]:
    """What a deletion means, in words, and the session; None where only remains may be left of it."""
    settings = config.load()
    try:
        session = DESK.doomed(ident, settings)
    except AttachError:
        if not ident:
            raise
        return f"what is left of {ident}", None
    return f"every object of {described(session, settings)}", session


def ask(question: str, /) -> str | None:
    """Asks who sits at this process's terminal; a kernel has none."""
    if not sys.stdin or not sys.stdin.isatty():
        return None
    try:
        return input(question)
    except EOFError:
        return ""
