"""Identify the task that kills its workers, exactly, from claims, segments and ends alone (law 4).

The successor of a dead owner runs the range in pieces, and publishes each before it starts the next: single tasks at
first, then longer pieces. An owner that died in a piece of one task died while exactly that task ran, and every process
can see it: the owner published fewer than ``SINGLES`` tasks, and the first one without an outcome is to blame. Longer
pieces blame no task; they only let the next owner start closer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from burst_magic.protocol.wire.model import ClaimKey, EndCause, Gone

SINGLES = 16  # tasks that a successor runs one by one
DEATHS = 3  # deaths that blame a task
SILENT = 2  # unobserved ends that don't count
ALONE_FROM = 2  # from this successor on, nothing else runs on its worker
# The cause decides blame, not the exit code: a worker that Spot reclaimed or a user stopped also exits with 137.
BLAMED = frozenset({EndCause.CRASH, EndCause.MEMORY})
_KILLED = 137  # exit code of a container that ran out of memory


def piece(finished: int) -> int:
    """The number of tasks in the next piece, given the number published under the claim.

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
    """Whether a task killed its workers.

    Args:
        ends: ends of the owners that died while it ran; None if unobserved.
    """
    codes = [_exit_code(end) for end in ends if end is not None and end.cause in BLAMED]
    unseen = codes.count(None) + sum(end is None for end in ends)
    seen = [code for code in codes if code]  # 0: a clean exit whose ``.gone`` failed
    return len(seen) + max(0, unseen - SILENT) >= DEATHS


def verdict(ends: Sequence[Gone | None]) -> str:
    """The message for a guilty task."""
    ends = [end for end in ends if end is None or end.cause in BLAMED]
    seen = [end for end in ends if end is not None]
    codes = sorted({f"exit code {end.exit_code}" for end in seen if end.exit_code is not None})
    details = sorted({end.detail for end in seen if end.detail})
    how = "; ".join([*codes, *details[:1]]) or "cause unknown"
    return f"it ended {len(ends)} workers: {how}"


def _exit_code(end: Gone) -> int | None:
    """Its exit code; one that ran out of memory has one even if its launcher gave none."""
    return end.exit_code or _KILLED if end.cause is EndCause.MEMORY else end.exit_code
