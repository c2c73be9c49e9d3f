"""What is fetched on demand."""

from __future__ import annotations

import pytest

from burst_magic.protocol.failures import key_of
from burst_magic.protocol.snapshot import Span, WorkerView
from burst_magic.protocol.wire.displays import Display
from burst_magic.protocol.wire.model import EndCause, Gone, JobEnd, Outcome, OutcomeKind, SlotView
from burst_magic.ui.details import EXACT, PAGE, states_page, task_detail, tasks_page, workers_page
from tests.unit.ui.conftest import conforms


def failed(task, message="no 1", **facts):
    return Outcome(task=task, kind=OutcomeKind.ERROR, error="ValueError", message=message, **facts)


def test_the_tasks_of_a_group_come_page_by_page_and_no_others():
    outcomes = [failed(task, f"no {task}" if task % 2 else "another") for task in range(500)]
    group = key_of(failed(1)).ident

    found, after = [], -1
    while after is not None:
        page = conforms(tasks_page(outcomes, group, after=after))
        assert len(page.rows) <= PAGE
        found += [row.task for row in page.rows]
        after = page.next

    assert found == list(range(1, 500, 2))


def test_a_group_of_exactly_one_page_has_no_next():
    outcomes = [failed(task) for task in range(PAGE)]

    assert tasks_page(outcomes, key_of(outcomes[0]).ident).next is None


def test_a_task_tells_all_that_is_known_of_it_and_nothing_that_moves_a_cursor():
    outcome = failed(
        7,
        "bad\x1b[31m",
        traceback='Traceback\n  File "<cell 1>", line 2\n',
        output="10%\r99%\rprinted\x07\n",
        item="'x'",
        worker="w1",
        slot=3,
        began=1000.5,
        wall=2.5,
        cpu=1.5,
        peak_mb=64.0,
        attempts=2,
    )

    shown = conforms(task_detail(outcome))

    assert (shown.task, shown.type, shown.line, shown.worker, shown.slot) == (7, "ValueError", 2, "w1", 3)
    assert (shown.began, shown.wall, shown.cpu, shown.peak_mb, shown.attempts) == (1000.5, 2.5, 1.5, 64.0, 2)
    assert "\x1b" not in shown.message
    assert shown.output == "printed\\x07\n"
    assert shown.traceback.splitlines()[1] == '  File "<cell 1>", line 2'


def test_a_task_shows_what_it_displayed_in_the_richest_form_that_is_safe():
    bundles = [
        {"text/plain": "<Figure>\x1b", "text/html": "<b>", "image/png": "aaaa"},
        {"text/plain": "a frame", "text/html": "<table>"},
        {"text/plain": "math", "text/latex": "$x$\x1b"},
        {"text/plain": "json", "application/json": {"a": [1]}},
        {"text/plain": "printed, too"},
        {"text/plain": "… left out: 3 more"},
        {"application/vnd.x+json": {}},
    ]
    shown = tuple(Display(data=data) for data in bundles)
    outcome = Outcome(task=7, kind=OutcomeKind.VALUE, value=b"pickle", output="printed, too\n", displays=shown)

    detail = conforms(task_detail(outcome))

    assert [(each.mime, each.data, each.words) for each in detail.displays] == [
        ("image/png", "aaaa", "<Figure>"),
        ("text/html", "<table>", "a frame"),
        ("text/plain", "$x$\\x1b", "math"),
        ("text/plain", '{\n "a": [\n  1\n ]\n}', "json"),
        ("text/plain", "… left out: 3 more", "… left out: 3 more"),
        ("text/plain", "<application/vnd.x+json>", "<application/vnd.x+json>"),
    ]
    assert (detail.kind, detail.type, detail.line) == (None, "", None)


def test_indenting_json_does_not_multiply_what_is_shown():
    deep = [1] * 100_000
    for _ in range(40):
        deep = [deep]
    outcome = Outcome(task=0, kind=OutcomeKind.VALUE, displays=(Display(data={"application/json": deep}),))
    assert len(task_detail(outcome).displays[0].data) < 400_000


def test_states_are_exact_for_ten_thousand_tasks_at_a_time(snapshot):
    spans = tuple(Span(start=at, stop=at + 1, state="completed" if at % 2 else "failed") for at in range(EXACT + 5))
    seen = snapshot(total=EXACT + 5, spans=spans)

    first, rest = conforms(states_page(seen)), conforms(states_page(seen, EXACT))

    assert (first.start, first.stop, first.tasks.size, first.tasks.cells) == (0, EXACT, 1, "fc" * (EXACT // 2))
    assert (rest.start, rest.stop, rest.tasks.cells) == (EXACT, EXACT + 5, "fcfcf")
    assert states_page(seen, 10**9).tasks.cells == ""


@pytest.mark.parametrize("many", [3, PAGE + 20])
def test_workers_have_names_in_order_of_their_start_and_the_living_come_first(snapshot, many):
    gone = Gone(worker="w0", cause=EndCause.SPOT, at=1010.0, detail="the machine was taken back")
    slots = (SlotView(job="j1", task=5, since=1070.0, memory_mb=12.5), SlotView(job="other", task=6, since=1.0))
    workers = tuple(
        WorkerView(wid=f"w{n}", started=1000.0 + n, seen=1080.0, rate=0, slots=slots, gone=None if n else gone)
        for n in range(many)
    )

    page = conforms(workers_page(snapshot(workers=workers)))
    over = workers_page(snapshot(workers=workers, ended=JobEnd.FINISHED))

    assert (page.workers[0].name, page.workers[0].id, page.workers[0].ended) == ("worker 2", "w1", "")
    assert [slot.task for slot in page.workers[0].slots] == [5, None]
    assert [(slot.task, slot.since, slot.memory_mb) for slot in over.workers[0].slots] == [
        (None, None, 12.5),
        (None, None, 0),
    ]
    assert len(page.workers) + page.more == many
    if not page.more:
        assert page.workers[-1].ended == "spot: the machine was taken back"
