"""Which variables tell numeric libraries how many threads they may use."""

from __future__ import annotations

import pytest

from burst_magic.worker.child.threads import VARIABLES, variables


def test_every_library_is_told_the_share():
    assert dict(variables(3, {}, asked=False)) == dict.fromkeys(VARIABLES, "3")


@pytest.mark.parametrize("name", ["OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS"])
def test_a_variable_that_is_set_is_kept_and_the_others_are_not_touched_by_it(name):
    assert set(VARIABLES) - {name} == {told for told, _ in variables(2, {name: "7"}, asked=False)}


def test_those_that_follow_openmp_are_left_to_it_where_it_is_set():
    told = dict(variables(2, {"OMP_NUM_THREADS": "7"}, asked=False))
    assert not told.keys() & {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"}
    assert told["POLARS_MAX_THREADS"] == "2"


def test_an_empty_variable_is_none():
    assert dict(variables(2, {"OMP_NUM_THREADS": ""}, asked=False))["OMP_NUM_THREADS"] == "2"


def test_a_number_that_was_asked_for_overrides_them_all():
    assert dict(variables(4, {"OMP_NUM_THREADS": "7"}, asked=True)) == dict.fromkeys(VARIABLES, "4")


def test_a_job_that_says_nothing_leaves_the_environment_alone():
    assert variables(0, {}, asked=False) == ()
