"""The frame: one job at one instant as JSON, from which every view is drawn. Pure.

The browser's view, the Jupyter server, the saved notebook and the terminal use it; docs/panel.md describes it.
Times are seconds since the epoch by the store's clock: the reader counts, so a frame of tasks that merely sleep stays
the same. Money is micro-dollars. Texts of users are one line each, without control characters.

`make docs` writes `frame.schema.json` and the types of `labextension/` from these classes.
"""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from functools import cache
from hashlib import blake2b
from typing import Any

from burst_magic.dataclass import dataclass
from burst_magic.errors import visible
from burst_magic.protocol.snapshot import WaitCause

VERSION = 1
MIME = "application/vnd.burst+json"


class Phase(str, Enum):
    """The state of a job, in one word that sets the colour of its headline."""

    WAITING = "waiting"  # unfinished, and no task is running
    RUNNING = "running"
    FINISHED = "finished"  # every task has a value
    FAILED = "failed"  # every task has an outcome, some failed
    ENDED = "ended"  # ended before all tasks ran


class StripState(str, Enum):
    """The letters of a strip."""

    PENDING = "p"
    RUNNING = "r"
    COMPLETED = "c"
    FAILED = "f"
    PARTLY = "h"  # only of cells of several tasks: some are completed, the others pending


