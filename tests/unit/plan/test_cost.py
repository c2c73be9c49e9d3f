"""The arithmetic of money."""

import pytest

from burst_magic.plan import cost, prices
from burst_magic.plan.cost import Requests
from burst_magic.plan.shapes import Shape

GB = 1024
US = prices.shipped().market("x86_64")


@pytest.mark.parametrize(
    ("shape", "dollars"),
    [((0.25, 512), 0.0123425), ((1, 2 * GB), 0.04937), ((4, 8 * GB), 0.19748), ((16, 120 * GB), 1.18108)],
)
def test_the_rate_of_a_worker_is_its_vcpu_and_its_memory(shape, dollars):
    assert cost.on_fargate(Shape(*shape), US) == pytest.approx(dollars * 1e6, abs=1)


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
    assert cost.on_fargate(shape, US) == 49_370
    assert cost.public_address({}) == cost.public_address({"public_ip": "true"}) == 5_000
    assert cost.public_address({"public_ip": "false"}) == 0


@pytest.mark.parametrize("on", [cost.on_fargate, cost.on_fargate_spot])
def test_without_a_price_there_is_no_rate(on):
    assert on(Shape(cpu=1, memory=2048), prices.Market(region="moon-1", arch="x86_64")) is None
