"""Shared memory that a task only attached to, such as the notebook's, is not deleted with its slot.

Multiprocessing's tracker deletes every segment that its process has opened, unless told otherwise (``track=False``,
since Python 3.13).
"""

from __future__ import annotations

import functools
import threading
from types import ModuleType
from typing import Any


def spare_attached(shared_memory: ModuleType) -> None:
    """Let the tracker know only the segments that tasks create."""
    kind: Any = vars(shared_memory)["SharedMemory"]
    begin, attaching = kind.__init__, threading.local()

    @functools.wraps(begin)
    def watched(self: Any, name: str | None = None, create: bool = False, size: int = 0, **options: Any) -> None:  # noqa: FBT001, FBT002 - the library's
        attaching.now = not create
        try:
            begin(self, name, create, size, **options)
        finally:
            attaching.now = False

    kind.__init__ = watched
    vars(shared_memory)["resource_tracker"] = _Tracker(vars(shared_memory)["resource_tracker"], attaching)


class _Tracker:
    """The tracker, as the module sees it."""

    def __init__(self, tracker: Any, attaching: threading.local) -> None:
        self._tracker, self._attaching = tracker, attaching

    def register(self, name: str, kind: str) -> None:
        if not getattr(self._attaching, "now", False):
            self._tracker.register(name, kind)

    def unregister(self, name: str, kind: str) -> None:
        """Of a segment that is deleted; the tracker would complain of one that it doesn't know."""
        self._tracker.register(name, kind)
        self._tracker.unregister(name, kind)
