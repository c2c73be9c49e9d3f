"""Worlds for planted bugs that harm only when several faults meet at the right moments, which drawn worlds rarely have.

Each world is arranged for the bug whose name it has. Only its seed varies, and with it latencies, boots and wake-ups.
"""

from __future__ import annotations

from dataclasses import replace

from burst_magic.testing.scenario import Act, Deed, Scenario, draw
from burst_magic.testing.weather import Weather

_ONE_TASK = Scenario(
    seed=0,
    workers=1,
    slots=1,
    tasks=1,
    interval=1.0,
    floor=0.05,
    idle=2.0,
    lifetime=5000.0,
    short=False,
    work="equal",
    task=1.0,
    failing=0.0,
    boot=0.05,
    skew=0.0,
    reaps=True,
    weather=Weather(latency=0.001),
    acts=(),
    calm=0.0,
)


def _cut_off(at: float, worker: int) -> Act:
    """Cut a worker off for so long that it exits with code 0 and without ``.gone``: four minutes after its task."""
    return Act(at=at, deed=Deed.CUT_OFF, target=worker, size=600.0)


DIRECTED: dict[str, Scenario] = {
    # Two idle workers wait for the third, which runs the long task, when the laptop sleeps; its monotonic clocks go on.
    # A worker that wakes before the third lists heartbeats that are ten intervals old, and takes the task from it. Who
    # wakes first is drawn at each of three sleeps.
    "a laptop that wakes up considers the fleet dead": replace(
        _ONE_TASK,
        workers=3,
        tasks=3,
        work="one long last",
        task=30.0,
        acts=tuple(Act(at=at, deed=Deed.LAPTOP, target=1, size=10.0) for at in (20.0, 40.0, 60.0)),
        calm=100.0,
    ),
    # Poison behind three quick tasks in the last of four lanes, where nobody cuts the range before it is recovered. All
    # four tasks take less than the requests that publish the first, so each successor dies with nothing published, and
    # the first task seems to have killed it.
    "lazy flush after a recovery: poison is blamed on the first unpublished task": replace(
        _ONE_TASK,
        tasks=20,
        floor=0.2,  # longer than a request: otherwise a slot pauses between two tasks, and the first is published
        task=0.002,
        poison=(18,),
        weather=Weather(latency=0.03),
        calm=20.0,
    ),
    # The owner of the only task is cut off, then its successor, and two more, each while it runs the task. The client
    # sleeps until all four have exited, and then records how: four times code 0. The next successor reads that.
    "a clean exit without .gone counts as a death": replace(
        _ONE_TASK,
        task=20.0,
        acts=(
            _cut_off(5.0, 0),
            _cut_off(18.0, 1),
            _cut_off(34.0, 2),
            _cut_off(58.0, 3),
            Act(at=59.0, deed=Deed.SLEEP, size=400.0),
        ),
        calm=1000.0,
    ),
}


def world(bug: str, seed: int) -> Scenario:
    """The world of a seed that may find a bug: the one arranged for it, or a drawn one."""
    return replace(DIRECTED[bug], seed=seed) if bug in DIRECTED else draw(seed)
