"""What every view shows, computed once from a Snapshot. Pure: no I/O, clock, randomness, threads or markup.

A job of a million tasks is drawn as at most ``CELLS`` cells of a heat strip, each with the exact mix of its tasks.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from burst_magic import units
from burst_magic.plan.cost import UNPRICED
from burst_magic.protocol.client.starts import in_words
from burst_magic.protocol.log import SKEW
from burst_magic.protocol.wire.model import JobEnd, Snapshot, Span

CELLS = 400  # about two pixels each in a notebook's column
ERRORS = 8
TAIL = 8
LINE = 240  # characters shown of an error or output line
THIN = "\u202f"  # narrow no-break space: groups digits without looking like two numbers

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # bidi marks would reorder a line
_ENDINGS = {JobEnd.DEADLINE: "deadline reached", JobEnd.BUDGET: "budget spent"}  # the others say it themselves


_STALE = 10.0  # seconds; results are looked at each 5 s at least


class Phase(str, Enum):
    """The state of a job, in one word that sets the colour of its headline."""

    WAITING = "waiting"  # unfinished, and no task is running
    RUNNING = "running"
    FINISHED = "finished"  # every task has a value
    FAILED = "failed"  # every task has an outcome, some failed
    ENDED = "ended"  # ended before all tasks ran


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatCell:
    """The mix of tasks ``start`` … ``stop`` − 1."""

    start: int
    stop: int
    running: int = 0
    completed: int = 0
    failed: int = 0

    @property
    def pending(self) -> int:
        """Tasks of the cell that have not started."""
        return self.stop - self.start - self.running - self.completed - self.failed

    @property
    def mix(self) -> tuple[int, int, int, int]:
        """Number of pending, running, completed and failed tasks."""
        return (self.pending, self.running, self.completed, self.failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Longest:
    """The task that has been running for the longest time."""

    task: int
    since: float
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelModel:
    """One job at one instant, ready to be drawn.

    Attributes:
        state: the phase in words, such as "finished, 3 failed" or "cancelled".
        cells: a partition of the tasks, at most ``CELLS``, all of one size except the last.
        at: the time shown, in seconds since the epoch; the job's end once it has ended.
        elapsed, eta: seconds; eta is None while unknown.
        cost: one line about money.
        coming, refused, lost: workers that are being brought up, could not start, or were lost, in words.
        stale: how old these facts are and why, "" while they are fresh.
        errors: distinct failures (count, text), most frequent first; more_errors: how many kinds are not listed.
        tail: the last lines of output (task, text), oldest first.
        go_on: what to type in a new kernel to attach to this job.
    """

    sid: str
    jid: str
    title: str
    launcher: str
    phase: Phase
    state: str
    total: int
    pending: int
    running: int
    completed: int
    failed: int
    reused: int
    cells: tuple[HeatCell, ...]
    wanted: int
    started: int
    alive: int
    at: float
    elapsed: float
    eta: float | None
    cost: str
    waiting: str
    stale: str
    coming: str
    refused: str
    lost: str
    longest: Longest | None
    errors: tuple[tuple[int, str], ...]
    more_errors: int
    tail: tuple[tuple[int, str], ...]
    go_on: str

    @property
    def done(self) -> int:
        """Number of tasks with an outcome."""
        return self.completed + self.failed

    @property
    def over(self) -> bool:
        """True if nothing will change any more."""
        return self.phase in {Phase.FINISHED, Phase.FAILED, Phase.ENDED}

    @property
    def progress(self) -> str:
        """Progress in percent."""
        return percent(self.done, self.total)

    @property
    def left(self) -> str:
        """The remaining time in words, or ""."""
        return f"{about(self.eta)} left" if self.eta is not None and not self.over else ""

    @property
    def fleet(self) -> str:
        """The workers in one line."""
        refused = "" if self.refused in self.waiting else self.refused  # it is said there
        more = "".join(f"; {text}" for text in (self.coming, refused, self.lost) if text)
        return f"{self.alive} alive, {self.started} started, {self.wanted} wanted{more}"

    @property
    def idle_word(self) -> str:
        """The word for a task without an outcome: after the end, it will not run."""
        return "not run" if self.over else "pending"


def panel_model(snapshot: Snapshot) -> PanelModel:
    """Compute what to show of a snapshot."""
    until = snapshot.finished_at if snapshot.finished_at is not None else snapshot.now
    phase = phase_of(snapshot)
    return PanelModel(
        sid=snapshot.sid,
        jid=snapshot.jid,
        title=clean(snapshot.name or snapshot.title),
        launcher=snapshot.launcher,
        phase=phase,
        state=state_of(phase, snapshot),
        total=snapshot.total,
        pending=snapshot.pending,
        running=snapshot.running,
        completed=snapshot.completed,
        failed=snapshot.failed,
        reused=snapshot.reused,
        cells=heat_strip(snapshot.spans, snapshot.total),
        wanted=snapshot.wanted,
        started=snapshot.started,
        alive=snapshot.alive,
        at=until,
        elapsed=max(0.0, until - snapshot.created),
        eta=snapshot.eta,
        cost=cost_line(snapshot),
        waiting="" if snapshot.ended else clean(snapshot.waiting),
        stale=_stale(snapshot),
        refused="" if snapshot.ended else clean(snapshot.refused),
        coming="" if snapshot.ended or snapshot.waiting else clean(in_words(snapshot.coming)),
        lost=_lost(snapshot),
        longest=None if snapshot.ended else longest(snapshot),
        errors=tuple((count, clean(text)) for count, text in snapshot.errors[:ERRORS]),
        more_errors=max(0, len(snapshot.errors) - ERRORS),
        tail=tail_lines(snapshot.tail),
        go_on=f"%burst_attach {snapshot.sid}",
    )


def heat_strip(spans: tuple[Span, ...], total: int, *, cells: int = CELLS) -> tuple[HeatCell, ...]:
    """Divide ``total`` tasks into at most ``cells`` cells and count the states in each, exactly.

    Tasks outside all spans are pending. One pass: O(spans + cells).
    """
    size = cell_size(total, cells=cells)
    mixes = [{"running": 0, "completed": 0, "failed": 0} for _ in range(-(-total // size))]
    for span in spans:
        if span.state == "pending":
            continue
        start, stop = max(0, span.start), min(span.stop, total)
        while start < stop:
            index = start // size
            upto = min(stop, (index + 1) * size)
            mixes[index][span.state] += upto - start
            start = upto
    return tuple(
        HeatCell(start=index * size, stop=min(total, (index + 1) * size), **mix) for index, mix in enumerate(mixes)
    )


def cell_size(total: int, *, cells: int = CELLS) -> int:
    """Tasks per cell (the last may have fewer)."""
    return max(1, -(-total // cells))


def frame(model: PanelModel, *, buttons: tuple[str, ...] = (), notice: str = "") -> str:
    """The model as compact JSON for a browser: a few hundred bytes, a few kilobytes at worst.

    Equal neighbours of the heat strip are sent once: ``cells`` is a list of [repeats, running, completed, failed].
    """
    runs = [
        [len(list(group)), *key]
        for key, group in groupby((cell.running, cell.completed, cell.failed) for cell in model.cells)
    ]
    shown = {
        "phase": model.phase.value,
        "state": model.state,
        "title": model.title,
        "id": model.sid,
        "total": model.total,
        "counts": [model.pending, model.running, model.completed, model.failed],
        "reused": model.reused,
        "idle": model.idle_word,
        "progress": model.progress,
        "size": cell_size(model.total),
        "cells": runs,
        "workers": model.fleet,
        "elapsed": duration(model.elapsed),
        "left": model.left,
        "cost": model.cost,
        "waiting": model.stale or model.waiting,
        "longest": longest_line(model.longest, model.at),
        "errors": model.errors,
        "more": model.more_errors,
        "tail": model.tail,
        "go_on": model.go_on,
        "buttons": buttons,
        "notice": notice,
        "over": model.over,
    }
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":"))


def cost_line(snapshot: Snapshot) -> str:
    """The cost: real money on AWS; for free workers, what Fargate would have charged.

    If workers are older than the job, it is the whole session's cost, since they cost money before the job; on AWS with
    what they cost while the job ran.
    """
    joined = any(worker.started < snapshot.created - SKEW for worker in snapshot.workers)
    mine = f"; {dollars(snapshot.job_spend)} while this cell ran" if snapshot.rate else ""
    return f"{_cost(snapshot)} (whole session{mine})" if joined else _cost(snapshot)


def _cost(snapshot: Snapshot) -> str:
    if not snapshot.priced:
        return UNPRICED
    if not snapshot.rate:
        return f"no charge; on Fargate this would be {dollars(snapshot.fargate_spend)}"
    return dollars(snapshot.spend) if snapshot.ended else f"{dollars(snapshot.spend)} so far"


def longest_line(longest: Longest | None, now: float) -> str:
    """The longest running task in words, or ""."""
    if longest is None:
        return ""
    return f"task {count(longest.task)} for {duration(now - longest.since)} on {longest.worker}"


def count(number: int, *, gap: str = THIN) -> str:
    """Format an integer with digits in groups of three: ``1 000 000``; four digits are grouped, too."""
    return f"{number:,}".replace(",", gap)


def percent(part: int, whole: int, *, gap: str = THIN) -> str:
    """Percentage, rounded down: 100 % means all and 0 % none."""
    if whole <= 0:
        return f"100{gap}%"
    if 0 < part * 100 < whole:
        return f"<1{gap}%"
    return f"{part * 100 // whole}{gap}%"


def duration(seconds: float) -> str:
    """Format seconds in the two largest units: ``0.4 s``, ``12 s``, ``3 min 05 s``, ``2 h 14 min``, ``3 d 04 h``."""
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for unit, name, part, part_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit:
            return f"{whole // unit} {name} {whole % unit // part:02d} {part_name}"
    raise AssertionError(seconds)


def about(seconds: float) -> str:
    """Format a forecast in one unit, with few digits: ``≈ 40 s``, ``≈ 3 min``, ``≈ 2.5 h``."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 57.5:
        return f"≈ {5 * round(seconds / 5)} s"
    if seconds < 5370:
        return f"≈ {max(1, round(seconds / 60))} min"
    if seconds < 36 * 3600:
        return f"≈ {round(seconds / 1800) / 2:g} h"
    return f"≈ {round(seconds / 86400)} d"


