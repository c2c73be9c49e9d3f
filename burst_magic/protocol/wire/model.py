"""The records of a session as frozen values. Pure: no I/O, clock, randomness or threads.

Laws (cited by number in code and tests):

1. Every task of a finished job has exactly one result, the one ``final`` names. No reader changes a
   result it handed out; all that is first handed out after ``final`` agrees.
2. A result is never attributed to the wrong item, job or session; results keep the order of items.
3. Workers, kernels and keepers may die, pause or be cut off at any instant: with one live worker the
   job finishes; lost are at most the running tasks plus one flush interval per dead worker.
4. A user error is never retried unless asked; an infrastructure loss always is, without counting.
5. No worker outlives the deadline, the budget or (mostly) the idle limit, with no kernel alive.
6. Requests: submit O(1 + bytes), worker O(flushes + steals + intervals), reader O(polls + workers +
   new segments). No verb asks once per task.
7. A store that throttles, conflicts, times out or loses a reply costs time only.
8. Same seed, same trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from burst_magic.protocol.money import Life


class OutcomeKind(str, Enum):
    """How a task ended. The value is written to the store."""

    VALUE = "value"
    ERROR = "error"  # user code raised
    TIMEOUT = "timeout"  # longer than --timeout
    CRASHED = "crashed"  # ended its process: signal, exit, out of memory
    UNPICKLABLE = "unpicklable"  # its result cannot be pickled
    LOST = "lost"  # killed three workers
    DAMAGED = "damaged"  # what was published of it cannot be read; never written, only read
    OTHER = "other"  # of a newer version; its texts say what


class EndCause(str, Enum):
    """Why a worker, or a session, ended."""

    IDLE = "idle"
    DEADLINE = "deadline"
    BUDGET = "budget"
    CANCEL = "cancel"
    CLOSE = "close"
    SCALE = "scale"
    TERM = "term"  # SIGTERM: Spot, stop, host
    CRASH = "crash"  # its process ended, and nothing outside is known to have done it
    MEMORY = "memory"  # its container ran out of memory
    SPOT = "spot"  # the cloud took its machine back
    STOPPED = "stopped"  # someone stopped it, by the launcher's own means
    HOST = "host"  # its machine failed or was retired
    UNSTARTED = "unstarted"  # its launcher could not bring it up, for the reason in the detail
    REFUSED = "refused"  # its launcher has no room for it now; another one may: no capacity, a quota
    DELAYED = "delayed"  # no launcher could start it now, and may later: a limit on requests, no addresses
    BROKEN = "broken"  # it could not go on, through no task's fault, and said so
    EXPIRED = "expired"  # its manifest is gone
    VERSION = "version"  # it cannot read what this session wrote
    UNTRUSTED = "untrusted"  # it could not read the session's key, or found another one
    OTHER = "other"  # of a newer version; ``Gone.other`` says which


class JobEnd(str, Enum):
    """Why nothing of a job will run any more."""

    FINISHED = "finished"  # every task has an outcome, and ``final`` says which
    CANCELLED = "cancelled"
    CLOSED = "closed"
    DELETED = "deleted"
    DEADLINE = "deadline"
    BUDGET = "budget"
    NOBODY = "no workers"

    @property
    def for_good(self) -> bool:
        """Nothing comes after it; after the others a limit may be raised, or a worker started."""
        return self in {JobEnd.FINISHED, JobEnd.CANCELLED, JobEnd.CLOSED, JobEnd.DELETED}

    def words(self, detail: str = "") -> str:
        """For people; ``detail`` is what the last lost worker said, or why none is started."""
        return f"{self.value}: {detail}" if detail else self.value


class ControlKind(str, Enum):
    """Requests to a running session."""

    ADD_JOB = "add-job"
    CANCEL = "cancel"
    CLOSE = "close"
    EXTEND = "extend"
    SCALE = "scale"
    OTHER = "other"  # of a newer version; ``Control.other`` says which


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A session: its owner, time, worker size and limits. Immutable.

    Times are seconds since the epoch by the client's clock; durations are seconds; money is micro-dollars.
    """

    sid: str
    created: float
    launcher: str
    workers: int
    slots: int
    cpu: float
    memory_mb: int
    arch: str
    seed: int
    deadline: float
    idle: float
    interval: float
    floor: float
    rate: int = 0  # micro-dollars an hour of one worker
    fargate_rate: int = 0  # what Fargate would charge for one like it
    budget: int | None = None
    notebook: str = ""
    user: str = ""
    host: str = ""
    python: str = ""
    setenv: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # values may be secrets
    version: str = ""
    fallback: str = ""  # the launcher that starts workers when the first has no room for them
    fallback_rate: int = 0
    minimum: float = 0.0  # seconds that are billed of a worker at least
    memory_limit_mb: float | None = None  # what one slot may occupy; None: as much as there is (local workers)
    # The rest of what a stranger with the key needs to start a worker like the first ones.
    environment: str = ""  # what ``--env`` asked for: "sync", "image" or ``image:URI``
    bundle: str = ""  # sha256 of what a bare Python becomes a worker with; "" where workers are there already
    lock: str = ""  # sha256 of what is to be installed; "" for nothing
    pack: str = ""  # sha256 of the same, installed and packed by a worker of an earlier session; "" if none is known
    gpus: int = 0
    instance_type: str = ""
    options: tuple[tuple[str, str], ...] = ()  # the settings that its launchers were configured with
    priced: bool = True  # whether the rates are known; if not, they are 0 and mean nothing
    ceiling: int = 0  # micro-dollars an hour of one worker at most, where rates are guesses


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One ``%%burst`` call: N tasks cut into equal lanes.

    Attributes:
        items: (offset, length) of the index inside the ``items`` object, or None when the cell runs once.
        lanes: the first task of each lane, ascending, starting with 0.
        fresh: captured values load fast enough to be reloaded for each task, if tasks change them.
        payload: bytes of the sealed payload; None: untold.
        threads: per slot, for BLAS, OpenMP and similar libraries; 0 leaves it to them.
        threads_asked: the user set the number; it overrides the workers' environment.
        name: the label given by ``--name``.
        cell: identifies the cell with its ``--map``.
        estimate: micro-dollars that its workers were expected to cost, or None if that was not known.
    """

    jid: str
    created: float
    tasks: int
    lanes: tuple[int, ...]
    seed: int
    items: tuple[int, int] | None = None
    payload: int | None = None
    fresh: bool = True
    threads: int = 0
    threads_asked: bool = False
    timeout: float | None = None
    retries: int = 0
    name: str = ""
    cell: str = ""
    out: str = ""
    map: str = ""
    title: str = ""
    warnings: tuple[str, ...] = ()
    estimate: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """Consecutive tasks ``start`` … ``stop`` − 1."""

    start: int
    stop: int

    def __len__(self) -> int:
        return max(0, self.stop - self.start)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ClaimKey:
    """A claim to the tasks from ``start`` on, the ``number``-th for this start."""

    start: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimBody:
    """The owner of a claim; the nonce identifies this attempt."""

    worker: str
    slot: int
    nonce: str
    at: float


class SegmentKey(NamedTuple):
    """A published run of outcomes: everything needed to count without opening it.

    A tuple, since logs are long.
    """

    at_ms: int
    start: int
    stop: int
    failed: int
    claim: ClaimKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """A slot's activity, from its worker's last heartbeat."""

    job: str = ""
    task: int | None = None
    since: float | None = None
    memory_mb: float = 0.0
    output: str = ""
    printed_by: int | None = None  # the task that printed it: the running one, or the last that printed


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """The body of a worker's key, replaced every interval."""

    worker: str
    number: int  # grows with every beat
    at: float
    token: str = ""
    handle: str = ""  # JSON of the launcher's handle: any client can look after the worker
    slots: tuple[SlotView, ...] = ()
    refusals: int = 0  # so many of its writes the store has refused for good, ever
    refused: str = ""  # what the store says of those that it still refuses
    stage: str = ""  # what it does before its slots can run: "installing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """A worker is being started: ``<token>.next``, written before the start; ``by`` names the writer."""

    token: str
    launcher: str
    number: int | None
    at: float
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A worker's end, written by itself or by an observer.

    Attributes:
        other: a newer version's name for the cause.
        billed_from: since when its engine bills it, seconds since the epoch; 0 where that is not known or it costs
            nothing. A worker that sent no heartbeat is on the bill by this alone.
        rate: its price, micro-dollars an hour.
    """

    worker: str
    cause: EndCause
    at: float
    token: str = ""
    exit_code: int | None = None
    detail: str = ""
    other: str = ""
    billed_from: float = 0.0
    rate: int = 0

    @property
    def why(self) -> str:
        """The cause in a word."""
        return self.other or self.cause.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One request to a session. They fold in any order (see ``log.fold_control``).

    Attributes:
        job: the job to add or to cancel; "" cancels the session.
        revision: for scale, 1 + the highest that its writer saw.
        other: the kind as a newer version calls it.
    """

    kind: ControlKind
    at: float
    job: str = ""
    deadline: float | None = None
    budget: int | None = None
    workers: int | None = None
    revision: int = 0
    other: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """The segment that counts for each task: (first task, one past the last, segment's name), a partition.

    ``by`` is the worker that wrote it, or "client".
    """

    job: str
    at: float
    by: str
    parts: tuple[tuple[int, int, str], ...]


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
        """Seconds to go, None while unknown."""
        return None if self.forecast is None or self.ended else max(0.0, self.forecast - self.now)

    @property
    def age(self) -> float:
        """Seconds since the store gave the answers that this is drawn from."""
        return 0.0 if self.as_of is None else max(0.0, self.now - self.as_of)

    @property
    def finished(self) -> bool:
        """All tasks have outcomes, and nothing will change that."""
        return self.ended is JobEnd.FINISHED


