"""The behaviour of a worker's driver, shared by real and simulated workers.

    events --> the machine's step --> effects --> whoever carries them out --> events ...

Nothing here waits, reads a clock or does I/O. A function that carries out an effect returns the events that it can
answer at once; others arrive later, with the next ``tell``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from burst_magic.protocol import effects as fx
from burst_magic.protocol.worker.machine import WorkerMachine

CLOCK_EVERY = 20  # heartbeats between two looks at the store's clock
PROMPT = 1.0  # seconds: of a heartbeat that took longer nobody knows when it was written

Hand = Callable[[Any], Iterable[fx.Event] | None]


class Conductor:
    """Passes events to a machine, and its effects to the functions that carry them out, in order.

    Args:
        machine: the worker's.
        hands: by kind of effect; what they return is told next.
        now: the monotonic clock.

    Attributes:
        exit: what the machine ended with; None while it goes on.
    """

    def __init__(self, machine: WorkerMachine, hands: Mapping[type, Hand], now: Callable[[], float]) -> None:
        self._machine, self._hands, self._now = machine, hands, now
        self.exit: fx.Exit | None = None

    def tell(self, events: Iterable[fx.Event]) -> None:
        """Steps until nothing is left to be told, or the worker has ended."""
        waiting = deque(events)
        while waiting and self.exit is None:
            for effect in self._machine.step(waiting.popleft(), self._now()):
                if isinstance(effect, fx.Exit):
                    self.exit = effect
                else:
                    waiting.extend(self._hands[type(effect)](effect) or ())


def asks_for_time(beats: int) -> bool:
    """Whether the store is to be asked for its clock beside this heartbeat; ``beats``: this one counted."""
    return beats % CLOCK_EVERY == 1


def clock_offset(began: float, ended: float, modified: float | None) -> float | None:
    """The store's wall clock minus our monotonic one, seconds, or None where a heartbeat does not tell.

    Args:
        began: when it was put, by the monotonic clock.
        ended: when that was answered.
        modified: its last-modified; None when it is not there.
    """
    return None if modified is None or ended - began >= PROMPT else modified - began
