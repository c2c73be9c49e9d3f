"""What ``--json`` prints of sessions, one job and its values. Dollars, seconds, and None where a fact is not known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from burst_magic.units import MICRO

if TYPE_CHECKING:
    from burst_magic.protocol.snapshot import Snapshot
    from burst_magic.session.attach import SessionRow


def status_json(seen: Snapshot) -> str:
    """The facts of ``burst status``."""
    from burst_magic.ui import phrases
    from burst_magic.ui.drawing import frame_of

    shown = frame_of(seen)
    facts = {
        "session": seen.sid,
        "job": seen.jid,
        "name": seen.name,
        "title": seen.title,
        "state": shown.state,
        "over": shown.over,
        "created": _time(seen.created),
        "ended": _time(seen.finished_at),
        "deadline": _time(seen.deadline),
        "elapsed": round(phrases.elapsed(shown), 3),
        "left": None if shown.over else seen.eta,
        "tasks": {
            "total": seen.total,
            "pending": seen.pending,
            "running": seen.running,
            "completed": seen.completed,
            "failed": seen.failed,
            "reused": seen.reused,
        },
        "launcher": seen.launcher,
        "workers": {"wanted": seen.wanted, "started": seen.started, "alive": seen.alive, "lost": seen.lost},
        "cost": dollars(seen.spend) if seen.priced else None,
        "on_fargate": dollars(seen.fargate_spend) if seen.priced and not seen.rate else None,
        "waiting": phrases.waiting(shown),
        "stale": phrases.stale(shown),
        "errors": [{"count": count, "text": text} for count, text in seen.errors],
    }
    return json.dumps(facts, indent=1)


def sessions_json(rows: Iterable[SessionRow]) -> str:
    """The rows of ``burst sessions``."""
    found = [
        {
            "session": row.id,
            "name": row.name,
            "state": row.state,
            "created": _time(row.created),
            "last_activity": _time(row.last_activity),
            "launcher": row.launcher,
            "region": row.region,
            "total": row.total,
            "pending": row.pending,
            "running": row.running,
            "completed": row.completed,
            "failed": row.failed,
            "cost": None if row.problem else dollars(row.cost),
            "on_fargate": dollars(row.fargate),
            "notebook": row.notebook,
            "problem": row.problem,
        }
        for row in rows
    ]
    return json.dumps(found, indent=1)


def values_json(values: Sequence[object]) -> str:
    """A JSON array, one value a line. A value that JSON cannot express is given as its ``repr``."""
    return "[\n" + ",\n".join(map(_value, values)) + "\n]" if values else "[]"


def dollars(micros: int | None) -> float | None:
    """Micro-dollars as dollars."""
    return None if micros is None else micros / MICRO


def _value(value: object) -> str:
    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(repr(value))


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy as Python's; refuses anything else."""
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(type(value).__name__)


def _time(at: float | None) -> str | None:
    """ISO 8601 in UTC."""
    return None if at is None else datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="seconds")
