"""A follower asks a remote store for half a request a second, in the long run, whatever it would like to."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst_magic.errors import Unknown
from burst_magic.server.request_limit import AT_ONCE, RATE, Metered, RequestLimit
from burst_magic.stores import open_store
from burst_magic.testing.clock import Clock


@given(pauses=st.lists(st.floats(0, 30), min_size=1, max_size=60), at_once=st.integers(1, 20))
def test_no_stretch_of_time_sees_more_requests_than_its_length_allows(pauses, at_once):
    clock = Clock()
    limit = RequestLimit(rate=RATE, at_once=at_once, clock=lambda: clock.now)
    made = []
    for pause in pauses:
        clock.now += pause
        clock.now += limit.take()  # it waits as long as it is told to
        made.append(clock.now)
    for first, start in enumerate(made):
        for last in range(first, len(made)):
            assert last - first + 1 <= at_once + RATE * (made[last] - start) + 1.000001


def test_the_rate_is_half_a_request_a_second():
    assert RATE == 0.5
    clock = Clock()
    limit = RequestLimit(clock=lambda: clock.now)
    assert all(limit.take() == 0 for _ in range(AT_ONCE))
    assert limit.take() == pytest.approx(1 / RATE)


def test_waiting_for_a_turn_ends_when_nobody_asks_any_more():
    over = threading.Event()
    store = Metered(open_store("memory://limit"), RequestLimit(at_once=1), over)
    store.put("a", b"1")
    waiting = threading.Timer(0.05, over.set)
    waiting.start()
    with pytest.raises(Unknown, match="nobody asks"):
        store.get("a")
    waiting.join()


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.create("b", b""),
        lambda store: store.put("b", b""),
        lambda store: store.get("a"),
        lambda store: store.list(""),
        lambda store: store.folders(""),
        lambda store: store.delete(["a"]),
    ],
)
def test_each_verb_takes_its_turn(call):
    over = threading.Event()
    inner = open_store("memory://turns")
    inner.put("a", b"")
    inner.delete(["b"])
    clock = Clock()
    limit = RequestLimit(at_once=2, clock=lambda: clock.now)
    call(Metered(inner, limit, over))
    assert limit.take() == 0
    assert limit.take() > 0
