"""The states of all tasks as stretches, for drawing: a million tasks in one state are one stretch."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from itertools import pairwise

from burst_magic.protocol.model import Span
from burst_magic.protocol.ranges import Cover


def draw(cover: Cover, running: Collection[int]) -> tuple[Span, ...]:
    """A partition of all tasks into the longest stretches of one state. Keys tell how many tasks of a segment failed,
    not which: the failed ones are drawn last."""
    stretches: list[tuple[int, str]] = []  # first task, state; each ends where the next begins
    busy = sorted(running)
    at = 0
    for start, stop, segment in (*cover.parts, (cover.tasks, cover.tasks, None)):
        if start > at:
            stretches += _uncovered(at, start, busy)
        if segment is not None:
            stretches.append((start, "completed"))
            if segment.failed:
                stretches.append((max(start, stop - segment.failed), "failed"))
        at = stop
    return _joined(stretches, cover.tasks)


def _uncovered(start: int, stop: int, busy: list[int]) -> list[tuple[int, str]]:
    found = [(start, "pending")]
    for task in busy[bisect_left(busy, start) : bisect_left(busy, stop)]:
        found += [(task, "running"), (task + 1, "pending")]
    return found


def _joined(stretches: list[tuple[int, str]], tasks: int) -> tuple[Span, ...]:
    kept: list[tuple[int, str]] = []
    for (start, state), (stop, _) in pairwise((*stretches, (tasks, ""))):
        if stop > start and (not kept or kept[-1][1] != state):
            kept.append((start, state))
    return tuple(
        Span(start=start, stop=stop, state=state) for (start, state), (stop, _) in pairwise((*kept, (tasks, "")))
    )
