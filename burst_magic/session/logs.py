"""Output of tasks and workers, in one order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from burst_magic.errors import OptionError
from burst_magic.session.outcomes import story
from burst_magic.session.printed import LogLine, WorkersOutput
from burst_magic.session.segments import PARALLEL

if TYPE_CHECKING:
    from burst_magic.protocol.ranges import Part
    from burst_magic.protocol.wire.model import Outcome
    from burst_magic.session.fleet import Fleet
    from burst_magic.session.followed import Followed
    from burst_magic.session.segments import SegmentReader


_OVERLAP = 200  # characters by which a text is recognised


def read_logs(
    job: Followed,
    reader: SegmentReader,
    fleet: Fleet | None,
    *,
    task: int | None,
    worker: str | None,
    n: int,
    follow: bool,
) -> Iterator[LogLine]:
    """The last ``n`` lines in order of time, then, with ``follow``, what comes until the job is over."""
    snapshot = job.refresh()
    if task is not None and not 0 <= task < snapshot.total:
        raise OptionError(f"no task {task}: the job has {snapshot.total} tasks, numbered from 0")
    if worker is not None and fleet is not None:
        yield from _worker_lines(job, fleet, worker, n=n, follow=follow)
        return
    reading = _Reading(job, reader, task, whole_lines=follow)
    output = WorkersOutput(job, fleet) if fleet is not None and task is None else None
    lines = [*reading.last(n), *(output.last(n) if output else ())]
    yield from sorted(lines, key=lambda line: line.at)[-n:]
    if follow:
        yield from _following(job, reading, output)


def _following(job: Followed, reading: _Reading, output: WorkersOutput | None) -> Iterator[LogLine]:
    """Lines as they arrive: workers beat more often while a viewer watches."""
    unwatch = job.watch(lambda _: None)
    try:
        while job.ended is None and not reading.over:
            before = job.covered, job.snapshot().tail
            pause = output.pause if output else None
            job.wait_for(lambda: (job.covered, job.snapshot().tail) != before, pause)  # noqa: B023 - called at once
            lines = [*reading.finished(), *reading.running(), *(output.fresh() if output else ())]
            yield from sorted(lines, key=lambda line: line.at)
    finally:
        unwatch()


class _Reading:
    """Tracks which lines were returned: each once, a failed task's output as a whole."""

    def __init__(self, job: Followed, reader: SegmentReader, task: int | None, *, whole_lines: bool) -> None:
        self._job, self._reader, self._task, self._whole_lines = job, reader, task, whole_lines
        self._over: set[int] = set()
        self._seen: dict[int, str] = {}  # what was given of a running task's output

    @property
    def over(self) -> bool:
        """True if the requested task will have no more output."""
        return self._task is not None and self._task in self._over

    def last(self, n: int) -> Iterable[LogLine]:
        """The last ``n`` lines so far: tasks in the order in which they were published, then running ones.

        Segments also hold values of any size. So they are read backwards, only until there are enough lines, in growing
        batches, since tasks may print nothing.
        """
        parts = sorted(self._published(), key=lambda part: part[2].at_ms)
        for start, stop, _ in parts:
            self._over.update(range(start, stop))
        found, step = deque(self.running(), maxlen=n), 1
        while parts and len(found) < n:
            step = min(step, n - len(found))
            some = self._reader.outcomes(parts[-step:])
            del parts[-step:]
            before = deque((line for outcome in some for line in self._told(outcome)), maxlen=n - len(found))
            found.extendleft(reversed(before))
            step = min(2 * step, PARALLEL)
        return found

    def finished(self) -> Iterator[LogLine]:
        """Lines of new outcomes."""
        for outcome in self._reader.outcomes(self._published()):
            if outcome.task not in self._over:
                self._over.add(outcome.task)
                yield from self._told(outcome)

    def _published(self) -> list[Part]:
        """Locations of outcomes not returned yet."""
        over, only = self._over, self._task
        if only is not None:
            segment = None if only in over else self._job.find(only)
            return [] if segment is None else [(only, only + 1, segment)]
        return [part for part in self._job.segments if part[0] not in over or part[1] - 1 not in over]

    def _told(self, outcome: Outcome) -> list[LogLine]:
        """Output lines of an outcome, including a failed task's traceback."""
        seen = self._seen.pop(outcome.task, "")
        text = story(outcome) if outcome.failed else _after(seen, outcome.output)
        return _lines(outcome.task, text, at=outcome.began + outcome.wall)

    def running(self) -> Iterator[LogLine]:
        """New lines from heartbeats. One may still contain the output of a task that is over."""
        for task, text in self._job.snapshot().tail:
            if task in self._over or (self._task is not None and task != self._task):
                continue
            seen = self._seen.get(task, "")
            fresh = _after(seen, text)
            if self._whole_lines:  # the rest of it comes with the next heartbeat
                fresh = fresh[: fresh.rfind("\n") + 1]
            self._seen[task] = (seen + fresh)[-_OVERLAP:]
            yield from _lines(task, fresh, at=time.time())


def _after(seen: str, text: str) -> str:
    """The part of a text after the known part; all of it if the known part is gone."""
    at = text.rfind(seen) if seen else -1
    return text if at < 0 else text[at + len(seen) :]


def _lines(task: int, text: str, *, at: float) -> list[LogLine]:
    return [LogLine(source=str(task), text=line, at=at) for line in text.splitlines()]


def _worker_lines(job: Followed, fleet: Fleet, worker: str, *, n: int, follow: bool) -> Iterator[LogLine]:
    """What the workers' own processes printed: with times where the launcher keeps them, else as it is."""
    output = WorkersOutput(job, fleet, worker=worker)
    if not output.workers:
        raise OptionError(f"unknown worker {worker!r}", way_out="%burst_status lists the workers")
    lines = output.last(n)
    for wid, text in fleet.logs(worker).items():
        if not any(line.source == wid and line.printed for line in lines):
            yield from [LogLine(source=wid, text=line) for line in text.splitlines()[-n:]]
    yield from lines
    while follow and job.ended is None:
        job.wait_for(lambda: False, output.pause)
        yield from output.fresh()
