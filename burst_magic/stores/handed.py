"""Credentials shared by a session's workers on one machine, in anonymous memory, never in a file or variable.

The process that starts the workers writes the credentials it has resolved. The worker that first finds them about to
expire renews them for all. The memory is freed with the last process that has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator

_LOOK = 0.02  # seconds between two attempts to get the lock


class HandedOn:
    """The latest credentials document, as text.

    Args:
        descriptor: of the memory; inherited, or received from its creator.
        patience: seconds to wait for another process that is renewing.
        pause: sleeps for some seconds.
    """

    def __init__(self, descriptor: int, *, patience: float = 60.0, pause: Callable[[float], None] = time.sleep) -> None:
        self._descriptor, self._patience, self._pause = descriptor, patience, pause

    @classmethod
    def empty(cls) -> HandedOn | None:
        """New memory; None if the system has no anonymous files (macOS)."""
        return cls(os.memfd_create("burst", os.MFD_CLOEXEC)) if hasattr(os, "memfd_create") else None

    def fileno(self) -> int:
        """The descriptor to pass on."""
        return self._descriptor

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Exclude other processes from renewing or writing, except those that took longer than ``patience``."""
        for _ in range(int(self._patience / _LOOK)):
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:  # held by a process that is renewing, or was stopped while renewing
                self._pause(_LOOK)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def read(self) -> str:
        """The latest document; empty if there is none."""
        return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0).decode("utf-8", "replace")

    def write(self, text: str) -> None:
        """Write it for all processes with this memory."""
        data = text.encode()
        os.pwrite(self._descriptor, data, 0)
        os.ftruncate(self._descriptor, len(data))
