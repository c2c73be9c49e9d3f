"""The seam to whatever starts workers: a launcher starts them, says how they are, and stops them. It knows no tasks.

Nothing above this folder asks which launcher it has; what differs between them is in their ``Traits``.
``burst_magic.testing.check_launcher`` checks what is promised here, and docs/launchers.md shows how to write one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any, Protocol

from burst_magic.plan.cost import free
from burst_magic.plan.shapes import Shape
from burst_magic.protocol.wire.model import EndCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """A resumable receipt for one started worker: plain data, so that any client can look after it.

    Attributes:
        launcher: whose it is.
        wid: the worker's id, as its launcher calls it; letters, digits and dashes.
        token: the start that it answers.
        data: whatever the launcher needs to find the worker again; JSON, and nobody else's business.
    """

    launcher: str
    wid: str
    token: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """As it lies in the heartbeat."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Handle:
        """The inverse of ``to_json``; ignores fields that a newer version has added."""
        known = {each.name for each in fields(Handle)}
        return Handle(**{name: value for name, value in json.loads(text).items() if name in known})


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One worker to start: what the launcher must know of it, and what the worker is told at birth.

    Attributes:
        secret: the session's key, hex. It goes into no argument and no environment variable.
        token: names this start. Starts of one call share their first 12 characters and are numbered behind them.
        number: the worker's place in the fleet, for launchers that number workers.
        cpu, memory_mb, arch: the size of the worker.
        deadline: seconds since the epoch; a worker must not outlive it.
        rate: micro-dollars an hour.
        cwd: the folder that tasks begin in, where workers share the kernel's machine.
        credentials: a command that prints credentials for the store, or empty.
        handed: descriptor of the memory that holds what was looked up already (``stores.handed``).
    """

    store: str
    sid: str
    secret: str = field(repr=False)
    token: str
    number: int | None = None
    cpu: float = 1.0
    memory_mb: int = 2048
    arch: str = ""
    deadline: float = 0.0
    rate: int = 0
    cwd: str = ""
    credentials: tuple[str, ...] = ()
    handed: int | None = None


def birth(start: Start, handle: Handle) -> bytes:
    """What ``python -m burst_magic.worker`` reads on its standard input, which then is closed."""
    said = {name: value for name, value in asdict(start).items() if name != "handed"}
    return json.dumps({**said, "wid": handle.wid, "handle": handle.to_json()}).encode()


class Again(Enum):
    """Whether a start that brought no worker may be made again."""

    NEVER = "never"  # the reason will not go away by itself
    LATER = "later"  # no capacity, a quota, a limit on requests
    SAME_TOKEN = "same token"  # noqa: S105 - nobody knows whether it was made


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A start that brought no worker.

    Attributes:
        problem: why, in one line that a user can act on.
        context: where to look: the command, the cluster, the message as it came.
    """

    token: str
    problem: str
    context: str = ""
    again: Again = Again.NEVER

    @property
    def end(self) -> EndCause | None:
        """What is written of a start that ended before it began; None where it may still come."""
        ends = {Again.NEVER: EndCause.UNSTARTED, Again.LATER: EndCause.REFUSED}
        return ends.get(self.again)


class WorkerState(str, Enum):
    """What a launcher knows of a worker."""

    COMING = "coming"  # it is being brought up: no failure, however long it takes
    RUNNING = "running"
    ENDED = "ended"  # for certain
    UNKNOWN = "unknown"  # not found, not asked, not ours: no end


class Cause(str, Enum):
    """Why a worker ended. A task is blamed for the first two only, whatever the exit code."""

    CODE = "user code"  # its process ended, and nothing outside is known to have ended it
    MEMORY = "out of memory"
    SPOT = "spot"  # the cloud took its machine back
    STOPPED = "stopped"  # someone stopped it
    HOST = "host"  # its machine failed or was retired
    NEVER_STARTED = "never started"  # image, role, network: the reason says it
    UNKNOWN = "unknown"  # it is gone and nobody can say why
    OTHER = "other"  # its engine gave a reason that has no name here


_ENDS = {
    Cause.MEMORY: EndCause.MEMORY,
    Cause.SPOT: EndCause.SPOT,
    Cause.STOPPED: EndCause.STOPPED,
    Cause.HOST: EndCause.HOST,
    Cause.NEVER_STARTED: EndCause.UNSTARTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a worker is, as far as its launcher can tell. Times are seconds since the epoch.

    Attributes:
        cause: of its end.
        reason: in the engine's own words, or the last line that the worker printed.
    """

    state: WorkerState
    cause: Cause | None = None
    reason: str = ""
    exit_code: int | None = None
    created: float | None = None
    billed_from: float | None = None
    ended: float | None = None

    @property
    def end(self) -> EndCause:
        """What is written of its end. What nothing excuses is a crash."""
        return _ENDS.get(self.cause or Cause.UNKNOWN, EndCause.CRASH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """In what a launcher differs from others, for all that is above it.

    Attributes:
        starting_within: seconds from start to first heartbeat after which silence counts as failure.
        here: workers share the kernel's machine: its cores, its folders, its interpreter.
        can_be_poked: ``poke`` reaches a worker.
        keeps_fleet: its engine replaces what it loses; clients do not.
        rate: micro-dollars an hour of one worker of this shape: ``rate(shape, arch, region)``.
    """

    starting_within: float
    here: bool = False
    can_be_poked: bool = False
    keeps_fleet: bool = False
    rate: Callable[[Shape, str, str], int] = free


class Launcher(Protocol):
    """Starts workers. Made with the folder for what their processes print: ``launcher(logs)``."""

    name: str
    traits: Traits

    def start(self, starts: Sequence[Start]) -> list[Handle | Refusal]:
        """Starts workers that outlive this process; one answer a start, in their order.

        The same token twice is one worker, whoever asks: a caller that lost the answer asks again.
        """

    def describe(self, handles: Sequence[Handle]) -> dict[str, Status]:
        """How these workers are, by id."""

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """Asks a worker to finish, or kills it and all its children. What cannot be reached is left alone."""

    def poke(self, handle: Handle) -> None:
        """Tells a worker that there is news, where that is cheap. Nothing depends on it."""

    def log(self, handle: Handle) -> str:
        """What the worker's own process has printed (not its tasks)."""
