"""Limits of the stand-in cloud: how often one may call, how much one may run, and the troubles that are counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from burst_magic.testing.sandbox.lives import SandboxTask
from burst_magic.testing.sandbox.orders import EcsRefusal, Order
from burst_magic.testing.sandbox.weather import QuotaAnswer, SandboxWeather

_COUNTED = ("lost_replies", "throttled_runs", "wrapped_throttling", "throttled_describes", "describe_errors")
_UNITS = 1024  # CPU units of one vCPU
NO_CAPACITY = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
NO_VCPUS = "You've reached the limit on the number of vCPUs you can run concurrently"


class Allowance:
    """A bucket of tokens that fills at a rate."""

    def __init__(self, rate: float, most: int, *, now: float) -> None:
        self.shape = rate, most
        self._tokens = float(most)
        self._at = now

    def take(self, count: int, *, now: float) -> bool:
        """Take so many tokens; false, and none taken, if there aren't as many."""
        rate, most = self.shape
        self._tokens = min(most, self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens < count:
            return False
        self._tokens -= count
        return True


def throttled() -> EcsRefusal:
    """Too many calls."""
    return EcsRefusal("ThrottlingException", "Rate exceeded")


class Limits:
    """Whether a call is answered, and what there is room for. Thread-safe.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, weather: SandboxWeather, *, clock: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._buckets: dict[str, Allowance] = {}
        self.weather = weather

    @property
    def weather(self) -> SandboxWeather:
        """The weather of the moment; counts start again when it is exchanged."""
        return self._weather

    @weather.setter
    def weather(self, weather: SandboxWeather) -> None:
        with self._lock:
            self._weather = weather
            self._left = {name: getattr(weather, name) for name in _COUNTED}

    def due(self, name: str) -> bool:
        """Whether one of the next so many is due, counting it."""
        with self._lock:
            self._left[name] -= 1
            return bool(self._left[name] >= 0)

    def check_call(self, action: str) -> None:
        """Raises ThrottlingException, also as EC2's that ECS hands on, for a call that comes too early."""
        shapes = {"RunTask": self.weather.run_calls, "StopTask": self.weather.stop_calls}
        name = action if action in shapes else "reads"
        if action == "RunTask" and self.due("wrapped_throttling"):
            raise EcsRefusal(
                "InvalidParameterException",
                "Error retrieving security group information: Request limit exceeded. "
                "(ErrorCode: RequestLimitExceeded)",
            )
        forced = {"RunTask": "throttled_runs", "DescribeTasks": "throttled_describes"}.get(action)
        if (forced and self.due(forced)) or not self._take(name, shapes.get(action, self.weather.read_calls), 1):
            raise throttled()

    def check_launches(self, provider: str, count: int) -> None:
        """Raises ThrottlingException for tasks that Fargate won't launch so soon."""
        if not self._take(provider, self.weather.launches, count):
            raise throttled()

    def _take(self, name: str, shape: tuple[float, int], count: int) -> bool:
        with self._lock:
            now = self._clock()
            bucket = self._buckets.get(name)
            if bucket is None or bucket.shape != shape:
                bucket = self._buckets[name] = Allowance(*shape, now=now)
            return bucket.take(count, now=now)

    def room(self, order: Order, count: int, running: Iterable[tuple[Order, SandboxTask]]) -> tuple[int, str]:
        """How many of ``count`` tasks there is room for, and why not for all."""
        same = [other for other, task in running if other.provider == order.provider and not task.is_over]
        spot = order.provider == "FARGATE_SPOT"
        weather = self.weather
        vcpus = weather.spot_vcpus if spot else weather.vcpus
        if vcpus is not None:
            free = int((vcpus * _UNITS - sum(other.cpu for other in same)) // order.cpu)
            if free < count:
                if weather.quota_answer is QuotaAnswer.EXCEPTION and free <= 0:
                    raise EcsRefusal("LimitExceededException", NO_VCPUS)
                return max(0, free), NO_VCPUS
        capacity = weather.spot_capacity if spot else weather.capacity
        if capacity is not None and capacity - len(same) < count:
            return max(0, capacity - len(same)), NO_CAPACITY
        return count, ""
