"""This machine: whether we run on it, its cores and its memory, as far as a container lets us have them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from math import ceil
from pathlib import Path

from burst_magic.errors import BurstError


def cores(*, control_groups: Path = Path("/sys/fs/cgroup")) -> int:
    """The number of cores this process may use, limited by a container's quota."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(there, _quota(control_groups, there)))


def _quota(control_groups: Path, there: int) -> int:
    """Whole cores in the container's quota (cgroups v1 and v2); ``there`` without a quota."""
    with suppress(OSError, ValueError):
        most, of = (control_groups / "cpu.max").read_text().split()
        return there if most == "max" else ceil(int(most) / int(of))
    with suppress(OSError, ValueError):
        quota, period = (
            int((control_groups / "cpu" / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period")
        )
        return ceil(quota / period) if quota > 0 else there
    return there


def memory_mb(*, control_groups: Path = Path("/sys/fs/cgroup")) -> float:
    """MiB of this machine's memory, limited by a container's."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # cgroups v2 and v1
        with suppress(OSError, ValueError):  # v2 says "max" without a limit
            there = min(there, int((control_groups / name).read_text()))
    return there / (1 << 20)


def check_platform(platform: str = sys.platform) -> None:
    """Refuse Windows: workers are forked, and files are renamed while open."""
    if platform == "win32":
        raise BurstError("burst_magic runs on Linux and macOS, not on Windows (WSL works).")
