"""The list of sessions: a thread looks for all who ask, for little, and says what it does not know."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace

import pytest

from burst_magic.errors import AttachError, StoreError, Throttled
from burst_magic.server.account import AccountLook
from burst_magic.server.listed import NOTHING, AccountList, AccountSessionState
from burst_magic.server.listing import Listing
from burst_magic.server.request_limit import RequestLimit
from burst_magic.session.attach import attach

LONG = "import os, time\nwhile not os.path.exists(gate):\n    time.sleep(0.01)\nitem"
RUNS = AccountSessionState(
    id="20270101-000000-aaaaaaaa", owner="ada", workers=2, launcher="spot", since=1.0, at=2.0, spent=10, hourly=20
)


@pytest.fixture
def finished(world, until):
    session = world.burst("item", [1, 2, 3], name="settle", out="points")
    assert list(session.results()) == [1, 2, 3]
    session.close()
    until(lambda: not world.workers(), "its worker to end")
    session.detach()
    return session


@pytest.fixture
def running(world, gate):
    world.home["gate"] = str(gate)
    session = world.burst(LONG, range(4))
    session.detach()
    yield session
    gate.touch()


@pytest.fixture
def listing(world, flaky):
    """Of a store that costs money, if it is to; ``limit`` never grows."""

    made = []

    def start(*, at_once=1000, remote=True, **options):
        flaky.has_files = not remote
        limit = RequestLimit(at_once=at_once, clock=lambda: 0.0)
        made.append(Listing(world.settings, lambda _: flaky, limit=limit, **options))
        return made[-1], limit

    yield start
    for each in made:
        each.stop()


def left(limit):
    count = 0
    while limit.take() == 0:
        count += 1
    return count


def rows(found):
    return {row.session.id: row for row in found.sessions}


def test_each_request_to_a_remote_store_is_on_the_limit_the_opening_of_sessions_too(listing, flaky, finished, running):
    listed, limit = listing()
    before = len(flaky.calls)
    found = rows(listed.ask().result(30))
    assert (found[finished.id].session.state, found[running.id].session.state) == ("finished", "running")
    made = [call for call in flaky.calls[before:] if call[1] != "probe"]
    assert 1000 - left(limit) == len(made)
    assert any(key.endswith("manifest.json") for _, key in made)


def test_a_remote_store_is_not_asked_again_for_half_a_minute_and_for_what_has_ended_never(listing, flaky, finished):
    listed, _ = listing()
    first = listed.ask().result(30)
    before = len(flaky.calls)
    assert [listed.ask().result(30) for _ in range(50)] == [first] * 50
    assert len(flaky.calls) == before
    listed.look_soon("20270101-000000-aaaaaaaa")  # of another session
    assert rows(listed.ask().result(30)).keys() == rows(first).keys()
    assert [call for call in flaky.calls[before:] if finished.id in call[1]] == []


def test_who_waits_for_the_limit_is_shown_what_was_seen_so_far_and_that_is_no_silence(
    listing, finished, running, until
):
    listed, _ = listing(at_once=14, soon=0.0, silent=0.0)
    found = listed.ask().result(30)  # the newest one was looked at, and the allowance ends with the next
    assert found.unread == 1
    assert len(found.sessions) == 1
    until(lambda: listed.last().problem == "", "the last request before that to be answered")


def test_a_store_that_does_not_answer_is_said_to_and_the_rows_stay(listing, flaky, finished, until):
    listed, _ = listing(remote=False, silent=0.2)
    listed.ask().result(30)

    def away(verb, key):
        raise Throttled("the store is busy", context=key)

    flaky.weather = away
    listed.look_soon(finished.id)
    listed.ask()
    until(lambda: listed.last().problem)
    assert finished.id in rows(listed.last())
    flaky.weather = lambda verb, key: None
    until(lambda: not listed.ask().result(30).problem)


def test_a_session_that_is_asked_for_by_id_while_a_look_is_under_way_is_in_the_next_one(listing, flaky, finished):
    listed, _ = listing(remote=False)
    looking, go_on = threading.Event(), threading.Event()

    def slow(verb, key):
        if verb == "folders":
            looking.set()
            go_on.wait(60)

    flaky.weather = slow
    first = listed.ask()
    assert looking.wait(60)
    second = listed.ask([finished.id])
    go_on.set()
    assert first.result(30).problem == second.result(30).problem == ""
    assert second is not first
    assert finished.id in rows(second.result(30))


def test_the_tag_is_the_same_while_only_time_passes(listing, flaky, running, until):
    listed, _ = listing(remote=False)
    until(lambda: rows(listed.ask().result(30))[running.id].session.running)

    def again():
        listed.look_soon(running.id)
        return listed.ask().result(30)

    until(lambda: again().etag == again().etag)
    first, second = again(), again()
    assert first.sessions[0].as_of < second.sessions[0].as_of
    assert first.etag == second.etag


def test_the_tag_stays_while_what_runs_in_the_account_only_costs():
    def tag(**changes):
        runs = replace(RUNS, **changes)
        return replace(NOTHING, account=AccountList(region="r", sessions=(runs,), problem="", way_out="")).etag

    assert tag() == tag(at=62.0, spent=11)  # on the same line
    assert len({tag(), tag(workers=3), tag(hourly=30), NOTHING.etag}) == 4


def test_a_damaged_session_is_a_row_and_hides_no_other(listing, flaky, world, finished, running):
    world.store.path(f"sessions/{finished.id}/manifest.json").write_bytes(b"damaged")
    found = rows(listing(remote=False)[0].ask().result(30))
    assert found[finished.id].session.problem
    assert found[running.id].session.state == "running"


def test_a_damaged_job_hides_neither_its_session_nor_its_other_jobs(listing, world, running, gate):
    broken = world.burst("item", [1], into=running)
    broken.detach()
    record = world.store.path(f"sessions/{running.id}/jobs/{broken.job}/job.json")
    whole = record.read_bytes()

    record.write_bytes(b"damaged")
    found = rows(listing(remote=False)[0].ask().result(30))[running.id]
    assert (found.session.problem, found.session.state, [job.job for job in found.jobs]) == (
        "",
        "running",
        [running.job],
    )

    record.write_bytes(whole)


def test_the_account_is_looked_into_where_one_is_set_up_and_keeps_nobody_waiting(world, until):
    go_on, looks = threading.Event(), []

    def look(settings):
        looks.append(settings.aws["cluster"])
        go_on.wait(60)
        return AccountList(region="eu-central-1", sessions=(RUNS,), problem="", way_out="")

    account = AccountLook(look)
    assert account.newest(world.settings()) is None
    set_up = replace(world.settings(), aws={"cluster": "burst"})
    assert [account.newest(set_up) for _ in range(10)] == [None] * 10
    go_on.set()
    until(lambda: account.newest(set_up))
    assert account.newest(set_up).sessions == (RUNS,)
    assert looks == ["burst"]


def test_why_the_account_cannot_be_looked_into_is_said(world, until):
    def refuse(settings):
        raise AttachError("the credentials have expired", way_out="aws sso login")

    account, set_up = AccountLook(refuse), replace(world.settings(), aws={"cluster": "burst"})
    found = until(lambda: account.newest(set_up))
    assert (found.problem, found.way_out) == ("the credentials have expired", "aws sso login")


@pytest.mark.parametrize("instead", ["nothing", "an empty mount"])
def test_a_store_that_is_away_is_not_said_to_be_empty(world, finished, until, instead):
    listed = Listing(world.settings)
    place = world.store.path("sessions").parent
    moved = place.rename(world.root / "moved")
    if instead != "nothing":
        place.mkdir()
    assert "not there now" in listed.ask().result(60).problem
    with pytest.raises(StoreError, match="not there now"):
        attach("20200101-000000-aaaaaaaa", settings=world.settings(), home={})  # somebody else's, which may be there
    if place.exists():
        place.rmdir()
    moved.rename(place)
    found = until(lambda: (now := listed.ask().result(60)).sessions and now, "the list of what is back")
    assert (found.problem, [row.session.id for row in found.sessions]) == ("", [finished.id])
    listed.stop()


def test_a_store_of_which_the_user_has_no_session_is_an_empty_one(world):
    listed = Listing(world.settings)
    place = world.store.path("sessions").parent
    shutil.rmtree(place, ignore_errors=True)
    found = listed.ask().result(60)
    assert (found.problem, found.sessions) == ("", ())
    listed.stop()
