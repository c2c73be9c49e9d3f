"""One follower a session, shared by all who ask, and released when nobody has asked for a minute.

It has a thread, which alone asks the store; whoever wants a frame gets the newest facts without waiting for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING

from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError, StoreError
from burst_magic.server.request_limit import RATE, RequestLimit
from burst_magic.session import stored_jobs
from burst_magic.ui.drawing import frame_of

if TYPE_CHECKING:
    from burst_magic.protocol.snapshot import Snapshot
    from burst_magic.server.opening import OpenedSession
    from burst_magic.session.onlooker import Onlooker
    from burst_magic.ui.frame import Frame

_LOG = logging.getLogger(__name__)
KEPT = 60.0  # seconds without a question until a follower is released
MOST = 64  # followers of a server: each has a thread, and keeps what it reads
UNKNOWN = 200  # jobs of a session that may be asked for before anything is known of them: ids come from requests
AGAIN = 10.0  # seconds until what failed is tried again
_FOLDER_EVERY = 1.0  # seconds between two looks at a folder; listing a long log takes at most a quarter of the time
_RESULTS_EVERY = 6.0  # seconds between two listings of results in a remote store
_LOOKS = 0.4 * RATE  # requests a second for looking at everything there: folders, and each worker's heartbeat
_SOONEST = 10.0  # seconds between two of these
_EAGER, _FEW = 60.0, 20  # seconds after a request in which each round looks at everything, if workers are so few
_SEGMENTS = 10  # segments with failures that one round reads in a remote store
_DRAWN_AGAIN = 0.2  # seconds: a hundred who ask at once get one drawing
_HEALTHY = 3 * _RESULTS_EVERY  # seconds: facts may be so old before the store is said to be silent


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A frame with its tag."""

    frame: Frame
    etag: str


