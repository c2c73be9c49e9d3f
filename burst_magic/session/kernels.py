"""Tell the kernels of one notebook apart: which process started a job, and whether that process is still running."""

from __future__ import annotations

import os

from burst_magic.launchers.local import process_birth, this_host


def this_process() -> str:
    """Identifies this process among all that run, and ever ran, on any machine."""
    return _named(os.getpid(), process_birth(os.getpid()))


def runs_elsewhere(process: str) -> bool:
    """Whether it is another process of this machine, and still running. One of another machine is not known to run."""
    pid = process.partition(" ")[0]
    return pid.isdecimal() and int(pid) != os.getpid() and process == _named(int(pid), process_birth(int(pid)))


def _named(pid: int, birth: str | None) -> str:
    return f"{pid} {birth} {this_host()}"
