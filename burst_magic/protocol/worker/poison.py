"""Identify the task that kills its workers, exactly, from claims, segments and ends alone (law 4).

A range whose owner ended is run in pieces by the next one, each published before the next begins: single tasks at
first, then more and more. An owner that ended in a piece of one task ended while exactly that task ran, and everybody
can tell: it published fewer than ``SINGLES`` tasks, and the first one without an outcome is the one. Nothing is
guessed from longer pieces: they only make the next owner begin nearer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from burst_magic.protocol.wire.model import ClaimKey, EndCause, Gone

SINGLES = 16  # tasks that a successor runs one by one
DEATHS = 3  # that a task is held to blame for
SILENT = 2  # ends that nobody saw and that do not count
ALONE_FROM = 2  # from this successor on nothing runs beside the range
# Cause decides blame, not the exit code: one that Spot took back, or somebody stopped, exits with 137 as well.
BLAMED = frozenset({EndCause.CRASH, EndCause.MEMORY})
_KILLED = 137  # exit code of a container that ran out of memory


def piece(finished: int) -> int:
    """How many tasks the next piece has when so many were published under the claim.

    >>> [piece(finished) for finished in (0, 1, 15, 16, 18, 22)]
    [1, 1, 1, 2, 4, 8]
    """
    return max(1, finished - SINGLES + 2)


def suspects(claim: ClaimKey, published: Callable[[ClaimKey], int]) -> Iterator[ClaimKey]:
    """Earlier claims of the same start, newest first, whose owners ended while the first unpublished task ran.

    Args:
        claim: the newest claim; it has published nothing yet.
        published: how many tasks were published under a claim.
    """
    for number in range(claim.number - 1, 0, -1):
        before = ClaimKey(start=claim.start, number=number)
        count = published(before)
        if count < SINGLES:
            yield before
        if count:
            return


def guilty(ends: Sequence[Gone | None]) -> bool:
    """Whether a task ended its workers.

    Args:
        ends: of the owners that ended while it ran; None for those of which nobody saw the end.
    """
    codes = [_exit_code(end) for end in ends if end is not None and end.cause in BLAMED]
    unseen = codes.count(None) + sum(end is None for end in ends)
    seen = [code for code in codes if code]  # 0: it left in good order, and only could not say so
    return len(seen) + max(0, unseen - SILENT) >= DEATHS


def verdict(ends: Sequence[Gone | None]) -> str:
    """What the user reads of such a task."""
    ends = [end for end in ends if end is None or end.cause in BLAMED]
    seen = [end for end in ends if end is not None]
    codes = sorted({f"exit code {end.exit_code}" for end in seen if end.exit_code is not None})
    details = sorted({end.detail for end in seen if end.detail})
    how = "; ".join([*codes, *details[:1]]) or "cause unknown"
    return f"it ended {len(ends)} workers: {how}"


def _exit_code(end: Gone) -> int | None:
    """Of one that ran out of memory that is known, whether its launcher told a code or not."""
    return end.exit_code or _KILLED if end.cause is EndCause.MEMORY else end.exit_code
