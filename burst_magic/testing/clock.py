"""Virtual time: due calls run in order, and a day passes in milliseconds."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator

Process = Generator[float, None, None]  # yields seconds to wait


class Clock:
    """A clock that advances only on request."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._count = 0

    def at(self, when: float, call: Callable[[], object]) -> None:
        """Schedule a call at ``when``, or now if that has passed; calls at one time keep their order."""
        self._count += 1
        heapq.heappush(self._due, (max(when, self.now), self._count, call))

    def spawn(self, process: Process) -> None:
        """Run a process until it ends; each value that it yields is a pause in seconds."""

        def go_on() -> None:
            for pause in process:
                self.at(self.now + pause, go_on)
                return

        go_on()

    def turn(self) -> bool:
        """Advance to the next due call and run it; return False if nothing is due."""
        if not self._due:
            return False
        self.now, _, call = heapq.heappop(self._due)
        call()
        return True
