"""The one policy of trying again, and the one loop."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst_magic.errors import Denied, Throttled, Unknown
from burst_magic.stores.retry import DOUBTFUL, REQUEST, Retry, persist


def test_pauses_double_up_to_the_longest():
    retry = Retry(first=0.1, longest=1.0)
    assert [retry.pause(number) for number in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert retry.pause(10**9) == 1.0


def test_a_policy_gives_up_after_so_many_tries_or_so_much_time():
    retry = Retry(first=1.0, tries=3, within=10.0)
    assert [retry.next_pause(number, 0.0) for number in range(4)] == [1.0, 2.0, 4.0, None]
    assert retry.next_pause(0, 9.5) == 0.5
    assert retry.next_pause(0, 10.0) is None


@given(st.floats(0.01, 10), st.floats(0.01, 100), st.floats(1, 8), st.floats(0.1, 1000))
def test_the_last_try_begins_when_the_time_is_over_and_not_later(first, longest, factor, within):
    retry, now, number = Retry(first=first, longest=longest, factor=factor, within=within), 0.0, 0
    while (pause := retry.next_pause(number, now)) is not None:
        assert pause <= longest
        now, number = now + pause, number + 1
    assert math.isclose(now, within)


def test_what_obstore_repeats_ends_before_the_protocol_gives_a_write_up():
    assert REQUEST.within < 30
    assert sum(map(REQUEST.pause, range(REQUEST.tries))) < REQUEST.within


def failing(*faults):
    left = list(faults)

    def call():
        if left:
            raise left.pop(0)
        return "done"

    return call


def test_faults_are_waited_out_and_others_are_raised_at_once():
    pauses, told = [], []
    wait = lambda seconds: pauses.append(seconds) or True  # noqa: E731
    call = failing(Throttled("a"), Unknown("b"))
    said = persist(
        call, Retry(), Throttled, Unknown, wait=wait, tell=lambda fault, pause: told.append((fault.problem, pause))
    )
    assert (said, pauses, told) == ("done", [0.05, 0.1], [("a", 0.05), ("b", 0.1)])
    with pytest.raises(Denied):
        persist(failing(Denied("no")), Retry(), Throttled, wait=wait)
    with pytest.raises(Throttled):
        persist(failing(Throttled("no")), Retry(), Throttled, never=(Throttled,), wait=wait)
    assert len(pauses) == 2


def test_the_last_fault_is_raised_when_nothing_helps_or_nobody_waits_any_more():
    with pytest.raises(Throttled, match="d"):
        persist(failing(*map(Throttled, "abcde")), DOUBTFUL, Throttled, wait=lambda _: True)
    with pytest.raises(Throttled, match="a"):
        persist(failing(*map(Throttled, "abcde")), DOUBTFUL, Throttled, wait=lambda _: False)
