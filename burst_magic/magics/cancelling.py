"""Cancel a session, or one of its jobs, and say what that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from burst_magic.magics.desk import DESK, other_jobs, typed
from burst_magic.protocol.wire.keys import is_session_id

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.magics import calls
    from burst_magic.session.session import Session


def cancelled(call: calls.CancelCall, settings: Settings) -> str:
    """Cancel what the call means, unless it is over."""
    session = DESK.find(call.id, settings, sure=True)
    ident, over, others = f"{session.id}/{session.job}", _over(session), other_jobs(session)
    results = f"Results: {typed('collect')} {ident}"
    if over and (_means_a_job(call.id) if others else not _staffed(session)):
        return f"nothing to cancel: {ident} is over ({over}). {results}"
    if _means_a_job(call.id) and session.cancel_job():
        return f"job {ident}: cancelled; its session continues. Finished results: {typed('collect')} {ident} --nowait"
    if not _means_a_job(call.id):
        session.cancel()
    if over and not others:
        return f"session {session.id}: was over ({over}); its idle workers end. {results}"
    return f"session {session.id}: cancelled. Finished results: {typed('collect')} {session.id} --nowait"


def _over(session: Session) -> str:
    """How the job ended, in words; "" if it may go on."""
    from burst_magic.ui.drawing import frame_of

    seen = session.status()
    return frame_of(seen).state if seen.ended is not None and seen.ended.for_good else ""


def _staffed(session: Session) -> bool:
    seen = session.snapshot()
    return bool(seen.alive or seen.starting)


def _means_a_job(ident: str) -> bool:
    """A name, ``session/job`` and ``NAME/job`` do; a session's id, or none, means all its jobs."""
    return bool(ident) and not is_session_id(ident)
