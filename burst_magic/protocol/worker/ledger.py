"""Bookkeeping of the work and outcomes of each slot, shared by supervisor and simulator.

Effects for slots are recorded here first; the caller applies them to the slot's process. Events for the machine are
returned, never passed from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from burst_magic.errors import BurstError
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire.model import ClaimKey, SegmentKey
from burst_magic.protocol.worker.publishing import MAX_HELD

R = TypeVar("R", bound=Sized)  # an outcome; its length is in bytes
F = TypeVar("F")  # a job's files


@dataclass(slots=True)
class Work(Generic[R, F]):
    """Tasks of one claim: a whole range, or a piece of one.

    Attributes:
        first: the task of ``records[0]``.
        done: tasks below it have outcomes.
        fed: tasks below it were given to the slot.
        stop: where it ends.
        unborn: slots in a row that ended with it before a task ran.
        verdict: what is said of its one task, which is not run again; "" of tasks that are.
        problem: why nothing from ``fed`` on can be run.
        files: its job's, from when they were needed to its last task, also of a job that is over.
        alone: its tasks are run each in a process of its own: one that ended its process took outcomes with it.
        pause: its slot starts none from that task on for now; None: it does not pause.
        stopped: its slot runs nothing of it any more, and what it has may be nobody's.
    """

    slot: int
    job: str
    claim: ClaimKey
    first: int
    done: int
    fed: int
    stop: int
    unborn: int = 0
    verdict: str = ""
    fetching: bool = False
    problem: BurstError | None = None
    files: F | None = None
    alone: bool = False
    pause: int | None = None
    stopped: bool = False
    records: list[R] = field(default_factory=list)
    held: int = 0  # bytes

    @property
    def finished(self) -> bool:
        """All its tasks have outcomes."""
        return self.done >= self.stop

    @property
    def paused(self) -> bool:
        """It has come to where its slot pauses, and the slot was not told to go on."""
        return self.pause is not None and self.done >= self.pause

    @property
    def due(self) -> bool:
        """What it holds is published as soon as the store takes it, and not only when it is time."""
        return self.held >= MAX_HELD or (self.finished and self.held > 0)

    @property
    def hungry(self) -> bool:
        """There is more to fetch, and nobody fetches it."""
        return not self.fetching and self.problem is None and self.fed < self.stop

    def take(self, record: R) -> None:
        """The outcome of the next task."""
        self.unborn = 0
        self.records.append(record)
        self.held += len(record)
        self.done += 1
        if self.finished:
            self.files = None

    def chosen(self, start: int, stop: int) -> list[R]:
        """The outcomes of these tasks."""
        return self.records[start - self.first : stop - self.first]

    def forget(self, upto: int) -> None:
        """Nobody needs the outcomes below that task any more."""
        cut = max(0, upto - self.first)
        self.held -= sum(map(len, self.records[:cut]))
        del self.records[:cut]
        self.first += cut

    def lose_slot(self) -> None:
        """What its slot was given is gone with it."""
        self.fed, self.problem = self.done, None


@dataclass(slots=True)
class Seat(Generic[R, F]):
    """One slot, whatever process serves it. ``ending``: "", "drain" or "kill"."""

    work: Work[R, F] | None = None
    ending: str = ""


class Ledger(Generic[R, F]):
    """All slots of a worker.

    Args:
        slots: how many.
    """

    def __init__(self, slots: int) -> None:
        self.seats: tuple[Seat[R, F], ...] = tuple(Seat() for _ in range(slots))
        self._works: dict[tuple[str, ClaimKey], Work[R, F]] = {}

    # --- what can be seen ------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Some slot has something to do, or is ending."""
        return any(seat.work is not None or seat.ending for seat in self.seats)

    @property
    def works(self) -> Iterable[Work[R, F]]:
        """Work with outcomes that are still to be reported or published."""
        return self._works.values()

    @property
    def waiting(self) -> int:
        """Bytes of outcomes that wait for the store and for nothing else.

        Ranges that wait for more to come must be heard. What was stopped does not count: its range may be another's
        by now, and then nobody ever publishes it.
        """
        return sum(work.held for work in self._works.values() if work.due and not work.stopped)

    def outcomes(self, job: str, segment: SegmentKey) -> list[R]:
        """What a segment is to hold."""
        return self._works[job, segment.claim].chosen(segment.start, segment.stop)

    def slot_of(self, job: str, segment: SegmentKey) -> int:
        """What made them: one claim is one slot's from its first task to its last."""
        return self._works[job, segment.claim].slot

    # --- what the machine asks for -----------------------------------------------------------------------------

    def begin(self, slot: int, job: str, claim: ClaimKey, tasks: range, *, verdict: str = "") -> Work[R, F]:
        """A range, or the next piece of one; with a verdict, a task that is not run."""
        start = tasks.start
        work = Work[R, F](
            slot=slot, job=job, claim=claim, first=start, done=start, fed=start, stop=tasks.stop, verdict=verdict
        )
        self._works[job, claim] = self.seats[slot].work = work
        return work

    def adopt(self, effect: fx.Adopt) -> None:
        """A claim goes on as its heir, with all that is not yet published."""
        work = self._works.pop((effect.job, effect.claim), None)
        if work is not None:
            work.claim = effect.heir
            self._works[effect.job, effect.heir] = work

    def truncate(self, effect: fx.Truncate) -> Work[R, F] | None:
        """No task from there on; returns what now ends there."""
        work = self.seats[effect.slot].work
        if work is not None:
            work.stop = min(work.stop, effect.stop)
            if work.pause is not None and work.pause >= work.stop:
                work.pause = None
        return work

    def pause(self, effect: fx.Pause) -> Work[R, F] | None:
        """No task from there on for now, or go on; returns the work, if its slot is to be told."""
        seat, work = self.seats[effect.slot], self._works.get((effect.job, effect.claim))
        if work is None or work is not seat.work or work.finished or seat.ending:
            return None
        work.pause = effect.before
        return work

    def forget(self, effect: fx.Forget) -> None:
        """Outcomes that nobody needs here any more."""
        work = self._works.get((effect.job, effect.claim))
        if work is not None:
            work.forget(effect.upto)
            if work.first >= work.stop:
                del self._works[effect.job, effect.claim]

    def drain(self, slot: int, *, runs: bool) -> list[fx.Event] | None:
        """The running task and no other. None: its process is to finish that first.

        Args:
            slot: which.
            runs: its process was given something of its work.
        """
        seat = self.seats[slot]
        if seat.ending:
            return []
        seat.ending = "drain"
        return None if runs and seat.work is not None else self.stopped(slot)

    def kill(self, slot: int, *, rests: bool) -> list[fx.Event] | None:
        """Not even the running task. None: its process is to be ended.

        Args:
            slot: which.
            rests: its process waits where it was told to pause, and so runs nothing: it goes on.
        """
        seat = self.seats[slot]
        if rests and not seat.ending and seat.work is not None and seat.work.paused:
            return self.stopped(slot)
        if seat.ending == "kill":
            return []
        seat.ending = "kill"
        return None

    # --- what slots say ------------------------------------------------------------------------------------------

    def take(self, slot: int, task: int, record: R) -> bool:
        """An outcome; anything but the next task of the range is not its business."""
        work = self.seats[slot].work
        if work is None or task != work.done or work.finished:
            return False
        work.take(record)
        return True

    def progress(self, slot: int, failed: tuple[int, ...]) -> list[fx.Event]:
        """Tells how far its range is; a slot whose range is finished has none."""
        seat = self.seats[slot]
        work = seat.work
        if work is None:
            return []
        if work.finished:
            seat.work = None
        return [fx.Progress(slot, work.job, work.claim, work.done, failed, work.held)]

    def stopped(self, slot: int) -> list[fx.Event]:
        """It runs nothing any more, and ends no longer."""
        seat = self.seats[slot]
        work, seat.work, seat.ending = seat.work, None, ""
        if work is None:
            return []
        work.stop, work.stopped, work.files = work.done, True, None
        if not work.records:  # nobody will ask for it, nor say that it may go
            self._works.pop((work.job, work.claim), None)
        return [fx.Stopped(slot, work.job, work.claim, work.done)]

    def ready(self, slot: int) -> list[fx.Event]:
        """Its process has done all that it was asked."""
        seat = self.seats[slot]
        if seat.ending == "kill":  # said before it heard of that: what it took now would die with it
            return []
        if seat.ending == "drain":
            return self.stopped(slot)
        return [] if seat.work is not None else [fx.SlotReady(slot)]
