"""A segment that cannot be read fails its own tasks, and no others."""

from __future__ import annotations

import os

import pytest

from burst_magic.errors import BurstError, Missing, RecordError, SignatureError


def emptied(path):
    path.write_bytes(b"")


def flipped(path):
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)


def a_hole(path):
    with path.open("wb") as file:
        file.truncate(60 << 30)


def deleted(path):
    path.unlink()


DAMAGE = {emptied: RecordError, flipped: SignatureError, a_hole: RecordError, deleted: Missing}


@pytest.fixture
def session(world, until):
    """Two segments: the first task is published by itself."""
    session = world.burst("import time\nif item == 1:\n    time.sleep(0.5)\nitem * 10", [0, 1, 2])
    session.wait()
    session.close()
    until(lambda: not world.workers(), "its worker to end")
    session.detach()
    return session


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_only_the_tasks_of_a_damaged_segment_fail(world, session, damage):
    first, *others = world.store.list(f"sessions/{session.id}/jobs/0/results")
    assert others
    damage(world.store.path(first.key))
    results = world.attach(session.id).results()
    lost, kind = results.collect(errors="return")[0], DAMAGE[damage]
    assert type(lost) is kind
    assert lost.context == first.key
    assert results.collect(errors="skip") == results[1:] == [10, 20]
    with pytest.raises(kind):
        results[0]
    with pytest.raises(kind):
        list(results)
    assert [outcome.task for outcome in results.errors] == [0]
    assert sorted(results.as_completed(errors="return"), key=lambda each: each[0])[1:] == [(1, 10), (2, 20)]
    assert [outcome.task for outcome in results.outcomes] == [0, 1, 2]


def test_what_is_repaired_is_read(world, session):
    first, *_ = world.store.list(f"sessions/{session.id}/jobs/0/results")
    path = world.store.path(first.key)
    before = path.read_bytes()
    path.write_bytes(b"")
    results = world.attach(session.id).results()
    with pytest.raises(RecordError):
        results[0]
    path.write_bytes(before)
    assert results[0] == 0
    assert list(results) == [0, 10, 20]
    assert results.errors == ()


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("damage", [a_pipe, a_hole, emptied], ids=lambda damage: damage.__name__)
def test_a_payload_that_blocks_or_swells_fails_tasks_and_holds_no_worker_up(world, gate, until, damage):
    """Who has read it goes on. Who comes later reads no pipe, and no hole of sixty gigabytes, and says why."""
    begun = gate.with_name("begun")
    cell = (
        f"import os, time\nopen({str(begun)!r}, 'w').close()\n"
        f"while not os.path.exists({str(gate)!r}):\n    time.sleep(0.005)\nitem"
    )
    session = world.burst(cell, range(20))
    until(begun.exists, "a task to run")
    payload = world.store.path(session._keys.job(session.job).payload)
    damage(payload)
    session.scale(2)
    until(lambda: session.status().alive == 2, "the second worker")
    gate.touch()
    found = session.results().collect(timeout=60, errors="return")
    assert found[0] == 0
    assert all(value == task or isinstance(value, BurstError) for task, value in enumerate(found))
    payload.unlink()
