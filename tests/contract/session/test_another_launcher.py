"""A session whose workers another package's launcher starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from burst_magic import launchers
from burst_magic.launchers.base import Again, Refusal, Status, Traits, WorkerState
from burst_magic.launchers.local import LocalLauncher
from burst_magic.magics import calls, verbs
from burst_magic.magics.desk import DESK

PAGE = Path(__file__).parents[3] / "docs" / "launchers.md"


@pytest.fixture
def shell():
    """The launcher that docs/launchers.md shows."""
    source = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    names = {}
    exec(compile(source, PAGE, "exec"), names)
    yield names["ShellLauncher"]
    launchers.register("shell", names["ShellLauncher"])()


@pytest.mark.usefixtures("shell")
def test_a_burst_runs_on_the_launcher_that_the_page_shows(world):
    session = world.burst("item * 2", range(20), launcher="shell", workers=2)
    assert list(session.results()) == list(range(0, 40, 2))
    assert {worker.wid[:6] for worker in session.status().workers} == {"shell-"}
    session.cleanup(force=True)
    assert world.objects() == []


def test_where_a_sessions_launcher_is_not_installed_its_results_can_be_had_all_the_same(world, shell):
    session = world.burst("item * 2", range(4), launcher="shell")
    session.wait()
    launchers.register("shell", shell)()  # taken back: nobody knows it any more
    again = world.attach(session.id)
    assert list(again.results()) == [0, 2, 4, 6]
    assert again.status().alive >= 0
    again.cleanup()


class Full(LocalLauncher):
    """It has no room, and more of it later."""

    name = "full"
    traits = Traits(starting_within=60.0, here=True, rate=lambda *_: 1_000_000)
    room_after = 10**9
    again = Again.NO_ROOM
    calls = ()

    def start(self, starts):
        type(self).room_after -= 1
        type(self).calls += (len(starts),)
        if self.room_after < 0:
            return super().start(starts)
        return [Refusal(token=start.token, problem="no capacity", again=self.again) for start in starts]


class Noting(LocalLauncher):
    """It remembers what it was asked to start."""

    name = "noting"
    asked = ()

    def start(self, starts):
        type(self).asked += tuple(starts)
        return super().start(starts)


def test_a_worker_that_is_started_after_an_extension_knows_the_later_deadline(world):
    forget = launchers.register("noting", Noting)
    try:
        session = world.burst("item", range(4), launcher="noting", deadline=600)
        later = session.extend("1h")
        session.scale(2)
        assert [start.deadline for start in Noting.asked] == [session.manifest.deadline, later]
    finally:
        forget()


class Spare(LocalLauncher):
    """What to fall back on, at a price."""

    name = "spare"
    traits = Traits(starting_within=60.0, here=True, rate=lambda *_: 3_000_000)


@pytest.fixture
def full():
    launcher = type("Full", (Full,), {})
    forget = launchers.register("full", launcher), launchers.register("spare", Spare)
    yield launcher
    for each in forget:
        each()


@pytest.mark.usefixtures("full")
def test_where_the_first_launcher_has_no_room_its_fallback_starts_workers_at_its_own_rate(world, caplog):
    session = world.burst("item * 2", range(6), launcher="full,spare", workers=2)
    assert list(session.results()) == [0, 2, 4, 6, 8, 10]
    seen = session.status()
    assert {worker.rate for worker in seen.workers} == {3_000_000}
    assert "2 of 2 full workers were not started: no capacity" in caplog.text


def test_while_all_are_refused_for_now_it_says_why_it_waits_and_goes_on_when_there_is_room(world, full, until):
    full.room_after = 3
    session = world.burst("item * 2", [1], launcher="full")
    said = "1 of 1 workers could not start; retrying: no capacity"
    until(lambda: session.status().refused == said, "the reason")
    assert list(session.results()) == [2]
    assert session.status().refused == ""


@pytest.mark.usefixtures("full")
def test_logs_of_what_no_worker_was_there_for_say_that_it_did_not_run(world):
    session = DESK.keep(world.burst("print(item)", range(3), launcher="full"))
    try:
        session.cancel()
        session.results().wait()
        said = verbs.logs(calls.LogsCall(id=session.id, task=2), world.settings())
    finally:
        DESK.open.pop((session.id, session.job))
    assert said == "task 2 did not run"


def test_a_launcher_that_asks_for_patience_is_waited_for_though_there_is_a_fallback(world, full):
    full.room_after, full.again = 2, Again.LATER
    session = world.burst("item * 2", range(4), launcher="full,spare", workers=2)
    assert list(session.results()) == [0, 2, 4, 6]
    assert {worker.rate for worker in session.status().workers} == {1_000_000}


def test_workers_that_are_retried_together_are_started_in_one_call_and_warned_of_once(world, full, caplog):
    full.room_after = 3
    session = world.burst("item * 2", range(12), launcher="full", workers=6)
    assert list(session.results()) == list(range(0, 24, 2))
    assert full.calls == (6,) * 4
    warnings = [record.getMessage() for record in caplog.records if "not started" in record.getMessage()]
    assert warnings == ["6 of 6 full workers were not started: no capacity"]


class Forgetful(LocalLauncher):
    """Its engine knows no worker any more, as ECS an hour after its end."""

    name = "forgetful"
    asked = 0

    def describe(self, handles):
        type(self).asked += len(handles)
        return {each.wid: Status(state=WorkerState.UNKNOWN, missing=True) for each in handles}


def test_a_worker_that_its_engine_has_forgotten_is_described_no_more(world, until):
    forget = launchers.register("forgetful", Forgetful)
    try:
        session = world.burst("item", [1], launcher="forgetful")
        assert list(session.results()) == [1]

        def described():
            before = Forgetful.asked
            session.fleet.look()
            return Forgetful.asked - before

        until(lambda: not described(), "it to be forgotten")
        assert Forgetful.asked
        assert session.fleet.living
    finally:
        forget()


class Unanswering(LocalLauncher):
    """Its first replies are lost, with or without a worker behind them."""

    name = "unanswering"
    traits = Traits(starting_within=3600.0, here=True)
    lost, accepts = 4, False
    calls, accepted = (), ()

    def start(self, starts):
        type(self).calls += (tuple(start.token for start in starts),)
        said = super().start(starts) if self.accepts or len(self.calls) > self.lost else []
        type(self).accepted += tuple(said)
        if len(self.calls) <= self.lost:
            return [Refusal(token=start.token, problem="no answer", again=Again.SAME_TOKEN) for start in starts]
        return said

    def find(self, sid, options):
        return list(self.accepted)


@pytest.mark.parametrize("accepts", [True, False])
def test_a_start_whose_every_reply_was_lost_is_looked_for_and_repeated_long_before_its_patience_ends(
    world, until, accepts
):
    launcher = type("Unanswering", (Unanswering,), {"accepts": accepts})
    forget = launchers.register("unanswering", launcher)
    try:
        session = world.burst("item * 2", range(4), launcher="unanswering")
        until(lambda: session.status().completed == 4, "the results")
        assert len(set(launcher.calls)) == 1  # one token all the time
        assert len(launcher.calls) == (4 if accepts else 5)
        assert len({worker.wid for worker in session.status().workers}) == 1
    finally:
        forget()
