"""A kernel dies and the work goes on; another one, here or elsewhere, takes it up again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter

import nbformat
import pytest

from burst_magic.notebook import META
from burst_magic.protocol.wire import sign

NEVER = "20200101-000000-aaaaaaaa"


class Burst:
    """A session whose tasks write down that they run, and wait for a gate.

    Two tasks a worker: one runs and one waits, so there is nothing to steal and each runs once.
    """

    def __init__(self, kernel, folder, *, tasks=4, options=""):
        self.log, self.gate = folder / "log", folder / "gate"
        kernel.run(
            "import os, time\n"
            "def step(log, gate, number):\n"
            "    with open(log, 'a') as file:\n"
            "        file.write(f'{number}\\n')\n"
            "    while not os.path.exists(gate):\n"
            "        time.sleep(0.01)\n"
            "    return number * number"
        )
        cell = f"step({str(self.log)!r}, {str(self.gate)!r}, n)"
        self.cell = kernel.run(f'%%burst --workers 2 --map "n in range({tasks})" --out squares {options}\n{cell}')
        self.id = self.cell.session
        self.expected = [number * number for number in range(tasks)]

    def ran(self) -> Counter:
        """How often each task was started."""
        return Counter(map(int, self.log.read_text().split())) if self.log.exists() else Counter()

    def each_ran_once(self) -> bool:
        return self.ran() == Counter(range(len(self.expected)))


def save_notebook(path, *cells):
    """What a browser would have saved, had it executed these cells."""
    made = [nbformat.v4.new_code_cell("", outputs=[nbformat.from_dict(each) for each in cell.shown]) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)


# --- the kernel dies -----------------------------------------------------------------------------------------------


def test_work_goes_on_without_the_kernel_and_a_new_one_has_it_by_id(start_kernel, home, tmp_path, until):
    first = start_kernel()
    burst = Burst(first, tmp_path)
    until(lambda: len(burst.ran()) == 2, "both workers to run a task")
    first.kill()
    burst.gate.touch()
    until(burst.each_ran_once, "the tasks to run with no kernel alive")

    second = start_kernel()
    shown = second.run(f"%burst_attach {burst.id}")
    assert "squares = <Results: " in shown.stdout
    assert second.value("list(squares)") == burst.expected
    assert burst.each_ran_once()


def test_a_new_kernel_has_what_is_still_running(start_kernel, tmp_path, until):
    first = start_kernel()
    burst = Burst(first, tmp_path)
    until(lambda: len(burst.ran()) == 2, "both workers to run a task")
    first.kill()

    second = start_kernel()
    second.run(f"%burst_attach {burst.id}")
    until(lambda: "2 running" in (said := second.run("%burst_status").stdout) and "2 alive" in said, "both to say so")
    burst.gate.touch()
    assert second.value("list(squares)") == burst.expected
    assert burst.each_ran_once()


def test_the_saved_notebook_says_which_sessions_it_started(start_kernel, home, tmp_path):
    first = start_kernel()
    burst = Burst(first, tmp_path)
    burst.gate.touch()
    path = home.work / "study.ipynb"
    save_notebook(path, burst.cell)
    first.kill()
    (home.root / "data" / "sessions.jsonl").unlink()

    second = start_kernel(JPY_SESSION_NAME=str(path))
    second.run("%burst_attach")
    assert second.value("list(squares)") == burst.expected


def test_the_users_list_says_which_sessions_a_notebook_started(start_kernel, home, tmp_path):
    path = home.work / "study.ipynb"
    save_notebook(path)  # open, and never saved since
    first = start_kernel(JPY_SESSION_NAME=str(path))
    burst = Burst(first, tmp_path)
    burst.gate.touch()
    first.kill()

    second = start_kernel(JPY_SESSION_NAME=str(path))
    second.run("%burst_attach")
    assert second.value("list(squares)") == burst.expected


def test_the_manifests_say_which_sessions_a_notebook_started(start_kernel, home, tmp_path):
    path = home.work / "study.ipynb"
    save_notebook(path)
    first = start_kernel(JPY_SESSION_NAME=str(path))
    burst = Burst(first, tmp_path)
    burst.gate.touch()
    first.kill()
    (home.root / "data" / "sessions.jsonl").unlink()

    second = start_kernel(JPY_SESSION_NAME=str(path))
    second.run("%burst_attach")
    assert second.value("list(squares)") == burst.expected


def test_all_names_of_a_notebook_come_back_not_only_the_last(start_kernel, home):
    path = home.work / "study.ipynb"
    save_notebook(path)
    first = start_kernel(JPY_SESSION_NAME=str(path))
    first.run('%%burst --workers 1 --map "[1, 2]" --out one --name study\nitem')
    first.run('%%burst --map "[3, 4]" --out two --session study\nitem')
    first.run('%%burst --workers 1 --map "[5, 6]" --out three\nitem')
    first.run("list(one), list(two), list(three)")
    first.kill()

    second = start_kernel(JPY_SESSION_NAME=str(path))
    second.run("%burst_attach")
    assert second.value("list(one), list(two), list(three)") == ([1, 2], [3, 4], [5, 6])


def test_another_notebooks_sessions_are_not_taken_for_this_ones(start_kernel, home):
    mine, other = home.work / "mine.ipynb", home.work / "other.ipynb"
    save_notebook(mine)
    save_notebook(other)
    first = start_kernel(JPY_SESSION_NAME=str(other))
    first.run('%%burst --workers 1 --map "[1]" --out out\nitem')
    second = start_kernel(JPY_SESSION_NAME=str(mine))
    cell = second.fails("%burst_attach")
    assert cell.error == "AttachError"
    assert "hasn't started a session" in cell.traceback


@pytest.mark.parametrize("listed", [True, False])
def test_what_an_earlier_notebook_of_the_same_name_started_is_not_taken_for_this_ones(start_kernel, home, listed):
    path = home.work / "Untitled.ipynb"
    save_notebook(path)
    first = start_kernel(JPY_SESSION_NAME=str(path))
    first.run('%%burst --workers 1 --map "[1]" --out out\nitem')
    assert first.value("list(out)") == [1]
    first.kill()
    if not listed:
        (home.root / "data" / "sessions.jsonl").unlink()
    marks = {META: {"sessions": [], "since": time.time()}}  # as the lab extension writes them
    nbformat.write(nbformat.v4.new_notebook(metadata=marks), path)

    second = start_kernel(JPY_SESSION_NAME=str(path))
    assert "hasn't started a session" in second.fails("%burst_attach").traceback
    second.run('%%burst --workers 1 --map "[2]" --out own\nitem')
    second.run("list(own)")
    second.kill()

    third = start_kernel(JPY_SESSION_NAME=str(path))
    third.run("%burst_attach")
    assert third.value("list(own), 'out' in globals()") == ([2], False)


def damaged(home, manifest):
    manifest.write_bytes(b"damaged")


def changed(home, manifest):
    manifest.write_bytes(manifest.read_bytes().replace(b"study.ipynb", b"other.ipynb"))


def of_another_version(home, manifest):
    key = manifest.relative_to(home.folder).as_posix()
    secret = bytes.fromhex((home.config / "keys" / manifest.parent.name).read_text())
    body = json.loads(sign.unseal(secret, key, manifest.read_bytes()))
    manifest.write_bytes(sign.seal(secret, key, json.dumps({**body, "schema": 99}).encode()))


def in_a_store_that_is_out_of_reach(home, manifest):
    listed = home.root / "data" / "sessions.jsonl"
    lines = [json.loads(line) for line in listed.read_text().splitlines()]
    lines[0]["store"] = "s3://away/bursts"
    listed.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


@pytest.mark.parametrize("spoil", [damaged, changed, of_another_version, in_a_store_that_is_out_of_reach])
def test_a_session_that_cannot_be_read_hides_no_other(start_kernel, home, tmp_path, spoil):
    offline = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "someone",
               "AWS_SECRET_ACCESS_KEY": "secret"}  # fmt: skip
    path = home.work / "study.ipynb"
    save_notebook(path)
    first = start_kernel(JPY_SESSION_NAME=str(path))
    unreadable = first.run("%%burst --workers 1 --out old --wait\n1").session
    first.run(f"%burst_cleanup {unreadable}")
    burst = Burst(first, tmp_path)
    first.kill()
    manifest = home.folder / "sessions" / unreadable / "manifest.json"
    listed = home.root / "data" / "sessions.jsonl"
    whole = {each: each.read_bytes() for each in (manifest, listed)}
    spoil(home, manifest)

    second = start_kernel(JPY_SESSION_NAME=str(path), **offline)
    scaled = second.run("%burst_scale 2")
    assert f"session {burst.id}: 2 workers wanted" in scaled.stdout
    assert scaled.stderr.count(f"session {unreadable} was skipped: ") == 1
    assert f"{unreadable}" in second.run("%burst_sessions").text
    second.run("%reset -f")
    attached = second.run("%burst_attach")
    assert attached.stderr.count(f"session {unreadable} was skipped: ") == 1
    burst.gate.touch()
    assert second.value("list(squares)") == burst.expected
    for each, data in whole.items():  # what cannot be read cannot be cleaned up
        each.write_bytes(data)


def test_a_kernel_that_is_no_notebook_changes_nothing_that_another_started(start_kernel, tmp_path):
    first, other = start_kernel(), start_kernel()
    burst = Burst(first, tmp_path)
    for verb in ("cancel", "scale 3", "extend 1h", "cleanup --force --yes"):
        refused = other.fails(f"%burst_{verb}")
        assert "this kernel hasn't started a session, but others have. Give an id:" in refused.message
        assert burst.id in refused.message
    burst.gate.touch()
    assert first.value("list(squares)") == burst.expected


def test_attaching_without_an_id_leaves_names_that_hold_something_else(start_kernel, tmp_path):
    first = start_kernel()
    burst = Burst(first, tmp_path)
    burst.gate.touch()
    first.run("squares.wait()")
    first.kill()
    second = start_kernel()
    second.run("squares = 'mine'")
    assert "squares is bound to something else here and was not overwritten" in second.run("%burst_attach").stdout
    assert second.value("squares") == "mine"
    second.run(f"%burst_attach {burst.id}")
    assert second.value("list(squares)") == burst.expected


def test_a_kernel_looks_after_the_session_that_a_verb_without_an_id_meant(start_kernel, home, tmp_path, until):
    """It is taken up like any other: followed, kept, its lost workers replaced."""
    path = home.work / "study.ipynb"
    save_notebook(path)
    first = start_kernel(JPY_SESSION_NAME=str(path))
    burst = Burst(first, tmp_path)
    until(lambda: len(burst.ran()) == 2, "both workers to run a task")
    first.kill()

    second = start_kernel(JPY_SESSION_NAME=str(path))
    assert burst.id in second.run("%burst_extend 1h").stdout
    second.run("from burst_magic import config\nfrom burst_magic.magics.desk import DESK")
    assert second.value("[sid for sid, job in DESK.open]") == [burst.id]
    old = home.workers()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    until(lambda: set(home.workers()) - set(old), "a lost worker to be replaced", timeout=60)
    burst.gate.touch()
    until(lambda: "4 of 4 done" in second.run("%burst_status").stdout, "the end")


def test_a_session_is_found_by_its_name_and_by_its_job(start_kernel):
    first = start_kernel()
    session = first.run('%%burst --workers 1 --map "[1, 2]" --out a --name study\nitem').session
    first.run('%%burst --map "[3]" --out b --session study\nitem')
    first.run("list(b)")
    first.kill()
    second = start_kernel()
    assert second.run("%burst_collect study").value == [1, 2]
    assert second.run(f"%burst_collect {session}").value == [3]
    assert second.run(f"%burst_collect {session}/0").value == [1, 2]


def test_results_handed_out_again_are_the_same_with_failures_and_output(start_kernel):
    first = start_kernel()
    session = first.run('%%burst --workers 2 --map "range(4)" --out out\nprint("seen", item)\n10 // (item - 2)').session
    first.run("out.wait()")
    first.kill()
    second = start_kernel()
    second.run(f"%burst_attach {session}")
    assert second.run("%burst_collect --errors skip").value == [-5, -10, 10]
    cell = second.fails("out[2]")
    assert cell.error == "ZeroDivisionError"
    assert "seen 2" in cell.traceback


def test_classes_of_the_new_kernel_are_what_comes_back(start_kernel):
    define = "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int"
    first = start_kernel()
    first.run(define)
    session = first.run('%%burst --workers 1 --map "range(2)" --out out\nPoint(item)').session
    first.run("out.wait()")
    first.kill()
    second = start_kernel()
    second.run(define)
    second.run(f"%burst_attach {session}")
    assert second.value("[type(each) is Point and each.x for each in out] == [0, 1]") is True


# --- what cannot be taken up ------------------------------------------------------------------------------------------


def test_an_unknown_session_is_said_to_be_unknown(kernel):
    cell = kernel.fails(f"%burst_attach {NEVER}")
    assert cell.error == "AttachError"
    assert f"session {NEVER} is unknown or has expired" in cell.traceback
    assert "burst_magic" not in cell.traceback.replace("burst_magic/store", "")


def test_an_expired_session_is_said_to_have_expired(start_kernel, home):
    kernel = start_kernel()
    session = kernel.run('%%burst --workers 1 --map "[1]" --out out\nitem').session
    kernel.run("list(out)")
    kernel.run("%burst_cleanup")
    home.wait_for_workers_to_end()
    shutil.rmtree(home.folder / "sessions" / session)
    again = start_kernel()
    cell = again.fails(f"%burst_attach {session}")
    assert f"session {session} is unknown or has expired" in cell.traceback


def test_a_word_that_is_no_session_is_said_to_be_none(kernel):
    assert "no session 'nonsense'" in kernel.fails("%burst_attach nonsense").traceback
    assert "is not a session key" in kernel.fails(f"%burst_attach {NEVER} --key abc").traceback


# --- another machine ----------------------------------------------------------------------------------------------


@pytest.fixture
def machines(home, make_home):
    """Two users' directories that share a store."""
    store = (home.root / "shared").as_uri()
    return make_home("here", store=store), make_home("there", store=store)


