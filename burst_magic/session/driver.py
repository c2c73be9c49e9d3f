"""The client's driver: one thread that follows a session and all its jobs in this kernel, and wakes waiting callers.

The thread never holds the lock during a store call, and callers never join it: stopping abandons it. Late answers to an
abandoned thread are dropped, and the next thread asks again.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import field, replace

from burst_magic.dataclass import dataclass
from burst_magic.errors import Denied, StoreError, Throttled, Unknown
from burst_magic.launchers.base import Handle
from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.job import JobMachine
from burst_magic.protocol.client.session import SessionMachine
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.protocol.wire.model import Heartbeat, Job, JobEnd, Manifest
from burst_magic.session.fleet import Fleet
from burst_magic.session.kept import pause_after_end
from burst_magic.session.rounds import Rounds
from burst_magic.session.stall import Stall
from burst_magic.session.views import View, Viewer
from burst_magic.stores import Store
from burst_magic.stores.probe import try_to_write
from burst_magic.stores.store_driver import Carrier

_LOG = logging.getLogger(__name__)
_COMING, _UP = 5.0, 10.0  # seconds between two looks at the fleet, at most: while workers are coming; once all are up
_FRAME = 0.25  # seconds between two snapshots for a viewer, at least


@dataclass(slots=True, eq=False)
class _Life:
    """One thread's life; ``stopping`` ends its pauses, between two looks and between two tries."""

    rounds: Rounds
    carrier: Carrier
    stopping: threading.Event
    wake: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class Driver:
    """Follows a session. Its thread starts when first needed, and ends when no job expects any news.

    Args:
        store, secret: the session's store and key (None: read only).
        manifest: the session.
        fleet: its workers.
        ahead: seconds that the store's clock is ahead of ours, as far as it is known.

    Attributes:
        machine: the session's state; use it with ``news`` held.
        news: notified after each round.
    """

    def __init__(
        self, store: Store, secret: bytes | None, manifest: Manifest, fleet: Fleet, *, ahead: float = 0.0
    ) -> None:
        self.store, self.secret, self.manifest, self.fleet = store, secret, manifest, fleet
        self.news = threading.Condition()
        self.machine = SessionMachine(
            manifest=manifest,
            signed=secret is not None,
            now=time.monotonic(),
            wall=time.time() + ahead,
            me=secrets.token_hex(8),
            replaces_lost_workers=fleet.replaces_lost_workers,
            patience=fleet.engines.patience,
            orphaned_after=fleet.engines.orphaned_after,
        )
        self._carrier = Carrier(store, secret, lambda _: True, give_up=(Denied,))
        self._stall = Stall(store, manifest)
        self._life: _Life | None = None
        self._cut_short = False  # answers were dropped
        self._views: list[View] = []
        self._refused: StoreError | None = None  # why a start could not be announced
        self._fault: Exception | None = None  # the thread's failure; raised to the next waiting caller, then retried
        self._rounds, self._under_way, self._look_asked = 0, False, False  # the last: list everything in the next round
        self._over_at: float | None = None  # when a round has found all jobs over, for good
        self._framed = self._fleet_at = 0.0
        self._stopped_at = 0.0  # the deadline at which workers that were still coming were stopped

    # --- following ----------------------------------------------------------------------------------------

    def follow(self, job: Job) -> JobMachine:
        """Follow one more job of the session."""
        with self.news:
            followed = self.machine.follow(job, time.monotonic())
            self._wake()
            return followed

    def start(self, job: JobMachine) -> None:
        """Follow the log from now on."""
        with self.news:
            if job.job.jid not in self.machine.jobs:
                self.machine.take_up(job, time.monotonic())
                self._wake()
            if self._life is None:
                self._start()

    def _start(self) -> None:
        self._fault = None  # what is still wrong shows again
        self._stall.begin()
        if self._cut_short:  # the machine waits for answers that will never come
            self._cut_short = False
            self.machine.resume(time.monotonic())
        life = self._new_life()
        thread = threading.Thread(target=self._live, args=(life,), name=f"burst {self.manifest.sid}", daemon=True)
        thread.start()  # may fail
        self._life, life.thread = life, thread

    def _wake(self) -> None:
        """Wake the thread."""
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
        """Abandon the thread, whatever it is doing.

        Args:
            patience: seconds to wait for its end; a write under way may land until then.
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
        """Note that the thread was abandoned mid-round, so its requests may not have been carried out."""
        self._look_asked |= self._under_way
        self._cut_short, self._under_way = True, False
        self.news.notify_all()

    # --- waiting ------------------------------------------------------------------------------------------

    def snapshot(self, job: JobMachine) -> Snapshot:
        """What is known about a job now, without asking the store."""
        with self.news:
            trouble = self._life.carrier.trouble if self._life is not None else ""
            return replace(self.machine.snapshot(job, time.monotonic()), trouble=trouble)

    def refresh(self, job: JobMachine, timeout: float) -> Snapshot:
        """List everything once, and wait for the answers."""
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
        """Ask the thread to list everything; returns a function that tells whether it has."""
        enough = self._rounds + 1 + self._under_way  # a round that began before the request does not count
        self._look_asked = True
        self.start(job)
        self._wake()
        return lambda: self._rounds >= enough

    def wait_for(self, job: JobMachine, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until ``ready`` (called with the lock held) or until nothing of the job will change any more."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.news:
            if not ready() and self._life is None and not (job.end and job.end.for_good):
                self.start(job)  # despite earlier faults: a fault that persists shows again
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
        """Call ``viewer`` with snapshots, each newer than the last, one at a time; returns a stop function.

        At most four a second come from this driver's thread; others, from the thread that asks, when it is over already
        and when all workers are told to end.
        """
        view = View(job, viewer)
        with self.news:
            self._views.append(view)
            self.machine.watch(time.monotonic(), on=True)
            self.start(job)
            self._wake()
            over = job.end is not None
        if over:
            view.show(self.snapshot)

        def unwatch() -> None:
            with self.news:
                self._views = [each for each in self._views if each is not view]
                if not self._views:
                    self.machine.watch(time.monotonic(), on=False)

        return unwatch

    def dismissed(self) -> None:
        """All workers were told to end from here: views hear of it at once, whether a thread looks or not."""
        with self.news:
            self.machine.dismiss()
        self._show()

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
        """Whether any news is expected, or a look is requested. A job added later finds no thread."""
        with self.news:
            if self._life is not life:
                return False
            if self._look_asked or not self._all_over() or self._pause_after_end() is not None:
                return True
            self._life = None
            self.news.notify_all()
            return False

    def _all_over(self) -> bool:
        return all(job.end and job.end.for_good for job in self.machine.jobs.values())

    def _ends_before_a_view(self) -> bool:
        """Whether the last job has just ended while a view is open, which is to say what workers are left."""
        with self.news:
            before = self._over_at
            self._over_at = (before or time.monotonic()) if self._all_over() else None
            return self._over_at is not None and before is None and bool(self._views)

    def _pause_after_end(self) -> float | None:
        """Seconds between two looks while views show, or may yet show, workers that are kept; None: no more looks."""
        now = time.monotonic()
        seen = [self.machine.snapshot(each.job, now) for each in self._views if each.job.end]
        over_at = now if self._over_at is None else self._over_at
        return pause_after_end([] if self.machine.dismissed else seen, self.manifest, after=now - over_at)

    def _pause(self, life: _Life) -> None:
        with self.news:
            pause = min(self.machine.wake, self._fleet_at) - time.monotonic()
            pause = min(pause, 4 * _FRAME) if self._views else pause
            pause = 0.0 if self._look_asked else pause
        if pause > 0:
            life.wake.wait(pause)
        life.wake.clear()

    def _round(self, life: _Life) -> None:
        """Make all due requests and wait for their answers; on request, list everything."""
        with self.news:
            if self._life is not life:
                return
            self._under_way = True
            looking, self._look_asked = self._look_asked, False
        life.rounds.play(looking=looking, coming=self.fleet.coming)
        ended = looking and self.fleet.look()  # a worker met in this round may have ended long ago
        if self._ends_before_a_view() or ended:
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
        with self.news:
            pause = self._pause_after_end() if self._all_over() else None
            if pause is not None:  # the round looks at the fleet
                self._fleet_at, self._look_asked = now + pause, True
                return
        ended = self.fleet.look()
        self._fleet_at = now + min(self.manifest.interval, _COMING if self.fleet.coming else _UP)
        with self.news:
            covered = sum(job.cover.covered for job in self.machine.jobs.values())
            attends = self.machine.replaces_lost_workers
            replaced = self.machine.starts.replaced() if attends else ()
            late = attends and any(job.end is JobEnd.DEADLINE for job in self.machine.jobs.values())
            deadline = self.machine.deadline
        if replaced:
            self.fleet.stop_replaced(replaced)
        if late and deadline != self._stopped_at:
            self._stopped_at = deadline
            self.fleet.stop_coming()  # they would end at once, and cost a minute each
        stalled = self.secret is not None and self._stall.asks(covered, now)
        self._look_asked |= ended or stalled

    def _frame(self, life: _Life, *, last: bool = False) -> None:
        now = time.monotonic()
        if life.stopping.is_set() or (now - self._framed < _FRAME and not last):
            return
        self._framed = now
        self._show()

    def _show(self) -> None:
        for view in list(self._views):
            try:
                view.show(self.snapshot)
            except Exception:  # noqa: BLE001 - a failing viewer must not stop callers that wait for results
                _LOG.exception("a view of %s failed and is not called again", self.manifest.sid)
                with self.news:
                    self._views = [each for each in self._views if each is not view]

    # --- deeds --------------------------------------------------------------------------------------------

    def replace(self, starts: Sequence[fx.Replace]) -> None:
        """Start workers. If that fails, the others continue; if there are none, the machine reports it."""
        with self.news:
            self.fleet.deadline = self.machine.deadline
        for launcher in dict.fromkeys(start.launcher for start in starts):
            self.fleet.start_announced([each.token for each in starts if each.launcher == launcher], launcher=launcher)

    def answered(self, event: fx.Event) -> None:
        """Take a worker's handle from a verified heartbeat, since signals go to the process it names.

        Raises:
            StoreError: the store refuses our writes, or a worker's results.
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
            except StoreError as fault:  # raised after the round, whose facts are good
                self._refused = fault
