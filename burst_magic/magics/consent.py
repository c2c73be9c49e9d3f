"""Ask for confirmation before destroying anything. Without a terminal it refuses; it never hangs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

from burst_magic import config
from burst_magic.errors import AttachError, BurstError, RecordError, SignatureError, VersionError, visible
from burst_magic.magics import calls
from burst_magic.magics.desk import DESK, described

if TYPE_CHECKING:
    from burst_magic.session.session import Session


# A session that is not whole, or whose records cannot be read, goes too; not one of a newer version.
DELETED_ALL_THE_SAME = (AttachError, SignatureError, RecordError)
_NAMED = 5  # images in a question, at most


class Terminal(Protocol):
    """Asks the user questions."""

    def __call__(self, question: str, /) -> str | None:
        """The answer, or None without a terminal."""


def confirm(call: calls.Call, ask: Terminal) -> None:
    """Ask if the call destroys anything. The question names it, and the desk keeps it for the verb.

    Raises:
        BurstError: the user declined, there is no terminal, or the ID is ambiguous.
    """
    DESK.agreed = None
    if isinstance(call, calls.ImageCall):
        _confirm_images(call, ask)
        return
    if not isinstance(call, calls.CleanupCall) or call.yes or not (call.force or call.blobs):
        return
    what, session = ("stored values that no session uses", None) if call.blobs else _session_to_delete(call.id)
    _ask_about(what, ask)
    DESK.agreed = session


def _confirm_images(call: calls.ImageCall, ask: Terminal) -> None:
    if call.prune and not call.yes:
        from burst_magic.magics.images import to_delete

        images = to_delete(call, config.load())
        if images:
            named = ", ".join(image.tag for image in images[:_NAMED])
            more = f" and {len(images) - _NAMED} more" if len(images) > _NAMED else ""
            _ask_about(f"{len(images)} image{'s' * (len(images) > 1)} ({named}{more})", ask)


def _ask_about(what: str, ask: Terminal) -> None:
    answer = ask(f"Delete {what}? [y/N] ")
    if answer is None:
        raise BurstError(f"this deletes {what}. Add --yes to confirm.")
    if answer.strip().lower() not in {"y", "yes"}:
        raise BurstError("nothing was deleted")


def _session_to_delete(ident: str) -> tuple[str, Session | None]:
    """Describe a deletion in words, with the session, or None if only its remains may exist."""
    settings = config.load()
    try:
        session = DESK.session_to_delete(ident, settings)
    except DELETED_ALL_THE_SAME as problem:
        if not ident or isinstance(problem, VersionError):
            raise
        why = "" if isinstance(problem, AttachError) else f", which cannot be read ({problem.problem})"
        return f"the remains of {ident}{why}", None
    return f"every object of {described(session)}", session


def ask(question: str, /) -> str | None:
    """Ask in this process's terminal; a kernel has none."""
    if not sys.stdin or not sys.stdin.isatty():
        return None
    try:
        return input(visible(question))
    except EOFError:
        return ""
