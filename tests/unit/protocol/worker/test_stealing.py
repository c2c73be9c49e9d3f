"""What is worth stealing, and where it is cut."""

from __future__ import annotations

import random

from burst_magic.protocol.wire.model import ClaimKey, Range
from burst_magic.protocol.worker.stealing import Prey, cut, guess, next_look

CLAIM = ClaimKey(start=0, number=0)


def prey(start=0, stop=100, *, since=0.0, last=None, published=0):
    return Prey(
        claim=ClaimKey(start=start, number=0),
        rest=Range(start + published, stop),
        since=since,
        last=last,
        published=published,
    )


def taken(*preys, now, flush=1.0, mean=None, seed=1):
    found = cut(preys, now=now, flush=flush, mean=mean, dice=random.Random(seed))
    return None if found is None else found.start


def test_a_victim_keeps_what_it_will_have_reached_by_its_next_flush():
    seen = guess(prey(last=10.0, published=10), now=10.0, flush=2.0, mean=None)

    assert seen.each == 1.0
    assert seen.reach == 13  # ten done, two more until the flush, one begun
    assert seen.left == 90.0


def test_the_rest_is_cut_in_the_middle():
    assert taken(prey(last=10.0, published=10), now=10.0, flush=2.0) == 57  # of 13 … 99 the upper half


def test_silence_up_to_a_flush_counts_as_work_that_was_done():
    early = guess(prey(last=10.0, published=10), now=10.0, flush=20.0, mean=None)
    late = guess(prey(last=10.0, published=10), now=30.0, flush=20.0, mean=None)

    assert late.reach == early.reach + 20
    assert late.left == early.left - 20


def test_who_is_silent_for_longer_is_in_one_long_task_and_all_behind_it_may_be_taken():
    """What is done is published at each flush, so nothing was done."""
    stuck = prey(stop=30, last=10.0, published=10)
    seen = guess(stuck, now=60.0, flush=1.0, mean=None)

    assert (seen.slow, seen.reach) == (True, 11)  # 10 runs, and nothing behind it was begun
    assert taken(stuck, now=60.0) == 11  # those behind may be as long
    assert not guess(stuck, now=10.9, flush=2.0, mean=None).slow  # not so long that it tells anything


def test_a_segment_that_is_a_little_late_tells_nothing():
    assert not guess(prey(last=10.0, published=100), now=11.49, flush=1.0, mean=None).slow
    assert guess(prey(last=10.0, published=100), now=11.5, flush=1.0, mean=None).slow
    assert not guess(prey(last=10.0, published=1000), now=10.09, flush=0.05, mean=None).slow  # a busy machine's moment
    assert guess(prey(last=10.0, published=1000), now=10.11, flush=0.05, mean=None).slow


def test_a_first_task_that_runs_for_long_is_not_waited_for():
    seen = guess(prey(), now=60.0, flush=1.0, mean=0.1)

    assert (seen.slow, seen.reach) == (True, 1)
    assert taken(prey(), now=60.0, mean=0.1) == 1


def test_one_task_behind_a_long_one_is_taken():
    assert taken(prey(stop=2), now=6.0, mean=0.1) == 1
    assert taken(prey(stop=1), now=6.0, mean=0.1) is None  # the running one is nobody else's


def test_of_slow_tasks_all_behind_the_running_one_are_taken_at_any_time():
    """The victim looks before it begins another, so the thief need not wait until it is stuck."""
    slow = prey(stop=10, last=6.0, published=2)  # three seconds each

    assert taken(slow, now=6.1) == 3
    assert taken(slow, now=6.9, flush=2.0) == 3
    assert taken(prey(stop=10, last=6.0, published=2), now=6.1, flush=4.0) == 7  # for such flushes they are quick


def test_a_slow_victim_that_may_have_begun_another_keeps_that():
    assert taken(prey(stop=10, last=6.0, published=6), now=7.2) == 8  # a second each: 6 is done, 7 runs


def test_a_range_right_behind_a_long_task_is_taken_for_as_slow():
    stuck = prey(0, 1, since=0.0)
    fresh = prey(1, 9, since=5.9)

    assert taken(stuck, fresh, now=6.0, mean=0.1) == 2  # long tasks lie side by side
    assert taken(fresh, now=6.0, mean=0.1) is None  # by itself it is quick, and nearly done
    assert taken(stuck, prey(2, 9, since=5.9), now=6.0, mean=0.1) is None  # nor is it right behind


def test_somebody_looks_again_when_a_victim_has_been_silent_for_long_enough():
    quick, one = prey(stop=9, last=10.0, published=4), prey(20, 22, last=5.0, published=1)

    assert next_look([quick, one], now=10.0, flush=2.0) == 13.0  # of the other no task is left to take
    assert next_look([quick], now=13.0, flush=2.0) is None  # it is known by now


def test_one_quick_task_that_has_not_started_is_left_alone():
    assert taken(prey(stop=41, last=4.0, published=36), now=4.0) is None  # 36 … 39, and 40 is the next
    assert taken(prey(stop=60, last=4.0, published=36), now=4.0) == 53  # of 46 … 59


def test_a_range_that_is_nearly_done_is_left_alone():
    assert taken(prey(stop=1000, last=1.0, published=400), now=1.0, flush=1.0) is None  # 1.5 s are left, 2 are asked
    assert taken(prey(stop=1000, last=1.0, published=100), now=1.0, flush=1.0) is not None


def test_thieves_prefer_who_has_most_left_but_not_all_the_same():
    long, short = prey(0, 1000, last=1.0, published=1), prey(2000, 2100, last=1.0, published=1)
    cuts = [taken(long, short, now=1.0, seed=seed) for seed in range(200)]
    from_short = sum(1 for place in cuts if place >= 2000)

    assert 5 <= from_short <= 40


def test_before_a_free_lane_comes_only_what_lies_before_it_and_behind_a_long_task():
    quick, stuck = prey(stop=400, since=90.0, last=100.0, published=100), prey(start=400, stop=420)

    def first(before):
        found = cut((quick, stuck), now=100.0, flush=1.0, mean=1.0, dice=random.Random(1), before=before)
        return None if found is None else found.start

    assert first(420) == 401
    assert first(400) is None  # the lane comes first
    assert cut((quick,), now=100.0, flush=1.0, mean=1.0, dice=random.Random(1), before=420) is None
