"""One driver for a session in a kernel: what it asks the store, who shares it, and what becomes of calls that hang."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from burst_magic.errors import Throttled
from burst_magic.protocol.client.session import SessionMachine
from burst_magic.protocol.log import DEAD_AFTER
from burst_magic.protocol.wire.model import JobEnd
from burst_magic.session.attach import sibling
from burst_magic.session.rounds import Rounds
from burst_magic.stores.store_driver import Carrier

GATED = "import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.005)\nitem"


def threads(session):
    return [thread for thread in threading.enumerate() if thread.name == f"burst {session.id}"]


class Hanging:
    """A store's weather: from ``begin`` on every call hangs until ``end``."""

    def __init__(self, flaky):
        self._flaky, self._over, self.reached = flaky, threading.Event(), threading.Event()

    def begin(self):
        def weather(verb, key):
            self.reached.set()
            assert self._over.wait(60)

        self._flaky.weather = weather

    def end(self):
        self._flaky.weather = lambda verb, key: None
        self._over.set()


@pytest.fixture
def hanging(flaky):
    hanging = Hanging(flaky)
    yield hanging
    hanging.end()


def test_jobs_of_one_session_share_a_thread_and_the_listings(world, flaky, gate, until):
    first = world.burst(GATED.format(gate=str(gate)), [1])
    second = world.burst(GATED.format(gate=str(gate)), [2], into=first)
    until(lambda: second.status().alive, "a worker")
    assert len(threads(first)) == 1

    flaky.calls.clear()
    first.status()
    second.snapshot()
    listed = [key.rpartition("/")[2] for verb, key in flaky.calls if verb == "list"]
    looks = listed.count("control")
    assert listed.count("results") >= 2 * looks  # each job has its own
    assert listed.count("workers") <= 2 * looks  # fleets have ended workers: they are looked at twice

    gate.touch()
    assert [*first.results(), *second.results()] == [1, 2]
    until(lambda: not threads(first), "the thread to end with the last of its jobs")


def test_one_job_is_let_go_and_the_other_is_followed_on(world, gate, until):
    first = world.burst(GATED.format(gate=str(gate)), [1])
    second = world.burst(GATED.format(gate=str(gate)), [2], into=first)
    first.detach()
    assert len(threads(first)) == 1
    gate.touch()
    assert list(second.results()) == [2]
    assert list(first.results()) == [1]  # waited for: followed again


def test_a_job_that_comes_when_the_thread_has_ended_is_followed(world, until):
    first = world.burst("item", [1])
    assert list(first.results()) == [1]
    until(lambda: not threads(first), "the thread to end")
    second = world.burst("item", [2], into=first)
    assert list(second.results()) == [2]


def test_attaching_to_a_finished_job_costs_one_read_beside_what_names_it(world, flaky, until):
    session = world.burst("item", [1, 2]).wait()
    until(lambda: session.status().finished, "final")
    session.detach()
    until(lambda: not threads(session), "the thread to end")
    flaky.calls.clear()
    other = world.attach(session.id)
    until(lambda: other.snapshot().finished, "what it attached to")
    until(lambda: not threads(other), "the thread to end")
    root = f"sessions/{session.id}"
    assert flaky.calls == [
        ("get", f"{root}/manifest.json"),
        ("list", f"{root}/control"),  # which job is the latest
        ("get", f"{root}/jobs/0/job.json"),
        ("get", f"{root}/jobs/0/final"),
    ]


def test_another_job_at_hand_costs_its_record_and_final(world, flaky, until):
    first = world.burst("item", [1]).wait()
    second = world.burst("item", [2], into=first).wait()
    until(lambda: first.status().finished and second.status().finished, "final")
    for session in (first, second):
        session.detach()
    latest = world.attach(first.id)
    until(lambda: latest.snapshot().finished, "the latest")
    until(lambda: not threads(latest), "the thread to end")
    flaky.calls.clear()
    other = sibling(latest, "0")
    until(lambda: other.snapshot().finished, "the first")
    root = f"sessions/{first.id}/jobs/0"
    assert flaky.calls == [("get", f"{root}/job.json"), ("get", f"{root}/final")]
    assert list(other.results()) == [1]


