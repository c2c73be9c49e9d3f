"""Calls are spread as AWS allows them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst_magic.aws.patience import AwsPace
from burst_magic.aws.rates import LAUNCH, RUN_TASK, Rate, TokenBucket


def test_a_burst_goes_at_once_and_the_rest_at_the_rate():
    bucket = TokenBucket(RUN_TASK)
    waits = [bucket.wait(now=5.0) for _ in range(140)]
    assert waits[:100] == pytest.approx([0.0] * 100)
    assert waits[100:] == pytest.approx([(n + 1) / 40 for n in range(40)])


def test_a_hundred_workers_wait_for_nothing_and_two_hundred_five_seconds():
    runs, launches = TokenBucket(RUN_TASK), TokenBucket(LAUNCH)
    waits = [max(runs.wait(now=0.0), launches.wait(now=0.0)) for _ in range(200)]
    assert max(waits[:100]) == pytest.approx(0.0)
    assert waits[-1] == pytest.approx(5.0)


@given(
    st.lists(st.floats(0, 2), min_size=1, max_size=60),
    st.integers(1, 5),
    st.sampled_from([0.5, 2.0, 20.0]),
)
def test_no_window_of_time_sees_more_calls_than_the_bucket_allows(gaps, burst, rate):
    bucket, now, made = TokenBucket(Rate(burst=burst, per_second=rate)), 0.0, []
    for gap in gaps:
        now += gap
        made.append(now + bucket.wait(now=now))
    for first, start in enumerate(made):
        for last in range(first, len(made)):
            allowed = burst + rate * (made[last] - start)
            assert last - first + 1 <= allowed + 1e-6


def test_threads_wait_at_the_same_bucket():
    slept = []
    pace = AwsPace(Rate(burst=1, per_second=2.0), clock=lambda: 0.0, sleep=slept.append)
    for _ in range(3):
        pace.wait()
    assert slept == [0.5, 1.0]
