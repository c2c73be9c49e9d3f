"""One job as used by results, logs and views: what is known of it, and how to wait for more."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from burst_magic.protocol.ranges import Part
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.protocol.wire.model import Gone, Job, JobEnd, SegmentKey
from burst_magic.session.driver import Driver
from burst_magic.session.views import Viewer

_REFRESH = 30.0  # seconds that a look at the store may take


class Followed:
    """A job that a driver follows, beside others of its session.

    Args:
        driver: the session's.
        job: which one.
    """

    def __init__(self, driver: Driver, job: Job) -> None:
        self._driver = driver
        self._machine = driver.follow(job)

    @property
    def sid(self) -> str:
        """The session's id."""
        return self._driver.manifest.sid

    def start(self) -> None:
        """Follows the log from now on."""
        self._driver.start(self._machine)

    def stop(self) -> None:
        """Stop following until a caller waits again; returns at once, whatever the store does."""
        self._driver.leave(self._machine)

    def snapshot(self) -> Snapshot:
        """What is known now, without asking the store."""
        return self._driver.snapshot(self._machine)

    def refresh(self, timeout: float = _REFRESH) -> Snapshot:
        """What the store says now. Where it does not answer in time, what is known; ``as_of`` tells how old that is."""
        return self._driver.refresh(self._machine, timeout)

    def wait_for(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Waits until ``ready`` (called with the state at rest) or until nothing will change any more."""
        return self._driver.wait_for(self._machine, ready, timeout)

    def watch(self, viewer: Viewer) -> Callable[[], None]:
        """Calls ``viewer`` with snapshots, one at a time, each newer than the last; returns how to stop."""
        return self._driver.watch(self._machine, viewer)

    @property
    def ended(self) -> JobEnd | None:
        """Why nothing will run any more, or None."""
        return self._machine.end

    @property
    def end_words(self) -> str | None:
        """The same for people."""
        with self._driver.news:
            return None if self._machine.end is None else self._machine.end.words(self._machine.detail)

    @property
    def ends(self) -> tuple[Gone, ...]:
        """The ends of workers, and of starts that brought none."""
        with self._driver.news:
            return tuple(self._driver.machine.crew.gone.values())

    @property
    def created(self) -> float:
        """When the session began, seconds since the epoch."""
        return self._driver.manifest.created

    @property
    def covered(self) -> int:
        """How many tasks have outcomes."""
        return self._machine.cover.covered

    def find(self, task: int) -> SegmentKey | None:
        """The segment that counts for a task, as far as it is known."""
        with self._driver.news:
            return self._machine.cover.find(task)

    @property
    def segments(self) -> tuple[Part, ...]:
        """(first task, one past the last, segment) of all that is published."""
        with self._driver.news:
            return self._machine.cover.parts

    def segments_in(self, stretches: Iterable[tuple[int, int]]) -> list[Part]:
        """The same of some stretches of tasks only."""
        with self._driver.news:
            return [part for start, stop in stretches for part in self._machine.cover.within(start, stop)]

    @property
    def failing(self) -> list[Part]:
        """The same of what holds failures."""
        with self._driver.news:
            return sorted(self._machine.cover.failing)
