"""Failures of all kinds, published by hand: the whole road from a segment to what users see."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from burst_magic.errors import TaskFailed, WorkerLost
from burst_magic.payload import pack_value
from burst_magic.protocol.log import make_final
from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.wire import blocks, keys, records
from burst_magic.protocol.wire.model import ClaimKey, Job, Outcome, OutcomeKind, SegmentKey
from burst_magic.ui import html, text
from burst_magic.ui.drawing import frame_of

VERDICT = "it ended 3 workers: exit code -9, 4012 MB seen"
LOST = Outcome(task=2, kind=OutcomeKind.LOST, error="WorkerLost", message=VERDICT, item="'poison'")


def good(task):
    return Outcome(task=task, kind=OutcomeKind.VALUE, value=pack_value(task * 10, home={}))


def bad(task, line=3):
    story = f'Traceback (most recent call last):\n  File "<cell 1>", line {line}, in <module>\nKeyError: {task}'
    return Outcome(task=task, kind=OutcomeKind.ERROR, error="KeyError", message=str(task), traceback=story)


class Published:
    """A job of a session, whose segments a test writes."""

    def __init__(self, session, store, tasks):
        self.secret, self.store = bytes.fromhex(session.key), store
        self.keys = keys.SessionKeys(session.id).job("hand")
        self.ident, self.cover = f"{session.id}/hand", Cover(tasks)
        self.record(self.keys.record, Job(jid="hand", created=time.time() - 9, tasks=tasks, lanes=(0,), seed=1))

    def record(self, key, record):
        self.store.put(key, records.encode(record, secret=self.secret, key=key))

    def segment(self, *outcomes):
        start, stop = outcomes[0].task, outcomes[-1].task + 1
        failed = sum(outcome.failed for outcome in outcomes)
        claim = ClaimKey(start=0, number=0)
        segment = SegmentKey(at_ms=int(time.time() * 1000), start=start, stop=stop, failed=failed, claim=claim)
        entries = [(outcome.task, records.pack_outcome(outcome)) for outcome in outcomes]
        key = self.keys.segment(segment)
        self.store.put(
            key, b"".join(blocks.write_blocks(self.secret, key, entries, lengths=False, head=records.pack_origin()))
        )
        self.cover.add(segment)

    def final(self):
        self.record(self.keys.final, make_final("hand", self.cover, time.time(), by="hand"))


@pytest.fixture
def published(world):
    """A job of three tasks, of which the last ended its workers."""
    made = Published(world.burst("item", [1]).wait(), world.store, 3)
    made.segment(good(0), good(1), LOST)
    made.final()
    return made


def test_a_task_that_ended_its_workers_is_a_failure_with_its_reason_and_its_item(world, published):
    session = world.attach(published.ident)
    out = session.results()
    assert out[:2] == [0, 10]
    with pytest.raises(WorkerLost, match="it ended 3 workers: exit code -9, 4012 MB seen") as caught:
        out[2]
    assert "item 'poison'" in caught.value.context
    shown = "\n".join(caught.value._render_traceback_())
    assert shown == f"WorkerLost: {VERDICT}\n  in task 2 (item 'poison')"
    with pytest.raises(WorkerLost):
        session.wait()
    assert [type(each) for each in out.collect(errors="return")] == [int, int, WorkerLost]
    assert out.collect(errors="skip") == [0, 10]
    assert dict(session.as_completed(errors="skip")) == {0: 0, 1: 10}


def test_a_task_that_ended_its_workers_is_told_in_every_view(world, published):
    session = world.attach(published.ident)
    seen = session.status()
    (failure,) = session.errors
    assert repr(failure) == f"<task 2 (item 'poison'): WorkerLost: {VERDICT}>"
    assert (seen.completed, seen.failed, seen.errors) == (2, 1, ((1, f"WorkerLost: {VERDICT}"),))
    assert f"1 × WorkerLost: {VERDICT}" in text.status_text(seen)
    assert f"WorkerLost: {VERDICT}" in html.panel_html(frame_of(seen))
    lines = [(line.source, line.text) for line in session.logs()]
    assert lines == [("2", f"WorkerLost: {VERDICT}"), ("2", "  in task 2 (item 'poison')")]


def test_failures_are_read_once_however_often_somebody_looks(world, flaky):
    published = Published(world.burst("item", [1]).wait(), flaky.inner, 9)
    session = world.attach(published.ident)
    for first in (0, 3, 6):
        published.segment(bad(first), good(first + 1), bad(first + 2, line=5))
        seen = session.status()
        session.status()
    assert seen.errors == ((3, "KeyError: 0 at line 3"), (3, "KeyError: 2 at line 5"))
    read = [key for verb, key in flaky.calls if verb == "get" and "/hand/results/" in key]
    assert len(read) == len(set(read)) == 3


def test_two_threads_that_fetch_one_segment_at_once_hold_it_once(world, flaky):
    """The user's thread reads values, and the driver's counts failures."""
    published = Published(world.burst("item", [1]).wait(), flaky.inner, 2)
    published.segment(good(0), good(1))
    published.final()
    reader = world.attach(published.ident)._reader
    together = Barrier(2)
    flaky.weather = lambda verb, key: together.wait(60) if verb == "get" and "/hand/results/" in key else None
    with ThreadPoolExecutor(2) as pool:
        read = pool.map(lambda _: [outcome.task for outcome in reader.outcomes(published.cover.parts)], range(2))
        assert list(read) == [[0, 1], [0, 1]]
    assert reader._held == sum(opened.bytes for opened in reader._open.values()) > 0


def test_results_and_lists_add_up_to_lists(world):
    out = world.burst("item", [1, 2]).results()
    assert out + [3] == [1, 2, 3]  # noqa: RUF005 - it is what is tested
    assert [0] + out == [0, 1, 2]  # noqa: RUF005
    assert out + out == [1, 2, 1, 2]
    with pytest.raises(TypeError):
        out + (3,)  # noqa: RUF005


def test_what_cannot_be_rebuilt_keeps_its_words(world):
    published = Published(world.burst("item", [1]).wait(), world.store, 1)
    published.segment(bad(0))
    with pytest.raises(TaskFailed, match="KeyError: 0"):
        world.attach(published.ident).results()[0]
