"""The bookkeeping of slots: what the machine asks for goes in, what it must hear comes out as events."""

from __future__ import annotations

import pytest

from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire.model import ClaimKey, SegmentKey
from burst_magic.protocol.wire.records import PackedRun, pack_value
from burst_magic.protocol.worker.ledger import Ledger

CLAIM, HEIR = ClaimKey(start=0, number=0), ClaimKey(start=0, number=1)


@pytest.fixture
def ledger():
    """Slot 0 was given tasks 0 to 3; slot 1 has nothing to do."""
    ledger = Ledger(2)
    ledger.begin(0, "0", CLAIM, range(4))
    return ledger


def run(first, count=1):
    records = [pack_value(task, b"value", began=0, wall=0, cpu=0, peak_mb=0) for task in range(first, first + count)]
    return PackedRun(first=first, count=count, data=b"".join(records))


def take(ledger, *tasks):
    return [ledger.take(0, run(task)) for task in tasks]


EACH = len(run(0))


def segment(start, stop, claim=CLAIM):
    return SegmentKey(at_ms=1, start=start, stop=stop, failed=0, claim=claim)


def test_outcomes_are_taken_in_order_and_each_once(ledger):
    assert take(ledger, 0, 2, 1, 1, 2) == [True, False, True, False, True]
    assert ledger.progress(0, (1,)) == [fx.Progress(0, "0", CLAIM, 3, (1,), 3 * EACH)]
    assert len(ledger.outcomes("0", segment(1, 3))) == 2


@pytest.mark.parametrize(
    ("done", "told", "taken"),
    [
        (0, (0, 4), range(4)),
        (1, (0, 3), range(1, 3)),  # one of them was told before
        (1, (2, 2), range(0)),
        (1, (0, 1), range(0)),
        (0, (0, 9), range(4)),  # those behind the range are another's
        (4, (4, 2), range(0)),
    ],
)
def test_of_many_outcomes_those_of_the_next_tasks_are_taken(ledger, done, told, taken):
    take(ledger, *range(done))
    assert ledger.take(0, run(*told)) == bool(taken)
    assert ledger.progress(0, ())[0].upto == done + len(taken)
    if taken:
        assert ledger.outcomes("0", segment(taken.start, taken.stop)) == [run(taken.start, len(taken))]


def test_a_segment_may_begin_and_end_within_what_was_told_at_a_time(ledger):
    ledger.take(0, run(0, 3))
    take(ledger, 3)
    assert ledger.outcomes("0", segment(1, 4)) == [run(1, 2), run(3)]
    assert ledger.outcomes("0", segment(1, 2)) == [run(1)]
    ledger.forget(fx.Forget("0", CLAIM, 2))
    assert ledger.waiting == 2 * EACH
    assert ledger.outcomes("0", segment(2, 4)) == [run(2), run(3)]


def test_a_slot_whose_range_is_finished_has_nothing_to_do_and_keeps_its_outcomes(ledger):
    take(ledger, 0, 1, 2, 3)
    assert ledger.ready(0) == []  # until that is told
    assert ledger.progress(0, ()) == [fx.Progress(0, "0", CLAIM, 4, (), 4 * EACH)]
    assert (ledger.busy, ledger.waiting) == (False, 4 * EACH)
    assert ledger.ready(0) == [fx.SlotReady(0)]
    ledger.forget(fx.Forget("0", CLAIM, 4))
    assert list(ledger.works) == []


def test_an_heir_has_all_that_is_not_yet_published(ledger):
    take(ledger, 0)
    ledger.adopt(fx.Adopt("0", CLAIM, HEIR))
    take(ledger, 1)
    assert ledger.progress(0, ()) == [fx.Progress(0, "0", HEIR, 2, (), 2 * EACH)]
    assert len(ledger.outcomes("0", segment(0, 2, HEIR))) == 2


def test_a_slot_that_runs_something_drains_when_that_is_done(ledger):
    assert ledger.drain(0, runs=True) is None
    assert ledger.drain(0, runs=True) == []  # asked for twice
    take(ledger, 0)
    assert ledger.ready(0) == [fx.Stopped(0, "0", CLAIM, 1)]
    assert not ledger.busy


@pytest.mark.parametrize("slot", [0, 1])
def test_a_slot_that_runs_nothing_drains_at_once(ledger, slot):
    told = [fx.Stopped(0, "0", CLAIM, 0)] if slot == 0 else []
    assert ledger.drain(slot, runs=False) == told
    assert ledger.seats[slot].ending == ""


def test_what_a_slot_says_after_it_is_to_be_killed_makes_it_ready_for_nothing(ledger):
    assert ledger.kill(0, rests=False) is None
    assert ledger.kill(0, rests=False) == []
    assert ledger.kill(1, rests=False) is None
    assert ledger.ready(0) == ledger.ready(1) == []
    assert ledger.stopped(0) == [fx.Stopped(0, "0", CLAIM, 0)]
    assert ledger.stopped(1) == []


def test_only_a_slot_that_pauses_where_it_was_told_to_is_stopped_without_its_end(ledger):
    assert ledger.pause(fx.Pause(0, "0", CLAIM, 1)).pause == 1
    assert ledger.kill(0, rests=True) is None  # it rests where it was told to before, and may have gone on by now
    ledger.seats[0].ending = ""
    take(ledger, 0)
    assert ledger.kill(0, rests=True) == [fx.Stopped(0, "0", CLAIM, 1)]


def test_a_pause_for_a_range_that_the_slot_has_no_longer_is_not_passed_on(ledger):
    take(ledger, 0, 1, 2, 3)
    ledger.progress(0, ())
    assert ledger.pause(fx.Pause(0, "0", CLAIM, None)) is None
    ledger.begin(0, "1", CLAIM, range(2))
    assert ledger.pause(fx.Pause(0, "0", CLAIM, None)) is None
    assert ledger.pause(fx.Pause(0, "1", CLAIM, 1)) is not None


def test_a_cut_takes_a_pause_behind_it_away(ledger):
    ledger.pause(fx.Pause(0, "0", CLAIM, 3))
    assert ledger.truncate(fx.Truncate(0, 2)).stop == 2
    assert ledger.seats[0].work.pause is None
    assert ledger.truncate(fx.Truncate(1, 2)) is None


def test_what_was_stopped_keeps_its_outcomes_and_is_waited_for_by_nobody(ledger):
    take(ledger, 0, 1)
    ledger.stopped(0)
    assert len(ledger.outcomes("0", segment(0, 2))) == 2
    assert ledger.waiting == 0
