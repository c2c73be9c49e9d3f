"""Waiting, and not waiting any more: the session goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

GATED = """
import os, time
def behind(gate, value):
    print("waiting for the gate", flush=True)
    while not os.path.exists(gate):
        time.sleep(0.01)
    print("through", flush=True)
    return value
"""

ANNOUNCED = """
import sys as _sys, threading as _threading, time as _time
def _waits(frame):
    while frame is not None and frame.f_code.co_name != "wait_for":
        frame = frame.f_back
    return frame is not None
def _announce():
    while not _waits(_sys._current_frames()[_threading.main_thread().ident]):
        _time.sleep(0.01)
    print("it waits", flush=True)
def announce():
    _threading.Thread(target=_announce).start()
"""


@pytest.fixture
def gated(kernel, tmp_path):
    """(kernel, a file that tasks wait for, what a cell says to do so)."""
    kernel.run(GATED + ANNOUNCED)
    gate = tmp_path / "gate"
    return kernel, gate, f"behind({str(gate)!r}, item)"


@pytest.mark.parametrize(
    "touch", ["out[0]", "list(out)", "out.wait()", "out.collect()", "next(out.as_completed())", "%burst_collect"]
)
def test_stop_while_waiting_detaches_and_the_session_goes_on(gated, touch):
    kernel, gate, cell = gated
    session = kernel.run(f'%%burst --workers 2 --map "range(2)" --out out\n{cell}').session
    waiting = kernel.start(f"announce()\n{touch}")
    kernel.wait_output(waiting, "it waits")
    kernel.interrupt()
    shown = kernel.finish(waiting)
    assert shown.error == "KeyboardInterrupt"
    assert f"session {session} is still running" in shown.traceback, shown.traceback
    assert "burst_magic/" not in shown.traceback
    assert kernel.value("out.ready()") is False
    gate.touch()
    assert kernel.value("list(out)") == [0, 1]


def test_stop_of_a_waiting_burst_detaches_and_says_how_to_go_on(gated):
    kernel, gate, cell = gated
    waiting = kernel.start(f'announce()\nget_ipython().run_cell_magic("burst", '
                           f'"--workers 2 --map range(2) --out out --wait", {cell!r})')  # fmt: skip
    kernel.wait_output(waiting, "it waits")
    kernel.interrupt()
    shown = kernel.finish(waiting)
    assert shown.error == "KeyboardInterrupt"
    for word in ("is still running", "%burst_collect", "%burst_cancel"):
        assert word in shown.traceback
    assert len(shown.traceback.splitlines()) <= 6
    gate.touch()
    assert kernel.value("list(out)") == [0, 1]


def test_wait_returns_when_all_is_done(kernel):
    cell = kernel.run('%%burst --workers 2 --map "range(3)" --out out --wait\nitem')
    assert "3 of 3" in cell.text
    assert kernel.value("out.ready(), list(out)") == (True, [0, 1, 2])


def test_what_running_tasks_print_is_seen_while_they_run(gated, until):
    kernel, gate, cell = gated
    kernel.run(f'%%burst --workers 1 --map "[7]" --out out\n{cell}')
    until(lambda: "waiting for the gate" in kernel.run("%burst_logs").text, "live output")
    assert "through" not in kernel.run("%burst_logs").text
    gate.touch()
    kernel.run("list(out)")
    lines = kernel.run("%burst_logs --task 0").stdout.split("\n")
    assert lines[:2] == ["[0] waiting for the gate", "[0] through"]


def test_logs_without_output_say_whether_any_may_come(kernel, tmp_path):
    gate = str(tmp_path / "gate")
    kernel.run(f"import os, time\ngate = {gate!r}")
    kernel.run(
        '%%burst --workers 1 --map "range(2)" --out out\nwhile item and not os.path.exists(gate): time.sleep(0.01)'
    )
    kernel.run("next(out.as_completed())")
    said = [kernel.run(f"%burst_logs {option}").stdout.strip() for option in ("", "--task 0", "--task 1")]
    assert said == ["no output yet", "task 0 printed nothing", "no output yet"]
    Path(gate).touch()
    kernel.run("out.wait()")
    assert kernel.run("%burst_logs").stdout.strip() == "nothing was printed"
    kernel.run('%%burst --workers 1 --map "range(2)" --out cut\ntime.sleep(600 * item)')
    kernel.run("next(cut.as_completed())\n%burst_cancel\ncut.wait()")
    said = [kernel.run(f"%burst_logs {option}").stdout.strip() for option in ("", "--task 0", "--task 1")]
    assert said == [
        "no output was kept: 1 task did not finish",
        "task 0 printed nothing",
        "task 1 did not finish; output is kept of finished tasks only",
    ]


def test_logs_follow_a_session_to_its_end(gated):
    kernel, gate, cell = gated
    kernel.run(f'%%burst --workers 1 --map "range(2)" --out out\n{cell}')
    following = kernel.start("print('now')\n%burst_logs --follow")
    kernel.wait_output(following, "now")
    gate.touch()
    shown = kernel.finish(following)
    assert "[0] through" in shown.stdout
    assert "[1] through" in shown.stdout


def test_output_of_tasks_does_not_land_in_cells(kernel):
    shown = kernel.run('%%burst --workers 2 --map "range(3)" --out out --wait\nprint("loud", item)\nitem')
    assert "loud" not in shown.stdout
    logs = kernel.run("%burst_logs").stdout
    assert [f"[{n}] loud {n}" in logs for n in range(3)] == [True] * 3
    assert kernel.run("%burst_logs -n 1").stdout.count("loud") == 1


def test_cancel_stops_and_keeps_what_is_done(gated, until):
    kernel, gate, cell = gated
    kernel.run(f'%%burst --workers 1 --map "range(3)" --out out --name doomed\n{cell} if item else "first"')
    kernel.run("next(out.as_completed())")
    assert "cancelled" in kernel.run("%burst_cancel doomed").stdout
    shown = kernel.fails("list(out)")
    assert shown.error == "NotRun"
    assert "cancelled" in shown.traceback
    assert "burst_magic/" not in shown.traceback
    assert kernel.run("%burst_collect --nowait").result == "['first', PENDING, PENDING]"
    until(lambda: not kernel.home.workers(), "the workers to end")
    refused = kernel.fails('%%burst --map "[1]" --session doomed\nitem')
    assert "accepts no more work" in refused.traceback
    assert not gate.exists()


def test_close_lets_running_tasks_finish(gated, until):
    kernel, gate, cell = gated
    kernel.run(f'%%burst --workers 1 --map "range(3)" --out out\n{cell}')
    until(lambda: "waiting" in kernel.run("%burst_logs").text, "the first task to run")
    shown = kernel.fails("%burst_cleanup").traceback
    assert "2 tasks that have not begun of session" in shown
    assert "will not run. Add --yes to confirm." in shown
    kernel.run("%burst_cleanup --yes")
    gate.touch()
    until(lambda: not kernel.home.workers(), "the workers to end")
    assert kernel.value("out[0]") == 0
    assert kernel.fails("out[2]").error == "NotRun"


def test_the_deadline_ends_a_session(gated, until):
    kernel, _, cell = gated
    kernel.run(f'%%burst --workers 1 --map "range(2)" --out out --deadline 1s\n{cell}')
    shown = kernel.fails("list(out)")
    assert shown.error == "NotRun"
    assert "deadline" in shown.traceback
    until(lambda: not kernel.home.workers(), "the workers to end")


def test_a_deadline_can_be_moved(gated):
    kernel, gate, cell = gated
    kernel.run(f'%%burst --workers 1 --map "range(2)" --out out --deadline 30s\n{cell}')
    assert "until the deadline" in kernel.run("%burst_extend 1h").stdout
    ends = "__import__('burst_magic').attach(__import__('burst_magic').sessions()[0].id).status()"
    assert kernel.value(f"3600 < {ends}.deadline - time.time() < 3640") is True
    gate.touch()
    assert kernel.value("list(out)") == [0, 1]
