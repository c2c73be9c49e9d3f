"""A fleet whose kernel was killed ends by itself: at its budget, and at its deadline even if a worker hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from burst_magic.plan.cost import MINIMUM
from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.money import charge
from burst_magic.protocol.wire.model import EndCause, JobEnd
from burst_magic.testing.sandbox import TaskState

# Heartbeats are rarer than in other tests: the fleet ends an interval before its budget is spent, so that what the
# engine takes to end it fits into that interval, as it does on AWS (20 s).
INTERVAL = 4.0
SLACK = 5.0  # seconds that processes of this machine may take to end
KERNEL = """
import sys, time
from dataclasses import replace
from burst_magic import config
from burst_magic.capture.cell import capture_cell
from burst_magic.launchers import traits
from burst_magic.plan.planner import plan
from burst_magic.session.submit import Labels, submit

def main(interval, **options):
    settings = replace(config.load(options), interval=interval, floor=0.1)
    capture = capture_cell("import time\\ntime.sleep(600)", {"items": range(8)}, map_expr="items")
    made = plan(settings, traits(settings.launcher), tasks=8)
    session = submit(capture, made, settings, home={}, labels=Labels())
    print(session.id, session.manifest.rate, session.manifest.deadline, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def kernel(scientist, until):
    """Starts a session in a process of its own and kills that process once all workers run tasks."""

    def start(count, **options):
        code = f"{KERNEL}\nmain({INTERVAL}, workers={count}, launcher='fargate', **{options!r})"
        with subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ, stdout=subprocess.PIPE, text=True
        ) as process:
            sid, rate, deadline = process.stdout.readline().split()
            session = scientist.watch(sid)
            until(lambda: session.status().running == count, "tasks to run")
            session.detach()  # nobody looks after the fleet any more
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert [task.state for task in scientist.tasks] == [TaskState.RUNNING] * count
        return sid, int(rate), float(deadline)

    return start


def all_over(scientist, *, within):
    end = time.monotonic() + within
    while scientist.living:
        assert time.monotonic() < end, [task.state for task in scientist.living]
        time.sleep(0.1)
    return scientist.tasks


def test_a_fleet_stops_by_itself_before_it_costs_more_than_its_budget(scientist, kernel):
    """Fargate bills a minute at least, so the budget is for a little more than a minute of both workers."""
    count, seconds, size = 2, MINIMUM + 2 * INTERVAL, {"cpu": "16", "memory": "32GB"}
    rate = scientist.rate_of("fargate", **size)
    budget = count * charge(rate, seconds)  # micro-dollars
    sid, told, _ = kernel(count, budget=budget / 1e6, **size)
    assert told == rate
    tasks = all_over(scientist, within=2 * MINIMUM)
    lived = [task.times.stopped - task.times.pull_started for task in tasks]
    bill = sum(charge(rate, each, minimum=MINIMUM) for each in lived)
    interval = count * charge(rate, INTERVAL)
    print(f"\nbudget ${budget / 1e6:.4f}, bill ${bill / 1e6:.4f}, an interval of the fleet ${interval / 1e6:.4f}")  # noqa: T201 - the figure
    assert budget - 2 * interval < bill <= budget + interval
    assert {task.exit_code for task in tasks} == {ExitCode.FINISHED}
    session = scientist.watch(sid)
    status = session.status()
    assert {worker.gone.cause for worker in status.workers} == {EndCause.BUDGET}
    assert status.ended is JobEnd.BUDGET
    assert len(scientist.tasks) == count  # who attaches afterwards starts nothing


def worker_of(task) -> int:
    """The only child of a task's watchdog."""
    [child] = Path(f"/proc/{task.pid}/task/{task.pid}/children").read_text().split()
    return int(child)


def test_at_the_deadline_a_worker_that_hangs_is_killed_by_its_watchdog(scientist, kernel):
    sid, _, deadline = kernel(2, deadline="20s")
    hanging, other = scientist.tasks
    os.kill(worker_of(hanging), signal.SIGSTOP)
    grace = float(hanging.environ["BURST_BIRTH_GRACE"])
    all_over(scientist, within=60)
    hanging, other = scientist.tasks
    late = {task.id: task.times.stopped - deadline for task in (hanging, other)}
    print(f"\nafter the deadline: {late[other.id]:.1f} s, hanging {late[hanging.id]:.1f} s (grace {grace:g} s)")  # noqa: T201 - the figure
    assert 0 <= late[other.id] < SLACK
    assert grace <= late[hanging.id] < grace + SLACK
    assert (hanging.exit_code, other.exit_code) == (ExitCode.OVERDUE, ExitCode.FINISHED)
    assert scientist.watch(sid).status().ended is JobEnd.DEADLINE
