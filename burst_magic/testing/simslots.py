"""The slots of a simulated worker: the tasks they run and the outcomes they hold. Poison kills the whole worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from burst_magic.dataclass import dataclass
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire.model import ClaimKey, SegmentKey
from burst_magic.protocol.worker.ledger import Ledger

if TYPE_CHECKING:
    from burst_magic.testing.simworker import SimulatedWorker
    from burst_magic.testing.world import World

_BATCH = 0.01  # seconds; outcomes of tiny tasks are reported together
_KILLED_IN = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """One run of a task; a task may have several. A ``lost`` task was not run."""

    task: int
    number: int
    failed: bool
    at: float
    lost: bool = False

    def __len__(self) -> int:
        """Bytes of its outcome."""
        return 100

    @property
    def first(self) -> int:
        """Its task."""
        return self.task

    @property
    def count(self) -> int:
        """It is one task's."""
        return 1

    def part(self, start: int, stop: int) -> SimulatedRun:
        """Itself."""
        assert (start, stop) == (self.task, self.task + 1), self  # noqa: S101
        return self


@dataclass(frozen=True, slots=True)
class Pack:
    """The content of a segment."""

    job: str
    runs: tuple[SimulatedRun, ...]


@dataclass(slots=True)
class _Running:
    """The process of a slot."""

    epoch: int = 0  # calls planned in an earlier epoch are void
    running: int = 0  # number of running tasks, from ``work.done`` on
    waiting: bool = False  # it is paused
    lasted: float = 0.0  # seconds of the previous task


