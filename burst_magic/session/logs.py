"""Task output and the workers' own output in one order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from burst_magic.errors import OptionError
from burst_magic.session.outcomes import story

if TYPE_CHECKING:
    from burst_magic.protocol.model import Outcome
    from burst_magic.session.driver import Driver
    from burst_magic.session.fleet import Fleet
    from burst_magic.session.outcomes import SegmentReader


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
    given: set[int] = set()
    lines = list(_finished(driver, reader, task, given))
    lines += _running(driver, task, given)
    yield from lines[-n:]
    while follow and driver.ended is None and (task is None or task not in given):
        driver.wait_for(partial(_more_than, driver, driver.covered))
        yield from _finished(driver, reader, task, given)


def _more_than(driver: Driver, before: int) -> bool:
    return driver.covered > before


def _finished(driver: Driver, reader: SegmentReader, task: int | None, given: set[int]) -> Iterator[LogLine]:
    """Lines of outcomes not given yet; a failed task's traceback is part of its output."""
    parts = [
        (start, stop, segment)
        for start, stop, segment in driver.segments
        if (start not in given or stop - 1 not in given) and (task is None or start <= task < stop)
    ]
    for outcome in reader.outcomes(parts):
        if outcome.task in given or (task is not None and outcome.task != task):
            continue
        given.add(outcome.task)
        yield from _lines_of(outcome)


def _lines_of(outcome: Outcome) -> Iterator[LogLine]:
    text = story(outcome) if outcome.failed else outcome.output
    for line in text.splitlines():
        yield LogLine(source=str(outcome.task), text=line)


def _running(driver: Driver, task: int | None, given: set[int]) -> list[LogLine]:
    """A heartbeat may still hold the output of a task whose outcome is there: that was given."""
    return [
        LogLine(source=str(running), text=line)
        for running, text in driver.snapshot().tail
        if running not in given and (task is None or running == task)
        for line in text.splitlines()
    ]


def _worker_lines(fleet: Fleet, worker: str, n: int) -> Iterator[LogLine]:
    found = {wid: text for wid, text in fleet.logs().items() if wid.startswith(worker)}
    if not found:
        raise OptionError(f"no worker {worker!r} is known here", way_out="their ids: %burst_status")
    for wid, text in found.items():
        for line in text.splitlines()[-n:]:
            yield LogLine(source=wid, text=line)
