"""Bookkeeping of the work and outcomes of each slot, shared by supervisor and simulator.

Effects for slots are recorded here first; the caller applies them to the slot's process. Events for the machine are
returned, never passed from here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import field
from operator import attrgetter
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire.model import ClaimKey, SegmentKey
from burst_magic.protocol.worker.publishing import MAX_HELD

if TYPE_CHECKING:
    from typing_extensions import Self

R = TypeVar("R", bound="OutcomeRun")
F = TypeVar("F")  # a job's files
_FIRST = attrgetter("first")


class OutcomeRun(Protocol):
    """Outcomes of consecutive tasks: quick tasks are reported many at a time."""

    @property
    def first(self) -> int:
        """Its first task."""

    @property
    def count(self) -> int:
        """The number of tasks."""

    def __len__(self) -> int:
        """Its size in bytes."""

    def part(self, start: int, stop: int) -> Self:
        """The outcomes of the tasks ``start`` … ``stop`` − 1."""


@dataclass(slots=True)
class Work(Generic[R, F]):
    """Tasks of one claim: a whole range, or a piece of one.

    Attributes:
        first: tasks below it are forgotten.
        done: tasks below it have outcomes.
        fed: tasks below it were given to the slot.
        stop: the end of its tasks, exclusive.
        unborn: consecutive slot processes that ended with it before a task ran.
        verdict: message for its only task, which is not run again; "" if its tasks run.
        problem: why tasks from ``fed`` on cannot run.
        files: its job's files, from the first use to its last task, even if the job is over.
        alone: each task runs in its own process, since one that died took outcomes with it.
        pause: its slot starts no task from this one on for now; None if it does not pause.
        stopped: its slot no longer runs it, and another worker may own its outcomes' range.
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
    runs: list[R] = field(default_factory=list)  # of the tasks ``first`` … ``done`` − 1
    held: int = 0  # bytes

    @property
    def finished(self) -> bool:
        """All its tasks have outcomes."""
        return self.done >= self.stop

    @property
    def paused(self) -> bool:
        """It has reached the task where its slot pauses."""
        return self.pause is not None and self.done >= self.pause

    @property
    def due(self) -> bool:
        """Its outcomes are published as soon as the store accepts them, not at the next flush."""
        return self.held >= MAX_HELD or (self.finished and self.held > 0)

    @property
    def hungry(self) -> bool:
        """It has more to fetch, and no fetch is under way."""
        return not self.fetching and self.problem is None and self.fed < self.stop

    def take(self, run: R) -> None:
        """Add outcomes of the next tasks."""
        self.unborn = 0
        self.runs.append(run)
        self.held += len(run)
        self.done += run.count
        if self.finished:
            self.files = None

    def chosen(self, start: int, stop: int) -> list[R]:
        """The outcomes of these tasks."""
        found = []
        for run in self.runs[max(0, bisect_right(self.runs, start, key=_FIRST) - 1) :]:
            if run.first >= stop:
                break
            found.append(run.part(max(start, run.first), min(stop, run.first + run.count)))
        return found

    def forget(self, upto: int) -> None:
        """Drop the outcomes below that task."""
        if upto > self.first:
            self.runs = self.chosen(upto, self.done) if upto < self.done else []
            self.held, self.first = sum(map(len, self.runs)), upto

    def lose_slot(self) -> None:
        """Its slot's process is gone, with all tasks that it was given."""
        self.fed, self.problem = self.done, None


@dataclass(slots=True)
class Seat(Generic[R, F]):
    """One slot, whatever process serves it. ``ending``: "", "drain" or "kill"."""

    work: Work[R, F] | None = None
    ending: str = ""


