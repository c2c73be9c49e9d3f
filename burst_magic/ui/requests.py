"""Answer what a view asks its kernel for: facts on demand, and actions. docs/panel.md lists the requests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from burst_magic.errors import BurstError, OptionError
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.protocol.wire.model import Outcome
from burst_magic.protocol.wire.records import TaskSpan
from burst_magic.ui import notices
from burst_magic.ui.details import PanelAction, states_page, task_detail, tasks_page, worker_names, workers_page
from burst_magic.ui.frame import plain
from burst_magic.ui.timeline import timeline_page

logger = logging.getLogger(__name__)


class AskedSession(Protocol):
    """What a view may ask a session for."""

    def snapshot(self) -> Snapshot:
        """All facts that are known, without asking the store."""

    def failed_tasks(self, *, after: int = -1) -> Iterator[Outcome]:
        """The failed tasks after one, ascending; reads no further than is asked for."""

    def outcome(self, task: int) -> Outcome | None:
        """How a task ended, or None if that is not known yet."""

    def runs(self) -> Iterator[TaskSpan]:
        """When and where the tasks that have ended ran."""

    def cancel_job(self) -> bool:
        """Cancel the job, and the session if it has no other; return whether the session continues."""

    def cancel(self) -> None:
        """Cancel the session."""

    def close(self) -> None:
        """Let running tasks finish, then stop the workers."""

    def scale(self, workers: int) -> None:
        """Change the number of workers."""

    def extend(self, duration: float | str | None = None, *, budget: int | None = None) -> float:
        """Move the deadline, raise the budget, or both; return the deadline."""


def answer(session: AskedSession, message: Mapping[str, Any], *, off: Callable[[PanelAction], str]) -> dict[str, Any]:
    """The answer to one request.

    Args:
        session: the job's.
        message: the request; whatever a page sent.
        off: why an action is not possible now, or "".
    """
    ident = message.get("id")
    try:
        return {"id": ident, "ok": _asked(session, message, off)}
    except BurstError as error:
        return {"id": ident, "problem": error.problem, "context": error.context, "way_out": error.way_out}
    except Exception as error:
        logger.exception("a request of the panel failed: %s", message.get("kind"))
        return {"id": ident, "problem": f"{type(error).__name__}: {error}", "context": "", "way_out": ""}


def _asked(session: AskedSession, message: Mapping[str, Any], off: Callable[[PanelAction], str]) -> Any:
    kind, action = str(message.get("kind")), action_of(message)
    if kind in _FACTS:
        return plain(_FACTS[kind](session, message))
    if action is not None:
        if reason := off(action):
            raise OptionError(reason, context=str(action.value).replace("_", " "))
        return _ACTIONS[action](session, message)
    raise OptionError(f"the panel's kernel does not know {kind!r}", way_out="reload the page")


def action_of(message: Mapping[str, Any]) -> PanelAction | None:
    """The action that is asked for, or None."""
    return next((action for action in PanelAction if action.value == message.get("kind")), None)


def _number(message: Mapping[str, Any], name: str, default: int | None = None) -> int:
    number = message.get(name, default)
    if not isinstance(number, int) or isinstance(number, bool):
        raise OptionError(f"{name} is no whole number: {number!r}", context=str(message.get("kind")))
    return number


def _tasks(session: AskedSession, message: Mapping[str, Any]) -> object:
    after = _number(message, "after", -1)
    return tasks_page(session.failed_tasks(after=after), str(message.get("group")), after=after)


def _task(session: AskedSession, message: Mapping[str, Any]) -> object:
    task = _number(message, "task")
    outcome = session.outcome(task) if 0 <= task < session.snapshot().total else None
    if outcome is None:
        raise OptionError(f"task {task} has no outcome")
    return task_detail(outcome)


def _states(session: AskedSession, message: Mapping[str, Any]) -> object:
    return states_page(session.snapshot(), max(0, _number(message, "start", 0)))


def _workers(session: AskedSession, message: Mapping[str, Any]) -> object:
    return workers_page(session.snapshot())


def _timeline(session: AskedSession, message: Mapping[str, Any]) -> object:
    seen = session.snapshot()
    return timeline_page(seen, session.runs(), worker_names(seen))


def _cancel(session: AskedSession, message: Mapping[str, Any]) -> str:
    return notices.job_cancelled(continues=session.cancel_job())


def _cancel_session(session: AskedSession, message: Mapping[str, Any]) -> str:
    session.cancel()
    return notices.session_cancelled()


def _scale(session: AskedSession, message: Mapping[str, Any]) -> str:
    workers = _number(message, "workers")
    session.scale(workers)
    return notices.scaled(workers)


def _extend(session: AskedSession, message: Mapping[str, Any]) -> str:
    seconds, budget = _number(message, "seconds", 0), message.get("budget")
    if not seconds and budget is None:
        raise OptionError("neither a duration nor a budget was given", context="extend")
    whole = None if budget is None else _number(message, "budget")
    deadline = session.extend(seconds or None, budget=whole)
    return notices.extended(deadline - session.snapshot().now, whole)


def _cleanup(session: AskedSession, message: Mapping[str, Any]) -> str:
    session.close()
    return notices.closed()


_FACTS: dict[str, Callable[[AskedSession, Mapping[str, Any]], object]] = {
    "tasks": _tasks,
    "task": _task,
    "states": _states,
    "workers": _workers,
    "timeline": _timeline,
}
_ACTIONS: dict[PanelAction, Callable[[AskedSession, Mapping[str, Any]], str]] = {
    PanelAction.CANCEL: _cancel,
    PanelAction.CANCEL_SESSION: _cancel_session,
    PanelAction.SCALE: _scale,
    PanelAction.EXTEND: _extend,
    PanelAction.CLEANUP: _cleanup,
}
