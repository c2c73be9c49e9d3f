"""Reads outcomes out of segments, and turns a failed one into the exception that the user sees."""

from __future__ import annotations

import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from burst_magic.errors import (
    BurstError,
    Missing,
    NotRun,
    StoreError,
    TaskError,
    TaskFailed,
    TaskTimeout,
    UnpicklableResult,
    WorkerLost,
)
from burst_magic.payload import unpack_value
from burst_magic.payload.exceptions import attributes, raised_from, set_cause, stand_in
from burst_magic.protocol.wire import blocks, keys
from burst_magic.protocol.wire.model import Outcome, OutcomeKind, SegmentKey
from burst_magic.protocol.wire.records import scan_outcomes, unpack_outcome
from burst_magic.session.deletion import is_there
from burst_magic.stores.carry import Carrier

_KEPT = 64 << 20  # bytes of opened segments kept at hand
_VIEW = 300  # bytes that it takes to hold one outcome by its task: more than most of a million values
PARALLEL = 8  # segments fetched at a time
_LINE = re.compile(r'File "<cell[^"]*", line (\d+)')

Part = tuple[int, int, SegmentKey]  # first task, one past the last, where they are published
Kind = tuple[str, str, str]

_KINDS: dict[OutcomeKind, type[TaskError]] = {
    OutcomeKind.ERROR: TaskFailed,
    OutcomeKind.TIMEOUT: TaskTimeout,
    OutcomeKind.CRASHED: WorkerLost,
    OutcomeKind.LOST: WorkerLost,
    OutcomeKind.UNPICKLABLE: UnpicklableResult,
}


class SegmentReader:
    """Opens segments of one job: verified, each fetched once while it is at hand.

    Args:
        carrier: reads the store.
        job_keys: where the job lies.
        name: what the user calls its session.
    """

    def __init__(self, carrier: Carrier, job_keys: keys.JobKeys, name: str) -> None:
        self._carrier, self._keys, self._name = carrier, job_keys, name
        self._at_hand = carrier.store.path(job_keys.payload) is not None
        self._open: OrderedDict[SegmentKey, dict[int, memoryview]] = OrderedDict()
        self._held = 0  # bytes of them
        self._lock = threading.Lock()  # the user's thread reads, and the driver's counts failures

    def record(self, segment: SegmentKey, task: int) -> memoryview:
        """One packed outcome of a segment."""
        return self._records(segment)[task]

    def outcomes(self, segments: Iterable[Part], *, keep: bool = False) -> Iterator[Outcome]:
        """All outcomes of some parts, in order."""
        return (unpack_outcome(record) for _, record in self.records(segments, keep=keep))

    def records(self, segments: Iterable[Part], *, keep: bool = False) -> Iterator[tuple[int, memoryview]]:
        """(task, packed outcome) of some parts, in order; the next segments are fetched while one is read.

        Args:
            segments: the parts.
            keep: they are likely to be read again: keep them at hand although they came from afar.
        """
        parts = list(segments)
        if len(parts) == 1 or self._at_hand:  # threads would cost more than they save
            for start, stop, segment in parts:
                opened = self._records(segment)
                yield from ((task, opened[task]) for task in range(start, stop))
            return
        yield from self._ahead(parts, self._records if keep else self._opened_or_fetched)

    def _ahead(
        self, parts: list[Part], read: Callable[[SegmentKey, Carrier], dict[int, memoryview]]
    ) -> Iterator[tuple[int, memoryview]]:
        over = threading.Event()  # who stops reading does not wait for a store that does not answer
        carrier = self._carrier.until(over)
        pool = ThreadPoolExecutor(PARALLEL)
        try:
            ahead = [(part, pool.submit(read, part[2], carrier)) for part in parts[:PARALLEL]]
            rest = iter(parts[PARALLEL:])
            while ahead:
                (start, stop, _), fetched = ahead.pop(0)
                records = fetched.result()
                following = next(rest, None)
                if following is not None:
                    ahead.append((following, pool.submit(read, following[2], carrier)))
                yield from ((task, records[task]) for task in range(start, stop))
        finally:
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _records(self, segment: SegmentKey, carrier: Carrier | None = None) -> dict[int, memoryview]:
        records = self._opened_or_fetched(segment, carrier or self._carrier)
        with self._lock:
            self._hold(segment, records)
        return records

    def _opened_or_fetched(self, segment: SegmentKey, carrier: Carrier) -> dict[int, memoryview]:
        with self._lock:
            records = self._open.get(segment)
        return self._fetch(segment, carrier) if records is None else records

    def _hold(self, segment: SegmentKey, records: dict[int, memoryview]) -> None:
        if segment in self._open:  # opened before, or another thread has fetched it too
            return
        self._open[segment] = records
        self._held += _bytes(records)
        while len(self._open) > 1 and self._held > _KEPT:
            self._held -= _bytes(self._open.popitem(last=False)[1])

    def _fetch(self, segment: SegmentKey, carrier: Carrier) -> dict[int, memoryview]:
        name = keys.segment_name(segment)
        key = f"{self._keys.results_folder}/{name}"
        secret = _secret(carrier, key)
        try:
            return carrier.believed(lambda: _opened(carrier, secret, key))
        except Missing:
            if carrier.patiently(lambda: is_there(carrier.store, keys.SessionKeys(self._keys.sid)), StoreError):
                raise
        raise Missing(f"session {self._name} was deleted; this result had not been read", way_out="run the cell again")


