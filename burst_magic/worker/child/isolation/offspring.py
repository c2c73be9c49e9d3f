"""End processes that a task left behind before the next task, unless they are kept on purpose.

Those whose own parent has gone, such as daemons, are then children of the slot's process, which adopts them. This needs
Linux's list of children; on other systems they end with the slot.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import Any

from burst_magic.worker import family

_TRACKERS = (  # helpers of multiprocessing and joblib's loky, shared by all tasks of a process
    ("multiprocessing.resource_tracker", "_resource_tracker", "_pid"),
    ("multiprocessing.forkserver", "_forkserver", "_forkserver_pid"),
    ("joblib.externals.loky.backend.resource_tracker", "_resource_tracker", "_pid"),
    ("loky.backend.resource_tracker", "_resource_tracker", "_pid"),
)


def end_strangers() -> bool:
    """Kill children that no library keeps. False if multiprocessing's own are left, which it would restart."""
    kept: set[int | None] = set()
    pools: set[int | None] = set()
    for module, name, field in _TRACKERS:
        kept.add(getattr(getattr(sys.modules.get(module), name, None), field, None))
    process: Any = sys.modules.get("multiprocessing.process")
    for child in list(getattr(process, "_children", ())):
        workers_stay = "loky" in type(child).__module__  # joblib's pool serves the next task too
        (kept if workers_stay else pools).add(child.pid)
    running = children()
    for pid in running - kept - pools:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    family.end_descendants(os.getppid(), spare={os.getpid()}, trackers=False)
    return not running & pools


def children() -> set[int]:
    """This process's child processes, on Linux."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/children", "rb") as file:
                found.update(map(int, file.read().split()))
    return found
