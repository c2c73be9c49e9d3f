"""The partition: the tasks of each claim, covered tasks, free lanes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import attrgetter, itemgetter

from burst_magic.dataclass import dataclass
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ClaimKey, Range, SegmentKey

FINER = 4  # lanes for each slot
MANY = 64  # tasks for each slot

_by_start, _first = attrgetter("start"), itemgetter(0)


def cut_lanes(tasks: int, lanes: int) -> tuple[int, ...]:
    """The first task of each of at most ``lanes`` equal lanes; none is empty.

    >>> cut_lanes(10, 4)
    (0, 3, 6, 8)
    >>> cut_lanes(2, 4)
    (0, 1)
    """
    lanes = max(1, min(tasks, lanes))
    share, rest = divmod(tasks, lanes)
    return tuple(lane * share + min(lane, rest) for lane in range(lanes)) if tasks else ()


def job_lanes(tasks: int, slots: int) -> tuple[int, ...]:
    """The first task of each lane of a job: as many lanes as slots, or more if each slot has few tasks.

    Long tasks are often adjacent. With finer lanes, slots start near each other, as from a queue, and share them. With
    many tasks per slot this gains little, and each lane costs requests.

    >>> len(job_lanes(100, 4)), len(job_lanes(10_000, 4))
    (16, 4)
    """
    return cut_lanes(tasks, slots * (FINER if tasks < MANY * slots else 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One range of the partition and the claim that holds it; None while its lane is free."""

    range: Range
    claim: ClaimKey | None


def partition(tasks: int, lanes: Sequence[int], claims: Iterable[ClaimKey]) -> tuple[Piece, ...]:
    """The pieces that lanes and claims cut 0 … ``tasks`` into, ascending.

    A claim's range runs from its start to the next lane boundary or the next claimed start; of several
    claims with one start the highest number holds it.
    """
    holders: dict[int, ClaimKey | None] = dict.fromkeys(lanes)
    for claim in sorted(claims):
        holders[claim.start] = claim
    starts = sorted(holders)
    stops = [*starts, tasks][1:]
    return tuple(
        Piece(range=Range(start, stop), claim=holders[start]) for start, stop in zip(starts, stops, strict=True)
    )


def free_lanes(lanes: Sequence[int], claims: Iterable[ClaimKey]) -> list[int]:
    """Lanes that no claim starts at."""
    taken = {claim.start for claim in claims}
    return [start for start in lanes if start not in taken]


def lane_end(tasks: int, lanes: Sequence[int], start: int) -> int:
    """One past the last task of the lane that contains ``start``."""
    place = bisect_right(lanes, start)
    return lanes[place] if place < len(lanes) else tasks


Part = tuple[int, int, SegmentKey]  # first task, one past the last, where they are published


