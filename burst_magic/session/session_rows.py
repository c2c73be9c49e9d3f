"""Sessions as rows of a list. Loads no pickle."""

from __future__ import annotations

import calendar
import time
from collections.abc import Sequence

from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.protocol.wire.model import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One row of ``%burst_sessions`` and ``%burst_cost``. Times are seconds since the epoch; money is micro-dollars.

    Attributes:
        cost: so far; None if nobody knows the price of its workers.
        estimate: what its jobs were expected to cost when they were submitted; None if that was not known of each.
        fargate: what Fargate would have charged, for workers that are free.
        problem: why the session could not be read; the counts are then 0.
    """

    id: str
    name: str
    created: float
    last_activity: float
    total: int = 0
    pending: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cost: int | None = 0
    estimate: int | None = None
    fargate: int | None = None
    launcher: str = ""
    region: str = ""
    state: str = ""
    notebook: str = ""
    problem: str = ""


def row_of(manifest: Manifest, seen: Sequence[Snapshot], *, estimate: int | None) -> SessionRow:
    """A session's row; its name is the newest that any of its jobs has.

    Args:
        manifest: the session.
        seen: the state of each of its jobs, the one that tells of the session first.
        estimate: what its jobs were expected to cost together.
    """
    newest = max((each for each in seen if each.name), key=lambda each: each.created, default=None)
    return SessionRow(
        id=manifest.sid,
        name=newest.name if newest else "",
        created=manifest.created,
        last_activity=max(map(_last_activity, seen)),
        total=sum(each.total for each in seen),
        pending=sum(each.pending for each in seen),
        running=sum(each.running for each in seen),
        completed=sum(each.completed for each in seen),
        failed=sum(each.failed for each in seen),
        cost=seen[0].spend if manifest.priced else None,
        estimate=estimate,
        fargate=seen[0].fargate_spend if manifest.priced and not seen[0].rate else None,
        launcher=manifest.launcher,
        region=dict(manifest.options).get("region", ""),
        state=seen[0].ended.value if seen[0].ended and all(each.ended for each in seen) else "running",
        notebook=manifest.notebook,
    )


def unreadable_row(sid: str, problem: BurstError) -> SessionRow:
    """The row of a session that cannot be read."""
    created = _began(sid)
    return SessionRow(id=sid, name="(unreadable)", created=created, last_activity=created, problem=problem.problem)


def _began(sid: str) -> float:
    """When its id was made, or 0: anyone can name a folder like a session."""
    try:
        return float(calendar.timegm(time.strptime(sid[:15], "%Y%m%d-%H%M%S")))
    except ValueError:
        return 0.0


def _last_activity(seen: Snapshot) -> float:
    return seen.finished_at or max([seen.created, *(worker.seen for worker in seen.workers)])
