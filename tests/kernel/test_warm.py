"""Cells in a row share their workers where a new session would have the same ones, and only there."""

from __future__ import annotations

import pytest

CELL = "%%burst --map range(4) --out out --wait {options}\nimport os\nos.getppid(), item"


def again(kernel, options="--workers 2"):
    """Runs a cell to its end; (the id of its session, whether it joined that)."""
    shown = kernel.run(CELL.format(options=options))
    assert [item for _, item in kernel.value("list(out)")] == [0, 1, 2, 3]
    return kernel.value("out._job.sid if hasattr(out, '_job') else out._driver.sid"), "idle workers" in shown.stdout


@pytest.fixture
def own(start_kernel):
    """A kernel of the test's own, whose process may be changed."""
    kernel = start_kernel()
    kernel.run("import os")
    return kernel


def test_ten_cells_in_a_row_leave_one_fleet(own):
    sessions = [again(own) for _ in range(10)]
    assert len({sid for sid, _ in sessions}) == 1
    assert [joined for _, joined in sessions] == [False] + [True] * 9
    assert len(own.home.workers()) == 2
    started = [key for key in own.home.objects(sessions[0][0]) if key.endswith(".next")]
    assert len(started) == 2


def test_who_joins_is_told_in_one_line(own, until):
    sid, _ = again(own)
    shown = own.run(CELL.format(options="--workers 2"))
    told = [line for line in shown.stdout.splitlines() if line.startswith("burst: ")]
    assert told == [f"burst: runs on the idle workers of session {sid}; --fresh starts new ones"]
    preview = "%%burst --workers 2 --dry-run\n1"  # the second worker may not have beaten yet
    until(lambda: f"those of session {sid}: 2 alive, 2 wanted" in own.run(preview).text, "both workers to be told of")


def test_fresh_starts_anew_and_the_newest_fleet_is_joined(own):
    first, _ = again(own)
    second, joined = again(own, "--workers 2 --fresh")
    assert not joined
    assert second != first
    assert again(own) == (second, True)


@pytest.mark.parametrize(
    "options",
    ["--workers 3", "--workers 1", "--workers 2 --slots 2", "--workers 2 --deadline 2h", "--workers 2 --budget 5",
     "--workers 2 --setenv WARM=1", "--workers 2 --idle 200", "--workers 2 --memory 4GB",
     "--workers 2 --store file:///{other}"],
)  # fmt: skip
def test_a_cell_that_asks_for_other_workers_gets_its_own(own, tmp_path, options):
    first, _ = again(own)
    second, joined = again(own, options.format(other=str(tmp_path / "other").lstrip("/")))
    assert (joined, second != first) == (False, True)


@pytest.mark.parametrize(
    "options", ["", "--workers 2 --timeout 60 --retries 2", "--workers 2 --threads 1 --name second"]
)
def test_what_belongs_to_the_job_is_no_reason_for_new_workers(own, options):
    own.run("%burst_config workers=2")
    first, _ = again(own)
    assert again(own, options) == (first, True)


