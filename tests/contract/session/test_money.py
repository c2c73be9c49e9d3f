"""Limits and prices of a session that runs: what costs too much does not start, and an unknown price is no zero."""

from __future__ import annotations

import pytest

from burst_magic import launchers
from burst_magic.errors import BudgetExceeded
from burst_magic.launchers.base import Traits
from burst_magic.launchers.local import LocalLauncher
from burst_magic.plan.planner import plan
from burst_magic.session import attach as attaching
from burst_magic.session.submit import Labels, submit
from burst_magic.ui.bill import bill_text
from burst_magic.ui.text import status_text


class Dear(LocalLauncher):
    """A dollar an hour."""

    name = "dear"
    traits = Traits(starting_within=60.0, here=True, rate=lambda *_: 1_000_000)


class Guessed(LocalLauncher):
    """Half a dollar an hour as a rule, and a dollar at most."""

    name = "guessed"
    traits = Traits(starting_within=60.0, here=True, rate=lambda *_: 500_000, ceiling=lambda *_: 1_000_000)


class Untold(LocalLauncher):
    """Nobody knows."""

    name = "untold"
    traits = Traits(starting_within=60.0, here=True, rate=lambda *_: None)


@pytest.fixture(autouse=True)
def both():
    forgets = [launchers.register(each.name, each) for each in (Dear, Guessed, Untold)]
    yield
    for forget in forgets:
        forget()


@pytest.mark.parametrize("launcher", ["dear", "guessed"])
def test_a_fleet_grows_no_further_than_an_hour_may_cost_at_most(world, launcher):
    session = world.burst("item", [1], launcher=launcher, workers=1, max_hourly_cost="2.00")
    session.scale(2)
    with pytest.raises(BudgetExceeded, match=r"the workers cost \$3\.00 an hour, and max_hourly_cost is \$2\.00"):
        session.scale(3)
    assert session.status().wanted == 2
    session.scale(1)


def test_a_session_of_an_unknown_price_runs_and_says_that_its_cost_is_not_known(world):
    session = world.burst("item * 2", range(4), launcher="untold")
    assert list(session.results()) == [0, 2, 4, 6]
    seen = session.status()
    assert "the price of its workers is not known" in status_text(seen)
    text = bill_text(seen, session.manifest)
    assert "the price of its workers is not known" in text
    assert "$0.00" not in text
    (row,) = attaching.sessions(world.settings())
    assert (row.cost, row.fargate) == (None, None)


def test_no_budget_can_be_given_to_a_session_of_an_unknown_price(world):
    session = world.burst("item", [1], launcher="untold")
    with pytest.raises(BudgetExceeded, match="so a budget cannot be kept"):
        session.extend(budget=5_000_000)
    session.extend("1h")


def test_a_fleet_of_an_unknown_price_does_not_grow_where_an_hour_is_limited(world):
    session = world.burst("__import__('time').sleep(30)", [1, 2], launcher="untold", workers=1)
    limited = attaching.attach(session.id, settings=world.settings(max_hourly_cost="2.00"), home={})
    with pytest.raises(BudgetExceeded, match="so max_hourly_cost cannot be kept"):
        limited.scale(2)
    assert limited.status().wanted == 1
    limited.scale(1)
    session.cancel()


def test_the_estimate_of_its_jobs_stands_beside_what_a_session_cost(world):
    settings = world.settings(launcher="dear")
    terms = launchers.traits("dear")

    def burst(sample, into=None):
        from burst_magic.capture.cell import capture_cell

        capture = capture_cell("item", {"items": [1, 2]}, map_expr="items")
        made = plan(settings, terms, tasks=2, sample=sample)
        session = submit(capture, made, settings, home={}, labels=Labels(), into=into)
        world.sessions.append(session)
        session.wait()
        return session

    first = burst(1800.0)
    assert first.description.estimate == 1_000_000  # one worker for an hour
    assert attaching.sessions(settings)[0].estimate == 1_000_000
    burst(1800.0, into=first)
    assert attaching.sessions(settings)[0].estimate == 2_000_000
    burst(None, into=first)
    (row,) = attaching.sessions(settings)
    assert row.estimate is None
    assert row.cost > 0
