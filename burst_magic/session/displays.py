"""What the tasks of a job displayed, task by task."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, overload

from burst_magic.errors import BurstError
from burst_magic.protocol.wire.records import displays_in, unpack_outcome, without_value
from burst_magic.session.outcomes import not_run

if TYPE_CHECKING:
    from burst_magic.protocol.wire.displays import Display
    from burst_magic.session.followed import Followed
    from burst_magic.session.segments import SegmentReader


_COUNTED = 1000  # tasks whose displays are counted for a repr


class Displays(Sequence["tuple[Display, ...]"]):
    """A sequence with what each task displayed, in item order; values are not loaded.

    Accessing a task blocks until it has ended. A failed task has what it displayed before.

    Args:
        tasks: their number.
        job: knows which have ended.
        reader: of its segments.
        wait_for: blocks until something is so, or the job ends.
    """

    def __init__(
        self, tasks: int, job: Followed, reader: SegmentReader, wait_for: Callable[[Callable[[], bool]], bool]
    ) -> None:
        self._tasks, self._job, self._reader, self._wait_for = tasks, job, reader, wait_for

    def __len__(self) -> int:
        """The number of tasks."""
        return self._tasks

    def __repr__(self) -> str:
        near = self._reader.at_hand(self._job.segments)
        try:
            counts = [displays_in(record) for _, record, _ in islice(self._reader.records(near), _COUNTED)]
        except BurstError:  # deleted or damaged, which whoever asks for one is told
            counts = []
        shown, looked_at = sum(counts), len(counts)
        if not looked_at:
            return f"<Displays of {self._tasks:,} tasks, {self._job.covered:,} of which have ended>"
        which = "that ended" if looked_at == self._job.covered else "that were looked at"
        return f"<Displays of {self._tasks:,} tasks: {shown:,} in the {looked_at:,} {which}>"

    @overload
    def __getitem__(self, index: int) -> tuple[Display, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> list[tuple[Display, ...]]: ...
    def __getitem__(self, index: int | slice) -> tuple[Display, ...] | list[tuple[Display, ...]]:
        """What a task displayed.

        Raises:
            NotRun: it will not run.
        """
        if isinstance(index, slice):
            return [self._of(task) for task in range(*index.indices(self._tasks))]
        task = operator.index(index)
        if not -self._tasks <= task < self._tasks:
            raise IndexError(f"task {task} of {self._tasks}")
        return self._of(task % self._tasks)

    def _of(self, task: int) -> tuple[Display, ...]:
        while True:
            ended = self._job.end_words  # asked first: what is not found after it was said did not run
            segment = self._job.find(task)
            if segment is not None:
                record, origin = self._reader.record(segment, task)
                return unpack_outcome(without_value(record), origin).displays
            if ended is not None:
                raise not_run(task, ended)
            self._wait_for(lambda: self._job.find(task) is not None)
