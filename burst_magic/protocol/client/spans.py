"""The states of all tasks as spans, for drawing: a million tasks in one state are one span."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from itertools import pairwise

from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.snapshot import Span


def draw(cover: Cover, running: Collection[int]) -> tuple[Span, ...]:
    """Partition all tasks into the longest stretches of one state. Names of segments contain the number of failures,
    not their tasks, so failed tasks are drawn last."""
    found: list[tuple[int, str]] = []  # first task, state; each ends where the next begins
    for start, stop, segment in cover.failing:
        found += [(max(start, stop - segment.failed), "failed"), (stop, "completed")]
    busy = sorted(running)
    at = 0
    for start, stop in (*cover.stretches, (cover.tasks, cover.tasks)):
        if start > at:
            found += _uncovered(at, start, busy)
        found.append((start, "completed"))
        at = stop
    return _joined(sorted(found, key=_overrules), cover.tasks)


def _overrules(stretch: tuple[int, str]) -> tuple[int, bool, bool]:
    """Sort key: of two entries at the same task, the later one counts, since the earlier stretch ends there."""
    start, state = stretch
    return start, state != "completed", state == "running"


def _uncovered(start: int, stop: int, busy: list[int]) -> list[tuple[int, str]]:
    found = [(start, "pending")]
    for task in busy[bisect_left(busy, start) : bisect_left(busy, stop)]:
        found += [(task, "running"), (task + 1, "pending")]
    return [(task, state) for task, state in found if task < stop]


def _joined(stretches: list[tuple[int, str]], tasks: int) -> tuple[Span, ...]:
    kept: list[tuple[int, str]] = []
    for (start, state), (stop, _) in pairwise((*stretches, (tasks, ""))):
        if stop > start and (not kept or kept[-1][1] != state):
            kept.append((start, state))
    return tuple(
        Span(start=start, stop=stop, state=state) for (start, state), (stop, _) in pairwise((*kept, (tasks, "")))
    )
