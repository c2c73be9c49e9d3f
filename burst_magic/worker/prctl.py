"""What Linux does for a process on request. Elsewhere these do nothing: containers run Linux."""

from __future__ import annotations

import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1  # numbers: include/uapi/linux/prctl.h
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import _ctypes  # ctypes takes 10 ms to load, and tasks would find it loaded

        this_program: Any = None
        function = _ctypes.dlsym(_ctypes.dlopen(this_program, 0), "prctl")
        _ctypes.call_function(function, (option, value, 0, 0, 0))


def adopt_orphans() -> None:
    """Descendants whose parent has died become children of this process, as they do of PID 1; lost by fork."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """The kernel kills this process when its parent dies; kept by exec, lost by fork."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def wake_when_parent_dies() -> None:
    """The kernel continues this process when its parent dies, should it be stopped then."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


def conceal() -> None:
    """No process of the same user reads this one's memory, environment or files; lost by exec, kept by fork.

    Tasks run as the worker's user. Only a process with CAP_SYS_PTRACE still may.
    """
    _prctl(_PR_SET_DUMPABLE, 0)
