"""The edges of a session on ECS: no fallback, nothing to do, too little time, odd names."""

from __future__ import annotations

from dataclasses import replace

from burst_magic.protocol.wire.model import JobEnd

SHORT = "import time\ntime.sleep(0.05)\nitem * 2"
DOUBLED = [n * 2 for n in range(16)]


def weather(scientist, **changes):
    scientist.cloud.weather = replace(scientist.cloud.weather, **changes)


def test_without_a_fallback_workers_wait_for_spot_capacity(scientist, until):
    weather(scientist, spot_capacity=0)
    session = scientist.burst(SHORT, range(16), workers=2, spot_fallback=False)
    until(lambda: "no capacity" in session.status().refused, "the reason")
    weather(scientist, spot_capacity=None)
    assert list(session.results()) == DOUBLED
    assert {task.provider for task in scientist.tasks} == {"FARGATE_SPOT"}


def test_nothing_to_do_starts_nothing(scientist):
    session = scientist.burst(SHORT, [], workers=3)
    assert list(session.results()) == []
    assert session.status().ended is JobEnd.FINISHED
    assert scientist.tasks == []


def test_one_item_is_one_worker_whatever_is_asked_for(scientist):
    assert list(scientist.burst(SHORT, [7], workers=3).results()) == [14]
    assert len(scientist.tasks) == 1


def test_workers_that_are_still_coming_at_the_deadline_are_stopped_and_it_is_said(scientist, until):
    weather(scientist, provisioning=300.0)
    session = scientist.burst(SHORT, range(16), workers=2, deadline=4)
    until(lambda: session.status().ended, "the end")
    assert session.status().ended is JobEnd.DEADLINE
    until(lambda: not scientist.living, "the tasks to be stopped")


def test_an_owner_may_have_any_name(scientist, monkeypatch):
    monkeypatch.setenv("LOGNAME", "Zoë\tØrsted <数学@lab>")
    assert list(scientist.burst(SHORT, [7], workers=1).results()) == [14]
    (task,) = scientist.tasks
    ecs = scientist.cloud.server.clients.of("ecs")
    (said,) = ecs.describe_tasks(cluster=scientist.cloud.aws["cluster"], tasks=[task.id], include=["TAGS"])["tasks"]
    assert {"key": "burst:owner", "value": "Zoë_Ørsted _数学@lab_"} in said["tags"]
