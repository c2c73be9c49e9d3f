"""What an idle worker takes from a busy one: a policy, nothing else. A bad guess costs time, never a result.

The thief sees what everybody sees: claims with their times and published segments. From these it guesses how fast
the victim is, how far it will have come when it flushes next, and cuts the rest in the middle. The victim
looks for such a cut each time before it publishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from burst_magic.protocol.model import ClaimKey, Range

LEAST_TASKS = 2  # not yet started
LEAST_FLUSHES = 2.0  # a range with less time left than this is not worth the requests


class Dice(Protocol):
    """The chance that spreads thieves over victims: from outside, so that a seed gives one trace (law 8)."""

    def choices(self, population: Sequence[int], weights: Sequence[float]) -> list[int]:
        """One of ``population``, weighted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prey:
    """A range that somebody else works on.

    Attributes:
        claim: under which it is held.
        rest: its unpublished tasks.
        since: when the claim was made, by the store's clock.
        last: when it published last, or None.
        published: tasks it has published so far.
    """

    claim: ClaimKey
    rest: Range
    since: float
    last: float | None = None
    published: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """Seconds a task takes, the first task it will not have reached by its next flush, seconds of work left."""

    each: float
    reach: int
    left: float


def guess(prey: Prey, *, now: float, flush: float, mean: float | None) -> Guess:
    """How far a victim is.

    Args:
        prey: the victim's range.
        now: by the store's clock.
        flush: the job's flush interval, seconds.
        mean: seconds a task of this job takes on the whole, where anything was published.
    """
    heard = prey.since if prey.last is None else prey.last
    silent = max(0.0, now - heard)
    if prey.published and prey.last is not None:
        each = max(1e-6, (prey.last - prey.since) / prey.published)
    else:
        each = mean or max(silent, flush)
    if silent > flush and not prey.published:
        each = max(each, silent)  # its first task still runs
    stuck = silent > LEAST_FLUSHES * max(flush, each)  # what is done is published at each flush: it is in one long task
    done = 0.0 if stuck else silent / each
    left = max(0.0, len(prey.rest) - done) * each
    ahead = int(min(len(prey.rest), done + flush / each)) + 1  # the one that runs then is started too
    ahead += stuck  # and so is the next, before it has looked
    return Guess(each=each, reach=min(prey.rest.stop, prey.rest.start + ahead), left=left)


def cut(preys: Sequence[Prey], *, now: float, flush: float, mean: float | None, dice: Dice) -> int | None:
    """Where to cut whom: the first task to take, or None when nothing is worth it."""
    options, weights = [], []
    for prey in preys:
        seen = guess(prey, now=now, flush=flush, mean=mean)
        open_tasks = prey.rest.stop - seen.reach
        if open_tasks >= LEAST_TASKS and seen.left >= LEAST_FLUSHES * flush:
            options.append(prey.rest.stop - open_tasks // 2)
            weights.append(seen.left)
    return dice.choices(options, weights)[0] if options else None
