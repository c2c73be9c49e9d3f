"""The results of a job: a sequence in order of items that waits only when it is touched."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pickle import loads
from typing import TYPE_CHECKING, Any, Final, overload

from burst_magic.errors import NotRun, OptionError
from burst_magic.payload.unpack import NAMES_NOTHING
from burst_magic.protocol.wire.model import JobEnd, Outcome, OutcomeKind, Provenance, SegmentKey
from burst_magic.protocol.wire.records import run_in, unpack_outcome, value_in
from burst_magic.session.displays import Displays
from burst_magic.session.frame import frame_of
from burst_magic.session.outcomes import error_of, not_run, open_value, raisable
from burst_magic.session.segments import Failures, SegmentReader
from burst_magic.ui.displayed import show
from burst_magic.units import format_duration

if TYPE_CHECKING:
    from burst_magic.session.followed import Followed
    from burst_magic.session.session import Session


class _Pending:
    """A result that is not there yet."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "PENDING"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "PENDING"


PENDING: Final = _Pending()
ERRORS = ("raise", "return", "skip")
PENDINGS = ("keep", "skip")
Known = tuple[Any, BaseException | None]  # a value and None, or PENDING and why there is none
_GO_ON = "stopped waiting; session {id} is still running. Wait again: %burst_collect {id}   Stop it: %burst_cancel {id}"


def stopped(sid: str) -> KeyboardInterrupt:
    """Raised by Stop during a wait; IPython shows it without our traceback."""
    said = _GO_ON.format(id=sid)
    error = KeyboardInterrupt(said)
    error._render_traceback_ = lambda: [f"KeyboardInterrupt: {said}"]  # type: ignore[attr-defined]
    return error


