"""Tasks of different lengths: the three shapes of 1 000 naps that the queue is judged by, for us and for the peers.

The same numbers everywhere: a shape is drawn from its name and scaled to the mean, so that the ideal, the longer of
sum ÷ workers and the longest task, is the same in every run and for everybody.
"""

from __future__ import annotations

import heapq
from random import Random

from burst_magic.testing.orders import ORDERS, order

MEAN = 0.1  # seconds
SHAPES = ("constant", "exponential", "pareto")


def naps(shape: str, n: int, draw: int, *, workers: int) -> list[float]:
    """Seconds of ``n`` tasks of a shape: ``constant``, ``exponential``, or ``pareto`` with α = 1.3.

    Args:
        shape: one of ``SHAPES``, or an order that does harm: one of ``ORDERS``, which are not drawn.
        n: how many.
        workers: that work at them.
        draw: which of many. With such tails one draw has its longest task, of half a second or of half a minute, at
            the beginning and another at the end, where nobody is quick: each run takes another draw.
    """
    if shape in ORDERS:
        return [2 * MEAN * each for each in order(shape, n, workers)]
    rng = Random(f"{shape} {draw}")
    one = {"constant": lambda: 1.0, "exponential": lambda: rng.expovariate(1), "pareto": lambda: rng.paretovariate(1.3)}
    drawn = [one[shape]() for _ in range(n)]
    return [MEAN * n * seconds / sum(drawn) for seconds in drawn]


def queue(seconds: list[float], workers: int) -> float:
    """Makespan of a queue that hands out one task at a time, in order, and costs nothing."""
    free = [0.0] * workers
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def ideal(seconds: list[float], workers: int) -> float:
    """No queue can be quicker."""
    return max(sum(seconds) / workers, *seconds)


def nap(seconds: float) -> None:
    """A task that sleeps. Not every peer brings a function's globals along."""
    import time

    time.sleep(seconds)
