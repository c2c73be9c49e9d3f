"""The processes below one of ours: which they are, and how to end them all, also those that left their session.

By /proc: without it, as on macOS, no descendants are known, and process groups are all there is. The watchdog and the
template load this: standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import defaultdict
from collections.abc import Collection

CLEARING = 5.0  # seconds that killed processes may take to be gone
_LAG = 0.001  # seconds between two looks at them, at first
_LONGEST_LAG = 0.02
_TRACKING = 1.0  # seconds of these for trackers
_MOST = 1 << 22  # no process id of Linux is larger; PID_MAX_LIMIT of include/linux/threads.h
_OVER = "ZX"  # states of proc(5): it has ended
_TRACKER = b"resource_tracker import main"  # in the command of multiprocessing's and loky's
_KNOWN = os.path.exists("/proc/self/stat")
_LISTED = os.path.exists("/proc/thread-self/children")  # not in every kernel


def state_of(pid: int) -> str:
    """The system's one-letter process state; "X" if it has ended or is unknown."""
    return (_stat(pid) or ["X"])[0]


def is_child(pid: int, parent: int) -> bool:
    """Whether that process is a child of the other; any number may be asked for."""
    if not 0 < pid <= _MOST:
        return False
    if _KNOWN:
        found = _stat(pid)
        return found is not None and int(found[1]) == parent
    with contextlib.suppress(ProcessLookupError, PermissionError):
        return os.getpgid(pid) == parent
    return False


def _stat(pid: int) -> list[str] | None:
    """State, parent and the fields that follow."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode().split()
    except OSError:
        return None


def descendants(root: int, *, spare: Collection[int] = ()) -> list[int]:
    """All processes below one, parents before their children, without those in ``spare`` and what is below them."""
    found, todo = [], [root]
    children_of = _children if _LISTED else _by_parent().__getitem__
    while todo:
        born = [pid for pid in children_of(todo.pop()) if pid not in spare]
        found += born
        todo += born
    return found


def _children(pid: int) -> list[int]:
    """Each thread has its own; one that ends meanwhile is passed over."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    return found


def _by_parent() -> dict[int, list[int]]:
    """The children of each process of this machine."""
    children: dict[int, list[int]] = defaultdict(list)
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit() and (found := _stat(int(name))) is not None:
            children[int(found[1])].append(int(name))
    return children


def end_descendants(root: int, *, spare: Collection[int] = (), within: float = CLEARING, trackers: bool = True) -> bool:
    """Kill all processes below one until none is left.

    Trackers of multiprocessing and loky end by themselves when all that they serve has ended, and delete its shared
    memory and semaphores: they get a second for it.

    Args:
        root: it should adopt orphans (``prctl.adopt_orphans``); then a descendant whose parent has gone is found, too.
        spare: these, and what is below them, live on.
        within: seconds.
        trackers: wait for trackers, too.

    Returns:
        False if some still live.
    """
    start, lag = time.monotonic(), _LAG
    while living := [pid for pid in descendants(root, spare=spare) if state_of(pid) not in _OVER]:
        waited = time.monotonic() - start
        doomed = [pid for pid in living if (trackers and waited > _TRACKING) or not _is_tracker(pid)]
        if not trackers and not doomed:
            break
        if waited > within:
            return False
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(lag)
        lag = min(2 * lag, _LONGEST_LAG)
    return True


def _is_tracker(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return _TRACKER in file.read()
    return False
