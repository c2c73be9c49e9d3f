"""The client's driver: a thread that carries out the session machine's effects and wakes waiting callers."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable

from burst_magic.errors import Denied, LaunchError, StoreError, Throttled, Unknown
from burst_magic.launchers.base import Handle
from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.session import SessionMachine
from burst_magic.protocol.log import DEAD_AFTER
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Heartbeat, Job, Manifest, SegmentKey, Snapshot
from burst_magic.session.fleet import Fleet
from burst_magic.session.segments import Part
from burst_magic.stores import Store
from burst_magic.stores.carry import Carrier
from burst_magic.stores.probe import try_to_write

_LOG = logging.getLogger(__name__)
_FOR_EVER = {"finished", "cancelled", "closed", "deleted"}  # final states: stop following
_FRAME = 0.25  # seconds between two snapshots for a viewer, at least

Viewer = Callable[[Snapshot], None]


class Driver:
    """Follows one job. Starts its thread on first use and ends it with the job.

    Args:
        store, secret: where, and the key (None: it may only look).
        manifest, job: what.
        fleet: the workers.
    """

    def __init__(self, store: Store, secret: bytes | None, manifest: Manifest, job: Job, fleet: Fleet) -> None:
        self._store, self._manifest, self._fleet = store, manifest, fleet
        self._stopping = threading.Event()
        self._carrier = Carrier(store, secret, lambda seconds: not self._stopping.wait(seconds), give_up=(Denied,))
        self._job, self._signed = job, secret is not None  # what a new machine needs
        self._machine = self._begin()
        self._cut_short = False
        self._news = threading.Condition()
        self._wake = threading.Event()
        self._viewers: list[Viewer] = []
        self._thread: threading.Thread | None = None
        self._fault: Exception | None = None  # what ended the thread; told to the next who waits, then tried again
        self._rounds, self._under_way, self._look_asked = 0, False, False  # the next is to look at everything
        self._framed = 0.0
        self._fleet_at = self._ask_at = self._quiet = 0.0
        self._covered, self._asked = -1, False  # whether the workers were asked why nothing new is covered
        self._heard: dict[str, list[Heartbeat]] = {}  # the first two of each worker since somebody waits

    @property
    def sid(self) -> str:
        """The session's id."""
        return self._manifest.sid

    def start(self) -> None:
        """Start following the log."""
        with self._news:
            if self._thread is None:
                self._stopping.clear()
                self._fault = None  # what is still wrong shows again
                self._heard.clear()
                self._covered = -1
                if self._cut_short:  # its machine waits for answers that nobody carries any more
                    self._cut_short, self._machine = False, self._begin()
                    self._machine.watch(time.monotonic(), on=bool(self._viewers))
                thread = threading.Thread(target=self._run, name=f"burst {self._manifest.sid}", daemon=True)
                thread.start()  # may fail
                self._thread = thread

    def stop(self) -> None:
        """Stop following until a caller waits again; the session continues."""
        self._stopping.set()
        self._wake.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    def snapshot(self) -> Snapshot:
        """The current knowledge, without a request."""
        with self._news:
            return self._machine.snapshot(time.monotonic())

    def refresh(self, timeout: float = 30.0) -> Snapshot:
        """Refresh everything from the store and wait for it."""
        end = time.monotonic() + timeout
        with self._news:
            looked = self._ask_to_look()
            while not looked() and (left := end - time.monotonic()) > 0:
                self._news.wait(left)
                self._raise_fault()
                if self._thread is None and not looked():  # it was ending when we asked
                    looked = self._ask_to_look()
            return self._machine.snapshot(time.monotonic())

    def _ask_to_look(self) -> Callable[[], bool]:
        """Request a full refresh; return a function that tells whether it is done."""
        enough = self._rounds + 1 + self._under_way  # a round that began before we asked does not count
        self._look_asked = True
        self.start()
        self._wake.set()
        return lambda: self._rounds >= enough

    def wait_for(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until ``ready`` (called while the state is stable) or until nothing will change any more."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._news:
            if not ready() and self._machine.ended is None:
                self.start()
            while not ready():
                self._raise_fault()
                if self._machine.ended is not None:
                    return False
                self.start()
                left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
                if left <= 0:
                    return False
                self._news.wait(left)  # bounded, so that an interrupt is seen on every system
            return True

    def find(self, task: int) -> SegmentKey | None:
        """The segment that counts for a task, if known."""
        with self._news:
            return self._machine.cover.find(task)

    @property
    def segments(self) -> tuple[Part, ...]:
        """(first task, one past the last, segment) of everything published."""
        with self._news:
            return self._machine.cover.parts

    def segments_in(self, stretches: Iterable[tuple[int, int]]) -> list[Part]:
        """The same for some ranges of tasks only."""
        with self._news:
            return [part for start, stop in stretches for part in self._machine.cover.within(start, stop)]

    @property
    def failing(self) -> list[Part]:
        """The same for segments with failures."""
        with self._news:
            return sorted(self._machine.cover.failing)

    @property
    def covered(self) -> int:
        """Number of tasks with outcomes."""
        return self._machine.cover.covered

    @property
    def ended(self) -> str | None:
        """Why no more tasks will run, or None."""
        return self._machine.ended

    def watch(self, viewer: Viewer) -> Callable[[], None]:
        """Call ``viewer`` with snapshots from this driver's thread, at most four per second; return a function that
        stops it."""
        with self._news:
            self._viewers.append(viewer)
            self._machine.watch(time.monotonic(), on=True)
        self._wake.set()
        self.start()
        if self._machine.ended is not None:
            viewer(self.snapshot())

        def unwatch() -> None:
            with self._news:
                if viewer in self._viewers:
                    self._viewers.remove(viewer)
                if not self._viewers:
                    self._machine.watch(time.monotonic(), on=False)

        return unwatch

    # --- the thread ------------------------------------------------------------------------------------------

    def _begin(self) -> SessionMachine:
        return SessionMachine(
            manifest=self._manifest,
            job=self._job,
            signed=self._signed,
            now=time.monotonic(),
            wall=time.time(),
            me=secrets.token_hex(8),
            tends=self._fleet.tends,
        )

    def _raise_fault(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def _run(self) -> None:
        try:
            self._round()
            while not self._stopping.is_set() and self._machine.ended not in _FOR_EVER:
                now = time.monotonic()
                pause = min(self._machine.wake, self._fleet_at) - now
                if self._viewers:
                    pause = min(pause, 4 * _FRAME)
                if pause > 0:
                    self._wake.wait(pause)
                self._wake.clear()
                self._look_at_fleet()
                self._round()
                self._frame()
        except Exception as fault:  # noqa: BLE001 - told to whoever waits
            if not self._stopping.is_set():
                _LOG.warning("burst stopped following %s: %s", self._manifest.sid, fault)
                self._fault = fault
        finally:
            with self._news:
                self._cut_short = self._under_way or self._machine.ended not in _FOR_EVER
                self._look_asked |= self._under_way  # what was asked for may not have been done
                self._thread, self._under_way = None, False
                self._news.notify_all()
            self._frame(last=True)

    def _round(self) -> None:
        """One round of due requests, until no answer is outstanding; a requested round refreshes everything."""
        with self._news:
            self._under_way = True
            looking, self._look_asked = self._look_asked, False
        self._step(looking=looking)
        if looking and self._fleet.look():  # whoever was met on the way may have ended long ago
            self._step(looking=True)
        with self._news:
            if not self._stopping.is_set():
                self._under_way = False
                self._rounds += 1
                self._news.notify_all()

    def _step(self, *, looking: bool) -> None:
        """Carry out what the machine requests now, and after each answer."""
        if looking:
            with self._news:
                self._machine.look_now(time.monotonic())
        events: list[fx.Event] = [fx.Tick()]
        while events and not self._stopping.is_set():
            with self._news:
                asked = self._machine.step(events.pop(0), time.monotonic())
            for effect in asked:
                answer = self._do(effect)
                if answer is not None:
                    events.append(answer)

    def _do(self, effect: fx.Effect) -> fx.Event | None:
        if isinstance(effect, fx.Watch):
            try:
                self._store.put(effect.key, b"")
            except StoreError as fault:
                self._carrier.tell(fault)
        elif isinstance(effect, fx.Replace):
            self._replace(effect.token)
        elif isinstance(effect, fx.List | fx.Read | fx.Create):
            event = self._carrier.carry(effect)
            if self._signed and isinstance(event, fx.Got) and isinstance(event.record, Heartbeat):
                self._meet(event.record)
            if isinstance(event, fx.Created) and event.wrote is fx.Wrote.UNKNOWN and event.key.endswith(".next"):
                self._ask_why()
            return event
        return None

    def _ask_why(self) -> None:
        """A start could not be announced: if no worker is left, report the store's refusal to the caller.

        Raises:
            StoreError: it refuses our writes: a policy, a full disk.
        """
        if not self._machine.crew.living():
            with contextlib.suppress(Throttled, Unknown):
                try_to_write(self._store)

    def _meet(self, beat: Heartbeat) -> None:
        """Get a worker's handle from a verified heartbeat, so that it can be signalled.

        Raises:
            StoreError: results have stayed away since somebody waits, and of this worker's some were refused since.
        """
        if beat.handle:
            self._fleet.meet(Handle.from_json(beat.handle))
        heard = self._heard.setdefault(beat.worker, [])
        if len(heard) < 2:  # the first may be old, and the second tell what was refused before it
            heard += [beat] if not heard or beat.number > heard[0].number else []
        elif self._asked and beat.refused and beat.refusals > heard[1].refusals:
            raise StoreError(
                beat.refused, context=f"what {beat.worker} writes", way_out="it resumes once this is fixed"
            )

    def _replace(self, token: str) -> None:
        """Replace a worker. If none can be started, the others continue; if none are left, the machine reports it."""
        try:
            self._fleet.start_announced(token)
        except LaunchError as fault:
            _LOG.warning("a lost worker was not replaced: %s", fault)

    def _look_at_fleet(self) -> None:
        now = time.monotonic()
        if now < self._fleet_at:
            return
        self._fleet_at = now + min(self._manifest.interval, 5.0)
        if self._fleet.look():
            self._look_asked = True
        if self._signed:
            self._ask_for_results(now)

    def _ask_for_results(self, now: float) -> None:
        """Detect a store that accepts heartbeats but no results, and report it to the caller.

        Workers report their refused writes; on a full disk they cannot even do that.

        Raises:
            StoreError: no space.
        """
        if self.covered != self._covered:
            self._covered, self._quiet, self._asked = self.covered, DEAD_AFTER * self._manifest.interval, False
            self._ask_at = now + self._quiet
        if now >= self._ask_at:
            self._quiet *= 2  # a task may take its time
            self._ask_at, self._asked, self._look_asked = now + self._quiet, True, True
            if self._store.path(keys.SessionKeys(self.sid).manifest) is not None:
                with contextlib.suppress(Denied):  # another's folder: its workers write, we need not
                    try_to_write(self._store)

    def _frame(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if not self._viewers or (now - self._framed < _FRAME and not last):
            return
        self._framed = now
        snapshot = self.snapshot()
        for viewer in list(self._viewers):
            try:
                viewer(snapshot)
            except Exception:  # noqa: BLE001 - a view that breaks must not stop those who wait for results
                _LOG.exception("a view of %s failed and is not called again", self._manifest.sid)
                with self._news:
                    self._viewers = [each for each in self._viewers if each is not viewer]
