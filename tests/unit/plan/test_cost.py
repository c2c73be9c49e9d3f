"""Prices and arithmetic of money."""

import pytest

from burst_magic.plan import cost, prices
from burst_magic.plan.cost import Requests
from burst_magic.plan.shapes import Shape

GB = 1024
REGIONS = ("us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1", "sa-east-1")


@pytest.mark.parametrize("region", REGIONS)
def test_what_the_table_says_of_a_region_is_no_slip_of_a_digit(region):
    """Everywhere a vCPU costs nine times a GB, ARM a fifth less, and no region twice the cheapest."""
    cheapest = prices.fargate("x86_64")
    x86, arm = (prices.fargate(arch, region=region) for arch in ("x86_64", "arm64"))
    assert x86.region == arm.region == region
    assert [price.vcpu / price.gb for price in (x86, arm)] == pytest.approx([9.1, 9.1], abs=0.07)
    assert [arm.vcpu / x86.vcpu, arm.gb / x86.gb] == pytest.approx([0.8, 0.8], abs=0.01)
    assert 1 <= x86.vcpu / cheapest.vcpu < 2


def test_a_region_has_its_own_prices():
    assert [prices.fargate("x86_64", region=name).vcpu for name in ("us-east-1", "eu-central-1", "sa-east-1")] == [
        pytest.approx(dollars) for dollars in (0.04048, 0.04656, 0.0696)
    ]


@pytest.mark.parametrize("region", ["moon-1", ""])
def test_an_unknown_region_gets_the_default_prices_and_says_so(region):
    assert prices.fargate("arm64", region=region) == prices.fargate("arm64", region="us-east-1")


@pytest.mark.parametrize(
    ("shape", "dollars"),
    [((0.25, 512), 0.0123425), ((1, 2 * GB), 0.04937), ((4, 8 * GB), 0.19748), ((16, 120 * GB), 1.18108)],
)
def test_the_rate_of_a_worker_is_its_vcpu_and_its_memory(shape, dollars):
    assert cost.rate(Shape(*shape), prices.fargate("x86_64")) == pytest.approx(dollars * 1e6, abs=1)


@pytest.mark.parametrize(
    ("seconds", "micros"), [(0, 0), (0.1, 60), (59.9, 60), (60, 60), (60.1, 61), (3600, 3600), (7200.5, 7201)]
)
def test_a_worker_is_charged_by_the_second_and_for_a_minute_at_least(seconds, micros):
    assert cost.charge(3600, seconds) == micros


@pytest.mark.parametrize(
    ("tasks", "sample", "lanes", "seconds"), [(100, 1.0, 10, 10), (101, 1.0, 10, 11), (1, 30, 8, 30), (0, 1, 4, 0)]
)
def test_the_last_wave_takes_as_long_as_a_full_one(tasks, sample, lanes, seconds):
    assert cost.duration(tasks, sample, lanes=lanes) == seconds


@pytest.mark.parametrize(
    ("tasks", "each", "simulated"), [(10_000, 0.01, 0.02), (10_000, 1.0, 0.63), (1_000, 30.0, 1.8)]
)
def test_the_count_of_requests_is_no_less_than_the_simulated_one_and_at_most_four_times_it(tasks, each, simulated):
    counted = cost.count_requests(tasks, tasks * each / 32, workers=32, slots=1, interval=20, floor=2)
    assert simulated <= (counted.writes + counted.reads) / tasks <= 4 * simulated


def test_requests_grow_with_time_and_never_past_a_few_for_each_task():
    count = [
        cost.count_requests(100, seconds, workers=4, slots=2, interval=1e9, floor=2).writes
        for seconds in (1, 50, 500, 5_000, 500_000)
    ]
    assert count == sorted(count)
    assert count[-1] < 3 * 100 + 40


def test_a_million_writes_cost_five_dollars_and_a_million_reads_forty_cents():
    price = prices.requests()
    assert cost.price_requests(Requests(writes=1_000_000, reads=0), price) == 5_000_000
    assert cost.price_requests(Requests(writes=0, reads=1_000_000), price) == 400_000


def test_a_worker_in_a_public_subnet_pays_for_its_address():
    shape = Shape(cpu=1, memory=2048)
    assert cost.on_fargate(shape, "x86_64", "us-east-1") == 49_370
    assert cost.public_address({}) == cost.public_address({"public_ip": "true"}) == 5_000
    assert cost.public_address({"public_ip": "false"}) == 0
