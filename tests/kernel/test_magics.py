"""The line magics, one by one; and workers that stay warm, end by themselves, and serve two kernels."""

from __future__ import annotations

import re

import pytest

from burst_magic.host import cores
from tests.kernel.conftest import PATIENCE

GATED = """
import os, time
def behind(gate, value):
    while not os.path.exists(gate):
        time.sleep(0.01)
    return value
"""
VERBS = ["status", "collect", "attach", "sessions", "logs", "scale", "extend", "cancel", "cleanup", "cost", "quota",
         "config", "doctor"]  # fmt: skip


@pytest.fixture
def gated(kernel, tmp_path):
    """(kernel, a file that tasks wait for, what a cell says to do so)."""
    kernel.run(GATED)
    gate = tmp_path / "gate"
    return kernel, gate, f"behind({str(gate)!r}, item)"


@pytest.mark.parametrize("verb", VERBS)
def test_every_magic_has_help(kernel, verb):
    assert f"%burst_{verb}" in kernel.run(f"%burst_{verb} --help").stdout


def test_the_cell_magic_has_help(kernel):
    shown = kernel.run("%%burst --help\n1").stdout
    for option in ("--workers", "--map", "--out", "--wait", "--dry-run", "--session", "--seed", "--setenv"):
        assert option in shown
    for later in ("--gpus", "--instance-type", "--no-reuse", "batch"):
        assert later not in shown


def test_options_verbs_and_ids_complete(kernel):
    session = kernel.run('%%burst --workers 1 --map "[1]" --out out --name study\nitem').session

    def offered(text):
        reply = kernel.client.complete(text, len(text), reply=True, timeout=PATIENCE)
        return reply["content"]["matches"]

    assert "--workers" in offered("%%burst --wor")
    assert any(match.endswith("burst_status") for match in offered("%burst_st"))
    assert session in offered(f"%burst_status {session[:9]}")
    assert not [match for match in offered("%%burst --") if "gpus" in match or "reuse" in match]


def test_status_tells_counts_and_workers_while_it_runs_and_after(gated, until):
    kernel, gate, cell = gated
    kernel.run(f'%%burst --workers 2 --map "range(5)" --out out --name study\n{cell}')
    until(lambda: "2 running" in kernel.run("%burst_status").stdout, "two running tasks")
    shown = kernel.run("%burst_status study").stdout
    assert "0 of 5 done" in shown
    assert "2 alive" in shown
    gate.touch()
    kernel.run("list(out)")
    shown = kernel.run("%burst_status").stdout
    assert "5 of 5 done" in shown
    assert "finished" in shown


def test_status_groups_failures(kernel):
    kernel.run('%%burst --workers 2 --map "range(6)" --out out\n10 // (item % 2)')
    kernel.run("out.wait()")
    shown = kernel.run("%burst_status").stdout
    assert "3 × ZeroDivisionError" in shown
    assert "3 failed" in shown


def test_scale_starts_workers_and_lets_them_go(gated, until):
    kernel, gate, cell = gated
    kernel.run(f'%%burst --workers 1 --map "range(8)" --out out\n{cell}')
    assert "3 workers wanted" in kernel.run("%burst_scale 3").stdout
    until(lambda: len(kernel.home.workers()) == 3, "three workers")
    gate.touch()
    assert kernel.value("list(out)") == list(range(8))
    kernel.run("%burst_scale 1")
    until(lambda: len(kernel.home.workers()) == 1, "two to go")


def test_scale_says_what_running_tasks_keep_of_the_cores(gated):
    kernel, gate, cell = gated
    kernel.run(f'%%burst --workers 1 --map "range(8)" --out out\n{cell}')
    said = kernel.run("%burst_scale 5").stdout
    assert (f"keep {cores()} threads each; the next job gets {max(1, cores() // 5)}" in said) is (cores() > 1)
    gate.touch()
    kernel.run("list(out)")
    assert "threads" not in kernel.run("%burst_scale 1").stdout


