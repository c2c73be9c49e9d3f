"""Leftovers of a task that run in parallel: forks that return from user code, and threads."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

from burst_magic.worker.child.failures import traceback_of

_ACTIVE: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined] # noqa: SLF001 - asked after each task
_LAST_WORDS = 1.0  # seconds that a thread may take to say what ended it


class Threads:
    """Looks for threads that run the notebook's code on when their task has ended."""

    def __init__(self) -> None:
        self._known = len(_ACTIVE)

    def left(self) -> bool:
        """Whether there are such. Those of libraries (idle pools, progress bars) serve the next task too."""
        if len(_ACTIVE) == self._known:
            return False
        for thread in threading.enumerate():
            if _is_ending(thread):  # of an exception, for instance: the task took away the names that it used
                thread.join(_LAST_WORDS)
        self._known = len(_ACTIVE)
        return any(_is_the_users(thread) for thread in threading.enumerate())


def _is_the_users(thread: threading.Thread) -> bool:
    runs = getattr(thread, "_target", None)
    return "__main__" in {type(thread).__module__, getattr(runs, "__module__", None)} or _is_ending(thread)


def _is_ending(thread: threading.Thread) -> bool:
    """Its code is over, and with it all that tells whose it was; it may still print what ended it."""
    return not hasattr(thread, "_target")


def leave_fork(error: BaseException | None, filename: str) -> None:
    """Ends this process, a fork of the task's own, which may wait for it and tells what came of the task.

    Args:
        error: what the user's code raised, or None.
        filename: the cell.
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