class Cover:
    """Which tasks have outcomes, and which segment counts for each: the first one added.

    Segments that only repeat covered tasks change nothing (laws 1, 7: a write may land twice).

    Attributes:
        covered: number of tasks with outcomes.
        failing: parts of segments with failures, in no order.
    """

    __slots__ = ("_begins", "_ends", "_segments", "_starts", "_stops", "covered", "failing", "tasks")

    def __init__(self, tasks: int) -> None:
        self.tasks = tasks
        self.covered = 0
        self._starts: list[int] = []  # the parts, in parallel lists: a long log has many
        self._stops: list[int] = []
        self._segments: list[SegmentKey | str] = []  # or its name, which is parsed when it is asked for
        self._begins: list[int] = []  # covered stretches, adjacent parts joined: few, however many parts there are
        self._ends: list[int] = []
        self.failing: list[Part] = []

    @classmethod
    def of(cls, tasks: int, parts: Iterable[tuple[int, int, str]]) -> Cover:
        """The cover that ``final`` describes: a partition; a segment may count for only some of its tasks.

        Whoever lists many sessions only counts: of segments without failures, no more than the names is kept.

        Raises:
            RecordError: a name is not a segment's.
        """
        cover = cls(tasks)
        for start, stop, name in sorted(parts, key=_first):
            cover._append(start, stop, name if keys.is_flawless(name) else keys.parse_segment(name))
        return cover

    def add(self, segment: SegmentKey) -> list[Range]:
        """Add a segment; return the ranges that it newly covers, ascending."""
        gaps = self.gaps(segment.start, min(segment.stop, self.tasks))
        for gap in gaps:
            place = bisect_right(self._starts, gap.start)
            self._starts.insert(place, gap.start)
            self._stops.insert(place, gap.stop)
            self._segments.insert(place, segment)
            if segment.failed:
                self.failing.append((gap.start, gap.stop, segment))
            self.covered += len(gap)
            self._join(gap.start, gap.stop)
        return gaps

    def add_all(self, segments: Iterable[SegmentKey]) -> None:
        """Add many segments in task order, which is fast for a long log."""
        for segment in sorted(segments, key=_by_start):
            start, stop = segment.start, segment.stop
            if start < stop <= self.tasks and (not self._ends or self._ends[-1] <= start):
                self._append(start, stop, segment)
            else:
                self.add(segment)

    def _append(self, start: int, stop: int, segment: SegmentKey | str) -> None:
        """Add a part after all others, which needs no search. Given by its name, the segment has no failures."""
        self._starts.append(start)
        self._stops.append(stop)
        self._segments.append(segment)
        if not isinstance(segment, str) and segment.failed:
            self.failing.append((start, stop, segment))
        self.covered += stop - start
        if self._ends and self._ends[-1] == start:
            self._ends[-1] = stop
        else:
            self._begins.append(start)
            self._ends.append(stop)

    def _join(self, start: int, stop: int) -> None:
        """Mark a gap as covered."""
        place = bisect_right(self._begins, start)
        after_one = place > 0 and self._ends[place - 1] == start
        before_one = place < len(self._begins) and self._begins[place] == stop
        if after_one and before_one:
            self._ends[place - 1] = self._ends.pop(place)
            del self._begins[place]
        elif after_one:
            self._ends[place - 1] = stop
        elif before_one:
            self._begins[place] = start
        else:
            self._begins.insert(place, start)
            self._ends.insert(place, stop)

    def gaps(self, start: int = 0, stop: int | None = None) -> list[Range]:
        """The stretches of ``start`` … ``stop`` that have no outcomes yet, ascending."""
        stop = self.tasks if stop is None else stop
        gaps, at = [], start
        place = max(0, bisect_right(self._begins, start) - 1)
        while at < stop and place < len(self._begins) and self._begins[place] < stop:
            if self._begins[place] > at:
                gaps.append(Range(at, self._begins[place]))
            at = max(at, self._ends[place])
            place += 1
        if at < stop:
            gaps.append(Range(at, stop))
        return gaps

    def find(self, task: int) -> SegmentKey | None:
        """The segment that counts for a task."""
        place = bisect_right(self._starts, task) - 1
        if place < 0:
            return None
        return _parsed(self._segments[place]) if task < self._stops[place] else None

    def within(self, start: int, stop: int) -> list[Part]:
        """(first task, one past the last, segment) of each covered part of ``start`` … ``stop``, ascending."""
        first, end = bisect_right(self._stops, start), bisect_left(self._starts, stop)
        return [
            (max(start, self._starts[place]), min(stop, self._stops[place]), _parsed(self._segments[place]))
            for place in range(first, end)
        ]

    @property
    def failed(self) -> int:
        """Number of failed covered tasks; an upper bound if a segment counts for only some of its tasks."""
        counted: dict[SegmentKey, int] = {}
        for start, stop, segment in self.failing:
            counted[segment] = counted.get(segment, 0) + stop - start
        return sum(min(segment.failed, tasks) for segment, tasks in counted.items())

    @property
    def whole(self) -> bool:
        """True if every task has an outcome."""
        return self.covered >= self.tasks

    @property
    def stretches(self) -> Iterable[tuple[int, int]]:
        """(first task, one past the last) of what is covered, neighbours joined, ascending."""
        return zip(self._begins, self._ends, strict=True)

    @property
    def parts(self) -> tuple[Part, ...]:
        """(first task, one past the last, segment) of all that is covered, ascending."""
        return tuple(zip(self._starts, self._stops, map(_parsed, self._segments), strict=True))


def _parsed(segment: SegmentKey | str) -> SegmentKey:
    return keys.parse_segment(segment) if isinstance(segment, str) else segment
