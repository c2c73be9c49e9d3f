"""Local workers: detached processes on this machine that use the same protocol and outlive the kernel."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from burst_magic import folders
from burst_magic.config import environment
from burst_magic.errors import BurstError, RecordError
from burst_magic.launchers import leftovers
from burst_magic.launchers.base import (
    Cause,
    Handle,
    PrintedLine,
    Refusal,
    Start,
    Status,
    Traits,
    WorkerState,
    birth,
    cause_of,
)
from burst_magic.launchers.kept_logs import make_room

_LOG = logging.getLogger(__name__)
_LOG_TAIL = 20_000  # bytes
_REFUSES = {
    "gpus": "workers are processes of this machine and see its GPUs; you cannot request any",
    "instance_type": "workers are processes of this machine; you cannot choose an instance type",
    "image": "workers are processes of this machine and run the kernel's interpreter, not an image",
}


class _Worker(subprocess.Popen[bytes]):
    """A process that outlives its parent on purpose, without the warning that it is still running."""

    def __del__(self) -> None:
        """Do nothing."""


class _NotStarted(Exception):
    """Why a start brought no worker, and the context."""


# What this process has started, for all its launchers: only a parent hears the exit code. By worker id, since pids come
# again, and by our own pid, since a fork of this process is no parent.
_STARTED: dict[tuple[int, str], _Worker] = {}


class LocalLauncher:
    """Starts ``python -m burst_magic.worker``, each in its own process session.

    Args:
        logs: folder for what the workers' own processes print, one file a worker, and for the handles of those that
            were started: a token that comes again, in this process or another, is answered with its worker.
    """

    name = "local"
    traits = Traits(starting_within=120.0, here=True, can_be_poked=True, refuses=_REFUSES)

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._cleared: set[str] = set()  # tokens of workers that have ended, and left no process

    def start(self, starts: Sequence[Start]) -> list[Handle | Refusal]:
        """One worker process each. If interrupted, kills what it started."""
        answers: list[Handle | Refusal] = []
        self._make_room(starts)
        try:
            for start in starts:
                answers.append(self._answer(start))  # noqa: PERF401 - an interruption must find what was started
        except BaseException:
            for begun in answers:
                if isinstance(begun, Handle):
                    self.stop(begun, kill=True)
            raise
        return answers

    def _make_room(self, starts: Sequence[Start]) -> None:
        """When a session starts its first workers here, old sessions' files go."""
        for sid in {start.sid for start in starts}:
            if self._logs.is_dir() and not any(self._logs.glob(f"{sid}.*")):
                make_room(self._logs, _lives)

    def _answer(self, start: Start) -> Handle | Refusal:
        try:
            with self._record_of(start) as record:
                found = record.read()
                if found:
                    return Handle.from_json(found)
                handle = self._start(start)
                self._keep(record, handle)
                return handle
        except OSError as error:
            problem = f"a {self.name} worker could not be started: {error}"
            return Refusal(token=start.token, problem=problem, context=sys.executable)
        except BurstError as error:
            return Refusal(token=start.token, problem=error.problem, context=error.context)
        except _NotStarted as why:
            problem, context = why.args
            return Refusal(token=start.token, problem=problem, context=context)

    @contextlib.contextmanager
    def _record_of(self, start: Start) -> Iterator[Any]:
        """The file that holds a start's handle, ours alone until it is closed; empty when there is no worker yet."""
        folders.make(self._logs)
        with folders.opened(self._logs / f"{start.sid}.{start.token}.handle", "a+") as record:
            fcntl.flock(record, fcntl.LOCK_EX)
            record.seek(0)
            yield record

    def _keep(self, record: Any, handle: Handle) -> None:
        """A worker that the next to ask for its token could not find must not be."""
        try:
            record.write(handle.to_json())
            record.flush()
        except OSError:
            self.stop(handle, kill=True)
            raise

    def _start(self, start: Start) -> Handle:
        """The start is written to its stdin, a socket that both sides then close."""
        path = self._logs / f"{start.sid}.{start.token}.log"
        command = [sys.executable, "-m", "burst_magic.worker", "--cwd", start.cwd or str(folders.current())]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours:
            with theirs:
                child = _spawn(command, theirs.fileno(), path, start.token)
            born = process_birth(child.pid) or ""
            host = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname()).strip("-") or "host"
            wid = f"{host}-{child.pid}-{re.sub(r'[^A-Za-z0-9]+', '', born)}"
            where = {"host": this_host(), "pid": child.pid, "born": born}
            handle = Handle(launcher=self.name, wid=wid, token=start.token, data=where)
            self._tell(ours, start, handle, child=child, log=path)
        _STARTED[os.getpid(), wid] = child
        return handle

    def _tell(
        self, to: socket.socket, start: Start, handle: Handle, *, child: subprocess.Popen[bytes], log: Path
    ) -> None:
        words = birth(start, handle)
        try:
            sent = socket.send_fds(to, [words], [] if start.handed is None else [start.handed])
            to.sendall(words[sent:])
        except (BrokenPipeError, ConnectionResetError):
            child.kill()  # whatever it is, it is no worker
            child.wait()
            said_by_it = folders.read_end(log, _LOG_TAIL)
            raise _NotStarted(f"a {self.name} worker exited at once", said_by_it or "no output") from None

    def describe(self, handles: Sequence[Handle]) -> dict[str, Status]:
        """Report processes of this machine; those of other machines are unknown. What ended workers left is ended."""
        described = {handle.wid: self._status(handle) for handle in handles}
        ended = [handle for handle in handles if described[handle.wid].state is WorkerState.ENDED]
        self._clear({handle.token for handle in ended if _here(handle)} - self._cleared)
        return described

    def _clear(self, tokens: set[str]) -> None:
        """End what tasks of these workers left behind, all at once, since a look at all processes takes a while."""
        if leftovers.end(tokens):
            self._cleared |= tokens
        else:
            _LOG.warning("processes that tasks started cannot be killed: ps e shows %s", leftovers.MARK)

    def _status(self, handle: Handle) -> Status:
        child = _STARTED.get((os.getpid(), handle.wid))
        code = child.poll() if child is not None else None
        if code is not None:
            cause, reason = cause_of(code)
            reason = _last_line(self.log(handle)) or reason
            return Status(state=WorkerState.ENDED, cause=cause, reason=reason, exit_code=code)
        if child is not None or _lives(handle):
            return Status(state=WorkerState.RUNNING)
        if _here(handle):
            return Status(state=WorkerState.ENDED, cause=Cause.UNKNOWN, reason=_last_line(self.log(handle)))
        return Status(state=WorkerState.UNKNOWN)

    def find(self, sid: str, options: Mapping[str, str]) -> list[Handle]:  # noqa: ARG002 - nothing is configured
        """Those whose handles are in the log folder."""
        found = []
        for path in self._logs.glob(f"{sid}.*.handle"):
            with contextlib.suppress(OSError, RecordError):  # one that is damaged hides no other
                text = folders.read(path).decode(errors="replace")
                found += [Handle.from_json(text)] if text else []
        return found

    def printed(self, workers: Collection[str], options: Mapping[str, str], *, since: float) -> list[PrintedLine]:  # noqa: ARG002 - see the docstring
        """Nothing: lines of a file have no times."""
        return []

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """SIGTERM lets it publish and exit; kill ends all its processes, and those that its tasks started."""
        lives = _lives(handle)
        if lives:
            with _whoever_it_is():
                if kill:
                    os.killpg(handle.data["pid"], signal.SIGKILL)
                else:
                    os.kill(handle.data["pid"], signal.SIGTERM)
        if kill and _here(handle) and (lives or handle.token not in self._cleared):
            self._clear({handle.token})

    def poke(self, handle: Handle) -> None:
        """Send SIGUSR1: a sleeping worker checks for news at once."""
        if _lives(handle):
            with _whoever_it_is():
                os.kill(handle.data["pid"], signal.SIGUSR1)

    def log(self, handle: Handle) -> str:
        """The tail of the worker's own log file."""
        for path in self._logs.glob(f"*.{handle.token}.log"):
            with contextlib.suppress(OSError):
                return folders.read_end(path, _LOG_TAIL)
        return ""


