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


WORDS = b"\1\0\0\0\0\0\0\0" * 200  # numbers that could be counts, and processes


@pytest.mark.parametrize(
    "junk", [b"x", b"\xff" * 32, b"\0" * 12, b"\0" * 32, b"junk" * 100, bytes(range(256)) * 4, WORDS]
)
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


SPOILER = """
import os
if item % 3 == 2:
    for descriptor in range(3, 20):
        try:
            {act}
        except OSError:
            pass
item * 2
"""


@pytest.mark.parametrize(
    "act",
    [
        "os.write(descriptor, b'12345')",
        "os.ftruncate(descriptor, 0)",
        "os.pwrite(descriptor, b'\\xff' * 4096, 0)",
        "os.dup2(0, descriptor)",
        "os.lseek(descriptor, 1 << 40, os.SEEK_SET)",
    ],
)
def test_what_several_tasks_do_to_our_descriptors_costs_no_other_task_and_no_worker(world, act):
    session = world.burst(SPOILER.format(act=act), range(24), workers=1)
    results = session.results().collect(errors="return")
    assert [each for task, each in enumerate(results) if task % 3 != 2] == [2 * t for t in range(24) if t % 3 != 2]
    assert all(each == 2 * task or isinstance(each, WorkerLost) for task, each in enumerate(results))
    assert session.status().started == 1


UNTOLD = """
class Tedious:
    def __repr__(self):
        {act}
    __str__ = __repr__
    def __len__(self): return len(repr(self))
    def __hash__(self): return hash(repr(self))
class Odd(Exception):
    __str__ = __repr__ = Tedious.__repr__
if item == 1:
    raise {raised}
item
"""


@pytest.mark.parametrize("raised", ["ValueError(Tedious())", "Odd(Tedious())"])
@pytest.mark.parametrize(
    "act",
    [
        "__import__('time').sleep(3600)",
        "while True: pass",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "return 5",
        "return 'x' * 10**8",
        "return repr(self)",
    ],
)
def test_whatever_a_failure_costs_to_describe_its_task_fails_and_the_others_come(world, act, raised):
    session = world.burst(UNTOLD.format(act=act, raised=raised), range(4), workers=1)
    results = session.results().collect(errors="return", timeout=50)
    assert [results[0], results[2], results[3]] == [0, 2, 3]
    (failed,) = session.errors
    assert failed.task == 1
    assert failed.error in {"ValueError", "Odd"}
    assert session.status().started == 1
