"""A job that had ended, as far as anybody saw, and lives again: NotRun is no result and may be followed by one."""

from __future__ import annotations

from burst_magic.errors import NotRun

GATED = "import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.005)\nitem * 10"


def test_what_comes_after_a_deadline_that_was_moved_completes_too(world, gate):
    session = world.burst(GATED.format(gate=str(gate)), range(4), deadline=0.7)
    arriving = session.as_completed(errors="return")
    task, said = next(arriving)
    assert (task, type(said)) == (0, NotRun)
    gate.touch()
    session.extend("1h")
    session.scale(1)
    assert sorted(arriving) == [(0, 0), (1, 10), (2, 20), (3, 30)]


def test_a_job_that_lives_again_after_all_were_said_not_to_run_gives_every_result(world, gate):
    session = world.burst(GATED.format(gate=str(gate)), range(3), deadline=0.7)
    given = []
    for task, value in session.as_completed(errors="return"):
        given.append((task, value if isinstance(value, int) else type(value)))
        if given == [(0, NotRun), (1, NotRun), (2, NotRun)]:
            gate.touch()
            session.extend("1h")
            session.scale(1)
    assert sorted(given[3:]) == [(0, 0), (1, 10), (2, 20)]
