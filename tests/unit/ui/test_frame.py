"""What a frame says, how large it is, and when it changes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from burst_magic.protocol.snapshot import Span, StartView, WaitCause, WaitReason, WorkerView
from burst_magic.protocol.wire.model import EndCause, Gone, JobEnd, OutcomeKind, SlotView
from burst_magic.session.session_rows import SessionRow
from burst_magic.ui import frame
from burst_magic.ui.drawing import CELLS, frame_of, strip
from burst_magic.ui.frame import Phase, to_json
from burst_magic.ui.saved import bundle
from tests.unit.ui.conftest import conforms

STATES = ("pending", "running", "completed", "failed")
LETTERS = {"p": "pending", "r": "running", "c": "completed", "f": "failed"}


def worker(number=1, *, now=1080.0, rate=0, task=None, since=None, started=1000.0):
    slot = SlotView(job="j1", task=task, since=since)
    return WorkerView(wid=f"w{number}", started=started, seen=now, rate=rate, slots=(slot,))


def worst(snapshot, group, total):
    """As much as there can be to say."""
    spans = tuple(Span(start=at, stop=min(total, at + 2), state=STATES[at // 2 * 7 % 4]) for at in range(0, total, 2))
    counts = dict.fromkeys(STATES, 0)
    for span in spans:
        counts[span.state] += span.stop - span.start
    return snapshot(
        total=total,
        spans=spans,
        **counts,
        name="n" * 300,
        out="results_of_this_cell",
        launcher="fargate",
        rate=49_370,
        budget=5_000_000,
        estimate=4_000_000,
        wanted=1000,
        started=1200,
        deadline=1_800_000_000.123,
        workers=tuple(worker(n, rate=49_370, task=n, since=1001.5) for n in range(1000)),
        coming=tuple(StartView(token=f"{n}", phase=f"phase {n % 4}", seconds=3.0 + n) for n in range(100)),
        lost=3,
        refused="r" * 500,
        wait=WaitReason(cause=WaitCause.REFUSED, words="w" * 500),
        trouble="t" * 500,
        as_of=1000.0,
        failures=tuple(group(9, "m" * 500, error="E" * 90, line=n, first=n) for n in range(30)),
        tail=tuple((n, "o" * 500) for n in range(20)),
    )


@pytest.mark.parametrize(("total", "most"), [(1000, 2_000), (10_000, 5_000), (1_000_000, 6_000)])
def test_a_frame_without_its_parts_is_small_whatever_there_is_to_say(snapshot, group, total, most):
    drawn = frame_of(worst(snapshot, group, total))

    assert len(to_json(drawn.lean).encode()) <= most
    assert len(to_json(drawn).encode()) <= 10_000


@pytest.mark.parametrize("total", [0, 1, 1000])
def test_a_frame_is_what_its_schema_says(snapshot, group, total):
    for drawn in (frame_of(worst(snapshot, group, total)), frame_of(worst(snapshot, group, total)).lean):
        conforms(drawn)


def test_nothing_changes_while_tasks_sleep(snapshot):
    """Ten minutes, in which two tasks sleep, a worker is billed, another is installing, and the store answers."""

    def asleep(now):
        return snapshot(
            now=now,
            as_of=now - 3.0,
            rate=49_370,
            spend=int(now),
            workers=(worker(1, now=now, rate=49_370, task=42, since=1020.25), worker(2, now=now, rate=7)),
            coming=(StartView(token="t", phase="provisioning", seconds=now - 1005.0),),
            wait=WaitReason(cause=WaitCause.SILENT, words="no heartbeat", since=1001.0),
        )

    frames = [frame_of(asleep(1100.0 + second)) for second in range(600)]

    assert len({to_json(replace(drawn, at=0.0)) for drawn in frames}) == 1
    assert len({drawn.etag for drawn in frames}) == 1
    assert {drawn.longest.since for drawn in frames} == {1020.25}


def test_a_new_result_changes_it(snapshot):
    assert frame_of(snapshot()).etag != frame_of(snapshot(completed=41, running=7)).etag


@pytest.mark.parametrize("part", ["failures", "output"])
def test_a_part_is_left_out_for_a_reader_that_has_it(snapshot, group, part):
    drawn = frame_of(snapshot(tail=((3, "hello"),)))
    known = {part: getattr(drawn.revisions, part)}
    later = frame_of(snapshot(failures=(group(3, "new"),), tail=((3, "bye"),)))

    assert part not in json.loads(to_json(drawn.without(**known)))
    assert part in json.loads(to_json(drawn.without(**{part: "another"})))
    assert part in json.loads(to_json(later.without(**known)))


def test_revisions_are_the_same_in_every_process_and_at_every_time(snapshot):
    assert frame_of(snapshot(now=1080.0)).revisions == frame_of(snapshot(now=5000.0)).revisions


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # it makes values, and keeps nothing
@given(st.tuples(*[st.integers(0, 50)] * 6), st.sampled_from([None, *JobEnd]))
def test_counts_never_contradict_each_other(snapshot, numbers, ended):
    total, pending, running, completed, failed, reused = numbers
    facts = {"total": total, "pending": pending, "running": running, "completed": completed, "failed": failed}
    counts = frame_of(snapshot(**facts, reused=reused, spans=(), ended=ended)).counts

    parts = (counts.pending, counts.running, counts.completed, counts.failed, counts.not_run)
    assert sum(parts) == counts.total
    assert min(parts) >= 0
    assert counts.reused <= counts.completed
    assert (counts.pending + counts.running if ended else counts.not_run) == 0


def test_after_the_end_no_worker_is_said_to_live_and_nothing_is_expected(snapshot, finished):
    drawn = frame_of(
        finished(workers=(worker(now=9000.0), worker(2, now=9000.0)), wanted=2, lost=1, refused="no", forecast=1.0)
    )

    assert (drawn.workers.alive, drawn.workers.lost, drawn.workers.refused) == (0, "", "")
    assert (drawn.forecast, drawn.longest, drawn.waiting, drawn.ended) == (None, None, None, 1200.0)
    assert drawn.end == "finished"


def test_no_items_are_no_hundred_percent(finished):
    drawn = frame_of(finished(total=0, completed=0, spans=()))

    assert (drawn.state, drawn.progress, drawn.tasks.cells) == ("no items", "", "")


def test_failures_keep_class_type_line_and_the_number_of_messages(snapshot, group):
    failures = (
        group(20, "'column_0'", error="KeyError", line=3, first=7, messages=4),
        group(1, "x" * 400, error="ValueError", line=5, kind=OutcomeKind.ERROR),
        group(2, "gone", kind=OutcomeKind.LOST),
    )
    shown = frame_of(snapshot(failures=failures)).failures.groups

    assert (shown[0].kind.value, shown[0].type, shown[0].line) == ("raised", "KeyError", 3)
    assert (shown[0].count, shown[0].messages, shown[0].first) == (20, 4, 7)
    assert shown[1].line == 5
    assert len(shown[1].message) == 240
    assert shown[2].kind.value == "lost"


def test_a_file_name_that_is_no_utf_8_keeps_no_page_from_its_frame(snapshot, group):
    odd = "data\udce9.csv"
    seen = snapshot(name=odd, tail=((0, odd),), failures=(group(1, odd),))
    said = bundle(frame_of(seen))
    for text in (to_json(frame_of(seen)), *(said[kind] for kind in ("text/html", "text/plain"))):
        assert "data" in text
        text.encode()
    assert to_json(SessionRow(id="", name=odd, created=0.0, last_activity=0.0, notebook=odd)).encode()


def test_groups_that_are_not_listed_are_counted_with_their_tasks(snapshot, group):
    shown = frame_of(snapshot(failures=tuple(group(n, f"{n}") for n in range(11, 0, -1)))).failures

    assert (len(shown.groups), shown.more, shown.more_tasks) == (8, 3, 1 + 2 + 3)


def test_tasks_that_did_not_run_are_a_group_with_the_reason_and_the_first_of_them(snapshot):
    shown = frame_of(snapshot(ended=JobEnd.DEADLINE)).failures.groups[-1]

    assert (shown.kind.value, shown.count, shown.first, shown.message) == ("not run", 58, 50, "deadline reached")


def test_a_wait_says_what_to_do(snapshot):
    for cause in WaitCause:
        waiting = frame_of(snapshot(wait=WaitReason(cause=cause, words="why"))).waiting
        assert (waiting.cause, waiting.words) == (cause, "why")
    silent = WaitReason(cause=WaitCause.SILENT, words="no heartbeat", since=1000.0)
    assert "%burst_attach" in frame_of(snapshot(wait=silent, attended=False)).waiting.way_out
    assert "replaced" in frame_of(snapshot(wait=silent)).waiting.way_out


def test_facts_are_stale_since_the_store_stopped_answering(snapshot):
    late = {"now": 1080.0, "as_of": 950.0}

    assert frame_of(snapshot(now=1080.0, as_of=1075.0)).stale is None
    assert frame_of(snapshot(**late, trouble="503")).stale == frame.Staleness(since=950.0, why="503")
    assert frame_of(snapshot(**late, ended=JobEnd.CANCELLED)).stale is None


def test_output_is_the_last_lines_made_harmless(snapshot):
    tail = ((3, "first\nse\x1b[31mcond\x1b[0m\n\n"), (4, " 10%\r 20%\ra\u202eb\x07"))

    assert [(line.task, line.text) for line in frame_of(snapshot(tail=tail)).output.lines] == [
        (3, "first"),
        (3, "second"),
        (4, "ab"),
    ]


def unfold(cells):
    """The letters of a strip."""
    letters, number = [], ""
    for each in f"{cells}$":
        if each.isdigit():
            number += each
            continue
        if letters and number:
            letters += letters[-1:] * (int(number) - 1)
        number = ""
        letters.append(each)
    return letters[:-1]


@given(st.lists(st.tuples(st.integers(1, 30), st.sampled_from(STATES)), max_size=40))
def test_a_short_strip_tells_the_state_of_each_task(runs):
    spans, states = [], []
    for length, state in runs:
        spans.append(Span(start=len(states), stop=len(states) + length, state=state))
        states += [state] * length

    drawn = strip(spans, len(states))

    assert drawn.size == 1
    assert [LETTERS[letter] for letter in unfold(drawn.cells)] == states


@given(st.lists(st.tuples(st.integers(1, 700), st.sampled_from(STATES)), min_size=200, max_size=600))
def test_a_long_strip_shows_the_worst_of_each_cell(runs):
    spans, states = [], []
    for length, state in runs:
        spans.append(Span(start=len(states), stop=len(states) + length, state=state))
        states += [state] * length

    drawn = strip(spans, len(states))
    letters = unfold(drawn.cells)

    assert len(drawn.cells) <= CELLS
    assert len(letters) == -(-len(states) // drawn.size)
    for number, letter in enumerate(letters):
        here = set(states[number * drawn.size : (number + 1) * drawn.size])
        expected = "f" if "failed" in here else "r" if "running" in here else None
        expected = expected or ("h" if len(here) > 1 else {"pending": "p", "completed": "c"}[here.pop()])
        assert letter == expected


def test_a_million_tasks_are_exact_where_they_are_few_runs():
    spans = (Span(start=0, stop=777_777, state="completed"), Span(start=777_777, stop=777_778, state="failed"))

    assert strip(spans, 1_000_000) == frame.TaskStrip(size=1, cells="c777777fp222222")


@pytest.mark.parametrize(
    ("changes", "phase", "state"),
    [
        ({}, Phase.RUNNING, "running"),
        ({"running": 0}, Phase.WAITING, "waiting"),
        ({"running": 0, "workers": (worker(),)}, Phase.RUNNING, "running"),
        ({"running": 0, "workers": (worker(),), "waiting": "capacity"}, Phase.WAITING, "waiting"),
        ({"running": 0, "completed": 0, "failed": 0, "workers": (worker(),)}, Phase.WAITING, "starting"),
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
    shown = frame_of(snapshot(**changes))

    assert (shown.phase, shown.state) == (phase, state)


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

    longest = frame_of(snapshot(workers=workers)).longest

    assert (longest.task, longest.since, longest.worker) == (42, 1020.0, "w1")
    assert frame_of(snapshot(workers=workers)).workers.alive == 2