def test_another_machine_attaches_with_the_key(start_kernel, machines, tmp_path):
    here, there = machines
    first = start_kernel(here)
    burst = Burst(first, tmp_path)
    burst.gate.touch()
    first.run("out = squares.wait()")
    key = here.burst("key", "show", burst.id).stdout.strip()

    second = start_kernel(there)
    second.run(f"%burst_attach {burst.id} --key {key}")
    assert second.value("list(squares)") == burst.expected
    kept = there.config / "keys" / burst.id
    assert kept.stat().st_mode & 0o777 == 0o600
    third = start_kernel(there)  # the key was kept
    third.run(f"%burst_attach {burst.id}")
    assert third.value("list(squares)") == burst.expected


def test_without_the_key_status_works_and_values_refuse(start_kernel, machines, tmp_path):
    here, there = machines
    first = start_kernel(here)
    burst = Burst(first, tmp_path)
    burst.gate.touch()
    first.run("squares.wait()")

    second = start_kernel(there)
    second.run(f"%burst_attach {burst.id}")
    assert "4 of 4 done" in second.run("%burst_status").stdout
    assert burst.id in second.run("%burst_sessions").stdout
    for touch in ("%burst_collect", "%burst_cancel"):
        cell = second.fails(touch)
        assert "key" in cell.message, touch
        assert "File " not in cell.traceback
    assert second.value("'squares' in globals()") is False  # nobody has signed what the name would be bound to
    assert not second.home.workers()
    assert not there.burst("key", "show", burst.id).stdout