def _spawn(command: list[str], stdin: int, path: Path, token: str) -> _Worker:
    with path.open("ab") as log, _deaf_to_news():
        return _Worker(
            command,
            stdin=stdin,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
            env={
                **environment(),
                "PYTHONHASHSEED": "0",  # sets are in one order on every worker
                leftovers.MARK: token,
            },
        )


@contextlib.contextmanager
def _whoever_it_is() -> Iterator[None]:
    """It may have ended just now, or be another user's: that one hears from the store what was asked of it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        yield


@contextlib.contextmanager
def _deaf_to_news() -> Iterator[None]:
    """A child begins with SIGUSR1 blocked: a poke must not end an interpreter that is still starting."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _here(handle: Handle) -> bool:
    return handle.data.get("host") == this_host()


def _lives(handle: Handle) -> bool:
    """Whether it is a live process on this machine, and the one that was started."""
    pid, born = handle.data.get("pid"), handle.data.get("born")
    return _here(handle) and isinstance(pid, int) and pid > 1 and process_birth(pid) == born


def this_host() -> str:
    """Identifies the scope of process ids. A host name alone isn't enough: machines and containers share names."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - not a path
    except OSError:  # macOS
        return socket.gethostname()


def process_birth(pid: int) -> str | None:
    """A process's start time, in the system's format; None if there is no such live process."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else fields[19]
    said = subprocess.run(["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return said.stdout.strip() or None


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
