"""What ran when: each task while they are few, bounded however many they are."""

from __future__ import annotations

import pytest

from burst_magic.protocol.snapshot import WorkerView
from burst_magic.protocol.wire.model import SlotView
from burst_magic.protocol.wire.records import TaskSpan
from burst_magic.ui.details import worker_names
from burst_magic.ui.frame import to_json
from burst_magic.ui.timeline import BARS, BINS, LANES, timeline_page


def run(task, began, wall=1.0, *, failed=False, worker="w1", slot=0):
    return TaskSpan(task, began, wall, failed, worker, slot)


def worker(wid, started, *slots):
    return WorkerView(wid=wid, started=started, seen=1080.0, rate=0, slots=slots)


def test_each_task_is_in_the_lane_of_its_slot_and_lanes_are_in_the_order_of_starts(snapshot):
    seen = snapshot(workers=(worker("late", 1020.0), worker("w1", 1000.0)))
    runs = [run(1, 1030.0, worker="late"), run(2, 1010.0, slot=1), run(0, 1005.0, 2.0, failed=True), run(3, 1001.0)]
    page = timeline_page(seen, runs, worker_names(seen))

    assert [lane.name for lane in page.lanes] == ["worker 1, slot 1", "worker 1, slot 2", "worker 2"]
    first = page.lanes[0]
    assert [bar.task for bar in first.bars] == [3, 0]
    assert (first.tasks, first.failed, first.busy) == (2, 1, 3.0)
    assert (page.start, page.stop, page.tasks, page.left_out) == (1000.0, 1080.0, 4, 38)


def test_what_runs_now_has_a_place_though_it_has_no_outcome(snapshot):
    running = SlotView(job="j1", task=44, since=1070.0, memory_mb=0.0)
    of_another_job = SlotView(job="j2", task=1, since=1070.0, memory_mb=0.0)
    seen = snapshot(workers=(worker("w1", 1000.0, running, of_another_job),))
    (lane,) = timeline_page(seen, [], worker_names(seen)).lanes

    assert (lane.running, lane.since, lane.tasks) == (44, 1070.0, 0)


def test_results_that_were_taken_from_an_earlier_session_did_not_run_in_this_one(snapshot):
    page = timeline_page(snapshot(), [run(0, 500.0), run(1, 0.0, 0.0), run(2, 1010.0)], {})

    assert (page.tasks, page.left_out, [lane.name for lane in page.lanes]) == (1, 41, ["w1"])


def test_of_many_tasks_each_interval_says_how_busy_a_lane_was_and_where_a_task_failed(snapshot):
    width = 80.0 / BINS
    half = [run(at, 1000.0 + (at % 100 + 0.25) * width, width / 2 / 30, failed=at == 7) for at in range(3000)]
    (lane,) = timeline_page(snapshot(total=3000), half, {}).lanes

    assert lane.bars == ()
    assert lane.cells == "f7Ff92a200"


def test_a_task_of_several_intervals_fills_them(snapshot):
    few = [run(at, 1000.0, 0.001) for at in range(BARS)]
    (lane,) = timeline_page(snapshot(), [run(9999, 1020.0, 20.0), *few], {}).lanes

    assert lane.cells.endswith("a74k75a150")


@pytest.mark.parametrize("wall", [0.0, 1e9, float("inf"), float("nan"), -5.0])
def test_times_that_cannot_be_are_cut_to_the_page(snapshot, wall):
    """Of machines whose clocks are wrong, or a damaged record."""
    page = timeline_page(snapshot(), [run(0, 1010.0, wall), *[run(at, 1010.0) for at in range(1, BARS + 2)]], {})

    assert sum(len(lane.cells) > 0 for lane in page.lanes) == 1
    assert page.tasks >= BARS + 1
    assert "NaN" not in to_json(page)
    assert "Infinity" not in to_json(page)


def test_a_page_of_a_million_tasks_and_a_thousand_workers_is_bounded(snapshot):
    runs = (run(at, 1000.0 + at % 797 / 10, 0.01, worker=f"w{at % 1000}") for at in range(100_000))
    page = timeline_page(snapshot(total=10**6), runs, {})

    assert (len(page.lanes), page.more) == (LANES, 900)
    assert len(to_json(page)) < 80_000
