"""A cloud that starts workers as clouds do: late, partially, not at all, without an answer; and takes them back.

``SimulatedCloud`` is a launcher over any kind of machines: real processes (``LocalMachines``), or those of a simulated
world. Clock and random generator are arguments.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from burst_magic.launchers.base import Again, Cause, Handle, Refusal, Start, Status, Traits, WorkerState, birth
from burst_magic.plan.cost import on_fargate

NO_ROOM = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
NO_IMAGE = "CannotPullContainerError: pull image manifest has been retried 5 time(s)"
TAKEN_BACK = "Your Spot Task was interrupted."
_KILLED = 137  # exit code of whatever SIGKILL ended, whoever sent it


class Machines(Protocol):
    """What workers run on."""

    def boot(self, start: Start, handle: Handle) -> None:
        """A worker's first instruction."""

    def exit_code(self, wid: str) -> int | None:
        """None while it runs."""

    def signal(self, wid: str, *, kill: bool) -> None:
        """SIGTERM, or SIGKILL for it and its children."""

    def log(self, wid: str) -> str:
        """What it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWeather:
    """How a cloud behaves; shares of 1.

    Attributes:
        boot: seconds from an accepted start to the worker's first instruction: at least, at most.
        refused: starts for which there is no room now.
        lost: answers to starts that were made.
        stillborn: workers that end before their first instruction.
        hidden: descriptions of a worker that say nothing of it.
    """

    boot: tuple[float, float] = (45.0, 90.0)
    refused: float = 0.0
    lost: float = 0.0
    stillborn: float = 0.0
    hidden: float = 0.0


@dataclass(slots=True)
class CloudTask:
    """One accepted start, as the cloud knows it."""

    start: Start
    handle: Handle
    created: float
    up_at: float
    stillborn: bool
    begun: bool = False
    cause: Cause | None = None  # of an end that the cloud itself brought about
    ended: float | None = None


class SimulatedCloud:
    """A launcher, and the cloud behind it: all clients of one cloud share it.

    Args:
        machines: what its workers run on.
        name: what ``--launcher`` would call it.
        weather: how it behaves.
        rng: its chance.
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

    # --- a launcher ------------------------------------------------------------------------------------------

    def start(self, starts: Sequence[Start]) -> list[Handle | Refusal]:
        """Takes some, refuses some, and of some the answer is lost."""
        self.advance()
        return [self._answer(start) for start in starts]

    def _answer(self, start: Start) -> Handle | Refusal:
        if start.token not in self.tasks and self._rng.random() < self.weather.refused:
            self.refused += 1
            return Refusal(token=start.token, problem=NO_ROOM, again=Again.LATER)
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
            stillborn=self._rng.random() < self.weather.stillborn,
        )
        return task

    def describe(self, handles: Sequence[Handle]) -> dict[str, Status]:
        """As the cloud sees them, when it answers."""
        self.advance()
        return {handle.wid: self._status(handle) for handle in handles}

    def _status(self, handle: Handle) -> Status:
        task = self.tasks.get(handle.token)
        if task is None or self._rng.random() < self.weather.hidden:
            return Status(state=WorkerState.UNKNOWN)
        return self.status_of(task)

    def status_of(self, task: CloudTask) -> Status:
        """What is true of a task."""
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

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """Ends a worker; one that is still coming never comes."""
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
        """Accepted, and not up yet."""
        return [task for task in self.tasks.values() if not task.begun and task.ended is None]

    # --- what the cloud does -----------------------------------------------------------------------------------

    def advance(self) -> None:
        """Boots what is due, and sees what has ended."""
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
        """Spot: the machine goes, and everything on it, with the exit code of any other kill."""
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
        logs: folder for what they print.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def boot(self, start: Start, handle: Handle) -> None:
        """A worker that hears its birth on a pipe."""
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
        """As a container's: 128 and the signal."""
        code = self._processes[wid].poll()
        return code if code is None or code >= 0 else 128 - code

    def signal(self, wid: str, *, kill: bool) -> None:
        """To the worker, or to its whole process group."""
        process = self._processes[wid]
        if process.poll() is None and kill:
            os.killpg(process.pid, signal.SIGKILL)
        elif process.poll() is None:
            process.terminate()

    def log(self, wid: str) -> str:
        """All that it printed."""
        path = self._logs / f"{wid}.log"
        return path.read_text(errors="replace") if path.exists() else ""