class Results(Sequence[Any]):
    """A sequence with one value per task, in item order. Equal to the list of its values.

    Indexing, iterating, ``list()`` and ``np.array()`` block until the values are ready. Accessing a failed task raises
    its own exception; a value that cannot be unpickled here raises the reason, and is kept. ``repr`` never blocks.
    """

    def __init__(
        self,
        job: Followed,
        reader: SegmentReader,
        failures: Failures,
        tasks: int,
        home: dict[str, object],
        *,
        session: Session,
    ) -> None:
        self._job, self._reader, self._failures = job, reader, failures
        self._tasks, self._home, self._session = tasks, home, session
        self._values: dict[int, Any] = {}  # law 1: a returned value never changes
        self._errors: dict[int, BaseException] = {}

    def __len__(self) -> int:
        """The number of tasks."""
        return self._tasks

    def __repr__(self) -> str:
        seen = self._job.snapshot()
        parts = [f"{seen.done:,} of {seen.total:,}".replace(",", "\u2009")]
        if seen.failed:
            parts.append(f"{seen.failed} failed")
        if seen.eta is not None:
            parts.append(f"\u2248 {format_duration(round(seen.eta))}")
        if seen.ended is not None and seen.ended is not JobEnd.FINISHED:
            parts.append(seen.ended.words(seen.end_detail))
        return f"<Results: {', '.join(parts)}>"

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """The value of a task, or a list of values. Blocks; raises the task's exception."""
        if isinstance(index, slice):
            return [self._value(task) for task in range(*index.indices(self._tasks))]
        task = operator.index(index)
        if not -self._tasks <= task < self._tasks:
            raise IndexError(f"task {task} of {self._tasks}")
        return self._value(task % self._tasks)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over all values in order; blocks for each."""
        task = 0
        kept = self._values
        while task < self._tasks:
            self._await(task)
            for ready in self._read_from(task):
                if ready in kept:
                    yield kept[ready]
                else:
                    value, error = self._awaited(ready)
                    if error is not None:
                        raise BaseException.with_traceback(raisable(error), None)
                    yield value
                task = ready + 1

    def __eq__(self, other: object) -> bool:
        """Equal to a list or Results of the same values."""
        if not isinstance(other, list | Results):
            return NotImplemented
        return len(self) == len(other) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: object) -> list[Any]:
        """Return a list; blocks until all values are ready."""
        return [*self, *other] if isinstance(other, list | Results) else NotImplemented

    def __radd__(self, other: object) -> list[Any]:
        """Return a list; blocks until all values are ready."""
        return [*other, *self] if isinstance(other, list) else NotImplemented

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """All values as an array; blocks."""
        import numpy as np

        return np.array(list(self), dtype=dtype)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled as the list of its values."""
        return (list, (list(self),))

    @property
    def session(self) -> Session:
        """The session that they belong to, for ``status()``, ``logs()``, ``cancel()`` and the like."""
        return self._session

    def ready(self) -> bool:
        """Whether every task has an outcome. Never waits."""
        return self._job.covered >= self._tasks

    def wait(self, timeout: float | None = None) -> bool:
        """Block until every task has an outcome or nothing will run any more; return False on timeout."""
        end = _end(timeout)
        while not self._wait_for(self.ready, end - time.monotonic()) and self._job.ended is None:
            if time.monotonic() >= end:
                return False
        return True

    def collect(
        self, *, wait: bool = True, timeout: float | None = None, errors: str = "raise", pending: str = "keep"
    ) -> list[Any]:
        """Return a plain list in item order.

        Args:
            wait: False returns available values; missing ones are ``PENDING``.
            timeout: maximum seconds to wait; then as with ``wait=False``.
            errors: "raise" the first failure, "return" exceptions in place, or "skip" failed tasks.
            pending: "keep" ``PENDING`` in the places of missing values, or "skip" these tasks.

        Raises:
            OptionError: an argument is none of its choices.
        """
        _one_of("errors", errors, ERRORS)
        _one_of("pending", pending, PENDINGS)
        end = _end(timeout) if wait else -math.inf
        if wait:
            self.wait(timeout)
        else:
            self._job.refresh()
        collected = []
        for value, error in self._peek(end):
            if error is None:
                collected.append(value)
            elif isinstance(error, NotRun) and not wait:
                collected.append(PENDING)
            elif errors == "raise":
                raise error
            elif errors == "return":
                collected.append(error)
        return collected if pending == "keep" else [value for value in collected if value is not PENDING]

    def to_frame(self, *, wait: bool = True) -> Any:
        """Return a pandas DataFrame, one row a task.

        Its columns: ``item`` (None if it cannot be loaded here), ``value`` (None if the task failed), ``error``
        (text, or None), ``began`` (UTC, by the worker's clock), ``wall`` and ``cpu`` (seconds of the last attempt),
        ``peak_mb`` (MiB of the slot's process), ``attempts``, ``worker``. Its index is the number of the task.

        Args:
            wait: False returns what is there; the values of other tasks are ``PENDING``.

        Raises:
            BurstError: pandas is not installed.
        """
        if wait:
            self.wait()
        else:
            self._job.refresh()
        known = list(self._peek(math.inf if wait else -math.inf))
        if not wait:
            known = [(PENDING, None) if isinstance(error, NotRun) else (value, error) for value, error in known]
        return frame_of(self._session.items(), known, self.outcomes)

    def as_completed(self, *, errors: str = "raise") -> Iterator[tuple[int, Any]]:
        """Yield (index, value) as tasks finish; failed ones as in ``collect``. Ends when no more results will come.

        If the job is revived, a task reported as not run appears again with its result.
        """
        _one_of("errors", errors, ERRORS)
        for task, (value, error) in self._arriving():
            if error is None:
                yield task, value
            elif errors == "raise":
                raise BaseException.with_traceback(raisable(error), None)
            elif errors == "return":
                yield task, error

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The tasks that have ended so far: seconds, memory, worker, output; values stay packed. Never waits."""
        records = self._reader.records(self._job.segments)
        return tuple(unpack_outcome(record, origin) for _, record, origin in records)

    @property
    def displays(self) -> Displays:
        """What each task displayed: of each a tuple of ``Display``. Accessing one blocks until its task ended."""
        return Displays(self._tasks, self._job, self._reader, self._wait_for)

    def show(self, task: int | None = None) -> None:
        """Display here what a task displayed; print its plain text where there is no notebook. Blocks until it ended.

        Args:
            task: its number, as in ``results[task]``; may be left out if there is one task only.

        Raises:
            NotRun: it will not run.
            OptionError: there is no such task.
        """
        asked = 0 if task is None and self._tasks == 1 else task
        try:
            number = operator.index(asked)  # type: ignore[arg-type]
            shown = self.displays[number]
        except (TypeError, IndexError):
            tasks = "1 task" if self._tasks == 1 else f"{self._tasks:,} tasks"
            last = f", numbered from 0 to {self._tasks - 1:,}" if self._tasks > 1 else ""
            problem = "show needs the number of a task" if task is None else f"no task {task!r}"
            way_out = "results.show(0); results.displays has those of all tasks"
            raise OptionError(f"{problem}: the job has {tasks}{last}", way_out=way_out) from None
        show(shown)

    def seconds(self, most: int = 1000) -> tuple[float, ...]:
        """How long tasks took: of the first so many that have ended. Never waits."""
        found = islice(self._reader.records(self._job.segments), most)
        return tuple(run_in(record, origin).wall for _, record, origin in found)

    @property
    def errors(self) -> tuple[Outcome, ...]:
        """The failed tasks so far: index, item, error, message, traceback, output. Never waits.

        Damaged results are among them once they were read."""
        parts = [*self._job.failing, *self._reader.in_doubt(self._job.segments)]
        return tuple(outcome for _, failed in self._failures.within(sorted(set(parts))) for outcome in failed)

    def _arriving(self) -> Iterator[tuple[int, Known]]:
        """Each task's outcome once, as they arrive; at the end, the reason for each missing one."""
        given, answered = bytearray(self._tasks), bytearray(self._tasks)  # one megabyte each for a million tasks
        count = 0
        while count < self._tasks:
            if self._wait_for(partial(self._more_than, count)):
                for task, known in self._fresh(given):
                    given[task] = answered[task] = 1
                    count += 1
                    yield task, known
            elif 0 not in answered:
                return
            else:
                for task, error in self._missing(answered):
                    answered[task] = 1
                    yield task, (PENDING, error)

    def _more_than(self, count: int) -> bool:
        return self._job.covered > count

    def _fresh(self, given: bytearray) -> Iterator[tuple[int, Known]]:
        """Available outcomes of tasks not returned yet.

        Once ``final`` exists, a value can be read again (law 1) and needn't be kept.
        """
        settled = self._job.ended is JobEnd.FINISHED
        parts = self._job.segments_in(_zeros(given, 0, self._tasks))
        for task, record, origin in self._reader.records(parts):
            yield task, self._kept(task) or self._keep(task, record, origin, value=not settled)

    def _missing(self, answered: bytearray) -> Iterator[tuple[int, NotRun]]:
        """The reason for each task without an outcome.

        Stops if results may still come: the reader may have revived the job.
        """
        for start, stop in _zeros(answered, 0, self._tasks):
            for task in range(start, stop):
                ended = self._job.end_words
                if ended is None or self._job.find(task) is not None:
                    return
                yield task, not_run(task, ended)

    # --- reading ------------------------------------------------------------------------------------------

    def _await(self, task: int) -> None:
        if task not in self._values and task not in self._errors:
            self._wait_for(lambda: self._job.find(task) is not None)

    def _wait_for(self, ready: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait; an interrupt ends the wait, never the session."""
        try:
            return self._job.wait_for(ready, timeout)
        except KeyboardInterrupt:
            raise stopped(self._job.sid) from None

    def _value(self, task: int) -> Any:
        value, error = self._awaited(task)
        if error is not None:
            raise BaseException.with_traceback(error, None)
        return value

    def _awaited(self, task: int, end: float = math.inf) -> Known:
        """Wait for a task's outcome, repeatedly, since a job's end may be revoked.

        ``(PENDING, None)`` only after ``end`` (monotonic clock).
        """
        while (known := self._outcome(task)) is None:
            left = end - time.monotonic()
            if left <= 0:
                return PENDING, None
            self._wait_for(lambda: self._job.find(task) is not None, left)
        return known

    def _outcome(self, task: int) -> Known | None:
        """A task's outcome; None while it may still arrive."""
        kept = self._kept(task)
        if kept is not None:
            return kept
        ended = self._job.end_words  # asked first: what is not found after it was said did not run
        segment = self._job.find(task)
        if segment is not None:
            return self._keep(task, *self._reader.record(segment, task))
        return None if ended is None else (PENDING, not_run(task, ended))

    def _kept(self, task: int) -> Known | None:
        if task in self._values:
            return self._values[task], None
        return (PENDING, self._errors[task]) if task in self._errors else None

    def _keep(self, task: int, record: memoryview, origin: Provenance, *, value: bool = True) -> Known:
        """Open an outcome and keep its error, and, if requested, its value.

        The reason why a value cannot be unpickled is not kept: its dependencies may exist next time.
        """
        data = value_in(record)
        if data is None:
            outcome = unpack_outcome(record, origin)
            error = error_of(outcome, self._home)
            if outcome.kind is not OutcomeKind.DAMAGED:  # it may be read again: the disk may be repaired
                self._errors[task] = error
            return PENDING, error
        opened, trouble = open_value(task, data, self._home)
        if trouble is not None:
            return PENDING, trouble
        if value:
            self._values[task] = opened
        return opened, None

    def _keep_all(self, parts: Sequence[tuple[int, int, SegmentKey]]) -> dict[int, BaseException]:
        """Keep everything that can be unpickled; return why the others cannot."""
        unopened: dict[int, BaseException] = {}
        values, errors, home = self._values, self._errors, self._home
        for first, found, opened in self._reader.values(parts):
            for task, data in enumerate(found, first):
                if task in values or task in errors:
                    continue
                if data is None:
                    self._keep(task, *opened.record(task))
                elif len(data) < NAMES_NOTHING:
                    values[task] = loads(data)  # noqa: S301 - verified, and too short to name a class
                else:
                    value, trouble = open_value(task, data, home)
                    if trouble is None:
                        values[task] = value
                    else:
                        unopened[task] = trouble
        return unopened

    def _read_from(self, task: int) -> range:
        """Read everything available from ``task`` on, prefetching segments; returns the tasks read."""
        parts = []
        at = task
        for start, stop, segment in self._job.segments_in([(task, self._tasks)]):
            if start == at:
                parts.append((start, stop, segment))
                at = stop
        if not parts or all(later in self._values for later in range(task, at)):
            return range(task, max(at, task + 1))
        self._keep_all(parts)
        return range(task, at)

    def _peek(self, end: float) -> Iterator[Known]:
        """The outcome of every task, in order; waits until ``end`` for outcomes that may still arrive."""
        parts = [
            part
            for part in self._job.segments
            if not all(task in self._values or task in self._errors for task in range(part[0], part[1]))
        ]
        unopened = self._keep_all(parts)
        for task in range(self._tasks):
            yield (PENDING, unopened[task]) if task in unopened else self._awaited(task, end)


def _one_of(name: str, given: str, choices: tuple[str, ...]) -> None:
    if given not in choices:
        raise OptionError(f"{name}={given!r} is none of {', '.join(choices)}")


def _end(timeout: float | None) -> float:
    """The end of this many seconds, by the monotonic clock."""
    return math.inf if timeout is None else time.monotonic() + timeout


def _zeros(given: bytearray, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The runs of zeros, each with one past its end."""
    at = given.find(0, start, stop)
    while at != -1:
        end = given.find(1, at, stop)
        end = stop if end == -1 else end
        yield at, end
        at = given.find(0, end, stop)
