"""What a view asks for on demand: tasks of a group of failures, one task, states, workers. Pure.

docs/panel.md lists the requests; the kernel's panel and the Jupyter server answer them with these values.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import Enum
from functools import partial

from burst_magic.dataclass import dataclass
from burst_magic.errors import visible
from burst_magic.protocol.failures import key_of
from burst_magic.protocol.snapshot import Snapshot, Span
from burst_magic.protocol.terminal import as_seen
from burst_magic.protocol.wire.displays import PLAIN, Display
from burst_magic.protocol.wire.model import Outcome
from burst_magic.ui.drawing import failure_class, strip
from burst_magic.ui.frame import FailureClass, TaskStrip
from burst_magic.ui.words import LINE, clean

PAGE = 100  # rows
_PICTURES = ("image/png", "image/jpeg", "image/svg+xml", "text/html")  # what a view draws, the best first
_WORDY = ("text/markdown", "text/latex")  # shown as they are written
_INDENTED = 20_000  # characters of JSON that are indented; indenting more might multiply its size
EXACT = 10_000  # tasks whose states fit a page


class PanelAction(str, Enum):
    """What a view can ask for beside facts."""

    CANCEL = "cancel"  # this job; the session too if it has no other
    CANCEL_SESSION = "cancel_session"
    SCALE = "scale"
    EXTEND = "extend"
    CLEANUP = "cleanup"  # running tasks finish, then the session's workers end; results are kept


OUTLIVE_JOBS = frozenset({PanelAction.CANCEL_SESSION, PanelAction.CLEANUP})  # workers are kept warm, and cost money


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionState:
    """Whether an action is possible: ``off`` says why it is not, "" if it is."""

    action: PanelAction
    off: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """What the view's host can do, and its last word about what was asked of it ("" for none)."""

    actions: tuple[ActionState, ...]
    notice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One failed task. ``began`` is seconds since the epoch, 0 if it did not run; ``wall`` is seconds."""

    task: int
    item: str
    message: str
    worker: str
    began: float
    wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksPage:
    """Tasks of one group of failures, ascending; ``next`` is the task to go on after, or None."""

    group: str
    rows: tuple[TaskRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DisplayView:
    """One object that a task displayed, in the richest form that a view shows safely.

    ``mime`` is image/png, image/jpeg (``data`` is base64), image/svg+xml, text/html (both foreign: an image, a frame
    without rights) or text/plain; ``words`` are its plain text, shortened.
    """

    mime: str
    data: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDetail:
    """All that is known of one task that has ended. Texts have several lines; durations are seconds, memory is MiB.

    ``kind`` is null if it has a value.
    """

    task: int
    kind: FailureClass | None
    type: str
    message: str
    line: int | None
    traceback: str
    output: str
    displays: tuple[DisplayView, ...]
    item: str
    worker: str
    slot: int
    began: float
    wall: float
    cpu: float
    peak_mb: float
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatesPage:
    """The exact states of the tasks ``start`` … ``stop`` − 1."""

    start: int
    stop: int
    tasks: TaskStrip


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRow:
    """What one slot of a worker is doing: the task and since when, or None; MiB."""

    task: int | None
    since: float | None
    memory_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """One worker. ``name`` counts them in order of their start; ``ended`` says why it has, or ""."""

    id: str
    name: str
    started: float
    seen: float
    stage: str
    ended: str
    slots: tuple[SlotRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersPage:
    """The workers, living ones first; ``more`` are not listed."""

    workers: tuple[WorkerRow, ...]
    more: int


def tasks_page(outcomes: Iterable[Outcome], group: str, *, after: int = -1) -> TasksPage:
    """The next tasks of a group.

    Args:
        outcomes: failed tasks of the job, ascending.
        group: a ``FailureView``'s id.
        after: the task to go on after.
    """
    rows: list[TaskRow] = []
    for outcome in outcomes:
        if outcome.task <= after or not outcome.failed or key_of(outcome).ident != group:
            continue
        if len(rows) == PAGE:
            return TasksPage(group=group, rows=tuple(rows), next=rows[-1].task)
        rows.append(_row(outcome))
    return TasksPage(group=group, rows=tuple(rows), next=None)


def _row(outcome: Outcome) -> TaskRow:
    return TaskRow(
        task=outcome.task,
        item=clean(outcome.item),
        message=clean(outcome.message),
        worker=outcome.worker,
        began=outcome.began,
        wall=outcome.wall,
    )


def task_detail(outcome: Outcome) -> TaskDetail:
    """One task that has ended; its value is not looked at."""
    return TaskDetail(
        task=outcome.task,
        kind=failure_class(outcome.kind) if outcome.failed else None,
        type=clean(outcome.error),
        message=visible(outcome.message),
        line=key_of(outcome).line,
        traceback=visible(outcome.traceback),
        output=visible(as_seen(outcome.output)),
        displays=tuple(map(_display, filter(partial(_beyond, outcome.output), outcome.displays))),
        item=visible(outcome.item),
        worker=outcome.worker,
        slot=outcome.slot,
        began=outcome.began,
        wall=outcome.wall,
        cpu=outcome.cpu,
        peak_mb=outcome.peak_mb,
        attempts=outcome.attempts,
    )


def _beyond(output: str, shown: Display) -> bool:
    """Whether it is more than words that the output has already."""
    return tuple(shown.data) != (PLAIN,) or shown.text not in output


def _display(shown: Display) -> DisplayView:
    data, words = shown.data, clean(shown.text)
    for mime in _PICTURES:
        if mime in data:
            return DisplayView(mime=mime, data=data[mime], words=words)
    told = next((data[mime] for mime in _WORDY if mime in data), None)
    if told is None:
        told = _json(data["application/json"]) if "application/json" in data else shown.text
    return DisplayView(mime=PLAIN, data=visible(told), words=words)


def _json(value: object) -> str:
    text = json.dumps(value)
    return json.dumps(value, indent=1) if len(text) <= _INDENTED else text


def states_page(seen: Snapshot, start: int = 0) -> StatesPage:
    """The exact states of at most ``EXACT`` tasks from ``start`` on."""
    stop = max(start, min(seen.total, start + EXACT))
    spans = (Span(start=span.start - start, stop=span.stop - start, state=span.state) for span in seen.spans)
    return StatesPage(start=start, stop=stop, tasks=strip(spans, stop - start, cells=2 * EXACT))


def worker_names(seen: Snapshot) -> dict[str, str]:
    """Names that people can read, by id, in the order of the workers' starts."""
    by_start = sorted(seen.workers, key=lambda worker: (worker.started, worker.wid))
    return {worker.wid: f"worker {number}" for number, worker in enumerate(by_start, 1)}


def workers_page(seen: Snapshot) -> WorkersPage:
    """The workers. When the job has ended, none runs a task of it, whatever was heard last."""
    names = worker_names(seen)
    runs = "" if seen.ended else seen.jid
    by_wid = {worker.wid: worker for worker in seen.workers}
    ordered = sorted((by_wid[wid] for wid in names), key=lambda worker: not worker.alive)
    rows = [
        WorkerRow(
            id=worker.wid,
            name=names[worker.wid],
            started=worker.started,
            seen=worker.seen,
            stage=clean(worker.stage),
            ended="" if worker.gone is None else clean(_ending(worker.gone.why, worker.gone.detail), limit=LINE),
            slots=tuple(
                SlotRow(
                    task=slot.task if slot.job == runs else None,
                    since=slot.since if slot.job == runs else None,
                    memory_mb=slot.memory_mb,
                )
                for slot in worker.slots
            ),
        )
        for worker in ordered[:PAGE]
    ]
    return WorkersPage(workers=tuple(rows), more=len(ordered) - len(rows))


def _ending(why: str, detail: str) -> str:
    return f"{why}: {detail}" if detail else why
