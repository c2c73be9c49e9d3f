"""Long tasks where they do most harm: nothing that has not started waits behind one while a slot has nothing to do.

Judged by a plain queue that costs nothing: the next task, in order, to the first slot that is free.
"""

from __future__ import annotations

import pytest

from burst_magic.testing.orders import ORDERS, order, queue
from burst_magic.testing.scenario import Scenario
from burst_magic.testing.weather import Weather
from burst_magic.testing.world import World

FOLDER = {"interval": 1.0, "floor": 0.05, "task": 0.3, "weather": Weather(latency=0.001, grain=0.0)}
S3 = {"interval": 20.0, "floor": 2.0, "task": 10.0, "weather": Weather(latency=0.025)}


def lived(work, *, tasks, workers, rhythm, slots=1):
    """A session in which nothing goes wrong, until it is finished."""
    plan = Scenario(
        seed=1, workers=workers, slots=slots, tasks=tasks, work=work, acts=(), calm=1e9, idle=300.0, lifetime=1e6,
        short=False, failing=0.0, boot=0.01, skew=0.0, reaps=False, **rhythm,
    )  # fmt: skip
    world = World(plan)
    world.submit(tasks, first=0)
    while world.laws.keys.job("0").final not in world.store.objects:
        assert world.clock.turn()
    return world


def stretch(world):
    """Its makespan, as a multiple of the queue's."""
    plan = world.plan
    each = [world.duration("0", task) for task in range(plan.tasks)]
    return world.clock.now / queue(each, plan.workers * plan.slots)


# A queue deals eighty alternating tasks out evenly to eight slots; one long task more for one of them is a sixth more.
EVEN = ("alternating", 80)


@pytest.mark.parametrize("rhythm", [FOLDER, S3], ids=["folder", "S3"])
@pytest.mark.parametrize(("tasks", "workers", "slots"), [(40, 2, 1), (60, 4, 1), (60, 2, 2), (80, 8, 1), (200, 8, 1)])
@pytest.mark.parametrize("work", ORDERS)
def test_no_order_of_tasks_takes_much_longer_than_a_queue_does(work, tasks, workers, slots, rhythm):
    assert stretch(lived(work, tasks=tasks, workers=workers, slots=slots, rhythm=rhythm)) <= (
        1.2 if (work, tasks) == EVEN else 1.1
    )


@pytest.mark.parametrize("work", ORDERS)
def test_little_runs_twice(work):
    world = lived(work, tasks=200, workers=8, rhythm=FOLDER)
    assert sum(world.ran.values()) <= 205


@pytest.mark.parametrize("work", ["sorted up", "one long first", "alternating"])
def test_what_that_costs_grows_with_the_long_tasks_and_not_with_the_quick_ones(work):
    """Law 6: two requests for each segment, some for each theft, and those of workers that come, beat and wait."""
    world = lived(work, tasks=2000, workers=4, rhythm={**S3, "task": 0.01})
    claims = world.store.names(world.laws.keys.job("0").claims_folder)
    assert len(claims) <= 12
    assert sum(world.store.asked.values()) <= 200


def test_the_orders_are_what_they_are_called():
    assert order("sorted up", 4, 2) == [0.4, 0.8, 1.2, 1.6]
    assert order("one long last", 20, 2)[-2:] == [20 / 39, 400 / 39]
    assert order("alternating", 4, 2) == [80 / 42, 4 / 42, 80 / 42, 4 / 42]
    assert all(sum(order(name, 30, 3)) == pytest.approx(30) for name in ORDERS)
    assert all(order(name, 0, 3) == [] and len(order(name, 1, 3)) == 1 for name in ORDERS)
    assert queue([6, 6, 0.1, 0.1], 2) == 6.1
