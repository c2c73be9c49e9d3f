"""What slots of a local fleet may occupy, and when a fleet is far too large for its machine."""

from __future__ import annotations

import pytest

from burst_magic.plan.machine import Machine, crowding, slot_limit_mb

SMALL = Machine(cores=2, memory_mb=10_000)


@pytest.mark.parametrize(
    ("workers", "slots", "limit"), [(1, 1, 8000), (2, 1, 4000), (1, 2, 4000), (3, 4, 4000), (100_000, 1, 4000)]
)
def test_slots_share_the_machine_as_its_cores_do(workers, slots, limit):
    assert slot_limit_mb(SMALL, workers=workers, slots=slots) == limit


@pytest.mark.parametrize(("workers", "slots"), [(2, 1), (16, 1), (4, 4), (1, 1)])
def test_a_fleet_of_some_slots_for_a_core_is_no_crowd(workers, slots):
    assert crowding(SMALL, workers=workers, slots=slots) == ""


def test_a_crowd_is_told_how_many_are_enough_and_what_it_takes():
    said = crowding(SMALL, workers=100_000, slots=1)
    assert said == (
        "100,000 tasks at a time share 2 cores of this machine and need about 3,906 GB before they begin; --workers 2 is as fast"
    )
    assert "GB" not in crowding(SMALL, workers=17, slots=1)
    assert "1 core of" in crowding(Machine(cores=1, memory_mb=100), workers=9, slots=1)