class Follower:
    """Follows a session while somebody asks for it.

    Args:
        sid: the session.
        opens: opens the session; called in the follower's thread.
        kept: seconds without a question until it ends.
        again: seconds until what failed is tried again.
        limit: its requests, if the store is remote.
    """

    def __init__(
        self,
        sid: str,
        opens: Callable[[str], OpenedSession],
        *,
        kept: float = KEPT,
        again: float = AGAIN,
        limit: RequestLimit | None = None,
    ) -> None:
        self.sid, self._again, self._limit = sid, again, limit or RequestLimit()
        self._opens, self._kept = opens, kept
        self._asked_at = time.monotonic()
        self._over, self._wake = threading.Event(), threading.Event()
        self._lock, self._drawing = threading.Lock(), threading.Lock()  # the event loop takes the first one only
        self._jobs: dict[str, Future[Onlooker]] = {}  # by id; done once there are facts about it, or none to be had
        self._failed_at: dict[str, float] = {}
        self._opened: OpenedSession | None = None
        self._onlooker: Onlooker | None = None
        self._failure: BurstError | None = None
        self._ended_at = 0.0
        self._problem = ""  # why the last round was not finished
        self._look_asked, self._eager_until = False, 0.0
        self._rounds_at = self._looked_at = 0.0
        self._drawn: dict[str, tuple[float, Drawn]] = {}
        self._thread = threading.Thread(target=self._live, name=f"burst server {sid}", daemon=True)

    def start(self) -> Follower:
        """Begin."""
        self._thread.start()
        return self

    @property
    def ended(self) -> bool:
        """Whether it has been released, or has failed some time ago."""
        recently = self._failure is not None and time.monotonic() - self._ended_at < self._again
        return self._over.is_set() and not recently

    def stop(self) -> None:
        """Release it, whatever its store does."""
        self._over.set()
        self._wake.set()

    def stop_if_forgotten(self) -> None:
        """Release it if nobody asks: its thread may be waiting for a store that is away, and would not see that."""
        if time.monotonic() - self._asked_at >= self._kept:
            self.stop()

    # --- for those who ask --------------------------------------------------------------------------------

    def job(self, jid: str) -> Future[Onlooker]:
        """Ask for a job: done once there are facts about it. Raises ``BurstError`` if there are none to be had."""
        with self._lock:
            self._asked_at = time.monotonic()
            if self._over.is_set():
                return _refused(self._failure or _released(self.sid))
            self._forget_refused(self._asked_at - self._again)
            if jid not in self._jobs and self._unknown >= UNKNOWN:
                problem = f"session {self.sid}: {UNKNOWN} unknown jobs were asked for at once"
                return _refused(BurstError(problem, context=jid, way_out="ask again in a while"))
            if jid not in self._jobs:
                self._jobs[jid] = Future()
                self._wake.set()
            return self._jobs[jid]

    def look_soon(self) -> None:
        """Look at everything now and each round of the next minute, since something was asked of the session."""
        self._look_asked, self._eager_until = True, time.monotonic() + _EAGER
        self._wake.set()

    def draw(self, jid: str) -> Drawn:
        """The newest frame of a job that there are facts about. Asks the store for nothing."""
        with self._drawing:
            now = time.monotonic()
            at, drawn = self._drawn.get(jid, (0.0, None))
            if drawn is None or now - at >= _DRAWN_AGAIN:
                frame = frame_of(self.facts(jid))
                drawn = Drawn(frame=frame, etag=frame.etag)
                self._drawn[jid] = now, drawn
            return drawn

    def facts(self, jid: str) -> Snapshot:
        """What is known of a job. Its age counts only if something is wrong: rounds are slow on purpose."""
        onlooker = self._jobs[jid].result(0)
        snapshot = onlooker.facts(jid)
        trouble = snapshot.trouble or self._problem
        healthy = not trouble and time.monotonic() - self._rounds_at < _HEALTHY
        return replace(snapshot, trouble=trouble, as_of=None if healthy or onlooker.over else snapshot.as_of)

    def _forget_refused(self, before: float) -> None:
        for jid in [jid for jid, at in self._failed_at.items() if at <= before]:
            del self._failed_at[jid], self._jobs[jid]

    @property
    def _unknown(self) -> int:
        """Number of jobs that were refused, or not looked for yet."""
        return len(self._failed_at) + sum(not future.done() for future in self._jobs.values())

    # --- the thread ---------------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            self._follow()
        except BurstError as problem:
            self._failure = problem
        except Exception:  # noqa: BLE001 - told to all who wait, and logged
            _LOG.exception("the server stopped following %s", self.sid)
            self._failure = BurstError(f"session {self.sid} cannot be followed", way_out="the server's log says why")
        with self._lock:  # who asks from here on is refused
            self._over.set()
            self._ended_at = time.monotonic()
            waiting = [future for future in self._jobs.values() if not future.done()]
        for future in waiting:
            future.set_exception(self._failure or _released(self.sid))

    def _follow(self) -> None:
        self._opened = self._opens(self.sid)
        self._onlooker = self._opened.onlooker(self._over, self._limit)
        while not self._over.is_set() and time.monotonic() - self._asked_at < self._kept:
            self._wake.clear()
            began = time.monotonic()
            fresh = self._take_up(self._onlooker, self._opened)
            if self._jobs and (fresh or self._look_asked or not self._onlooker.over):
                self._round(self._onlooker, fresh)
            self._wake.wait(self._pause(self._onlooker, time.monotonic() - began))

    def _take_up(self, onlooker: Onlooker, opened: OpenedSession) -> list[str]:
        """Follow the jobs that were asked for since; returns those that were found."""
        followed = {job.jid for job in onlooker.jobs}
        with self._lock:
            asked = {jid: future for jid, future in self._jobs.items() if not future.done()}
        for jid in asked:
            if jid in followed:  # the first look at it has failed
                continue
            try:
                onlooker.follow(stored_jobs.latest_job(opened.store, self.sid, jid, opened.secret))
            except BurstError as problem:
                self._refuse(jid, problem)
        return [jid for jid, future in asked.items() if not future.done()]

    def _round(self, onlooker: Onlooker, fresh: list[str]) -> None:
        now = time.monotonic()
        here = self._opened is not None and self._opened.here
        eager = now < self._eager_until and onlooker.living <= _FEW
        pause = 0.0 if here or eager else max(_SOONEST, (3 + onlooker.living) / _LOOKS)
        everything = bool(fresh) or self._look_asked or now - self._looked_at >= pause
        self._look_asked = False
        try:
            onlooker.look(everything=everything, segments=None if here else _SEGMENTS)
            self._problem, self._rounds_at = "", time.monotonic()
            self._looked_at = self._rounds_at if everything else self._looked_at
        except StoreError as fault:  # it is tried again, and the frame says so
            self._problem = fault.problem
            for jid in fresh:
                self._refuse(jid, fault)
        else:
            for jid in fresh:
                self._jobs[jid].set_result(onlooker)

    def _pause(self, onlooker: Onlooker, took: float) -> float:
        """Seconds until the next round, or until somebody asks for another job."""
        left = max(0.05, self._kept - (time.monotonic() - self._asked_at))
        if self._look_asked:
            return 0.0
        if self._problem or onlooker.over:
            return min(left, self._again)
        return min(left, max(_FOLDER_EVERY, 3 * took) if self._opened and self._opened.here else _RESULTS_EVERY)

    def _refuse(self, jid: str, problem: BurstError) -> None:
        with self._lock:
            self._failed_at[jid] = time.monotonic()
            self._jobs[jid].set_exception(problem)


def _released(sid: str) -> BurstError:
    return BurstError(f"session {sid} was just released", way_out="ask again")


def _refused(problem: BurstError) -> Future[Onlooker]:
    future: Future[Onlooker] = Future()
    future.set_exception(problem)
    return future


class Followers:
    """The followers of a server, by session.

    Args:
        opens: opens a session of the configured store.
        kept, again: as in ``Follower``.
    """

    def __init__(self, opens: Callable[[str], OpenedSession], *, kept: float = KEPT, again: float = AGAIN) -> None:
        self._opens, self._kept, self._again = opens, kept, again
        self._lock = threading.Lock()
        self._by_session: dict[str, Follower] = {}

    def __len__(self) -> int:
        """How many sessions are followed."""
        with self._lock:
            self._drop_ended()
            return len(self._by_session)

    def of(self, sid: str) -> Follower:
        """The one follower of a session; raises ``BurstError`` if too many are followed."""
        with self._lock:
            self._drop_ended()
            if sid not in self._by_session:
                if len(self._by_session) >= MOST:
                    raise BurstError(
                        f"{MOST} sessions are shown at once, which is the most", way_out="close some notebooks"
                    )
                self._by_session[sid] = Follower(sid, self._opens, kept=self._kept, again=self._again).start()
            return self._by_session[sid]

    def known(self, sid: str) -> Follower | None:
        """The same, if there is one."""
        with self._lock:
            self._drop_ended()
            return self._by_session.get(sid)

    def _drop_ended(self) -> None:
        for each in self._by_session.values():
            each.stop_if_forgotten()
        self._by_session = {sid: each for sid, each in self._by_session.items() if not each.ended}

    def stop(self) -> None:
        """Release all."""
        with self._lock:
            for each in self._by_session.values():
                each.stop()
