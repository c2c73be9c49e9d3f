"""What a cell has in common with earlier ones: idle workers that it can use, or the same work."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

from burst_magic import config
from burst_magic.errors import BurstError
from burst_magic.magics.desk import DESK

if TYPE_CHECKING:
    from burst_magic.environment.sync import Synced
    from burst_magic.magics import calls
    from burst_magic.plan.planner import Plan
    from burst_magic.session.session import Session
    from burst_magic.session.session_list import ListedJob

_LOOKED_AT = 3  # of the jobs that ran the same cell, the newest so many


def fingerprint(cell: str, map_expr: str) -> str:
    """Tells a cell and its ``--map`` from all others, whatever the blanks at its ends."""
    return hashlib.sha256(f"{map_expr.strip()}\n{cell.strip()}".encode()).hexdigest()[:32]


def warm(
    call: calls.BurstCall,
    plan: Plan,
    settings: config.Settings,
    *,
    setenv: tuple[tuple[str, str], ...],
    synced: Synced | None,
) -> Session | None:
    """The idle session of this kernel whose workers equal those that the call would start, if there is one.

    A call with a deadline or a budget gets its own session.
    """
    if call.fresh or "deadline" in call.settings or settings.budget is not None or not DESK.open:
        return None
    from burst_magic.session.submit import Labels, manifest_of
    from burst_magic.session.warm import find_warm

    labels = Labels(notebook=str(DESK.notebook or ""), setenv=setenv)
    wanted = manifest_of("", plan, settings, labels, synced)
    return find_warm(reversed(DESK.open.values()), wanted, settings, exactly="workers" in call.settings)


def with_time_left(session: Session, settings: config.Settings) -> Session | None:
    """The session, whose deadline is moved if need be; None if it ended meanwhile."""
    from burst_magic.session.warm import prolong

    try:
        prolong(session, settings)
    except BurstError:
        return None
    return session


def about_joining(session: Session) -> str:
    """The message for a joined cell."""
    return f"runs on the idle workers of session {session.id}; --fresh starts new ones"


def about_repeating(cell: str, settings: config.Settings) -> str:
    """Warning that the cell is already running, and how to follow that run; "" if it isn't."""
    running = _running(cell, settings)
    if running is None:
        return ""
    from burst_magic.ui.text import one_line

    ident = f"{running.id}/{running.job}"
    return (
        f"this cell is still running as {ident} ({one_line(running.snapshot())}), so the same work is being done twice;"
        f" to follow the first run instead: %burst_attach {ident}   to stop it: %burst_cancel {ident}"
    )


def earlier(cell: str, settings: config.Settings) -> tuple[tuple[float, ...], str]:
    """How many seconds tasks of this cell took when it ran last, and where that was; ((), "") if it never has."""
    for line in _alike(cell, settings):
        with contextlib.suppress(BurstError), DESK.looking_at(line.id, line.job, settings) as session:
            session.status()
            seconds = session.results().seconds()
            if seconds:
                return seconds, f"{len(seconds)} tasks of {line.id}/{line.job} ({session.manifest.launcher})"
    return (), ""


def _alike(cell: str, settings: config.Settings) -> list[ListedJob]:
    """The newest jobs of this notebook, or of this kernel, that ran the cell; the newest first."""
    from burst_magic.session import session_list

    mine = str(DESK.notebook or "")
    lines = [line for line in session_list.read(settings.sessions_file) if line.cell == cell]
    lines = [line for line in lines if (line.id, line.job) in DESK.open or (mine and line.notebook == mine)]
    return lines[: -_LOOKED_AT - 1 : -1]


def _running(cell: str, settings: config.Settings) -> Session | None:
    """The newest job of this notebook, or of this kernel, that runs the cell and is not over."""
    for line in _alike(cell, settings):
        # Deleted or out of reach: not seen to run.
        with contextlib.suppress(BurstError), DESK.looking_at(line.id, line.job, settings) as session:
            if session.ended() is None:
                return session
    return None
