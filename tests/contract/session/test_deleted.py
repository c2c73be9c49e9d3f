"""A client that is attached while another deletes the session, or lets go of it, sees what is true and writes nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import pytest

from burst_magic.errors import BurstError, NotRun
from burst_magic.session.attach import known, sessions
from burst_magic.session.remains import remove

GATED = "import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.005)\nitem"


def claimed(session):
    return lambda: session.store.list(f"sessions/{session.id}/jobs/{session.job}/claims")


def holds_up(session, flaky):
    """From now on the driver's thread waits for the store: that thread, and what lets it go on."""
    (thread,) = (each for each in threading.enumerate() if each.name == f"burst {session.id}")
    held, reached = threading.Event(), threading.Event()

    def weather(verb, key):
        if threading.current_thread() is thread:
            reached.set()
            held.wait(60)

    flaky.weather = weather
    assert reached.wait(60)
    return thread, held


def test_a_session_that_was_deleted_between_two_looks_stays_deleted(world, flaky, gate, until):
    """This client is the one that started the workers: it sees how its processes end."""
    session = world.burst(GATED.format(gate=str(gate)), range(3), workers=2)
    until(claimed(session), "a task to run")
    session.status()
    _, held = holds_up(session, flaky)
    other = world.attach(session.id)
    assert other.cleanup(force=True).deleted > 0
    held.set()
    with pytest.raises(NotRun, match="deleted"):
        session.results()[0]
    assert session.status().ended == "deleted"
    until(lambda: not [each for each in threading.enumerate() if session.id in each.name], "its thread to end")
    world.nothing_is_left()


@pytest.mark.parametrize("ask", ["cancel()", "close()", "extend('1h')", "scale(2)", "cleanup()"])
def test_what_is_asked_of_a_deleted_session_is_refused_and_not_written(world, ask):
    session = world.burst("item", [1])
    assert session.results()[0] == 1
    assert world.attach(session.id).cleanup(force=True).deleted > 0
    with pytest.raises(BurstError, match=rf"session {session.id} was deleted"):
        eval(f"session.{ask}")
    with pytest.raises(BurstError, match="was deleted"):
        world.burst("item", [1], into=session)
    assert session.cleanup(force=True).deleted == 0
    world.nothing_is_left()


def test_a_worker_that_ends_in_a_deleted_session_leaves_no_trace_there(world, gate, until):
    session = world.burst(GATED.format(gate=str(gate)), [1])
    until(claimed(session), "a task to run")
    session.detach()
    session.store.delete(world.objects())
    for pid in world.workers():
        with contextlib.suppress(ProcessLookupError):  # it may have seen by itself that its session is gone
            os.kill(pid, signal.SIGKILL)
    until(lambda: not world.workers(), "the workers to end")
    before = set(world.objects())  # what it wrote before it died
    until(session.fleet.look, "its end to be seen")
    assert set(world.objects()) == before
    assert session.fleet.living == []
    session.store.delete(before)


def test_a_status_while_a_thread_that_was_told_to_stop_still_waits_for_the_store_is_fresh(world, flaky, gate, until):
    session = world.burst(GATED.format(gate=str(gate)), [1, 2])
    until(claimed(session), "a task to run")
    session.status()
    thread, held = holds_up(session, flaky)
    session.detach()  # gives up after a while
    assert thread.is_alive()
    gate.touch()
    until(lambda: f"sessions/{session.id}/jobs/{session.job}/final" in world.objects(), "the job to be finished")
    threading.Timer(0.3, held.set).start()
    assert session.status().completed == 2


@pytest.fixture
def bucket(moto_server, monkeypatch):
    """A bucket that can be deleted, with all that it holds."""
    for name, value in moto_server.environ.items():
        monkeypatch.setenv(name, value)
    moto_server.bucket("soon-gone")
    s3 = moto_server.clients.of("s3")

    def delete():
        while True:  # workers go on writing
            while found := s3.list_objects_v2(Bucket="soon-gone").get("Contents"):
                s3.delete_objects(Bucket="soon-gone", Delete={"Objects": [{"Key": each["Key"]} for each in found]})
            with contextlib.suppress(s3.exceptions.ClientError):
                s3.delete_bucket(Bucket="soon-gone")
                return

    return delete


def test_a_session_whose_bucket_was_deleted_is_deleted_for_who_waits_for_its_workers_and_in_lists(
    world, bucket, gate, until
):
    """As ``burst teardown`` does it, while a notebook waits."""
    session = world.burst(GATED.format(gate=str(gate)), range(3), workers=2, store="s3://soon-gone/x")
    world.sessions.clear()  # nothing of it can be cleaned up at the end
    until(claimed(session), "a task to run")
    settings = world.settings()
    assert [row.id for row in sessions(settings)] == [session.id]
    bucket()
    with pytest.raises(NotRun, match="deleted"):
        session.results()[0]
    until(lambda: not world.workers(), "the workers to see that it is gone")
    assert sessions(settings) == []
    assert remove(session.id, settings) == (session.id, 0)
    assert known(settings) == []
    session.detach()
