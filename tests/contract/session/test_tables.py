"""Results and facts as tables and text: what each task gave and took, and what a status prints."""

from __future__ import annotations

import pytest

from burst_magic.session.results import PENDING
from burst_magic.ui.text import status_text

MIXED = "if item == 2:\n    raise ValueError('no\\nway')\nitem * 10"


def test_results_know_their_session(world):
    session = world.burst("item", [1])
    assert session.results().session is session


def test_a_frame_has_one_row_a_task_with_what_it_gave_and_took(world):
    table = world.burst(MIXED, range(4)).results().to_frame()
    assert list(table.columns) == [
        *("item", "value", "error", "began", "wall", "cpu", "peak_mb", "attempts", "worker"),
    ]
    assert table.index.name == "task"
    assert table["item"].tolist() == [0, 1, 2, 3]
    assert table["value"].tolist() == [0, 10, None, 30]
    assert table["error"].tolist() == [None, None, "ValueError: no", None]
    assert table["attempts"].tolist() == [1] * 4
    assert (table["wall"] > 0).all()
    assert (table["peak_mb"] > 1).all()
    assert str(table["began"].dt.tz) == "UTC"
    assert table["worker"].str.len().min() > 0


def test_whole_numbers_stay_whole_where_every_task_has_one(world):
    assert world.burst("item", range(3)).results().to_frame()["value"].dtype == int


def test_an_exception_that_a_task_returned_is_its_value(world):
    table = world.burst("ValueError('found')", range(1)).results().to_frame()
    assert str(table["value"][0]) == "found"
    assert table["error"][0] is None


def test_a_frame_of_a_running_job_holds_pending_where_there_is_no_result_yet(world, gate, until):
    cell = f"import os, time\nwhile item and not os.path.exists({str(gate)!r}):\n    time.sleep(0.01)\nitem"
    results = world.burst(cell, range(3)).results()
    until(lambda: results.collect(wait=False)[0] == 0, "the first result")
    table = results.to_frame(wait=False)
    assert table["value"].tolist() == [0, PENDING, PENDING]
    assert table["error"].tolist() == [None] * 3
    assert results.collect(wait=False, pending="skip") == [0]
    results.session.cancel()
    table = results.to_frame()
    assert table["value"].tolist() == [0, None, None]
    assert table["error"][2].startswith("NotRun: task 2 did not run: cancelled")
    assert table["attempts"].tolist() == [1, 0, 0]


def test_items_come_back_in_another_kernel_and_of_what_cannot_be_loaded_there_none(world):
    source = "class Point:\n    def __init__(self, x):\n        self.x = x"
    exec(compile(source, "<cell>", "exec"), world.home)
    points = [world.home["Point"](1), (2, "two"), world.home["Point"](3)]
    session = world.burst("item.x if isinstance(item, Point) else 0", points)
    session.wait()
    assert [getattr(item, "x", item) for item in session.items()] == [1, (2, "two"), 3]
    del world.home["Point"]
    again = world.attach(session.id)
    assert again.items() == [None, (2, "two"), None]
    assert again.results().to_frame()["value"].tolist() == [1, 0, 3]


def test_a_cell_that_runs_once_is_one_row_without_an_item(world):
    table = world.burst("40 + 2").results().to_frame()
    assert table["item"].tolist() == [None]
    assert table["value"].tolist() == [42]


def test_without_a_task_a_frame_has_its_columns_and_no_row(world):
    table = world.burst("item", []).results().to_frame()
    assert "value" in table.columns
    assert len(table) == 0


@pytest.mark.parametrize(("argument", "value"), [("errors", "ignore"), ("pending", "drop")])
def test_a_word_that_collect_does_not_know_is_refused(world, argument, value):
    session = world.burst("item", [1])
    with pytest.raises(Exception, match=f"{argument}='{value}' is none of"):
        session.results().collect(**{argument: value})


def test_a_status_prints_as_the_magic_shows_it(world):
    session = world.burst(MIXED, range(4), name="fit")
    session.wait(errors="return")
    seen = session.status()
    assert str(seen) == status_text(seen)
    assert str(seen).startswith(f"fit · {session.id}/0 · finished, 1 failed")
    assert repr(seen) == f"<JobStatus {session.id}/0: 4 of 4, finished, 1 failed>"
    assert (seen.completed, seen.failed) == (3, 1)
