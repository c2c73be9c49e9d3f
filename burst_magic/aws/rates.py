"""How fast AWS may be asked. Pure: time is an argument.

The rates are those of the Amazon ECS documentation, "Request throttling for the Amazon ECS API" and "AWS Fargate
throttling quotas". They apply to a whole account and region: a token bucket here keeps one process below them, and
whoever is throttled all the same waits (``aws/patience.py``).
"""

from __future__ import annotations

from burst_magic.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A token bucket's size and the tokens that it gains each second."""

    burst: int
    per_second: float


RUN_TASK = Rate(burst=100, per_second=40.0)
STOP_TASK = Rate(burst=100, per_second=40.0)
ECS_READ = Rate(burst=100, per_second=20.0)
REGISTER = Rate(burst=20, per_second=1.0)
LAUNCH = Rate(burst=100, per_second=20.0)  # tasks of Fargate; on-demand and Spot apart
LOGS_FILTER = Rate(burst=5, per_second=2.0)  # FilterLogEvents: some regions allow 5 a second to a whole account
LOGS_GET = Rate(burst=25, per_second=25.0)  # GetLogEvents, by CloudWatch Logs quotas


class TokenBucket:
    """Says how long each call waits. Calls are served in the order in which they ask.

    >>> bucket = TokenBucket(Rate(burst=2, per_second=1.0))
    >>> [bucket.wait(now=0.0) for _ in range(4)], bucket.wait(now=10.0)
    ([0.0, 0.0, 1.0, 2.0], 0.0)
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._full_at = float("-inf")  # when the bucket is full again

    def wait(self, *, now: float) -> float:
        """Take one token; return the seconds until the call may be made.

        Args:
            now: seconds, by a clock that never goes back.
        """
        full_at = max(self._full_at, now) + 1 / self._rate.per_second
        self._full_at = full_at
        return max(0.0, full_at - now - self._rate.burst / self._rate.per_second)
