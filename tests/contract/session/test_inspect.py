"""``burst inspect`` over the log that real workers leave."""

from __future__ import annotations

import os
import re
import signal

from burst_magic.session.inspect import tell

HOLD = """
import os, time
first = not os.path.exists(item)
if first:
    open(item, "w").close()
    if item.endswith("held"):
        time.sleep(600)
os.path.basename(item)
"""


def process_of(worker):
    """A local worker's id names host, process and start time."""
    return int(worker.rsplit("-", 2)[1])


def test_a_killed_worker_and_who_took_over_from_it_are_told(world, tmp_path, until):
    held, free = tmp_path / "held", tmp_path / "free"
    session = world.burst(HOLD, [str(held), str(free)], workers=2)
    until(lambda: held.exists() and session.snapshot().done == 1, "a task that holds its worker")
    victim = next(line.split()[1] for line in tell(session) if "claimed task 0:" in line)
    os.kill(process_of(victim), signal.SIGKILL)
    assert list(session.results()) == ["held", "free"]
    told = list(tell(session))

    recovered = next(line for line in told if "recovered task 0 " in line)
    known = re.search(f"from {victim}, which (had ended|was silent: last heartbeat) at ", recovered)
    assert known, recovered  # its end or its silence, whichever was seen first
    assert any(line.startswith(f"  worker {victim}: since ") and ": crash" in line for line in told)
    assert any(" wrote final: 2 parts" in line for line in told)
    way = told[told.index("task 0, from the cell to its result") :]
    assert [line.split()[2] for line in way[2:5]] == ["claimed", "recovered", "published"]
    assert way[-1].startswith("  its result: in the segment that ")


def test_what_was_asked_and_how_tasks_failed_is_told(world, until):
    session = world.burst("1 // item", [1, 0], workers=1, name="tour")
    session.wait(errors="return")
    session.extend("1h", budget=2_000_000)
    session.scale(2)
    session.close()
    until(lambda: not world.workers(), "its workers to end")
    told = "\n".join(tell(session))

    assert told.startswith(f"session {session.id}\n")
    assert "\njob 0 tour: 2 tasks" in told
    for wish in (
        "asked: add-job job 0",
        "asked: extend until ",
        ", at most $2.00",
        "asked: scale 2 workers",
        "asked: close",
    ):
        assert wish in told
    assert ", 1 failed" in told
    assert "ended " in told
    assert ": close, exit code 0" in told
