"""The retry policy for store calls, and the only loop that waits by it.

A request passes through at most two retries. obstore retries failures inside one request to S3 (``REQUEST``), and the
caller retries the call: ``Carrier`` for a machine's driver, ``Patient`` for users. These two never wrap each other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Growing pauses between attempts, up to a limit.

    Attributes:
        first, longest: the first and the longest pause, seconds.
        factor: ratio of each pause to the one before.
        tries: maximum number of retries; None: no limit.
        within: seconds after the first attempt within which the last one begins.
    """

    first: float = 0.05
    longest: float = 5.0
    factor: float = 2.0
    tries: int | None = None
    within: float = math.inf

    def pause(self, number: int) -> float:
        """Seconds to wait before the ``number``-th retry, counted from 0."""
        return min(self.first * self.factor ** min(number, 64), self.longest)

    def next_pause(self, number: int, elapsed: float) -> float | None:
        """The same, ``elapsed`` seconds after the first attempt; None to give up."""
        if elapsed >= self.within or number == self.tries:
            return None
        return min(self.pause(number), self.within - elapsed)


REQUEST = Retry(first=0.1, tries=6, within=25.0)  # the protocol gives up a write after 30 s
PERSON = Retry(within=20.0)  # a user waits for the answer
DRIVER = Retry()  # as long as the driver runs
GONE = Retry(
    first=1.0, longest=4.0, within=15.0
)  # a bucket that is missing all the while is deleted, not new or restarting
DOUBTFUL = Retry(factor=4.0, tries=3)  # a second read may settle it: bytes that do not verify, a 409 without a winner


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
        tell: called with each fault and the pause that follows.
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
