"""What one worker knows about a job from listings alone: owners, progress, free lanes.

All of it may be out of date. Claims are settled by creating them, not by this knowledge.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from functools import lru_cache

from burst_magic.dataclass import dataclass
from burst_magic.protocol.log import SKEW
from burst_magic.protocol.ranges import Cover, Piece, free_lanes, lane_end, partition
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ClaimKey, Job, Range, SegmentKey
from burst_magic.protocol.worker.stealing import Prey

WINDOW = 60.0  # seconds that a reader goes back; a segment may land this long after its key was named
_parse = lru_cache(maxsize=8192)(keys.parse_segment)  # a worker lists the last minute again and again


def newest_ms(listed: Sequence[tuple[str, float]]) -> int:
    """When the newest of these segments was written, in milliseconds.

    A worker whose clock was still uncorrected may have named its segment far ahead of the store's clock. A reader that
    trusted the name would skip what others write until then.

    Args:
        listed: names in ascending order, which is the order of their times; each with its last-modified time.
    """
    newest = 0
    for name, modified in reversed(listed):
        named = _parse(name).at_ms
        if named <= newest:
            break
        newest = max(newest, min(named, int((modified + SKEW) * 1000)))
    return newest


@dataclass(slots=True)
class Pace:
    """Progress of a claim by its segments: tasks published, and the time of the last one (store's clock, seconds)."""

    published: int = 0
    last: float = 0.0


@dataclass(slots=True)
class KnownJob:
    """One worker's knowledge of a job.

    Attributes:
        since: when the worker learned of it, by the worker's monotonic clock.
        read_at: while it is not committed, when to look for that again.
        closed: finished or cancelled, so no work is left.
        own_tried: slots that have tried the lane of their number.
        owners: owner of each claim whose body was read.
        after: key where the next listing of results begins.
        quiet: number of known segments, and since when it has not changed.
        asked: listings and reads whose answers are pending.
        hunting: a hunt is pending: the answers decide what to take next.
        reading: pending reads of ``job.json``.
        fleet_asked: the pending hunt includes the workers' folder.
        looked: when the worker learned of the job, or the last hunt ended.
        hunt_at, hunt_wait: when to hunt next, and how long to wait after that.
    """

    keys: keys.JobKeys
    since: float
    record: Job | None = None
    read_at: float = -math.inf
    closed: bool = False
    own_tried: set[int] = field(default_factory=set)
    claims: dict[ClaimKey, float] = field(default_factory=dict)  # when each was made, by the store's clock
    claims_known: bool = False
    owners: dict[ClaimKey, str] = field(default_factory=dict)
    cover: Cover = field(default_factory=lambda: Cover(0))
    paces: dict[ClaimKey, Pace] = field(default_factory=dict)
    seen: set[SegmentKey] = field(default_factory=set)
    after: str = ""
    quiet: tuple[int, float] = (0, 0.0)
    asked: set[str] = field(default_factory=set)
    reading: int = 0
    hunting: bool = False
    hunt_at: float = 0.0
    hunt_wait: float = 0.0
    flushed: bool = False
    looked: float = 0.0
    fleet_asked: bool = False

    def commit(self, record: Job, now: float) -> None:
        """Record the content of ``job.json``."""
        self.record, self.cover = record, Cover(record.tasks)
        self.since = self.hunt_at = self.looked = now
        self.quiet = (0, now)

    def learn_claims(self, names: Iterable[tuple[str, float]]) -> None:
        """Record a listing of all claims."""
        self.claims.update((keys.parse_claim(name), made) for name, made in names)
        self.claims_known = True

    def learn_listed(self, names: Sequence[tuple[str, float]]) -> None:
        """Record a listing of the results after ``after``, and advance ``after``."""
        self.learn_segments(_parse(name) for name, _ in names)
        if names:
            self.after = max(self.after, keys.results_after(newest_ms(names) - int(WINDOW * 1000)))

    def ask_after(self, now: float) -> str:
        """Where the next listing of results begins: at the very start if nothing new has come for long.

        A large upload may take longer than a reader goes back.
        """
        count, since = self.quiet
        long = count == len(self.seen) and now - since >= WINDOW
        if long or count != len(self.seen):
            self.quiet = (len(self.seen), now)
        return "" if long else self.after

    def learn_segments(self, segments: Iterable[SegmentKey]) -> None:
        """Record published segments, its own included; repeats change nothing."""
        fresh = [segment for segment in segments if segment not in self.seen]
        self.seen.update(fresh)
        self.cover.add_all(fresh)
        for segment in fresh:
            pace = self.paces.setdefault(segment.claim, Pace())
            pace.published += segment.stop - segment.start
            pace.last = max(pace.last, segment.at_ms / 1000)

    def published(self, claim: ClaimKey) -> int:
        """Number of tasks published under a claim."""
        pace = self.paces.get(claim)
        return pace.published if pace else 0

    @property
    def lanes(self) -> tuple[int, ...]:
        """The first task of each lane."""
        return self.record.lanes if self.record else ()

    def free(self) -> list[int]:
        """Lanes without a known claim."""
        return free_lanes(self.lanes, self.claims)

    def range_of(self, claim: ClaimKey) -> Range:
        """The range of a new claim: from its first task without an outcome to the next claim or lane."""
        if self.record is None:
            return Range(claim.start, claim.start)
        later = (other.start for other in self.claims if other.start > claim.start)
        stop = min([lane_end(self.record.tasks, self.record.lanes, claim.start), *later])
        gaps = self.cover.gaps(claim.start, stop)
        return Range(gaps[0].start if gaps else stop, stop)

    def unfinished(self) -> Iterator[tuple[Piece, ClaimKey]]:
        """Pieces that are claimed but not fully published."""
        if self.record is not None:
            for piece in partition(self.record.tasks, self.record.lanes, self.claims):
                if piece.claim is not None and self.cover.gaps(piece.range.start, piece.range.stop):
                    yield piece, piece.claim

    def preys(self) -> list[Prey]:
        """The unfinished ranges, with their pace as far as it is known."""
        found = []
        for piece, claim in self.unfinished():
            gap = self.cover.gaps(piece.range.start, piece.range.stop)[0]
            pace = self.paces.get(claim)
            found.append(
                Prey(
                    claim=claim,
                    rest=Range(gap.start, piece.range.stop),
                    since=self.claims[claim],
                    last=pace.last if pace else None,
                    published=self.published(claim),
                )
            )
        return found

    def mean(self) -> float | None:
        """Mean seconds per task of this job; None before anything was published."""
        paces = [(claim, pace) for claim, pace in self.paces.items() if claim in self.claims]
        tasks = sum(pace.published for _, pace in paces)
        worked = sum(max(0.0, pace.last - self.claims[claim]) for claim, pace in paces)
        return worked / tasks if tasks else None

    def last_sign(self, claim: ClaimKey) -> float:
        """When a claim's owner last claimed or published, by the store's clock."""
        pace = self.paces.get(claim)
        return max(self.claims[claim], pace.last if pace else 0.0)