def test_a_dry_run_says_how_many_threads_each_slot_has(kernel):
    cell = "--workers 64 --map range(64) --dry-run\nitem"
    assert f"{max(1, cores() // 64)} in each slot" in kernel.run(f"%%burst {cell}").text
    assert "7 in each slot" in kernel.run(f"%%burst --threads 7 {cell}").text


def test_cleanup_keeps_the_results_and_force_leaves_no_object(kernel, until):
    session = kernel.run('%%burst --workers 2 --map "range(4)" --out out\nitem').session
    kernel.run('%%burst --map "range(3)" --out more --session ' + session + "\nitem")
    kernel.run("list(out), list(more)")
    assert "2 workers will end; results are kept" in kernel.run("%burst_cleanup").stdout
    until(lambda: not kernel.home.workers(), "the workers to end")
    assert kernel.home.objects(session)
    assert kernel.run(f"%burst_collect {session}/0").value == [0, 1, 2, 3]

    assert "deleted" in kernel.run(f"%burst_cleanup {session} --force --yes").stdout
    assert kernel.home.objects(session) == []
    assert not (kernel.home.config / "keys" / session).exists()
    assert session not in kernel.run("%burst_sessions").stdout
    assert "unknown or has expired" in kernel.fails(f"%burst_attach {session}").traceback


def test_force_refuses_without_yes_where_nobody_can_be_asked(kernel):
    session = kernel.run('%%burst --workers 1 --map "range(2)" --out out\nitem').session
    kernel.run("list(out)")
    assert "Add --yes" in kernel.fails(f"%burst_cleanup {session} --force").traceback
    assert kernel.run(f"%burst_collect {session}").value == [0, 1]


def test_a_name_that_a_living_session_has_already_is_warned_of(gated):
    kernel, gate, cell = gated
    first = kernel.run(f"%%burst --workers 1 --name fit --out out\n{cell}".replace("item", "0"))
    assert "--name" not in first.stdout
    again = kernel.run("%%burst --workers 1 --name fit --out more\n1")
    assert f"the earlier one is {first.session}/0, which is still running" in again.stdout
    gate.touch()
    kernel.run("list(more)")


def test_a_name_that_two_sessions_had_deletes_neither(kernel):
    cell = "%%burst --workers 1 --name twice --out out --wait --fresh\n1"
    first = kernel.run(cell).session
    assert f"--name twice now refers to this job; the earlier one is {first}/0\n" in kernel.run(cell).stdout
    second = kernel.value("__import__('burst_magic').attach('twice').id")
    shown = kernel.fails("%burst_cleanup twice --force --yes").traceback
    assert "2 sessions are named twice. Give an id:" in shown
    for session in (first, second):
        assert session in shown
        assert kernel.home.objects(session)
    kernel.run(f"%burst_cleanup {first} --force --yes")
    assert second in kernel.run("%burst_cleanup twice --force --yes").stdout


def test_the_name_of_a_job_means_that_job(kernel):
    session = kernel.run("%%burst --workers 1 --name fit --out one\n1").session
    kernel.run(f"%%burst --session {session} --name second --out two\n2")
    kernel.run(f"%%burst --session {session} --name third --out three\n3")
    kernel.run("one[0], two[0], three[0]")
    assert [kernel.run(f"%burst_collect {name}").value for name in ("second", "third", "fit")] == [[2], [3], [1]]
    kernel.run("from burst_magic import config\nfrom burst_magic.magics.desk import DESK")
    assert kernel.value("DESK.find('second', config.load()).results() is two")  # and nobody attached a second time
    row = kernel.run("[(r.total, r.completed, r.state) for r in __import__('burst_magic').sessions()]")
    assert row.value == [(3, 3, "finished")]  # all its jobs


