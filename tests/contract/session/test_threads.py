"""Threads of numeric libraries: slots that run side by side share the cores of the machine."""

from __future__ import annotations

import os

import pytest

from burst_magic import host

LOOK = """
import os

import numpy
import threadpoolctl

(
    {name: value for name, value in os.environ.items() if name.endswith("_THREADS")},
    {library["internal_api"]: library["num_threads"] for library in threadpoolctl.threadpool_info()},
)
"""
SHARE = max(1, host.cores() // 2)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Nobody has said anything about threads."""
    for name in [name for name in os.environ if name.endswith("_THREADS")]:
        monkeypatch.delenv(name)
    return monkeypatch


def test_workers_side_by_side_get_equal_parts_of_the_cores(world):
    for variables, libraries in world.burst(LOOK, range(2), workers=2).results():
        assert variables["OPENBLAS_NUM_THREADS"] == variables["OMP_NUM_THREADS"] == str(SHARE)
        assert set(libraries.values()) == {SHARE}


def test_slots_count_like_workers(world):
    (variables, libraries), _ = world.burst(LOOK, range(2), workers=1, slots=2).results()
    assert (variables["OMP_NUM_THREADS"], set(libraries.values())) == (str(SHARE), {SHARE})


def test_a_cell_that_runs_once_has_all_cores_to_itself(world):
    ((variables, libraries),) = world.burst(LOOK, workers=8).results()
    assert (variables["OMP_NUM_THREADS"], set(libraries.values())) == (str(host.cores()), {host.cores()})


def test_the_number_that_was_asked_for_overrides_the_environment(world, environment):
    environment.setenv("OMP_NUM_THREADS", "2")
    ((variables, libraries),) = world.burst(LOOK, range(1), threads=1).results()
    assert {*variables.values(), *map(str, libraries.values())} == {"1"}


def test_what_the_user_set_before_is_kept(world, environment):
    environment.setenv("OMP_NUM_THREADS", "1")
    ((variables, libraries),) = world.burst(LOOK, range(1)).results()
    assert variables["OMP_NUM_THREADS"] == "1"
    assert "OPENBLAS_NUM_THREADS" not in variables  # OpenBLAS takes the other
    assert variables["POLARS_MAX_THREADS"] == str(host.cores())
    assert libraries["openblas"] == 1


def test_libraries_that_an_earlier_job_loaded_follow_the_next_one(world):
    session = world.burst(LOOK, range(1), workers=1, threads=1)
    found = [session.results()[0], world.burst(LOOK, range(1), into=session, threads=2).results()[0]]
    found.append(world.burst(LOOK, range(1), into=session).results()[0])
    assert [libraries["openblas"] for _, libraries in found] == [1, 2, host.cores()]


def test_libraries_that_are_loaded_when_a_slot_starts_are_told(world, environment, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("import numpy\n")
    environment.setenv("PYTHONPATH", str(tmp_path / "site"))
    for _, libraries in world.burst(LOOK, range(2), workers=2, threads=1).results():
        assert set(libraries.values()) == {1}
