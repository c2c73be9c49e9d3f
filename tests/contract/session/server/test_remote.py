"""A Jupyter server whose sessions lie on S3: it asks for little, and a store that hangs keeps nobody waiting."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from burst_magic.server.request_limit import RATE
from burst_magic.testing.proxy import calm

NEVER = "20200101-000000-aaaaaaaa"
WAITING = """
import os, time
while not os.path.exists(gate):
    time.sleep(0.01)
item
"""


@pytest.fixture
def waiting(world, remote, gate):
    world.home["gate"] = str(gate)
    session = world.burst(WAITING, range(4))
    session.detach()
    yield session
    gate.touch()


def test_it_is_followed_on_s3_for_half_a_request_a_second(remote, road, waiting, until):
    until(lambda: remote.knows(waiting))
    listed = road.counts["LIST results"]
    until(lambda: remote.frame(waiting) and road.counts["LIST results"] > listed)  # the first look is over
    began, before, listed = time.monotonic(), road.counts.total(), road.counts["LIST results"]
    until(lambda: remote.frame(waiting) and road.counts["LIST results"] >= listed + 3)
    asked, seconds = road.counts.total() - before, time.monotonic() - began
    at_once = 5  # of a look at everything: three folders, its worker, the watch
    assert asked <= RATE * seconds + at_once, road.counts


def test_a_store_that_hangs_keeps_nobody_waiting_for_anything_else(remote, road, waiting, until):
    until(lambda: remote.knows(waiting))
    go_on = threading.Event()

    def hang(_):
        go_on.wait(120)

    road.script = hang
    try:
        with ThreadPoolExecutor(1) as other:
            unknown = other.submit(remote.get, f"sessions/{NEVER}/0/frame")
            while not unknown.done():  # it waits for its own answer, and for no other's
                assert remote.frame(waiting)["counts"]["total"] == 4
                assert remote.open("api/status").status == 200
                time.sleep(0.2)
        assert unknown.result().status == 503
        assert "has not answered yet" in unknown.result().said["problem"]
    finally:
        road.script = calm
        go_on.set()
    until(lambda: remote.get(f"sessions/{NEVER}/0/frame").status == 404)


def test_a_cancel_reaches_workers_by_s3_alone(remote, waiting, until):
    until(lambda: remote.knows(waiting))
    assert remote.frame(waiting)["end"] == ""
    assert remote.post(f"sessions/{waiting.id}/{waiting.job}/cancel").status == 200
    until(lambda: remote.frame(waiting)["end"] == "cancelled")


def test_another_computer_of_the_user_finds_the_key_in_the_store_where_workers_need_it(remote, world, waiting, until):
    from burst_magic.session import keyring

    keyring.publish(waiting.store, waiting.id, waiting.secret)
    keyring.forget(world.settings().keys_dir, waiting.id)
    assert remote.post(f"sessions/{waiting.id}/{waiting.job}/cancel").status == 200
    keyring.keep(world.settings().keys_dir, waiting.id, waiting.secret)
