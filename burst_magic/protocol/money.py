"""What a fleet costs: one function behind every figure, in micro-dollars. Pure arithmetic.

A process is billed from the time that its launcher reports until its end. While no end is known, it is billed until it
may have died unobserved, three intervals after its last heartbeat. An end that is written later adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from burst_magic.dataclass import dataclass

HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What is billed of one process; seconds since the epoch, micro-dollars an hour."""

    since: float
    until: float
    rate: int


def lived_until(beat: float, gone: float | None, *, silence: float, now: float) -> float:
    """When a worker's bill ends, never past now.

    Args:
        beat: its last heartbeat.
        gone: when its end was written, if it was; it may have been written hours after.
        silence: seconds after a heartbeat for which a worker is believed to have lived.
        now: by the same clock.
    """
    ends = [beat + silence, now] if gone is None else [beat + silence, gone, now]
    return min(ends)


def charge(rate: int, seconds: float, *, minimum: float = 0.0) -> float:
    """Micro-dollars for one process that lived so long; ``minimum`` seconds are billed of one that lived at all."""
    return rate * max(minimum, seconds) / HOUR if seconds > 0 else 0.0


def spend(lives: Iterable[Life], *, rate: int | None = None, minimum: float = 0.0) -> float:
    """What these processes cost together.

    Args:
        lives: one for each process.
        rate: what each would cost elsewhere; None: its own.
        minimum: seconds that are billed of each at least.
    """
    return sum(charge(life.rate if rate is None else rate, life.until - life.since, minimum=minimum) for life in lives)
