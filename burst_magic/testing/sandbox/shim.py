"""The runtime of one container, run by its path: ``python -I -S shim.py STATUS-FD COMMAND…``.

It starts the command as the container's first process and is told ``TERM`` or ``KILL`` on standard input. When the
first process ends, when it is told to kill, or when its parent is gone (end of input), it kills every descendant, also
those that have left the session, and exits with the first process's code (128 + signal), as a container runtime
does. Standard library only, nothing of burst_magic: it must be there in milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans of the container become our children, not those of process 1
_CAPBSET_DROP = 24  # PR_CAPBSET_DROP
_CAPABILITIES = {
    0,
    1,
    3,
    4,
    5,
    6,
    7,
    8,
    10,
    13,
    18,
    27,
    29,
    31,
}  # of a container's root: Docker's default, and Fargate's
_NUMBERS = 41  # of capabilities in include/uapi/linux/capability.h
_CANNOT_START = 127


def main() -> int:
    """Run the container; return its exit code."""
    status, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    wake, woken = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    try:
        first = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_confine,  # noqa: PLW1509 - this process has no threads
        )
    except OSError as error:
        os.write(status, f"error {error}\n".encode())
        return _CANNOT_START
    os.write(status, f"pid {first.pid}\n".encode())
    os.close(status)
    code = _watch(first.pid, wake)
    _kill_all()
    return code


def _confine() -> None:
    """What this machine's root may do beyond a container's root, such as reading others' memory, is lost by exec."""
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        for number in set(range(_NUMBERS)) - _CAPABILITIES:
            prctl(_CAPBSET_DROP, number, 0, 0, 0)


def _watch(first: int, wake: int) -> int:
    """Pass signals on until the first process has ended."""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
        if 0 in ready:
            words = os.read(0, 4096).split()
            if not words or b"KILL" in words:
                os.kill(first, signal.SIGKILL)
                return _code_of(os.waitpid(first, 0)[1])
            os.kill(first, signal.SIGTERM)
        code = _reap(first)
        if code is not None:
            return code


def _reap(first: int) -> int | None:
    """Collect every process that has ended; the code of the first one if it is among them."""
    code = None
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            if found[0] == first:
                code = _code_of(found[1])
    return code


def _code_of(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _kill_all() -> None:
    """Kill until no child is left: children of the killed become ours."""
    while True:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    """Our children, by /proc; elsewhere none: their sessions are their own affair."""
    me, found = os.getpid(), []
    names = os.listdir("/proc") if os.path.isdir("/proc/self") else []  # noqa: PTH208, PTH112 - pathlib costs 10 ms
    for name in names:
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat") as stat:  # noqa: PTH123 - the same
                if int(stat.read().rpartition(")")[2].split()[1]) == me:
                    found.append(int(name))
    return found


if __name__ == "__main__":
    sys.exit(main())
