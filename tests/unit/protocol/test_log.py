"""Folding the log: no order of its entries gives another result, and nobody's wall clock is believed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from burst_magic.protocol.log import WorkersLog, fold_control, make_final, unended
from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ClaimKey, Control, ControlKind, SegmentKey

SESSION = keys.SessionKeys("20261121-093000-abcdefgh")
controls = st.builds(
    Control,
    kind=st.sampled_from(ControlKind),
    at=st.floats(0, 100),
    job=st.sampled_from(["", "0", "1"]),
    deadline=st.none() | st.floats(0, 1000),
    budget=st.none() | st.integers(0, 1000),
    workers=st.integers(1, 9),
    revision=st.integers(0, 3),
)


def beat(wid, modified):
    return keys.SessionKeys.heartbeat(SESSION, wid, 0, 0).rpartition("/")[2], modified


@given(st.lists(controls, max_size=8), st.randoms(use_true_random=False))
def test_control_folds_in_any_order(asked, random):
    shuffled = list(asked)
    random.shuffle(shuffled)
    assert fold_control(shuffled) == fold_control(asked)


@given(st.lists(controls, max_size=8), controls)
def test_cancel_and_close_win_for_ever_and_limits_only_grow(asked, another):
    before, after = fold_control(asked), fold_control([*asked, another])
    assert after.cancel_all >= before.cancel_all
    assert after.cancelled >= before.cancelled
    assert after.closed >= before.closed
    assert after.deadline >= before.deadline
    assert after.budget >= before.budget
    assert after.revision >= before.revision


def test_the_scale_with_the_highest_revision_counts():
    old, new = (
        Control(kind=ControlKind.SCALE, at=at, workers=n, revision=r) for at, n, r in ((9.0, 8, 1), (1.0, 2, 2))
    )
    assert fold_control([old, new]).wanted == fold_control([new, old]).wanted == 2


def test_nothing_asked_asks_for_nothing():
    asked = fold_control([])
    assert (asked.cancel_all, asked.closed, asked.wanted, asked.cancelled) == (False, False, None, frozenset())


def looking(fleet, *entries, until):
    """Looks each second, as a client does."""
    begin = int(fleet.listed_at or 0)
    for second in range(begin, until + 1):
        fleet.listed(entries, now=float(second))


def test_a_worker_is_dead_when_its_heartbeat_stood_still_for_the_observers_own_time():
    fleet = WorkersLog(most=1.0)
    looking(fleet, beat("a", 5_000_000.0), until=2)
    assert not fleet.dead("a", 3.0)
    looking(fleet, beat("a", 5_000_000.0), until=3)
    assert fleet.dead("a", 3.0)
    looking(fleet, beat("a", 1.0), until=5)  # the store's clock went backwards: it changed, that is all
    assert not fleet.dead("a", 3.0)


def test_one_who_slept_does_not_bury_a_living_fleet():
    fleet = WorkersLog(most=1.0)
    looking(fleet, beat("a", 1.0), until=1)
    fleet.listed([beat("a", 1.0)], now=100_000.0)  # asked before it slept, heard after
    assert not fleet.dead("a", 3.0)


def test_a_gone_ends_all_doubt():
    fleet = WorkersLog(most=1.0)
    fleet.listed([beat("a", 1.0), ("a.gone", 1.0)], now=0.0)
    assert fleet.dead("a", 1e9)
    assert fleet.living() == []


def test_an_owner_that_nobody_ever_saw_is_dead_in_time_and_not_before():
    fleet = WorkersLog(most=1.0)
    looking(fleet, until=9)
    assert not fleet.dead("ghost", 3.0)
    fleet.hear_of("ghost")
    looking(fleet, until=11)
    assert not fleet.dead("ghost", 3.0)
    looking(fleet, until=12)
    assert fleet.dead("ghost", 3.0)


def test_ranks_count_those_that_live():
    fleet = WorkersLog(most=1.0)
    fleet.listed([beat("a", 1.0), beat("b", 1.0), beat("c", 1.0), ("b.gone", 1.0)], now=0.0)
    assert [fleet.rank(wid, 3.0) for wid in "abc"] == [0, -1, 1]
    looking(fleet, beat("a", 1.0), until=2)
    looking(fleet, beat("a", 1.0), beat("c", 2.0), until=4)
    assert fleet.rank("c", 3.0) == 0  # the silent a is in nobody's way


def test_final_names_each_segment_for_what_counts_of_it():
    first, second = (
        SegmentKey(at_ms=ms, start=a, stop=b, failed=f, claim=ClaimKey(start=a, number=0))
        for ms, a, b, f in ((1, 2, 5, 1), (2, 0, 6, 2))
    )
    cover = Cover(6)
    cover.add(first)
    cover.add(second)
    final = make_final("0", cover, 7.0, by="w1")
    assert [(a, b, keys.parse_segment(name)) for a, b, name in final.parts] == [
        (0, 2, second),
        (2, 5, first),
        (5, 6, second),
    ]


def beating(*names, at=3600.0):
    """A fleet as listed: heartbeats (id, billed from, last) at 100 micro-dollars an hour, and ends (id, when)."""
    fleet = WorkersLog(10.0)
    keyed = [
        (SESSION.gone(name[0]) if len(name) == 2 else SESSION.heartbeat(name[0], int(name[1] * 1000), 100), name[-1])
        for name in names
    ]
    fleet.listed([(key.rpartition("/")[2], modified) for key, modified in keyed], at)
    return fleet


def test_spend_is_rate_times_life():
    assert beating(("a", 0.0, 3600.0), ("b", 1800.0, 3600.0)).spend(3600.0) == 150


def test_an_end_ends_the_bill():
    assert beating(("a", 0.0, 1800.0), ("a", 1800.0)).spend(7200.0) == 50


def test_a_process_that_lived_shortly_costs_the_minimum():
    assert beating(("a", 0.0, 3600.0), ("b", 0.0, 3600.0)).spend(36.0, minimum=72.0) == 4


def test_a_silent_worker_is_billed_for_as_long_as_it_may_have_lived():
    fleet = beating(("a", 0.0, 3570.0), at=0.0)
    for at in range(10, 60, 10):
        fleet.listed([(SESSION.heartbeat("a", 0, 100).rpartition("/")[2], 3570.0)], float(at))
    assert fleet.spend(7200.0) == 100


def test_a_worker_that_joined_again_is_one_process_and_was_paid_in_between():
    assert beating(("a", 0.0, 900.0), ("a", 900.0), ("a~1", 2700.0, 3600.0)).spend(3600.0) == 100


def test_what_lives_is_counted_ahead_and_what_ended_is_not():
    fleet = beating(("a", 0.0, 3600.0), ("b", 0.0, 1800.0), ("b", 1800.0))
    assert fleet.spend(3600.0, ahead=18.0) == 150.5


def test_one_who_has_just_come_does_not_take_those_that_died_long_ago_for_living():
    assert beating(("a", 0.0, 3570.0)).spend(7200.0, ahead=10.0) == 100


def test_a_process_has_the_names_that_it_beat_under_and_that_no_end_is_written_of():
    names = ["w.00000000000001.0", "w.gone", "w~1.00000000000002.0", "w2.00000000000001.0", "t.next", "~watch"]
    assert unended("w", names) == ["w~1"]
    assert unended("w", [*names, "w~1.gone"]) == []
    assert unended("w2", names) == ["w2"]


def test_an_end_that_was_written_ten_hours_late_bills_no_dead_hour():
    """A kernel that came the next morning saw that the process was gone, and wrote it down then."""
    assert beating(("a", 0.0, 3570.0), ("a", 39_600.0), at=39_600.0).spend(40_000.0) == 100


def test_an_end_that_the_stores_clock_puts_ahead_is_not_billed_before_its_time():
    assert beating(("a", 0.0, 3590.0), ("a", 3610.0)).spend(3600.0) == 100
