"""PID 1 of a container: ``python -m burst_magic.worker.watchdog [--cwd FOLDER]`` starts the worker and outlives it.

It passes signals on, reaps orphans, and kills everything when the worker has not gone in time: ``BURST_BIRTH_GRACE``
seconds after SIGTERM, or after the deadline, even if the worker hangs. The deadline comes in ``BURST_BIRTH_DEADLINE``;
the worker announces a later one through a pipe that no task can write to. The exit code is the worker's own, or one of
``protocol/exits.py``. Standard library only: it must not fail for what a worker's packages do.

Tasks begin in ``--cwd``, or in the folder for temporary files. That must not be the folder that this process begins in:
Python imports from there, and a task could put a module there that another process of the container would load.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Mapping

from burst_magic import config
from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.wire.summons import GRACE, PREFIX
from burst_magic.worker import family, prctl

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
_ENDING = (signal.SIGTERM, signal.SIGINT)
_PIPE = f"{PREFIX}WATCHDOG"
_LIMITS = {"DEADLINE": "", "GRACE": str(GRACE)}  # variables, and what they are where they are not set
_PRECISION = 1.0  # seconds: a deadline that moved by less, since a clock was corrected, is not announced


def main() -> int:
    """Run one worker; return the exit code."""
    prctl.conceal()
    variables = config.environment()
    try:
        deadline, grace = _limits(variables)
    except ValueError as problem:
        _say(str(problem))
        return ExitCode.REFUSED
    left = max(0.0, deadline - time.time())  # a deadline that has passed may have been moved: the worker will know
    watchdog = Watchdog(deadline=time.monotonic() + left, grace=grace)
    where = sys.argv[1:] or ["--cwd", variables.get("TMPDIR", "/tmp")]  # noqa: S108 - tempfile takes 10 ms to load
    return watchdog.run([sys.executable, "-m", "burst_magic.worker", *where], variables)


def _limits(variables: Mapping[str, str]) -> tuple[float, float]:
    """The deadline, seconds since the epoch, and the grace; a container that has no end is not started."""
    said = {name: variables.get(f"{PREFIX}{name}", default) for name, default in _LIMITS.items()}
    try:
        deadline, grace = map(float, said.values())
    except ValueError:
        deadline = grace = math.nan
    if not (math.isfinite(deadline) and math.isfinite(grace)):
        found = ", ".join(f"{PREFIX}{name}={value!r}" for name, value in said.items())
        raise ValueError(f"a launcher of burst_magic starts this container and sets both, in seconds: {found}")
    return deadline, grace


class Watchdog:
    """Watches one worker.

    Args:
        deadline: of the session, by the monotonic clock.
        grace: seconds to go after SIGTERM or the deadline.
    """

    def __init__(self, *, deadline: float, grace: float) -> None:
        self._deadline, self._grace = deadline, grace
        self._stop_by = math.inf  # set by SIGTERM
        self._worker = 0
        self._status: int | None = None  # wait status of the worker
        self._words = b""  # an unfinished line of the worker's

    def run(self, command: list[str], variables: Mapping[str, str]) -> int:
        """Start the worker and wait until it ends or is overdue; nothing that it started is left."""
        prctl.adopt_orphans()
        signals = _listen()
        ours, theirs = os.pipe()
        self._worker = _start(command, {**variables, _PIPE: str(theirs)}, theirs)
        os.close(theirs)
        sources = [signals, ours]
        while self._status is None and time.monotonic() < self._kill_at:
            ready, _, _ = select.select(sources, [], [], max(0.0, self._kill_at - time.monotonic()))
            if ours in ready and not self._read(ours):
                sources.remove(ours)
            if signals in ready:
                for number in os.read(signals, 4096):
                    self._heard(number)
        code = self._code()
        _end_family()
        return code

    @property
    def _kill_at(self) -> float:
        return min(self._stop_by, self._deadline + self._grace)

    def _heard(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif self._status is None:
            os.kill(self._worker, number)  # not reaped yet: the id is still its own
        if number in _ENDING:
            self._stop_by = min(self._stop_by, time.monotonic() + self._grace)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                if found[0] == self._worker:
                    self._status = found[1]

    def _read(self, pipe: int) -> bool:
        """The last deadline that the worker has announced; False once it has closed the pipe."""
        said = os.read(pipe, 4096)
        *lines, self._words = (self._words + said).split(b"\n")
        if lines:
            self._deadline = float(lines[-1])
        return bool(said)

    def _code(self) -> int:
        if self._status is not None:
            code = os.waitstatus_to_exitcode(self._status)
            if code >= 0:
                return code
            _say(f"the worker was ended by signal {-code}")
            return 128 - code
        if self._stop_by < math.inf:
            _say(f"the worker is killed: it has not ended within {self._grace:g} s of SIGTERM")
            return 128 + signal.SIGKILL
        _say(f"the worker is killed: it has not ended within {self._grace:g} s of its deadline")
        return ExitCode.OVERDUE


def _listen() -> int:
    """A pipe that gives the number of each signal that arrives from now on."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    for number in (*_PASSED_ON, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    return read


def _start(command: list[str], variables: Mapping[str, str], pipe: int) -> int:
    """Forks and execs: ``subprocess`` would be loaded for one call. SIGUSR1 is blocked until the worker listens."""
    pid = os.fork()
    if pid:
        return pid
    try:
        prctl.die_with_parent()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)  # a worker whose stdin is a pipe expects its birth there
        os.set_inheritable(pipe, True)  # noqa: FBT003 - its name is all there is
        os.execve(command[0], command, variables)  # noqa: S606 - our own interpreter
    except BaseException:  # noqa: BLE001 - below is a copy of the watchdog's stack
        traceback.print_exc()
    finally:
        os._exit(ExitCode.UNRUNNABLE)


def _end_family() -> None:
    """Kill all descendants, also those that left their session; an orphan's parent is this process."""
    family.end_descendants(os.getpid())
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _say(text: str) -> None:
    sys.stderr.write(f"burst_magic watchdog: {text}\n")
    sys.stderr.flush()


class Leash:
    """The worker's end of the pipe.

    Args:
        descriptor: of the pipe; None: nobody watches.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor
        self._said = math.inf
        if descriptor is not None:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - no task may write to it
            os.set_blocking(descriptor, False)

    @classmethod
    def found(cls, variables: Mapping[str, str]) -> Leash:
        """Of the watchdog that started this process, if there is one."""
        return cls(int(variables[_PIPE]) if _PIPE in variables else None)

    def announce(self, deadline: float) -> None:
        """Tell the watchdog when the session's deadline is, by the monotonic clock, unless it knows."""
        if self._descriptor is None or abs(deadline - self._said) < _PRECISION:
            return
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._descriptor, b"%f\n" % deadline)
            self._said = deadline


if __name__ == "__main__":
    raise SystemExit(main())