def test_without_the_key_one_sees_the_end_come(start_kernel, machines, tmp_path, until):
    here, there = machines
    first = start_kernel(here)
    burst = Burst(first, tmp_path)
    second = start_kernel(there)
    second.run(f"%burst_attach {burst.id}")
    assert "0 of 4 done" in second.run("%burst_status").stdout
    burst.gate.touch()
    until(lambda: "finished" in second.run("%burst_status").stdout, "the end")


def test_a_wrong_key_is_refused_and_not_kept(start_kernel, machines):
    here, there = machines
    first = start_kernel(here)
    session = first.run('%%burst --workers 1 --map "[1]" --out out\nitem').session
    second = start_kernel(there)
    cell = second.fails(f"%burst_attach {session} --key {'ab' * 32}")
    assert "this is not the key of session" in cell.traceback
    assert not (there.config / "keys").exists() or not list((there.config / "keys").iterdir())


def test_the_list_of_sessions_tells_their_counts(start_kernel):
    kernel = start_kernel()
    session = kernel.run('%%burst --workers 1 --map "range(3)" --out out --name study\n1 // item').session
    kernel.run("out.wait()")
    listed = kernel.value("[(r.id, r.name, r.total, r.pending, r.running, r.completed, r.failed) for r in "
                          "__import__('burst_magic').sessions()]")  # fmt: skip
    assert listed == [(session, "study", 3, 0, 0, 2, 1)]
    table = kernel.run("%burst_sessions").stdout
    assert session in table
    assert "study" in table


def test_the_session_list_is_one_json_object_a_line(start_kernel, home):
    kernel = start_kernel()
    session = kernel.run('%%burst --workers 1 --map "range(3)" --out out\nitem').session
    (line,) = (home.root / "data" / "sessions.jsonl").read_text().splitlines()
    assert json.loads(line)["id"] == session
