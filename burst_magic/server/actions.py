"""What a view asks of a session: cancel, extend, scale, delete. Each needs its key, and tells what came of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from burst_magic.errors import AttachError, OptionError, RecordError, SignatureError
from burst_magic.server.faults import KeyNeeded, WrongRequest
from burst_magic.server.opening import OpenedSession
from burst_magic.session import stored_jobs
from burst_magic.session.asking import Asking
from burst_magic.session.deletion import delete_ended
from burst_magic.session.ending import await_end
from burst_magic.session.fleet import Fleet
from burst_magic.session.onlooker import KEY_WAY_OUT
from burst_magic.ui import notices
from burst_magic.ui.drawing import frame_of

if TYPE_CHECKING:
    from burst_magic.protocol.snapshot import Snapshot

_PATIENCE = 20.0  # seconds that the store may take
_SECONDS = 21 * 86400.0  # an extension is at most as long as a session
_MICRO = 10**12
_WORKERS = 100_000


class _Errand:
    """One session that something is asked of, with a job that tells of it where one is needed: by default its latest.

    Who only stops a session needs none, so that no damaged job keeps it running.
    """

    def __init__(self, opened: OpenedSession, jid: str) -> None:
        sid = opened.manifest.sid
        if opened.secret is None:
            raise KeyNeeded(
                "this session's key is not on this machine, so nothing can be asked of it here",
                context=sid,
                way_out=KEY_WAY_OUT,
            )
        self._opened, self.sid = opened, sid
        self._over = threading.Event()
        self._onlooker = opened.onlooker(self._over)
        self._jid, self._job = jid, ""
        self.fleet = Fleet(
            opened.manifest, opened.secret, opened.store, opened.settings.logs_dir, replaces_lost_workers=False
        )
        self.asking = Asking(
            opened.store,
            opened.secret,
            opened.manifest,
            self.fleet,
            refresh=self.look,
            now=self._onlooker.now,
            max_hourly_cost=opened.settings.max_hourly_cost,
        )

    def look(self) -> Snapshot:
        """What the store says now; raises its fault if it doesn't within a while, or ``AttachError``: no such job."""
        if not self._job:
            job = stored_jobs.latest_job(self._opened.store, self.sid, self._jid, self._opened.secret)
            self._onlooker.follow(job)
            self._job = job.jid
        timer = threading.Timer(_PATIENCE, self._over.set)
        timer.start()
        try:
            self._onlooker.look(everything=True, segments=0)
        finally:
            timer.cancel()
        facts = self._onlooker.facts(self._job)
        self.fleet.deadline = facts.deadline  # workers that are started after an extension must not be born too late
        return facts

    def running(self) -> list[str]:
        """What its jobs that have not ended do, in words. One whose record is damaged keeps nobody from deleting it."""
        for jid in stored_jobs.announced(self._opened.store, self.sid):
            with contextlib.suppress(AttachError, RecordError, SignatureError):
                self._onlooker.follow(stored_jobs.latest_job(self._opened.store, self.sid, jid, self._opened.secret))
        if not self._onlooker.jobs:
            return []
        self._job = self._onlooker.jobs[-1].jid
        self.look()
        frames = [frame_of(self._onlooker.facts(job.jid)) for job in self._onlooker.jobs]
        return [f"{frame.title or frame.job} ({frame.state})" for frame in frames if frame.ended is None]

    def left_until(self, at: float) -> float:
        """Seconds, by the store's clock."""
        return at - self._onlooker.now()


def cancel(opened: OpenedSession, jid: str, _body: Mapping[str, object]) -> str:
    """Cancel a job, and the session if it has no other."""
    asked = _Errand(opened, jid)
    seen = asked.look()
    if seen.ended and seen.ended.for_good:
        return f"This job had ended already: {seen.ended.words(seen.end_detail)}."
    return notices.job_cancelled(continues=asked.asking.cancel_job(jid))


def cancel_session(opened: OpenedSession, jid: str, _body: Mapping[str, object]) -> str:
    """Cancel a session with all its jobs."""
    _Errand(opened, jid).asking.cancel()
    return notices.session_cancelled()


def delete(opened: OpenedSession, jid: str, _body: Mapping[str, object]) -> str:
    """Delete a session that has ended, with its results; what is left of its workers is ended first."""
    asked = _Errand(opened, jid)
    running = asked.running()
    if running:
        problem = f"session {asked.sid} is still running: {', '.join(running)}"
        raise OptionError(problem, way_out=f"stop it first, or run %burst_cleanup {asked.sid} --force")
    asked.asking.cancel()
    asked.fleet.stop(kill=False)
    await_end(asked.fleet, opened.store, opened.manifest)
    deleted = delete_ended(opened.store, opened.manifest, secret=opened.secret, settings=opened.settings)
    return notices.deleted(asked.sid, deleted)


def extend(opened: OpenedSession, jid: str, body: Mapping[str, object]) -> str:
    """Move the deadline, raise the budget, or both."""
    seconds, budget = _number(body, "seconds", most=_SECONDS), _number(body, "budget", most=_MICRO)
    if seconds is None and budget is None:
        raise WrongRequest("neither seconds nor a budget", way_out='{"seconds": 3600}')
    asked = _Errand(opened, jid)
    whole = None if budget is None else int(budget)
    asked.look()  # only then is the store's clock known
    deadline = asked.asking.extend(seconds or 0.0, budget=whole)
    return notices.extended(asked.left_until(deadline), whole)


def scale(opened: OpenedSession, jid: str, body: Mapping[str, object]) -> str:
    """Change the number of workers. Those of this machine are started by a kernel only, with its own Python."""
    workers = _number(body, "workers", most=_WORKERS)
    if workers is None:
        raise WrongRequest("no number of workers", way_out='{"workers": 8}')
    asked = _Errand(opened, jid)
    number = int(workers)
    seen = asked.look()
    if asked.fleet.here and number > seen.alive + seen.starting:
        problem = "workers on this machine are started by a notebook, in its own environment"
        raise OptionError(problem, way_out=f"%burst_scale {number} {asked.sid} in a notebook")
    asked.asking.scale(number)
    return notices.scaled(number)


def cleanup(opened: OpenedSession, jid: str, _body: Mapping[str, object]) -> str:
    """Let running tasks finish, then stop the session's workers."""
    _Errand(opened, jid).asking.close()
    return notices.closed()


Action = Callable[[OpenedSession, str, Mapping[str, object]], str]  # what was opened, the job or "", the request's body
OF_A_JOB: Mapping[str, Action] = {"cancel": cancel}
OF_A_SESSION: Mapping[str, Action] = {
    "cancel": cancel_session,
    "cleanup": cleanup,
    "delete": delete,
    "extend": extend,
    "scale": scale,
}


def _number(body: Mapping[str, object], name: str, *, most: float) -> float | None:
    """A positive number in a request's body, or None."""
    said = body.get(name)
    if said is None:
        return None
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 < said <= most:
        raise WrongRequest(f"{name}: not a number between 0 and {most:g}", context=repr(said)[:100])
    return said
