"""What is worth stealing, and where it is cut."""

from __future__ import annotations

import random

from burst_magic.protocol.model import ClaimKey, Range
from burst_magic.protocol.steal import Prey, cut, guess

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
    return cut(preys, now=now, flush=flush, mean=mean, dice=random.Random(seed))


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

    assert seen.reach == 13  # the long one, one more until it flushes, and one that is begun before it has looked
    assert seen.left == 20.0
    assert taken(stuck, now=60.0) == 22
    assert guess(stuck, now=11.9, flush=1.0, mean=None).left < 20.0  # not so long that it tells anything


def test_a_first_task_that_runs_for_long_makes_the_victim_slow():
    seen = guess(prey(), now=60.0, flush=1.0, mean=0.1)

    assert seen.each == 60.0
    assert seen.reach == 2


def test_one_task_that_has_not_started_is_left_alone():
    assert taken(prey(stop=4, last=1.0, published=1), now=1.0) is None  # 1 and 2 are its own by the next flush
    assert taken(prey(stop=5, last=1.0, published=1), now=1.0) == 4


def test_a_range_that_is_nearly_done_is_left_alone():
    assert taken(prey(stop=1000, last=1.0, published=400), now=1.0, flush=1.0) is None  # 1.5 s are left, 2 are asked
    assert taken(prey(stop=1000, last=1.0, published=100), now=1.0, flush=1.0) is not None


def test_thieves_prefer_who_has_most_left_but_not_all_the_same():
    long, short = prey(0, 1000, last=1.0, published=1), prey(2000, 2100, last=1.0, published=1)
    cuts = [taken(long, short, now=1.0, seed=seed) for seed in range(200)]
    from_short = sum(1 for place in cuts if place >= 2000)

    assert 5 <= from_short <= 40
