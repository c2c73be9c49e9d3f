"""Long tasks on real workers: what has not started waits behind none of them while a slot has nothing to do.

Nothing is timed: tasks wait for each other, and one that waits in vain for another to begin says so.
"""

from __future__ import annotations

from collections import Counter

import pytest

NOTED = """
import os, time
def note(what):
    file = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{{what}} {{number}}\\n".encode())
    os.close(file)
def said():
    return open({log!r}).read().split("\\n")
number, long = item
note("begin")
if long:  # it ends when all quick ones have ended and all long ones have begun, and gives up after long
    until = time.monotonic() + {patience}
    while not {{*{quick}, *{begun}}} <= set(said()) and time.monotonic() < until:
        time.sleep(0.005)
note("end")
number
"""

PATIENCE = 60.0


def run(world, tmp_path, long, *, tasks, workers, slots=1):
    """Runs so many tasks of which some are long; what was noted, in order."""
    log = tmp_path / "log"
    source = NOTED.format(
        log=str(log),
        patience=PATIENCE,
        quick=[f"end {number}" for number in range(tasks) if number not in long and len(long) < workers * slots],
        begun=[f"begin {number}" for number in long],
    )
    session = world.burst(source, [(number, number in long) for number in range(tasks)], workers=workers, slots=slots)
    assert list(session.results()) == list(range(tasks))
    return log.read_text().split("\n")[:-1]


def begun_before_a_long_one_ended(notes, long):
    first_end = min(notes.index(f"end {number}") for number in long)
    return {int(note.split()[1]) for note in notes[:first_end] if note.startswith("begin")}


@pytest.mark.parametrize(
    ("long", "tasks", "workers"),
    [([0], 6, 2), ([0], 41, 2), ([20], 41, 2), ([40], 41, 2), ([3, 4], 30, 3), ([9, 19], 30, 3), ([0, 10, 20], 40, 4)],
)
def test_nothing_waits_behind_a_long_task_while_a_slot_has_nothing(world, tmp_path, long, tasks, workers):
    notes = run(world, tmp_path, long, tasks=tasks, workers=workers)
    assert begun_before_a_long_one_ended(notes, long) == set(range(tasks))


@pytest.mark.parametrize(("workers", "slots"), [(2, 1), (1, 2), (2, 2)])
def test_long_tasks_side_by_side_run_side_by_side(world, tmp_path, workers, slots):
    long = list(range(workers * slots))
    notes = run(world, tmp_path, long, tasks=8, workers=workers, slots=slots)
    assert begun_before_a_long_one_ended(notes, long) >= set(long)


def test_what_was_taken_from_behind_a_long_task_runs_twice_at_most(world, tmp_path):
    """Two thieves may find the same range a moment after one another; the first hears of the cut when it publishes."""
    notes = run(world, tmp_path, [0, 10], tasks=40, workers=3)
    times = Counter(note for note in notes if note.startswith("begin"))
    assert times.keys() == {f"begin {number}" for number in range(40)}
    assert max(times.values()) <= 2
