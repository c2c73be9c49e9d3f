"""Values that no session needs are deleted, and never one that a submission has just found there."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest

from burst_magic.session.sweep import sweep_blobs

OLD = 7200.0  # seconds


def grow_old(world):
    for entry in world.store.list("blobs"):
        os.utime(world.store.path(entry.key), (time.time() - OLD,) * 2)


@pytest.fixture
def old_value(world):
    """A stored value that nobody needs any more."""
    world.home["big"] = np.ones(300_000)
    world.burst("len(big)", [1]).cleanup(force=True)
    grow_old(world)
    (entry,) = world.store.list("blobs")
    return entry.key


def test_an_old_value_is_swept_and_one_that_a_session_needs_is_not(world, old_value):
    session = world.burst("len(big) + item", [1])
    grow_old(world)
    assert sweep_blobs(world.settings()).deleted == 0
    assert list(session.results()) == [300_001]
    session.cleanup(force=True)
    assert sweep_blobs(world.settings()).deleted == 1
    assert world.store.list("blobs") == []


def sweeps_before_the_payload(world, flaky, *, while_old):
    """The sweep comes between the look at the value and the payload that names it; returns what it deleted."""
    swept = []

    def weather(verb, key):
        if verb == "put" and key.endswith("/payload") and not swept:
            if while_old:
                grow_old(world)
            swept.append(sweep_blobs(world.settings()).deleted)

    flaky.weather = weather
    flaky.calls.clear()
    return swept


def test_an_old_value_that_is_used_again_is_young_and_no_sweep_takes_it(world, flaky, old_value):
    swept = sweeps_before_the_payload(world, flaky, while_old=False)
    session = world.burst("len(big) + item", [1])
    assert swept == [0]
    assert not [call for call in flaky.calls if call == ("put", old_value)]  # a folder's file is touched, not written
    assert list(session.results()) == [300_001]


def test_where_there_are_no_files_an_old_value_is_put_again(world, flaky, old_value):
    flaky.has_files = False  # as on S3; the test is about the store's kind, not its server
    swept = sweeps_before_the_payload(world, flaky, while_old=False)
    session = world.burst("len(big) + item", [1])
    assert swept == [0]
    assert flaky.calls.count(("put", old_value)) == 1
    assert list(session.results()) == [300_001]


@pytest.mark.parametrize("found", [True, False], ids=["found there", "stored by this submission"])
def test_a_value_that_grows_old_before_its_payload_and_is_swept_is_stored_again(world, flaky, old_value, found):
    """A very large capture, a laptop that slept."""
    world.home["big"] = np.ones(300_000) if found else np.zeros(300_000)
    swept = sweeps_before_the_payload(world, flaky, while_old=True)
    session = world.burst("len(big) + item", [1])
    assert swept == [1 if found else 2]
    assert list(session.results()) == [300_001]


def test_a_value_that_grows_old_before_its_payload_is_young_once_it_is_named(world, flaky, old_value):
    """A sweep may have looked at the sessions before the payload was there."""

    def weather(verb, key):
        if verb == "put" and key.endswith("/payload"):
            grow_old(world)

    flaky.weather = weather
    world.burst("len(big) + item", [1])
    (entry,) = world.store.list("blobs")
    assert time.time() - entry.modified < OLD / 2


def test_a_value_that_is_used_again_during_a_sweep_stays(world, flaky, old_value):
    """The submission comes when the sweep has looked at all sessions and is deleting."""
    world.home["other"] = np.zeros(300_000)
    world.burst("len(other)", [1]).cleanup(force=True)
    grow_old(world)
    first, second = (entry.key for entry in world.store.list("blobs"))
    name = "other" if first == old_value else "big"
    sessions = []

    def weather(verb, key):
        if verb == "delete" and key == first and not sessions:
            sessions.append(world.burst(f"len({name}) + item", [1]))

    flaky.weather = weather
    assert sweep_blobs(world.settings()).deleted == 1
    assert [entry.key for entry in world.store.list("blobs")] == [second]
    assert list(sessions[0].results()) == [300_001]


def test_a_value_that_is_used_again_during_a_sweep_s_look_at_the_sessions_stays(world, flaky, old_value):
    """The submission comes between the sweep's first look at the sessions and its second."""
    sessions = []

    def weather(verb, key):
        if verb == "list" and key == "blobs" and not sessions:
            sessions.append(None)
            sessions[0] = world.burst("len(big) + item", [1])
            grow_old(world)  # what spares it is the session, not its age

    flaky.weather = weather
    assert sweep_blobs(world.settings()).deleted == 0
    assert list(sessions[0].results()) == [300_001]


def test_parts_of_environments_that_were_not_used_for_a_month_are_swept(world):
    """Who uses one that is a week old renews it, and no session lives longer than three weeks."""
    day = 86400.0
    for name, days in (("a" * 64, 31), ("b" * 64, 29), ("somebody-elses", 99)):
        world.store.put(f"envs/{name}", b"12345")
        os.utime(world.store.path(f"envs/{name}"), (time.time() - days * day,) * 2)
    swept = sweep_blobs(world.settings())
    assert (swept.deleted, swept.bytes) == (1, 5)
    assert [entry.key for entry in world.store.list("envs")] == [f"envs/{'b' * 64}", "envs/somebody-elses"]
