"""All who ask for a session share one follower, which asks a remote store for little, and goes when nobody asks."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from burst_magic.errors import AttachError, BurstError, Denied, Throttled
from burst_magic.server import follower as following
from burst_magic.server.follower import Follower, Followers
from burst_magic.server.opening import OpenedSession
from burst_magic.server.request_limit import RequestLimit
from burst_magic.session.onlooker import Onlooker
from burst_magic.session.stored_jobs import read_manifest
from burst_magic.stores.retry import Retry

NEVER = "20200101-000000-aaaaaaaa"


class Opening:
    """Opens sessions of a world's store, and counts."""

    def __init__(self, world, store):
        self.world, self.store, self.count = world, store, 0

    def __call__(self, sid):
        self.count += 1
        secret = next((each.secret for each in self.world.sessions if each.id == sid), None)
        manifest = read_manifest(self.store, sid, secret)
        return OpenedSession(settings=self.world.settings(), store=self.store, manifest=manifest, secret=secret)


@pytest.fixture
def burst(world, until):
    session = world.burst("item", [1, 2, 3])
    assert list(session.results()) == [1, 2, 3]
    session.close()
    until(lambda: not world.workers(), "its worker to end")
    session.detach()
    return session


@pytest.fixture
def opening(world, burst, flaky):
    return Opening(world, flaky)


@pytest.fixture
def followers(opening):
    made = Followers(opening)
    yield made
    made.stop()


@pytest.fixture
def follower(opening, burst):
    """A single one, whose limit does not grow."""
    made: list[Follower] = []

    def start(at_once):
        opening.store.has_files = False  # as if it were remote
        limit = RequestLimit(at_once=at_once, clock=lambda: 0.0)
        made.append(Follower(burst.id, opening, limit=limit).start())
        return made[0], limit

    yield start
    for each in made:
        each.stop()


def left(limit):
    count = 0
    while limit.take() == 0:
        count += 1
    return count


def names():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("burst server")]


def test_a_hundred_who_ask_at_once_share_one_follower(followers, opening, burst):
    with ThreadPoolExecutor(100) as many:

        def ask(_):
            one = followers.of(burst.id)
            one.job(burst.job).result(30)
            return one, one.draw(burst.job).etag

        found = set(many.map(ask, range(100)))
    assert len(found) == 1
    assert (opening.count, len(followers), len(names())) == (1, 1, 1)


def test_a_finished_session_is_asked_for_once(followers, opening, burst, until):
    one = followers.of(burst.id)
    onlooker = one.job(burst.job).result(30)
    until(lambda: onlooker.over)
    one.stop()
    until(lambda: not names(), "its thread to end")
    finals = [call for call in opening.store.calls if call[1].endswith("/final")]
    assert len(finals) == 1
    assert one.draw(burst.job).frame.phase.value == "finished"


def test_who_has_not_been_asked_for_a_while_goes_and_comes_again(opening, burst, until):
    followers = Followers(opening, kept=0.2)
    first = followers.of(burst.id)
    first.job(burst.job).result(30)
    until(lambda: len(followers) == 0 and not names(), "its thread to end")
    with pytest.raises(BurstError, match="released"):
        first.job(burst.job).result(30)
    second = followers.of(burst.id)
    assert second is not first
    assert second.job(burst.job).result(30).facts(burst.job).completed == 3
    followers.stop()


def test_each_request_to_a_remote_store_is_on_the_limit(follower, opening, burst, until):
    one, limit = follower(1000)
    onlooker = one.job(burst.job).result(30)
    until(lambda: onlooker.over)
    one.stop()
    until(lambda: not names(), "its thread to end")
    before = [call for call in opening.store.calls if call[1].endswith(("manifest.json", "job.json", "/jobs"))]
    assert 1000 - left(limit) == len(opening.store.calls) - len(before)
    assert len(before) <= 3


def test_without_an_allowance_nothing_more_is_asked_and_a_stop_is_heard_at_once(follower, opening, burst, until):
    one, _ = follower(2)
    waiting = one.job(burst.job)
    until(
        lambda: (
            len([call for call in opening.store.calls if "manifest" not in call[1] and "job.json" not in call[1]]) >= 2
        )
    )
    assert not waiting.done()
    one.stop()
    with pytest.raises(BurstError):
        waiting.result(30)


def test_a_session_that_is_not_there_is_looked_for_once_in_a_while(followers, opening):
    for _ in range(20):
        with pytest.raises(AttachError, match="unknown or has expired"):
            followers.of(NEVER).job("0").result(30)
    assert opening.count == 1


def test_a_first_look_that_is_denied_is_refused_and_tried_again_later(opening, burst, until):
    followers = Followers(opening, again=0.2)

    def denied(verb, key):
        if "final" in key:
            raise Denied("a policy forbids it", context=key)

    opening.store.weather = denied
    with pytest.raises(Denied, match="a policy forbids it"):
        followers.of(burst.id).job(burst.job).result(30)
    opening.store.weather = lambda verb, key: None

    def shown():
        try:
            return followers.of(burst.id).job(burst.job).result(30)
        except Denied:
            return None

    assert until(shown).facts(burst.job).completed == 3
    followers.stop()


