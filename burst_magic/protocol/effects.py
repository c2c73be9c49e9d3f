"""Effects that the machines return and events that they take: frozen values, shared by drivers and simulator.

A machine is ``step(event, now) -> effects``. A driver carries out each effect once and answers with the event for the
same key or folder. The driver retries reads and lists until they succeed. It tries writes once and reports their
result, since only the machine may judge a refusal.
"""

from __future__ import annotations

import math
from enum import Enum

from burst_magic.dataclass import dataclass
from burst_magic.protocol.wire.lock import InstalledPack
from burst_magic.protocol.wire.model import (
    ClaimBody,
    ClaimKey,
    Control,
    EndCause,
    Final,
    Gone,
    Heartbeat,
    Job,
    Manifest,
    Next,
    SegmentKey,
)

Record = Manifest | InstalledPack | Job | ClaimBody | Control | Final | Gone | Heartbeat | Next


class Wrote(Enum):
    """The result of a write. Only DONE guarantees that it was done."""

    DONE = "done"
    REFUSED = "refused"  # it exists, or a 409: read it before you believe that
    UNKNOWN = "unknown"  # no answer: it may have been done


# --- effects on the store --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class List:
    """List a folder after a key's name; answered by ``Listed``."""

    folder: str
    after: str = ""
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """Read and verify a record; answered by ``Got``."""

    key: str
    kind: type[Record]


@dataclass(frozen=True, slots=True)
class Create:
    """Create a record that must not exist yet; answered by ``Created``."""

    key: str
    record: Record


# --- effects for a worker's driver -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Beat:
    """Put the heartbeat; the driver adds the slots' activity. Answered by ``Beaten``.

    ``at`` is the time of the request, and ``idle_since`` since when there is nothing to do, by the store's clock.
    """

    key: str
    worker: str
    number: int
    at: float
    idle_since: float | None = None


@dataclass(frozen=True, slots=True)
class Open:
    """A job is known and not over, so its tasks may run from now on. Not answered."""

    job: Job


@dataclass(frozen=True, slots=True)
class LetGo:
    """A job is over: drop it, except where its tasks still run. Not answered."""

    job: str


@dataclass(frozen=True, slots=True)
class Run:
    """Let a slot run the tasks ``start`` … ``stop`` − 1 of a claim; answered by ``Progress`` as they finish.

    A claim may be run in pieces: the next is requested once all outcomes of the previous one are forgotten.
    """

    slot: int
    job: str
    claim: ClaimKey
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Lose:
    """Give a task the outcome LOST without running it, because it killed its workers. Answered by ``Progress``."""

    slot: int
    job: str
    claim: ClaimKey
    task: int
    message: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """Continue a claim as ``heir``: its outcomes and running tasks are reported under that from now on."""

    job: str
    claim: ClaimKey
    heir: ClaimKey


@dataclass(frozen=True, slots=True)
class Truncate:
    """Start no task from ``stop`` on."""

    slot: int
    stop: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Start no task of a claim from ``before`` on until further notice; None: continue."""

    slot: int
    job: str
    claim: ClaimKey
    before: int | None


@dataclass(frozen=True, slots=True)
class Drain:
    """Finish the running task and start no other; answered by ``Stopped``."""

    slot: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill the running task without an outcome; answered by ``Stopped``."""

    slot: int


@dataclass(frozen=True, slots=True)
class Publish:
    """Write the finished outcomes of a claim as one segment; answered by ``Published``."""

    job: str
    segment: SegmentKey


@dataclass(frozen=True, slots=True)
class Forget:
    """Drop outcomes of a claim below ``upto``: they are published or no longer needed."""

    job: str
    claim: ClaimKey
    upto: int


@dataclass(frozen=True, slots=True)
class Exit:
    """End the worker's process; ``unheard``: without writing all its results and its ``.gone``."""

    cause: EndCause
    unheard: bool = False


# --- effects for a client's driver -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watch:
    """Put the empty ``~watch`` object: a viewer is watching. Not answered."""

    key: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Start the worker whose ``.next`` exists, in place of a lost one. Not answered: its heartbeat follows."""

    token: str
    launcher: str


StoreEffect = List | Read | Create
WorkerEffect = Beat | Open | LetGo | Run | Lose | Adopt | Truncate | Pause | Drain | Kill | Publish | Forget | Exit
Effect = StoreEffect | WorkerEffect | Watch | Replace


# --- events -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The answer to ``List``: names inside the folder with their last-modified, ascending."""

    folder: str
    after: str
    names: tuple[tuple[str, float], ...]
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Got:
    """The answer to ``Read``; None if there is no such object."""

    key: str
    record: Record | None


@dataclass(frozen=True, slots=True)
class Created:
    """The answer to ``Create``."""

    key: str
    wrote: Wrote


@dataclass(frozen=True, slots=True)
class Beaten:
    """The answer to ``Beat``; ``offset`` is the store's wall clock minus our monotonic one, in seconds, if known."""

    wrote: Wrote
    offset: float | None = None


@dataclass(frozen=True, slots=True)
class SlotReady:
    """A slot's process can take work."""

    slot: int


@dataclass(frozen=True, slots=True)
class Progress:
    """All tasks of the claim below ``upto`` have outcomes; ``failed_at`` are the new failures."""

    slot: int
    job: str
    claim: ClaimKey
    upto: int
    failed_at: tuple[int, ...]
    held: int  # bytes of outcomes not yet published


@dataclass(frozen=True, slots=True)
class Stopped:
    """The slot is idle; tasks of its claim below ``upto`` have outcomes."""

    slot: int
    job: str
    claim: ClaimKey
    upto: int


@dataclass(frozen=True, slots=True)
class Published:
    """The answer to ``Publish``."""

    job: str
    segment: SegmentKey
    wrote: Wrote


@dataclass(frozen=True, slots=True)
class Terminate:
    """The worker was asked to end (SIGTERM); ``within`` that many seconds it must be gone."""

    within: float = math.inf


@dataclass(frozen=True, slots=True)
class Poke:
    """A process on this machine reports news: check now. It saves time; nothing depends on it."""


@dataclass(frozen=True, slots=True)
class Coming:
    """Launchers report that these starts are coming: (token, phase in words, seconds since the engine accepted it).

    The seconds are 0 where an engine doesn't tell.
    """

    phases: tuple[tuple[str, str, float], ...]


Event = Tick | Listed | Got | Created | Beaten | SlotReady | Progress | Stopped | Published | Terminate | Poke | Coming
