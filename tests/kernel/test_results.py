"""What comes back from a cell: at once, in order, whatever has become of each task."""

from __future__ import annotations

import sys

import pytest

GATED = """
import os, time
def behind(gate, value):
    while not os.path.exists(gate):
        time.sleep(0.01)
    return value
"""


@pytest.fixture
def gate(tmp_path):
    """A file that tasks wait for."""
    return tmp_path / "gate"


def test_results_are_there_at_once_and_wait_only_when_touched(kernel, gate):
    kernel.run(GATED)
    kernel.run(f'%%burst --workers 2 --map "x in range(6)" --out out\nbehind({str(gate)!r}, x * 10)')
    assert kernel.run("out").result == "<Results: 0 of 6>"
    assert kernel.value("len(out), out.ready(), out.errors") == (6, False, ())
    gate.touch()
    assert kernel.value("out[3], out[-1], out[1:3], list(out)") == (30, 50, [10, 20], [0, 10, 20, 30, 40, 50])
    assert kernel.value("out.ready(), out == [0, 10, 20, 30, 40, 50], out == [1]") == (True, True, False)
    assert kernel.run("out").result == "<Results: 6 of 6>"


def test_results_keep_the_order_of_items_when_the_last_comes_first(kernel, tmp_path):
    kernel.run(GATED + "from pathlib import Path")
    kernel.run(
        f'%%burst --workers 2 --map "x in range(4)" --out out\n'
        f"folder = {str(tmp_path)!r}\n"
        "value = behind(folder + '/3', x) if x == 0 else x\n"
        "Path(folder, str(x)).touch()\n"
        "value"
    )
    assert kernel.value("list(out)") == [0, 1, 2, 3]


def test_as_completed_gives_what_is_ready_first(kernel, gate):
    kernel.run(GATED)
    kernel.run(f"%%burst --workers 2 --map \"x in 'ab'\" --out out\nbehind({str(gate)!r}, x) if x == 'a' else x")
    kernel.run("arriving = out.as_completed()")
    assert kernel.value("next(arriving)") == (1, "b")
    gate.touch()
    assert kernel.value("list(arriving)") == [(0, "a")]


def test_what_tasks_displayed_is_shown_again_in_the_notebook(kernel):
    kernel.run("from IPython.display import HTML, clear_output, update_display\nfrom tqdm.notebook import tqdm")
    kernel.run(
        "%%burst --workers 1 --map range(2) --out out --wait\n"
        "display('gone')\nclear_output()\n"
        "display(HTML('<i>old</i>'), display_id='a')\nupdate_display(HTML(f'<i>{item}</i>'), display_id='a')\n"
        "for _ in tqdm(range(3)): pass\n1 / (1 - item)",
        ok=False,
    )
    for task in range(2):  # a failed task has them, too
        (shown,) = kernel.run(f"out.show({task})").shown
        assert shown["data"]["text/html"] == f"<i>{task}</i>"
    assert kernel.value("[len(shown) for shown in out.displays]") == [1, 1]
    assert "100%" in kernel.value("out.outcomes[0].output.splitlines()[-1]")


def test_results_are_an_array_where_one_is_asked_for(kernel):
    kernel.run("import numpy as np")
    kernel.run('%%burst --workers 2 --map "x in range(5)" --out out\nx / 2')
    assert kernel.value("np.array(out).tolist(), float(np.mean(out))") == ([0.0, 0.5, 1.0, 1.5, 2.0], 1.0)


def test_without_map_the_cell_runs_once(kernel):
    cell = kernel.run("%%burst --workers 2\nimport os\nseen = os.getpid()\nseen")
    assert cell.result.startswith("<Session ")
    assert "without --map the cell runs once, on one worker; later cells may use all 2" in cell.stdout
    kernel.run("once = _")
    assert len(kernel.value("once.results()[:]")) == 1
    assert kernel.value("len(once.status().workers)") == 1
    assert kernel.run("'seen' in globals()").result == "False"


def test_without_ids_a_verb_means_the_latest_session(kernel):
    kernel.run('%%burst --workers 1 --map "[1]" --out first\nitem')
    kernel.run('%%burst --workers 1 --map "[2]" --out second\nitem')
    assert kernel.run("%burst_collect").value == [2]


def test_nothing_to_do_is_done_at_once(kernel):
    kernel.run('%%burst --workers 2 --map "[]" --out out\nitem')
    assert kernel.value("list(out), out.ready(), len(out)") == ([], True, 0)


def test_partial_results_hold_pending_where_there_is_none_yet(kernel, gate):
    kernel.run(GATED + "import burst_magic")
    kernel.run(f"%%burst --workers 2 --map \"x in 'ab'\" --out out\nbehind({str(gate)!r}, x) if x == 'a' else x")
    kernel.run("next(out.as_completed())")
    assert kernel.run("%burst_collect --nowait").result == "[PENDING, 'b']"
    assert kernel.run("_[0] is burst_magic.PENDING, bool(_[0])").value == (True, False)
    assert kernel.run("%burst_collect --timeout 0.1s").result == "[PENDING, 'b']"
    gate.touch()
    assert kernel.run("%burst_collect").value == ["a", "b"]


