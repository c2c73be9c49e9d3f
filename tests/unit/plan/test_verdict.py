"""What a sample says: time here, time and money there, and which to choose."""

from types import SimpleNamespace

import pytest

from burst_magic.launchers.base import Traits
from burst_magic.plan.cost import on_fargate
from burst_magic.plan.planner import plan
from burst_magic.plan.verdict import judge, lines

FARGATE = {"fargate": Traits(starting_within=600, rate=on_fargate)}
LOCAL = {"local": Traits(starting_within=60, here=True)}


def judged(sample, *, terms=FARGATE, tasks=100, workers=10, cores=2, start=45.0):
    size = {"slots": 1, "cpu": None, "memory": None, "arch": "x86_64"}
    limits = {"budget": None, "max_hourly_cost": None, "cost_alert": None}
    asked = SimpleNamespace(**size, **limits, workers=workers, env="sync", store="s3://b", aws={})
    made = plan(asked, terms, tasks=tasks, sample=sum(sample) / len(sample))
    return judge(sample, made, cores=cores, start=start)


def test_the_whole_is_told_here_and_there_with_its_price():
    verdict = judged((50.0, 70.0))
    assert (verdict.here, verdict.there) == (50 * 60.0, 10 * 60.0 + 45)
    assert lines(verdict)[:2] == ["sample: 2 tasks ran here in 1m each (50s to 70s)", "here, on 2 cores: ≈ 50m"]
    assert lines(verdict)[2].startswith("on 10 fargate workers: ≈ 11m, of which ≈ 45s to start, ≈ $0.09")


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        (60.0, "the fleet is ≈ 5 × faster"),
        (2.0, "the fleet is somewhat faster"),
        (1.1, "no faster on the fleet: --launcher local costs nothing"),
        (0.01, "this machine is faster: --launcher local"),
    ],
)
def test_the_verdict_counts_the_start_of_the_fleet(sample, said):
    assert lines(judged((sample,)))[-1] == f"verdict: {said}"


def test_of_a_generator_only_the_price_of_an_hour_is_known():
    assert lines(judged((1.0,), tasks=None))[-1].startswith("number of tasks unknown; the fleet costs $0.49 an hour")


def test_on_this_machine_there_is_nothing_to_choose():
    assert lines(judged((1.0,), terms=LOCAL)) == ["sample: 1 task ran here in 1.0 s each", "here, on 2 cores: ≈ 50s"]
