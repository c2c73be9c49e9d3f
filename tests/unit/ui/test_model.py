"""What is shown of a Snapshot."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst_magic.protocol.wire.model import EndCause, Gone, JobEnd, SlotView, Span, StartView, WorkerView
from burst_magic.ui.model import (
    CELLS,
    THIN,
    Phase,
    about,
    clean,
    count,
    dollars,
    duration,
    frame,
    heat_strip,
    panel_model,
    percent,
    size_of,
)

ALIVE = WorkerView(wid="w1", started=1000.0, seen=1080.0, rate=0)
STATES = ("pending", "running", "completed", "failed")


@given(st.lists(st.tuples(st.integers(1, 700), st.sampled_from(STATES)), max_size=60))
def test_every_task_is_counted_in_exactly_one_cell_in_its_own_state(runs):
    spans, states = [], []
    for length, state in runs:
        spans.append(Span(start=len(states), stop=len(states) + length, state=state))
        states += [state] * length

    cells = heat_strip(tuple(spans), len(states))

    assert len(cells) <= CELLS
    assert [cell.start for cell in cells[1:]] == [cell.stop for cell in cells[:-1]]
    for cell in cells:
        here = states[cell.start : cell.stop]
        assert cell.mix == tuple(here.count(state) for state in STATES)
    assert sum(cell.stop - cell.start for cell in cells) == len(states)


def test_no_task_makes_no_cell_and_counts_as_all_done(snapshot):
    shown = panel_model(
        snapshot(total=0, pending=0, running=0, completed=0, failed=0, spans=(), failures=(), ended=JobEnd.FINISHED)
    )

    assert shown.cells == ()
    assert shown.progress == f"100{THIN}%"
    assert (shown.phase, shown.state) == (Phase.FINISHED, "no items")


def test_one_task_is_one_cell():
    (cell,) = heat_strip((Span(start=0, stop=1, state="failed"),), 1)

    assert (cell.start, cell.stop, cell.mix) == (0, 1, (0, 0, 0, 1))


def test_a_million_tasks_are_at_most_four_hundred_cells_and_one_failure_is_in_one_of_them():
    spans = (
        Span(start=0, stop=777_777, state="completed"),
        Span(start=777_777, stop=777_778, state="failed"),
        Span(start=777_778, stop=777_790, state="running"),
        Span(start=777_790, stop=1_000_000, state="pending"),
    )

    cells = heat_strip(spans, 1_000_000)

    assert len(cells) == 400
    assert (cells[311].start, cells[311].mix) == (777_500, (2_210, 12, 277, 1))


def test_tasks_that_no_span_covers_are_pending():
    (cell,) = heat_strip((), 1)

    assert cell.pending == 1


def test_a_frame_of_a_million_tasks_is_small_and_of_a_finished_job_smaller(finished):
    ragged = tuple(Span(start=at, stop=at + 333, state=STATES[at // 333 % 4]) for at in range(0, 1_000_000 - 333, 333))
    busy = frame(panel_model(finished(ended=None, total=1_000_000, spans=ragged)))
    done = frame(panel_model(finished(total=1_000_000, spans=(Span(start=0, stop=1_000_000, state="completed"),))))

    assert len(busy.encode()) < 8_000
    assert len(done.encode()) < 700


def test_a_frame_says_what_the_model_says(snapshot):
    shown = json.loads(frame(panel_model(snapshot(name="squares")), buttons=("cancel",)))

    assert shown["counts"] == [50, 8, 40, 2]
    assert shown["cells"] == [[40, 0, 1, 0], [2, 0, 0, 1], [8, 1, 0, 0], [50, 0, 0, 0]]
    assert (shown["progress"], shown["elapsed"], shown["left"]) == (f"42{THIN}%", "1 min 20 s", "≈ 2 min left")
    assert (shown["title"], shown["buttons"], shown["over"]) == ("squares", ["cancel"], False)
    assert shown["go_on"] == "%burst_attach 20261121-091500-abcd2345"


@pytest.mark.parametrize(
    ("changes", "phase", "state"),
    [
        ({}, Phase.RUNNING, "running"),
        ({"running": 0}, Phase.WAITING, "waiting"),
        ({"running": 0, "workers": (ALIVE,)}, Phase.RUNNING, "running"),
        ({"running": 0, "workers": (ALIVE,), "waiting": "capacity"}, Phase.WAITING, "waiting"),
        ({"running": 0, "completed": 0, "failed": 0, "workers": (ALIVE,)}, Phase.WAITING, "starting"),
        ({"ended": JobEnd.CANCELLED}, Phase.ENDED, "cancelled"),
        ({"ended": JobEnd.CLOSED}, Phase.ENDED, "closed"),
        ({"ended": JobEnd.DEADLINE}, Phase.ENDED, "deadline reached"),
        ({"ended": JobEnd.BUDGET}, Phase.ENDED, "budget spent"),
        ({"ended": JobEnd.DELETED}, Phase.ENDED, "deleted"),
        (
            {"ended": JobEnd.NOBODY, "end_detail": "no\x1b[31m disk"},
            Phase.ENDED,
            "no workers: no disk",
        ),
        ({"ended": JobEnd.FINISHED, "completed": 98, "pending": 0, "running": 0}, Phase.FAILED, "finished, 2 failed"),
        (
            {"ended": JobEnd.CLOSED, "completed": 100, "failed": 0, "pending": 0, "running": 0},
            Phase.FINISHED,
            "finished",
        ),
    ],
)
def test_a_job_is_in_one_phase(snapshot, changes, phase, state):
    shown = panel_model(snapshot(**changes))

    assert (shown.phase, shown.state) == (phase, state)


def test_the_clock_of_a_finished_job_stands_still(finished):
    assert panel_model(finished()).elapsed == 200.0


def test_after_the_end_nothing_waits_and_nothing_is_left(snapshot):
    shown = panel_model(snapshot(ended=JobEnd.CANCELLED, waiting="no workers"))

    assert (shown.waiting, shown.left, shown.idle_word) == ("", "", "not run")


def test_a_local_session_says_what_fargate_would_have_cost(snapshot):
    assert panel_model(snapshot()).cost == "no charge; on Fargate this would be $0.0042"


def test_on_workers_that_are_older_than_the_job_the_cost_is_said_to_be_the_session_s(snapshot):
    aws = {"launcher": "fargate", "rate": 49_370, "spend": 120_000, "job_spend": 20_000}

    assert panel_model(snapshot(**aws, workers=(ALIVE,))).cost == "$0.12 so far"
    assert panel_model(snapshot(**aws, workers=(ALIVE,), created=1030.0)).cost == (
        "$0.12 so far (whole session; $0.02 while this cell ran)"
    )
    assert panel_model(snapshot(workers=(ALIVE,), created=1030.0)).cost.endswith("be $0.0042 (whole session)")


def test_on_aws_the_cost_is_what_was_spent(snapshot):
    assert panel_model(snapshot(launcher="fargate", rate=49_370, spend=120_000)).cost == "$0.12 so far"
    assert panel_model(snapshot(launcher="fargate", rate=49_370, spend=120_000, ended=JobEnd.CANCELLED)).cost == "$0.12"


def test_the_longest_running_task_of_this_job_on_a_living_worker_is_named(snapshot):
    gone = Gone(worker="dead", cause=EndCause.CRASH, at=1050.0)
    workers = (
        WorkerView(
            wid="dead", started=1000, seen=1050, rate=0, gone=gone, slots=(SlotView(job="j1", task=1, since=1),)
        ),
        WorkerView(wid="other", started=1000, seen=1080, rate=0, slots=(SlotView(job="j0", task=2, since=2),)),
        WorkerView(
            wid="w1",
            started=1000,
            seen=1080,
            rate=0,
            slots=(
                SlotView(job="j1", task=42, since=1020.0),
                SlotView(job="j1", task=43, since=1070.0),
                SlotView(job="j1", task=41, since=1010.0),  # has an outcome already
                SlotView(),
            ),
        ),
    )

    longest = panel_model(snapshot(workers=workers)).longest

    assert (longest.task, longest.since, longest.worker) == (42, 1020.0, "w1")
    assert panel_model(snapshot(workers=workers)).alive == 2


def test_more_kinds_of_failure_than_fit_are_counted(snapshot, group):
    shown = panel_model(snapshot(failures=tuple(group(1, f"Error{n}") for n in range(11))))

    assert (len(shown.errors), shown.more_errors) == (8, 3)


def test_output_is_split_into_lines_and_made_harmless(snapshot):
    tail = ((3, "first\nse\x1b[31mcond\x1b[0m\n\n"), (4, "10%\r20%\r"), (5, "x" * 500), (6, "a\u202eb\x07"))

    shown = panel_model(snapshot(tail=tail)).tail

    assert shown[:4] == ((3, "first"), (3, "second"), (4, "10%"), (4, "20%"))
    assert len(shown[4][1]) == 240
    assert shown[5] == (6, "ab")


def test_titles_links_and_other_terminal_escapes_vanish():
    assert clean("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07 \x1b]0;title\x07end") == "link end"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1000, "1 000"), (1_000_000, "1 000 000"), (-1234, "-1 234")]
)
def test_counts_are_grouped_by_threes(number, text):
    assert count(number, gap=" ") == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 5, "0"), (1, 1_000_000, "<1"), (999_999, 1_000_000, "99"), (5, 5, "100"), (1, 100, "1"), (1, 101, "<1")],
)
def test_percentages_are_rounded_down_and_never_say_nothing_of_something(part, whole, text):
    assert percent(part, whole) == f"{text}{THIN}%"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.42, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3599.7, "1 h 00 min"),
        (8040, "2 h 14 min"),
        (273_600, "3 d 04 h"),
    ],
)
def test_durations_have_two_units(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "a few seconds"),
        (42, "≈ 40 s"),
        (58, "≈ 1 min"),
        (170, "≈ 3 min"),
        (5400, "≈ 1.5 h"),
        (7200, "≈ 2 h"),
        (400_000, "≈ 5 d"),
    ],
)
def test_forecasts_have_one_unit(seconds, text):
    assert about(seconds) == text


def test_large_sums_are_grouped_and_small_ones_are_not_nothing():
    assert [dollars(micro, gap=" ") for micro in (0, 3, 4_200, 1_234_567_890)] == [
        "$0.00",
        "<$0.0001",
        "$0.0042",
        "$1 234.57",
    ]


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (812, "812 B"), (1_240, "1.2 kB"), (200_000_000, "200 MB"), (10**13, "10.0 TB")]
)
def test_sizes_are_decimal(size, text):
    assert size_of(size) == text


def test_workers_that_are_coming_while_others_run_are_told_with_what_they_are_at(snapshot):
    coming = tuple(StartView(token=f"{n}", phase="provisioning", seconds=40.0 + n) for n in range(3))
    coming += (StartView(token="asked", phase="asked for", seconds=1.0),)
    assert panel_model(snapshot(coming=coming)).fleet.endswith("; 3 provisioning for 42 s")
    assert "provisioning" not in panel_model(snapshot(coming=coming, waiting="workers: …")).fleet


@pytest.mark.parametrize(
    ("attended", "said"),
    [(True, "; 2 of 32 lost"), (False, "; 2 of 32 lost, not replaced while no notebook is attached")],
)
def test_lost_workers_are_told_with_what_becomes_of_them(snapshot, attended, said):
    facts = {"wanted": 32, "lost": 2, "attended": attended}
    assert panel_model(snapshot(**facts)).fleet.endswith(f"32 wanted{said}")
    assert "lost" not in panel_model(snapshot(**facts, ended=JobEnd.CANCELLED)).fleet