class Provenance(NamedTuple):
    """The origin of outcomes: one slot of one worker ran all tasks of a segment's block."""

    worker: str = ""
    slot: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one task ended.

    Attributes:
        worker, slot: where it ran; "" if unknown.
        began: when its last attempt began, seconds since the epoch by its machine's clock; 0 if it did not run.
        wall, cpu: seconds of the last attempt; peak_mb: MiB of the slot's process.
        attempts: 1 + the number of retries used.
        error: type name of the exception; message: its text; traceback: the remote one, with the cell's lines.
        output: stdout and stderr, bounded (head and tail).
    """

    task: int
    kind: OutcomeKind
    wall: float = 0.0
    cpu: float = 0.0
    peak_mb: float = 0.0
    attempts: int = 1
    error: str = ""
    message: str = ""
    traceback: str = ""
    item: str = ""
    output: str = ""
    began: float = 0.0
    worker: str = ""
    slot: int = 0
    value: bytes = field(default=b"", repr=False)  # the value, or the exception where it can be pickled

    def __repr__(self) -> str:
        """One line; the rest is in its attributes."""
        item = f" (item {self.item})" if self.item else ""
        message = self.message.splitlines()[0] if self.message else ""
        said = ": ".join(part for part in (self.error, message) if part) if self.failed else ""
        return f"<task {self.task}{item}: {said or self.kind.value}>"

    @property
    def failed(self) -> bool:
        """True if there is no value."""
        return self.kind is not OutcomeKind.VALUE
