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


def test_a_value_that_is_swept_while_it_is_being_used_again_is_stored_again(world, flaky, old_value):
    """The sweep comes between the look at the value and the payload that names it."""
    swept = []

    def weather(verb, key):
        if verb == "put" and key.endswith("/payload") and not swept:
            swept.append(sweep_blobs(world.settings()).deleted)

    flaky.weather = weather
    session = world.burst("len(big) + item", [1])
    assert swept == [1]
    assert list(session.results()) == [300_001]


def test_a_value_that_is_used_again_during_a_sweep_stays(world, flaky, old_value):
    """The submission comes between the sweep's look at the sessions and its deletion."""
    sessions = []

    def weather(verb, key):
        if verb == "list" and key == "blobs" and not sessions:
            sessions.append(None)
            sessions[0] = world.burst("len(big) + item", [1])

    flaky.weather = weather
    assert sweep_blobs(world.settings()).deleted == 0
    assert list(sessions[0].results()) == [300_001]
