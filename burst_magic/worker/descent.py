"""A fork that a task made and that came back from the user's code: it ends as a program would, and tells no outcome."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback


def leave_fork(pid: int, error: BaseException | None) -> None:
    """Ends this process unless it is the task's own, which may wait for it and tells what came of the task.

    Args:
        pid: the task's own process.
        error: what the user's code raised, or None.
    """
    if os.getpid() == pid:
        return
    status = 0 if error is None else 1
    try:
        if isinstance(error, SystemExit):
            status = _status(error.code)
        elif error is not None:
            traceback.print_exception(type(error), error, error.__traceback__)
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
