"""Orders of long and quick tasks that are hard to schedule, and a plain queue to compare with.

Durations are relative: their mean is 1.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from burst_magic.protocol.ranges import cut_lanes

LONG = 20.0  # times as long as a quick one


def order(name: str, tasks: int, slots: int) -> list[float]:
    """Durations of tasks in one of ``ORDERS``.

    Args:
        name: the order's name.
        tasks: number of tasks.
        slots: number of slots that run them; the lanes depend on it.
    """
    drawn = ORDERS[name](tasks, cut_lanes(tasks, slots)) if tasks else []
    return [len(drawn) * each / sum(drawn) for each in drawn]


def queue(seconds: Sequence[float], slots: int) -> float:
    """Makespan of a queue without costs, in which the first free slot gets the next task in order."""
    free = [0.0] * slots
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def _up(tasks: int, _: Sequence[int]) -> list[float]:
    return [1.0 + task for task in range(tasks)]


def _down(tasks: int, lanes: Sequence[int]) -> list[float]:
    return _up(tasks, lanes)[::-1]


def _with_long(tasks: int, long: Sequence[int]) -> list[float]:
    return [LONG if task in set(long) else 1.0 for task in range(tasks)]


def _first(tasks: int, _: Sequence[int]) -> list[float]:
    return _with_long(tasks, (0,))


def _last(tasks: int, _: Sequence[int]) -> list[float]:
    return _with_long(tasks, (tasks - 1,))


def _side_by_side(tasks: int, lanes: Sequence[int]) -> list[float]:
    """As many long tasks as slots, within the first lane if it has room."""
    first = min(2, tasks - 1)
    return _with_long(tasks, range(first, first + len(lanes)))


def _one_in_each_lane(tasks: int, lanes: Sequence[int]) -> list[float]:
    stops = [*lanes, tasks][1:]
    return _with_long(tasks, [(start + stop) // 2 for start, stop in zip(lanes, stops, strict=True)])


def _all_in_one_lane(tasks: int, lanes: Sequence[int]) -> list[float]:
    return _with_long(tasks, range([*lanes, tasks][1]))


def _alternating(tasks: int, _: Sequence[int]) -> list[float]:
    return _with_long(tasks, range(0, tasks, 2))


ORDERS: dict[str, Callable[[int, Sequence[int]], list[float]]] = {
    "sorted up": _up,
    "sorted down": _down,
    "long ones side by side": _side_by_side,
    "one long in each lane": _one_in_each_lane,
    "one long first": _first,
    "one long last": _last,
    "all long in one lane": _all_in_one_lane,
    "alternating": _alternating,
}