def test_a_round_without_a_thread_tells_all(world, gate, until):
    """As the Jupyter server looks: it has no key, starts nobody and unpickles nothing."""
    session = world.burst(GATED.format(gate=str(gate)), range(3))
    until(lambda: session.status().running, "a task to run")
    session.detach()
    until(lambda: not threads(session), "the thread to end")
    machine = SessionMachine(
        manifest=session.manifest,
        signed=False,
        now=time.monotonic(),
        wall=time.time(),
        me="",
        replaces_lost_workers=False,
    )
    job = machine.follow(session.description, time.monotonic())
    rounds = Rounds(machine, Carrier(session.store, None, lambda seconds: False))
    rounds.play(looking=True)
    seen = machine.snapshot(job, time.monotonic())
    assert (seen.total, seen.alive, seen.ended) == (3, 1, None)
    gate.touch()
    session.wait()
    until(lambda: session.status().finished, "final")
    rounds.play(looking=True)
    rounds.play(looking=True)
    assert machine.snapshot(job, time.monotonic()).ended is JobEnd.FINISHED


def test_to_let_go_waits_for_no_call_that_hangs_and_its_late_answer_counts_for_nothing(world, hanging, gate, until):
    session = world.burst(GATED.format(gate=str(gate)), range(2))
    until(lambda: session.status().running, "a task to run")
    hanging.begin()
    assert hanging.reached.wait(60)
    (hung,) = threads(session)
    began = time.monotonic()
    session.detach()
    assert time.monotonic() - began < 1.0
    assert hung.is_alive()
    gate.touch()
    hanging.end()
    assert list(session.results()) == [0, 1]
    until(lambda: not hung.is_alive(), "the abandoned thread")


def test_a_look_that_the_store_does_not_answer_says_how_old_its_facts_are(world, hanging, gate, until):
    session = world.burst(GATED.format(gate=str(gate)), range(2))
    until(lambda: session.status().running, "a task to run")
    assert session.status().age < 5.0
    hanging.begin()
    assert hanging.reached.wait(60)
    seen = session.status(timeout=1.5)
    assert seen.age >= 1.5
    assert seen.running  # as it was
    hanging.end()
    until(lambda: session.status().age < 1.0, "an answer")


def test_what_the_store_says_instead_of_an_answer_is_told(world, flaky, gate, until):
    session = world.burst(GATED.format(gate=str(gate)), range(2))
    until(lambda: session.status().running, "a task to run")

    def weather(verb, key):
        raise Throttled("slow down")

    flaky.weather = weather
    seen = session.status(timeout=1.5)
    assert (seen.trouble, seen.age >= 1.0) == ("slow down", True)
    flaky.weather = lambda verb, key: None
    until(lambda: not session.status().trouble, "an answer")


def test_a_view_never_hears_of_older_facts_after_newer_ones_and_holds_up_nobody_who_asks(world, until):
    session = world.burst("item", [1], idle=600)
    assert list(session.results()) == [1]
    until(lambda: session.status().kept_until, "a worker that is kept")
    busy, go_on, heard = threading.Event(), threading.Event(), []

    def viewer(snapshot):
        if not busy.is_set():
            busy.set()
            assert go_on.wait(100)
        heard.append(snapshot.kept_until is None)

    subscribing = threading.Thread(target=session.subscribe, args=[viewer], daemon=True)
    subscribing.start()
    assert busy.wait(100)
    session.close()
    go_on.set()
    until(lambda: heard and not subscribing.is_alive() and not threads(session), "all to be told")
    assert (heard[0], heard[-1]) == (False, True)
    assert heard == sorted(heard)


def test_a_view_hears_of_a_kept_worker_that_comes_back_long_after_the_jobs_end(world, flaky, until):
    """As on a machine that was suspended, or that has too much to do."""
    session = world.burst("item", [1], idle=600)
    assert list(session.results()) == [1]
    until(lambda: session.status().kept_until, "a worker that is kept")
    (worker,) = session.status().workers
    (supervisor,) = (pid for pid in world.workers() if str(pid) in worker.wid.split("-"))
    session.detach()
    os.kill(supervisor, signal.SIGSTOP)
    try:
        for key in world.objects(f"sessions/{session.id}/workers"):
            os.utime(world.store.path(key), (0, time.time() - 3600))
        other, heard = world.attach(session.id), []
        other.subscribe(heard.append)
        until(lambda: heard and heard[-1].workers, "a look at the workers")
        assert (heard[-1].workers[0].silent, heard[-1].kept_until) == (True, None)
        began = time.monotonic()
        until(lambda: time.monotonic() > began + 2 * DEAD_AFTER * world.interval, "more than it takes to be dead")
    finally:
        os.kill(supervisor, signal.SIGCONT)
    until(lambda: heard[-1].kept_until, "the worker to be told of")
