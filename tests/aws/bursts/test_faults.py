"""What goes wrong in a cloud, executed: nothing is lost, nothing is left running, and a scientist can read why."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from burst_magic.errors import Denied, LaunchError, NotRun
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import EndCause
from burst_magic.testing.sandbox import TaskState
from burst_magic.testing.sandbox.weather import QuotaAnswer, StartFailure

from .conftest import worker_of

GATED = "import os, time\nwhile not os.path.exists(gate): time.sleep(0.02)\nitem * 2"
SHORT = "import time\ntime.sleep(0.05)\nitem * 2"
DOUBLED = [n * 2 for n in range(16)]


@pytest.fixture
def weather(scientist):
    """Changes the weather."""

    def change(**changes):
        scientist.cloud.weather = replace(scientist.cloud.weather, **changes)

    return change


def said(session):
    """What the status shows beside the counts."""
    snapshot = session.status()
    return " | ".join(filter(None, (snapshot.refused, snapshot.waiting, snapshot.trouble)))


def ends(session):
    return {view.wid: view.gone for view in session.status().workers}


# --- starting ----------------------------------------------------------------------------------------------------


def test_no_capacity_on_spot_is_on_demand_for_the_rest(scientist, weather):
    weather(spot_capacity=1)
    session = scientist.burst(SHORT, range(16), workers=4)
    assert list(session.results()) == DOUBLED
    assert sorted({task.provider for task in scientist.tasks}) == ["FARGATE", "FARGATE_SPOT"]
    rates = {task.id: view.rate for task in scientist.tasks for view in session.status().workers if view.wid == task.id}
    by_provider = {task.provider: rates[task.id] for task in scientist.tasks if task.id in rates}
    assert by_provider["FARGATE"] > by_provider["FARGATE_SPOT"]


def test_no_capacity_at_all_waits_says_so_and_goes_on_when_there_is_some(scientist, weather, until):
    weather(capacity=0, spot_capacity=0)
    session = scientist.burst(SHORT, range(16), workers=2)
    until(lambda: "no capacity" in said(session), "the reason")
    assert scientist.tasks == []
    weather(capacity=None, spot_capacity=None)
    assert list(session.results()) == DOUBLED


@pytest.mark.parametrize("answer", QuotaAnswer)
def test_a_quota_leaves_those_running_that_there_is_room_for(scientist, weather, until, answer):
    weather(spot_vcpus=1.0, quota_answer=answer)
    session = scientist.burst(GATED, range(16), workers=3, cpu=0.5, spot_fallback=False)
    until(lambda: "limit of Fargate vCPUs" in said(session), "the reason")
    until(lambda: session.status().running == 2, "two workers to run")
    scientist.open_gate()
    assert list(session.results()) == DOUBLED
    assert len({task.id for task in scientist.tasks}) == 2


def test_throttled_starts_take_time_only(scientist, weather):
    weather(throttled_runs=3, wrapped_throttling=2)
    session = scientist.burst(SHORT, range(16), workers=4)
    assert list(session.results()) == DOUBLED
    assert len(scientist.tasks) == 4


def test_a_start_whose_reply_is_lost_starts_one_worker(scientist, weather):
    weather(lost_replies=3)
    session = scientist.burst(SHORT, range(16), workers=4)
    assert list(session.results()) == DOUBLED
    assert len(scientist.tasks) == 4
    assert len({task.token for task in scientist.tasks}) == 4


@pytest.mark.parametrize(
    ("trouble", "words"),
    [(StartFailure.ADDRESSES, "no free IP addresses"), (StartFailure.ENI_TIMEOUT, "network interface")],
)
def test_a_task_for_which_there_was_no_room_after_all_is_retried_and_says_why(
    scientist, weather, until, trouble, words
):
    weather(trouble=trouble)
    session = scientist.burst(SHORT, range(16), workers=2)
    until(lambda: words in said(session), words)
    weather(trouble=None)
    assert list(session.results()) == DOUBLED


@pytest.mark.parametrize(
    ("trouble", "words"),
    [(StartFailure.IMAGE, "image was not found"), (StartFailure.REGISTRY, "public address")],
)
def test_tasks_that_can_never_start_end_the_job_and_say_why(scientist, weather, until, trouble, words):
    weather(trouble=trouble)
    session = scientist.burst(SHORT, range(16), workers=1)
    with pytest.raises(NotRun, match=f"{words}.*%burst_scale 1 tries again"):
        session.wait()
    until(lambda: not scientist.living, "all to be over")
    assert len(scientist.tasks) == 2
    seen = session.status()
    assert len(seen.unheard) == len([task for task in scientist.tasks if task.times.pull_started]) > 0
    assert seen.spend == int(sum(life.rate * 60 / 3600 for life in seen.unheard))  # a minute each
    session.scale(1)
    with pytest.raises(NotRun, match=words):
        session.wait()
    assert len(scientist.tasks) == 3
    weather(trouble=None)
    session.scale(1)
    assert list(session.results()) == DOUBLED


def test_a_task_that_never_leaves_provisioning_is_told_and_stopped(scientist, weather, until):
    weather(trouble=StartFailure.STUCK)
    session = scientist.burst(SHORT, range(16), workers=2)
    until(lambda: "provisioning" in said(session), "what it is at")
    session.cancel()
    session.cleanup()
    until(lambda: not scientist.living, "the tasks to stop")


def test_a_stop_that_aws_does_not_take_is_no_end_and_the_clean_up_stops_what_runs(scientist, weather, until):
    weather(provisioning=1.0, stop_calls=(0.0001, 0))
    session = scientist.burst(GATED, range(16), workers=4)
    until(lambda: len(scientist.living) == 4, "four tasks")
    session.scale(1)  # three are coming, and nobody stops them
    assert not [key for key in scientist.objects() if key.endswith(".gone")]
    weather(provisioning=0.0, stop_calls=(40.0, 100))
    session.cleanup(force=True)
    until(lambda: not scientist.living, "the tasks to stop")
    assert not [key for key in scientist.objects() if session.id in key]


def test_a_worker_that_hangs_is_replaced_and_stopped(scientist, until):
    session = scientist.burst(GATED, range(16), workers=2)
    until(lambda: session.status().running == 2, "tasks to run")
    hanging = scientist.tasks[0]
    os.kill(worker_of(hanging), signal.SIGSTOP)
    until(lambda: scientist.cloud.task(hanging.id).state is TaskState.STOPPED, "it to be stopped")
    assert len(scientist.tasks) == 3
    scientist.open_gate()
    assert list(session.results()) == DOUBLED


@pytest.mark.parametrize(
    ("lacking", "words"), [({"task_definition": "no-such-thing"}, "task_definition"), ({"cluster": "none"}, "cluster")]
)
def test_what_is_missing_in_the_account_is_an_error_of_the_cell_and_starts_nothing(
    scientist, monkeypatch, lacking, words
):
    for name, value in lacking.items():
        monkeypatch.setenv(f"BURST_AWS_{name.upper()}", value)
    with pytest.raises(LaunchError, match=f"aws.{words}"):
        scientist.burst(SHORT, range(16), workers=3)
    assert scientist.tasks == []
    assert not [key for key in scientist.objects() if key.startswith("sessions/")]


def test_a_role_that_is_missing_is_an_error_of_the_cell_and_starts_nothing(scientist, monkeypatch):
    ecs = scientist.cloud.administrator.clients.of("ecs")
    known = ecs.describe_task_definition(taskDefinition=scientist.cloud.aws["task_definition"])["taskDefinition"]
    kept = ("networkMode", "containerDefinitions", "requiresCompatibilities", "cpu", "memory", "executionRoleArn")
    roles = {"taskRoleArn": known["taskRoleArn"].replace("role/", "role/no-such-")}
    ecs.register_task_definition(family="burst-worker-without-a-role", **{name: known[name] for name in kept}, **roles)
    monkeypatch.setenv("BURST_AWS_TASK_DEFINITION", "burst-worker-without-a-role")
    with pytest.raises(LaunchError, match="roles of the task definition"):
        scientist.burst(SHORT, range(16), workers=3)
    assert scientist.tasks == []


def published(session):
    """Tasks with a result in the store, without a client that looks after the session."""
    found = [
        keys.parse_segment(entry.key)
        for entry in session.store.list(keys.SessionKeys(session.id).job("0").results_folder)
    ]
    return len({task for segment in found for task in range(segment.start, segment.stop)})


# --- running -----------------------------------------------------------------------------------------------------


def running(scientist, session, until, count):
    until(lambda: session.status().running >= count, f"{count} tasks to run")
    return [task for task in scientist.tasks if task.state is TaskState.RUNNING]


def test_half_of_the_fleet_is_taken_back_and_replaced(scientist, until):
    session = scientist.burst(GATED, range(16), workers=4)
    lost = running(scientist, session, until, 4)[:2]
    for task in lost:
        scientist.cloud.interrupt(task.id)
    until(lambda: len(scientist.tasks) >= 6, "replacements")
    scientist.open_gate()
    assert list(session.results()) == DOUBLED
    assert not session.errors


def test_half_of_the_fleet_is_taken_back_while_no_kernel_is_there(scientist, until):
    session = scientist.burst(GATED, range(16), workers=4)
    lost = running(scientist, session, until, 4)[:2]
    session.detach()
    for task in lost:
        scientist.cloud.interrupt(task.id)
    for task in lost:
        scientist.cloud.wait_for(task.id, TaskState.STOPPED)
    scientist.open_gate()
    until(lambda: published(session) == 16, "the others to steal their work")
    assert len(scientist.tasks) == 4
    assert list(scientist.attach(session).results()) == DOUBLED


@pytest.mark.parametrize(
    ("happens", "cause"),
    # Who is warned says itself that it was stopped from outside: it isn't told by whom.
    [("out_of_memory", EndCause.MEMORY), ("retire", EndCause.TERM), ("interrupt", EndCause.TERM)],
)
def test_an_end_from_outside_is_told_by_its_cause(scientist, until, happens, cause):
    session = scientist.burst(GATED, range(16), workers=2)
    lost, _ = running(scientist, session, until, 2)
    getattr(scientist.cloud, happens)(lost.id)
    until(lambda: ends(session)[lost.id] is not None, "its end")
    scientist.open_gate()
    assert list(session.results()) == DOUBLED
    assert not session.errors
    assert ends(session)[lost.id].cause is cause


# --- the client --------------------------------------------------------------------------------------------------


def test_tasks_that_ecs_does_not_know_yet_are_not_lost(scientist, weather):
    weather(describe_lag=5.0)
    session = scientist.burst(SHORT, range(16), workers=3)
    assert list(session.results()) == DOUBLED
    assert len(scientist.tasks) == 3


def test_describe_may_fail_and_be_throttled(scientist, weather, until):
    session = scientist.burst(GATED, range(16), workers=3)
    running(scientist, session, until, 3)
    weather(describe_errors=20, throttled_describes=20)
    session.status()
    scientist.open_gate()
    assert list(session.results()) == DOUBLED
    assert len(scientist.tasks) == 3


def test_a_worker_that_is_cut_off_from_the_store_loses_nothing(scientist, weather, until):
    session = scientist.burst(GATED, range(16), workers=3)
    cut = running(scientist, session, until, 3)[0]
    weather(cut_off=frozenset({cut.id}))
    scientist.open_gate()
    assert list(session.results()) == DOUBLED


@pytest.fixture
def signed_on(as_user, monkeypatch):
    """The user's keys lie in AWS's files, as after a sign-on."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name, value in as_user.environ(files=True).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("signed_on")
def test_credentials_that_expire_are_told_and_renewed_ones_are_taken_up(scientist, until):
    """The kernel goes on once its user has signed on again in a terminal; workers have credentials of their own."""
    session = scientist.burst(GATED, range(16), workers=3)
    lost = running(scientist, session, until, 3)[0]
    scientist.cloud.expire()
    with pytest.raises(Denied, match="ExpiredToken") as caught:
        session.status()
    assert "sign in again" in caught.value.way_out
    scientist.cloud.renew()
    scientist.cloud.interrupt(lost.id)
    scientist.open_gate()
    assert list(session.results()) == DOUBLED