def test_one_job_is_cancelled_by_its_id(gated):
    kernel, _gate, cell = gated
    session = kernel.run(f'%%burst --workers 1 --map "range(3)" --out slow\n{cell}').session
    kernel.run(f"%%burst --session {session} --out quick\n2")
    assert "its session continues" in kernel.run(f"%burst_cancel {session}/0").stdout
    assert kernel.value("quick[0]") == 2
    assert "cancelled" in kernel.fails("slow[0]").text


def test_items_that_are_used_up_are_warned_of(kernel):
    kernel.run("items = iter([1, 2]); list(items)")
    shown = kernel.run("%%burst --workers 1 --map items --out out\nitem")
    assert "--map has no items: nothing to run (a generator can be used only once)" in shown.stdout
    assert "no items" in kernel.run("%%burst --workers 1 --map [] --out out --dry-run\nitem").text


def test_a_dry_run_into_a_session_shows_its_workers_and_a_deadline_that_is_over_can_be_moved(kernel, until):
    session = kernel.run('%%burst --workers 1 --deadline 2 --map "[1]" --out out\nimport time\ntime.sleep(60)').session
    shown = kernel.run(f"%%burst --session {session} --map range(9) --dry-run\nitem")
    assert re.search(rf"workers +those of session {session}: \d alive, 1 wanted", shown.text)
    until(lambda: "deadline" in kernel.run(f"%burst_status {session}").stdout, "the deadline")
    refused = kernel.fails(f"%%burst --session {session} --map range(9) --dry-run\nitem")
    assert "accepts no more work: deadline" in refused.traceback
    until(lambda: not kernel.home.workers(), "the worker to end")
    said = kernel.run(f"%burst_extend 1h {session}").stdout
    assert f"to start some: %burst_scale 1 {session}" in said
    kernel.run(f"%burst_scale 1 {session}")
    until(lambda: "1 running" in kernel.run(f"%burst_status {session}").stdout, "it to go on")
    kernel.run(f"%burst_cancel {session}")


def test_force_clean_up_of_a_running_session_leaves_no_object_and_no_worker(gated, until):
    kernel, gate, cell = gated
    session = kernel.run(f'%%burst --workers 2 --map "range(4)" --out out\n{cell}').session
    until(lambda: "2 running" in kernel.run("%burst_status").stdout, "two running tasks")
    kernel.run(f"%burst_cleanup {session} --force --yes")
    assert kernel.home.objects(session) == []
    kernel.home.wait_for_workers_to_end()  # a process outlives its ``.gone`` by a moment
    gate.touch()
    assert kernel.home.objects(session) == []


def test_force_without_an_id_deletes_none_while_the_latest_is_not_the_only_one_meant(gated):
    """The long one that goes on is not what somebody means who has just seen the short one finish."""
    kernel, gate, cell = gated
    running = kernel.run(f'%%burst --workers 1 --map "range(2)" --out slow --name long\n{cell}').session
    finished = kernel.run("%%burst --workers 1 --out quick --name short --wait\n1").session
    shown = kernel.fails("%burst_cleanup --force --yes").traceback
    assert "more than one matches. Give an id:" in shown
    assert f"{running}  long  running" in shown
    assert f"{finished}  short" in shown
    assert running in kernel.run("%burst_scale 1").stdout  # the only one that goes on can be changed
    gate.touch()
    assert kernel.value("list(slow)") == [0, 1]
    assert kernel.value("quick[0]") == 1


def test_force_without_an_id_deletes_the_latest_where_no_other_goes_on(gated):
    kernel, _gate, cell = gated
    kept = kernel.run("%%burst --workers 1 --out quick --wait\n1").session
    kernel.run(f"%burst_cleanup {kept}")
    running = kernel.run(f'%%burst --workers 1 --map "range(2)" --out slow\n{cell}').session
    assert running in kernel.run("%burst_cleanup --force --yes").stdout
    assert kernel.home.objects(running) == []
    assert kernel.home.objects(kept)
    assert kept in kernel.run("%burst_cleanup --force --yes").stdout