def dollars(micro: int, *, gap: str = THIN) -> str:
    """Format micro-dollars: ``$0.00``, ``<$0.0001``, ``$0.0042``, ``$1 234.50``."""
    return units.format_money(micro).replace(",", gap)


def size_of(size: int) -> str:
    """Format bytes in decimal units: ``812 B``, ``1.2 kB``, ``200 MB``."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 9.95 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def clean(text: str, *, limit: int = LINE) -> str:
    """Sanitize one line of user text: no terminal escapes or control characters, truncated at ``limit``."""
    line = _CONTROLS.sub("", _ESCAPES.sub("", text)).replace("\n", " ").replace("\t", "    ").rstrip()
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def phase_of(snapshot: Snapshot) -> Phase:
    """The state of a job."""
    if snapshot.finished or (snapshot.ended and snapshot.done >= snapshot.total):
        return Phase.FAILED if snapshot.failed else Phase.FINISHED
    if snapshot.ended:
        return Phase.ENDED
    # Short tasks start and finish between two heartbeats: outcomes from live workers also mean "running".
    moving = snapshot.running or (snapshot.done and snapshot.alive and not snapshot.waiting)
    return Phase.RUNNING if moving else Phase.WAITING


def _lost(snapshot: Snapshot) -> str:
    if snapshot.ended or not snapshot.lost:
        return ""
    fate = "" if snapshot.attended else ", not replaced while no notebook is attached"
    return f"{snapshot.lost} of {snapshot.wanted} lost{fate}"


def state_of(phase: Phase, snapshot: Snapshot) -> str:
    """The same in words, such as "finished, 3 failed" or "cancelled"."""
    if not snapshot.total:
        return "no items"
    if phase is Phase.FAILED:
        return f"finished, {count(snapshot.failed)} failed"
    if phase is Phase.ENDED and snapshot.ended:
        return _ENDINGS.get(snapshot.ended) or clean(snapshot.ended.words(snapshot.end_detail))
    if phase is Phase.WAITING and not snapshot.done and not snapshot.waiting:
        return "starting"
    return str(phase.value)


def _stale(snapshot: Snapshot) -> str:
    """The age of the facts, if it is worth a line; facts of a job that is over for good do not age."""
    if snapshot.age < _STALE or (snapshot.ended and snapshot.ended.for_good):
        return ""
    trouble = f" ({clean(snapshot.trouble)})" if snapshot.trouble else ""
    return f"as of {duration(snapshot.age)} ago: the store does not answer{trouble}"


def longest(snapshot: Snapshot) -> Longest | None:
    """From the last heartbeats, minus tasks that have an outcome since."""
    starts = [span.start for span in snapshot.spans]

    def over(task: int) -> bool:
        at = bisect_right(starts, task) - 1
        return at >= 0 and task < snapshot.spans[at].stop and snapshot.spans[at].state in {"completed", "failed"}

    running = [
        Longest(task=slot.task, since=slot.since, worker=worker.wid)
        for worker in snapshot.workers
        if worker.alive
        for slot in worker.slots
        if slot.job == snapshot.jid and slot.task is not None and slot.since is not None and not over(slot.task)
    ]
    return min(running, key=lambda one: one.since, default=None)


def tail_lines(tail: tuple[tuple[int, str], ...]) -> tuple[tuple[int, str], ...]:
    """The last lines of output (task, text), oldest first."""
    lines = [(task, clean(line)) for task, text in tail for line in text.splitlines()]
    return tuple((task, line) for task, line in lines if line)[-TAIL:]
