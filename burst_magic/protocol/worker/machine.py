"""One worker as a pure machine: ``step(event, now) -> effects``.

It joins, claims ranges, publishes its slots' outcomes, writes ``final``, and exits by itself. ``now`` is a monotonic
clock in seconds; the wall clock is that plus an offset, which the store's own clock corrects.

    control/ --> jobs --> claiming.py --> publishing.py --> claiming.py --> ... --> leaving.py

All parts share one ``State``. This module has the entry point ``step``, reads control objects, sends heartbeats, and
checks for a ``.gone`` of its own after a time without any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from burst_magic.protocol import effects as fx
from burst_magic.protocol.log import SKEW, fold_control
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ClaimBody, Control, ControlKind, EndCause, Final, Gone, Job, Manifest
from burst_magic.protocol.worker.claiming import Taking
from burst_magic.protocol.worker.known import KnownJob
from burst_magic.protocol.worker.leaving import Leaving
from burst_magic.protocol.worker.publishing import Publishing
from burst_magic.protocol.worker.state import Chance, State, job_of

LIVE = 2.0  # seconds between two heartbeats, while a viewer watches a small fleet
LIVE_BEATS = 8  # a second, of a whole fleet while a viewer watches: more would cost as much as spot workers do
_UNCOMMITTED = 30.0  # seconds between two looks for an announced job, at most
VIEWED = 60.0  # seconds that a viewer's ``~watch`` holds


class WorkerMachine:
    """One worker of one session.

    Args:
        manifest: the session.
        wid: the worker's id.
        number: its place in the fleet, if the launcher knows it; its slots begin with the lanes of that number.
        token: token of the start that created it.
        now: the monotonic clock at birth.
        wall: the wall clock at that instant, seconds since the epoch.
        nonce: makes a new nonce for each claim attempt.
        chance: picks free lanes and victims.
        installs: its slots start once packages are installed; until the first does, it is not idle.
    """

    def __init__(
        self,
        *,
        manifest: Manifest,
        wid: str,
        number: int | None,
        token: str = "",
        now: float,
        wall: float,
        nonce: Callable[[], str],
        chance: Chance,
        installs: bool = False,
    ) -> None:
        self.manifest = manifest
        self._state = State(manifest=manifest, wid=wid, now=now, wall=wall, nonce=nonce, chance=chance)
        self._state.installing = installs
        self._publishing = Publishing(self._state)
        self._taking = Taking(self._state, self._publishing, number)
        self._leaving = Leaving(self._state, token, now)
        self._controls: dict[str, Control | None] = {}
        self._beats = 0
        self._beat_at = self._list_at = self._control_at = now
        self._beating = self._listing_control = False
        self._beat_as = wid
        self._live = LIVE
        self._began_beat = self._beaten = now  # when the last heartbeat began, and the last that was written
        self._doubting = False  # silent for so long that its ``.gone`` may have been written

    def bill_from(self, wall: float) -> None:
        """Its engine has billed it since then, seconds since the epoch; without a word its bill begins at its birth."""
        self._state.billed_from = int(wall * 1000)

    # --- the entry point -------------------------------------------------------------------------------

    def step(self, event: fx.Event, now: float) -> list[fx.Effect]:
        """Take one event and return effects. ``wake`` is then the time of the next ``Tick``."""
        state = self._state
        state.out = []
        slept = now - state.wake
        if slept > self.manifest.interval:  # time asleep is neither idleness nor the store's silence
            state.idle_since, state.heard = state.idle_since + slept, state.heard + slept
        if isinstance(event, fx.Listed | fx.Got) or (
            isinstance(event, fx.Created) and event.wrote is not fx.Wrote.UNKNOWN
        ):
            state.heard = now
        if not self.left:
            _HANDLERS[type(event)](self, event, now)
            self._think(now)
        return state.out

    @property
    def wid(self) -> str:
        """Its current name."""
        return self._state.wid

    @property
    def wake(self) -> float:
        """When a ``Tick`` is due, by the monotonic clock."""
        return self._state.wake

    def wall(self, now: float) -> float:
        """The store's clock at a time of our monotonic one, as far as it is known."""
        return self._state.wall(now)

    @property
    def deadline(self) -> float:
        """The session's, as far as it is known, by the monotonic clock."""
        return self._leaving.deadline

    @property
    def last_moment(self) -> float:
        """When it exits whatever the store answers, by the monotonic clock."""
        return self._leaving.last_moment

    @property
    def left(self) -> bool:
        """It has ended and requests nothing more."""
        return self._leaving.stage == "left"

    @property
    def holds(self) -> tuple[tuple[int, str, int, int, int], ...]:
        """(slot, job, published, done, stop) of each range it owns; for the trace of a failed run."""
        return tuple((h.slot, h.job, h.published, h.done, h.stop) for h in self._state.holds.values())

    # --- events ------------------------------------------------------------------------------------------

    def _on_tick(self, event: fx.Tick, now: float) -> None:
        """Nothing but time has passed; ``_think`` does the rest."""

    def _on_slot_ready(self, event: fx.SlotReady, now: float) -> None:
        if self._state.installing:
            self._state.installing, self._state.idle_since = False, now
            self._beat_at = now  # its last heartbeat says that it installs
        self._state.ready.add(event.slot)

    def _on_progress(self, event: fx.Progress, now: float) -> None:
        self._publishing.progress(event, now)

    def _on_stopped(self, event: fx.Stopped, now: float) -> None:
        self._publishing.stopped(event, now)

    def _on_published(self, event: fx.Published, now: float) -> None:
        self._publishing.published(event, now)

    def _on_terminate(self, event: fx.Terminate, now: float) -> None:
        self._leaving.terminate(now, event.within)

    def _on_poke(self, event: fx.Poke, now: float) -> None:
        self._control_at = now

    def _on_beaten(self, event: fx.Beaten, now: float) -> None:
        self._beating = False
        self._state.writing -= 1
        if event.wrote is fx.Wrote.DONE:
            self._beaten = self._began_beat
        if event.offset is not None and abs(event.offset - self._state.offset) >= SKEW:
            self._state.offset = event.offset

    def _on_listed(self, event: fx.Listed, now: float) -> None:
        if event.folder == self._state.keys.control_folder:
            self._control_listed(event, now)
        elif event.folder == self._state.keys.workers_folder:
            self._state.fleet.listed(event.names, now)
            self._live = max(LIVE, len(self._state.fleet.living()) / LIVE_BEATS)
            self._taking.workers_listed(now)
            if self.wid in self._state.fleet.gone and not self._leaving.stage:
                self._rejoin(now)
        elif not event.folder.endswith("/claims"):
            self._taking.results_listed(event, now)
        elif event.limit == 1:
            self._publishing.looked(event, now)
        else:
            self._taking.claims_listed(event, now)

    def _on_created(self, event: fx.Created, now: float) -> None:
        self._state.writing -= 1
        done = event.wrote is fx.Wrote.DONE
        if event.key in self._state.trying:
            self._taking.created(event, now)
        elif event.key.endswith("/final"):
            if done:
                self._taking.final_read(event.key, now, exists=True)
            else:
                self._state.ask(fx.Read(event.key, Final))
        elif event.key.endswith(".gone"):
            self._leaving.gone_written(looking=self._listing_control)

    def _on_got(self, event: fx.Got, now: float) -> None:
        record, key = event.record, event.key
        if key in self._state.trying:
            self._taking.claim_read(key, cast("ClaimBody | None", record), now)
        elif "/jobs/" in key:
            self._job_object_read(key, record, now)
        elif key == self._state.keys.manifest:
            if record is None:
                self._leaving.leave(EndCause.EXPIRED)
        elif key.startswith(self._state.keys.control_folder):
            self._control_read(key, cast("Control | None", record))
        elif self._doubting and key == self._state.keys.gone(self.wid):
            self._doubting, self._beaten = False, now
            if record is not None and not self._leaving.stage:
                self._rejoin(now)
        else:
            self._taking.end_read(key, cast("Gone | None", record))

    def _job_object_read(self, key: str, record: fx.Record | None, now: float) -> None:
        if key.endswith("/job.json"):
            self._job_read(self._state.jobs[job_of(key)], cast("Job | None", record), now)
        elif key.endswith("/final"):
            self._taking.final_read(key, now, exists=record is not None)
        else:
            self._taking.owner_read(key, cast("ClaimBody | None", record), now)

    # --- control objects ---------------------------------------------------------------------------------------

    def _control_listed(self, event: fx.Listed, now: float) -> None:
        self._listing_control = False
        if not event.names:  # the session may have been cleaned up
            self._state.ask(fx.Read(self._state.keys.manifest, Manifest))
        for name, _ in event.names:
            control = keys.parse_control(name)
            if control.kind is ControlKind.ADD_JOB:
                self._meet(control.ident, now)
            elif name not in self._controls:
                self._controls[name] = None
                self._state.ask(fx.Read(f"{event.folder}/{name}", Control))
        self._leaving.told = self._leaving.told or all(self._controls.values())
        self._leaving.looked(now)

    def _meet(self, jid: str, now: float) -> None:
        """Handle an announced job; ``job.json`` commits it, and may come a little later or never."""
        jobs = self._state.jobs
        job = jobs.get(jid)
        if job is None:
            job = jobs[jid] = KnownJob(keys=self._state.keys.job(jid), since=now)
        due = now >= job.read_at or self._leaving.stage == "look"  # the last chance to see it
        if job.record is None and not job.closed and due:
            job.read_at = now + min(_UNCOMMITTED, now - job.since)  # anyone can announce thousands
            job.reading += 1
            self._state.ask(fx.Read(job.keys.record, Job))

    def _job_read(self, job: KnownJob, record: Job | None, now: float) -> None:
        job.reading -= 1
        if record is not None and job.record is None:
            job.commit(record, now)
            job.hunt_wait = self.manifest.floor / 4
            if record.jid in self._state.asked.cancelled:
                job.closed = True
            elif not job.closed:
                self._state.ask(fx.Open(record))
            self._state.idle_since = now
        self._leaving.leave_or_rejoin(now)

    def _control_read(self, key: str, record: Control | None) -> None:
        if record is None:  # not signed by this session: ignored
            return
        state = self._state
        self._controls[key.rpartition("/")[2]] = record
        state.asked = fold_control(c for c in self._controls.values() if c)
        self._leaving.told = self._leaving.told or all(self._controls.values())
        for jid in state.asked.cancelled & set(state.jobs):
            state.close(state.jobs[jid])
            for hold in state.of(jid):
                state.stop(hold, kill=True)

    # --- time ------------------------------------------------------------------------------------------------

    def _think(self, now: float) -> None:
        """Do everything due at ``now``; sets ``wake`` to the next due time."""
        state, leaving = self._state, self._leaving
        state.wake = now + 3600.0
        if not leaving.stage:
            leaving.limits(now)
        leaving.overtime(now)
        leaving.part(now)
        if leaving.stage:
            return
        self._doubt(now)
        self._beat(now)
        self._look_at_control(now)
        self._taking.inherit(now)
        for hold in list(state.holds.values()):
            self._publishing.flush(hold, now)
            self._publishing.pause(hold, now)
        leaving.say_gone(now)
        if not state.ending and not self._doubting:
            self._taking.take(now)

    def _doubt(self, now: float) -> None:
        """After a sleep or failed writes, check for its own ``.gone`` and successors of its claims before going on."""
        if self._beat_as != self.wid:  # a new name cannot have a ``.gone`` yet
            self._beat_as, self._beat_at, self._beaten, self._doubting = self.wid, now, now, False
        if self._doubting or now - self._beaten <= 2 * self.manifest.interval:
            return
        self._doubting = True
        self._state.ask(fx.Read(self._state.keys.gone(self.wid), Gone))
        for hold in list(self._state.holds.values()):
            if not hold.busy and not hold.orphan:  # the successor of an orphan may be its own heir
                self._publishing.look(hold, now)

    def _rejoin(self, now: float) -> None:
        """Its ``.gone`` exists although it lives: continue under a new name with the ranges not yet taken over."""
        self._state.rename(now)
        for hold in self._state.holds.values():
            hold.orphan = True

    def _beat(self, now: float) -> None:
        state = self._state
        if self._doubting or self._leaving.done:
            return
        interval = self.manifest.interval
        if state.wall(now) - state.fleet.viewed < VIEWED:
            self._beat_at = min(self._beat_at, self._began_beat + self._live)
        if not self._beating and now >= self._beat_at:
            self._beats += 1
            self._beat_at, self._beating, self._began_beat = now + interval, True, now
            key = state.keys.heartbeat(state.wid, state.billed_from, self.manifest.rate)
            state.ask(fx.Beat(key, state.wid, self._beats, state.wall(now), self._leaving.idle_since))
            looks = interval > LIVE or state.asked.wanted is not None or state.budget is not None
            if looks and now >= self._list_at:  # for viewers, for its rank, for the fleet's cost
                self._list_at = now + interval
                state.ask(fx.List(state.keys.workers_folder))
        if not self._beating:  # otherwise the answer wakes it
            state.due(self._beat_at)

    def _look_at_control(self, now: float) -> None:
        if not self._listing_control and now >= self._control_at:
            idle = not self._state.holds
            self._control_at = now + (2 * self.manifest.floor if idle else self.manifest.interval)
            self._listing_control = True
            self._state.ask(fx.List(self._state.keys.control_folder))
        if not self._listing_control:  # otherwise the answer wakes it
            self._state.due(self._control_at)


_HANDLERS: dict[type, Callable[[WorkerMachine, Any, float], None]] = {
    fx.Tick: WorkerMachine._on_tick,
    fx.Listed: WorkerMachine._on_listed,
    fx.Got: WorkerMachine._on_got,
    fx.Created: WorkerMachine._on_created,
    fx.Beaten: WorkerMachine._on_beaten,
    fx.SlotReady: WorkerMachine._on_slot_ready,
    fx.Progress: WorkerMachine._on_progress,
    fx.Stopped: WorkerMachine._on_stopped,
    fx.Published: WorkerMachine._on_published,
    fx.Terminate: WorkerMachine._on_terminate,
    fx.Poke: WorkerMachine._on_poke,
}
