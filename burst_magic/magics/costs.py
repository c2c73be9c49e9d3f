"""``%burst_cost`` without an ID: what sessions were expected to cost and did, as a table, JSON or CSV; and prices."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from burst_magic.errors import BurstError, OptionError
from burst_magic.magics.listing import dollars

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.magics import calls
    from burst_magic.session.attach import SessionRow

NEWEST = 20  # sessions that are listed unless all are asked for
COLUMNS = (
    "session",
    "name",
    "created",
    "state",
    "launcher",
    "region",
    "tasks",
    "completed",
    "failed",
    "estimate",
    "cost",
    "on_fargate",
    "notebook",
)
Cell = str | int | float | None  # of JSON and CSV


def listed(call: calls.CostCall, settings: Settings) -> str:
    """The sessions' costs, oldest first."""
    from burst_magic.session import attach as attaching
    from burst_magic.ui import text

    where = attaching.whereabouts(settings)
    shown = where if call.all or call.csv else where[-NEWEST:]
    rows = attaching.sessions(settings, where=shown)
    if call.csv:
        return _write(rows, Path(call.csv).expanduser())
    if call.json:
        return json.dumps([_record(row) for row in rows], indent=1)
    older = len(where) - len(shown)
    rest = [f"and {older} older; --all shows them"] if older else []
    problems = [f"{row.id}: {row.problem}" for row in rows if row.problem]
    return "\n".join([text.cost_table(rows, now=time.time()), *rest, *problems])


def _record(row: SessionRow) -> dict[str, Cell]:
    """One session; dollars, and None where an amount is not known."""
    values = (
        row.id,
        row.name,
        datetime.fromtimestamp(row.created, timezone.utc).isoformat(timespec="seconds"),
        row.state,
        row.launcher,
        row.region,
        row.total,
        row.completed,
        row.failed,
        dollars(row.estimate),
        dollars(None if row.problem else row.cost),
        dollars(row.fargate),
        row.notebook,
    )
    return dict(zip(COLUMNS, values, strict=True))


def _write(rows: Sequence[SessionRow], path: Path) -> str:
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(_record(row) for row in rows)
    except OSError as error:
        raise OptionError(f"--csv {path}: {error.strerror or error}") from None
    return f"{len(rows)} session{'s' * (len(rows) != 1)} written to {path}"


def refreshed(settings: Settings) -> str:
    """Ask AWS for the configured region's prices and show them."""
    from burst_magic.aws.prices import PriceFile

    region = settings.aws.get("region", "")
    if not region:
        raise BurstError("no region is configured", way_out="burst config aws.region=eu-central-1")
    lines = [f"Fargate in {region}, Linux on demand, an hour:"]
    for arch, price in PriceFile(settings.data_dir).refresh(region).fargate.get(region, {}).items():
        when = f", {price.date}" if price.date else ""
        lines.append(f"  {arch:<7} ${price.vcpu:g} a vCPU, ${price.gb:g} a GB ({price.source}{when})")
    return "\n".join(lines)