# --- failures ----------------------------------------------------------------------------------------------------

FAILING = """
class Odd(ValueError):
    def __init__(self, number, why):
        super().__init__(number, why)
        self.number = number

def check(number):
    print("looking at", number)
    if number % 2:
        raise Odd(number, "not even")
    return number
"""


def test_a_failed_task_raises_its_own_exception_with_the_cells_line(kernel):
    kernel.run(FAILING)
    kernel.run('%%burst --workers 2 --map "x in range(4)" --out out\nprint("start")\ncheck(x)')
    assert kernel.value("out[0], out[2]") == (0, 2)
    cell = kernel.fails("out[3]")
    assert cell.error == "Odd"
    assert "line 3" in cell.traceback  # the magic's own line counts, as in the notebook
    assert "check(x)" in cell.traceback
    assert 'raise Odd(number, "not even")' in cell.traceback
    assert "task 3 (item 3)" in cell.traceback
    assert "looking at 3" in cell.traceback
    assert "burst_magic" not in cell.traceback
    caught = "try:\n    out[1]\nexcept Odd as error:\n    found = error.number, error.args, type(error) is Odd"
    kernel.run(caught)
    assert kernel.value("found") == (1, (1, "not even"), True)


FAILURES = {
    "a syntax error": ("eval('1 +')", "SyntaxError"),
    "a group": ("raise ExceptionGroup('g', [ValueError(1), KeyError(2)])", "ExceptionGroup"),
    "after a group": ("try:\n    raise ExceptionGroup('g', [ValueError(1)])\nexcept Exception:\n    1 / 0", "ZeroDivisionError"),
    "the end of an iterator": ("next(iter([]))", "StopIteration"),
    "a cause": ("raise ValueError(1) from KeyError(2)", "ValueError"),
    "a recursion": ("def f(n): return f(n + 1)\nf(0)", "RecursionError"),
    "one that refuses attributes": ("class R(Exception):\n    def __setattr__(self, *_): raise TypeError\nraise R(1)", "R"),
}  # fmt: skip
if sys.version_info < (3, 11):
    FAILURES = {name: failure for name, failure in FAILURES.items() if "group" not in name}


@pytest.mark.parametrize(("cell", "error"), FAILURES.values(), ids=FAILURES)
def test_no_failure_shows_a_frame_of_ours_however_it_is_touched(kernel, cell, error):
    kernel.run(f"%%burst --workers 1 --map range(1) --out out\nprint('said')\n{cell}")
    for touch in (
        "out[0]",
        "list(out)",
        "list(out.as_completed())",
        "out.collect()",
        "%burst_collect",
        "out[:]",
        "next(iter(out))",
    ):
        shown = kernel.fails(touch)
        assert shown.error in {error, "TaskFailed"}, touch
        assert error in shown.traceback
        assert "in task 0 (item 0)" in shown.traceback
        assert "it printed:\nsaid" in shown.traceback
        assert "burst_magic" not in shown.text
    assert kernel.fails("out[0]").error == error


def test_other_errors_are_shown_as_ever(kernel):
    assert "1 / 0" in kernel.fails("1 / 0").traceback
    assert "invalid syntax" in kernel.fails("eval('1 +')").text
    assert kernel.fails("1 +").error == "SyntaxError"


def test_errors_list_the_failed_tasks(kernel):
    kernel.run(FAILING)
    kernel.run('%%burst --workers 2 --map "x in range(4)" --out out\ncheck(x)')
    kernel.run("out.wait()")
    listed = kernel.value("[(each.task, each.item, each.error, each.output) for each in out.errors]")
    assert listed == [(1, "1", "Odd", "looking at 1\n"), (3, "3", "Odd", "looking at 3\n")]
    assert "2 failed" in kernel.run("out").result


def test_errors_are_raised_returned_or_skipped(kernel):
    kernel.run(FAILING)
    kernel.run('%%burst --workers 2 --map "x in range(3)" --out out\ncheck(x)')
    assert kernel.fails("%burst_collect").error == "Odd"
    kernel.run("returned = %burst_collect --errors return")
    assert kernel.value("[returned[0], type(returned[1]) is Odd, returned[2]]") == [0, True, 2]
    assert kernel.run("%burst_collect --errors skip").value == [0, 2]


def test_wait_raises_the_first_failure_and_says_how_many(kernel):
    kernel.run(FAILING)
    cell = kernel.fails('%%burst --workers 2 --map "x in range(6)" --out out --wait\ncheck(x)')
    assert cell.error == "Odd"
    assert "task 1 " in cell.traceback
    assert "3 tasks failed" in cell.traceback
    assert kernel.value("out.ready(), out[4]") == (True, 4)


def test_an_exception_that_is_returned_is_a_value(kernel):
    kernel.run('%%burst --workers 1 --map "[KeyError]" --out out\nitem("k")')
    assert kernel.value("[(type(value).__name__, value.args) for value in out]") == [("KeyError", ("k",))]
    assert kernel.value("out.errors") == ()


