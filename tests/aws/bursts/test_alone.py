"""A fleet whose kernel was killed ends at its deadline, even if a worker hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.wire.model import JobEnd
from burst_magic.testing.sandbox import TaskState

from .conftest import worker_of

SLACK = 5.0  # seconds that processes of this machine may take to end
KERNEL = """
import sys, time
from dataclasses import replace
from burst_magic import config
from burst_magic.capture.cell import capture_cell
from burst_magic.launchers import traits
from burst_magic.plan.planner import plan
from burst_magic.session.submit import Labels, submit

def main(**options):
    settings = replace(config.load(options), interval=0.5, floor=0.05)
    capture = capture_cell("import time\\ntime.sleep(600)", {"items": range(8)}, map_expr="items")
    made = plan(settings, traits(settings.launcher), tasks=8)
    session = submit(capture, made, settings, home={}, labels=Labels())
    print(session.id, session.manifest.deadline, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def kernel(scientist, until):
    """Starts a session in a process of its own and kills that process once all workers run tasks."""

    def start(count, **options):
        code = f"{KERNEL}\nmain(workers={count}, launcher='fargate', **{options!r})"
        with subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ, stdout=subprocess.PIPE, text=True
        ) as process:
            sid, deadline = process.stdout.readline().split()
            session = scientist.watch(sid)
            until(lambda: session.status().running == count, "tasks to run")
            session.detach()  # nobody looks after the fleet any more
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert [task.state for task in scientist.tasks] == [TaskState.RUNNING] * count
        return sid, float(deadline)

    return start


def test_at_the_deadline_a_worker_that_hangs_is_killed_by_its_watchdog(scientist, kernel, record_testsuite_property):
    sid, deadline = kernel(2, deadline="30s")
    hanging = scientist.tasks[0]
    os.kill(worker_of(hanging), signal.SIGSTOP)
    grace = float(hanging.environ["BURST_BIRTH_GRACE"])
    hanging, other = (scientist.cloud.wait_for(task.id, TaskState.STOPPED) for task in scientist.tasks)
    late = {task.id: task.times.stopped - deadline for task in (hanging, other)}
    seconds = {"working": round(late[other.id], 1), "hanging": round(late[hanging.id], 1), "grace": grace}
    record_testsuite_property("seconds after the deadline", seconds)
    assert 0 <= late[other.id] < SLACK
    assert grace <= late[hanging.id] < grace + SLACK
    assert (hanging.exit_code, other.exit_code) == (ExitCode.OVERDUE, ExitCode.FINISHED)
    assert scientist.watch(sid).status().ended is JobEnd.DEADLINE
