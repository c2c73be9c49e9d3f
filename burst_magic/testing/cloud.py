"""A cloud that starts workers as clouds do: late, partially, not at all, without an answer; and takes them back.

``SimulatedCloud`` is a launcher over any kind of machines: real processes (``LocalMachines``), or those of a simulated
world. Clock and random generator are arguments.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Protocol

from burst_magic.dataclass import dataclass
from burst_magic.launchers.base import (
    Again,
    Cause,
    Handle,
    PrintedLine,
    Refusal,
    Start,
    Status,
    Traits,
    WorkerState,
    birth,
)
from burst_magic.plan.cost import on_fargate

NO_ROOM = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
NO_IMAGE = "CannotPullContainerError: pull image manifest has been retried 5 time(s)"
TAKEN_BACK = "Your Spot Task was interrupted."
_KILLED = 137  # exit code after any SIGKILL


class Machines(Protocol):
    """The machines that workers run on."""

    def boot(self, start: Start, handle: Handle) -> None:
        """Start a worker on a booted machine."""

    def exit_code(self, wid: str) -> int | None:
        """None while it runs."""

    def signal(self, wid: str, *, kill: bool) -> None:
        """Send SIGTERM, or SIGKILL to it and its children."""

    def log(self, wid: str) -> str:
        """What it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWeather:
    """A cloud's behaviour; all but ``boot`` and ``barren`` are probabilities.

    Attributes:
        boot: (shortest, longest) seconds from an accepted start to the worker's first instruction.
        refused: a start is refused for lack of capacity.
        lost: a start is made, but its answer is lost.
        stillborn: a worker ends before its first instruction.
        hidden: a worker is missing from a description.
        barren: seconds, from the cloud's beginning, in which all starts are stillborn: the image is not there yet.
    """

    boot: tuple[float, float] = (45.0, 90.0)
    refused: float = 0.0
    lost: float = 0.0
    stillborn: float = 0.0
    hidden: float = 0.0
    barren: float = 0.0


@dataclass(slots=True)
class CloudTask:
    """One accepted start, as the cloud knows it."""

    start: Start
    handle: Handle
    created: float
    up_at: float
    stillborn: bool
    begun: bool = False
    cause: Cause | None = None  # cause of an end by the cloud itself
    ended: float | None = None


