"""A whole burst: submitted, run on Spot, detached, attached by a new process, collected; and nothing is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from burst_magic.testing.sandbox import TaskState

GATED = "import os, time\nwhile not os.path.exists(gate): time.sleep(0.02)\nitem * 2"
ELSEWHERE = """
import burst_magic as burst, json, sys
session = burst.attach(sys.argv[1])
print(json.dumps({"results": list(session.results()), "workers": session.status().started}))
"""


def test_a_burst_runs_on_spot_and_costs_what_its_workers_cost(scientist):
    session = scientist.burst("item ** 2", range(40), workers=8)
    assert list(session.results()) == [n**2 for n in range(40)]
    assert len(scientist.tasks) == 8
    assert {task.provider for task in scientist.tasks} == {"FARGATE_SPOT"}
    assert {task.started_by for task in scientist.tasks} == {session.id}
    snapshot = session.status()
    assert snapshot.spend > 0
    assert {view.wid for view in snapshot.workers} == {task.id for task in scientist.tasks}


def test_it_goes_on_without_its_kernel_and_is_collected_by_another_process(scientist, until):
    session = scientist.burst(GATED, range(16), workers=4)
    until(lambda: session.status().running, "tasks to run")
    session.detach()
    scientist.open_gate()
    said = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, session.id],
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(said.stdout) == {"results": [n * 2 for n in range(16)], "workers": 4}


def test_another_client_stops_workers_that_it_has_never_heard_of(scientist, until):
    """They are provisioning when their kernel dies: only ECS knows them."""
    scientist.cloud.weather = replace(scientist.cloud.weather, provisioning=60.0)
    session = scientist.burst("item", range(4), workers=2)
    session.detach()
    other = scientist.attach(session)
    other.cleanup()
    until(lambda: not scientist.living, "tasks that nobody heard of to stop")
    assert {task.ending.reason for task in scientist.tasks} <= {"burst_magic: stopped", "burst_magic: killed"}


def test_cleanup_stops_this_sessions_tasks_and_nobody_elses(scientist, until):
    mine = scientist.burst(GATED, range(4), workers=2)
    other = scientist.burst(GATED, range(4), workers=2)
    for session in (mine, other):
        until(lambda session=session: session.status().running == 2, "tasks to run")
    mine.cleanup(force=True, grace=2)
    by_session = {task.started_by: task.state for task in scientist.tasks}
    until(lambda: {task.started_by for task in scientist.living} == {other.id}, "the end of one session")
    assert by_session[other.id] is TaskState.RUNNING
    scientist.open_gate()
    assert list(other.results()) == [n * 2 for n in range(4)]


def test_what_runs_in_the_account_is_listed_without_the_store(scientist, until, monkeypatch, tmp_path):
    session = scientist.burst(GATED, range(4), workers=2)
    until(lambda: session.status().running == 2, "tasks to run")
    monkeypatch.setenv("BURST_STORE", tmp_path.as_uri())  # another store, in which nothing lies
    command = [sys.executable, "-m", "burst_magic", "sessions", "--account"]
    said = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=60, check=True).stdout
    (row,) = [line.split() for line in said.splitlines() if session.id in line]
    assert row[2:4] == ["2", "spot"]
    assert "an hour at list price" in said


@pytest.mark.parametrize("request_", ["cancel", "close"])
def test_workers_that_nobody_wants_any_more_are_stopped_before_they_begin(scientist, until, request_):
    scientist.cloud.weather = replace(scientist.cloud.weather, provisioning=60.0)
    session = scientist.burst("item", range(8), workers=3)
    getattr(session, request_)()
    until(lambda: not scientist.living, "the tasks to stop")
    assert all(task.times.pull_started is None for task in scientist.tasks)
    assert session.status().spend == 0


def test_a_smaller_fleet_is_spared_its_workers_that_are_still_coming(scientist, until):
    session = scientist.burst(GATED, range(8), workers=1)
    until(lambda: session.status().running, "the first to run")
    scientist.cloud.weather = replace(scientist.cloud.weather, provisioning=60.0)
    session.scale(4)
    until(lambda: session.status().starting == 3, "three to come")
    session.scale(2)
    until(lambda: len(scientist.living) == 2, "two of them to stop")
    session.scale(1)
    until(lambda: len(scientist.living) == 1, "the third to stop")
    scientist.open_gate()
    assert list(session.results()) == [n * 2 for n in range(8)]
    assert len(scientist.tasks) == 4