CHANGES = {
    "a variable": "os.environ['WARM_TEST'] = 'changed'",
    "the folder": "os.makedirs('deeper', exist_ok=True); os.chdir('deeper')",
    "a limit": "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
    "niceness": "os.nice(1)",
    "the mask of new files": "os.umask(0o77)",
    "a package": """
import sysconfig, pathlib
path = pathlib.Path(sysconfig.get_path('purelib'), f'warm_test_{os.getpid()}.pth')
path.write_text('')
""",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_workers_that_would_be_born_otherwise_now_are_not_joined(own, change):
    own.run(
        "import resource; resource.setrlimit(resource.RLIMIT_CORE, (1, resource.getrlimit(resource.RLIMIT_CORE)[1]))"
    )
    first, _ = again(own)
    own.run(change)
    try:
        second, joined = again(own)
    finally:
        own.run("path.unlink() if 'path' in globals() else None")
    assert (joined, second != first) == (False, True)


def test_a_local_module_that_was_edited_travels_to_the_warm_workers(own):
    module = own.home.work / "edited_while_warm.py"
    module.write_text("def answer():\n    return 1\n")
    own.run("import sys, importlib\nsys.path.insert(0, os.getcwd())\nimport edited_while_warm")
    own.run("%%burst --workers 1 --out one --wait\nedited_while_warm.answer()")
    module.write_text("def answer():\n    return 'two'\n")
    own.run("importlib.reload(edited_while_warm)")
    shown = own.run("%%burst --workers 1 --out two --wait\nedited_while_warm.answer()")
    assert "idle workers" in shown.stdout
    assert own.value("one[0], two[0]") == (1, "two")


DRAWS = """%%burst --workers 1 --seed 7 --out out --wait
before = "_multiarray_umath" in open("/proc/self/maps").read(), "numpy" in __import__("sys").modules
import numpy, random
before, numpy.__name__, numpy.random.random(), numpy.random.default_rng().random(), random.random()"""


def test_idle_workers_import_in_advance_for_the_next_cell_which_cannot_tell(own, until):
    def draw():
        own.run(DRAWS)
        (there, seen), *found = own.value("out[0]")
        assert not seen
        return there, found

    there, fresh = draw()
    assert not there
    again = until(lambda: (found := draw())[0] and found, "an import in advance")
    assert again[1] == fresh
    assert len(own.home.workers()) == 1


def test_cells_that_share_workers_draw_different_numbers_unless_they_are_given_a_seed(own):
    draws = "%%burst --workers 1 --map range(3) --out {out} --wait {seed}\nimport random\nrandom.random()"
    for out, seed in (("a", ""), ("b", ""), ("c", "--seed 7"), ("d", "--seed 7")):
        own.run(draws.format(out=out, seed=seed))
    a, b, c, d = own.value("list(a), list(b), list(c), list(d)")
    assert len(own.home.workers()) == 1
    assert len({*a, *b, *c}) == 9
    assert c == d


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("import linecache\nlinecache.getline(path, 1)", "import linecache\nlinecache.getline(path, 1)"),
        ("import fractions\nfractions.Fraction.mine = 1", "import fractions\nhasattr(fractions.Fraction, 'mine')"),
        ("import numbers\nnumbers.Number.register(dict)", "import numbers\nisinstance({}, numbers.Number)"),
        ("import decimal\ndecimal.DefaultContext.prec = 5", "import decimal\ndecimal.Context().prec"),
        (
            "import os, sys\nsys.path.insert(0, os.path.dirname(path))\nimport found_there\nfound_there.A",
            "import os, sys\nsys.path.insert(0, os.path.dirname(path))\nimport found_there\nfound_there.A",
        ),
    ],
    ids=["a cache", "a class", "a registration", "a default", "a module that the cell finds"],
)
def test_what_a_task_left_in_its_process_is_gone_in_the_next_cell(own, tmp_path, first, then):
    def edit(word):
        (tmp_path / "lines").write_text(word)
        (tmp_path / "found_there.py").write_text(f"A = {word!r}")

    own.run(f"path = {str(tmp_path / 'lines')!r}")
    edit("old")
    own.run(f"%%burst --workers 1 --out one --wait\n{first}\n1")
    edit("newer")
    shown = own.run(f"%%burst --workers 1 --out joined --wait\n{then}")
    own.run(f"%%burst --workers 1 --fresh --out anew --wait\n{then}")
    assert "idle workers" in shown.stdout
    assert own.value("joined[0] == anew[0]")


def test_only_a_cell_that_runs_moves_the_deadline_of_the_session_it_joins(own):
    def moved():
        return [key for key in own.home.objects(first) if key.endswith("-extend")]

    own.run("%burst_config deadline=1h")
    first, _ = again(own)
    own.run("%burst_config deadline=3h")
    assert first in own.run("%%burst --workers 2 --dry-run\n1").text
    assert moved() == []
    assert again(own) == (first, True)
    assert len(moved()) == 1


def test_a_session_that_ended_meanwhile_is_not_joined(own):
    again(own)
    kept = "__import__('burst_magic.magics.desk').magics.desk.DESK.open"
    own.run(f"held = list({kept}.values())[0]\nheld.close()")
    own.run("from burst_magic import config\nfrom burst_magic.magics.joining import with_time_left")
    assert own.value("with_time_left(held, config.load({})) is None")


def test_a_job_of_a_named_session_draws_numbers_of_its_own(own):
    first, _ = again(own)
    for out in ("a", "b"):
        own.run(f"%%burst --session {first} --map range(3) --out {out} --wait\nimport random\nrandom.random()")
    assert len(set(own.value("[*a, *b]"))) == 6


@pytest.mark.parametrize("verb", ["%burst_cancel", "%burst_cleanup", "%burst_cleanup --yes --force"])
def test_a_session_that_was_told_to_end_is_not_joined(own, verb):
    first, _ = again(own)
    verb, *options = verb.split()
    own.run(f"{verb} {first} {' '.join(options)}")
    second, joined = again(own)
    assert (joined, second != first) == (False, True)


def test_workers_that_went_idle_are_not_joined(own, until):
    own.run("%burst_config idle=1")
    first, _ = again(own)
    until(lambda: not own.home.workers(), "the workers to end")
    second, joined = again(own)
    assert (joined, second != first) == (False, True)


def test_another_kernel_joins_nothing_by_itself(start_kernel):
    one = start_kernel()
    first, _ = again(one)
    one.kill()
    two = start_kernel()
    two.run(f"%burst_attach {first}")
    second, joined = again(two)
    assert (joined, second != first) == (False, True)


BEHIND = """
import os, time
def behind(gate):
    while not os.path.exists(gate):
        time.sleep(0.01)
"""


