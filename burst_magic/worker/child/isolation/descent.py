"""Handle parallel leftovers of a task: forks that return from user code, and threads."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

from burst_magic.worker.child.failures import traceback_of

_ACTIVE: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined] # noqa: SLF001 - read after each task
_LAST_WORDS = 1.0  # seconds that a thread may take to print its exception


class Threads:
    """Detects threads that still run the notebook's code after their task."""

    def __init__(self) -> None:
        self._known = len(_ACTIVE)

    def left(self) -> bool:
        """Whether such threads are left. Those of libraries (idle pools, progress bars) may serve the next task."""
        if len(_ACTIVE) == self._known:
            return False
        for thread in threading.enumerate():
            if _is_ending(thread):  # for example of an exception, since its names are gone with the task
                thread.join(_LAST_WORDS)
        self._known = len(_ACTIVE)
        return any(_is_the_users(thread) for thread in threading.enumerate())


def _is_the_users(thread: threading.Thread) -> bool:
    runs = getattr(thread, "_target", None)
    return "__main__" in {type(thread).__module__, getattr(runs, "__module__", None)} or _is_ending(thread)


def _is_ending(thread: threading.Thread) -> bool:
    """Its code has ended, so its owner is unknown; it may still print an exception."""
    return not hasattr(thread, "_target")


def may_be_forked() -> bool:
    """Whether this process has no library threads that a fork would lose.

    Threads with the process's own name belong to linear algebra libraries, which handle forks.
    """
    if threading.active_count() > 1:
        return False
    try:
        names = set()
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/comm", "rb") as file:
                names.add(file.read())
    except OSError:
        return True
    return len(names) <= 1


def leave_fork(error: BaseException | None, filename: str) -> None:
    """Exit this process, a fork that the task made itself; the original process reports the task's outcome.

    Args:
        error: exception raised by the user's code, or None.
        filename: the cell's file name.
    """
    status = 0 if error is None else 1
    try:
        if isinstance(error, SystemExit):
            status = _status(error.code)
        elif error is not None:
            sys.stderr.write(traceback_of(error, filename))
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
    finally:
        os._exit(status)


def _status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1
