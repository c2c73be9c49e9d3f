"""How often and for how long a call of a store is tried again: one policy, and the one loop that waits by it.

A request passes at most two of them. obstore repeats what failed inside one request to S3 (``REQUEST``); whoever asked
repeats the call: ``Carrier`` for a machine's driver, ``Patient`` for people. These two never wrap each other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from burst_magic.errors import BurstError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Growing pauses between tries, within a bound.

    Attributes:
        first, longest: seconds of the first pause, and of the longest.
        factor: how much longer each pause is than the one before.
        tries: how often a call is repeated at most; None: no bound.
        within: seconds after the first try in which the last one begins.
    """

    first: float = 0.05
    longest: float = 5.0
    factor: float = 2.0
    tries: int | None = None
    within: float = math.inf

    def pause(self, number: int) -> float:
        """Seconds to wait before a call is repeated for the ``number``-th time, counted from 0."""
        return min(self.first * self.factor ** min(number, 64), self.longest)

    def next_pause(self, number: int, elapsed: float) -> float | None:
        """The same ``elapsed`` seconds after the first try; None when it is time to give up."""
        if elapsed >= self.within or number == self.tries:
            return None
        return min(self.pause(number), self.within - elapsed)


REQUEST = Retry(first=0.1, tries=6, within=25.0)  # the protocol gives a write up after 30 s
PERSON = Retry(within=20.0)  # a user waits for the answer
DRIVER = Retry()  # as long as the driver runs
DOUBTFUL = Retry(factor=4.0, tries=3)  # what a second look may settle: bytes that do not verify, a 409 with no winner


def slept(seconds: float) -> bool:
    """Sleep; always continue."""
    time.sleep(seconds)
    return True


def persist(
    call: Callable[[], T],
    retry: Retry,
    *faults: type[BurstError],
    never: tuple[type[BurstError], ...] = (),
    wait: Callable[[float], bool] = slept,
    clock: Callable[[], float] = time.monotonic,
    tell: Callable[[BurstError, float], None] | None = None,
) -> T:
    """Return the result of ``call``, retrying after some faults.

    Args:
        call: may be called any number of times.
        retry: how often, and for how long.
        faults: retried; the last one is raised on giving up.
        never: exceptions to these, raised at once.
        wait: sleeps that many seconds and returns whether to continue.
        clock: seconds.
        tell: hears each fault and the pause that follows.
    """
    began, number = clock(), 0
    while True:
        try:
            return call()
        except never:
            raise
        except faults as fault:
            pause = retry.next_pause(number, clock() - began)
            if pause is None:
                raise
            if tell is not None:
                tell(fault, pause)
            if not wait(pause):
                raise
        number += 1