class FailureClass(str, Enum):
    """How tasks failed."""

    RAISED = "raised"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    UNPICKLABLE = "unpicklable"
    LOST = "lost"
    DAMAGED = "damaged"
    NOT_RUN = "not run"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCounts:
    """Numbers of tasks, which add up to ``total``, but for ``reused``: those are some of the completed ones."""

    total: int
    pending: int
    running: int
    completed: int
    failed: int
    not_run: int
    reused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStrip:
    """The state of each task in order, as runs: ``c40f2r8p50``; a letter without a number is a run of one.

    Attributes:
        size: tasks in each cell (the last may have fewer). Of several, a failed one shows, then a running one.
        cells: runs of cells; see ``StripState``.
    """

    size: int
    cells: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptWorkers:
    """Workers that are kept for the next job: their number, what they cost an hour, and until when at the latest."""

    count: int
    hourly: int
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What the session costs. At another instant ``t`` it is ``spent + hourly * (t - at) / 3600``.

    Attributes:
        priced: whether anybody knows what its workers cost; otherwise all else is 0. free: they cost nothing.
        spent, hourly: of the session.
        job: the part while this job ran, if that is another; grows like ``spent`` until the job's end.
        estimate: of this job before it began; budget: of the session. None: there is none.
        fargate, fargate_hourly: of free workers, what Fargate would charge.
        worker_hourly: of one worker that is started now, if it costs anything.
        kept: workers that are not free and that nothing is left to do for: ``spent`` grows until they end.
    """

    priced: bool
    free: bool
    at: float
    spent: int
    hourly: int
    job: int | None
    estimate: int | None
    budget: int | None
    fargate: int
    fargate_hourly: int
    worker_hourly: int | None = None
    kept: KeptWorkers | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComingWorkers:
    """Workers that are being brought up, by phase; ``since``: when the first of them entered it."""

    phase: str
    count: int
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """Numbers of workers: ``started`` ever, ``alive`` now (after the end: none counts), ``wanted``.

    ``lost`` and ``refused`` are in words, or ""; refused starts are left out where they are why nothing runs.
    """

    wanted: int
    started: int
    alive: int
    coming: tuple[ComingWorkers, ...]
    lost: str
    refused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitAdvice:
    """Why nothing runs, since when if that is known, and what to do about it ("" for nothing)."""

    cause: WaitCause
    words: str
    since: float | None
    way_out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Staleness:
    """The store does not answer, and all facts are as of ``since``; ``why``: its error, or ""."""

    since: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LongestTask:
    """The task that has been running for the longest time."""

    task: int
    since: float
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureView:
    """Failed tasks of one class, exception, line of the cell and pattern of the message.

    Attributes:
        id: for asking for its tasks.
        type: of the exception, or "".
        line: of the cell, if the traceback has one.
        message: of the first task.
        count: of tasks; messages: of different messages, at most 1 000; first: the first task.
    """

    id: str
    kind: FailureClass
    type: str
    line: int | None
    message: str
    count: int
    messages: int
    first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FailuresPart:
    """The failures, most frequent first.

    Attributes:
        more: groups that are not listed; more_tasks: tasks in them.
        unread: why failures cannot be read, or "".
    """

    groups: tuple[FailureView, ...]
    more: int
    more_tasks: int
    unread: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLine:
    """One line that a task printed."""

    task: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputPart:
    """The last lines that running tasks printed, oldest first."""

    lines: tuple[OutputLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRevisions:
    """What the failures and the output are at: equal revisions mean equal parts, in every process."""

    failures: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One job of a session at one instant.

    Attributes:
        at: when it was drawn. It is not part of what changes: frames that differ in nothing else are equal.
        created, ended: of the job; ended is None while it may go on. deadline: of the session.
        title: its ``--name``, or the cell's first line; out: the name that its results are bound to, or "".
        end: why nothing more will run ("finished", "cancelled", "deadline" …), or "".
        state: the phase in words; progress: in percent, "" if there are no tasks.
        forecast: when the last result is expected, or None.
        attach: the line that brings it back in another kernel.
        failures, output: left out for a reader that has them at this revision.
    """

    version: int
    session: str
    job: str
    title: str
    out: str
    launcher: str
    at: float
    created: float
    ended: float | None
    deadline: float
    phase: Phase
    end: str
    state: str
    progress: str
    forecast: float | None
    counts: TaskCounts
    tasks: TaskStrip
    money: Money
    workers: WorkerFacts
    waiting: WaitAdvice | None
    stale: Staleness | None
    longest: LongestTask | None
    attach: str
    revisions: PartRevisions
    failures: FailuresPart | None = None
    output: OutputPart | None = None

    @property
    def over(self) -> bool:
        """True if nothing will change any more."""
        return self.ended is not None

    @property
    def etag(self) -> str:
        """Equal for frames that show the same."""
        return revision_of(dataclasses.replace(self, at=0.0, failures=None, output=None))

    def without(self, *, failures: str = "", output: str = "") -> Frame:
        """The frame for a reader that has these revisions of its parts."""
        return dataclasses.replace(
            self,
            failures=None if failures == self.revisions.failures else self.failures,
            output=None if output == self.revisions.output else self.output,
        )

    @property
    def lean(self) -> Frame:
        """The frame without its parts."""
        return dataclasses.replace(self, failures=None, output=None)


def to_json(value: object) -> str:
    """A frame, or any value of these classes, as compact JSON."""
    return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))


def revision_of(value: object) -> str:
    """A short hash of a value's JSON."""
    return blake2b(to_json(value).encode("utf-8", "replace"), digest_size=6).hexdigest()


def plain(value: object) -> Any:
    """A value of these classes in dicts, lists, numbers and strings, which any page, message or notebook takes."""
    cls: type = type(value)
    if dataclasses.is_dataclass(cls):
        facts = [(name, getattr(value, name), optional) for name, optional in _fields(cls)]
        return {name: plain(fact) for name, fact, optional in facts if fact is not None or not optional}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        rounded = round(value, 3)
        return int(rounded) if rounded.is_integer() else rounded
    return value


@cache
def _fields(cls: type) -> list[tuple[str, bool]]:
    """Names, and whether they are optional; asked for each value of each frame."""
    return [(field.name, is_optional(field)) for field in dataclasses.fields(cls)]


def is_optional(field: dataclasses.Field[Any]) -> bool:
    """Whether a field is left out of the JSON where it is None."""
    return field.default is None
