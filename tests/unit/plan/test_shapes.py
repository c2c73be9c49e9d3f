"""Worker sizes: Fargate's table exactly, and helpful refusals."""

import pytest

from burst_magic.errors import PlanError
from burst_magic.plan.shapes import LEGAL, Shape, choose, nearest

GB = 1024


@pytest.mark.parametrize(
    ("cpu", "least", "most", "count"),
    [
        (0.25, 0.5, 2, 3),
        (0.5, 1, 4, 4),
        (1, 2, 8, 7),
        (2, 4, 16, 13),
        (4, 8, 30, 23),
        (8, 16, 60, 12),
        (16, 32, 120, 12),
    ],
)
def test_the_table_is_fargates(cpu, least, most, count):
    sizes = LEGAL[cpu]
    assert (sizes[0], sizes[-1], len(sizes)) == (least * GB, most * GB, count)
    assert sorted(set(sizes)) == list(sizes)


@pytest.mark.parametrize(
    ("cpu", "memory", "slots", "shape"),
    [
        (None, None, 1, (1, 2 * GB)),
        (None, None, 3, (4, 8 * GB)),
        (None, None, 64, (16, 32 * GB)),
        (4, None, 1, (4, 8 * GB)),
        (0.25, None, 1, (0.25, 512)),
        (16, None, 1, (16, 32 * GB)),
        (None, 8 * GB, 1, (1, 8 * GB)),
        (None, 8 * GB, 2, (2, 8 * GB)),
        (None, 16 * GB, 1, (2, 16 * GB)),
        (None, 512, 1, (0.25, 512)),
        (None, 120 * GB, 1, (16, 120 * GB)),
        (8, 20 * GB, 1, (8, 20 * GB)),
    ],
)
def test_what_was_not_asked_for_follows_from_the_rest(cpu, memory, slots, shape):
    assert choose(cpu, memory, slots=slots) == Shape(*shape)


@pytest.mark.parametrize(
    ("cpu", "memory", "names"),
    [
        (4, 7 * GB, ("4 vCPU with 8GB", "2 vCPU with 7GB")),
        (1, 16 * GB, ("1 vCPU with 8GB", "2 vCPU with 16GB")),
        (3, 8 * GB, ("4 vCPU with 8GB", "2 vCPU with 8GB")),
        (8, 18 * GB, ("8 vCPU with 20GB", "4 vCPU with 18GB")),
        (0.25, 1536, ("0.25 vCPU with 2GB", "0.5 vCPU with 2GB")),
        (32, 64 * GB, ("16 vCPU with 64GB", "8 vCPU with 60GB")),
        (None, 500 * GB, ("16 vCPU with 120GB",)),
        (3, None, ("4 vCPU with 8GB",)),
    ],
)
def test_an_impossible_pair_names_the_nearest_legal_ones(cpu, memory, names):
    with pytest.raises(PlanError) as caught:
        choose(cpu, memory)
    assert "\n" not in str(caught.value)
    for name in names:
        assert name in caught.value.problem


@pytest.mark.parametrize("cpu", [0.1, 0.3, 1.5, 3, 5, 12, 100])
@pytest.mark.parametrize("memory", [1, 600, 5000, 70 * GB, 1000 * GB])
def test_what_is_named_as_nearest_can_be_chosen(cpu, memory):
    for shape in nearest(Shape(cpu, memory)):
        assert choose(shape.cpu, shape.memory) == shape
