"""The quota of the account: told before a burst, shown, requested; it never stops one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import burst_magic as burst
from burst_magic import config, launchers
from burst_magic.errors import Denied, OptionError, PlanError, QuotaExceeded
from burst_magic.magics import calls, verbs
from burst_magic.plan.planner import plan
from burst_magic.session import outlook

ON_DEMAND, SPOT = "L-3032A538", "L-36FBB829"


def look(launcher: str, **options):
    settings = config.load({"launcher": launcher, **options})
    terms = launchers.traits(settings.launcher, fallback=settings.spot_fallback)
    return outlook.room(plan(settings, terms, tasks=options.pop("tasks", 40)), terms, settings)


def say(**said) -> str:
    return verbs.quota(calls.QuotaCall(**said), config.load())


@pytest.fixture
def denied(as_user):
    """A user who may not read quotas; afterwards, as before."""
    iam, name = as_user.administrator.clients.of("iam"), as_user.stack.user_name
    deny = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": [], "Resource": "*"}]}

    def forbid(*actions: str) -> None:
        deny["Statement"][0]["Action"] = list(actions)
        iam.put_user_policy(UserName=name, PolicyName="no-quotas", PolicyDocument=json.dumps(deny))

    yield forbid
    iam.delete_user_policy(UserName=name, PolicyName="no-quotas")


def test_before_a_burst_it_says_how_many_can_run_now_what_runs_already_counted(as_user, account):
    as_user.weather = replace(as_user.weather, vcpus=12.0)
    assert look("fargate", workers=12) == ()
    account.running("print('ready', flush=True); import time; time.sleep(60)")
    (said,) = look("fargate", workers=12)
    assert said.startswith(f"11 of 12 workers can run now (Fargate On-Demand vCPU resource count {ON_DEMAND}: 1 of 12")


def test_a_burst_on_spot_may_use_both_quotas(as_user):
    as_user.weather = replace(as_user.weather, vcpus=4.0, spot_vcpus=3.0)
    assert look("spot", workers=7) == ()
    assert look("spot", workers=8)[0].startswith("7 of 8 workers can run now")


def test_a_burst_that_is_larger_than_the_quota_says_so_starts_what_it_can_and_ends_whole(as_user):
    as_user.weather = replace(as_user.weather, vcpus=1.0)
    with pytest.warns(UserWarning, match="1 of 3 workers can run now"):
        session = burst.map(abs, range(-5, 1), workers=3, launcher="fargate", idle="60s")
    try:
        assert list(session.results()) == [5, 4, 3, 2, 1, 0]
        assert len({task.id for task in as_user.tasks() if task.provider == "FARGATE" and not task.is_over}) == 1
    finally:
        session.cleanup(force=True)
        session.detach()


def test_a_worker_that_can_never_run_is_refused(as_user):
    as_user.weather = replace(as_user.weather, vcpus=4.0, spot_vcpus=4.0)
    with pytest.raises(QuotaExceeded, match="a worker has 8 vCPU, and the account may run 4 at a time"):
        look("spot", workers=2, cpu=8)


def test_a_quota_that_cannot_be_read_is_said_once_and_stops_nothing(as_user, denied):
    denied("servicequotas:*")
    (said,) = look("fargate", workers=3)
    assert said.startswith("the account's quota of vCPUs cannot be read (you are not allowed to call servicequotas:Get")
    assert look("fargate", workers=3) == ()


def test_a_use_that_cannot_be_read_leaves_the_limit(as_user, denied):
    as_user.weather = replace(as_user.weather, vcpus=2.0)
    denied("cloudwatch:*")
    assert look("fargate", workers=3)[0].startswith("2 of 3 workers can run now (Fargate On-Demand vCPU resource count")
    assert "the use cannot be read: you are not allowed to call" in say()
    assert json.loads(say(json=True))[0]["used"] is None


def test_local_bursts_ask_nothing(as_user, denied):
    denied("servicequotas:*")
    assert look("local", workers=3) == ()


def test_both_quotas_are_shown_with_their_codes_and_the_workers_that_they_allow(as_user):
    as_user.weather = replace(as_user.weather, vcpus=12.0, spot_vcpus=64.0)
    head, on_demand, spot, *_ = say().splitlines()
    assert head.split()[:6] == ["launcher", "code", "limit", "in", "use", "free"]
    assert on_demand.split()[:5] == ["fargate", ON_DEMAND, "12", "0", "12"]
    assert spot.split()[:5] == ["spot", SPOT, "64", "0", "64"]
    assert spot.endswith("64 more now, 64 in all")


@pytest.mark.parametrize("said", [{}, {"json": True}, {"request": "request"}, {"request": "request", "wanted": 40}])
def test_a_launcher_without_a_quota_is_refused_and_nothing_is_requested_for_another(as_user, said):
    with pytest.raises(OptionError, match="--launcher local: no quota of an AWS account limits it") as refused:
        say(**said, settings={"launcher": "local"})
    assert refused.value.way_out == "--launcher fargate or spot"
    assert [each["requests"] for each in json.loads(say(json=True))] == [[], []]


def test_who_may_not_read_them_is_told(as_user, denied):
    denied("servicequotas:GetServiceQuota")
    with pytest.raises(Denied, match="servicequotas:GetServiceQuota"):
        say()


def test_a_request_names_the_code_is_listed_and_granted(as_user):
    as_user.weather = replace(as_user.weather, vcpus=12.0, spot_vcpus=8.0)
    said = say(request="request", wanted=64, settings={"launcher": "spot"})
    assert said.startswith(f"asked AWS for 64 vCPU of spot instead of 8 (Fargate Spot vCPU resource count, {SPOT})")
    assert "PENDING: AWS has not decided yet" in say()
    with pytest.raises(PlanError, match=r"64 vCPU of spot were requested on .*: AWS takes one at a time"):
        say(request="request", wanted=100, settings={"launcher": "spot"})

    as_user.decide_quota("APPROVED")
    assert f"{SPOT}  64 vCPU  APPROVED: granted" in say()
    assert json.loads(say(json=True))[1]["limit"] == 64.0


def test_without_a_number_what_the_settings_need_is_requested_on_demand(as_user, monkeypatch):
    as_user.weather = replace(as_user.weather, vcpus=12.0)
    monkeypatch.setenv("BURST_WORKERS", "100")
    assert say(request="request").startswith("asked AWS for 200 vCPU of fargate instead of 12 (Fargate On-Demand vCPU")
    as_user.decide_quota("DENIED")
    assert "DENIED: refused" in say()


def test_what_the_account_may_already_run_is_not_requested(as_user):
    as_user.weather = replace(as_user.weather, vcpus=12.0)
    with pytest.raises(PlanError, match="may already run 12 vCPU of fargate"):
        say(request="request", wanted=12)
