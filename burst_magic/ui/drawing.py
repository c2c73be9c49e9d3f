"""Draw a snapshot as a frame. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import groupby

from burst_magic.protocol.client.snapshot import FARGATE_MINIMUM
from burst_magic.protocol.log import SKEW
from burst_magic.protocol.snapshot import FailureGroup, Snapshot, Span, WaitCause
from burst_magic.protocol.terminal import as_seen
from burst_magic.protocol.wire.keys import base_of
from burst_magic.protocol.wire.model import JobEnd, OutcomeKind
from burst_magic.ui.accrual import fargate_accrual, job_accrual, session_accrual
from burst_magic.ui.frame import (
    VERSION,
    ComingWorkers,
    FailureClass,
    FailuresPart,
    FailureView,
    Frame,
    KeptWorkers,
    LongestTask,
    Money,
    OutputLine,
    OutputPart,
    PartRevisions,
    Phase,
    Staleness,
    StripState,
    TaskCounts,
    TaskStrip,
    WaitAdvice,
    WorkerFacts,
    revision_of,
)
from burst_magic.ui.words import LINE, clean, count, percent

GROUPS = 8  # of failures that are listed
CELLS = 400  # characters of the strip, and so many cells
SILENCE = 10.0  # seconds without an answer of the store after which that is worth a word; it is asked each 5 s at least
TAIL = 8  # lines of output
_TITLE, _WORDS = 80, 160  # characters
_ENDINGS = {JobEnd.DEADLINE: "deadline reached", JobEnd.BUDGET: "budget spent"}  # the others say it themselves
_CLASSES = {
    OutcomeKind.ERROR: FailureClass.RAISED,
    OutcomeKind.TIMEOUT: FailureClass.TIMEOUT,
    OutcomeKind.CRASHED: FailureClass.CRASHED,
    OutcomeKind.UNPICKLABLE: FailureClass.UNPICKLABLE,
    OutcomeKind.LOST: FailureClass.LOST,
    OutcomeKind.DAMAGED: FailureClass.DAMAGED,
}
_LETTERS = {
    "pending": StripState.PENDING,
    "running": StripState.RUNNING,
    "completed": StripState.COMPLETED,
    "failed": StripState.FAILED,
}
_WAYS_OUT = {
    WaitCause.WRITES: "run %burst_doctor: it names the right or the space that is missing",
    WaitCause.SILENT: "wait: silent workers are replaced; %burst_logs shows what they printed last",
    WaitCause.BUSY: "wait, or run the cell with --fresh for workers of its own",
    WaitCause.PREPARING: "",
    WaitCause.REFUSED: "wait: starts are repeated; %burst_quota shows the account's limits",
    WaitCause.STARTING: "",
}


def frame_of(seen: Snapshot) -> Frame:
    """Draw a snapshot."""
    phase, counts = phase_of(seen), _counts(seen)
    failures, output = _failures(seen, counts), OutputPart(lines=tuple(_lines(seen)))
    return Frame(
        version=VERSION,
        session=seen.sid,
        job=seen.jid,
        title=clean(seen.name or seen.title, limit=_TITLE),
        out=seen.out,
        launcher=seen.launcher,
        at=seen.now,
        created=seen.created,
        ended=_ended(seen),
        deadline=seen.deadline,
        phase=phase,
        end=seen.ended.value if seen.ended else "",
        state=clean(state_of(phase, seen), limit=_WORDS),
        progress=percent(seen.done, seen.total, gap=" ") if seen.total else "",
        forecast=None if seen.ended else seen.forecast,
        counts=counts,
        tasks=strip(seen.spans, seen.total),
        money=_money(seen),
        workers=_workers(seen),
        waiting=_waiting(seen),
        stale=_stale(seen),
        longest=None if seen.ended else longest(seen),
        attach=f"%burst_attach {seen.sid}",
        revisions=PartRevisions(failures=revision_of(failures), output=revision_of(output)),
        failures=failures,
        output=output,
    )


def strip(spans: Iterable[Span], total: int, *, cells: int = CELLS) -> TaskStrip:
    """The states of ``total`` tasks as runs: exact if that takes at most ``cells`` characters, otherwise aggregated.

    Tasks outside all spans are pending. One pass: O(spans + cells).
    """
    exact = _runs((_LETTERS[span.state], span.stop - span.start) for span in _whole(spans, total))
    if len(exact) <= cells:
        return TaskStrip(size=1, cells=exact)
    size = -(-total // cells)
    mixes: list[set[StripState]] = [set() for _ in range(-(-total // size))]
    for span in _whole(spans, total):
        for cell in range(span.start // size, (span.stop - 1) // size + 1):
            mixes[cell].add(_LETTERS[span.state])
    return TaskStrip(size=size, cells=_runs((_letter(mix), 1) for mix in mixes))


def _whole(spans: Iterable[Span], total: int) -> Iterable[Span]:
    """A partition of all tasks."""
    at = 0
    for span in spans:
        start, stop = max(at, span.start), min(span.stop, total)
        if start >= stop:
            continue
        if start > at:
            yield Span(start=at, stop=start, state="pending")
        yield Span(start=start, stop=stop, state=span.state)
        at = stop
    if at < total:
        yield Span(start=at, stop=total, state="pending")


def _runs(states: Iterable[tuple[StripState, int]]) -> str:
    joined = ((state, sum(n for _, n in run)) for state, run in groupby(states, key=lambda each: each[0]))
    return "".join(state.value if count == 1 else f"{state.value}{count}" for state, count in joined)


def _letter(mix: set[StripState]) -> StripState:
    for state in (StripState.FAILED, StripState.RUNNING):
        if state in mix:
            return state
    return StripState.PARTLY if len(mix) > 1 else next(iter(mix))


def _counts(seen: Snapshot) -> TaskCounts:
    """Whatever the snapshot says, the numbers add up to the total."""
    total, over = max(0, seen.total), seen.ended is not None
    failed = min(seen.failed, total)
    completed = min(seen.completed, total - failed)
    rest = total - failed - completed
    running = 0 if over else min(seen.running, rest)
    return TaskCounts(
        total=total,
        pending=0 if over else rest - running,
        running=running,
        completed=completed,
        failed=failed,
        not_run=rest if over else 0,
        reused=min(seen.reused, completed),
    )


def _ended(seen: Snapshot) -> float | None:
    if seen.ended is None:
        return None
    return seen.now if seen.finished_at is None else seen.finished_at


def _money(seen: Snapshot) -> Money:
    joined = any(worker.started < seen.created - SKEW for worker in seen.workers)
    free = not seen.rate
    session, fargate = session_accrual(seen), fargate_accrual(seen, minimum=FARGATE_MINIMUM)
    job = job_accrual(seen, joined=joined)
    apart = joined or (seen.ended is not None and (session.hourly > 0 or session.spent != job.spent))
    known = seen.priced
    return Money(
        priced=known,
        free=known and free,
        at=fargate.at if free else session.at,
        spent=session.spent if known else 0,
        hourly=session.hourly if known else 0,
        job=job.spent if apart and known and not free else None,
        estimate=seen.estimate,
        budget=seen.budget,
        fargate=fargate.spent if free and known else 0,
        fargate_hourly=fargate.hourly if free and known else 0,
        worker_hourly=seen.rate if known and not free and seen.ended is None else None,
        kept=None if known and free else _kept(seen),
    )


def _kept(seen: Snapshot) -> KeptWorkers | None:
    if seen.kept_until is None or seen.kept_until <= seen.now:
        return None
    rates = {base_of(worker.wid): worker.rate for worker in seen.workers if worker.alive}
    return KeptWorkers(count=len(rates), hourly=sum(rates.values()) if seen.priced else 0, until=seen.kept_until)


def _workers(seen: Snapshot) -> WorkerFacts:
    since: dict[str, list[float]] = {}
    for start in seen.coming if seen.ended is None else ():
        since.setdefault(start.phase, []).append(seen.now - start.seconds)
    said = seen.wait is not None and seen.wait.cause is WaitCause.REFUSED
    return WorkerFacts(
        wanted=seen.wanted,
        started=seen.started,
        alive=0 if seen.ended else seen.alive,
        coming=tuple(
            ComingWorkers(phase=clean(phase, limit=_TITLE), count=len(times), since=round(min(times)))
            for phase, times in sorted(since.items())
        ),
        lost=_lost(seen),
        refused="" if seen.ended or said else clean(seen.refused, limit=_WORDS),
    )


def _lost(seen: Snapshot) -> str:
    if seen.ended or not seen.lost:
        return ""
    fate = "" if seen.attended else ", not replaced while no notebook is attached"
    return f"{seen.lost} of {seen.wanted} lost{fate}"


def _waiting(seen: Snapshot) -> WaitAdvice | None:
    wait = seen.wait
    if wait is None or seen.ended:
        return None
    way_out = _WAYS_OUT[wait.cause]
    if wait.cause is WaitCause.SILENT and not seen.attended:
        way_out = f"%burst_attach {seen.sid} replaces the lost workers"
    return WaitAdvice(cause=wait.cause, words=clean(wait.words, limit=_WORDS), since=wait.since, way_out=way_out)


def _stale(seen: Snapshot) -> Staleness | None:
    """Facts of a job that is over for good do not age."""
    if seen.as_of is None or seen.age < SILENCE or (seen.ended and seen.ended.for_good):
        return None
    return Staleness(since=seen.as_of, why=clean(seen.trouble, limit=_WORDS))


def _failures(seen: Snapshot, counts: TaskCounts) -> FailuresPart:
    views = [_view(group) for group in seen.failures[:GROUPS]]
    rest = seen.failures[GROUPS:]
    if counts.not_run:
        views.append(_not_run(seen, counts.not_run))
    return FailuresPart(
        groups=tuple(views),
        more=len(rest),
        more_tasks=sum(group.count for group in rest),
        unread=clean(seen.unread, limit=_WORDS),
    )


def _view(group: FailureGroup) -> FailureView:
    return FailureView(
        id=group.ident,
        kind=failure_class(group.kind),
        type=clean(group.error, limit=_TITLE),
        line=group.line,
        message=clean(group.message, limit=LINE),
        count=group.count,
        messages=group.messages,
        first=group.first,
    )


def failure_class(kind: OutcomeKind) -> FailureClass:
    """How a task that ended like this has failed."""
    return _CLASSES.get(kind, FailureClass.OTHER)


def _not_run(seen: Snapshot, count: int) -> FailureView:
    first = next((span.start for span in _whole(seen.spans, seen.total) if span.state == "pending"), 0)
    why = clean(state_of(phase_of(seen), seen), limit=LINE)
    kind = FailureClass.NOT_RUN
    return FailureView(id="not-run", kind=kind, type="", line=None, message=why, count=count, messages=1, first=first)


def _lines(seen: Snapshot) -> Iterable[OutputLine]:
    return (OutputLine(task=task, text=line) for task, line in tail_lines(seen.tail))


def phase_of(snapshot: Snapshot) -> Phase:
    """The state of a job."""
    if snapshot.finished or (snapshot.ended and snapshot.done >= snapshot.total):
        return Phase.FAILED if snapshot.failed else Phase.FINISHED
    if snapshot.ended:
        return Phase.ENDED
    # Short tasks start and finish between two heartbeats: outcomes from live workers also mean "running".
    moving = snapshot.running or (snapshot.done and snapshot.alive and not snapshot.waiting)
    return Phase.RUNNING if moving else Phase.WAITING


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


def longest(snapshot: Snapshot) -> LongestTask | None:
    """From the last heartbeats, minus tasks that have an outcome since."""
    starts = [span.start for span in snapshot.spans]

    def over(task: int) -> bool:
        at = bisect_right(starts, task) - 1
        return at >= 0 and task < snapshot.spans[at].stop and snapshot.spans[at].state in {"completed", "failed"}

    running = [
        LongestTask(task=slot.task, since=slot.since, worker=worker.wid)
        for worker in snapshot.workers
        if worker.alive
        for slot in worker.slots
        if slot.job == snapshot.jid and slot.task is not None and slot.since is not None and not over(slot.task)
    ]
    return min(running, key=lambda one: one.since, default=None)


def tail_lines(tail: tuple[tuple[int, str], ...]) -> tuple[tuple[int, str], ...]:
    """The last lines of output (task, text), oldest first."""
    lines = [(task, clean(line)) for task, text in tail for line in as_seen(text).splitlines()]
    return tuple((task, line) for task, line in lines if line)[-TAIL:]
