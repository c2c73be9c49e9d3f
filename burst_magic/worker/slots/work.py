"""A range while a slot runs it: what it was given to run, and which outcomes are not yet published."""

from __future__ import annotations

from dataclasses import dataclass, field

from burst_magic.errors import BurstError
from burst_magic.protocol.wire.model import ClaimKey
from burst_magic.protocol.worker.publishing import MAX_HELD
from burst_magic.worker.supply.files import JobFiles


@dataclass(slots=True)
class Work:
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
    files: JobFiles | None = None
    alone: bool = False
    pause: int | None = None
    stopped: bool = False
    records: list[bytes] = field(default_factory=list)
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

    def take(self, record: bytes) -> None:
        """The outcome of the next task."""
        self.unborn = 0
        self.records.append(record)
        self.held += len(record)
        self.done += 1
        if self.finished:
            self.files = None

    def chosen(self, start: int, stop: int) -> list[bytes]:
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
