"""The results of a job as a table: one row a task, with what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from burst_magic.errors import BurstError
from burst_magic.protocol.wire.model import OutcomeKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from burst_magic.protocol.wire.model import Outcome


def frame_of(
    items: Sequence[object], known: Sequence[tuple[object, BaseException | None]], outcomes: Iterable[Outcome]
) -> Any:
    """A pandas DataFrame of a job, indexed by task; its columns are those of ``Results.to_frame``.

    Args:
        items: of each task.
        known: of each task, its value, or what stands for it and why there is none.
        outcomes: of the tasks that have one, in any order.

    Raises:
        BurstError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError:
        raise BurstError(
            "pandas is not installed, and to_frame() returns one of its tables",
            way_out="pip install pandas; or use list(results), results.errors and results.outcomes",
        ) from None

    def column(values: Sequence[object]) -> Any:
        """As pandas infers it; where some are missing, as they are: it would make floats of [1, None]."""
        plain = all(value is not None for value in values)
        return pd.Series(list(values), dtype=None if plain and len(values) else object)

    ended = {outcome.task: outcome for outcome in outcomes}
    told = [ended.get(task) for task in range(len(known))]
    columns = {
        "item": column(items),
        "value": column([value if error is None else None for value, error in known]),
        "error": pd.Series([_error(*each) for each in zip(known, told, strict=True)], dtype=object),
        "began": pd.to_datetime([each.began or None if each else None for each in told], unit="s", utc=True),
        "wall": pd.Series([each.wall if each else None for each in told], dtype=float),
        "cpu": pd.Series([each.cpu if each else None for each in told], dtype=float),
        "peak_mb": pd.Series([each.peak_mb if each else None for each in told], dtype=float),
        "attempts": pd.Series([each.attempts if each else 0 for each in told], dtype=int),
        "worker": pd.Series([each.worker if each else "" for each in told], dtype=object),
    }
    return pd.DataFrame(columns).rename_axis("task")


def _error(known: tuple[object, BaseException | None], outcome: Outcome | None) -> str | None:
    """Why a task has no value, in one line; None if it has one or may still get one."""
    if known[1] is None:
        return None
    kind, message = type(known[1]).__name__, str(known[1])
    if outcome is not None and outcome.failed:
        kind = outcome.error if outcome.kind is OutcomeKind.ERROR else kind
        message = outcome.message
    return ": ".join(filter(None, (kind, next(iter(message.splitlines()), ""))))
