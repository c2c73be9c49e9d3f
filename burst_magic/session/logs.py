"""Task output and the workers' own output in one order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from burst_magic.errors import OptionError
from burst_magic.session.outcomes import story

if TYPE_CHECKING:
    from burst_magic.session.driver import Driver
    from burst_magic.session.fleet import Fleet
    from burst_magic.session.outcomes import SegmentReader


_OVERLAP = 200  # characters by which a text is known again


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of output and whose it is: a task's number, or a worker's id."""

    source: str
    text: str


def read_logs(
    driver: Driver,
    reader: SegmentReader,
    fleet: Fleet,
    *,
    task: int | None,
    worker: str | None,
    n: int,
    follow: bool,
) -> Iterator[LogLine]:
    """The last ``n`` lines, then, with ``follow``, what comes until the job is over."""
    snapshot = driver.refresh()
    if task is not None and not 0 <= task < snapshot.total:
        raise OptionError(f"there is no task {task}: the job has {snapshot.total}, from 0 on")
    if worker is not None:
        yield from _worker_lines(fleet, worker, n)
        return
    reading = _Reading(driver, reader, task, whole_lines=follow)
    yield from [*reading.finished(), *reading.running()][-n:]
    if follow:
        yield from _following(driver, reading)


def _following(driver: Driver, reading: _Reading) -> Iterator[LogLine]:
    """What comes, as it comes: workers beat more often while somebody watches."""
    unwatch = driver.watch(lambda _: None)
    try:
        while driver.ended is None and not reading.over:
            before = driver.covered, driver.snapshot().tail
            driver.wait_for(lambda: (driver.covered, driver.snapshot().tail) != before)  # noqa: B023 - called at once
            yield from reading.finished()
            yield from reading.running()
    finally:
        unwatch()


class _Reading:
    """Which lines were given already: each once, the story of a failed task whole."""

    def __init__(self, driver: Driver, reader: SegmentReader, task: int | None, *, whole_lines: bool) -> None:
        self._driver, self._reader, self._task, self._whole_lines = driver, reader, task, whole_lines
        self._over: set[int] = set()
        self._seen: dict[int, str] = {}  # what was given of a running task's output

    @property
    def over(self) -> bool:
        """Nothing more will come of the task that was asked for."""
        return self._task is not None and self._task in self._over

    def finished(self) -> Iterator[LogLine]:
        """Lines of outcomes that came since; a failed task's traceback is part of its output."""
        over, only = self._over, self._task
        parts = [
            (start, stop, segment)
            for start, stop, segment in self._driver.segments
            if (start not in over or stop - 1 not in over) and (only is None or start <= only < stop)
        ]
        for outcome in self._reader.outcomes(parts):
            if outcome.task in over or (only is not None and outcome.task != only):
                continue
            over.add(outcome.task)
            seen = self._seen.pop(outcome.task, "")
            yield from _lines(outcome.task, story(outcome) if outcome.failed else _after(seen, outcome.output))

    def running(self) -> Iterator[LogLine]:
        """Lines that heartbeats told since. One may still hold the output of a task that is over."""
        for task, text in self._driver.snapshot().tail:
            if task in self._over or (self._task is not None and task != self._task):
                continue
            seen = self._seen.get(task, "")
            fresh = _after(seen, text)
            if self._whole_lines:  # the rest of it comes with the next heartbeat
                fresh = fresh[: fresh.rfind("\n") + 1]
            self._seen[task] = (seen + fresh)[-_OVERLAP:]
            yield from _lines(task, fresh)


def _after(seen: str, text: str) -> str:
    """The part of a text that follows what was seen of it; all of it where that has gone by."""
    at = text.rfind(seen) if seen else -1
    return text if at < 0 else text[at + len(seen) :]


def _lines(task: int, text: str) -> list[LogLine]:
    return [LogLine(source=str(task), text=line) for line in text.splitlines()]


def _worker_lines(fleet: Fleet, worker: str, n: int) -> Iterator[LogLine]:
    found = {wid: text for wid, text in fleet.logs().items() if wid.startswith(worker)}
    if not found:
        raise OptionError(f"no worker {worker!r} is known here", way_out="their ids: %burst_status")
    for wid, text in found.items():
        for line in text.splitlines()[-n:]:
            yield LogLine(source=wid, text=line)
