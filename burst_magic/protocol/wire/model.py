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

from dataclasses import field
from enum import Enum
from typing import NamedTuple

from burst_magic.dataclass import dataclass
from burst_magic.protocol.wire.displays import Display


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
    idle_since: float | None = None  # since when it has nothing to do, by the store's clock


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
        output: stdout and stderr as a terminal shows them, bounded (head and tail).
        displays: what it displayed, bounded; its plain text is in the output, too.
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
    displays: tuple[Display, ...] = ()
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
