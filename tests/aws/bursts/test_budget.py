"""A budget holds without a kernel: the workers keep it, by ECS's own times."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

from burst_magic.launchers import traits
from burst_magic.plan.prices import shipped
from burst_magic.plan.shapes import Shape
from burst_magic.protocol.wire.model import EndCause, JobEnd
from burst_magic.testing.sandbox import TaskState

WORKERS, INTERVAL = 2, 2.0
SPOT = traits("spot")["spot"]
RATE = SPOT.rate(Shape(1, 2048), shipped().market("x86_64")) + SPOT.address({})  # micro-dollars an hour
BUDGET = WORKERS * RATE * 70 / 3600  # Fargate bills a minute at least
KERNEL = f"""
import time
import burst_magic as burst

def task(number):
    time.sleep(0.2)
    return number

session = burst.map(task, range(100_000), workers={WORKERS}, launcher="spot", budget={BUDGET / 1e6})
while not session.status().completed:
    time.sleep(0.1)
print(session.id, flush=True)
time.sleep(600)
"""


def test_the_fleet_stops_within_its_budget_when_the_kernel_is_dead(scientist, record_testsuite_property):
    cloud, before = scientist.cloud, len(scientist.cloud.tasks())
    environ = {**os.environ, "BURST_INTERVAL": str(INTERVAL)}
    kernel = subprocess.Popen([sys.executable, "-c", KERNEL], env=environ, stdout=subprocess.PIPE, text=True)
    try:
        sid = kernel.stdout.readline().strip()
        kernel.send_signal(signal.SIGKILL)
    finally:
        kernel.kill()
        kernel.wait()
        kernel.stdout.close()
    died = time.time()
    tasks = [cloud.wait_for(task.id, TaskState.STOPPED, within=150) for task in cloud.tasks()[before:]]
    spend = sum(max(60.0, task.times.stopped - task.times.pull_started) * RATE / 3600 for task in tasks)
    figures = {
        "budget": f"${BUDGET / 1e6:.6f}",
        "spend": f"${spend / 1e6:.6f}",
        "seconds without a kernel": round(min(task.times.stopped for task in tasks) - died, 1),
    }
    record_testsuite_property("budget", figures)

    assert len(tasks) == WORKERS
    assert {task.ending.code.value for task in tasks} == {"EssentialContainerExited"}, figures
    assert figures["seconds without a kernel"] > 20
    assert BUDGET * 0.8 < spend <= BUDGET + WORKERS * RATE * INTERVAL / 3600, figures

    status = scientist.watch(sid).status()
    assert {worker.gone.cause for worker in status.workers} == {EndCause.BUDGET}
    assert status.ended is JobEnd.BUDGET
