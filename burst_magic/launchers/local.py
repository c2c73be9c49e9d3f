"""Workers as detached processes of this machine: no account, same protocol, they outlive the kernel."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from burst_magic.config import environment
from burst_magic.errors import LaunchError
from burst_magic.launchers.base import End, Handle, Start

_LOG_TAIL = 20_000  # characters


class _Worker(subprocess.Popen[bytes]):
    """A process that outlives its parent on purpose: nobody is warned that it still runs."""

    def __del__(self) -> None:
        """Nothing is left to be done."""


# What this process has started, for all its launchers: only a parent hears the exit code. By worker id, since pids come
# again, and by our own pid, since a fork of this process is no parent.
_STARTED: dict[tuple[int, str], _Worker] = {}


class LocalLauncher:
    """Starts ``python -m burst_magic.worker`` in sessions of their own.

    Args:
        logs: folder for what the workers' own processes print; one file a worker.
    """

    name = "local"

    def __init__(self, logs: Path) -> None:
        self._logs = logs

    def start(self, start: Start) -> Handle:
        """One worker process; the start is written to its stdin, a socket that both sides then close."""
        path = self._logs / f"{start.sid}.{start.token}.log"
        command = [sys.executable, "-m", "burst_magic.worker", "--cwd", start.cwd or str(Path.cwd())]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ours:
            with theirs:
                child = self._spawn(command, theirs.fileno(), path)
            born = process_birth(child.pid) or ""
            name = re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname()).strip("-") or "host"
            wid = f"{name}-{child.pid}-{re.sub(r'[^A-Za-z0-9]+', '', born)}"
            handle = Handle(launcher=self.name, wid=wid, token=start.token, host=this_host(), pid=child.pid, born=born)
            self._tell(ours, start, {"handle": handle.to_json(), "wid": wid}, child=child, log=path)
        _STARTED[os.getpid(), wid] = child
        return handle

    def _spawn(self, command: list[str], stdin: int, path: Path) -> _Worker:
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as log, _deaf_to_news():
                return _Worker(
                    command,
                    stdin=stdin,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd="/",
                    env={**environment(), "PYTHONHASHSEED": "0"},  # sets are in one order on every worker
                )
        except OSError as error:
            raise LaunchError(f"a local worker could not be started: {error}", context=command[0]) from error

    def _tell(
        self, to: socket.socket, start: Start, names: dict[str, str], *, child: subprocess.Popen[bytes], log: Path
    ) -> None:
        said = {name: value for name, value in asdict(start).items() if name != "handed"}
        words = json.dumps({**said, **names}).encode()
        try:
            sent = socket.send_fds(to, [words], [] if start.handed is None else [start.handed])
            to.sendall(words[sent:])
        except (BrokenPipeError, ConnectionResetError):
            child.kill()  # whatever it is, it is no worker
            child.wait()
            said_by_it = log.read_text(errors="replace")[-_LOG_TAIL:]
            raise LaunchError("a local worker ended at once", context=said_by_it or "it said nothing") from None

    def ended(self, handles: Sequence[Handle]) -> dict[str, End]:
        """Processes of this machine that are no more; those of other machines are unknown here."""
        ends = {}
        for handle in handles:
            child = _STARTED.get((os.getpid(), handle.wid))
            code = child.poll() if child is not None else None
            if code is not None:
                ends[handle.wid] = End(exit_code=code, detail=_last_line(self.log(handle)))
            elif child is None and _here(handle) and process_birth(handle.pid) != handle.born:
                ends[handle.wid] = End(detail=_last_line(self.log(handle)))
        return ends

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """SIGTERM lets it publish and go; kill ends its whole process group."""
        if not _here(handle) or process_birth(handle.pid) != handle.born:
            return
        try:
            if kill:
                os.killpg(handle.pid, signal.SIGKILL)
            else:
                os.kill(handle.pid, signal.SIGTERM)
        except ProcessLookupError:
            return

    def poke(self, handle: Handle) -> None:
        """SIGUSR1: a worker that sleeps looks at once."""
        if _here(handle) and process_birth(handle.pid) == handle.born:
            with contextlib.suppress(ProcessLookupError):
                os.kill(handle.pid, signal.SIGUSR1)

    def log(self, handle: Handle) -> str:
        """The tail of the worker's own log file."""
        for path in self._logs.glob(f"*.{handle.token}.log"):
            return path.read_text(errors="replace")[-_LOG_TAIL:]
        return ""


@contextlib.contextmanager
def _deaf_to_news() -> Iterator[None]:
    """A child begins with SIGUSR1 blocked: a poke must not end an interpreter that is still starting."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _here(handle: Handle) -> bool:
    return handle.host == this_host()


def this_host() -> str:
    """Where process ids mean the same processes. A name alone would not do: machines and containers share names."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - not a path
    except OSError:  # macOS
        return socket.gethostname()


def process_birth(pid: int) -> str | None:
    """When a process was started, in its system's own words; None when there is no such (living) process."""
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
