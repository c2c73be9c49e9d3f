"""What a session has cost, line by line."""

from __future__ import annotations

from burst_magic.protocol.money import Life
from burst_magic.protocol.snapshot import WorkerView
from burst_magic.protocol.wire.model import Manifest
from burst_magic.ui.bill import bill_text

MANIFEST = {
    "sid": "20260101-000000-aaaaaaaa",
    "created": 1000.0,
    "launcher": "spot",
    "workers": 4,
    "slots": 1,
    "cpu": 1.0,
    "memory_mb": 2048,
    "arch": "x86_64",
    "seed": 0,
    "deadline": 5000.0,
    "idle": 300.0,
    "interval": 20.0,
    "floor": 2.0,
}


def worker(wid, *, rate, seconds):
    return WorkerView(wid=wid, started=1000.0, seen=1000.0 + seconds, rate=rate)


def test_workers_are_billed_by_rate_and_for_the_minimum_at_least(snapshot):
    workers = (
        worker("a", rate=30_000, seconds=30.0),
        worker("b", rate=30_000, seconds=90.0),
        worker("c", rate=54_000, seconds=120.0),
    )
    seen = snapshot(workers=workers, spend=3_050, started=3)
    lines = bill_text(seen, Manifest(**MANIFEST, rate=30_000, minimum=60.0)).splitlines()
    assert lines[0].endswith(": $0.0031 so far, at list price (a worker is billed for 1 min 00 s at least)")
    assert lines[1] == "  2 × $0.03 an hour, 2 min 00 s billed as 2 min 30 s: $0.0013"  # (60 s + 90 s) of 30 000
    assert lines[2] == "  1 × $0.05 an hour, 2 min 00 s: $0.0018"
    assert lines[3].startswith("  not included: up to ")
    assert "store requests of this job, $0.00" in lines[3]


def test_spot_is_marked_as_a_guess_with_what_it_costs_at_most(snapshot):
    workers = (worker("a", rate=30_000, seconds=90.0), worker("c", rate=54_000, seconds=120.0))
    seen = snapshot(workers=workers, spend=2_550, started=2)
    text = bill_text(seen, Manifest(**MANIFEST, rate=30_000, ceiling=54_000, minimum=60.0))
    said = text.splitlines()[0].partition("so far, ")[2]
    assert said.startswith("at most $0.0032: AWS publishes no price of Spot")  # 210 s of 54 000
    assert said.endswith("which is counted at 50% of the list price (a worker is billed for 1 min 00 s at least)")


def test_tasks_that_ended_before_they_could_work_are_on_the_bill(snapshot):
    failed = tuple(Life(since=1000.0, until=1000.0 + seconds, rate=30_000) for seconds in (10.0, 20.0))
    seen = snapshot(workers=(worker("a", rate=30_000, seconds=60.0),), unheard=failed)
    lines = bill_text(seen, Manifest(**MANIFEST, rate=30_000, minimum=60.0)).splitlines()
    assert lines[2] == ("  2 × $0.03 an hour, 30 s billed as 2 min 00 s: $0.0010 (ended before they could work)")


def test_once_the_pace_is_known_it_says_what_is_to_come(snapshot):
    workers = (worker("a", rate=36_000, seconds=60.0), worker("b", rate=36_000, seconds=60.0))
    seen = snapshot(workers=workers, spend=10_000, forecast=1680.0)
    text = bill_text(seen, Manifest(**MANIFEST, rate=36_000, minimum=60.0))
    assert text.endswith("\nto come: ≈ 10 min, then ≈ $0.02 in all, idle time not included")  # 10 000 + 2 × 6 000
    free = bill_text(
        snapshot(workers=workers, forecast=1680.0, fargate_spend=4_000), Manifest(**MANIFEST, fargate_rate=48_000)
    )
    assert free.endswith("\nto come: ≈ 10 min, then ≈ $0.02 on Fargate in all, idle time not included")
    assert "to come" not in bill_text(snapshot(workers=workers, forecast=None), Manifest(**MANIFEST, rate=36_000))


def test_of_free_workers_it_says_what_fargate_would_have_charged(snapshot):
    text = bill_text(snapshot(), Manifest(**MANIFEST, fargate_rate=49_370))
    assert "$0.00 so far (spot workers)" in text
    assert "on Fargate: $0.0042 (4 workers at $0.05 an hour each)" in text
    alone = bill_text(snapshot(started=1), Manifest(**MANIFEST, fargate_rate=49_370))
    assert "(1 worker at $0.05 an hour each)" in alone
