"""The sessions of the configured store, newest first, looked at by a thread, and only when somebody asks.

A look at a remote store may wait for the limit on its requests; meanwhile there is what was seen so far.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from burst_magic import config
from burst_magic.errors import AttachError, BurstError, RecordError, SignatureError, StoreError, Unknown
from burst_magic.protocol.wire import keys
from burst_magic.server.account import AccountLook
from burst_magic.server.listed import NOTHING, ListedState, SessionList, state_of
from burst_magic.server.opening import open_in
from burst_magic.server.request_limit import RATE, Metered, RequestLimit
from burst_magic.session import stored_jobs
from burst_magic.session.own_store import open_known_store
from burst_magic.session.session_rows import unreadable_row
from burst_magic.stores.patient import Patient, bare

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.server.opening import OpenedSession
    from burst_magic.session.onlooker import Onlooker
    from burst_magic.stores import Store

_LOG = logging.getLogger(__name__)
NEWEST = 20  # sessions that are listed, beside those that are asked for by id
NAMED = 100  # of these, at most
KEPT = 60.0  # seconds without a question until what is known of running sessions is let go
EVERY, REMOTE_EVERY = 2.0, 30.0  # seconds between two looks at sessions that have not ended
_LOOKS = 0.4 * RATE  # requests a second for looking at everything of one session: folders, and each worker's heartbeat
_SOON = 3.0  # seconds that a look may take before those who wait get what was seen so far
_SILENT = 30.0  # seconds without an answer to a request until the store is said to be silent


class Listing:
    """The list, and what was seen of its sessions.

    Args:
        settings: this user's, as they are now.
        opens: opens the store that they name.
        account: looks into the AWS account.
        limit: the requests of the list to a remote store.
        soon, silent: as above.
    """

    def __init__(
        self,
        settings: Callable[[], Settings] = config.load,
        opens: Callable[[Settings], Store] = lambda settings: open_known_store(settings.store, settings),
        *,
        account: AccountLook | None = None,
        limit: RequestLimit | None = None,
        soon: float = _SOON,
        silent: float = _SILENT,
    ) -> None:
        self._settings, self._opens, self._soon, self._silent = settings, opens, soon, silent
        self._account, self._limit = account or AccountLook(), limit or RequestLimit()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked_at = self._due_at = 0.0
        self._named: tuple[str, ...] = ()
        self._over, self._wake = threading.Event(), threading.Event()
        self._next: Future[SessionList] = Future()  # of the look that comes
        self._looking: Future[SessionList] | None = None  # of the one that is under way
        self._last: SessionList | None = None
        self._store: Metered | None = None
        self._where: tuple[str, str] = ("", "")
        self._onlookers: dict[str, tuple[OpenedSession, Onlooker]] = {}  # of sessions that have not ended
        self._looked_at: dict[str, float] = {}  # at everything of them
        self._rows: dict[str, ListedState] = {}
        self._ended: set[str] = set()  # their rows stay as they are

    # --- for those who ask --------------------------------------------------------------------------------

    def ask(self, named: Iterable[str] = ()) -> Future[SessionList]:
        """The list as it was looked at last, or the next one if that is due.

        Args:
            named: ids of sessions to list, however old they are.
        """
        with self._lock:
            now = self._asked_at = time.monotonic()
            fresh = [sid for sid in named if sid not in self._named]
            self._named = (*fresh, *self._named)[:NAMED]
            if self._thread is None:
                self._thread = threading.Thread(target=self._live, name="burst server list", daemon=True)
                self._thread.start()
            last = self._newest()
            if not fresh and self._looking is not None and last is None:
                return self._looking
            if not fresh and last is not None and (self._looking is not None or now < self._due_at):
                return _done(last)
            self._due_at = 0.0
            self._wake.set()
            return self._next

    def last(self) -> SessionList | None:
        """What was seen last, for whoever waits no longer; None before the first look."""
        with self._lock:
            return self._newest()

    def _newest(self) -> SessionList | None:
        store, last = self._store, self._last
        if last is None or store is None or store.silence() <= self._silent:
            return last
        return last.troubled(Unknown("the store does not answer", context=store.url, way_out="burst doctor checks it"))

    def look_soon(self, sid: str) -> None:
        """Look when it is asked for next, since something was asked of this session."""
        with self._lock:
            self._due_at = 0.0
            self._ended.discard(sid)
            self._looked_at.pop(sid, None)

    def stop(self) -> None:
        """Look no more, whatever the store does."""
        self._over.set()
        self._wake.set()

    # --- the thread ---------------------------------------------------------------------------------------

    def _live(self) -> None:
        while not self._over.is_set():
            self._wake.clear()
            with self._lock:
                due = time.monotonic() >= self._due_at
                if due:  # who asks for more meanwhile waits for the next look
                    self._due_at = float("inf")
                    self._looking, self._next = self._next, Future()
            if due:
                self._look()
            self._wake.wait(max(0.0, KEPT - (time.monotonic() - self._asked_at)))
            with self._lock:
                if time.monotonic() - self._asked_at >= KEPT:
                    self._thread, self._last, self._due_at = None, None, 0.0
                    self._onlookers.clear()
                    self._rows = {sid: row for sid, row in self._rows.items() if sid in self._ended}
                    return

    def _look(self) -> None:
        pause = REMOTE_EVERY
        try:
            settings = self._settings()
            store = self._opened(settings)
            pause = EVERY if store.path(keys.SESSIONS) is not None else REMOTE_EVERY
            found = replace(self._listed(store, settings), account=self._account.newest(settings))
        except BurstError as problem:
            self._store = None if isinstance(problem, StoreError) else self._store
            found = (self._last or NOTHING).troubled(problem)
        except Exception:  # noqa: BLE001 - told to all who wait, and logged
            _LOG.exception("the sessions cannot be listed")
            trouble = BurstError("the sessions cannot be listed", way_out="the server's log says why")
            found = (self._last or NOTHING).troubled(trouble)
        with self._lock:
            self._due_at = min(self._due_at, time.monotonic() + pause)
        self._publish(found, over=True)

    def _publish(self, found: SessionList, *, over: bool = False) -> None:
        with self._lock:
            self._last, waiting = found, self._looking
            self._looking = None if over else Future()
        if waiting is not None:
            waiting.set_result(found)

    def _opened(self, settings: Settings) -> Metered:
        where = (settings.store, settings.aws.get("region", ""))
        if self._store is None or where != self._where:
            store = self._opens(settings)
            here = store.path(keys.SESSIONS) is not None
            if where != self._where:
                self._onlookers.clear()
                self._rows.clear()
                self._ended.clear()
            self._store = Metered(bare(store), None if here else self._limit, self._over)
            self._where = where
        return self._store

    def _patient(self, store: Metered) -> Store:
        return Patient(store, wait=lambda seconds: not self._over.wait(seconds))

    def _listed(self, store: Metered, settings: Settings) -> SessionList:
        there = [sid for sid in self._patient(store).folders(keys.SESSIONS) if keys.is_session_id(sid)]
        known = set(there)
        named = [sid for sid in self._named if sid in known]
        shown = list(dict.fromkeys([*named, *reversed(there[-NEWEST:])]))  # who asks for one waits for it
        self._rows = {sid: row for sid, row in self._rows.items() if sid in set(shown)}
        self._onlookers = {sid: each for sid, each in self._onlookers.items() if sid in set(shown)}
        left = list(shown)
        published = time.monotonic()
        for sid in shown:
            self._renew(sid, store, settings)
            left.remove(sid)
            if time.monotonic() - published >= self._soon:
                published = time.monotonic()
                self._publish(self._page(store, there, shown, [each for each in left if each not in self._rows]))
        return self._page(store, there, shown, [])

    def _page(self, store: Metered, there: list[str], shown: list[str], unread: list[str]) -> SessionList:
        rows = [self._rows[sid] for sid in sorted(shown, reverse=True) if sid in self._rows]
        before = self._last.account if self._last else None
        return SessionList(
            store=store.url,
            sessions=tuple(rows),
            unread=len(unread),
            more=len(there) - len(shown),
            problem="",
            context="",
            way_out="",
            account=before,
        )

    def _renew(self, sid: str, store: Metered, settings: Settings) -> None:
        """Brings a session's row up to date; there is none if it was deleted or never began."""
        if sid in self._ended and sid in self._rows:
            return
        try:
            opened, onlooker = self._onlooker(sid, store, settings)
            self._follow_all(sid, opened, onlooker)
            self._look_at(sid, onlooker, here=opened.here)
        except AttachError:
            self._rows.pop(sid, None)
            self._onlookers.pop(sid, None)
            return
        except BurstError as problem:
            row = unreadable_row(sid, problem)
            self._rows[sid] = ListedState(session=row, jobs=(), money=None, workers=0, mine=False, as_of=time.time())
            return
        if not onlooker.jobs:
            self._rows.pop(sid, None)
            return
        self._rows[sid] = state_of(opened, onlooker)
        if onlooker.over:
            self._ended.add(sid)
            del self._onlookers[sid]

    def _look_at(self, sid: str, onlooker: Onlooker, *, here: bool) -> None:
        now = time.monotonic()
        pause = 0.0 if here else max(REMOTE_EVERY, (3 + onlooker.living) / _LOOKS)
        everything = now - self._looked_at.get(sid, -pause) >= pause
        onlooker.look(everything=everything, segments=0)
        if everything:
            self._looked_at[sid] = now

    def _onlooker(self, sid: str, store: Metered, settings: Settings) -> tuple[OpenedSession, Onlooker]:
        if sid not in self._onlookers:
            opened = open_in(self._patient(store), sid, settings)
            self._onlookers[sid] = opened, opened.onlooker(self._over)
            self._looked_at.pop(sid, None)
        return self._onlookers[sid]

    def _follow_all(self, sid: str, opened: OpenedSession, onlooker: Onlooker) -> None:
        """Follow the jobs that can be read; a damaged one is the session's fault only if there is no other."""
        known = {job.jid for job in onlooker.jobs}
        damaged: BurstError | None = None
        for jid in stored_jobs.announced(opened.store, sid):
            if jid not in known:
                try:
                    onlooker.follow(stored_jobs.latest_job(opened.store, sid, jid, opened.secret))
                except AttachError:
                    continue  # announced, and never committed
                except (RecordError, SignatureError) as problem:
                    damaged = problem
                else:
                    self._looked_at.pop(sid, None)
        if damaged is not None and not onlooker.jobs:
            raise damaged


def _done(found: SessionList) -> Future[SessionList]:
    done: Future[SessionList] = Future()
    done.set_result(found)
    return done
