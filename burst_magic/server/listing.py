"""The sessions of the configured store, newest first. A thread looks at them while somebody asks for the list."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from burst_magic import config
from burst_magic.errors import AttachError, BurstError
from burst_magic.protocol.wire import keys
from burst_magic.server.request_limit import RequestLimit
from burst_magic.session import stored_jobs
from burst_magic.session.own_store import open_own_store
from burst_magic.session.session_rows import SessionRow, row_of, unreadable_row
from burst_magic.ui.drawing import frame_of

if TYPE_CHECKING:
    from burst_magic.protocol.snapshot import Snapshot
    from burst_magic.server.opening import OpenedSession
    from burst_magic.session.onlooker import Onlooker
    from burst_magic.stores import Store

_LOG = logging.getLogger(__name__)
NEWEST = 20  # sessions that are listed, beside those that are asked for by id
NAMED = 100  # of these, at most
_KEPT = 60.0  # seconds without a question until nothing is looked at any more
_LATE = 90.0  # seconds since the last look began
_EVERY, _REMOTE_EVERY = 2.0, 30.0  # seconds between two looks at sessions that have not ended


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedJobState:
    """One job of a listed session. ``attach`` is the line that brings its results back in a kernel."""

    job: str
    title: str
    out: str
    state: str
    phase: str
    total: int
    done: int
    failed: int
    created: float
    ended: float | None
    attach: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedState:
    """A session and its jobs, oldest first; ``as_of``: seconds since the epoch."""

    session: SessionRow
    jobs: tuple[ListedJobState, ...]
    as_of: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionList:
    """What the store has. ``more`` sessions are older than those; ``problem``: why the list is not fresh, or ""."""

    store: str
    sessions: tuple[ListedState, ...]
    more: int
    problem: str


class Listing:
    """The list, and what was seen of its sessions.

    Args:
        opens: opens a session of the configured store.
    """

    def __init__(self, opens: Callable[[str], OpenedSession]) -> None:
        self._opens = opens
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked_at = 0.0
        self._began_at = 0.0
        self._named: tuple[str, ...] = ()
        self._wake = threading.Event()
        self._next: Future[SessionList] = Future()
        self._last: SessionList | None = None
        self._limit = RequestLimit()
        self._onlookers: dict[str, tuple[OpenedSession, Onlooker]] = {}  # of sessions that have not ended
        self._rows: dict[str, ListedState] = {}  # of those that have
        self._url = ""

    def ask(self, named: Iterable[str] = ()) -> Future[SessionList]:
        """The list as it was looked at last, or as soon as that is done.

        Args:
            named: ids of sessions to list, however old they are.
        """
        with self._lock:
            self._asked_at = time.monotonic()
            fresh = [sid for sid in named if sid not in self._named]
            self._named = (*fresh, *self._named)[:NAMED]
            if self._thread is None:
                self._thread = threading.Thread(target=self._live, name="burst server list", daemon=True)
                self._thread.start()
            elif self._last is not None and not fresh:
                late = time.monotonic() - self._began_at > _LATE
                done: Future[SessionList] = Future()
                done.set_result(replace(self._last, problem="the store does not answer") if late else self._last)
                return done
            self._wake.set()
            return self._next

    def _live(self) -> None:
        while True:
            self._wake.clear()
            pause = self._refresh()
            self._wake.wait(pause)
            with self._lock:
                if time.monotonic() - self._asked_at >= _KEPT:
                    self._thread, self._last = None, None
                    self._onlookers.clear()
                    return

    def _refresh(self) -> float:
        """Look once; returns the seconds until the next look."""
        pause, self._began_at = _REMOTE_EVERY, time.monotonic()
        try:
            settings = config.load()
            store = open_own_store(settings.store, settings)
            pause = _EVERY if store.path(keys.SESSIONS) is not None else _REMOTE_EVERY
            found = self._listed(store)
        except BurstError as problem:
            last = self._last or SessionList(store="", sessions=(), more=0, problem="")
            found = SessionList(store=last.store, sessions=last.sessions, more=last.more, problem=problem.problem)
        except Exception:  # noqa: BLE001 - told to all who wait, and logged
            _LOG.exception("the sessions cannot be listed")
            found = SessionList(store="", sessions=(), more=0, problem="the server's log says why")
        with self._lock:
            self._last, waiting, self._next = found, self._next, Future()
        waiting.set_result(found)
        return pause

    def _listed(self, store: Store) -> SessionList:
        if store.url != self._url:  # the settings name another one now
            self._url = store.url
            self._onlookers.clear()
            self._rows.clear()
        there = [sid for sid in store.folders(keys.SESSIONS) if keys.is_session_id(sid)]
        shown = {*there[-NEWEST:], *(sid for sid in self._named if sid in set(there))}
        self._rows = {sid: row for sid, row in self._rows.items() if sid in shown}
        self._onlookers = {sid: each for sid, each in self._onlookers.items() if sid in shown}
        rows = [row for sid in sorted(shown, reverse=True) if (row := self._row(sid)) is not None]
        return SessionList(store=store.url, sessions=tuple(rows), more=len(there) - len(shown), problem="")

    def _row(self, sid: str) -> ListedState | None:
        if sid in self._rows:
            return self._rows[sid]
        try:
            opened, onlooker = self._onlooker(sid)
            self._follow_all(sid, opened, onlooker)
            onlooker.look(everything=True, segments=0)
        except AttachError:  # it was deleted, or never began
            return None
        except BurstError as problem:
            return ListedState(session=unreadable_row(sid, problem), jobs=(), as_of=time.time())
        if not onlooker.jobs:
            return None
        row = _state_of(opened, onlooker)
        if onlooker.over:
            self._rows[sid] = row
            del self._onlookers[sid]
        return row

    def _onlooker(self, sid: str) -> tuple[OpenedSession, Onlooker]:
        if sid not in self._onlookers:
            opened = self._opens(sid)
            self._onlookers[sid] = opened, opened.onlooker(threading.Event(), self._limit)
        return self._onlookers[sid]

    def _follow_all(self, sid: str, opened: OpenedSession, onlooker: Onlooker) -> None:
        known = {job.jid for job in onlooker.jobs}
        for jid in stored_jobs.announced(opened.store, sid):
            if jid not in known:
                with contextlib.suppress(AttachError):  # announced, and never committed
                    onlooker.follow(stored_jobs.latest_job(opened.store, sid, jid, opened.secret))


def _state_of(opened: OpenedSession, onlooker: Onlooker) -> ListedState:
    jobs = onlooker.jobs
    seen = [onlooker.facts(job.jid) for job in jobs]
    estimates = [job.estimate for job in jobs if job.estimate is not None]
    estimate = sum(estimates) if len(estimates) == len(jobs) else None
    row = row_of(opened.manifest, jobs[-1].name, seen[::-1], estimate=estimate)
    return ListedState(session=row, jobs=tuple(map(_job_state, seen)), as_of=time.time())


def _job_state(seen: Snapshot) -> ListedJobState:
    frame = frame_of(seen)
    return ListedJobState(
        job=frame.job,
        title=frame.title,
        out=frame.out,
        state=frame.state,
        phase=frame.phase.value,
        total=frame.counts.total,
        done=frame.counts.completed + frame.counts.failed,
        failed=frame.counts.failed,
        created=frame.created,
        ended=frame.ended,
        attach=frame.attach,
    )
