"""A store that is away for a while is no deletion: work goes on when it is back (laws 3, 7)."""

from __future__ import annotations

import time

import pytest

from burst_magic.protocol.wire import keys

GATED = "import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.005)\nitem"
AWAY = 3.0  # seconds: heartbeats are due all 0.2


def last_beat(session) -> float:
    """When a worker was last heard of, by the store's clock."""
    found = session.store.list(f"sessions/{session.id}/workers")
    beats = [each.modified for each in found if keys.parse_worker(each.key.rpartition("/")[2]).kind == "beat"]
    return max(beats, default=0.0)


@pytest.fixture
def waiting(world, gate, until):
    session = world.burst(GATED.format(gate=str(gate)), range(4), workers=2)
    until(lambda: len(session.store.list(f"sessions/{session.id}/jobs/{session.job}/claims")) >= 2, "two tasks to run")
    until(lambda: session.status().alive == 2, "two workers")
    return session


@pytest.mark.parametrize("shadow", [None, "an empty folder"])
def test_work_goes_on_when_the_store_is_back(world, waiting, gate, until, shadow):
    root = world.store.path("a").parent
    away = root.with_name("moved away")
    root.rename(away)
    if shadow:
        root.mkdir()
    end = time.monotonic() + AWAY
    while time.monotonic() < end:
        assert waiting.snapshot().ended is None
        assert world.workers()
        time.sleep(0.1)
    assert "not there now" in waiting.status(timeout=0.5).trouble
    if shadow:
        assert not list(root.iterdir())
        root.rmdir()
    away.rename(root)
    gate.touch()
    assert list(waiting.results()) == [0, 1, 2, 3]
    assert waiting.status().ended == "finished"
    assert [world.store.get(key) for key in world.objects() if key.endswith(".gone")] == []
    waiting.cleanup(force=True)
    world.nothing_is_left()


def test_workers_of_a_store_that_is_gone_for_good_end_by_themselves(world, until):
    session = world.burst("item", [1], idle=3)
    assert list(session.results()) == [1]
    session.detach()
    for _ in range(2):  # what is being written when the store goes is tried for four minutes
        before = last_beat(session)
        until(lambda before=before: last_beat(session) > before, "a heartbeat")
    root = world.store.path("a").parent
    root.rename(root.with_name("gone"))
    until(lambda: not world.workers(), "the workers to end")
    root.with_name("gone").rename(root)
