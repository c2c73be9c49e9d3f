"""Items that are parts of captured values, on real workers."""

from __future__ import annotations

import math

import pytest

SETUP = """
import random
class Node:
    def __init__(self, n): self.n = n
nodes = [Node(n) for n in range(6)]
padding = [[n] for n in range(200_000)]
rng = random.Random(5)
rngs = [random.Random(n) for n in range(3)]
"""


@pytest.fixture
def notebook(world):
    world.home["__name__"] = "__main__"
    exec(SETUP, world.home)
    return world.home


@pytest.mark.parametrize("also", ["", "len(padding)\n"])
def test_an_item_is_found_among_the_captured_whether_these_are_loaded_once_or_for_each_task(world, notebook, also):
    session = world.burst(f"{also}nodes.index(item)", notebook["nodes"], workers=2)
    assert session.results().collect() == list(range(6))


def test_a_job_without_parts_follows_one_with_them_on_warm_workers(world, notebook):
    first = world.burst("nodes.index(item)", notebook["nodes"])
    assert first.results().collect() == list(range(6))
    second = world.burst("item.n + len(nodes)", [type(notebook["nodes"][0])(7)], into=first)
    assert second.results().collect() == [13]


def test_a_generator_that_is_an_item_keeps_its_own_state_though_it_is_captured_too(world, notebook):
    draws = [type(rng)(n).random() for n, rng in enumerate(notebook["rngs"])]
    assert world.burst("len(rngs), item.random()", notebook["rngs"]).results().collect() == [
        (3, draw) for draw in draws
    ]
    own = type(notebook["rng"])(5).random()
    ((found, drawn),) = world.burst("item is rng, item.random()", [notebook["rng"]]).results().collect()
    assert (found, drawn) == (True, own)


def test_a_nan_is_found_by_a_cell_that_captures_nothing(world):
    session = world.burst("import math\nitem is math.nan", [math.nan, 1.0, float("nan"), math.nan])
    assert session.results().collect() == [True, False, False, True]


def test_a_failed_task_tells_its_item(world, notebook):
    session = world.burst("nodes[9] if padding else item", [notebook["padding"][3]])
    with pytest.raises(IndexError) as caught:
        session.results()[0]
    assert "task 0 (item [3])" in "\n".join(caught.value._render_traceback_())
