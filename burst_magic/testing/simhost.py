"""A process of a simulated world, with its own clocks; it may be killed or paused."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from burst_magic.testing.weather import EPOCH, Line

if TYPE_CHECKING:
    from burst_magic.testing.world import World

_SAME_INSTANT = 300  # steps of one machine without time passing


class SimulatedHost:
    """The common part of workers and clients.

    Args:
        world: its world.
        name: its name in the trace.
        rng: its randomness.
        skew: maximum error of its wall clock, seconds.
        job: its only job, if it has one.
    """

    def __init__(self, world: World, *, name: str, rng: Random, skew: float, job: str = "") -> None:
        self.name, self.alive = name, True
        self.born = world.clock.now
        self.paused_until = 0.0
        self.requests = 0
        self.line = Line()
        self.rng = rng
        self._world, self._only_job = world, job
        self._mono = rng.uniform(0, 1e5)
        self._skew = rng.uniform(-skew, skew)
        self._instant, self._steps = -1.0, 0

    @property
    def now(self) -> float:
        """Its monotonic clock."""
        return self._world.clock.now + self._mono

    @property
    def wall(self) -> float:
        """Its wall clock."""
        return EPOCH + self._world.clock.now + self._skew

    def pause(self, seconds: float, *, clock_too: bool = False) -> None:
        """Pause it; while a laptop sleeps, its monotonic clock may stop too."""
        clock = self._world.clock
        until = clock.now + seconds
        if until <= self.paused_until:
            return
        if clock_too:
            stopped = until - max(clock.now, self.paused_until)
            clock.at(until, lambda: self._lose_time(stopped))
        self.paused_until = until
        self._world.tell(self.name, f"is paused for {seconds:.1f} s")

    def _lose_time(self, seconds: float) -> None:
        self._mono -= seconds

    def _count_steps(self) -> None:
        if self._world.clock.now != self._instant:
            self._instant, self._steps = self._world.clock.now, 0
        self._steps += 1
        if self._steps > _SAME_INSTANT:
            self._world.broken(6, f"{self.name} loops without time passing", self._only_job)
