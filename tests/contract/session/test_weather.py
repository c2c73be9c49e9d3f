"""A store that fails in the middle: what is forbidden is told to whoever waits, the rest costs time only."""

from __future__ import annotations

import pickle
import threading
from collections import Counter

import pytest

from burst_magic.errors import Denied, Throttled, Unknown


@pytest.fixture
def session(world, flaky, gate):
    cell = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.005)\nitem"
    return world.burst(cell, range(4))


def test_who_waits_is_told_that_the_store_denies_and_may_wait_again(session, flaky, gate):
    def weather(verb, key):
        raise Denied("not yours any more", context=key)

    flaky.weather = weather
    with pytest.raises(Denied, match="not yours any more"):
        session.results()[0]
    with pytest.raises(Denied):
        session.status()
    flaky.weather = lambda verb, key: None
    gate.touch()
    assert list(session.results()) == [0, 1, 2, 3]


@pytest.mark.parametrize("fault", [Throttled("slow down"), Unknown("no reply")])
def test_faults_that_pass_cost_time_only(session, flaky, gate, fault):
    calls = Counter()  # by thread: two that take turns would leave one with the faults alone

    def weather(verb, key):
        calls[threading.get_ident()] += 1
        if calls[threading.get_ident()] % 2:
            raise fault

    flaky.weather = weather
    gate.touch()
    assert list(session.results()) == [0, 1, 2, 3]
    assert sum(calls.values()) > 5


def test_results_are_a_sequence(session, gate):
    gate.touch()
    results = session.results()
    assert (results[-1], results[1:3], results[::-1], 2 in results, len(results)) == (3, [1, 2], [3, 2, 1, 0], True, 4)
    assert list(results) == list(results) == results
    assert results != [0, 1, 2]
    assert results != (0, 1, 2, 3)
    assert pickle.loads(pickle.dumps(results)) == [0, 1, 2, 3]
    with pytest.raises(IndexError):
        results[4]
    with pytest.raises(TypeError):
        results[1.0]


def test_results_travel_into_another_cell_as_their_values(world, session, gate):
    gate.touch()
    world.home["earlier"] = session.results()
    assert list(world.burst("sum(earlier) + item", [1, 2]).results()) == [7, 8]


def test_a_failure_stays_the_same_exception_and_its_note_is_said_once(world):
    session = world.burst("1 // item", [0, 0])
    caught = []
    for _ in range(3):
        with pytest.raises(ZeroDivisionError) as each:
            session.wait()
        caught.append(each.value)
    assert caught[0] is caught[1] is caught[2]
    assert len(caught[0].__notes__) == 1
