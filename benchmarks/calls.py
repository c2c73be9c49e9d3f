"""What a session on ECS asks of AWS, by action: the table, its formula, and starburst beside it. Runs nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.process import Figures

COLUMNS = {"cloud_noops": "no-ops", "cloud_naps": "1 s each"}
STARBURST = 195.0  # requests to S3 a task: a replica of its source, detached, 150 tasks on 4 workers; grows with tasks
# Where a count comes from; W workers. A heartbeat is due every 20 s, and nobody watches.
FORMULA = {
    "ecs RunTask": "W",
    "ecs DescribeTaskDefinition": "2: the configured one, and that of this image",
    "ecs ListTasks": "1",
    "ecs DescribeTasks": "W/100 every 10 s while a client is attached, every 5 s while workers are coming",
    "agent credentials": "W; not AWS: the task's own agent",
    "agent metadata": "W; the same",
    "logs": "W: ECS opens a stream for each task",
    "s3 PUT": "9 + 4 W + claims + segments + W every 20 s",
    "s3 GET": "3 + 6 W + one or two a claim + segments whose values are read",
    "s3 LIST": "5 W + 2 a segment + those of idle workers and of the client",
    "s3 POST": "1",
}


def calls_table(measured: Mapping[str, Sequence[Figures]]) -> list[str]:
    """As Markdown; empty if nothing of it was measured."""
    found = {title: measured[work] for work, title in COLUMNS.items() if measured.get(work)}
    if not found:
        return []
    size = next(iter(found.values()))[0]
    head = f"{size['n']:.0f} tasks on {size['workers']:.0f} workers"
    lines = [f"| {head} | {' | '.join(found)} | formula |", "|" + "---|" * (len(found) + 2)]
    for kind, formula in FORMULA.items():
        counts = [f"{_count(runs, kind):g}" for runs in found.values()]
        lines.append(f"| {kind} | {' | '.join(counts)} | {formula} |")
    for label, services in (("control plane, a task", ("ecs",)), ("S3, a task", ("s3",))):
        shares = [f"{sum(_count(runs, name) for name in services) / size['n']:.3f}" for runs in found.values()]
        beside = f"starburst: {STARBURST:.0f}" if "s3" in services else ""
        lines.append(f"| {label} | {' | '.join(shares)} | {beside} |")
    return lines


def _count(runs: Sequence[Figures], kind: str) -> float:
    return median(figures.get(f"session {kind}", 0.0) for figures in runs)
