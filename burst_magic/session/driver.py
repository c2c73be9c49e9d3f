"""The client's driver: one thread that follows a session and all its jobs in this kernel, and wakes waiting callers.

The thread never holds the lock during a store call, and callers never join it: stopping abandons it. Late answers to an
abandoned thread are dropped, and the next thread asks again.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from burst_magic.errors import Denied, StoreError, Throttled, Unknown
from burst_magic.launchers.base import Handle
from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.job import JobMachine
from burst_magic.protocol.client.session import SessionMachine
from burst_magic.protocol.wire.model import Heartbeat, Job, Manifest, Snapshot
from burst_magic.session.fleet import Fleet
from burst_magic.session.rounds import Rounds
from burst_magic.session.stall import Stall
from burst_magic.stores import Store
from burst_magic.stores.probe import try_to_write
from burst_magic.stores.store_driver import Carrier

_LOG = logging.getLogger(__name__)
_FRAME = 0.25  # seconds between two snapshots for a viewer, at least

Viewer = Callable[[Snapshot], None]


@dataclass(slots=True, eq=False)
class _Life:
    """One thread's life; ``stopping`` ends its pauses, between two looks and between two tries."""

    rounds: Rounds
    carrier: Carrier
    stopping: threading.Event
    wake: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class Driver:
    """Follows a session. Starts its thread when it is first needed; that ends when no job has anything to come.

    Args:
        store, secret: where, and the key (None: it may only look).
        manifest: what.
        fleet: its workers.

    Attributes:
        machine: what is known of the session; touched with ``news`` held.
        news: notified after each round.
    """

    def __init__(self, store: Store, secret: bytes | None, manifest: Manifest, fleet: Fleet) -> None:
        self.store, self.secret, self.manifest, self.fleet = store, secret, manifest, fleet
        self.news = threading.Condition()
        self.machine = SessionMachine(
            manifest=manifest,
            signed=secret is not None,
            now=time.monotonic(),
            wall=time.time(),
            me=secrets.token_hex(8),
            replaces_lost_workers=fleet.replaces_lost_workers,
            patience=fleet.patience,
        )
        self._carrier = Carrier(store, secret, lambda _: True, give_up=(Denied,))
        self._stall = Stall(store, manifest)
        self._life: _Life | None = None
        self._cut_short = False  # answers were dropped
        self._viewers: list[tuple[JobMachine, Viewer]] = []
        self._refused: StoreError | None = None  # why no start could be announced
        self._fault: Exception | None = None  # what ended the thread; told to the next who waits, then tried again
        self._rounds, self._under_way, self._look_asked = 0, False, False  # the next is to look at everything
        self._framed = self._fleet_at = 0.0

    # --- who follows what ---------------------------------------------------------------------------------

    def follow(self, job: Job) -> JobMachine:
        """One more job of the session."""
        with self.news:
            followed = self.machine.follow(job, time.monotonic())
            self._wake()
            return followed

    def start(self, job: JobMachine) -> None:
        """Follows the log from now on."""
        with self.news:
            if job.job.jid not in self.machine.jobs:
                self.machine.take_up(job, time.monotonic())
                self._wake()
            if self._life is None:
                self._start()

    def _start(self) -> None:
        self._fault = None  # what is still wrong shows again
        self._stall.begin()
        if self._cut_short:  # its machine waits for answers that will not come
            self._cut_short = False
            self.machine.resume(time.monotonic())
        life = self._new_life()
        thread = threading.Thread(target=self._live, args=(life,), name=f"burst {self.manifest.sid}", daemon=True)
        thread.start()  # may fail
        self._life, life.thread = life, thread

    def _wake(self) -> None:
        """The thread has something to do at once."""
        if self._life is not None:
            self._life.wake.set()

    def _new_life(self) -> _Life:
        stopping = threading.Event()
        carrier = self._carrier.until(stopping)
        return _Life(Rounds(self.machine, carrier, self, lock=self.news), carrier, stopping)

    def leave(self, job: JobMachine) -> None:
        """Stop following a job until a caller waits for it again; the session continues."""
        with self.news:
            self.machine.leave(job.job.jid)
            if not self.machine.jobs:
                self.stop()

    def stop(self, *, patience: float = 0.0) -> None:
        """Abandons the thread, whatever it is at.

        Args:
            patience: seconds to wait until it has really ended; what it is writing may land until then.
        """
        with self.news:
            life, self._life = self._life, None
            if life is not None:
                life.rounds.abandon()
                life.stopping.set()
                life.wake.set()
                self._cut()
        if life is not None and life.thread is not None and patience and life.thread is not threading.current_thread():
            life.thread.join(patience)

    def _cut(self) -> None:
        """The thread is abandoned mid-round: what was asked for may not have been done."""
        self._look_asked |= self._under_way
        self._cut_short, self._under_way = True, False
        self.news.notify_all()

    # --- who waits ----------------------------------------------------------------------------------------

    def snapshot(self, job: JobMachine) -> Snapshot:
        """What is known about a job now, without asking the store."""
        with self.news:
            trouble = self._life.carrier.trouble if self._life is not None else ""
            return replace(self.machine.snapshot(job, time.monotonic()), trouble=trouble)

    def refresh(self, job: JobMachine, timeout: float) -> Snapshot:
        """What the store says now: one look at everything, awaited."""
        end = time.monotonic() + timeout
        with self.news:
            looked = self._ask_to_look(job)
            while not looked() and (left := end - time.monotonic()) > 0:
                self.news.wait(left)
                if looked():  # faults are raised to callers that wait for results
                    break
                self._raise_fault()
                if self._life is None:  # stopped meanwhile
                    looked = self._ask_to_look(job)
            return self.snapshot(job)

    def _ask_to_look(self, job: JobMachine) -> Callable[[], bool]:
        """Asks the thread for a look at everything; what is returned says whether that has been."""
        enough = self._rounds + 1 + self._under_way  # a round that began before we asked does not count
        self._look_asked = True
        self.start(job)
        self._wake()
        return lambda: self._rounds >= enough

    def wait_for(self, job: JobMachine, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Waits until ``ready`` (called with the state at rest) or until nothing of the job will change any more."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.news:
            if not ready() and self._life is None and not (job.end and job.end.for_good):
                self.start(job)  # whatever was told before: what is still wrong shows again
            while not ready():
                self._raise_fault()
                if job.end is not None:
                    return False
                self.start(job)
                left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
                if left <= 0:
                    return False
                self.news.wait(left)  # bounded, so that an interrupt is seen on every system
            return True

    def _raise_fault(self) -> None:
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault

    def watch(self, job: JobMachine, viewer: Viewer) -> Callable[[], None]:
        """Calls ``viewer`` with snapshots from this driver's thread, at most four a second; returns how to stop."""
        viewing = (job, viewer)
        with self.news:
            self._viewers.append(viewing)
            self.machine.watch(time.monotonic(), on=True)
            self.start(job)
            self._wake()
            over = job.end is not None
        if over:
            viewer(self.snapshot(job))

        def unwatch() -> None:
            with self.news:
                self._viewers = [each for each in self._viewers if each is not viewing]
                if not self._viewers:
                    self.machine.watch(time.monotonic(), on=False)

        return unwatch

    # --- the thread ---------------------------------------------------------------------------------------

    def _live(self, life: _Life) -> None:
        try:
            self._round(life)
            while self._goes_on(life):
                self._pause(life)
                self._look_at_fleet()
                self._round(life)
                self._frame(life)
        except Exception as fault:  # noqa: BLE001 - raised to waiting callers
            with self.news:
                if self._life is life:
                    _LOG.warning("burst stopped following %s: %s", self.manifest.sid, fault)
                    self._life, self._fault = None, fault
                    self._cut()
        self._frame(life, last=True)

    def _goes_on(self, life: _Life) -> bool:
        """Whether there is anything to come, or to look at. A job that is added after that finds no thread."""
        with self.news:
            if self._life is not life:
                return False
            if self._look_asked or any(not (job.end and job.end.for_good) for job in self.machine.jobs.values()):
                return True
            self._life = None
            self.news.notify_all()
            return False

    def _pause(self, life: _Life) -> None:
        with self.news:
            pause = min(self.machine.wake, self._fleet_at) - time.monotonic()
            pause = min(pause, 4 * _FRAME) if self._viewers else pause
            pause = 0.0 if self._look_asked else pause
        if pause > 0:
            life.wake.wait(pause)
        life.wake.clear()

    def _round(self, life: _Life) -> None:
        """One look at what is due, until no answer is outstanding; one that was asked for looks at everything."""
        with self.news:
            if self._life is not life:
                return
            self._under_way = True
            looking, self._look_asked = self._look_asked, False
        life.rounds.play(looking=looking, coming=self.fleet.coming)
        if looking and self.fleet.look():  # a worker met on the way may have ended long ago
            life.rounds.play(looking=True)
        with self.news:
            self.fleet.deadline = self.machine.deadline
            if self._life is life:
                self._under_way = False
                self._rounds += 1
                self.news.notify_all()
        refused, self._refused = self._refused, None
        if refused is not None:
            raise refused

    def _look_at_fleet(self) -> None:
        now = time.monotonic()
        if now < self._fleet_at:
            return
        self._fleet_at = now + min(self.manifest.interval, 5.0)
        ended = self.fleet.look()
        with self.news:
            covered = sum(job.cover.covered for job in self.machine.jobs.values())
        stalled = self.secret is not None and self._stall.asks(covered, now)
        self._look_asked |= ended or stalled

    def _frame(self, life: _Life, *, last: bool = False) -> None:
        now = time.monotonic()
        if life.stopping.is_set() or (now - self._framed < _FRAME and not last):
            return
        self._framed = now
        for viewing in list(self._viewers):
            job, viewer = viewing
            try:
                viewer(self.snapshot(job))
            except Exception:  # noqa: BLE001 - a view that breaks must not stop those who wait for results
                _LOG.exception("a view of %s failed and is not called again", self.manifest.sid)
                with self.news:
                    self._viewers = [each for each in self._viewers if each is not viewing]

    # --- its deeds ----------------------------------------------------------------------------------------

    def replace(self, start: fx.Replace) -> None:
        """Starts a worker. Where none can be started the others go on; when there are none the machine says so."""
        with self.news:
            self.fleet.deadline = self.machine.deadline
        self.fleet.start_announced(start.token, launcher=start.launcher)

    def answered(self, event: fx.Event) -> None:
        """Takes a worker's handle out of a verified heartbeat: what it names gets signals.

        Raises:
            StoreError: the store takes nothing from us, or no results from a worker.
        """
        if self.secret is None:
            return
        if isinstance(event, fx.Got) and isinstance(event.record, Heartbeat):
            if event.record.handle:
                self.fleet.meet(Handle.from_json(event.record.handle))
            self._stall.heard(event.record)
        elif isinstance(event, fx.Created) and event.wrote is fx.Wrote.UNKNOWN and event.key.endswith(".next"):
            self._ask_why()

    def _ask_why(self) -> None:
        """A start could not be announced: if no worker is left, waiting callers need to know what the store refuses."""
        with self.news:
            living = self.machine.crew.living()
        if not living:
            try:
                try_to_write(self.store)
            except (Throttled, Unknown):
                return
            except StoreError as fault:  # told when the round is over: its facts are good
                self._refused = fault
