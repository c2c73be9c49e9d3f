"""The interface of launchers: they start workers, report their state, and stop them. They know nothing about tasks.

No code above this folder checks which launcher it has; differences are described by their ``Traits``.
``burst_magic.testing.check_launcher`` tests this contract, and docs/launchers.md shows how to write a launcher.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, field, fields
from enum import Enum
from typing import Any, Protocol

from burst_magic.dataclass import dataclass
from burst_magic.errors import RecordError
from burst_magic.plan.cost import Rate, free, no_address
from burst_magic.plan.quota import VcpuQuota
from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.wire.model import EndCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """A resumable receipt for one started worker: plain data, so that any client can control it.

    Attributes:
        launcher: name of its launcher.
        wid: the launcher's id for the worker; letters, digits and dashes.
        token: the start that it answers.
        data: JSON that the launcher needs to find the worker again; opaque to others.
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
        """The inverse of ``to_json``; ignores fields that a newer version has added.

        Raises:
            RecordError: it is no handle.
        """
        known = {each.name for each in fields(Handle)}
        try:
            found = Handle(**{name: value for name, value in json.loads(text).items() if name in known})
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise RecordError("the handle of a worker is damaged", context=text[:100]) from None
        words: tuple[object, ...] = (found.launcher, found.wid, found.token)
        if not all(isinstance(word, str) for word in words) or not isinstance(found.data, dict):
            raise RecordError("the handle of a worker is damaged", context=text[:100])
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One worker to start: the launcher's input and the worker's birth record.

    Attributes:
        secret: the session's key, hex. Never pass it in an argument or environment variable.
        token: names this start. Numbered starts of one call share their first 12 characters, followed by a number;
            replacements are not numbered, and their tokens have nothing in common.
        number: the worker's place in the fleet, for launchers that number workers.
        cpu, memory_mb, arch, gpus, instance_type: the size of the worker.
        env: the environment that ``--env`` asks for.
        python: minor version of the kernel's Python, as ``3.12``.
        command: what a bare container of that Python runs to become the worker; () where the worker is there already.
        bundle: what that command fetches, by its sha256.
        deadline: seconds since the epoch; a worker must not outlive it.
        rate: micro-dollars an hour.
        cwd: the folder that tasks begin in, where workers share the kernel's machine.
        credentials: a command that prints credentials for the store, or empty.
        handed: descriptor of the memory that holds what was looked up already (``stores.handed``).
        owner: the user whose session it is, for tags.
        options: what its launcher was configured with when the session started (account, network): whoever replaces
            a worker starts one like it.
    """

    store: str
    sid: str
    secret: str = field(repr=False)
    token: str
    number: int | None = None
    cpu: float = 1.0
    memory_mb: int = 2048
    arch: str = ""
    gpus: int = 0
    instance_type: str = ""
    env: str = ""
    python: str = ""
    command: tuple[str, ...] = ()
    bundle: str = ""
    deadline: float = 0.0
    rate: int = 0
    cwd: str = ""
    credentials: tuple[str, ...] = ()
    handed: int | None = None
    owner: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


def birth(start: Start, handle: Handle) -> bytes:
    """The birth record that ``python -m burst_magic.worker`` reads from stdin, which is then closed."""
    said = {name: value for name, value in asdict(start).items() if name not in {"handed", "options", "owner"}}
    return json.dumps({**said, "wid": handle.wid, "handle": handle.to_json()}).encode()


class Again(Enum):
    """Whether a failed start may be retried."""

    NEVER = "never"  # the reason will not go away by itself
    NO_ROOM = "no room"  # no capacity, a quota: its fallback may have room now
    LATER = "later"  # a limit on requests, no addresses: a fallback would meet the same
    SAME_TOKEN = "same token"  # noqa: S105 - nobody knows whether it was made


_REFUSALS = {Again.NEVER: EndCause.UNSTARTED, Again.NO_ROOM: EndCause.REFUSED, Again.LATER: EndCause.DELAYED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A failed start.

    Attributes:
        problem: the reason, in one line that a user can act on.
        context: where to look: the command, the cluster, the original message.
    """

    token: str
    problem: str
    context: str = ""
    again: Again = Again.NEVER

    @property
    def end(self) -> EndCause | None:
        """What is written of a start that ended before it began; None where it may still come."""
        return _REFUSALS.get(self.again)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedLine:
    """One line that a worker's own process printed, and when: seconds since the epoch."""

    worker: str
    at: float
    text: str


class WorkerState(str, Enum):
    """A worker's state, according to its launcher."""

    COMING = "coming"  # it is being brought up: no failure, however long it takes
    RUNNING = "running"
    ENDED = "ended"  # for certain
    UNKNOWN = "unknown"  # not found, not asked, not ours: no end


class Cause(str, Enum):
    """Why a worker ended. Only the first two blame a task, whatever the exit code."""

    CODE = "user code"  # its process ended, and nothing outside is known to have ended it
    MEMORY = "out of memory"
    SPOT = "spot"  # the cloud took its machine back
    STOPPED = "stopped"  # someone stopped it
    HOST = "host"  # its machine failed or was retired
    NEVER_STARTED = "never started"  # image, role, network: the reason says it
    UNTRUSTED = "untrusted"  # it could not read the session's key, or found another one: no other worker is started
    NO_ROOM = "no room"  # it was accepted, and then there was no capacity or quota for it
    DELAYED = "delayed"  # it was accepted, and then lacked something that passes, and that a fallback would lack, too
    UNKNOWN = "unknown"  # gone, reason unknown
    OTHER = "other"  # its engine gave a reason that has no name here


