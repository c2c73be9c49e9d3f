"""Money as a straight line: an amount at an instant, and what is added to it in an hour from then on. Pure.

The line stays the same until a worker starts or ends, so that a browser can count by itself: no frame is due for each
cent.
"""

from __future__ import annotations

from collections.abc import Iterable

from burst_magic.dataclass import dataclass
from burst_magic.protocol.money import HOUR, charge
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.protocol.wire.keys import base_of

_JUST = 0.001  # seconds; a worker that was seen so long ago is seen now


@dataclass(frozen=True, slots=True, kw_only=True)
class Accrual:
    """Micro-dollars at an instant (seconds since the epoch), and micro-dollars an hour from then on."""

    at: float
    spent: int
    hourly: int

    def until(self, now: float) -> int:
        """Micro-dollars at another instant."""
        return round(self.spent + self.hourly * max(0.0, now - self.at) / HOUR)


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledLife:
    """What is billed of one process: since when, until when or None while it goes on, micro-dollars an hour."""

    since: float
    until: float | None
    rate: int


def session_accrual(seen: Snapshot) -> Accrual:
    """What the session costs: its workers, and starts that ended before they could work."""
    unheard = [BilledLife(since=life.since, until=life.until, rate=life.rate) for life in seen.unheard]
    return accrue([*_lives(seen), *unheard], minimum=seen.minimum, created=seen.created, now=seen.now)


def job_accrual(seen: Snapshot, *, joined: bool) -> Accrual:
    """The part of it until the job's end; where it ``joined`` workers that were there, from its beginning on."""
    over = _until(seen)
    lives = _lives(seen, over=over if seen.ended else None)
    if not joined:
        unheard = [BilledLife(since=life.since, until=min(life.until, over), rate=life.rate) for life in seen.unheard]
        return accrue([*lives, *unheard], minimum=seen.minimum, created=seen.created, now=over)
    own = [
        BilledLife(since=max(life.since, seen.created), until=life.until, rate=life.rate)
        for life in lives
        if life.until is None or life.until > seen.created
    ]
    return accrue(own, minimum=0.0, created=seen.created, now=over)


def fargate_accrual(seen: Snapshot, *, minimum: float) -> Accrual:
    """What Fargate would charge for free workers like these until the job's end."""
    lives = _lives(seen, over=_until(seen) if seen.ended else None)
    lives = [BilledLife(since=life.since, until=life.until, rate=seen.fargate_rate) for life in lives]
    return accrue(lives, minimum=minimum, created=seen.created, now=_until(seen))


def _until(seen: Snapshot) -> float:
    return seen.now if seen.finished_at is None else min(seen.now, seen.finished_at)


def _lives(seen: Snapshot, *, over: float | None = None) -> list[BilledLife]:
    """One for each process, until ``over``: a worker that rejoined under another id was billed in between."""
    lives: dict[str, BilledLife] = {}
    for worker in seen.workers:
        name, ended = base_of(worker.wid), not worker.alive or worker.seen < seen.now - _JUST
        until = worker.seen if ended else None
        if over is not None:
            until = min(worker.seen, over)
        known = lives.get(name)
        if known is None:
            lives[name] = BilledLife(since=worker.started, until=until, rate=worker.rate)
            continue
        ends = None if until is None or known.until is None else max(until, known.until)
        lives[name] = BilledLife(since=min(known.since, worker.started), until=ends, rate=worker.rate)
    return list(lives.values())


def accrue(lives: Iterable[BilledLife], *, minimum: float, created: float, now: float) -> Accrual:
    """The line that the cost of some processes follows now: it begins at the newest start or end.

    Args:
        lives: of processes.
        minimum: seconds that are billed of each at least: it costs them at once, and nothing more until they are over.
        created: where the line begins if nothing has started yet.
        now: where on the line we are; all in seconds since the epoch.
    """
    lives = [life for life in lives if life.since < now]
    turns = [created]
    for life in lives:
        turns += [life.since, life.since + minimum] if life.until is None else [life.until]
    at = max((turn for turn in turns if turn <= now), default=now)
    ends = [(life, at if life.until is None else life.until) for life in lives]
    spent = sum(charge(life.rate, max(_JUST, end - life.since), minimum=minimum) for life, end in ends)
    hourly = sum(life.rate for life in lives if life.until is None and life.since + minimum <= at)
    return Accrual(at=at, spent=round(spent), hourly=hourly)
