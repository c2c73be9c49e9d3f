"""The behaviour of a worker's driver, shared by real and simulated workers.

    events --> the machine's step --> effects --> the driver's hands --> events ...

Nothing here waits, reads a clock or does I/O. A hand carries out one kind of effect and returns the events that it
produces immediately; others arrive later, with the next ``tell``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from burst_magic.protocol import effects as fx
from burst_magic.protocol.worker.machine import WorkerMachine

CLOCK_EVERY = 20  # heartbeats between two readings of the store's clock
PROMPT = 1.0  # seconds; a slower heartbeat doesn't show when the store wrote it

Hand = Callable[[Any], Iterable[fx.Event] | None]


class Conductor:
    """Passes events to a machine, and its effects to the functions that carry them out, in order.

    Args:
        machine: the worker's.
        hands: by kind of effect; the events they return go to the machine next.
        now: the monotonic clock.

    Attributes:
        exit: the machine's last effect; None while it runs.
    """

    def __init__(self, machine: WorkerMachine, hands: Mapping[type, Hand], now: Callable[[], float]) -> None:
        self._machine, self._hands, self._now = machine, hands, now
        self.exit: fx.Exit | None = None

    def tell(self, events: Iterable[fx.Event]) -> None:
        """Step until no event is left, or the worker has ended."""
        waiting = deque(events)
        while waiting and self.exit is None:
            for effect in self._machine.step(waiting.popleft(), self._now()):
                if isinstance(effect, fx.Exit):
                    self.exit = effect
                else:
                    waiting.extend(self._hands[type(effect)](effect) or ())


def asks_for_time(beats: int) -> bool:
    """Whether to read the store's clock with this heartbeat, the ``beats``-th one."""
    return beats % CLOCK_EVERY == 1


def clock_offset(began: float, ended: float, modified: float | None) -> float | None:
    """The store's wall clock minus our monotonic one, in seconds; None if this heartbeat doesn't show it.

    Args:
        began: when the heartbeat was put, by the monotonic clock.
        ended: when the store answered.
        modified: its last-modified time; None if the object is missing.
    """
    return None if modified is None or ended - began >= PROMPT else modified - began
