"""Credentials that the workers of one session on one machine share: memory without a name, never a file or a variable.

Who starts the workers writes down what it has looked up; the worker that first finds it about to expire asks anew, for
all. The memory goes with the last process that has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator

_LOOK = 0.02  # seconds between two tries to be alone


class HandedOn:
    """The latest credentials' document, as text.

    Args:
        descriptor: of the memory; inherited, or received from the process that made it.
        patience: seconds to wait for another process that is asking; then it is not waited for.
        pause: waits so many seconds.
    """

    def __init__(self, descriptor: int, *, patience: float = 60.0, pause: Callable[[float], None] = time.sleep) -> None:
        self._descriptor, self._patience, self._pause = descriptor, patience, pause

    @classmethod
    def empty(cls) -> HandedOn | None:
        """New memory; None where the system has no files that live in memory only (macOS)."""
        return cls(os.memfd_create("burst", os.MFD_CLOEXEC)) if hasattr(os, "memfd_create") else None

    def fileno(self) -> int:
        """The descriptor to hand on."""
        return self._descriptor

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """No other process asks or writes meanwhile, unless one has taken longer than patience allows."""
        for _ in range(int(self._patience / _LOOK)):
            try:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:  # held by a process that asks, or that was stopped while it did
                self._pause(_LOOK)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def read(self) -> str:
        """What was handed on last; empty when nothing was."""
        return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0).decode("utf-8", "replace")

    def write(self, text: str) -> None:
        """Hands it on to all who have this memory."""
        data = text.encode()
        os.pwrite(self._descriptor, data, 0)
        os.ftruncate(self._descriptor, len(data))
