"""What quotas mean for a plan: how many start now, how much longer it takes, what to ask for."""

from types import SimpleNamespace

import pytest

from burst_magic.errors import QuotaExceeded
from burst_magic.launchers.base import Traits
from burst_magic.plan.cost import on_fargate
from burst_magic.plan.planner import plan
from burst_magic.plan.quota import QuotaIncrease, QuotaReading, VcpuQuota, describe, outlook, suggest

ON_DEMAND = VcpuQuota(service="fargate", code="L-1", name="on demand", usage="Standard/OnDemand")
SPOT = VcpuQuota(service="fargate", code="L-2", name="spot", usage="Standard/Spot")


def made(workers=100, *, tasks=1000, sample=None, cpu=None, slots=1):
    limits = {"budget": None, "max_hourly_cost": None, "cost_alert": None}
    size = {"slots": slots, "cpu": cpu, "memory": None, "arch": "x86_64"}
    asked = SimpleNamespace(**size, **limits, workers=workers, env="sync", store="s3://b", aws={})
    terms = {"fargate": Traits(starting_within=600, rate=on_fargate)}
    return plan(asked, terms, tasks=tasks, sample=sample)


def reading(limit, used=0.0, quota=ON_DEMAND):
    return QuotaReading(quota=quota, limit=limit, used=used)


def test_where_all_have_room_there_is_nothing_to_say():
    assert outlook(made(), [reading(100)]) == ""
    assert outlook(made(tasks=5), [reading(12, 7)]) == ""


def test_some_start_now_and_the_rest_later():
    assert outlook(made(), [reading(40, 15)]) == (
        "25 of 100 workers can run now (on demand L-1: 15 of 40 vCPU in use); the rest as quota frees. "
        "To raise it: %burst_quota request"
    )


def test_with_a_sample_the_time_that_it_takes_longer_is_told():
    """1 000 tasks of 24 s: ten waves of a hundred workers take four minutes, forty waves of 25 take sixteen."""
    assert "about 12m longer" in outlook(made(sample=24.0), [reading(25)])


def test_slots_and_size_of_workers_count():
    assert outlook(made(10, cpu=4.0), [reading(14)]).startswith("3 of 10 workers")
    assert "about 1m longer" in outlook(made(2, tasks=8, sample=30.0, slots=2, cpu=2.0), [reading(2)])


def test_a_fallback_s_quota_is_room_too():
    both = [reading(20, 15, SPOT), reading(12, 2)]
    assert outlook(made(15), both) == ""
    assert outlook(made(16), both).startswith("15 of 16 workers can run now (spot L-2: 15 of 20 vCPU in use; on demand")


def test_when_none_has_room_nobody_says_how_long_it_takes():
    said = outlook(made(sample=24.0), [reading(12, 12)])
    assert said.startswith("0 of 100 workers can run now")
    assert "longer" not in said


def test_more_in_use_than_allowed_is_no_room():
    assert reading(6, 8).room(1.0) == 0


def test_an_unknown_use_counts_as_none_and_is_said():
    said = outlook(made(), [reading(40, None)])
    assert said.startswith("40 of 100 workers can run now (on demand L-1: an unknown number of 40 vCPU in use)")


def test_a_worker_that_is_larger_than_the_quota_is_refused_with_what_to_ask_for():
    with pytest.raises(QuotaExceeded) as caught:
        outlook(made(4, cpu=16.0), [reading(6), reading(8, quota=SPOT)])
    assert caught.value.problem == "a worker has 16 vCPU, and the account may run 8 at a time"
    assert caught.value.way_out == "a smaller --cpu, or %burst_quota request 100"
    assert outlook(made(1, cpu=8.0, tasks=1), [reading(6), reading(8, quota=SPOT)]) == ""


@pytest.mark.parametrize(("need", "quota"), [(1, 100), (80, 100), (81, 200), (8000, 10000), (8001, 11000)])
def test_what_is_suggested_has_a_quarter_to_spare_and_is_round(need, quota):
    assert suggest(need) == quota


@pytest.mark.parametrize(
    ("state", "is_open"),
    [("PENDING", True), ("CASE_OPENED", True), ("APPROVED", False), ("DENIED", False), ("NEW", False)],
)
def test_every_state_of_a_request_has_words_even_one_that_is_not_known(state, is_open):
    increase = QuotaIncrease(ident="1", wanted=100.0, state=state, created=0.0, case="77")
    assert increase.is_open is is_open
    assert describe(increase).startswith(f"{state}: ")
    assert describe(increase).endswith("(case 77)")