def test_a_result_that_cannot_travel_is_that_tasks_failure(kernel):
    kernel.run('%%burst --workers 2 --map "range(3)" --out out\n(n for n in "ab") if item == 1 else item')
    cell = kernel.fails("list(out)")
    assert cell.error == "UnpicklableResult"
    assert "generator" in cell.traceback
    assert "task 1" in cell.traceback
    assert kernel.value("out[0], out[2]") == (0, 2)


@pytest.mark.parametrize("leave", ["sys.exit(3)", "raise KeyboardInterrupt", "exit()"])
def test_a_task_that_wants_to_exit_has_failed(kernel, leave):
    kernel.run(f'%%burst --workers 1 --map "range(3)" --out out\nimport sys\nif item == 1:\n    {leave}\nitem')
    assert kernel.value("out[0], out[2]") == (0, 2)
    cell = kernel.fails("out[1]")
    assert cell.error == "TaskFailed"
    assert ("KeyboardInterrupt" if "Keyboard" in leave else "SystemExit") in cell.traceback


@pytest.mark.parametrize(
    ("end", "said"),
    [("os._exit(7)", "7"), ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"), ("os.abort()", "SIGABRT")],
)
def test_a_task_that_ends_its_process_hurts_only_itself(kernel, end, said):
    kernel.run(f'%%burst --workers 1 --map "range(5)" --out out\nimport os, signal\nif item == 2:\n    {end}\nitem')
    cell = kernel.fails("list(out)")
    assert cell.error == "WorkerLost"
    assert said in cell.traceback
    assert "task 2" in cell.traceback
    assert kernel.run("%burst_collect --errors skip").value == [0, 1, 3, 4]


def test_a_task_that_takes_too_long_is_stopped_and_the_others_go_on(kernel):
    kernel.run(
        '%%burst --workers 1 --map "range(3)" --out out --timeout 0.5s\n'
        'import time\nif item == 1:\n    print("slow", flush=True)\n    time.sleep(600)\nitem'
    )
    cell = kernel.fails("list(out)")
    assert cell.error == "TaskTimeout"
    assert "0.5" in cell.traceback
    assert "slow" in cell.traceback
    assert kernel.value("out[0], out[2]") == (0, 2)


def test_a_retry_runs_the_task_again(kernel, tmp_path):
    kernel.run(
        f'%%burst --workers 1 --map "range(2)" --out out --retries 2\n'
        f"with open({str(tmp_path / 'tries')!r} + str(item), 'a') as file:\n    file.write('x')\n"
        f"if len(open({str(tmp_path / 'tries')!r} + str(item)).read()) < 2 + item:\n    raise OSError('not yet')\nitem"
    )
    assert kernel.value("list(out)") == [0, 1]
    assert (tmp_path / "tries0").read_text() == "xx"
    assert (tmp_path / "tries1").read_text() == "xxx"


def test_the_same_seed_gives_the_same_draws_on_any_number_of_workers(kernel):
    drawn = []
    for workers in (1, 2, 3):
        kernel.run(f'%%burst --workers {workers} --map "range(12)" --out out --seed 7\nimport random\nrandom.random()')
        drawn.append(kernel.value("list(out)"))
    assert drawn[0] == drawn[1] == drawn[2]
    assert len(set(drawn[0])) == 12


def test_a_captured_list_is_fresh_for_each_task(kernel):
    kernel.run("seen = []")
    kernel.run('%%burst --workers 2 --map "range(8)" --out out\nseen.append(item)\nseen')
    assert kernel.value("list(out)") == [[number] for number in range(8)]
    assert kernel.value("seen") == []


def test_after_a_kill_a_value_of_a_class_of_the_notebook_waits_for_its_cell(start_kernel, home):
    cell = "class P:\n    def __init__(self, x): self.x = x\n    def __repr__(self): return f'P({self.x})'"
    first = start_kernel()
    first.run(cell)
    sid = first.run("%%burst --workers 1 --map range(3) --out out --wait\nP(item) if item == 1 else item").session
    first.kill()

    second = start_kernel()
    second.run(f"%burst_attach {sid}")
    for touch in ("out[1]", "list(out)", "%burst_collect", "dict(out.as_completed())"):
        failed = second.fails(touch)
        assert failed.error == "BurstError"
        assert failed.traceback.splitlines() == [
            "BurstError: task 1's value needs P, which is not defined here",
            "  try:   run the cell that defines P in the notebook, then try again there; the result is kept",
        ]
    assert second.value("%burst_collect --errors skip") == [0, 2]
    terminal = home.burst("collect", sid)
    assert (terminal.returncode, terminal.stdout) == (1, "")
    assert terminal.stderr.splitlines()[-2:] == failed.traceback.removeprefix("BurstError: ").splitlines()
    assert "Traceback" not in terminal.stderr
    assert home.burst("collect", sid, "--errors", "skip").stdout == "0\n2\n"
    second.run(cell)
    assert second.run("out[1]").result == "P(1)"
    assert second.run("%burst_collect").result == "[0, P(1), 2]"
