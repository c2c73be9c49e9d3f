"""``%burst_cleanup``: of one session or several, chosen by ID or by age, and what is asked before."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from burst_magic.dataclass import dataclass
from burst_magic.errors import AttachError, BurstError, VersionError
from burst_magic.magics import calls
from burst_magic.magics.desk import DELETED_TOO, DESK, described, other_jobs
from burst_magic.protocol.wire.keys import is_session_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from burst_magic.config import Settings
    from burst_magic.session.session import Session

_NAMED = 5  # sessions in a question, at most
CLOSED = "its folders are closed to you; access will be restored"  # in a question


def run(call: calls.CleanupCall, settings: Settings) -> str:
    """Stop workers; with ``--force``, delete every object of the sessions."""
    if call.blobs:
        from burst_magic.session.sweep import sweep_blobs

        swept = sweep_blobs(settings)
        young = f"; {swept.young} unused values were kept because they are less than an hour old"
        return f"{swept.deleted} stored values deleted, {swept.bytes / 1e6:,.1f} MB{young if swept.young else ''}"
    if not call.several:
        (ident,) = DESK.agreed_sessions or (call.id,)
        return _one(replace(call, id=ident), settings)
    said, problems = [], []
    for ident in chosen(call, settings):
        try:
            said.append(_one(replace(call, id=ident), settings))
        except BurstError as problem:  # the others can be cleaned up
            problems.append(f"{ident}: {problem.problem}")
    if problems:
        raise BurstError("\n".join([*said, *problems]), way_out="the sessions without a problem were cleaned up")
    return "\n".join(said) or "no such sessions"


def closed(ident: str, settings: Settings, *, force: bool) -> str:
    """The session's id, if its folders would be opened: what is in them is not known before somebody has agreed.

    Args:
        ident: what the user typed; "" is never closed.
        settings: the user's directories and store.
        force: it would be deleted.

    Raises:
        OptionError: it would be deleted, and several sessions have the name, or it means one job of several.
    """
    from burst_magic.session import remains

    sid = ""
    with contextlib.suppress(BurstError):  # told of when it is cleaned up
        sid = remains.closed(ident, settings)
    if sid and force:
        DESK.sure_of_closed(ident, sid, settings)
    return sid


def _reopen(ident: str, settings: Settings, *, force: bool) -> None:
    """What this user has closed to himself would be denied, for as long as somebody waits for it to be opened."""
    from burst_magic.session import remains

    if sid := closed(ident, settings, force=force):
        with contextlib.suppress(BurstError):  # told of at once
            remains.reopen(sid, settings)


def chosen(call: calls.CleanupCall, settings: Settings) -> list[str]:
    """The IDs in a call for several sessions; by age and end, those of this user's list: others may use the store, too.

    Once a question has named them, these and no others: meanwhile more may have ended, or have got a name.
    """
    if DESK.agreed_sessions is not None:
        return list(DESK.agreed_sessions)
    if not call.by_age:
        return list(dict.fromkeys((call.id, *call.more)))
    from burst_magic.session import attach as attaching

    before = time.time() - (call.older_than or 0.0)
    mine = {line.id for line in attaching.known(settings)}
    where = [each for each in attaching.whereabouts(settings) if each[0] in mine]
    rows = [row for row in attaching.sessions(settings, where=where) if not row.problem]
    finished = [row for row in rows if not call.finished or row.state != "running"]
    return [row.id for row in finished if row.last_activity <= before]


def _one(call: calls.CleanupCall, settings: Settings) -> str:
    from burst_magic.magics.consent import DELETED_ALL_THE_SAME

    agreed = None if call.several else DESK.agreed
    _reopen(call.id, settings, force=call.force)
    try:
        if call.force:
            session = agreed or DESK.session_to_delete(call.id, settings)
        else:
            session = agreed or DESK.find(call.id, settings, sure=True)
    except DELETED_ALL_THE_SAME as problem:
        newer = isinstance(problem, VersionError)
        removed = _remove_remains(call.id, settings, problem) if call.force and call.id and not newer else ""
        if not removed:
            raise
        return removed
    _reopen(session.id, settings, force=call.force)  # without an ID, it is known only now which one is meant
    others = other_jobs(session, **({"lead": DELETED_TOO} if call.force else {}))
    done = session.cleanup(force=call.force)
    if not call.force:
        return f"{done} (--force deletes them){others}"
    for key in [key for key in DESK.open if key[0] == session.id]:
        DESK.open.pop(key).detach()
    return f"{done}{others}"


def _remove_remains(ident: str, settings: Settings, problem: BurstError) -> str:
    """Delete the remains of a session whose submission or deletion was interrupted, or that cannot be read."""
    from burst_magic.session import remains

    removed = remains.remove(ident, settings, damaged=not isinstance(problem, AttachError))
    return f"session {removed[0]}: its remains were deleted, {removed[1]} objects" if removed else ""


def not_run(session: Session) -> int:
    """Tasks of all jobs of a session that have not begun, and would not if its workers ended."""
    from burst_magic.session import attach as attaching

    seen = [session.status()]
    for ident in attaching.siblings(session):
        with contextlib.suppress(AttachError):  # announced but never committed
            job = attaching.sibling(session, ident)
            seen.append(job.status())
            if (job.id, job.job) not in DESK.open:
                job.detach()
    return sum(each.pending for each in seen if each.ended is None)


@dataclass(frozen=True, slots=True)
class Lost:
    """What a clean-up that keeps results leaves undone, in words: whose workers it stops, and why it asks."""

    workers: str
    why: str


def to_stop(call: calls.CleanupCall, settings: Settings) -> tuple[Lost | None, list[str], Session | None]:
    """What a clean-up of one session would leave undone; its id; the session, unless it cannot be read yet."""
    if sid := closed(call.id, settings, force=False):
        return _lost("", [sid]), [sid], None
    session = DESK.find(call.id, settings, sure=True)
    if closed(session.id, settings, force=False):  # without an ID, it is known only now which one is meant
        return _lost("", [session.id]), [session.id], None
    count = not_run(session)
    return _lost(f"{_tasks(count)} of session {session.id}" if count else "", []), [session.id], session


def several_to_stop(call: calls.CleanupCall, settings: Settings) -> tuple[Lost | None, list[str]]:
    """The same of several, and their ids. Looks at them only: nobody has asked for their lost workers.

    Raises:
        BurstError: a name means no session. One that cannot be read is told of when it is cleaned up.
    """
    waiting, idents, shut = {}, [], []
    for ident in chosen(call, settings):
        if sid := closed(ident, settings, force=False):
            idents.append(sid)
            shut.append(sid)
            continue
        try:
            with DESK.looking_at(ident, "", settings) as session:
                idents.append(session.id)
                waiting[session.id] = not_run(session)
        except BurstError:
            if not is_session_id(ident):
                raise
            idents.append(ident)
    named = _listed([f"{ident} ({count:,})" for ident, count in waiting.items() if count])
    return _lost(f"{_tasks(sum(waiting.values()))} of {named}" if named else "", shut), idents


def several_to_delete(call: calls.CleanupCall, settings: Settings) -> tuple[str, list[str]]:
    """Several sessions that would be deleted, in words, and their ids.

    Raises:
        BurstError: a name means no session, or one job of several.
    """
    what, idents = [], []
    for ident in chosen(call, settings):
        if sid := closed(ident, settings, force=True):
            what.append(f"{sid} ({CLOSED})")
            idents.append(sid)
            continue
        try:
            with _to_be_deleted(ident, settings) as session:
                what.append(described(session).removeprefix("session "))
                idents.append(session.id)
        except BurstError as problem:
            if not is_session_id(ident):
                raise
            what.append(f"{ident} ({problem.problem})")
            idents.append(ident)
    return (f"every object of {len(what)} session{'s' * (len(what) != 1)}: {_listed(what)}" if what else ""), idents


@contextlib.contextmanager
def _to_be_deleted(ident: str, settings: Settings) -> Iterator[Session]:
    """By its ID it is looked at only, and starts no workers; a name may mean one job of several, which is refused."""
    if is_session_id(ident):
        with DESK.looking_at(ident, "", settings) as session:
            yield session
    else:
        yield DESK.session_to_delete(ident, settings)


def _tasks(count: int) -> str:
    return f"{count:,} task{'s' * (count != 1)} that {'has' if count == 1 else 'have'} not begun"


def _lost(counted: str, shut: list[str]) -> Lost | None:
    """Tasks that were counted, in words, and the sessions whose tasks cannot be; None if there are neither."""
    counted = f"{counted} will not run" if counted else ""
    if not shut:
        return Lost("the workers", counted) if counted else None
    whose = "its" if len(shut) == 1 else "their"
    folders = f"the folders of {_listed(shut)}" if counted else f"{whose} folders"
    unknown = f"{folders} are closed to you, so {whose} pending tasks cannot be counted; access will be restored"
    if counted:
        return Lost("the workers", f"{counted}; {unknown}")
    return Lost(f"the workers of {_listed(shut)}", unknown)


def _listed(what: list[str]) -> str:
    more = f" and {len(what) - _NAMED} more" if len(what) > _NAMED else ""
    return f"{', '.join(what[:_NAMED])}{more}"
