"""What a view is told of its requests, whoever carries them out: a kernel or the Jupyter server. Pure."""

from __future__ import annotations


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


def scaled(workers: int) -> str:
    """Another number of workers is wanted."""
    return f"{workers} workers wanted."
