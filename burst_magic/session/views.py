"""Who hears of a job: whichever thread has news, one call at a time, and never of older facts after newer ones."""

from __future__ import annotations

import threading
from collections.abc import Callable

from burst_magic.protocol.client.job import JobMachine
from burst_magic.protocol.snapshot import Snapshot

Viewer = Callable[[Snapshot], None]


class View:
    """One viewer. A thread that has news while another one calls it leaves that call to the other, and does not wait.

    Args:
        job: what it sees.
        viewer: called with snapshots.
    """

    def __init__(self, job: JobMachine, viewer: Viewer) -> None:
        self.job, self._viewer = job, viewer
        self._lock = threading.Lock()
        self._calling = self._news = False

    def show(self, snapshot: Callable[[JobMachine], Snapshot]) -> None:
        """Call the viewer with what ``snapshot`` says, again if there is news by then; never again after a failure."""
        with self._lock:
            self._news = True
            if self._calling:
                return
            self._calling = True
        while self._goes_on():
            self._viewer(snapshot(self.job))

    def _goes_on(self) -> bool:
        with self._lock:
            self._calling, self._news = self._news, False
            return self._calling
