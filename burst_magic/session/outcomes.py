"""Open outcomes for the notebook: a value, or a failed task's exception as the user sees it."""

from __future__ import annotations

import re
import time

from burst_magic.errors import (
    BurstError,
    Missing,
    NotRun,
    RecordError,
    SignatureError,
    TaskError,
    TaskFailed,
    TaskTimeout,
    UnpicklableResult,
    WorkerLost,
    visible,
)
from burst_magic.payload import unpack_value
from burst_magic.payload.exceptions import attributes, raised_from, set_cause, stand_in
from burst_magic.protocol.wire.model import Outcome, OutcomeKind

_IN_THE_ACCOUNT = re.compile(r"[0-9a-f]{32}(~\d+)?")  # ids of ECS tasks
_REFUSED = re.compile(r"Access ?Denied|not authorized to perform: s3:|\(403\).*(Forbidden|HeadObject)")
_OF_S3 = re.compile(r"\bs3\b|\bS3\b|(Get|Head|Put|Delete|Copy)Object|ListObjects|MultipartUpload")
_WRITES = re.compile(r"(Put|Delete|Copy)Object|MultipartUpload")
_BUCKET = re.compile(r"arn:[\w-]+:s3:::([\w.-]+)|s3://([\w.-]+)")
_KINDS: dict[OutcomeKind, type[TaskError]] = {
    OutcomeKind.ERROR: TaskFailed,
    OutcomeKind.TIMEOUT: TaskTimeout,
    OutcomeKind.CRASHED: WorkerLost,
    OutcomeKind.LOST: WorkerLost,
    OutcomeKind.UNPICKLABLE: UnpicklableResult,
    OutcomeKind.DAMAGED: TaskFailed,
    OutcomeKind.OTHER: TaskFailed,
}


class RemoteTraceback(Exception):
    """The worker's traceback, with the cell's lines."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        """Set apart, as in concurrent.futures."""
        return f"\n{self.text}"


class _Shown:
    """How IPython shows a task's exception: the worker's side only."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self) -> list[str]:
        return [self.text]


def story(outcome: Outcome) -> str:
    """Describe a failed task: item, remote traceback, output."""
    head = f"task {outcome.task}" + (f" (item {outcome.item})" if outcome.item else "")
    error = outcome.error if outcome.kind is OutcomeKind.ERROR else _KINDS[outcome.kind].__name__
    parts = [outcome.traceback.rstrip() or f"{error}: {outcome.message}", f"  in {head}"]
    if outcome.worker:
        parts.append(f"  {ran(outcome)}")
    if outcome.attempts > 1:
        parts.append(f"  after {outcome.attempts} attempts")
    if allowed_by := way_to_data(outcome):
        parts.append(f"  try:   {allowed_by}")
    if outcome.output:
        parts.append(f"  it printed:\n{outcome.output.rstrip()}")
    return visible("\n".join(parts))


def way_to_data(outcome: Outcome) -> str:
    """The command that lets tasks reach what S3 has refused this one; "" if that is not why it failed.

    A task in the account uses AWS as the stack's task role; one on this machine, as the user.
    """
    said = f"{outcome.message}\n{outcome.traceback}"
    if not (_IN_THE_ACCOUNT.fullmatch(outcome.worker) and _REFUSED.search(said) and _OF_S3.search(said)):
        return ""
    found = _BUCKET.search(said)
    bucket = next(filter(None, found.groups())) if found else "…"
    option = "--allow-write" if _WRITES.search(outcome.message) else "--allow-read"
    return f"burst setup {option} s3://{bucket} (tasks use AWS as the stack's task role, not as you)"


def ran(outcome: Outcome) -> str:
    """Which worker a task ran on, and when it began."""
    began = time.strftime(" from %Y-%m-%d %H:%M:%S", time.localtime(outcome.began)) if outcome.began else ""
    return f"on {outcome.worker}, slot {outcome.slot}{began}"


def error_of(outcome: Outcome, home: dict[str, object]) -> BaseException:
    """The exception of a failed task: its own if it can be rebuilt, otherwise one that describes it."""
    if outcome.kind is OutcomeKind.DAMAGED:
        return _damage(outcome)
    error = _rebuilt(outcome, home)
    where = f"task {outcome.task}" + (f", item {outcome.item}" * bool(outcome.item))
    if error is None:
        said = f"{outcome.error}: {outcome.message}" if outcome.kind is OutcomeKind.ERROR else outcome.message
        error = _KINDS[outcome.kind](said, context=where)
    elif type(error) is TaskFailed and not error.context:  # a stand-in for another exception
        error.context = where
    text = story(outcome)
    set_cause(_first_raised(error), RemoteTraceback(text))
    attributes(error)["_render_traceback_"] = _Shown(text)
    return error


def _damage(outcome: Outcome) -> BurstError:
    """Why a published outcome cannot be read."""
    problem, _, key = outcome.message.partition("\n")
    kind = {each.__name__: each for each in (Missing, RecordError)}.get(outcome.error, SignatureError)
    way_out = "someone changed the store, or its disk failed; run the cell again"
    return kind(problem, context=key or f"task {outcome.task}", way_out=way_out)


def raisable(error: BaseException) -> BaseException:
    """An exception that a generator can raise in its place: a StopIteration would become a RuntimeError."""
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
    except Exception:  # noqa: BLE001 - the text is kept; the object is best effort
        return None
    return rebuilt if isinstance(rebuilt, Exception) else None  # SystemExit would end the kernel


def _first_raised(error: BaseException) -> BaseException:
    """The end of its chain of causes: Python shows the worker's traceback above that one."""
    seen = {id(error)}
    while (further := raised_from(error)) is not None and id(further) not in seen:
        seen.add(id(further))
        error = further
    return error


def open_value(task: int, data: bytes | memoryview, home: dict[str, object]) -> tuple[object, BurstError | None]:
    """A task's value, or why it cannot be loaded here; a later attempt may succeed, since the bytes are kept."""
    try:
        return unpack_value(data, home=home), None
    except NameError as error:
        if error.name:
            return None, _undefined(task, error.name)
        trouble: Exception = error
    except Exception as error:  # noqa: BLE001 - loading runs the classes' own code
        trouble = error
    unopened = BurstError(
        f"task {task}'s value cannot be unpickled here: {type(trouble).__name__}: {trouble}",
        way_out="fix that and try again; the result is kept",
    )
    unopened.__cause__ = trouble
    return None, unopened


def _undefined(task: int, name: str) -> BurstError:
    return BurstError(
        f"task {task}'s value needs {name}, which is not defined here",
        way_out=f"run the cell that defines {name} in the notebook, then try again there; the result is kept",
    )


def not_run(task: int, reason: str) -> NotRun:
    """The exception for a task that will never run."""
    return NotRun(
        f"task {task} did not run: {reason}",
        way_out="run the cell again for the missing ones. Finished results: %burst_collect --nowait",
    )
