"""What tasks print: whose it is, where it comes from, how much is kept."""

from __future__ import annotations

import os

import pytest

from burst_magic.worker.channel.board import HEAD_BYTES, SHARED_BYTES, TAIL_BYTES, Shared, anonymous_file, nameless_file
from burst_magic.worker.child import output


@pytest.fixture
def shared():
    memory = anonymous_file(SHARED_BYTES)
    shared = Shared(memory)
    os.close(memory)
    yield shared
    shared.close()


@pytest.fixture
def printed():
    descriptor = nameless_file()
    yield descriptor
    os.close(descriptor)


def test_each_task_has_its_own_output(bench):
    outcomes = bench.perform("if item % 2: print('task', item)", range(6))
    assert [o.output for o in outcomes] == ["", "task 1\n", "", "task 3\n", "", "task 5\n"]


def test_a_failed_task_keeps_what_it_printed(bench):
    (outcome,) = bench.perform("print('before', end='')\n1 / 0")
    assert outcome.output == "before"


@pytest.mark.parametrize(
    "source",
    [
        "import sys; sys.stderr.write('said')",
        "import os; os.write(1, b'said')",
        "import os; os.write(2, b'said')",
        "import subprocess; subprocess.run(['printf', 'said'], check=True)",
        "import ctypes; ctypes.CDLL(None).printf(b'said')",
        "import sys; sys.__stdout__.write('said')",
    ],
)
def test_every_way_to_print_is_caught(bench, source):
    (outcome,) = bench.perform(source)
    assert outcome.output == "said"


def test_lines_of_stdout_and_stderr_and_subprocesses_stay_in_order(bench):
    source = "import os, sys\nprint(1)\nprint(2, file=sys.stderr)\nos.system('echo 3')\nprint(4)"
    (outcome,) = bench.perform(source)
    assert outcome.output == "1\n2\n3\n4\n"


def test_a_task_that_replaces_stdout_does_not_silence_the_next(bench):
    source = "import io, sys\nif item == 0: sys.stdout = io.StringIO()\nprint(item)"
    assert [o.output for o in bench.perform(source, [0, 1])] == ["", "1\n"]


def test_a_task_that_closes_stdout_does_not_end_the_slot(bench):
    source = "import sys\nif item == 0: sys.stdout.close(); sys.stderr.close()\nprint(item)"
    outcomes = bench.perform(source, [0, 1])
    assert [o.failed for o in outcomes] == [True, False]
    assert outcomes[1].output == "1\n"


def test_text_that_is_not_text_is_kept_readable(bench):
    (outcome,) = bench.perform("import os\nos.write(1, b'\\xff ')\nprint('\\udc80 ok')")
    assert outcome.output == "\ufffd \\udc80 ok\n"


def test_much_output_keeps_head_and_tail(bench):
    (outcome,) = bench.perform("for i in range(100_000): print(f'line {i:06}')")
    assert outcome.output.startswith("line 000000\nline 000001\n")
    assert outcome.output.endswith("line 099999\n")
    assert "… 1.1 MB left out …" in outcome.output
    assert len(outcome.output) < HEAD_BYTES + TAIL_BYTES + 100


def test_output_up_to_the_bound_is_kept_whole(shared, printed):
    text = b"x" * (HEAD_BYTES + TAIL_BYTES)
    os.write(printed, text)
    assert output.bounded(printed, shared) == text.decode()


def test_the_count_of_what_was_left_out_adds_up(shared, printed):
    os.write(printed, b"a" * (HEAD_BYTES + TAIL_BYTES + 5))
    assert "… 5 bytes left out …" in output.bounded(printed, shared)


def test_a_cut_keeps_the_first_head_and_counts_on(shared, printed):
    os.write(printed, b"head" + b"." * output.CUT_ABOVE)
    assert output.cut_runaway(printed, shared)
    assert os.fstat(printed).st_size == 0
    os.lseek(printed, 0, os.SEEK_SET)
    os.write(printed, b"second" + b"." * output.CUT_ABOVE)
    assert output.cut_runaway(printed, shared)
    os.lseek(printed, 0, os.SEEK_SET)
    os.write(printed, b"the end")
    text = output.bounded(printed, shared)
    assert text.startswith("head")
    assert text.endswith("\nthe end")
    left_out = 2 * output.CUT_ABOVE + 10 - HEAD_BYTES
    assert f"{left_out / 1e6:.1f} MB left out" in text


def test_a_little_output_is_never_cut(shared, printed):
    os.write(printed, b"x" * 100_000)
    assert not output.cut_runaway(printed, shared)


def test_the_tail_shows_what_a_terminal_would(printed):
    os.write(printed, b"one\n 10 %\r 50 %\r100 %\ntwo\r")
    assert output.tail(printed, 4096) == "one\n100 %\ntwo"


def test_the_tail_is_bounded(printed):
    os.write(printed, b"a" * 5000 + b"z")
    assert output.tail(printed, 10) == "a" * 9 + "z"