_ENDS = {
    Cause.MEMORY: EndCause.MEMORY,
    Cause.SPOT: EndCause.SPOT,
    Cause.STOPPED: EndCause.STOPPED,
    Cause.HOST: EndCause.HOST,
    Cause.NEVER_STARTED: EndCause.UNSTARTED,
    Cause.UNTRUSTED: EndCause.UNTRUSTED,
    Cause.NO_ROOM: EndCause.REFUSED,
    Cause.DELAYED: EndCause.DELAYED,
}


_EXITS = {
    ExitCode.UNSUPPLIED: Cause.NEVER_STARTED,
    ExitCode.DRAINED: Cause.STOPPED,
    ExitCode.UNTRUSTED: Cause.UNTRUSTED,
    ExitCode.REFUSED: Cause.NEVER_STARTED,
    ExitCode.OVERDUE: Cause.STOPPED,
    ExitCode.UNRUNNABLE: Cause.NEVER_STARTED,
}


def cause_of(exit_code: int) -> tuple[Cause, str]:
    """Cause and reason of an end about which an engine knows the exit code and nothing more."""
    try:
        own = ExitCode(exit_code)
    except ValueError:
        return Cause.CODE, f"its process ended with exit code {exit_code}"
    return _EXITS.get(own, Cause.CODE), f"{own.meaning} (exit code {exit_code})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A worker's status, according to its launcher. Times are seconds since the epoch.

    Attributes:
        phase: what a worker that is coming is at: provisioning, pulling the image.
        missing: its engine answers, and does not know it: it has ended long ago, or began just now.
        cause: of its end.
        reason: in the engine's words, or the worker's last line of output.
    """

    state: WorkerState
    phase: str = "starting"
    missing: bool = False
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


def unknown_arch(options: Mapping[str, str]) -> str:  # noqa: ARG001 - one signature for all launchers
    """Of launchers that cannot tell."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """The differences between launchers, for the layers above.

    Attributes:
        starting_within: seconds from start to first heartbeat after which silence counts as failure.
        usually_within: seconds that its workers usually take to begin, for forecasts.
        here: workers share the kernel's machine: its cores, its folders, its interpreter.
        syncs: workers can begin in a bare Python: with ``--env sync`` a start carries the command and the bundle that
            make it a worker, which then installs the kernel's packages. Where False, ``sync`` is what workers have.
        inherits: workers get variables, installed packages and limits from the process that starts them, so that a
            change there needs new workers.
        can_be_poked: ``poke`` reaches a worker.
        keeps_fleet: its engine replaces lost workers, so clients don't.
        stores: kinds of stores that its workers can reach, by scheme; empty: all.
        needs: settings of the ``[aws]`` table without which it cannot start a worker; the whole table then becomes
            ``Start.options``.
        refuses: option (``gpus``, ``instance_type``, ``image``) -> why it cannot satisfy it.
        fallback: the launcher that starts workers when this one has no room, unless ``spot_fallback`` is false.
        rate: micro-dollars per hour for one worker, ``rate(shape, market)``; None if its price is not known.
        ceiling: what it costs at most, where nobody tells the price: estimates and limits count that. By default,
            ``rate``.
        own_arch: the architecture of workers for which none is asked, by the ``[aws]`` table; "" if that is not known.
            May ask the engine.
        address: micro-dollars per hour for a worker's public address, by the ``[aws]`` table.
        minimum: seconds that are billed of a worker at least.
        quota: what limits how many of its workers the account may run at a time.
    """

    starting_within: float
    usually_within: float = 0.0
    here: bool = False
    syncs: bool = False
    inherits: bool = True
    can_be_poked: bool = False
    keeps_fleet: bool = False
    stores: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    refuses: Mapping[str, str] = field(default_factory=dict)
    fallback: str = ""
    rate: Rate = free
    ceiling: Rate | None = None
    own_arch: Callable[[Mapping[str, str]], str] = unknown_arch
    address: Callable[[Mapping[str, str]], int] = no_address
    minimum: float = 0.0
    quota: VcpuQuota | None = None


class Launcher(Protocol):
    """Starts workers. Created with a folder for their logs: ``launcher(logs)``."""

    name: str
    traits: Traits

    def start(self, starts: Sequence[Start]) -> list[Handle | Refusal]:
        """Start workers that outlive this process; return one answer per start, in order.

        The same token twice gives one worker, for any caller: one that lost the answer retries.
        """

    def describe(self, handles: Sequence[Handle]) -> dict[str, Status]:
        """The status of these workers, by id."""

    def find(self, sid: str, options: Mapping[str, str]) -> list[Handle]:
        """Workers of a session that its engine knows of, so that a client that did not start them can look after them
        before they are heard of; [] where it cannot tell.

        Args:
            sid: the session.
            options: what its launcher was configured with.
        """

    def stop(self, handle: Handle, *, kill: bool = False) -> bool | None:
        """Ask a worker to finish, or kill it and all its children. Unreachable workers are ignored.

        Returns:
            False if the engine did not take the request, so that no client records an end.
        """

    def poke(self, handle: Handle) -> None:
        """Notify a worker of news, if that is cheap. Nothing depends on it."""

    def log(self, handle: Handle) -> str:
        """The output of the worker process itself, not of its tasks."""

    def printed(self, workers: Collection[str], options: Mapping[str, str], *, since: float) -> list[PrintedLine]:
        """What these workers' own processes printed from a time on, oldest first; empty where no times are kept.

        One question for all of them, where the engine can answer one: it may allow only a few.

        Args:
            workers: ids, of workers that never sent a heartbeat, too.
            options: the session's ``Start.options``.
            since: seconds since the epoch.

        Raises:
            BurstError: they cannot be read; says why.
        """
