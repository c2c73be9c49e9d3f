"""`--sample N`: the first items run here before anything starts."""


def test_a_sample_is_told_before_the_run_and_the_run_is_whole(kernel):
    kernel.run("import time\nitems = (n for n in range(6))  # a generator: what the sample takes is not missing later")
    cell = "%%burst --sample 2 --workers 2 --map items --out found --wait\ntime.sleep(0.05)\nitem * item"
    said = kernel.run(cell)
    assert "burst: sample: 2 tasks ran here in" in said.stdout
    assert "number of tasks unknown" in said.stdout
    assert kernel.value("list(found)") == [0, 1, 4, 9, 16, 25]
    assert len(kernel.value("[row.id for row in __import__('burst_magic').sessions()]")) == 1


def test_a_sample_that_fails_starts_nothing(kernel):
    said = kernel.fails("%%burst --sample 2 --workers 2 --map range(6) --out found\n1 / item")
    assert said.error == "ZeroDivisionError"
    assert "nothing was started" in said.traceback
    assert kernel.run("'found' in globals()").result == "False"
    assert not kernel.value("[row.id for row in __import__('burst_magic').sessions()]")


def test_a_cell_that_runs_once_has_nothing_to_sample(kernel):
    assert "--sample needs --map" in kernel.fails("%%burst --sample 2\n1 + 1").traceback


def test_a_dry_run_of_a_cell_that_has_run_says_what_it_will_take(kernel):
    cell = '%%burst --workers 2 --map "range(40)" {}\nimport time\ntime.sleep(0.05)\nitem'
    assert "time unknown" in kernel.run(cell.format("--dry-run")).text
    session = kernel.run(cell.format("--out out")).session
    kernel.run("list(out)")
    shown = kernel.run(cell.format("--dry-run")).text
    assert f"from 40 tasks of {session}/0 (local), 0.05" in shown
    assert "time unknown" not in shown