def _opened(carrier: Carrier, secret: bytes, key: str) -> dict[int, memoryview]:
    data = memoryview(carrier.fetch(key))
    offset, length = blocks.locate_index(key, bytes(data[-blocks.TRAILER_BYTES :]), len(data))
    records: dict[int, memoryview] = {}
    for block in blocks.read_index(secret, key, bytes(data[offset : offset + length])):
        body = blocks.open_block(secret, key, block, data[block.offset : block.offset + block.length])
        records.update((task, body[begin:end]) for task, _, begin, end in scan_outcomes(body))
    return records


def _bytes(records: dict[int, memoryview]) -> int:
    return sum(map(len, records.values())) + _VIEW * len(records)


def _secret(carrier: Carrier, key: str) -> bytes:
    if carrier.secret is None:
        from burst_magic.errors import AttachError

        raise AttachError(
            "results are signed, and this session's key is not on this machine",
            context=key,
            way_out="on the machine that started it: burst key show ID; here: %burst_attach ID --key KEY",
        )
    return carrier.secret


class RemoteTraceback(Exception):
    """What happened on the worker, with the cell's own lines."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        """Set apart, as concurrent.futures does."""
        return f"\n{self.text}"


class _Shown:
    """What IPython shows of a task's exception: the worker's side of it, none of ours."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self) -> list[str]:
        return [self.text]


def story(outcome: Outcome) -> str:
    """A failed task for people: which item, the remote traceback, what it printed."""
    head = f"task {outcome.task}" + (f" (item {outcome.item})" if outcome.item else "")
    error = outcome.error if outcome.kind is OutcomeKind.ERROR else _KINDS[outcome.kind].__name__
    parts = [outcome.traceback.rstrip() or f"{error}: {outcome.message}", f"  in {head}"]
    if outcome.attempts > 1:
        parts.append(f"  after {outcome.attempts} attempts")
    if outcome.output:
        parts.append(f"  it printed:\n{outcome.output.rstrip()}")
    return "\n".join(parts)


def error_of(outcome: Outcome, home: dict[str, object]) -> BaseException:
    """The exception of a failed task: its own where it can be rebuilt, else one that says what it was."""
    error = _rebuilt(outcome, home)
    where = f"task {outcome.task}" + (f", item {outcome.item}" * bool(outcome.item))
    if error is None:
        said = f"{outcome.error}: {outcome.message}" if outcome.kind is OutcomeKind.ERROR else outcome.message
        error = _KINDS[outcome.kind](said, context=where)
    elif type(error) is TaskFailed and not error.context:  # it stands for another
        error.context = where
    text = story(outcome)
    set_cause(_first_raised(error), RemoteTraceback(text))
    attributes(error)["_render_traceback_"] = _Shown(text)
    return error


def raisable(error: BaseException) -> BaseException:
    """What a generator can raise in its place: a StopIteration would become a RuntimeError of ours."""
    if not isinstance(error, StopIteration):
        return error
    made = stand_in(error)
    attributes(made)["_render_traceback_"] = attributes(error).get("_render_traceback_")
    set_cause(made, error)
    return made


