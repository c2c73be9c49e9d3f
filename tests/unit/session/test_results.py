"""Waiting for the results of a job whose end is taken back: that no worker lives was said too early."""

from __future__ import annotations

import itertools
import time

import pytest

from burst_magic.errors import NotRun, OptionError
from burst_magic.payload import pack_value
from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.wire import blocks, keys
from burst_magic.protocol.wire.displays import Display
from burst_magic.protocol.wire.model import ClaimKey, JobEnd, Outcome, OutcomeKind, SegmentKey
from burst_magic.protocol.wire.records import pack_origin, pack_outcome
from burst_magic.session.results import PENDING, Results
from burst_magic.session.segments import Failures, SegmentReader
from burst_magic.stores import open_store
from burst_magic.stores.store_driver import Carrier

SECRET = bytes(32)
TASKS = 4
JOB = keys.SessionKeys("20261121-093000-abcdefgh").job("0")
NOBODY = JobEnd.NOBODY
_names = itertools.count()


class Hasty:
    """Follows a job; the first who waits is told that it has ended, and the second gets what he waits for.

    Args:
        segments: what is published by then.
        until: when the end is taken back: as soon as it is "told", when the results are "read", or "never".
    """

    sid = "20261121-093000-abcdefgh"

    def __init__(self, segments, until):
        self.ended, self._until, self._waits = None, until, 0
        self._cover, self._to_come = Cover(TASKS), segments

    def wait_for(self, ready, timeout=None):
        self._waits += 1
        if self._waits == 1:
            self.ended = None if self._until == "told" else NOBODY
        elif self.ended is None and timeout is not None and timeout < 1:
            time.sleep(max(0.0, timeout))
        elif self.ended is None:
            self._cover.add_all(self._to_come)
        return ready()

    def refresh(self):
        return None

    @property
    def end_words(self):
        return None if self.ended is None else self.ended.words()

    def find(self, task):
        return self._cover.find(task)

    @property
    def covered(self):
        return self._cover.covered

    @property
    def segments(self):
        if self._until == "read":
            self.ended = None
        return self._cover.parts

    def segments_in(self, stretches):
        if self._until == "read":
            self.ended = None
        return [part for start, stop in stretches for part in self._cover.within(start, stop)]


def published(store, task):
    claim = ClaimKey(start=0, number=0)
    segment = SegmentKey(at_ms=1_800_000_000_000, start=task, stop=task + 1, failed=0, claim=claim)
    shown = tuple(Display(data={"text/plain": f"shown {task}"}) for _ in range(task))
    record = pack_outcome(
        Outcome(task=task, kind=OutcomeKind.VALUE, value=pack_value(task * 10, home={}), displays=shown)
    )
    key = JOB.segment(segment)
    store.put(key, b"".join(blocks.write_blocks(SECRET, key, [(task, record)], lengths=False, head=pack_origin())))
    return segment


@pytest.fixture
def results_of():
    def build(until, url=""):
        store = open_store(url or f"memory://results-{next(_names)}")
        driver = Hasty([published(store, task) for task in range(TASKS)], until)
        reader = SegmentReader(Carrier(store, SECRET, lambda _: False), JOB, "tour")
        return Results(driver, reader, Failures(reader), TASKS, {}, session=None)

    return build


def test_a_value_is_waited_for_again_when_the_end_is_taken_back(results_of):
    assert results_of("told")[2] == 20
    assert list(results_of("told")) == [0, 10, 20, 30]


@pytest.mark.parametrize("until", ["told", "read"])
def test_who_collects_waits_again_when_the_end_is_taken_back(results_of, until):
    assert results_of(until).collect() == [0, 10, 20, 30]


def test_time_has_not_run_out_when_the_end_is_taken_back(results_of):
    results = results_of("told")
    assert results.wait()
    assert results.ready()


def test_what_completes_after_the_end_was_taken_back_is_given(results_of):
    assert list(results_of("told").as_completed()) == [(0, 0), (1, 10), (2, 20), (3, 30)]


def test_when_time_runs_out_the_missing_are_pending(results_of):
    results = results_of("told")
    assert not results.wait(0.01)
    assert results.collect(timeout=0.01) == [PENDING] * TASKS


def test_an_end_that_stands_is_said_of_each_task_once(results_of):
    results = results_of("never")
    given = list(results.as_completed(errors="return"))
    assert [(task, type(error)) for task, error in given] == [(task, NotRun) for task in range(TASKS)]
    assert list(results.as_completed(errors="skip")) == []
    with pytest.raises(NotRun, match=NOBODY):
        results.collect()


def test_what_tasks_displayed_is_waited_for_again_when_the_end_is_taken_back(results_of, capsys):
    results = results_of("told")
    assert [display.text for display in results.displays[2]] == ["shown 2", "shown 2"]
    assert [len(shown) for shown in results.displays] == [len(shown) for shown in results.displays[:]] == [0, 1, 2, 3]
    assert results.displays[-1][0].data == {"text/plain": "shown 3"}
    results.show(1)
    assert capsys.readouterr().out == "shown 1\n"
    results.show(0)
    assert "displayed nothing" in capsys.readouterr().out
    with pytest.raises(IndexError, match="task 4 of 4"):
        results.displays[4]


def test_what_displays_there_are_is_said_as_far_as_it_is_known_without_asking(results_of):
    results = results_of("told")
    shown = results.displays
    assert repr(shown) == "<Displays of 4 tasks, 0 of which have ended>"
    assert len(shown[2]) == 2
    assert repr(shown) == "<Displays of 4 tasks: 2 in the 1 that were looked at>"
    assert len(list(shown)) == 4
    assert repr(shown) == "<Displays of 4 tasks: 6 in the 4 that ended>"


def test_what_displays_there_were_is_not_said_of_results_that_were_deleted(results_of, tmp_path):
    results = results_of("told", tmp_path.as_uri())
    assert len(results.collect()) == TASKS
    assert repr(results.displays) == "<Displays of 4 tasks: 6 in the 4 that ended>"
    again = results_of("told", (tmp_path / "other").as_uri())
    assert again.ready() or again.wait()
    for file in (tmp_path / "other").rglob("*"):
        if file.is_file():
            file.unlink()
    assert repr(again.displays) == "<Displays of 4 tasks, 4 of which have ended>"


@pytest.mark.parametrize(
    ("asked", "problem"), [((), "show needs the number of a task"), (("1",), "no task '1'"), ((4,), "no task 4")]
)
def test_show_says_which_tasks_there_are(results_of, asked, problem):
    with pytest.raises(OptionError) as refused:
        results_of("told").show(*asked)
    assert refused.value.problem == f"{problem}: the job has 4 tasks, numbered from 0 to 3"
    assert "results.show(0)" in refused.value.way_out


def test_what_a_task_would_have_displayed_that_will_not_run_is_not_waited_for(results_of):
    with pytest.raises(NotRun):
        results_of("never").displays[3]
