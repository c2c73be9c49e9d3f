"""What `--dry-run` sees of chance that a seed does not reach."""

import random
import sys
import types

import numpy as np
import pytest

from burst_magic.capture.chance import out_of_reach


@pytest.fixture
def installed():
    """A module that looks as if it were installed, with whatever it is given."""
    made = []

    def make(name, **contents):
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(contents)
        made.append(name)

    yield make
    for name in made:
        del sys.modules[name]


def test_generators_that_installed_modules_keep_are_named(installed):
    installed("dicelib", rng=random.Random(1), other=3)
    installed("dicelib.deep", np_rng=np.random.default_rng(1), state=np.random.RandomState(1), bits=np.random.PCG64())
    assert out_of_reach(["dicelib"], (), {}) == [
        f"dicelib.{name} is a random generator kept by an installed module: --seed does not reach it"
        for name in ("rng", "deep.np_rng", "deep.state", "deep.bits")
    ]


def test_generators_in_its_objects_are_named_too(installed):
    installed("dicelib", table=types.SimpleNamespace(rng=random.Random(1)))
    (said,) = out_of_reach(["dicelib.games"], (), {})
    assert said.startswith("dicelib.table.rng is a random generator")


def test_the_generators_that_tasks_are_seeded_with_are_not(installed):
    rand = np.random.mtrand._rand
    installed("dicelib", draw=random.random, inst=random._inst, rand=rand, bits=rand._bit_generator, rng=None)
    installed("elsewhere", rng=random.Random(1))
    assert out_of_reach(["dicelib", "numpy"], ("random",), {}) == []


def test_what_has_no_seed_at_all_is_not_called_a_generator_to_be_seeded(installed):
    installed("dicelib", rng=random.SystemRandom())
    assert out_of_reach(["dicelib"], (), {}) == []
    (said,) = out_of_reach([], ("uuid4", "hex"), {})
    assert said == "uuid4 uses the system's entropy: --seed does not reach it"


def test_libraries_with_a_state_in_c_are_named_with_the_way_to_seed_them():
    assert out_of_reach(["tensorflow", "torch"], (), {}) == [
        "tensorflow uses its own random state: --seed does not reach it; call tensorflow.random.set_seed(…) in the cell"
    ]


def test_libraries_that_seldom_draw_are_named_where_they_do():
    assert out_of_reach(["polars"], ("filter", "select"), {}) == []
    (said,) = out_of_reach(["polars"], ("sample",), {})
    assert said.startswith("polars uses its own random state")


def test_compiled_functions_that_draw_are_named():
    class Dispatcher:
        __module__ = "numba.core.registry"

        def __init__(self, function):
            self.py_func = function

    values = {"draw": Dispatcher(lambda: np.random.default_rng().random()), "add": Dispatcher(lambda x: x + 1)}
    (said,) = out_of_reach([], (), values)
    assert said.startswith("draw uses Numba's own random state: --seed does not reach it; call np.random.seed(…)")
