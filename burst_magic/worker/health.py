"""``python -m burst_magic.worker.health`` in a worker's container: exit code 0 while the worker can work.

It looks for the worker's process, which may have ended, may be a zombie or may be stopped. That a worker does nothing
although its process runs is for its heartbeat to show.
"""

from __future__ import annotations

import contextlib
import os
import sys

_WORKER = b"\0-m\0burst_magic.worker\0"  # in its command, between other words
_DEAD = b"TtXZ"  # states of proc(5): stopped, traced, dead, zombie


def main() -> int:
    """The exit code: 0 or 1, as a health check wants it."""
    states = list(_states())
    if any(state not in _DEAD for state in states):
        return 0
    sys.stderr.write("the worker is stopped\n" if states else "no worker runs here\n")
    return 1


def _states() -> list[bytes]:
    """The states of all workers' processes; a worker's children have the commands of their own interpreters."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                with open(f"/proc/{name}/cmdline", "rb") as command:
                    if _WORKER not in command.read():
                        continue
                with open(f"/proc/{name}/stat", "rb") as stat:
                    found.append(stat.read().rpartition(b") ")[2][:1])
    return found


if __name__ == "__main__":
    raise SystemExit(main())
