"""The one way in which AWS is asked: at the documented rate, again after what passes, with full jitter.

botocore's own retries are off (``aws/clients.py``): they would spend the account's rate unseen by the token bucket, and
multiply with ours. A call that changes something carries a token, so it may be repeated after a lost reply, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any, TypeVar

from burst_magic.aws.clients import Clients
from burst_magic.aws.faults import is_expired, meaning
from burst_magic.aws.rates import Rate, TokenBucket
from burst_magic.errors import Denied, Throttled, Unknown
from burst_magic.stores.retry import Retry, persist

T = TypeVar("T")
STARTING = Retry(first=0.5, longest=8.0, within=20.0)  # a user waits for the cell; after that the session asks again
ONCE = Retry(tries=0)  # nothing depends on the answer
READING = Retry(first=0.5, longest=4.0, within=8.0)  # the next look comes in seconds


class AwsPace:
    """A token bucket that threads wait at.

    Args:
        rate: of the calls.
        clock: seconds.
        sleep: waits that long.
    """

    def __init__(
        self, rate: Rate, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._bucket, self._clock, self._sleep = TokenBucket(rate), clock, sleep
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when the next call may be made."""
        with self._lock:
            seconds = self._bucket.wait(now=self._clock())
        if seconds:
            self._sleep(seconds)


@cache
def pace(region: str, action: str, rate: Rate) -> AwsPace:  # noqa: ARG001 - one pace for each region and action
    """The pace of one action in this process: AWS counts by account and region, whoever asks."""
    return AwsPace(rate)


def ask(
    call: Callable[[], T],
    action: str,
    retry: Retry,
    *paces: AwsPace,
    sleep: Callable[[float], None] = time.sleep,
    rng: Random | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Return what AWS answers, trying again after a throttled or lost answer.

    Args:
        call: of boto3; may be made any number of times.
        action: its name, for messages.
        retry: how often, and for how long.
        paces: to wait at before each try.
        sleep: waits that many seconds.
        rng: chooses each pause between 0 and what ``retry`` says (AWS Architecture Blog, "full jitter").
        clock: seconds.

    Raises:
        BurstError: what the last answer meant (``faults.meaning``).
    """
    chance = rng or Random()  # noqa: S311 - spreads retries

    def once() -> T:
        for each in paces:
            each.wait()
        try:
            return call()
        except Exception as error:
            raise meaning(error, action) from None

    def pause(seconds: float) -> bool:
        sleep(chance.uniform(0.0, seconds))
        return True

    return persist(once, retry, Throttled, Unknown, wait=pause, clock=clock)


class Service:
    """One service of AWS in one region.

    Args:
        name: of the service, as boto3 calls it.
        region: "" for the configured one.
        clients: makes boto3 clients; the default reads AWS's environment and files.
    """

    def __init__(self, name: str, region: str = "", clients: Clients | None = None) -> None:
        self._name = name
        self._clients = clients or Clients(region=region)
        self._lock = threading.Lock()

    @property
    def region(self) -> str:
        """Its name."""
        return self._clients.region

    def ask(self, call: Callable[[Any], T], action: str, retry: Retry, *rates: tuple[str, Rate]) -> T:
        """Return what it answers. If the credentials had expired, ask once more with those that AWS's files hold now.

        Args:
            call: of the service's boto3 client; may be made any number of times.
            action: its name.
            retry: how often, and for how long.
            rates: what is counted, and how fast that may go; empty: the action is not limited.

        Raises:
            BurstError: see ``faults.meaning``.
        """
        paces = [pace(self.region, *each) for each in rates]
        clients, said = self._clients, f"{self._name}:{action}"
        try:
            return ask(lambda: call(clients.of(self._name)), said, retry, *paces)
        except Denied as denied:
            if not is_expired(denied):
                raise
        with self._lock:
            if self._clients is clients:
                self._clients = clients.anew()
            clients = self._clients
        return ask(lambda: call(clients.of(self._name)), said, retry, *paces)
