"""Memory usage of processes, on Linux. Other systems have no limit, and peaks only grow."""

from __future__ import annotations

import os
import resource
import sys

from burst_magic.worker import family

_MIB = 1 << 20
_MAXRSS_MB = 1 / _MIB if sys.platform == "darwin" else 1 / 1024
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / _MIB
_CALM_MB = 32  # a peak less than this above current usage is not attributed to a task
_LEAK_MB = 512  # growth allowed, in addition to as much as the first task left in use


def resident_mb(pid: int | str = "self") -> float:
    """Resident MiB of a process, shared memory included; 0 if unknown."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_MB
    except (OSError, IndexError):
        return 0.0


def exceeds(pid: int, limit_mb: float) -> float:
    """MiB used by a process and its descendants if above the limit, else 0.

    Starts with the cheap count. Only suspects are counted exactly: without file pages, which the system can reclaim,
    and with shared pages once.
    """
    all_of_it = [pid, *family.descendants(pid)]
    if sum(map(resident_mb, all_of_it)) <= limit_mb:
        return 0.0
    occupied = sum(map(_own_mb, all_of_it))
    return occupied if occupied > limit_mb else 0.0


def ended_by_system() -> int | None:
    """The system's count of processes killed for lack of memory; None if unavailable."""
    try:
        with open("/proc/vmstat", "rb") as file:
            _, _, rest = file.read().partition(b"\noom_kill ")
    except OSError:
        return None
    return int(rest.split(None, 1)[0]) if rest else None


class Footprint:
    """This process's memory, from one task to the next."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start over for other work; its first task sets the new baseline."""
        self._first = 0.0
        self._calm = 0.0

    def peak_mb(self) -> float:
        """Peak usage in MiB since the last reset; without resets (see ``_settle``), ever."""
        peak: float = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_MB
        if peak > self._calm:
            self._settle(peak)
        return peak

    def leaked(self, limit_mb: float) -> bool:
        """Whether tasks leaked so much memory that the next ones would suffer."""
        room = self._first + _LEAK_MB
        if limit_mb:
            room = min(room, max(0.0, limit_mb - self._first) / 2)
        return bool(self._first) and self._now > self._first + room

    def _settle(self, peak: float) -> None:
        """Reset the peak to current usage for the next task."""
        self._now = resident_mb() or peak
        self._first = self._first or self._now
        try:
            with open("/proc/self/clear_refs", "wb", buffering=0) as file:
                file.write(b"5")
        except OSError:
            self._calm = peak + _CALM_MB
        else:
            self._calm = self._now + _CALM_MB


def _own_mb(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            found = dict(line.split(b":", 1) for line in file if line.startswith(b"Pss_"))
    except OSError:
        found = {}
    if b"Pss_Anon" not in found:
        return resident_mb(pid)  # an old kernel
    return sum(int(found[name].split()[0]) for name in (b"Pss_Anon", b"Pss_Shmem")) / 1024
