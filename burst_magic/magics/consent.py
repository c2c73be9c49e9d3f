"""Ask for confirmation before destroying anything, or making anything in an account.

Without a terminal it refuses; it never hangs.
"""

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
    DESK.agreed = DESK.agreed_images = DESK.agreed_sessions = None
    if isinstance(call, calls.ImageCall):
        _confirm_images(call, ask)
        return
    if isinstance(call, (calls.SetupCall, calls.TeardownCall)):
        _confirm_account(call, ask)
        return
    if isinstance(call, calls.CleanupCall) and not call.yes:
        _confirm_cleanup(call, ask)


def _confirm_cleanup(call: calls.CleanupCall, ask: Terminal) -> None:
    """Ask before anything is deleted, or a clean-up throws away queued work."""
    from burst_magic.magics import cleaning

    session, idents = None, None
    if call.force or call.blobs:
        if call.blobs:
            what = "stored values and parts of environments that no session uses"
        elif call.several:
            what, idents = cleaning.several_to_delete(call, config.load())
        else:
            what, idents, session = _session_to_delete(call.id)
        if what:
            _ask_about(what, ask)
    else:
        if call.several:
            lost, idents = cleaning.several_to_stop(call, config.load())
        else:
            lost, idents, session = cleaning.to_stop(call, config.load())
        if lost:
            question = f"Stop {lost.workers}? {lost.why[0].upper()}{lost.why[1:]}. [y/N] "
            _insist(ask(question), what=f"stops {lost.workers}, and {lost.why}", done="stopped")
    DESK.agreed, DESK.agreed_sessions = session, None if idents is None else tuple(idents)


def _confirm_images(call: calls.ImageCall, ask: Terminal) -> None:
    if call.prune and not call.yes:
        from burst_magic.magics.images import to_delete

        images = to_delete(call, config.load())
        DESK.agreed_images = frozenset(image.tag for image in images)
        if images:
            named = ", ".join(image.tag for image in images[:_NAMED])
            more = f" and {len(images) - _NAMED} more" if len(images) > _NAMED else ""
            _ask_about(f"{len(images)} image{'s' * (len(images) > 1)} ({named}{more})", ask)


def _ask_about(what: str, ask: Terminal) -> None:
    _insist(ask(f"Delete {what}? [y/N] "), what=f"deletes {what}", done="deleted")


def _confirm_account(call: calls.SetupCall | calls.TeardownCall, ask: Terminal) -> None:
    """Ask before anything is made or deleted in the AWS account."""
    if call.yes or (isinstance(call, calls.SetupCall) and call.plan):
        return
    from burst_magic.aws.setup import Account

    settings = config.load()
    where = Account(call.region or settings.aws.get("region", "")).identity().where
    name = calls.of_stack(call, settings).name
    stack = f"the stack {name} in account {where.account}, {where.region}"  # a profile may be another one's
    if isinstance(call, calls.SetupCall):
        what, done = f"makes {stack} (--plan shows it)", "made"
        question = f"Make {stack}? burst setup --plan shows what is in it. [y/N] "
    else:
        what, done = f"deletes {stack}, with all stored results", "deleted"
        question = f"Stop what runs, and delete {stack}, with all stored results? [y/N] "
    _insist(ask(question), what=what, done=done)


def _insist(answer: str | None, *, what: str, done: str) -> None:
    """Raise unless the answer is yes."""
    if answer is None:
        raise BurstError(f"this {what}. Add --yes to confirm.")
    if answer.strip().lower() not in {"y", "yes"}:
        raise BurstError(f"nothing was {done}")


def _session_to_delete(ident: str) -> tuple[str, list[str] | None, Session | None]:
    """Describe a deletion in words, with the session's id and the session, or None: only its remains may exist, or it
    cannot be read yet."""
    from burst_magic.magics import cleaning

    settings = config.load()
    if sid := cleaning.closed(ident, settings, force=True):
        return _closed_one(sid), [sid], None
    try:
        session = DESK.session_to_delete(ident, settings)
    except DELETED_ALL_THE_SAME as problem:
        if not ident or isinstance(problem, VersionError):
            raise
        why = "" if isinstance(problem, AttachError) else f", which cannot be read ({problem.problem})"
        return f"the remains of {ident}{why}", None, None
    if cleaning.closed(session.id, settings, force=True):  # without an ID, it is known only now which one is meant
        return _closed_one(session.id), [session.id], None
    return f"every object of {described(session)}", [session.id], session


def _closed_one(sid: str) -> str:
    from burst_magic.magics import cleaning

    return f"every object of session {sid} ({cleaning.CLOSED})"


def ask(question: str, /) -> str | None:
    """Ask in this process's terminal; a kernel has none."""
    if not sys.stdin or not sys.stdin.isatty():
        return None
    try:
        return input(visible(question))
    except (EOFError, KeyboardInterrupt):  # ^D, ^C: no
        print()
        return ""
