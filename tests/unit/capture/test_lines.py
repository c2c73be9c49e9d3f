"""``%`` and ``!`` lines: what has a meaning on a worker works there, the rest is refused or dropped (point 4)."""

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from burst_magic.errors import CaptureError

transform = TransformerManager().transform_cell


def test_a_shell_line_runs_on_the_worker_and_its_output_is_the_task_s(notebook):
    assert notebook.burst("!echo hello\n1", transform=transform) == 1
    assert notebook.printed == "hello\n"


def test_a_shell_line_s_output_can_be_assigned(notebook):
    assert notebook.burst("found = !printf 'a\\nb'\nfound", transform=transform) == ["a", "b"]


def test_names_in_a_shell_line_are_captured_and_the_shell_keeps_its_own(notebook):
    notebook.run("name = 'x y'\nn = 3")
    cell = "r = !echo {n + item} $name $BURST_NO_SUCH. '$name' $$name\nr"
    assert notebook.burst(cell, "[1]", transform=transform) == [["4 x y . $name"]]
    assert notebook.burst("r = !echo '{print $1}' $n\nr", transform=transform) == ["{print $1}"]


def test_a_failing_command_raises_nothing(notebook):
    assert notebook.burst("!exit 3\n'after'", transform=transform) == "after"


def test_display_magics_are_left_out_with_a_note(notebook):
    capture = notebook.capture("%matplotlib inline\nx = 1\nx", transform=transform)
    assert capture.warnings == ("%matplotlib in line 1 has no effect on a worker and is ignored",)
    assert notebook.outcome(capture) == [1]


def test_time_runs_its_statement_and_env_and_cd_do_what_they_say(notebook, tmp_path):
    cell = f"import os\n%time x = 2\n%env BURST_TEST=a b\n%cd {tmp_path}\nx, os.environ['BURST_TEST'], os.getcwd()"
    assert notebook.burst(cell, transform=transform) == (2, "a b", str(tmp_path))
    notebook.burst("%cd /", transform=transform)


@pytest.mark.parametrize(
    ("cell", "problem"),
    [
        ("x = 1\n%timeit x", "%timeit cannot run on a worker (line 2)"),
        ("%pip install x", "%pip cannot run on a worker (line 1)"),
        ("%%time\nx = 1", "%%time cannot run on a worker (line 1)"),
        ("x = 1\nx?", "%pinfo cannot run on a worker (line 2)"),
        ("%run other.ipynb", "%run cannot run on a worker (line 1)"),
    ],
)
def test_other_magics_are_refused_with_their_line(notebook, cell, problem):
    with pytest.raises(CaptureError) as refused:
        notebook.capture(cell, transform=transform)
    assert refused.value.problem == problem
    assert refused.value.way_out


def test_line_numbers_stay_those_of_the_cell(notebook):
    with pytest.raises(CaptureError, match=r"line 4"):
        notebook.capture("\n\nx = 1\nnope", transform=transform)


def test_a_shell_line_in_a_block_keeps_its_place(notebook):
    assert notebook.burst(
        "out = []\nfor i in range(2):\n    !echo é {i}\n    out.append(i)\nout", transform=transform
    ) == [0, 1]
    assert notebook.printed == "é 0\né 1\n"
