"""Processes that a local worker's tasks left on this machine, found by a mark in their environment.

While a worker or its fork server lives, each ends all that tasks started (``worker/family.py``). If both are killed at
once, daemons live on, and nothing but the environment that they inherited says whose they are. This needs /proc; on
other systems only a worker's own process group is known.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path

MARK = "BURSTMAGIC_WORKER"  # the variable; its value is the token of the start
_CLEARING = 5.0  # seconds that killed processes may take to be gone
_TRACKING = 1.0  # seconds of these in which trackers of multiprocessing delete its shared memory
_TRACKER = b"resource_tracker import main"
_LAG = 0.01


def end(tokens: Collection[str]) -> bool:
    """Kill the processes that descend from the workers of these starts; False if some still live after seconds."""
    started = time.monotonic()
    while found := dict(_marked(tokens)):
        waited = time.monotonic() - started
        if waited > _CLEARING:
            return False
        for pid, command in found.items():
            if _TRACKER not in command or waited > _TRACKING:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(_LAG)
    return True


def _marked(tokens: Collection[str]) -> Iterator[tuple[int, bytes]]:
    """Live processes of this user, each with its command; a zombie's environment is empty."""
    wanted = {f"{MARK}={token}".encode() for token in tokens}
    folders = Path("/proc").iterdir() if wanted and Path("/proc/self/environ").exists() else ()
    for folder in folders:
        if folder.name.isdigit() and folder.name != str(os.getpid()):
            with contextlib.suppress(OSError):
                said = (folder / "environ").read_bytes()
                if MARK.encode() in said and not wanted.isdisjoint(said.split(b"\0")):
                    yield int(folder.name), (folder / "cmdline").read_bytes()