class SimulatedCloud:
    """A launcher, and the cloud behind it: all clients of one cloud share it.

    Args:
        machines: the machines that its workers run on.
        name: its name for ``--launcher``.
        weather: its behaviour.
        rng: its randomness.
        now: its clock, seconds since the epoch.
    """

    def __init__(
        self, machines: Machines, *, name: str, weather: CloudWeather, rng: Random, now: Callable[[], float]
    ) -> None:
        self.name, self.weather = name, weather
        self.traits = Traits(starting_within=weather.boot[1] + 60.0, rate=on_fargate)
        self.tasks: dict[str, CloudTask] = {}  # by token
        self.refused = 0  # starts
        self._machines, self._rng, self._now = machines, rng, now
        self._fertile_from = now() + weather.barren

    # --- a launcher ------------------------------------------------------------------------------------------

    def start(self, starts: Sequence[Start]) -> list[Handle | Refusal]:
        """Accept some starts, refuse some, and lose the answers of some."""
        self.advance()
        return [self._answer(start) for start in starts]

    def _answer(self, start: Start) -> Handle | Refusal:
        if start.token not in self.tasks and self._rng.random() < self.weather.refused:
            self.refused += 1
            return Refusal(token=start.token, problem=NO_ROOM, again=Again.NO_ROOM)
        task = self.tasks.get(start.token) or self._accept(start)
        if self._rng.random() < self.weather.lost:
            return Refusal(token=start.token, problem="Read timeout on endpoint", again=Again.SAME_TOKEN)
        return task.handle

    def _accept(self, start: Start) -> CloudTask:
        number = len(self.tasks)
        wid = f"{self.name}-{number}-{start.token}"
        handle = Handle(launcher=self.name, wid=wid, token=start.token, data={"task": number})
        task = self.tasks[start.token] = CloudTask(
            start=start,
            handle=handle,
            created=self._now(),
            up_at=self._now() + self._rng.uniform(*self.weather.boot),
            stillborn=self._rng.random() < self.weather.stillborn or self._now() < self._fertile_from,
        )
        return task

    def describe(self, handles: Sequence[Handle]) -> dict[str, Status]:
        """The status of workers, as the cloud sees them; some may be hidden."""
        self.advance()
        return {handle.wid: self._status(handle) for handle in handles}

    def _status(self, handle: Handle) -> Status:
        task = self.tasks.get(handle.token)
        if task is None or self._rng.random() < self.weather.hidden:
            return Status(state=WorkerState.UNKNOWN)
        return self.status_of(task)

    def status_of(self, task: CloudTask) -> Status:
        """The true status of a task."""
        if task.ended is None:
            state = WorkerState.RUNNING if task.begun else WorkerState.COMING
            return Status(state=state, phase="provisioning", created=task.created, billed_from=task.created)
        cause = task.cause or Cause.CODE
        reason = {Cause.SPOT: TAKEN_BACK, Cause.NEVER_STARTED: NO_IMAGE}.get(cause, "Essential container exited")
        code = self._machines.exit_code(task.handle.wid) if task.begun else None
        return Status(
            state=WorkerState.ENDED,
            cause=cause,
            reason=reason,
            exit_code=_KILLED if cause is Cause.SPOT else code,
            created=task.created,
            billed_from=task.created,
            ended=task.ended,
        )

    def find(self, sid: str, options: Mapping[str, str]) -> list[Handle]:  # noqa: ARG002 - nothing is configured
        """Those that have not ended."""
        return [task.handle for task in self.tasks.values() if task.start.sid == sid and task.ended is None]

    def printed(self, workers: Collection[str], options: Mapping[str, str], *, since: float) -> list[PrintedLine]:  # noqa: ARG002 - see the docstring
        """Nothing: its machines keep no times."""
        return []

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """End a worker; one that is still coming never starts."""
        self.advance()
        task = self.tasks.get(handle.token)
        if task is not None and task.ended is None:
            self._end(task, Cause.STOPPED, kill=kill)

    def poke(self, handle: Handle) -> None:
        """Clouds do not."""

    def log(self, handle: Handle) -> str:
        """What it printed."""
        task = self.tasks.get(handle.token)
        return self._machines.log(handle.wid) if task is not None and task.begun else ""

    @property
    def coming(self) -> list[CloudTask]:
        """Some start is accepted but not up yet."""
        return [task for task in self.tasks.values() if not task.begun and task.ended is None]

    # --- the cloud ---------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Boot machines that are due, and note workers that have ended."""
        for task in list(self.tasks.values()):
            if task.ended is not None:
                continue
            if not task.begun and task.up_at <= self._now():
                self._boot(task)
            elif task.begun and self._machines.exit_code(task.handle.wid) is not None:
                task.ended = self._now()

    def _boot(self, task: CloudTask) -> None:
        if task.stillborn:
            task.cause, task.ended = Cause.NEVER_STARTED, self._now()
        else:
            task.begun = True
            self._machines.boot(task.start, task.handle)

    def take_back(self, wid: str) -> None:
        """Reclaim a machine, as Spot does; its worker gets the exit code of any kill."""
        for task in self.tasks.values():
            if task.handle.wid == wid and task.ended is None:
                self._end(task, Cause.SPOT, kill=True)

    def _end(self, task: CloudTask, cause: Cause, *, kill: bool) -> None:
        task.cause = cause
        if task.begun:
            self._machines.signal(task.handle.wid, kill=kill)
        else:
            task.ended = self._now()


class LocalMachines:
    """Real worker processes of this machine.

    Args:
        logs: folder for their logs.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def boot(self, start: Start, handle: Handle) -> None:
        """Start a worker that reads its birth from a pipe."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{handle.wid}.log").open("ab") as log:
            command = [sys.executable, "-m", "burst_magic.worker", "--cwd", str(self._logs)]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, cwd="/"
            )
        if process.stdin is not None:
            with process.stdin as pipe:
                pipe.write(birth(start, handle))
        self._processes[handle.wid] = process

    def exit_code(self, wid: str) -> int | None:
        """The exit code as a container's: 128 plus the signal; None while it runs."""
        code = self._processes[wid].poll()
        return code if code is None or code >= 0 else 128 - code

    def signal(self, wid: str, *, kill: bool) -> None:
        """Signal the worker, or kill its whole process group."""
        process = self._processes[wid]
        if process.poll() is None and kill:
            os.killpg(process.pid, signal.SIGKILL)
        elif process.poll() is None:
            process.terminate()

    def log(self, wid: str) -> str:
        """The worker's whole log."""
        path = self._logs / f"{wid}.log"
        return path.read_text(errors="replace") if path.exists() else ""
