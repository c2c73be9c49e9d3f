"""The slots of a simulated worker: what they run, what they hold, and tasks that end the whole worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire.model import ClaimKey, SegmentKey

if TYPE_CHECKING:
    from burst_magic.testing.simworker import SimulatedWorker
    from burst_magic.testing.world import World

_BATCH = 0.01  # seconds: outcomes of tiny tasks are told together
_KILLED_IN = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class SimulatedRun:
    """One run of a task; a task may run more than once, and each run is another. ``lost`` ones were not run."""

    task: int
    number: int
    failed: bool
    at: float
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Pack:
    """What a segment holds."""

    job: str
    runs: tuple[SimulatedRun, ...]


@dataclass(slots=True)
class _Work:
    job: str
    claim: ClaimKey
    done: int
    stop: int
    first: int
    pause: int | None = None
    lasted: float = 0.0  # seconds of the task before
    runs: list[SimulatedRun] = field(default_factory=list)


@dataclass(slots=True)
class _Slot:
    work: _Work | None = None
    ending: str = ""  # "", "drain", "kill"
    epoch: int = 0  # what was planned before is void
    running: int = 0  # so many tasks from ``work.done`` on
    waiting: bool = False  # where it pauses


class SimulatedSlots:
    """As ``worker.supervisor`` and its child processes do it."""

    def __init__(self, world: World, worker: SimulatedWorker, count: int) -> None:
        self._world, self._worker = world, worker
        self._slots = [_Slot() for _ in range(count)]
        self._works: dict[tuple[str, ClaimKey], _Work] = {}

    # --- what can be seen ----------------------------------------------------------------------------------

    @property
    def shown(self) -> list[tuple[str, int | None]]:
        """(job, task) of each slot, for the heartbeat."""
        return [(slot.work.job, slot.work.done) if slot.work else ("", None) for slot in self._slots]

    @property
    def running(self) -> list[tuple[str, int]]:
        """(job, task) of all that runs now."""
        return [
            (slot.work.job, slot.work.done + ahead)
            for slot in self._slots
            if slot.work is not None
            for ahead in range(slot.running)
        ]

    @property
    def unpublished(self) -> list[tuple[str, SimulatedRun]]:
        """Outcomes that would be lost now, with their jobs."""
        return [(work.job, run) for work in self._works.values() for run in work.runs]

    def pack(self, job: str, segment: SegmentKey) -> Pack:
        """The outcomes of a segment."""
        work = self._works.get((job, segment.claim))
        runs = tuple(work.runs[segment.start - work.first : segment.stop - work.first]) if work else ()
        if [run.task for run in runs] != list(range(segment.start, segment.stop)):
            self._world.broken(2, f"{self._worker.wid} publishes {segment} and holds {runs}", job)
        if segment.failed != sum(run.failed for run in runs):
            self._world.broken(2, f"{self._worker.wid} says {segment.failed} of {runs} failed", job)
        return Pack(job, runs)

    # --- effects -------------------------------------------------------------------------------------------

    def run(self, effect: fx.Run) -> None:
        """A range, or the next piece of one."""
        slot = self._vacant(effect.slot, effect.job)
        self._check_allowed(effect.job)
        self._world.laws.check_claim(self._worker, effect.job, effect.claim)
        slot.work = self._work(effect.job, effect.claim, effect.start)
        slot.work.stop, slot.work.pause, slot.work.lasted = effect.stop, None, 0.0
        fetch = self._worker.rng.uniform(1, 3) * self._world.plan.weather.latency
        self._plan(effect.slot, fetch, lambda: self._start(effect.slot))

    def lose(self, effect: fx.Lose) -> None:
        """An outcome for a task that is not run again."""
        self._vacant(effect.slot, effect.job)
        self._world.laws.check_lost(self._worker, effect)
        work = self._work(effect.job, effect.claim, effect.task)
        work.runs.append(
            SimulatedRun(effect.task, self._world.count_run(), failed=True, at=self._world.clock.now, lost=True)
        )
        work.done = work.stop = effect.task + 1
        held = 100 * len(work.runs)
        self._worker.post(fx.Progress(effect.slot, work.job, work.claim, work.done, (effect.task,), held))

    def adopt(self, effect: fx.Adopt) -> None:
        """A claim goes on under another name."""
        self._world.laws.check_claim(self._worker, effect.job, effect.heir)
        work = self._works.pop((effect.job, effect.claim), None)
        if work is not None:
            work.claim = effect.heir
            self._works[effect.job, effect.heir] = work

    def truncate(self, effect: fx.Truncate) -> None:
        """No task from there on."""
        if effect.slot >= 0 and (work := self._slots[effect.slot].work) is not None:
            work.stop = min(work.stop, effect.stop)

    def pause(self, effect: fx.Pause) -> None:
        """No task from there on for now, or go on."""
        slot = self._slots[effect.slot]
        work = slot.work
        if work is None or work is not self._works.get((effect.job, effect.claim)):
            return
        work.pause = effect.before
        if slot.waiting and (work.pause is None or work.done < work.pause):
            slot.waiting = False
            self._start(effect.slot)

    def drain(self, number: int) -> None:
        """The running task and no other."""
        slot = self._slots[number]
        if not slot.ending:
            slot.ending = "drain"
            if not slot.running:
                self._stopped(number)

    def kill(self, number: int) -> None:
        """Nothing more; a new process takes its place."""
        slot = self._slots[number]
        if slot.waiting:  # nothing runs: its process goes on
            self._stopped(number)
            self._worker.post(fx.SlotReady(number))
        elif slot.ending != "kill":
            slot.ending, slot.running = "kill", 0
            slot.epoch += 1
            self._plan(number, self._worker.rng.uniform(0, 0.1), lambda: self._killed(number))

    def forget(self, effect: fx.Forget) -> None:
        """They are published, or nobody wants them."""
        work = self._works.get((effect.job, effect.claim))
        if work is not None:
            cut = max(0, effect.upto - work.first)
            del work.runs[:cut]
            work.first += cut

    # --- running -------------------------------------------------------------------------------------------

    def _vacant(self, number: int, job: str) -> _Slot:
        slot = self._slots[number]
        if slot.work is not None or slot.ending:
            self._world.broken(3, f"{self._worker.wid} gives slot {number} a range while it has one or ends", job)
        return slot

    def _work(self, job: str, claim: ClaimKey, start: int) -> _Work:
        work = self._works.get((job, claim))
        if work is None or work.first != start or work.done != start:
            if work is not None and work.runs:
                self._world.broken(2, f"{self._worker.wid} forgets what it holds of {claim}", job)
            work = self._works[job, claim] = _Work(job, claim, start, start, start)
        return work

    def _check_allowed(self, job: str) -> None:
        if {"", job} & self._worker.forbidden.keys():
            self._world.broken(5, f"{self._worker.wid} starts a task of {job} after it read that it is cancelled", job)

    def _plan(self, number: int, seconds: float, call: Callable[[], object]) -> None:
        slot = self._slots[number]
        epoch = slot.epoch
        self._worker.after(seconds, lambda: call() if slot.epoch == epoch else None)

    def _start(self, number: int) -> None:
        slot = self._slots[number]
        work = slot.work
        if work is None or work.done >= work.stop:
            slot.work = None
            return
        if work.pause is not None and work.done >= work.pause:
            slot.waiting = True
            return
        self._check_allowed(work.job)
        self._world.laws.check_begun(self._worker, work.job, work.done, after=work.lasted)
        if self._world.is_poison(work.job, work.done):
            slot.running = 1
            culprit = (work.job, work.done)
            self._plan(number, self._world.duration(*culprit), lambda: self._worker.crash(culprit))
            return
        seconds, count = 0.0, 0
        stop = work.stop if work.pause is None else min(work.stop, work.pause)
        while seconds < _BATCH and work.done + count < stop:
            if self._world.is_poison(work.job, work.done + count):
                break
            each = self._world.duration(work.job, work.done + count)
            if count and each > _BATCH:  # those before a long one are told while it runs
                break
            seconds += each
            count += 1
        slot.running, work.lasted = count, seconds / count
        self._plan(number, seconds, lambda: self._finish(number, count))

    def _finish(self, number: int, count: int) -> None:
        slot = self._slots[number]
        work, slot.running = slot.work, 0
        if work is None:
            return
        tasks = range(work.done, min(work.done + count, work.stop))
        runs = [self._world.run(self._worker.wid, work.job, task) for task in tasks]
        work.runs += runs
        work.done += len(runs)
        self._check_killed(work.job)
        failed = tuple(run.task for run in runs if run.failed)
        if work.done >= work.stop and not slot.ending:
            slot.work = None
        if runs:
            self._worker.step(fx.Progress(number, work.job, work.claim, work.done, failed, 100 * len(work.runs)))
        if slot.ending == "drain":
            self._stopped(number)
        elif slot.ending == "" and slot.work is work:
            self._start(number)

    def _check_killed(self, job: str) -> None:
        told = min((at for where, at in self._worker.forbidden.items() if where in {"", job}), default=float("inf"))
        if self._world.clock.now > max(told, self._worker.paused_until) + _KILLED_IN:
            self._world.broken(5, f"{self._worker.wid} lets a task of {job} run on after it read its cancel", job)

    def _killed(self, number: int) -> None:
        self._stopped(number)
        boot = self._worker.rng.uniform(0, self._world.plan.boot)
        self._plan(number, boot, lambda: self._worker.step(fx.SlotReady(number)))

    def _stopped(self, number: int) -> None:
        slot = self._slots[number]
        work, slot.work, slot.ending, slot.waiting = slot.work, None, "", False
        if work is not None:
            work.stop = work.done
            self._worker.step(fx.Stopped(number, work.job, work.claim, work.done))