def test_a_job_that_is_not_there_ends_nobody_elses_wait(followers, burst):
    one = followers.of(burst.id)
    with pytest.raises(AttachError, match="no job"):
        one.job("nothing").result(30)
    assert one.job(burst.job).result(30).facts(burst.job).completed == 3


@pytest.mark.parametrize("again", [3600.0, 0.2])
def test_only_so_many_jobs_that_are_not_there_are_remembered_and_for_a_while(opening, burst, until, again):
    followers = Followers(opening, again=again)
    one = followers.of(burst.id)
    one.job(burst.job).result(30)
    for number in range(following.UNKNOWN):
        one.job(f"no-{number}")
    if again > 1:
        with pytest.raises(BurstError, match="at once"):
            one.job("another").result(30)
    else:
        until(lambda: isinstance(one.job("another").exception(30), AttachError))
    assert one.job(burst.job).result(30).facts(burst.job).completed == 3
    followers.stop()


def test_what_the_store_denies_is_said_and_tried_again(followers, opening, world, gate, until):
    world.home["gate"] = str(gate)
    running = world.burst("import os, time\nwhile not os.path.exists(gate):\n    time.sleep(0.01)\nitem", [1, 2])
    running.detach()
    one = followers.of(running.id)
    one.job(running.job).result(30)

    def denied(verb, key):
        if verb == "list" and "results" in key:
            raise Denied("a policy forbids it", context=key)

    opening.store.weather = denied
    one.look_soon()
    until(lambda: one.facts(running.job).trouble == "a policy forbids it")
    opening.store.weather = lambda verb, key: None
    gate.touch()
    one.look_soon()
    until(lambda: one.draw(running.job).frame.phase.value == "finished")
    assert one.facts(running.job).trouble == ""


def test_a_store_that_does_not_answer_is_said_to_and_the_facts_stay(followers, opening, world, gate, until):
    world.home["gate"] = str(gate)
    running = world.burst("import os, time\nwhile not os.path.exists(gate):\n    time.sleep(0.01)\nitem", [1, 2])
    running.detach()
    one = followers.of(running.id)
    one.job(running.job).result(30)

    def away(verb, key):
        raise Throttled("the store is busy", context=key)

    opening.store.weather = away
    until(lambda: one.facts(running.job).trouble == "the store is busy")
    assert one.facts(running.job).total == 2
    opening.store.weather = lambda verb, key: None
    gate.touch()
    until(lambda: one.draw(running.job).frame.phase.value == "finished")


def test_who_waits_for_a_store_that_is_away_goes_too_when_nobody_asks(opening, world, gate, until):
    world.home["gate"] = str(gate)
    running = world.burst("import os, time\nwhile not os.path.exists(gate):\n    time.sleep(0.01)\nitem", [1, 2])
    running.detach()
    followers = Followers(opening, kept=4.0)
    one = followers.of(running.id)
    one.job(running.job).result(30)

    def away(verb, key):
        raise Throttled("the store is busy", context=key)

    opening.store.weather = away
    until(lambda: one.facts(running.job).trouble == "the store is busy")
    until(lambda: len(followers) == 0 and not names(), "its thread to end")
    gate.touch()


def test_who_asks_for_failures_while_the_store_is_away_is_told_so_in_time(opening, world):
    failed = world.burst("1 / item", [0, 1])
    failed.wait(errors="return")
    failed.detach()
    opened, over = opening(failed.id), threading.Event()
    onlooker = Onlooker(opened.store, opened.manifest, opened.secret, over=over, patience={}, reading=Retry(within=0.0))
    onlooker.follow(failed.description)
    onlooker.look(everything=True, segments=0)

    def away(verb, key):
        raise Throttled("the store is busy", context=key)

    opening.store.weather = away
    with pytest.raises(Throttled, match="busy"):
        onlooker.outcome(failed.job, 0)
    with pytest.raises(Throttled, match="busy"):
        list(onlooker.failed(failed.job, after=-1, segments=1)[0])
    opening.store.weather = lambda verb, key: None
    assert [outcome.task for outcome in onlooker.failed(failed.job, after=-1, segments=1)[0]] == [0]


def test_an_onlooker_starts_no_worker_where_all_are_lost(followers, opening, world, gate, until):
    import os
    import signal

    world.home["gate"] = str(gate)
    lost = world.burst("import os, time\nwhile not os.path.exists(gate):\n    time.sleep(0.01)\nitem", [1, 2])
    until(lambda: lost.status().running)
    lost.detach()
    for pid in world.workers():
        os.kill(pid, signal.SIGKILL)
    one = followers.of(lost.id)
    one.job(lost.job).result(30)
    until(lambda: one.draw(lost.job).frame.end == "no workers")
    assert not [key for key in world.objects(f"sessions/{lost.id}/workers") if key.endswith(".next")][1:]
    assert not world.workers()


def test_only_so_many_sessions_are_followed_at_once(opening, burst):
    followers = Followers(opening)
    for number in range(following.MOST):
        followers.of(f"20200101-{number:06d}-aaaaaaaa")
    with pytest.raises(BurstError, match="is the most"):
        followers.of(burst.id)
    followers.stop()
