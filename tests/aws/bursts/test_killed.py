"""A kernel that is killed while it submits: what it had finished goes on, and nothing runs for ever."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from burst_magic.errors import AttachError
from burst_magic.testing.sandbox import TaskState

KERNEL = """
import burst_magic as burst, time
burst.map(lambda x: x * 2, range(16), workers=3, launcher="spot", idle=3)
time.sleep(600)
"""


def written(*ends):
    return lambda scientist: any(key.endswith(ends) for key in scientist.objects())


STAGES = {
    "key": lambda scientist: any("keys/" in key for key in scientist.objects()),
    "announced": written(".next"),
    "first task": lambda scientist: scientist.tasks,
    "running": lambda scientist: any(task.state is TaskState.RUNNING for task in scientist.tasks),
    "items": written("/items"),
    "job": written("job.json"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_kernel_killed_at_any_stage_leaves_nothing_running(scientist, until, monkeypatch, stage):
    monkeypatch.setenv("BURST_INTERVAL", "0.5")
    monkeypatch.setenv("BURST_FLOOR", "0.05")
    with subprocess.Popen([sys.executable, "-c", KERNEL], env=os.environ, start_new_session=True) as kernel:
        until(lambda: STAGES[stage](scientist), stage)
        os.killpg(kernel.pid, signal.SIGKILL)
    sids = {key.split("/")[1] for key in scientist.objects() if key.startswith("sessions/")}
    if any(key.endswith("job.json") for key in scientist.objects()):
        (sid,) = sids
        session = scientist.attach(sid)  # it also starts workers that were asked for and announced nowhere
        assert list(session.results()) == [n * 2 for n in range(16)]
    until(lambda: not scientist.living, "workers without work to end by themselves")
    for sid in sids & {key.split("/")[1] for key in scientist.objects() if key.endswith("manifest.json")}:
        with contextlib.suppress(AttachError):  # without a job it is no session yet
            scientist.attach(sid).cleanup(force=True)