def _rebuilt(outcome: Outcome, home: dict[str, object]) -> Exception | None:
    if outcome.kind is not OutcomeKind.ERROR or not outcome.value:
        return None
    try:
        rebuilt = unpack_value(outcome.value, home=home)
    except Exception:  # noqa: BLE001 - the text is there, the object is best effort
        return None
    return rebuilt if isinstance(rebuilt, Exception) else None  # SystemExit would end the kernel


def _first_raised(error: BaseException) -> BaseException:
    """The last of what it was raised from: Python shows the worker's traceback above that."""
    seen = {id(error)}
    while (further := raised_from(error)) is not None and id(further) not in seen:
        seen.add(id(further))
        error = further
    return error


def open_value(task: int, data: bytes | memoryview, home: dict[str, object]) -> tuple[object, BurstError | None]:
    """A task's value, or why it cannot be had here; asking again may go better, since the bytes are kept."""
    try:
        return unpack_value(data, home=home), None
    except NameError as error:
        if error.name:
            return None, _undefined(task, error.name)
        trouble: Exception = error
    except Exception as error:  # noqa: BLE001 - loading runs the classes' own code
        trouble = error
    unopened = BurstError(
        f"task {task}'s value cannot be opened here: {type(trouble).__name__}: {trouble}",
        way_out="mend that, then again: the result is kept",
    )
    unopened.__cause__ = trouble
    return None, unopened


def _undefined(task: int, name: str) -> BurstError:
    return BurstError(
        f"task {task}'s value needs {name}, which is not defined here",
        way_out=f"run the cell that defines {name} in the notebook, then again there: the result is kept",
    )


def not_run(task: int, reason: str) -> NotRun:
    """A task that nothing will run any more."""
    return NotRun(
        f"task {task} did not run: {reason}",
        way_out="run the cell again for the missing ones; what is there: %burst_collect --nowait",
    )


class Failures:
    """The failed outcomes of one job: each published part is read once, however often somebody looks.

    What is kept is bounded; parts beyond that are read again.
    """

    def __init__(self, reader: SegmentReader) -> None:
        self._reader = reader
        self._known: dict[Part, tuple[Outcome, ...]] = {}
        self._room = _KEPT

    def within(self, parts: Sequence[Part]) -> Iterator[tuple[Part, tuple[Outcome, ...]]]:
        """Each of these parts with its failed outcomes, in order."""
        known = {part: self._known[part] for part in parts if part in self._known}
        outcomes = self._reader.outcomes([part for part in parts if part not in known], keep=True)
        for part in parts:
            failed = known.get(part)
            if failed is None:
                mine = islice(outcomes, part[1] - part[0])
                failed = tuple(outcome for outcome in mine if outcome.failed)
                self._keep(part, failed)
            yield part, failed

    def _keep(self, part: Part, failed: tuple[Outcome, ...]) -> None:
        weight = _weight(failed)
        if weight <= self._room:
            self._room -= weight
            self._known[part] = failed


def _weight(outcomes: Iterable[Outcome]) -> int:
    """Bytes that it takes to keep some outcomes, more or less."""
    texts = ((each.message, each.traceback, each.item, each.output, each.value) for each in outcomes)
    return sum(_VIEW + sum(map(len, some)) for some in texts)


class Tally:
    """The failures of one job, counted; the kinds are few words and are all kept."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._known: dict[Part, list[Kind]] = {}

    def count(self, parts: list[Part]) -> tuple[int, tuple[tuple[int, str], ...]]:
        """How many tasks of these parts failed, and the distinct failures in words, most frequent first."""
        for part, failed in self._failures.within([part for part in parts if part not in self._known]):
            self._known[part] = [kind_of(outcome) for outcome in failed]
        kinds = [kind for part in parts for kind in self._known[part]]
        return len(kinds), distinct(kinds)


def kind_of(failure: Outcome) -> Kind:
    """Failures of one type at one line of the cell are alike: (type, place, its own words)."""
    lines = _LINE.findall(failure.traceback)
    message = failure.message.splitlines()[0] if failure.message else ""
    words = f"{failure.error}: {message}" + (f" at line {lines[-1]}" if lines else "")
    return failure.error, lines[-1] if lines else failure.message, words


def distinct(kinds: Iterable[Kind]) -> tuple[tuple[int, str], ...]:
    """Alike failures counted, in the words of the first: most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    firsts: dict[tuple[str, str], str] = {}
    for error, place, words in kinds:
        counts[error, place] += 1
        firsts.setdefault((error, place), words)
    return tuple((number, firsts[kind]) for kind, number in counts.most_common())
