"""All facts about a job at one instant, as a client sees them. Pure values: nothing of this is stored."""

from __future__ import annotations

from enum import Enum

from burst_magic.dataclass import dataclass
from burst_magic.protocol.money import Life
from burst_magic.protocol.wire.model import Gone, JobEnd, OutcomeKind, SlotView


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """One worker, according to the log."""

    wid: str
    started: float
    seen: float
    rate: int
    gone: Gone | None = None
    slots: tuple[SlotView, ...] = ()
    stage: str = ""  # what it does before its slots can run
    silent: bool = False  # for so long that it has ended, whatever the clocks

    @property
    def alive(self) -> bool:
        """True if no end was written, unless its last sign is of long ago. A silent worker may still be dead."""
        return self.gone is None and not self.silent


@dataclass(frozen=True, slots=True, kw_only=True)
class StartView:
    """A start without a worker so far: what its launcher says it is at, and for how many seconds."""

    token: str
    phase: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A run of tasks in one state, for drawing: ``state`` is pending, running, completed or failed."""

    start: int
    stop: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureGroup:
    """Failed tasks of one kind: the same class of failure, exception, line of the cell and pattern of the message.

    Attributes:
        ident: short, and the same for every reader.
        error: the exception's type, or "".
        line: of the cell, if the traceback has one.
        message: the first line of the first task's message.
        count: failed tasks; messages: number of different messages, counted up to a thousand.
        first: the first of the tasks.
    """

    ident: str
    kind: OutcomeKind
    error: str
    line: int | None
    message: str
    count: int
    messages: int
    first: int

    @property
    def words(self) -> str:
        """In one line: ``KeyError: 'x' at line 4``."""
        said = ": ".join(part for part in (self.error, self.message) if part) or self.kind.value
        return said if self.line is None else f"{said} at line {self.line}"


class WaitCause(str, Enum):
    """Why nothing of a job is running."""

    WRITES = "writes"  # the store refuses what workers write
    SILENT = "silent"  # no worker has been heard of for a while
    BUSY = "busy"  # the workers run another job of the session
    PREPARING = "preparing"  # workers install what the job needs
    REFUSED = "refused"  # the launcher has no room for workers
    STARTING = "starting"  # no worker is up yet


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitReason:
    """Why nothing of a job is running, in words that stay the same while it lasts; ``since``: when it began, if known.

    Times are seconds since the epoch.
    """

    cause: WaitCause
    words: str
    since: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All facts about one job of a session at one instant. Every view is drawn from it.

    Attributes:
        now: the instant, seconds since the epoch.
        spans: partition of 0 … total, ascending.
        as_of: the instant that the store's answers are of; None: untold.
        trouble: what the store says instead of an answer, or "".
        ended: why nothing will run any more, or None while it may; end_detail: more about that, in words.
        finished_at: when the last result was in; of a job that was cancelled by itself, when that was asked or its last
            result came; of what ended otherwise, when a worker was heard of last.
        rate: micro-dollars per hour and worker; 0 if workers are free, or not ``priced``.
        spend: micro-dollars so far, real on AWS; sessions without a rate cost nothing and say in fargate_spend what
            Fargate would have charged.
        forecast: when the last result is expected, seconds since the epoch, by the pace until the newest one; None
            while unknown. It changes with results only.
        budget: of the session, in micro-dollars; estimate: of the job before it began. None: there is none.
        minimum: seconds that are billed of a worker at least.
        lost: workers that were lost, and that no start makes up for yet; ``attended``: this client replaces them.
        kept_until: when workers that have nothing left to do end at the latest, by their idle limit or the deadline;
            None while a job of the session may run, and if no worker lives or all were told to end.
        wait: why nothing is running, or None; waiting: the same in one line with times, or "".
        failures: of tasks that were read, most frequent first; unread: why they cannot be read, or "".
        tail: the last lines of output, oldest first: (task, text).
    """

    sid: str
    jid: str
    now: float
    created: float
    total: int
    pending: int
    running: int
    completed: int
    failed: int
    reused: int = 0
    name: str = ""
    title: str = ""
    out: str = ""
    launcher: str = ""
    rate: int = 0
    priced: bool = True  # whether anything is known of what workers cost
    wanted: int = 0
    starting: int = 0  # asked for, not heard of yet
    coming: tuple[StartView, ...] = ()  # the same, one by one
    started: int = 0
    refused: str = ""  # how many of them their launcher would not start, and why
    lost: int = 0
    attended: bool = True
    workers: tuple[WorkerView, ...] = ()
    spans: tuple[Span, ...] = ()
    as_of: float | None = None
    trouble: str = ""
    ended: JobEnd | None = None
    end_detail: str = ""
    finished_at: float | None = None
    deadline: float = 0.0
    kept_until: float | None = None
    forecast: float | None = None
    budget: int | None = None
    estimate: int | None = None
    minimum: float = 0.0
    fargate_rate: int = 0  # what Fargate would charge for a worker like these, micro-dollars an hour
    spend: int = 0
    job_spend: int = 0  # the part of it that workers cost while this job ran
    fargate_spend: int = 0
    unheard: tuple[Life, ...] = ()  # what is billed of starts that ended before their first heartbeat
    wait: WaitReason | None = None
    waiting: str = ""
    failures: tuple[FailureGroup, ...] = ()
    unread: str = ""
    tail: tuple[tuple[int, str], ...] = ()

    @property
    def alive(self) -> int:
        """Number of workers without a known end."""
        return sum(1 for worker in self.workers if worker.alive)

    @property
    def done(self) -> int:
        """Number of tasks with an outcome."""
        return self.completed + self.failed

    @property
    def errors(self) -> tuple[tuple[int, str], ...]:
        """The failures in words, most frequent first: (count, "KeyError: 'x' at line 4")."""
        groups = tuple((group.count, group.words) for group in self.failures)
        rest = self.failed - sum(count for count, _ in groups)
        return (*groups, (rest, self.unread)) if self.unread else groups

    @property
    def eta(self) -> float | None:
        """Seconds to go; None while unknown, and once it takes longer than expected."""
        return None if self.forecast is None or self.ended or self.forecast <= self.now else self.forecast - self.now

    @property
    def age(self) -> float:
        """Seconds since the store gave the answers that this is drawn from."""
        return 0.0 if self.as_of is None else max(0.0, self.now - self.as_of)

    @property
    def finished(self) -> bool:
        """All tasks have outcomes, and nothing will change that."""
        return self.ended is JobEnd.FINISHED
