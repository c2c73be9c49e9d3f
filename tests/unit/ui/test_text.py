"""Plain text: lines, tables and the bar."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, replace

import pytest

from burst_magic.protocol.snapshot import Span, WaitCause, WaitReason, WorkerView
from burst_magic.protocol.wire.model import JobEnd
from burst_magic.ui.drawing import frame_of
from burst_magic.ui.text import Bar, dry_run_text, errors_text, frame_text, one_line, sessions_table, status_text


@dataclass(frozen=True)
class Row:
    id: str = "20261121-091500-abcd2345"
    name: str = "squares"
    state: str = "finished"
    created: float = 1.0e9
    last_activity: float = 1.0e9 + 60
    total: int = 1_000_000
    pending: int = 0
    running: int = 12
    completed: int = 999_000
    failed: int = 988
    cost: int = 1_250_000


@dataclass(frozen=True)
class Travels:
    name: str = "scale"
    kind: str = "value"
    type: str = "int"
    size: int = 5
    lines: tuple[int, ...] = (4,)
    why: str = "used by the cell"
    secret: bool = False


def waits(words):
    return WaitReason(cause=WaitCause.WRITES, words=words)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_one_line_says_how_far_and_how_long(snapshot):
    assert one_line(snapshot(total=1_000, completed=412, failed=0, forecast=1260.0)) == "412 of 1 000, ≈ 3 min left"


def test_past_the_forecast_there_is_no_number(snapshot):
    late = snapshot(forecast=1079.0)
    assert one_line(late) == "42 of 100, 2 failed, longer than expected"
    assert (late.eta, snapshot(forecast=1081.0).eta) == (None, 1.0)


def test_one_line_counts_failures_and_says_why_nothing_runs(snapshot):
    assert one_line(snapshot(running=0, wait=waits("no workers"))) == "42 of 100, 2 failed, waiting: no workers"


def test_one_line_of_a_job_that_is_over_forecasts_nothing(snapshot, finished):
    assert one_line(finished()) == "100 of 100, in 3 min 20 s"
    assert one_line(finished(completed=98, failed=2)) == "100 of 100, finished, 2 failed"
    assert one_line(snapshot(ended=JobEnd.CANCELLED)) == "42 of 100, cancelled"


def test_status_has_every_count_and_the_way_to_go_on(snapshot):
    workers = (WorkerView(wid="w1", started=1000.0, seen=1080.0, rate=0),)
    facts = {"reused": 7, "wait": waits("capacity"), "workers": workers, "fargate_rate": 180_000}
    text = status_text(snapshot(name="squares", **facts, tail=((3, "a\nb"), (41, "c"))))

    assert text.splitlines() == [
        "squares · 20261121-091500-abcd2345/j1 · running",
        "  tasks    42 of 100 done (42 %)",
        "           40 completed, 2 failed, 8 running, 50 pending, 7 reused",
        "  workers  1 alive, 4 started, 4 wanted",
        "  time     1 min 20 s, ≈ 2 min left",
        "  cost     no charge; on Fargate this would be $0.0040",
        "  waiting  capacity",
        "  try      run %burst_doctor: it names the right or the space that is missing",
        "",
        "  2 × KeyError: 'x' at line 4; first: task 40",
        "",
        "  output",
        "   3 | a",
        "   3 | b",
        "  41 | c",
        "",
        "  in another kernel: %burst_attach 20261121-091500-abcd2345",
    ]


def test_status_of_a_finished_job_has_no_way_to_go_on(finished):
    assert "burst_attach" not in status_text(finished())


def test_status_after_the_end_tells_workers_that_are_still_alive(finished):
    idle = WorkerView(wid="w1", started=1000.0, seen=9000.0, rate=0)

    assert "  workers  1 alive, 4 started, 4 wanted\n" in status_text(finished(workers=(idle,)))


def test_words_in_a_saved_notebook_say_how_far_it_was_when_and_how_to_go_on(snapshot, finished):
    running = frame_text(frame_of(snapshot(name="squares"))).splitlines()
    over = frame_text(frame_of(finished(name="squares"))).splitlines()

    assert running[:2] == [
        "squares: running, 42 of 100, 42 %, ≈ 2 min left",
        "  2 × KeyError: 'x' at line 4; first: task 40",
    ]
    assert running[2].startswith("as seen 1970-01-01 ")
    assert running[2].endswith("; to go on: %burst_attach 20261121-091500-abcd2345")
    assert over[0] == "squares: finished, 100 of 100, 100 %"
    assert over[1].startswith("ended 1970-01-01 ")


def test_errors_are_aligned_and_the_rest_is_counted(snapshot, group):
    failures = (group(1200, "'x'", error="KeyError"), *(group(1, f"Error{n}") for n in range(9)))

    lines = errors_text(snapshot(failures=failures)).splitlines()

    assert lines[:2] == ["  1 200 × KeyError: 'x'; first: task 0", "      1 × Error0"]
    assert lines[-1] == "  and 2 more kinds of failure, 2 tasks"


def test_without_failures_the_listing_says_so(finished):
    assert errors_text(finished()) == "  no failed tasks"


NOON = time.mktime((2026, 11, 28, 12, 0, 0, 0, 0, -1))  # here


def test_sessions_are_a_table_with_aligned_numbers():
    rows = [Row(), Row(name="", state="running", created=NOON - 60, last_activity=NOON, total=3, completed=3, failed=0)]
    head, first, second = sessions_table(rows, now=NOON).splitlines()

    assert head.split() == ["id", "name", "state", "since", "last", "total", "pend", "run", "done", "fail", "cost"]
    assert first.split()[1:] == ["squares", "finished", "2001-09", "2001-09", "1.0M", "0", "12", "999k", "988", "$1.25"]
    assert second.split()[1:5] == ["running", "11:59", "12:00", "3"]
    assert second.index(" 3 ") + 2 == first.index("1.0M") + len("1.0M")
    assert sessions_table([], now=NOON) == "no sessions"


@pytest.mark.parametrize("name", ["", "squares", "a-name-that-is-longer-than-any-that-somebody-would-type-again"])
@pytest.mark.parametrize("number", [0, 99_999, 12_345_678])
@pytest.mark.parametrize("state", ["running", "cancelled", "the store is away"])
def test_a_line_of_the_table_never_wraps(name, number, state):
    numbers = dict.fromkeys(("total", "pending", "running", "completed", "failed"), number)
    row = Row(name=name, state=state, created=NOON - 90 * 86400, last_activity=NOON, cost=1_234_500_000, **numbers)
    lines = sessions_table([row, Row()], now=NOON).splitlines()
    assert max(map(len, lines)) <= 100
    assert name[:6] in lines[1]


def test_the_dry_run_names_what_travels_what_looks_secret_and_what_it_costs():
    text = dry_run_text(
        [Travels(), Travels(name="API_KEY", type="str", size=41, lines=(2, 3), secret=True)],
        facts=[("workers", "4"), ("estimate", "$0.02")],
        warnings=["the cell changes `table` in place"],
    )

    assert text.splitlines() == [
        "name     kind   type  size  lines  why",
        "scale    value  int    5 B  4      used by the cell",
        "API_KEY  value  str   41 B  2, 3   looks like a secret; used by the cell",
        "",
        "workers   4",
        "estimate  $0.02",
        "",
        "! the cell changes `table` in place",
    ]


def test_a_cell_that_needs_nothing_says_so():
    assert dry_run_text([]) == "nothing but the cell's text would be sent"


def test_the_bar_shows_counts_workers_and_the_forecast(snapshot):
    stream = io.StringIO()
    bar = Bar(stream)

    bar.draw(snapshot())

    line = stream.getvalue().rsplit("\r", 1)[-1]
    assert line.startswith(" 42 % |")
    assert line.rstrip().endswith("| 42 of 100 · 2 failed · 0 of 4 workers · 1 min 20 s · ≈ 2 min left")
    bar.close(None)


def test_the_bar_of_a_finished_job_is_full_and_ends_its_line(finished):
    stream = io.StringIO()
    bar = Bar(stream)

    bar.close(finished())

    assert stream.getvalue() == f"\r100 % |{'#' * 24}| 100 of 100 · 3 min 20 s\n"


def test_a_bar_that_is_interrupted_is_drawn_over_the_echo_of_the_key(snapshot):
    stream = io.StringIO()
    bar = Bar(stream)
    bar.draw(snapshot())
    before = stream.getvalue().splitlines()[-1]
    assert bar.release() is False
    bar.close(snapshot())
    assert stream.getvalue().splitlines()[-2] == f"{before}  "


def test_the_bar_leaves_failures_below(finished, group):
    stream = io.StringIO()

    Bar(stream).close(finished(completed=98, failed=2, failures=(group(2, "'x'", error="KeyError", line=4),)))

    assert stream.getvalue().endswith(
        "100 of 100 · 2 failed · 3 min 20 s\n  2 × KeyError: 'x' at line 4; first: task 0\n"
    )


def test_a_log_gets_a_line_a_second_at_first_and_ever_fewer(snapshot):
    stream = io.StringIO()
    bar = Bar(stream)

    for tick in range(4 * 600):
        bar.draw(snapshot(now=1000.0 + tick / 4))
    lines = stream.getvalue().count("\r")

    assert 100 < lines < 200


def test_a_terminal_sees_every_frame(snapshot):
    stream = Terminal()
    bar = Bar(stream)

    for tick in range(8):
        bar.draw(snapshot(now=1000.0 + tick / 4))

    assert stream.getvalue().count("\r") == 8


@pytest.mark.parametrize("waiting", ["{braces}", "{bar}", "}{"])
def test_text_with_braces_is_shown_as_it_is(snapshot, waiting):
    stream = io.StringIO()

    Bar(stream).draw(snapshot(wait=waits(waiting)))

    assert stream.getvalue().rstrip().endswith(waiting)


def test_a_job_without_tasks_has_a_bar_too(finished):
    stream = io.StringIO()

    Bar(stream).close(finished(total=0, completed=0, spans=()))

    assert "%" not in stream.getvalue()
    assert "0 of 0 · no items" in stream.getvalue()


def test_a_bar_that_was_never_drawn_closes_silently():
    stream = io.StringIO()

    Bar(stream).close(None)

    assert not stream.getvalue()


def test_the_bar_starts_no_thread_of_its_own(snapshot):
    import threading

    before = threading.active_count()
    Bar(io.StringIO()).draw(replace(snapshot(), spans=(Span(start=0, stop=100, state="pending"),)))

    assert threading.active_count() == before


def test_status_says_how_old_its_facts_are_once_the_store_does_not_answer(snapshot):
    late = {"now": 1080.0, "as_of": 950.0}
    assert "as of 2 min 10 s ago: the store does not answer\n" in status_text(snapshot(**late))
    assert "the store does not answer (503: slow down)" in status_text(snapshot(**late, trouble="503: slow down"))
    assert "does not answer" not in status_text(snapshot(now=1080.0, as_of=1075.0))
    assert "does not answer" not in status_text(snapshot(**late, ended=JobEnd.CANCELLED))