class SimulatedSlots:
    """The production ledger, and a stand-in for ``worker.slots.pool`` and its child processes."""

    def __init__(self, world: World, worker: SimulatedWorker, count: int) -> None:
        self._world, self._worker = world, worker
        self._ledger = Ledger[SimulatedRun, None](count)
        self._processes = tuple(_Running() for _ in range(count))

    # --- what can be seen ----------------------------------------------------------------------------------

    @property
    def shown(self) -> list[tuple[str, int | None]]:
        """(job, task) of each slot, for the heartbeat."""
        return [(seat.work.job, seat.work.done) if seat.work else ("", None) for seat in self._ledger.seats]

    @property
    def running(self) -> list[tuple[str, int]]:
        """(job, task) of all running tasks."""
        return [
            (seat.work.job, seat.work.done + ahead)
            for seat, process in zip(self._ledger.seats, self._processes, strict=True)
            if seat.work is not None
            for ahead in range(process.running)
        ]

    @property
    def unpublished(self) -> list[tuple[str, SimulatedRun]]:
        """Outcomes that would be lost now, with their jobs."""
        return [(work.job, run) for work in self._ledger.works for run in work.runs]

    def pack(self, job: str, segment: SegmentKey) -> Pack:
        """The outcomes of a segment."""
        try:
            runs = tuple(self._ledger.outcomes(job, segment))
        except KeyError:
            self._world.broken(2, f"{self._worker.wid} publishes {segment}, which it has forgotten", job)
        if [run.task for run in runs] != list(range(segment.start, segment.stop)):
            self._world.broken(2, f"{self._worker.wid} publishes {segment} but holds {runs}", job)
        if segment.failed != sum(run.failed for run in runs):
            self._world.broken(2, f"{self._worker.wid} says {segment.failed} of {runs} failed", job)
        return Pack(job, runs)

    # --- effects -------------------------------------------------------------------------------------------

    def run(self, effect: fx.Run) -> None:
        """Run a range, or the next piece of one."""
        self._check_vacant(effect.slot, effect.job)
        self._check_allowed(effect.job)
        self._check_forgotten(effect.job, effect.claim)
        self._world.laws.check_claim(self._worker, effect.job, effect.claim)
        work = self._ledger.begin(effect.slot, effect.job, effect.claim, range(effect.start, effect.stop))
        work.fed, self._processes[effect.slot].lasted = work.stop, 0.0
        fetch = self._worker.rng.uniform(1, 3) * self._world.plan.weather.latency
        self._plan(effect.slot, fetch, lambda: self._start(effect.slot))

    def lose(self, effect: fx.Lose) -> list[fx.Event]:
        """Report a task as lost; it is not run again."""
        self._check_vacant(effect.slot, effect.job)
        self._world.laws.check_lost(self._worker, effect)
        self._ledger.begin(effect.slot, effect.job, effect.claim, range(effect.task, effect.task + 1))
        lost = SimulatedRun(effect.task, self._world.count_run(), failed=True, at=self._world.clock.now, lost=True)
        self._ledger.take(effect.slot, lost)
        return self._ledger.progress(effect.slot, (effect.task,))

    def adopt(self, effect: fx.Adopt) -> None:
        """Continue a claim as its heir."""
        self._world.laws.check_claim(self._worker, effect.job, effect.heir)
        self._ledger.adopt(effect)

    def truncate(self, effect: fx.Truncate) -> None:
        """Start no task from there on."""
        self._ledger.truncate(effect)

    def pause(self, effect: fx.Pause) -> None:
        """Start no task from there on for now, or resume."""
        work, process = self._ledger.pause(effect), self._processes[effect.slot]
        if work is not None and process.waiting and not work.paused:
            process.waiting = False
            self._start(effect.slot)

    def drain(self, effect: fx.Drain) -> list[fx.Event]:
        """Finish the running task and start no other."""
        process = self._processes[effect.slot]
        process.waiting = False
        return self._ledger.drain(effect.slot, runs=process.running > 0) or []

    def kill(self, effect: fx.Kill) -> list[fx.Event]:
        """Abort the running task and replace the process, unless it is paused and runs nothing."""
        process = self._processes[effect.slot]
        told = self._ledger.kill(effect.slot, rests=process.waiting)
        if told is None:
            process.running = 0
            process.epoch += 1
            self._plan(effect.slot, self._worker.rng.uniform(0, 0.1), lambda: self._killed(effect.slot))
        elif told:
            process.waiting = False
            self._worker.post(fx.SlotReady(effect.slot))
        return told or []

    def forget(self, effect: fx.Forget) -> None:
        """Drop outcomes that are published or no longer needed."""
        self._ledger.forget(effect)

    # --- running -------------------------------------------------------------------------------------------

    def _check_vacant(self, number: int, job: str) -> None:
        seat = self._ledger.seats[number]
        if seat.work is not None or seat.ending:
            self._world.broken(3, f"{self._worker.wid} gives slot {number} a range while it has one or ends", job)

    def _check_forgotten(self, job: str, claim: ClaimKey) -> None:
        if any(work.runs for work in self._ledger.works if (work.job, work.claim) == (job, claim)):
            self._world.broken(2, f"{self._worker.wid} forgets what it holds of {claim}", job)

    def _check_allowed(self, job: str) -> None:
        if {"", job} & self._worker.forbidden.keys():
            self._world.broken(5, f"{self._worker.wid} starts a task of {job} after it read that it is cancelled", job)

    def _plan(self, number: int, seconds: float, call: Callable[[], object]) -> None:
        process = self._processes[number]
        epoch = process.epoch
        self._worker.after(seconds, lambda: call() if process.epoch == epoch else None)

    def _start(self, number: int) -> None:
        process, work = self._processes[number], self._ledger.seats[number].work
        if work is None or work.finished:
            self._ledger.seats[number].work = None
            return
        if work.paused:
            process.waiting = True
            return
        self._check_allowed(work.job)
        self._world.laws.check_begun(self._worker, work.job, work.done, after=process.lasted)
        if self._world.is_poison(work.job, work.done):
            process.running = 1
            culprit = (work.job, work.done)
            self._plan(number, self._world.duration(*culprit), lambda: self._worker.crash(culprit))
            return
        seconds, count = 0.0, 0
        stop = work.stop if work.pause is None else min(work.stop, work.pause)
        while seconds < _BATCH and work.done + count < stop:
            if self._world.is_poison(work.job, work.done + count):
                break
            each = self._world.duration(work.job, work.done + count)
            if count and each > _BATCH:  # tasks before a long one are reported while it runs
                break
            seconds += each
            count += 1
        process.running, process.lasted = count, seconds / count
        self._plan(number, seconds, lambda: self._finish(number, count))

    def _finish(self, number: int, count: int) -> None:
        seat, process = self._ledger.seats[number], self._processes[number]
        work, process.running = seat.work, 0
        if work is None:
            return
        tasks = range(work.done, min(work.done + count, work.stop))
        runs = [self._world.run(self._worker.wid, work.job, task) for task in tasks]
        for run in runs:
            self._ledger.take(number, run)
        self._check_killed(work.job)
        if runs:
            self._worker.tell(self._ledger.progress(number, tuple(run.task for run in runs if run.failed)))
        if seat.ending == "drain":
            self._worker.tell(self._ledger.stopped(number))
        elif seat.ending == "" and seat.work is work:
            self._start(number)

    def _check_killed(self, job: str) -> None:
        told = min((at for where, at in self._worker.forbidden.items() if where in {"", job}), default=float("inf"))
        if self._world.clock.now > max(told, self._worker.paused_until) + _KILLED_IN:
            self._world.broken(5, f"{self._worker.wid} lets a task of {job} run on after it read its cancel", job)

    def _killed(self, number: int) -> None:
        self._worker.tell(self._ledger.stopped(number))
        boot = self._worker.rng.uniform(0, self._world.plan.boot)
        self._plan(number, boot, lambda: self._worker.tell(self._ledger.ready(number)))