class Ledger(Generic[R, F]):
    """All slots of a worker.

    Args:
        slots: number of slots.
    """

    def __init__(self, slots: int) -> None:
        self.seats: tuple[Seat[R, F], ...] = tuple(Seat() for _ in range(slots))
        self._works: dict[tuple[str, ClaimKey], Work[R, F]] = {}

    # --- what can be seen ------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Some slot has work, or is ending."""
        return any(seat.work is not None or seat.ending for seat in self.seats)

    @property
    def works(self) -> Iterable[Work[R, F]]:
        """Work with outcomes that are still to be reported or published."""
        return self._works.values()

    @property
    def waiting(self) -> int:
        """Bytes of outcomes that wait only for the store.

        Ranges that still collect outcomes do not count: their slots must be read. Nor does stopped work: its range may
        belong to another worker by now, and then it is never published here.
        """
        return sum(work.held for work in self._works.values() if work.due and not work.stopped)

    def outcomes(self, job: str, segment: SegmentKey) -> list[R]:
        """The outcomes of a segment."""
        return self._works[job, segment.claim].chosen(segment.start, segment.stop)

    def slot_of(self, job: str, segment: SegmentKey) -> int:
        """The slot that ran a segment's tasks: one slot runs a claim from its first task to its last."""
        return self._works[job, segment.claim].slot

    # --- what the machine asks for -----------------------------------------------------------------------------

    def begin(self, slot: int, job: str, claim: ClaimKey, tasks: range, *, verdict: str = "") -> Work[R, F]:
        """Give a slot a range, or the next piece of one; with a verdict, a task that is not run."""
        start = tasks.start
        work = Work[R, F](
            slot=slot, job=job, claim=claim, first=start, done=start, fed=start, stop=tasks.stop, verdict=verdict
        )
        self._works[job, claim] = self.seats[slot].work = work
        return work

    def adopt(self, effect: fx.Adopt) -> None:
        """Move a claim's unpublished outcomes to its heir."""
        work = self._works.pop((effect.job, effect.claim), None)
        if work is not None:
            work.claim = effect.heir
            self._works[effect.job, effect.heir] = work

    def truncate(self, effect: fx.Truncate) -> Work[R, F] | None:
        """Start no task from there on; returns the truncated work."""
        work = self.seats[effect.slot].work
        if work is not None:
            work.stop = min(work.stop, effect.stop)
            if work.pause is not None and work.pause >= work.stop:
                work.pause = None
        return work

    def pause(self, effect: fx.Pause) -> Work[R, F] | None:
        """Start no task from there on for now, or resume; returns the work if its slot needs the order."""
        seat, work = self.seats[effect.slot], self._works.get((effect.job, effect.claim))
        if work is None or work is not seat.work or work.finished or seat.ending:
            return None
        work.pause = effect.before
        return work

    def forget(self, effect: fx.Forget) -> None:
        """Drop outcomes that are no longer needed here."""
        work = self._works.get((effect.job, effect.claim))
        if work is not None:
            work.forget(effect.upto)
            if work.first >= work.stop:
                del self._works[effect.job, effect.claim]

    def drain(self, slot: int, *, runs: bool) -> list[fx.Event] | None:
        """Finish the running task and no other. None: wait for the process to finish it.

        Args:
            slot: index of the slot.
            runs: its process was given part of its work.
        """
        seat = self.seats[slot]
        if seat.ending:
            return []
        seat.ending = "drain"
        return None if runs and seat.work is not None else self.stopped(slot)

    def kill(self, slot: int, *, rests: bool) -> list[fx.Event] | None:
        """Abort even the running task. None: end the process.

        Args:
            slot: index of the slot.
            rests: its process is paused and runs nothing, so it need not be ended.
        """
        seat = self.seats[slot]
        if rests and not seat.ending and seat.work is not None and seat.work.paused:
            return self.stopped(slot)
        if seat.ending == "kill":
            return []
        seat.ending = "kill"
        return None

    # --- what slots say ------------------------------------------------------------------------------------------

    def take(self, slot: int, run: R) -> bool:
        """Add the outcomes of its next tasks, and ignore others; returns False if there are none."""
        work = self.seats[slot].work
        if work is None:
            return False
        start, stop = max(run.first, work.done), min(run.first + run.count, work.stop)
        if start != work.done or start >= stop:
            return False
        work.take(run.part(start, stop))
        return True

    def progress(self, slot: int, failed: tuple[int, ...]) -> list[fx.Event]:
        """Report the progress of its range; a slot whose range is finished gives it up."""
        seat = self.seats[slot]
        work = seat.work
        if work is None:
            return []
        if work.finished:
            seat.work = None
        return [fx.Progress(slot, work.job, work.claim, work.done, failed, work.held)]

    def stopped(self, slot: int) -> list[fx.Event]:
        """It runs nothing any more, and is no longer ending."""
        seat = self.seats[slot]
        work, seat.work, seat.ending = seat.work, None, ""
        if work is None:
            return []
        work.stop, work.stopped, work.files = work.done, True, None
        if not work.runs:  # the machine will neither publish nor forget it
            self._works.pop((work.job, work.claim), None)
        return [fx.Stopped(slot, work.job, work.claim, work.done)]

    def ready(self, slot: int) -> list[fx.Event]:
        """Its process has finished its orders."""
        seat = self.seats[slot]
        if seat.ending == "kill":  # sent before the kill reached it: new work would die with it
            return []
        if seat.ending == "drain":
            return self.stopped(slot)
        return [] if seat.work is not None else [fx.SlotReady(slot)]
