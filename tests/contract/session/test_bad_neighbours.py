"""A task that breaks what runs it costs its own result, and no other's (laws 3, 4)."""

from __future__ import annotations

import pytest

from burst_magic.errors import WorkerLost

JUNK = """
import os
if item == 5:
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, {junk})
        except OSError:
            pass
item * 2
"""


@pytest.mark.parametrize("junk", [b"x", b"\xff" * 32, b"\0" * 32, b"junk" * 100, bytes(range(256)) * 4])
def test_bytes_that_a_task_writes_into_our_pipes_cost_its_own_result(world, junk):
    session = world.burst(JUNK.format(junk=junk), range(12), workers=1)
    results = session.results().collect(errors="return")
    innocent = [value for task, value in enumerate(results) if task != 5]
    assert innocent == [2 * task for task in range(12) if task != 5]
    assert results[5] == 10 or isinstance(results[5], WorkerLost)
    assert session.status().started == 1


KILLER = """
import os, signal
def above(pid):
    return int(open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[1])
if item == 5:
    for pid in {pids}:
        os.kill(pid, signal.SIGKILL)
item * 2
"""


@pytest.mark.parametrize("pids", ["[os.getppid()]", "[above(os.getppid())]", "[above(os.getppid()), os.getppid()]"])
def test_a_task_that_kills_what_it_was_forked_from_ends_a_few_workers_and_no_other_task(world, pids):
    session = world.burst(KILLER.format(pids=pids), range(20), workers=2)
    results = session.results().collect(errors="return")
    assert [value for task, value in enumerate(results) if task != 5] == [2 * task for task in range(20) if task != 5]
    assert results[5] == 10 or isinstance(results[5], WorkerLost)
    assert session.status().started <= 8