def test_force_without_an_id_deletes_none_where_the_latest_to_be_looked_at_was_not_started_last(start_kernel):
    """A kernel that was started again and has shown an older session: "the latest" may be said of two."""
    first = start_kernel()
    older = first.run("%%burst --workers 1 --out one --wait\n1").session
    newer = first.run("%%burst --workers 1 --out two --wait --fresh\n2").session
    first.kill()
    second = start_kernel()
    assert older in second.run(f"%burst_status {older}").stdout
    shown = second.fails("%burst_cleanup --force --yes").traceback
    for session in (older, newer):
        assert session in shown
        assert second.home.objects(session)


def test_what_would_be_deleted_is_named_before_it_is_agreed_to(gated):
    kernel, gate, cell = gated
    session = kernel.run(f'%%burst --workers 1 --map "range(2)" --out slow --name long\n{cell}').session
    shown = kernel.fails("%burst_cleanup --force").traceback
    assert f"this deletes every object of session {session} long (running, 0 of 2 tasks done)" in shown
    gate.touch()
    kernel.run(f"%%burst --session {session} --out more --wait\n3")
    kernel.run("list(slow)")
    shown = kernel.fails(f"%burst_cleanup {session} --force").traceback
    assert (
        f"every object of session {session} (finished, 3 of 3 tasks done), also those of its other jobs: long (job 0)"
        in shown
    )
    assert "Add --yes" in shown


def test_cost_is_nothing_here_and_something_on_fargate(kernel):
    kernel.run('%%burst --workers 2 --map "[1]" --out out\nitem')
    kernel.run("list(out)")
    shown = kernel.run("%burst_cost").stdout
    assert "$0.00 so far" in shown
    assert re.search(r"on Fargate: \$0\.0\d*[1-9]", shown)


def test_settings_are_written_shown_and_used(start_kernel, home, until):
    kernel = start_kernel()
    kernel.run("%burst_config workers=3 idle=100")
    assert "workers = 3" in (home.config / "config.toml").read_text()
    assert re.search(r"workers +3 +\(config.toml\)", kernel.run("%burst_config").stdout)
    kernel.run('%%burst --map "range(9)" --out out\nitem')
    assert "3 wanted" in kernel.run("%burst_status").stdout
    kernel.run("%burst_config workers=")
    assert "workers" not in (home.config / "config.toml").read_text()


def test_the_doctor_finds_nothing_wrong(kernel):
    shown = kernel.run("%burst_doctor").stdout
    assert "BAD" not in shown
    assert shown.count("ok  ") >= 4


def test_a_dry_run_tells_what_would_travel_and_starts_nothing(kernel):
    kernel.run("import numpy as np\nbig = np.ones(500_000)\ntoken = 'ghp_' + 'a1B2' * 9\nseen = []")
    shown = kernel.run(
        '%%burst --workers 4 --map "range(10)" --out out --dry-run\nseen.append(token)\nbig.sum() * item'
    ).text
    for words in ("big", "4.0 MB", "token", "secret", "4 local workers", "numpy", "seen"):
        assert words in shown, words
    assert not kernel.home.workers()
    assert kernel.run("'out' in globals()").result == "False"
    assert not kernel.value("[row.id for row in __import__('burst_magic').sessions()]")


# --- workers -------------------------------------------------------------------------------------------------------


def test_a_warm_session_gives_its_workers_to_the_next_cell(kernel):
    session = kernel.run('%%burst --workers 2 --map "range(4)" --out first --name warm\nitem').session
    assert kernel.value("list(first)") == [0, 1, 2, 3]
    started = [key for key in kernel.home.objects(session) if key.endswith(".next")]
    kernel.run('%%burst --map "range(4)" --out second --session warm\nitem + 1')
    assert kernel.value("list(second)") == [1, 2, 3, 4]
    assert [key for key in kernel.home.objects(session) if key.endswith(".next")] == started
    assert len(started) == 2


