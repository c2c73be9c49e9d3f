"""What a view is told of its requests, whoever carries them out: a kernel or the Jupyter server. Pure."""

from __future__ import annotations

from burst_magic.ui.words import dollars, duration


def job_cancelled(*, continues: bool) -> str:
    """A job was cancelled.

    Args:
        continues: the session has other jobs.
    """
    rest = "the session's other jobs continue" if continues else "the session ends with it"
    return f"Cancelling this job: running tasks are stopped, finished results are kept; {rest}."


def session_cancelled() -> str:
    """A session was cancelled."""
    return "Cancelling the session and its jobs: running tasks are stopped, finished results are kept, workers end."


def deleted(sid: str, objects: int) -> str:
    """A session was deleted with its results."""
    return f"Session {sid} and its results were deleted: {objects} object{'s' * (objects != 1)}."


def scaled(workers: int) -> str:
    """Another number of workers is wanted."""
    return f"{workers} workers wanted."


def extended(left: float, budget: int | None) -> str:
    """The deadline was moved, or the budget raised.

    Args:
        left: seconds until the deadline.
        budget: the new one in micro-dollars, or None: it is as it was.
    """
    money = "" if budget is None else f"; it may cost {dollars(budget)}"
    return f"{duration(left)} until the session's deadline{money}."


def closed() -> str:
    """A session's workers were told to end."""
    return "Stopping the workers: running tasks finish first, pending ones are not run, results are kept."
