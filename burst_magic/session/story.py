"""Describe the folded log of one job: who claimed what and why, publications, a task's history. Does no I/O."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import field

from burst_magic.dataclass import dataclass
from burst_magic.protocol.ranges import Cover, Piece, lane_end, partition
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.keys import base_of
from burst_magic.protocol.wire.model import (
    ClaimBody,
    ClaimKey,
    Final,
    Gone,
    Job,
    Manifest,
    Outcome,
    OutcomeKind,
    Range,
    SegmentKey,
)

_MANY = 60  # segments: above this, those of a claim are summarized
_STRIDE = 64  # parts of a cover that are passed over at once
_DAY = "%Y-%m-%d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One worker's keys: the newest heartbeat and the end, if any. Times are seconds."""

    started: float = 0.0
    beat: float | None = None
    gone: Gone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The parsed objects of one job.

    Attributes:
        segments: with their bytes.
        failures: by task, if the key is available.
    """

    manifest: Manifest
    job: Job
    workers: dict[str, Seen] = field(default_factory=dict)
    claims: dict[ClaimKey, ClaimBody] = field(default_factory=dict)
    segments: tuple[tuple[SegmentKey, int], ...] = ()
    final: Final | None = None
    failures: dict[int, Outcome] = field(default_factory=dict)


def clock(at: float, now: float) -> str:
    """Local time to the millisecond, with the date unless it is today."""
    there, today = time.localtime(at), time.localtime(now)
    date = "" if there[:3] == today[:3] else time.strftime(f"{_DAY} ", there)
    return date + time.strftime("%H:%M:%S", there) + f".{int(at * 1000) % 1000:03d}"


def tasks(start: int, stop: int) -> str:
    """A range of tasks for display, both ends included."""
    return f"task {start}" if stop - start == 1 else f"tasks {start}-{stop - 1}"


class Outcomes:
    """When each task had its first outcome. Built once, since each of many claims needs it for its own time.

    Args:
        tasks: number of tasks.
        segments: the published segments.
    """

    def __init__(self, tasks: int, segments: Iterable[SegmentKey]) -> None:
        cover = Cover(tasks)
        for segment in sorted(segments, key=lambda segment: segment.at_ms):
            cover.add(segment)
        self.covered = cover.covered
        self._starts: list[int] = []
        self._times: list[float] = []
        at = 0
        for start, stop, segment in cover.parts:
            if at < start:
                self._add(at, math.inf)
            self._add(start, segment.at_ms / 1000)
            at = stop
        self._add(at, math.inf)
        self._latest = [max(self._times[at : at + _STRIDE]) for at in range(0, len(self._times), _STRIDE)]

    def _add(self, start: int, time: float) -> None:
        self._starts.append(start)
        self._times.append(time)

    def missing(self, start: int, at: float) -> int:
        """The first task from ``start`` on without an outcome at that time."""
        place = bisect_right(self._starts, start) - 1
        while self._times[place] <= at:
            whole = place % _STRIDE == 0 and self._latest[place // _STRIDE] <= at
            place += _STRIDE if whole else 1
        return max(start, self._starts[place])


class Story:
    """Describes one job's log.

    Args:
        log: the job's objects.
        now: the current time; other days are shown with their date.
    """

    def __init__(self, log: Log, now: float) -> None:
        self._log, self._now = log, now
        self._claims = sorted(log.claims, key=lambda claim: (log.claims[claim].at, claim))
        self._outcomes = Outcomes(log.job.tasks, [segment for segment, _ in log.segments])

    def events(self) -> Iterator[str]:
        """Claims, segments and ``final`` in chronological order, one line each."""
        told = [*self._claimed(), *self._published(), *self._lost()]
        for at, what in sorted(told, key=lambda event: event[0]):
            yield f"{self._at(at)} {what}"
        yield self._end()

    def _at(self, at: float) -> str:
        return clock(at, self._now)

    def _owner(self, claim: ClaimKey) -> str:
        body = self._log.claims.get(claim)
        return body.worker if body else "somebody"

    # --- claims --------------------------------------------------------------------------------------------

    def _claimed(self) -> Iterator[tuple[float, str]]:
        for place, claim in enumerate(self._claims):
            yield self._log.claims[claim].at, self.claimed(claim, self._claims[:place])

    def claimed(self, claim: ClaimKey, before: list[ClaimKey]) -> str:
        """Who claimed what and from whom: a free lane, the end of a busy worker's range, or a dead worker's rest."""
        owner = self._owner(claim)
        held = self._range(claim, [*before, claim])
        if claim.number:
            return self._took_over(claim, owner, held)
        if claim.start in self._log.job.lanes:
            return f"{owner} claimed {tasks(held.start, held.stop)}: a free lane"
        victim = next((p for p in self._partition(before) if p.range.start < claim.start < p.range.stop), None)
        if victim is None or victim.claim is None:
            return f"{owner} stole {tasks(held.start, held.stop)} from a lane"
        kept = self._rest(Range(victim.range.start, claim.start), self._log.claims[victim.claim].at)
        whose = f"from {self._owner(victim.claim)}, which kept {tasks(kept.start, kept.stop)}"
        return f"{owner} stole {tasks(held.start, held.stop)} {whose}"

    def _took_over(self, claim: ClaimKey, owner: str, held: Range) -> str:
        earlier = ClaimKey(start=claim.start, number=claim.number - 1)
        before, at = self._owner(earlier), self._log.claims[claim].at
        rest = self._rest(held, at)
        what = f"{tasks(rest.start, rest.stop)} (take-over {claim.number} of {claim.start})"
        if base_of(before) == base_of(owner):
            return f"{owner} reclaimed its own {what}: it had been declared dead while alive"
        return f"{owner} recovered {what} from {before}, {self._why_dead(before, at)}"

    def _why_dead(self, worker: str, at: float) -> str:
        seen = self._log.workers.get(worker, Seen())
        if seen.gone is not None and seen.gone.at <= at:
            return f"which had ended at {self._at(seen.gone.at)}: {ending(seen.gone)}"
        if seen.beat is not None and seen.beat <= at:
            return f"which was silent: last heartbeat at {self._at(seen.beat)}"
        return "which was silent"

    def _partition(self, claims: list[ClaimKey]) -> tuple[Piece, ...]:
        return partition(self._log.job.tasks, self._log.job.lanes, claims)

    def _range(self, claim: ClaimKey, claims: list[ClaimKey]) -> Range:
        later = [other.start for other in claims if other.start > claim.start]
        return Range(claim.start, min([lane_end(self._log.job.tasks, self._log.job.lanes, claim.start), *later]))

    def _rest(self, held: Range, at: float) -> Range:
        """The part of a range without outcomes at that time."""
        first = self._outcomes.missing(held.start, at)
        return Range(first, held.stop) if first < held.stop else held

    # --- segments ------------------------------------------------------------------------------------------

    def _published(self) -> Iterator[tuple[float, str]]:
        cover, counted = Cover(self._log.job.tasks), {}
        for segment, _ in self._log.segments:
            counted[segment] = sum(len(gap) for gap in cover.add(segment))
        if len(self._log.segments) > _MANY:
            yield from self._in_short()
            return
        for segment, size in self._log.segments:
            new, whole = counted[segment], segment.stop - segment.start
            again = "" if new == whole else ": all published before" if not new else f": {new} of them new"
            what = f"{tasks(segment.start, segment.stop)}, {size} bytes{_failed(segment.failed)}{again}"
            yield segment.at_ms / 1000, f"{self._owner(segment.claim)} published {what}"

    def _in_short(self) -> Iterator[tuple[float, str]]:
        by_claim: dict[ClaimKey, list[tuple[SegmentKey, int]]] = {}
        for segment, size in self._log.segments:
            by_claim.setdefault(segment.claim, []).append((segment, size))
        for claim, found in by_claim.items():
            first, last = min(s.start for s, _ in found), max(s.stop for s, _ in found)
            until, failed = max(s.at_ms for s, _ in found) / 1000, sum(s.failed for s, _ in found)
            size = sum(size for _, size in found)
            what = f"{tasks(first, last)} in {len(found)} segments, {size} bytes{_failed(failed)}"
            yield found[0][0].at_ms / 1000, f"{self._owner(claim)} published {what}, until {self._at(until)}"

    def _lost(self) -> Iterator[tuple[float, str]]:
        for task, outcome in self._log.failures.items():
            if outcome.kind is OutcomeKind.LOST:
                holding = [s.at_ms / 1000 for s, _ in self._log.segments if s.start <= task < s.stop]
                yield min(holding, default=self._now), f"task {task} is given up: {outcome.message}"

    def _end(self) -> str:
        final = self._log.final
        if final is not None:
            who = "a client" if final.by == "client" else final.by
            return f"{self._at(final.at)} {who} wrote final: {len(final.parts)} parts, one result per task"
        return f"no final yet: {self._outcomes.covered} of {self._log.job.tasks} tasks published"

    # --- one task ------------------------------------------------------------------------------------------

    def example(self) -> int | None:
        """A task with an eventful history: given up, published twice, recovered, stolen; else the first."""
        given_up = [task for task, outcome in self._log.failures.items() if outcome.kind is OutcomeKind.LOST]
        cover, twice = Cover(self._log.job.tasks), []
        for segment, _ in self._log.segments:
            new = cover.add(segment)
            if not new:
                twice.append(segment.start)
        taken = [
            self._rest(self._range(c, self._claims), self._log.claims[c].at).start for c in self._claims if c.number
        ]
        stolen = [claim.start for claim in self._claims if claim.start not in self._log.job.lanes]
        return next(iter([*given_up, *twice, *taken, *stolen, *range(min(1, self._log.job.tasks))]), None)

    def way(self, task: int) -> Iterator[str]:
        """One task from cell to result."""
        job = self._log.job
        item = "its item was stored" if job.items else "the cell was stored"
        yield f"{self._at(job.created)} {item} with the job"
        for place, claim in enumerate(self._claims):
            held = self._range(claim, self._claims[: place + 1])
            if held.start <= task < held.stop and not self._published_before(task, self._log.claims[claim].at):
                yield f"{self._at(self._log.claims[claim].at)} {self.claimed(claim, self._claims[:place])}"
        for segment, _ in self._log.segments:
            if segment.start <= task < segment.stop:
                with_it = tasks(segment.start, segment.stop)
                yield f"{self._at(segment.at_ms / 1000)} {self._owner(segment.claim)} published it with {with_it}"
        yield self._result(task)

    def _published_before(self, task: int, at: float) -> bool:
        return any(s.at_ms <= at * 1000 and s.start <= task < s.stop for s, _ in self._log.segments)

    def _result(self, task: int) -> str:
        parts = self._log.final.parts if self._log.final else ()
        name = next((name for start, stop, name in parts if start <= task < stop), None)
        if name is None:
            return "no final result yet"
        segment, failed = keys.parse_segment(name), self._log.failures.get(task)
        how = "its result"
        if failed:
            began = f", begun at {self._at(failed.began)}" if failed.began else ""
            how = f"its result is a failure, {failed.kind.value} in slot {failed.slot}{began}: {failed.message}"
        return f"{how}: in the segment that {self._owner(segment.claim)} published at {self._at(segment.at_ms / 1000)}"


def ending(gone: Gone) -> str:
    """Why a worker exited."""
    code = f", exit code {gone.exit_code}" if gone.exit_code is not None else ""
    return f"{gone.why}{code}" + (f", {gone.detail}" if gone.detail else "")


def _failed(number: int) -> str:
    return f", {number} failed" if number else ""
