"""Read and count a job's published outcomes without unpickling them.

A Jupyter server, which must not run user code, imports this: neither this module nor its imports may load pickles.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from burst_magic.errors import AttachError, BurstError, Missing, RecordError, SignatureError, StoreError
from burst_magic.protocol.failures import FailureGroups
from burst_magic.protocol.ranges import Part
from burst_magic.protocol.snapshot import FailureGroup
from burst_magic.protocol.wire import blocks, keys
from burst_magic.protocol.wire.model import Outcome, OutcomeKind, Provenance, SegmentKey
from burst_magic.protocol.wire.records import (
    UNKNOWN,
    TaskSpan,
    pack_outcome,
    places_of,
    read_header,
    read_origin,
    run_in,
    unpack_outcome,
    values_of,
)
from burst_magic.session.deletion import is_there
from burst_magic.stores.store_driver import Carrier

PARALLEL = 8  # segments fetched at a time
_KEPT = 64 << 20  # bytes of opened segments kept at hand
_RUNS = 1_000_000  # tasks whose runs are looked at
_FAILURE = 300  # bytes that it takes to keep a failed outcome, beside its texts


class SegmentReader:
    """Opens verified segments of one job; each is fetched once while it is cached.

    Args:
        carrier: reads the store.
        job_keys: the job's keys.
        name: the session's name for the user.
        kept: bytes of opened segments that stay at hand.
    """

    def __init__(self, carrier: Carrier, job_keys: keys.JobKeys, name: str, *, kept: int = _KEPT) -> None:
        self._carrier, self._keys, self._name = carrier, job_keys, name
        self._at_hand = carrier.store.path(job_keys.payload) is not None
        self._open: OrderedDict[SegmentKey, OpenSegment] = OrderedDict()
        self._held, self._kept = 0, kept  # bytes of them
        self.damaged: dict[SegmentKey, BurstError] = {}  # of the segments that were read, those that cannot be
        self._lock = threading.Lock()  # the user's thread reads, and the driver's counts failures

    def record(self, segment: SegmentKey, task: int) -> tuple[memoryview, Provenance]:
        """One packed outcome of a segment, and what ran it."""
        return self._opened(segment).record(task)

    def outcomes(self, segments: Iterable[Part]) -> Iterator[Outcome]:
        """All outcomes of these parts, in order, without what they displayed."""
        return (unpack_outcome(record, origin, shown=False) for _, record, origin in self.records(segments))

    def records(self, segments: Iterable[Part], *, keep: bool = False) -> Iterator[tuple[int, memoryview, Provenance]]:
        """(task, packed outcome, what ran it) of some parts, in order; the next segments are fetched while one is read.

        Args:
            segments: the parts.
            keep: cache them even if the store is remote, since they are likely to be read again.
        """
        for (start, stop, _), opened in self._each(list(segments), keep=keep):
            yield from opened.records(start, stop)

    def at_hand(self, parts: Iterable[Part]) -> list[Part]:
        """Those of some parts that can be read without waiting for a remote store."""
        if self._at_hand:
            return list(parts)
        with self._lock:
            return [part for part in parts if part[2] in self._open]

    def runs(self, segments: Sequence[Part], *, most: int) -> Iterator[TaskSpan]:
        """When and where tasks ran: of all parts, or of ``most`` that are spread over them; at most a million tasks."""
        tasks = sum(stop - start for start, stop, _ in segments)
        most = min(most, max(1, len(segments) * _RUNS // max(_RUNS, tasks)))
        chosen = segments if len(segments) <= most else [segments[at * len(segments) // most] for at in range(most)]
        return (run_in(record, origin) for _, record, origin in self.records(chosen))

    def values(self, segments: Iterable[Part]) -> Iterator[tuple[int, list[memoryview | None], OpenSegment]]:
        """The values of some parts, many at a time: (first task, bytes of each or None if failed, their segment)."""
        for (start, stop, _), opened in self._each(list(segments), keep=False):
            for first, found in opened.values(start, stop):
                yield first, found, opened

    def _each(self, parts: list[Part], *, keep: bool) -> Iterator[tuple[Part, OpenSegment]]:
        if len(parts) == 1 or self._at_hand:  # threads would cost more than they save
            return ((part, self._opened(part[2])) for part in parts)
        return self._ahead(parts, self._opened if keep else self._opened_or_fetched)

    def _ahead(
        self, parts: list[Part], read: Callable[[SegmentKey, Carrier], OpenSegment]
    ) -> Iterator[tuple[Part, OpenSegment]]:
        over = threading.Event()  # who stops reading does not wait for a store that does not answer
        carrier = self._carrier.until(over)
        pool = ThreadPoolExecutor(PARALLEL)
        try:
            ahead = [(part, pool.submit(read, part[2], carrier)) for part in parts[:PARALLEL]]
            rest = iter(parts[PARALLEL:])
            while ahead:
                part, fetched = ahead.pop(0)
                opened = fetched.result()
                following = next(rest, None)
                if following is not None:
                    ahead.append((following, pool.submit(read, following[2], carrier)))
                yield part, opened
        finally:
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)

    def _opened(self, segment: SegmentKey, carrier: Carrier | None = None) -> OpenSegment:
        opened = self._opened_or_fetched(segment, carrier or self._carrier)
        with self._lock:
            self._hold(segment, opened)
        return opened

    def _opened_or_fetched(self, segment: SegmentKey, carrier: Carrier) -> OpenSegment:
        with self._lock:
            opened = self._open.get(segment)
        return self._fetch(segment, carrier) if opened is None else opened

    def in_doubt(self, parts: Iterable[Part]) -> list[Part]:
        """Those of some parts that were found to be damaged."""
        return [part for part in parts if part[2] in self.damaged] if self.damaged else []

    def _hold(self, segment: SegmentKey, opened: OpenSegment) -> None:
        if segment in self._open or segment in self.damaged:  # or another thread has fetched it too
            return
        self._open[segment] = opened
        self._held += opened.bytes
        while len(self._open) > 1 and self._held > self._kept:
            self._held -= self._open.popitem(last=False)[1].bytes

    def _fetch(self, segment: SegmentKey, carrier: Carrier) -> OpenSegment:
        name = keys.segment_name(segment)
        key = f"{self._keys.results_folder}/{name}"
        secret = _secret(carrier, key)
        try:
            opened = carrier.believed(lambda: OpenSegment(_whole(carrier, key, secret), secret, key))
        except Missing:
            if not carrier.patiently(lambda: is_there(carrier.store, keys.SessionKeys(self._keys.sid)), StoreError):
                problem = f"session {self._name} was deleted before this result was read"
                raise Missing(problem, way_out="run the cell again") from None
            return self._damaged(segment, Missing("no such object: results were deleted from the session", context=key))
        except (SignatureError, RecordError) as fault:
            return self._damaged(segment, fault)
        self.damaged.pop(segment, None)
        return opened

    def _damaged(self, segment: SegmentKey, fault: BurstError) -> OpenSegment:
        self.damaged[segment] = fault
        return DamagedSegment(fault)


class OpenSegment:
    """The verified outcomes of a segment. None is unpacked, and no object is kept for each task.

    Args:
        data: the object.
        secret: the session's key.
        key: the object's.
    """

    def __init__(self, data: bytes, secret: bytes, key: str) -> None:
        self._origin = UNKNOWN
        self._parts: list[tuple[blocks.Block, memoryview]] = []
        for block, body in blocks.open_object(secret, key, data):
            self._origin, packed = read_origin(body)
            self._parts.append((block, packed))
        self._places: dict[int, array[int]] = {}  # by block, where single outcomes were wanted
        self.bytes = len(data)

    def record(self, task: int) -> tuple[memoryview, Provenance]:
        """The packed outcome of one task, and what ran it."""
        for _, record, origin in self.records(task, task + 1):
            return record, origin
        raise RecordError(f"task {task} is not in the segment that counts for it")

    def records(self, start: int, stop: int) -> Iterator[tuple[int, memoryview, Provenance]]:
        """(task, packed outcome, what ran it) of the tasks ``start`` … ``stop`` − 1."""
        origin = self._origin
        for block, body in self._parts:
            first = block.first
            if start >= first + block.count or stop <= first:
                continue
            places = self._places.get(block.number)
            if places is None:
                places = self._places[block.number] = places_of(body, first, block.count)
            for task in range(max(start, first), min(stop, first + block.count)):
                yield task, body[places[task - first] : places[task - first + 1]], origin

    def values(self, start: int, stop: int) -> Iterator[tuple[int, list[memoryview | None]]]:
        """(first task, bytes of each value or None if failed) of the tasks ``start`` … ``stop`` − 1, by block."""
        for block, body in self._parts:
            begin, end = max(start, block.first), min(stop, block.first + block.count)
            if begin < end:
                found = values_of(body, block.first, block.count)
                yield begin, found[begin - block.first : end - block.first]


class DamagedSegment(OpenSegment):
    """Stands in for a segment that cannot be read: each of its tasks has failed, and says why."""

    def __init__(self, fault: BurstError) -> None:
        self._fault, self.bytes = fault, 0

    def records(self, start: int, stop: int) -> Iterator[tuple[int, memoryview, Provenance]]:
        """An outcome that says why, of the tasks ``start`` … ``stop`` − 1."""
        error, message = type(self._fault).__name__, f"{self._fault.problem}\n{self._fault.context}"
        for task in range(start, stop):
            outcome = Outcome(task=task, kind=OutcomeKind.DAMAGED, error=error, message=message)
            yield task, memoryview(pack_outcome(outcome)), UNKNOWN

    def values(self, start: int, stop: int) -> Iterator[tuple[int, list[memoryview | None]]]:
        """None of them has a value."""
        yield start, [None] * (stop - start)


def _whole(carrier: Carrier, key: str, secret: bytes) -> bytes:
    """The bytes of a segment. Those of a large file are read once its index is believed: it may be a hole."""
    path = carrier.store.path(key)
    try:
        size = 0 if path is None else path.lstat().st_size
    except OSError:  # the store says why
        size = 0
    if size > _KEPT:
        offset, length = blocks.locate_index(key, carrier.fetch(key, start=size - blocks.TRAILER_BYTES), size)
        if length > _KEPT:
            raise RecordError("an object in the store is damaged", context=key)
        found = blocks.read_index(secret, key, carrier.fetch(key, start=offset, end=offset + length))
        if sum(block.length for block in found) != offset:
            raise RecordError("an object in the store is damaged", context=key)
    return carrier.fetch(key)


def _secret(carrier: Carrier, key: str) -> bytes:
    if carrier.secret is None:
        raise AttachError(
            "results are signed, and this session's key is not on this machine",
            context=key,
            way_out="on the machine that started it, run burst key show ID; then here: %burst_attach ID --key KEY",
        )
    return carrier.secret


class Failures:
    """The failed outcomes of one job. Each published part is read once, however often they are requested.

    The cache is bounded; parts beyond it are read again.

    Args:
        reader: opens the job's segments.
        kept: bytes of failures that stay at hand.
    """

    def __init__(self, reader: SegmentReader, *, kept: int = _KEPT) -> None:
        self._reader = reader
        self._known: dict[Part, tuple[Outcome, ...]] = {}
        self._room = kept

    def within(self, parts: Sequence[Part]) -> Iterator[tuple[Part, tuple[Outcome, ...]]]:
        """Each of these parts with its failed outcomes, in order."""
        known = {part: self._known[part] for part in parts if part in self._known}
        records = self._reader.records([part for part in parts if part not in known], keep=True)
        for part in parts:
            failed = known.get(part)
            if failed is None:
                mine = islice(records, part[1] - part[0])
                failed = tuple(unpack_outcome(each, origin) for _, each, origin in mine if read_header(each).failed)
                self._keep(part, failed)
            yield part, failed

    def after(self, parts: Sequence[Part], task: int = -1) -> Iterator[Outcome]:
        """The failed outcomes of these parts after a task, ascending; reads no further than is asked for."""
        for _, failed in self.within(sorted(part for part in parts if part[1] - 1 > task)):
            yield from (outcome for outcome in failed if outcome.task > task)

    def _keep(self, part: Part, failed: tuple[Outcome, ...]) -> None:
        weight = _weight(failed)
        if weight <= self._room:
            self._room -= weight
            self._known[part] = failed


def _weight(outcomes: Iterable[Outcome]) -> int:
    """Approximate memory of some outcomes, in bytes."""
    return sum(_FAILURE + sum(map(len, _texts(each))) for each in outcomes)


def _texts(outcome: Outcome) -> Iterator[str | bytes]:
    yield from (outcome.message, outcome.traceback, outcome.item, outcome.output, outcome.value)
    for display in outcome.displays:
        yield from map(str, display.data.values())


class Tally:
    """Counts the failures of one job by group."""

    def __init__(self, failures: Failures) -> None:
        self._failures = failures
        self._known: dict[Part, FailureGroups] = {}

    def count(self, parts: list[Part]) -> tuple[int, tuple[FailureGroup, ...]]:
        """The number of failed tasks in these parts, and their groups, most frequent first."""
        for part, failed in self._failures.within([part for part in parts if part not in self._known]):
            self._known[part] = FailureGroups().add(failed)
        groups = FailureGroups().join(self._known[part] for part in parts)
        return groups.count, groups.largest_first()
