"""What ran when, on which worker: one lane for each slot. Pure.

Few tasks are told one by one; of many, each lane says how busy it was in each of a fixed number of intervals, so that a
page has the same bounds at a million tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from itertools import groupby

from burst_magic.dataclass import dataclass
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.protocol.wire.records import TaskSpan

BARS = 2000  # tasks that are told one by one
BINS = 300  # intervals otherwise
LANES = 100
_FULL = 10  # levels of busyness above idle, which is "a"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineBar:
    """One task: when it began (seconds since the epoch) and how long it took (seconds)."""

    task: int
    began: float
    wall: float
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineLane:
    """One slot of a worker.

    Attributes:
        tasks, failed: of those that ran in it and are part of the page; busy: seconds that they took.
        since: when the task began that it runs now, or None; running: that task.
        bars: the tasks, if they are few; otherwise cells: runs of intervals, ``a`` idle … ``k`` always busy, and
            capitals where a task failed.
    """

    worker: str
    name: str
    tasks: int
    failed: int
    busy: float
    running: int | None
    since: float | None
    bars: tuple[TimelineBar, ...]
    cells: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinePage:
    """What ran between ``start`` and ``stop`` (seconds since the epoch).

    Attributes:
        bins: intervals of a lane's ``cells``.
        tasks: that are shown; left_out: that have ended and are not: reused ones, and of very many segments most.
        more: lanes that are not listed.
    """

    start: float
    stop: float
    bins: int
    lanes: tuple[TimelineLane, ...]
    more: int
    tasks: int
    left_out: int


@dataclass(slots=True)
class _Lane:
    busy: float = 0.0
    tasks: int = 0
    failed: int = 0
    bars: list[TimelineBar] = field(default_factory=list)
    share: list[float] = field(default_factory=lambda: [0.0] * BINS)
    marked: set[int] = field(default_factory=set)


def timeline_page(seen: Snapshot, runs: Iterable[TaskSpan], names: Mapping[str, str]) -> TimelinePage:
    """What ran when.

    Args:
        seen: the job.
        runs: its tasks that have ended, in any order; those that ran before the job are left out.
        names: of workers by id, in the order of their lanes.
    """
    start = seen.created
    stop = max(seen.now if seen.finished_at is None else seen.finished_at, start + 0.001)
    width = (stop - start) / BINS
    lanes: dict[tuple[str, int], _Lane] = {}
    tasks = 0
    for found in runs:
        if not (found.began < stop and found.began + found.wall > start and found.wall >= 0):
            continue  # not of this job, or no time at all
        run = found._replace(wall=min(found.wall, stop - found.began))
        lane = lanes.get((run.worker, run.slot))
        if lane is None:
            lane = lanes[run.worker, run.slot] = _Lane()
        tasks += 1
        _add(lane, run, (run.began - start) / width, (run.began + run.wall - start) / width)
        if tasks <= BARS:
            lane.bars.append(TimelineBar(task=run.task, began=run.began, wall=run.wall, failed=run.failed))
    now = {} if seen.ended else _running(seen)
    order = {wid: at for at, wid in enumerate(names)}
    keys = sorted(lanes.keys() | now.keys(), key=lambda key: (order.get(key[0], len(order)), key))
    several = {worker for worker, slot in keys if slot}
    exact = tasks <= BARS
    return TimelinePage(
        start=start,
        stop=stop,
        bins=BINS,
        lanes=tuple(
            _lane(lanes.get(key, _Lane()), key, _name(key, names, several), now.get(key), exact=exact)
            for key in keys[:LANES]
        ),
        more=max(0, len(keys) - LANES),
        tasks=tasks,
        left_out=max(0, seen.done - tasks),
    )


def _add(lane: _Lane, run: TaskSpan, begin: float, end: float) -> None:
    """Add a run to a lane; ``begin`` and ``end`` are counted in intervals."""
    lane.tasks += 1
    lane.busy += run.wall
    begin, end = max(0.0, begin), min(float(BINS), end)
    first, last = int(begin), min(int(end), BINS - 1)
    if run.failed:
        lane.failed += 1
        lane.marked.add(last)
    if first == last:
        lane.share[first] += end - begin
        return
    lane.share[first] += first + 1 - begin
    for at in range(first + 1, last):
        lane.share[at] += 1.0
    lane.share[last] += end - last


def _running(seen: Snapshot) -> dict[tuple[str, int], tuple[int, float]]:
    """The tasks that run now, and since when, by worker and slot."""
    return {
        (worker.wid, number): (slot.task, slot.since)
        for worker in seen.workers
        if worker.alive
        for number, slot in enumerate(worker.slots)
        if slot.job == seen.jid and slot.task is not None and slot.since is not None
    }


def _name(key: tuple[str, int], names: Mapping[str, str], several: set[str]) -> str:
    worker, slot = key
    name = names.get(worker, worker)
    return f"{name}, slot {slot + 1}" if worker in several else name


def _lane(
    lane: _Lane, key: tuple[str, int], name: str, running: tuple[int, float] | None, *, exact: bool
) -> TimelineLane:
    return TimelineLane(
        worker=key[0],
        name=name,
        tasks=lane.tasks,
        failed=lane.failed,
        busy=lane.busy,
        running=running[0] if running else None,
        since=running[1] if running else None,
        bars=tuple(sorted(lane.bars, key=lambda bar: bar.began)) if exact else (),
        cells="" if exact else _cells(lane),
    )


def _cells(lane: _Lane) -> str:
    letters = (_letter(share, marked=at in lane.marked) for at, share in enumerate(lane.share))
    runs = ((letter, len(list(same))) for letter, same in groupby(letters))
    return "".join(letter if count == 1 else f"{letter}{count}" for letter, count in runs)


def _letter(share: float, *, marked: bool) -> str:
    level = 0 if share <= 0 else max(1, min(_FULL, round(share * _FULL)))
    letter = chr(ord("a") + level)
    return letter.upper() if marked else letter
