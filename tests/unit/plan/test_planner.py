"""From what was asked to a plan, or to a refusal before anything starts."""

import inspect
from dataclasses import replace
from types import SimpleNamespace

import pytest

from burst_magic.config import Settings, load
from burst_magic.errors import BudgetExceeded, PlanError
from burst_magic.launchers.base import Traits
from burst_magic.launchers.local import LocalLauncher
from burst_magic.plan.cost import on_fargate, public_address
from burst_magic.plan.machine import Machine
from burst_magic.plan.planner import FleetRequest, Wishes, plan, summary, threads
from burst_magic.plan.prices import FargatePrice, shipped

MOON = {"region": "moon-1"}
LOCAL = {"local": LocalLauncher.traits}
FARGATE = {"fargate": Traits(starting_within=600, rate=on_fargate, syncs=True)}
SPOT = {"spot": Traits(starting_within=600, rate=lambda *shape: on_fargate(*shape) // 3, ceiling=on_fargate)}


def asked(**changes):
    base = {
        "workers": 4,
        "slots": 1,
        "cpu": None,
        "memory": None,
        "arch": "x86_64",
        "env": "sync",
        "budget": None,
        "max_hourly_cost": None,
        "cost_alert": None,
        "store": "file:///store",
        "aws": {},
    }
    return SimpleNamespace(**(base | changes))


def test_settings_are_what_a_plan_is_made_from(tmp_path):
    settings = load({"workers": 3}, environ={}, config_dir=tmp_path, data_dir=tmp_path)
    assert plan(settings, LOCAL, tasks=10).workers == 3
    wanted = {name for name, value in vars(FleetRequest).items() if isinstance(value, property)}
    assert wanted <= set(inspect.signature(Settings).parameters)


def test_a_local_fleet_is_free_and_says_what_fargate_would_charge():
    made = plan(asked(), LOCAL, tasks=100, sample=36.0)
    assert (made.rate, made.estimate.hourly, made.estimate.total) == (0, 0, 0)
    assert made.estimate.seconds == made.fargate.seconds == 900
    assert made.fargate_rate == 49_370
    assert made.fargate.total - made.fargate.requests == 4 * round(49_370 / 4)
    assert made.fargate.requests > 0


def test_a_public_address_is_paid_for_unless_workers_have_none():
    terms = {"fargate": Traits(starting_within=600, rate=on_fargate, address=public_address)}
    rates = [
        plan(asked(aws={"public_ip": said} if said else {}), terms, tasks=1).rate for said in ("", "true", "false")
    ]
    assert rates == [54_370, 54_370, 49_370]


@pytest.mark.parametrize(
    ("arch", "own", "made_for", "rate"),
    [
        (None, "arm64", "arm64", 39_500),
        (None, "", "x86_64", 49_370),
        ("x86_64", "arm64", "x86_64", 49_370),
        ("arm64", "x86_64", "arm64", 39_500),
    ],
)
def test_the_price_follows_the_architecture_and_is_the_dearer_one_where_that_is_not_known(arch, own, made_for, rate):
    made = plan(asked(arch=arch), FARGATE, tasks=1, own_arch=own)
    assert (made.arch, made.rate, made.fargate_rate) == (made_for, rate, rate)


def test_an_image_runs_on_the_architecture_of_the_account_where_that_is_not_known():
    made = plan(asked(env="image:mine", arch=None), FARGATE, tasks=1, own_arch="")
    assert (made.arch, made.rate) == ("", 49_370)


@pytest.mark.parametrize(("tasks", "sample"), [(None, 1.0), (100, None), (None, None)])
def test_without_a_sample_or_a_count_time_and_total_are_unknown(tasks, sample):
    made = plan(asked(), FARGATE, tasks=tasks, sample=sample)
    assert (made.estimate.seconds, made.estimate.total) == (None, None)
    assert made.estimate.hourly == 4 * made.rate == 4 * 49_370
    assert "an hour, time unknown" in summary(made)


@pytest.mark.parametrize(
    ("workers", "slots", "tasks", "started", "waves"),
    [(4, 1, 100, 4, 25), (4, 1, 3, 3, 1), (8, 4, 5, 2, 1), (4, 1, 1, 1, 1), (4, 1, 0, 1, 0), (4, 2, None, 4, None)],
)
def test_no_more_workers_start_than_have_something_to_do(workers, slots, tasks, started, waves):
    made = plan(asked(workers=workers, slots=slots), LOCAL, tasks=tasks)
    assert (made.workers, made.starting, made.waves) == (workers, started, waves)
    assert (f"{started} of {workers} local" in summary(made)) == (started < workers)


@pytest.mark.parametrize(
    ("terms", "changes", "warnings"),
    [
        (LOCAL, {"slots": 4, "cpu": 1.0, "budget": 1_000_000}, ()),
        (FARGATE, {"slots": 4}, ()),
        (FARGATE, {"slots": 4, "cpu": 1.0}, ("4 slots share 1 vCPU",)),
        (FARGATE, {"budget": 1_000_000}, ("the run time is unknown; the budget of $1.00 lasts 5h",)),
    ],
)
def test_what_may_surprise_is_said_where_it_costs_money(terms, changes, warnings):
    assert plan(asked(**changes), terms, tasks=None).warnings == warnings


def test_the_size_is_checked_although_a_local_worker_has_none():
    with pytest.raises(PlanError, match="nearest: 4 vCPU with 8GB"):
        plan(asked(cpu=4.0, memory=7 * 1024), LOCAL, tasks=1)


@pytest.mark.parametrize(
    ("wishes", "env", "says"),
    [
        (Wishes(gpus=1), "sync", "--gpus: "),
        (Wishes(instance_type="c7g.xlarge"), "sync", "--instance-type: "),
        (Wishes(), "image:repo/x", "--env image:repo/x: "),
    ],
)
def test_what_only_a_cloud_can_do_is_refused_here_with_the_reason(wishes, env, says):
    with pytest.raises(PlanError) as caught:
        plan(asked(env=env), LOCAL, tasks=1, wishes=wishes)
    assert caught.value.problem.startswith(says)
    assert "processes of this machine" in caught.value.problem
    assert plan(asked(env=env), FARGATE, tasks=1, wishes=wishes).starting == 1


@pytest.mark.parametrize(
    ("env", "terms", "syncs"),
    [("sync", FARGATE, True), ("sync", LOCAL, False), ("image", FARGATE, False), ("image:repo/x", FARGATE, False)],
)
def test_packages_are_brought_to_workers_that_begin_in_a_bare_python(env, terms, syncs):
    made = plan(asked(env=env), terms, tasks=1)
    assert (made.env, made.syncs) == (env, syncs)


def test_a_budget_never_refuses_a_local_fleet():
    assert plan(asked(budget=1), LOCAL, tasks=1_000_000, sample=3600.0).estimate.total == 0


def test_an_estimate_above_the_budget_is_refused_with_both_amounts():
    with pytest.raises(BudgetExceeded) as caught:
        plan(asked(budget=100_000), FARGATE, tasks=100, sample=360.0)
    assert "the estimate is $0.51" in caught.value.problem
    assert "the budget $0.10" in caught.value.problem


@pytest.mark.parametrize(("budget", "sample"), [(10_000_000, 360.0), (1, None), (None, 1e6)])
def test_within_the_budget_without_one_or_without_a_forecast_it_goes_on(budget, sample):
    assert plan(asked(budget=budget), FARGATE, tasks=100, sample=sample).workers == 4


def test_the_dearer_of_a_launcher_and_its_fallback_is_what_a_budget_must_allow():
    made = plan(asked(), SPOT | FARGATE, tasks=100, sample=360.0)
    assert (made.launcher, made.fallback) == ("spot", "fargate")
    assert (made.rate, made.fallback_rate) == (49_370 // 3, 49_370)
    assert made.estimate == replace(plan(asked(), FARGATE, tasks=100, sample=360.0).estimate, at_most=True)


def test_the_plan_says_who_stands_in_where_there_is_no_room():
    assert summary(plan(asked(), SPOT | FARGATE, tasks=100)).startswith(
        "4 spot workers (fargate where there is no room)"
    )
    assert "fargate" not in summary(plan(asked(), SPOT, tasks=100)).partition(";")[0]


@pytest.mark.parametrize("name", ["budget", "max_hourly_cost"])
def test_where_no_price_is_known_a_limit_cannot_be_kept_and_nothing_starts(name):
    with pytest.raises(BudgetExceeded) as caught:
        plan(asked(aws=MOON, **{name: 5_000_000}), FARGATE, tasks=100)
    assert caught.value.problem.startswith("no price is known for x86_64 workers of fargate in moon-1, so the ")
    assert "burst cost --refresh" in caught.value.way_out


def test_where_no_price_is_known_and_no_limit_set_it_goes_on_and_says_so():
    made = plan(asked(aws=MOON), FARGATE, tasks=100, sample=36.0)
    assert (made.priced, made.rate, made.estimate.total, made.estimate.seconds) == (False, 0, None, 900)
    assert made.warnings == ("no price is known for x86_64 workers of fargate in moon-1; the run will show no cost",)


def test_a_price_list_of_today_counts_more_than_the_one_that_was_shipped():
    today = shipped().with_region("moon-1", {"x86_64": FargatePrice(vcpu=1.0, gb=0.5)})
    assert plan(asked(aws=MOON), FARGATE, tasks=100, price_list=today).rate == 2_000_000


@pytest.mark.parametrize(("limit", "refused"), [(4 * 49_370, False), (4 * 49_370 - 1, True)])
def test_a_fleet_that_costs_more_an_hour_than_is_allowed_does_not_start(limit, refused):
    for terms in (FARGATE, SPOT):
        if refused:
            with pytest.raises(BudgetExceeded, match=r"the workers cost \$0\.20 an hour, and max_hourly_cost is"):
                plan(asked(max_hourly_cost=limit), terms, tasks=100)
        else:
            assert plan(asked(max_hourly_cost=limit), terms, tasks=100).workers == 4
    assert plan(asked(max_hourly_cost=1), LOCAL, tasks=100).workers == 4


def test_an_alert_warns_of_an_expensive_fleet_and_lets_it_start():
    assert plan(asked(cost_alert=100_000), FARGATE, tasks=100).warnings == (
        "the workers cost $0.20 an hour, more than the cost_alert of $0.10",
    )
    assert plan(asked(cost_alert=4 * 49_370), FARGATE, tasks=100).warnings == ()
    assert plan(asked(cost_alert=1), LOCAL, tasks=100).warnings == ()


@pytest.mark.parametrize(("workers", "tasks", "refused"), [(2, 4, True), (2, 1, False), (1, 4, False)])
def test_a_budget_below_what_is_billed_at_least_is_refused_though_no_time_is_known(workers, tasks, refused):
    terms = {"fargate": Traits(starting_within=600, rate=on_fargate, minimum=60.0)}
    budget = 1_000  # a minute of one worker costs $0.0008
    if not refused:
        assert plan(asked(workers=workers, budget=budget), terms, tasks=tasks).starting == 1
        return
    with pytest.raises(BudgetExceeded, match=r"2 workers cost at least \$0\.0016, as each is billed for 1m"):
        plan(asked(workers=workers, budget=budget), terms, tasks=tasks)


def test_the_exact_budget_is_enough():
    total = plan(asked(), FARGATE, tasks=100, sample=360.0).estimate.total
    assert plan(asked(budget=total), FARGATE, tasks=100, sample=360.0).estimate.total == total
    with pytest.raises(BudgetExceeded):
        plan(asked(budget=total - 1), FARGATE, tasks=100, sample=360.0)


@pytest.mark.parametrize(
    ("terms", "changes", "text"),
    [
        (LOCAL, {}, "4 local workers; on Fargate (1 vCPU with 2GB, us-east-1) ≈ $0.05 in 15m"),
        (LOCAL, {"workers": 1}, "1 local worker; on Fargate (1 vCPU with 2GB, us-east-1) ≈ $0.05 in 1h"),
        (LOCAL, {"slots": 2}, "4 local workers × 2 slots; on Fargate (2 vCPU with 4GB, us-east-1) ≈ $0.05 in 8m"),
        (FARGATE, {}, "4 fargate workers; 1 vCPU with 2GB, us-east-1, ≈ $0.05 in 15m"),
        (SPOT, {}, "4 spot workers; 1 vCPU with 2GB, us-east-1, at most $0.05 in 15m"),
        (FARGATE, {"aws": MOON}, "4 fargate workers; 1 vCPU with 2GB, price unknown"),
        (LOCAL, {"aws": MOON}, "4 local workers; on Fargate (1 vCPU with 2GB, us-east-1) ≈ $0.05 in 15m"),
    ],
)
def test_the_summary_is_one_line(terms, changes, text):
    assert summary(plan(asked(**changes), terms, tasks=100, sample=36.0)) == text


def test_the_same_question_has_the_same_answer():
    request = asked(aws={"region": "sa-east-1"})
    assert plan(request, LOCAL, tasks=7, sample=0.3) == plan(request, LOCAL, tasks=7, sample=0.3)


@pytest.mark.parametrize(
    ("lanes", "cores", "each"), [(1, 8, 8), (2, 8, 4), (3, 8, 2), (8, 8, 1), (40, 8, 1), (0, 8, 8)]
)
def test_local_tasks_share_the_cores_of_the_machine(lanes, cores, each):
    assert threads(lanes, here=True, slots=2, cores=cores, cpu=1) == each


@pytest.mark.parametrize(("cpu", "slots", "each"), [(4, 1, 4), (4, 2, 2), (4, 3, 1), (0.25, 1, 1), (1, 4, 1)])
def test_tasks_elsewhere_share_the_vcpu_of_their_worker(cpu, slots, each):
    assert threads(100, here=False, slots=slots, cores=64, cpu=cpu) == each


CLOUD = Traits(starting_within=600, rate=on_fargate, stores=("s3",), needs=("cluster", "subnets"))
ACCOUNT = {"cluster": "burst", "subnets": "subnet-1", "region": "eu-central-1"}


def test_a_launcher_that_is_not_set_up_says_what_is_missing():
    with pytest.raises(PlanError, match=r"ecs is not set up: no aws\.subnets"):
        plan(asked(store="s3://bucket", aws={"cluster": "burst"}), {"ecs": CLOUD}, tasks=1)


def test_for_show_only_what_is_missing_is_a_warning_and_the_price_is_told():
    made = plan(asked(store="s3://bucket"), {"ecs": CLOUD}, tasks=1, starts=False)
    assert made.warnings == ("ecs is not set up: no aws.cluster, aws.subnets",)
    assert made.estimate.hourly == 49_370


def test_workers_that_cannot_reach_the_store_are_refused():
    with pytest.raises(PlanError, match="ecs workers cannot reach file:///store"):
        plan(asked(aws=ACCOUNT), {"ecs": CLOUD}, tasks=1)


def test_a_plan_carries_what_its_launcher_is_set_up_with_and_its_region_s_prices():
    made = plan(asked(store="s3://bucket", aws=ACCOUNT), {"ecs": CLOUD}, tasks=1)
    assert dict(made.options) == ACCOUNT
    assert made.region == "eu-central-1"
    assert plan(asked(aws=ACCOUNT), LOCAL, tasks=1).options == ()


def test_a_fleet_of_this_machine_has_a_limit_of_memory_and_is_told_when_it_is_a_crowd():
    machine = Machine(cores=2, memory_mb=10_000)
    made = plan(asked(workers=100_000), LOCAL, tasks=100_000, machine=machine)
    assert made.slot_limit_mb == 4000
    assert "share 2 cores of this machine" in made.warnings[0]
    assert plan(asked(workers=100_000), LOCAL, tasks=4, machine=machine).warnings == ()  # four start
    elsewhere = plan(asked(workers=100_000), FARGATE, tasks=100_000, machine=machine)
    assert (elsewhere.slot_limit_mb, elsewhere.warnings) == (None, ())