def test_idle_workers_end_by_themselves_and_say_so(kernel, until):
    session = kernel.run('%%burst --workers 2 --map "range(4)" --out out --idle 0.5s\nitem').session
    assert kernel.value("list(out)") == [0, 1, 2, 3]
    until(lambda: not kernel.home.workers(), "the workers to end")
    assert sum(key.endswith(".gone") for key in kernel.home.objects(session)) == 2
    assert "0 alive" in kernel.run("%burst_status").stdout
    kernel.run(f'%%burst --map "range(2)" --out again --session {session}\nitem')
    assert kernel.value("list(again)") == [0, 1]


def test_two_kernels_work_at_once_and_do_not_disturb_each_other(start_kernel):
    one, two = start_kernel(), start_kernel()
    cell = '%%burst --workers 2 --map "range(20)" --out out\n(who, item)'
    for kernel, who in ((one, "one"), (two, "two")):
        kernel.run(f"who = {who!r}")
    waiting = [(kernel, kernel.start(cell)) for kernel in (one, two)]
    for kernel, message in waiting:
        assert not kernel.finish(message).error
    assert one.value("list(out)") == [("one", number) for number in range(20)]
    assert two.value("list(out)") == [("two", number) for number in range(20)]
    assert len(one.value("[row.id for row in __import__('burst_magic').sessions()]")) == 2


def test_two_kernels_follow_one_session(start_kernel, tmp_path):
    one, two = start_kernel(), start_kernel()
    one.run(GATED)
    gate = tmp_path / "gate"
    session = one.run(f'%%burst --workers 2 --map "range(6)" --out out\nbehind({str(gate)!r}, item)').session
    two.run(f"%burst_attach {session}")
    both = [(kernel, kernel.start("list(out)")) for kernel in (one, two)]
    gate.touch()
    assert [kernel.finish(message).value for kernel, message in both] == [[0, 1, 2, 3, 4, 5]] * 2


def test_slots_run_tasks_side_by_side_in_one_worker(kernel, tmp_path):
    kernel.run("import os, time\nfrom pathlib import Path")
    kernel.run(
        f'%%burst --workers 1 --slots 3 --map "range(3)" --out out\n'
        f"folder = Path({str(tmp_path)!r})\n(folder / f'here-{{item}}').touch()\n"
        "while len(list(folder.glob('here-*'))) < 3:\n    time.sleep(0.01)\n"
        "os.getpid()"
    )
    assert kernel.value("len(set(out))") == 3
    assert len(kernel.home.workers()) == 1


def test_the_terminal_knows_what_the_kernel_started(kernel):
    session = kernel.run('%%burst --workers 1 --map "range(3)" --out out --name study\nprint("hello")\nitem').session
    kernel.run("list(out)")
    home = kernel.home
    assert session in home.burst("sessions").stdout
    assert "3 of 3 done" in home.burst("status", "study").stdout
    assert home.burst("collect", session).stdout.split() == ["0", "1", "2"]
    assert "hello" in home.burst("logs", session).stdout
    assert "final: " in home.burst("inspect", session).stdout
    assert home.burst("watch", session).returncode == 0
    done = home.burst("cleanup", session, "--force")
    assert done.returncode  # no terminal, no --yes: it refuses, and does not hang
    assert "--yes" in done.stderr
    assert home.objects(session)
    assert home.burst("cleanup", session, "--force", "--yes").returncode == 0
    assert home.objects(session) == []
    assert home.burst("status", "nonsense").returncode == 1


def test_unloading_takes_the_magics_away_and_the_session_goes_on(start_kernel):
    kernel = start_kernel()
    session = kernel.run('%%burst --workers 1 --map "range(3)" --out out\nitem').session
    kernel.run("%unload_ext burst_magic")
    assert "UsageError" in kernel.run("%burst_status", ok=False).text
    kernel.run("%load_ext burst_magic")
    assert kernel.run(f"%burst_collect {session}").value == [0, 1, 2]
