"""The policy of stealing: what an idle worker takes from a busy one. A wrong guess costs time, never a result.

The thief sees claims with their times, and published segments. From these it estimates the victim's speed and its
progress at its next check. The victim checks for a cut before each publish, and before it continues after a long task
(``publishing.py``).

* Quick tasks: the thief takes half of those that the victim will not have reached.
* Long tasks: outcomes are published at each flush, so a victim that has been silent for longer is in one long task and
  has begun nothing behind it. If each task takes longer than a flush, the victim publishes each when it ends, and
  checks for a cut before it begins the next. The thief takes everything behind the running task, even a single task.
  The next thief takes everything behind the first one's running task. So tasks begin in order on whichever slot is
  free, as from a queue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from burst_magic.dataclass import dataclass
from burst_magic.protocol.wire.model import ClaimKey, Range

LEAST_TASKS = 2  # quick tasks, not yet started
LEAST_FLUSHES = 2.0  # a range of quick tasks with less time left than this is not worth the requests
LATE = 0.5  # flushes that a segment may be late
LATENCY = 0.05  # seconds that a segment may be late, at least


def silence(flush: float) -> float:
    """Seconds without a segment after which a worker counts as being in one long task."""
    return flush + max(LATE * flush, LATENCY)


class Dice(Protocol):
    """Randomness that spreads thieves over victims; passed in, so that a seed gives one trace (law 8)."""

    def choices(self, population: Sequence[int], weights: Sequence[float]) -> list[int]:
        """One of ``population``, weighted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prey:
    """A range that another worker is working on.

    Attributes:
        claim: its claim.
        rest: its unpublished tasks.
        since: when the claim was made, by the store's clock.
        last: when it last published, or None.
        published: number of tasks published so far.
    """

    claim: ClaimKey
    rest: Range
    since: float
    last: float | None = None
    published: int = 0

    @property
    def heard(self) -> float:
        """When its owner last claimed or published."""
        return self.since if self.last is None else self.last

    @property
    def pace(self) -> float | None:
        """Mean seconds per published task; None before the first."""
        if self.last is None or not self.published:
            return None
        return max(1e-6, (self.last - self.since) / self.published)

    def stuck_at(self, flush: float) -> float:
        """When it counts as being in one long task, unless it publishes first."""
        return self.heard + silence(flush)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """An estimate of a victim's progress.

    Attributes:
        each: seconds per task.
        reach: the first task that it will not have begun at its next check.
        left: seconds of work left.
        slow: it checks before it begins the next task.
        take: number of tasks that a thief takes from the end.
    """

    each: float
    reach: int
    left: float
    slow: bool
    take: int

    def worth_it(self, prey: Prey, flush: float) -> bool:
        """Whether a theft saves more than its requests cost."""
        quick_ones = prey.rest.stop - self.reach >= LEAST_TASKS and self.left >= LEAST_FLUSHES * flush
        return self.take > 0 and (self.slow or quick_ones)


def guess(prey: Prey, *, now: float, flush: float, mean: float | None) -> Guess:
    """Estimate a victim's progress.

    Args:
        prey: the victim's range.
        now: the store's clock.
        flush: the job's flush interval, seconds.
        mean: seconds per task, if known; used if the range itself has published none.
    """
    silent = max(0.0, now - prey.heard)
    each = prey.pace or mean or max(silent, flush)
    if now >= prey.stuck_at(flush):
        return _slow(prey, each=max(each, silent), silent=silent, begun=1)
    if each >= flush:
        begun = 1 if silent < each / 2 else 2  # it may be past its next check before the claim is written
        return _slow(prey, each=each, silent=silent, begun=begun)
    done = silent / each
    ahead = int(min(len(prey.rest), done + flush / each)) + 1  # includes the task running at that time
    reach = min(prey.rest.stop, prey.rest.start + ahead)
    left = max(0.0, len(prey.rest) - done) * each
    return Guess(each=each, reach=reach, left=left, slow=False, take=(prey.rest.stop - reach) // 2)


def _slow(prey: Prey, *, each: float, silent: float, begun: int) -> Guess:
    """The estimate for a victim whose started tasks are known."""
    wait = max(0.0, each - silent) or silent  # a task that is overdue may take as long again
    behind = max(0, len(prey.rest) - begun)
    return Guess(each=each, reach=prey.rest.stop - behind, left=wait + behind * each, slow=True, take=behind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The first task to take. ``slow``: it follows a long task, and may be long too."""

    start: int
    slow: bool


def cut(
    preys: Sequence[Prey], *, now: float, flush: float, mean: float | None, dice: Dice, before: int | None = None
) -> Cut | None:
    """Choose a victim and where to cut its range; None if nothing is worth it.

    Args:
        preys: the ranges that others work on, ascending.
        now: the store's clock.
        flush: the job's flush interval, seconds.
        mean: mean seconds per task of the job, if known.
        dice: spreads thieves.
        before: a free lane, if there is one; only tasks before it that wait behind a long task are preferred to it.
    """
    options, weights = [], []
    for prey, local in _with_means(preys, now=now, flush=flush, mean=mean):
        seen = guess(prey, now=now, flush=flush, mean=local)
        first = before is None or (seen.slow and prey.rest.start < before)
        if first and seen.worth_it(prey, flush):
            options.append(Cut(start=prey.rest.stop - seen.take, slow=seen.slow))
            weights.append(seen.left)
    return options[dice.choices(range(len(options)), weights)[0]] if options else None


def _with_means(
    preys: Sequence[Prey], *, now: float, flush: float, mean: float | None
) -> Iterator[tuple[Prey, float | None]]:
    """Each with the likely seconds per task, from the job's mean and its neighbour's: long tasks are often adjacent."""
    near, end = 0.0, -1
    for prey in preys:
        if prey.claim.start != end:
            near = 0.0
        local = max(mean or 0.0, near) or None
        yield prey, local
        stuck = now >= prey.stuck_at(flush)
        near = max(prey.pace or near, now - prey.heard if stuck else 0.0)
        end = prey.rest.stop


def next_look(preys: Sequence[Prey], *, now: float, flush: float) -> float | None:
    """When more may become worth taking; None if nothing known will."""
    times = [prey.stuck_at(flush) for prey in preys if len(prey.rest) > 1]
    return min((at for at in times if at > now), default=None)