def test_a_session_whose_job_goes_on_is_not_joined_and_a_cell_that_runs_already_says_so(own, tmp_path, until):
    gate = tmp_path / "gate"
    own.run(BEHIND)
    cell = f"%%burst --workers 1 --map range(2) --out slow\nbehind({str(gate)!r})\nitem"
    first = own.run(cell)
    assert "same work" not in first.stdout
    until(lambda: "1 running" in own.run("%burst_status").stdout, "its worker to be at it")
    second = own.run(cell)
    assert f"this cell is still running as {first.session}/0 (0 of 2" in second.stdout
    assert f"to follow the first run instead: %burst_attach {first.session}/0" in second.stdout
    assert second.session != first.session
    gate.touch()
    own.run("slow.wait()")


def test_a_restarted_kernel_says_that_a_cell_of_its_notebook_still_runs(start_kernel, tmp_path):
    gate = tmp_path / "gate"
    cell = f"%%burst --workers 1 --map range(2) --out slow\nbehind({str(gate)!r})\nitem"
    notebook = tmp_path / "here.ipynb"
    notebook.touch()
    one = start_kernel(JPY_SESSION_NAME=str(notebook))
    one.run(BEHIND)
    first = one.run(cell)
    one.kill()
    two = start_kernel(JPY_SESSION_NAME=str(notebook))
    two.run(BEHIND)
    assert f"this cell is still running as {first.session}/0" in two.run(cell).stdout
    gate.touch()
    two.run("slow.wait()")


def test_cancelling_one_job_by_name_leaves_the_others_of_its_session(own, tmp_path, until):
    gate = tmp_path / "gate"
    own.run(BEHIND)
    own.run(CELL.format(options="--workers 1 --name quick"))
    body = f"behind({str(gate)!r})\nitem"
    sid = own.run(f"%%burst --workers 1 --map range(2) --out slow --name slow\n{body}").session
    own.run(f"%%burst --session {sid} --map range(2) --out other --name other\n{body}")
    assert "its session continues" in own.run("%burst_cancel slow").stdout
    until(lambda: "1 running" in own.run("%burst_status other").stdout, "the other job to be begun")
    gate.touch()
    assert own.value("list(other)") == [0, 1]
    assert "cancelled" in own.fails("slow[1]").text
    assert again(own, "--workers 1") == (sid, True)


def test_what_concerns_the_whole_session_names_its_other_jobs_and_a_job_s_name_deletes_none_of_them(own):
    sid, _ = again(own, "--workers 2 --name first")
    again(own, "--workers 2 --name second")
    for ident in ("first", f"{sid}/0", "second"):
        for answered in ("", "--yes"):
            said = own.fails(f"%burst_cleanup {ident} --force {answered}").text
            assert f"{ident} is one job of session {sid}" in said
            assert f"give the session's id: {sid}" in said
    asked = own.fails(f"%burst_cleanup {sid} --force").text
    deleted = ", also those of its other jobs: first (job 0)"
    assert deleted in asked
    assert "; its other jobs: first (job 0)" in own.run(f"%burst_cleanup {sid}").stdout
    assert f"objects{deleted}" in own.run(f"%burst_cleanup {sid} --force --yes").stdout
    assert sid not in own.run("%burst_sessions").stdout


def test_cancelling_a_session_s_only_job_ends_its_workers(own, tmp_path):
    own.run(BEHIND)
    own.run(f"%%burst --workers 1 --out slow --name alone\nbehind({str(tmp_path / 'gate')!r})")
    assert "cancelled. Finished results" in own.run("%burst_cancel alone").stdout
    own.home.wait_for_workers_to_end()


def test_the_name_of_a_job_its_session_and_its_number_all_mean_it(own):
    sid, _ = again(own, "--workers 2 --name first")
    again(own, "--workers 2 --name second")
    for ident in ("first", f"{sid}/0", "first/0", "second/0"):
        assert f"{sid}/0" in own.run(f"%burst_status {ident}").stdout.splitlines()[0]
        assert len(own.run(f"%burst_collect {ident}").value) == 4
        assert own.home.burst("status", ident).stdout.startswith(f"first · {sid}/0")
    shown = own.run(f"%burst_status {sid}").stdout
    assert shown.startswith(f"second · {sid}/")
    assert f"other jobs of this session\n  {sid}/0  first  4 of 4" in shown


def test_the_list_shows_the_newest_twenty_with_their_state_and_does_not_wrap(own):
    for number in range(22):
        own.run(f"%%burst --workers 1 --fresh --wait --out out --name a-rather-long-name-for-a-job-{number}\n1")
    head, *rows, more = own.run("%burst_sessions").stdout.splitlines()
    assert max(map(len, [head, *rows])) <= 100
    assert len(rows) == 20
    assert "2 older" in more
    assert all("finished" in row for row in rows)
    started = [row.split("-")[:2] for row in rows]
    assert started == sorted(started)
    assert len(own.run("%burst_sessions --all").stdout.splitlines()) == 23


def test_a_store_is_the_same_with_and_without_its_last_slash(own, tmp_path):
    url = f"--workers 2 --store file://{tmp_path}/other"
    first, _ = again(own, url)
    assert again(own, f"{url}/") == (first, True)
    own.run(f"%burst_config store=file://{tmp_path}/other/")
    assert own.run("%burst_sessions").stdout.count(first) == 1
