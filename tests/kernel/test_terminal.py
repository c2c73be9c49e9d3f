"""The `burst` command on real sessions, from any directory; and IPython in a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pytest

BEGIN = """
import sys
import burst_magic as burst
def work(item):
    import os, time
    print("at", item)
    while item > 2 and not os.path.exists({gate!r}):
        time.sleep(0.01)
    return 12 // (item - 1) if item < 2 else item * 10
session = burst.map(work, range({count}), workers={workers}, name={name!r})
print(session.id, flush=True)
"""


@pytest.fixture
def gate(tmp_path):
    return tmp_path / "gate"


@pytest.fixture
def begin(home, gate):
    """A script that starts a session and ends: nobody but the log knows it any more. Cleaned up at the end."""

    def start(count=3, workers=1, name="fit"):
        code = BEGIN.format(gate=str(gate), count=count, workers=workers, name=name)
        ran = subprocess.run(
            [sys.executable, "-c", code], env=home.environ, cwd=home.work, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    yield start
    for sid in re.findall(r"^\d{8}-\d{6}-\w{8}", home.burst("sessions").stdout, re.MULTILINE):
        home.burst("cleanup", sid, "--force", "--yes")
    home.wait_for_workers_to_end()


def finished(home, sid, until):
    until(lambda: "finished" in home.burst("status", sid).stdout, "the session to finish")


def ok(ran):
    assert (ran.returncode, ran.stderr) == (0, ""), (ran.returncode, ran.stdout, ran.stderr)
    return ran.stdout


def refused(ran, words, code=1):
    assert (ran.returncode, ran.stdout) == (code, ""), (ran.returncode, ran.stdout, ran.stderr)
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stderr


def test_status_collect_logs_and_inspect_tell_of_a_session_that_another_process_started(home, begin):
    sid = begin()
    refused(home.burst("status", "fitt"), "no session 'fitt'; did you mean fit?")
    watched = home.burst("watch", sid)
    assert watched.returncode == 0
    assert "Traceback" not in watched.stderr
    assert sid in ok(home.burst("status", "fit"))
    assert "ZeroDivisionError" in ok(home.burst("status", sid))
    failed = home.burst("collect", sid)
    assert failed.returncode == 1
    assert "by zero" in failed.stderr
    assert "burst_magic" not in failed.stderr.partition("Traceback")[2]  # the cell's own lines, none of ours
    collected = home.burst("collect", sid, "--errors", "return")
    assert collected.stdout.splitlines()[0] == "-12"
    assert collected.stdout.splitlines()[2] == "20"
    assert home.burst("collect", sid, "--errors", "skip").stdout == "-12\n20\n"
    logs = ok(home.burst("logs", sid))
    assert "[0] at 0" in logs
    assert ok(home.burst("logs", sid, "--task", "2")) == "[2] at 2\n"
    assert "ZeroDivisionError" in ok(home.burst("logs", sid, "--task", "1"))
    refused(home.burst("logs", sid, "--task", "7"), "no task 7")
    told = ok(home.burst("inspect", sid))
    assert "claimed task 0" in told
    assert "final: " in told


def test_partial_results_and_cancel(home, begin, until):
    sid = begin(count=6)
    until(lambda: "20" in home.burst("collect", sid, "--nowait", "--errors", "skip").stdout.split(), "three results")
    assert home.burst("collect", sid, "--timeout", "1s", "--errors", "skip").stdout.split()[-1] == "PENDING"
    assert "cancelled" in ok(home.burst("cancel", sid))
    until(lambda: "cancelled" in home.burst("status", sid).stdout, "the cancel to be seen")
    refused(home.burst("scale", "2", sid), "cancelled")
    home.wait_for_workers_to_end()


def test_to_cancel_what_is_over_changes_nothing_and_says_so(home, begin, gate):
    gate.touch()
    sid = begin(count=3)
    home.burst("watch", sid)
    home.burst("cleanup", sid)
    home.wait_for_workers_to_end()
    said = ok(home.burst("cancel", sid))
    assert said == f"nothing to cancel: {sid}/0 is over (finished, 1 failed). Results: burst collect {sid}/0\n"
    assert "finished, 1 failed" in ok(home.burst("status", sid))


def test_scale_up_and_down_and_extend(home, begin, gate, until):
    sid = begin(count=40)
    assert "3 workers wanted" in ok(home.burst("scale", "3", sid))
    until(lambda: len(home.workers()) == 3, "three workers")
    assert "1 workers wanted" in ok(home.burst("scale", "1", sid))
    assert "until the deadline" in ok(home.burst("extend", "1h", sid))
    refused(home.burst("extend", "60d", sid), "at most 21d")
    gate.touch()  # the two that have stolen something finish their tasks before they go
    until(lambda: len(home.workers()) == 1, "two of them to go")
    finished(home, sid, until)
    values = home.burst("collect", sid, "--errors", "skip").stdout.split()
    assert values == ["-12", *(str(10 * item) for item in range(2, 40))]


def test_the_list_of_sessions_and_one_that_is_damaged(home, begin):
    good, bad = begin(name="good"), begin(name="bad")
    home.burst("watch", good)
    path = home.folder / "sessions" / bad / "manifest.json"
    kept = path.read_bytes()
    path.write_bytes(b"damaged")
    listed = ok(home.burst("sessions"))
    assert good in listed
    assert f"{bad}: an object in the store is not a signed record" in listed
    refused(home.burst("status", bad), "not a signed record")
    path.write_bytes(kept)


def test_clean_up_asks_and_without_a_terminal_refuses(home, begin):
    sid = begin()
    home.burst("watch", sid)
    refused(home.burst("cleanup", sid, "--force"), "Add --yes")
    assert home.objects(sid)
    assert "deleted" in ok(home.burst("cleanup", sid, "--force", "--yes"))
    assert home.objects(sid) == []
    refused(home.burst("status", sid), "burst sessions lists the sessions in the store")
    assert "no sessions" in ok(home.burst("sessions"))
    home.wait_for_workers_to_end()


WHILE_ASKED = """
import burst_magic as burst
from burst_magic.cli import main
named = burst.attach({sid!r})
def ask(question):
    print(question)
    burst.map(lambda item: item, [1], workers=1, name="meanwhile")
    named.cancel()
    named.results().wait()
    return "y"
raise SystemExit(main(["cleanup", *{words!r}], ask=ask))
"""


def while_asked(home, sid, *words):
    code = WHILE_ASKED.format(sid=sid, words=words)
    return subprocess.run(
        [sys.executable, "-c", code],
        env=home.environ,
        cwd=home.work,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_what_the_question_named_is_what_goes_whatever_begins_and_ends_before_the_answer(home, begin):
    sid = begin(count=4)
    ran = while_asked(home, sid, "--force")
    assert re.search(rf"Delete every object of session {sid} fit \(running, \d of 4 tasks done\)\?", ok(ran))
    assert f"session {sid}: deleted" in ran.stdout
    assert home.objects(sid) == []
    (left,) = home.burst("sessions").stdout.splitlines()[1:]
    assert "meanwhile" in left


def test_of_several_those_that_the_question_named_go_and_none_that_ends_before_the_answer(home, begin):
    sid = begin()
    home.burst("watch", sid)
    ran = while_asked(home, sid, "--finished", "--force")
    assert f"session {sid}: deleted" in ok(ran)
    (left,) = home.burst("sessions").stdout.splitlines()[1:]
    assert "meanwhile" in left


def test_of_several_one_that_has_no_such_name_is_said_before_the_question(home, begin):
    sid = begin()
    home.burst("watch", sid)
    ran = while_asked(home, sid, "fit", "meanwhile", "--force")
    assert "Delete" not in ran.stdout
    assert "no session 'meanwhile'" in ran.stderr
    assert home.objects(sid)


def test_sessions_of_others_in_the_same_store_are_chosen_by_their_id_only(home, begin, make_home):
    sid = begin()
    home.burst("watch", sid)
    other = make_home("other", store=home.folder.as_uri())
    assert sid in ok(other.burst("sessions"))
    assert ok(other.burst("cleanup", "--finished", "--force", "--yes")) == "no such sessions\n"
    assert home.objects(sid)


def test_force_without_an_id_deletes_none_that_lives_and_was_not_started_last(home, begin):
    running, latest = begin(count=4, name="long"), begin(name="short", count=2)
    home.burst("watch", latest)
    said = refused(home.burst("cleanup", "--force", "--yes"), "more than one matches. Give an id:")
    assert f"{running}  long  running" in said
    assert f"{latest}  short" in said
    assert home.objects(running)
    assert home.objects(latest)
    assert running in ok(home.burst("cancel"))


def test_a_terminal_that_looks_replaces_no_worker(home, begin, until):
    """The one that was lost is told; who waits for results starts another."""
    sid = begin(count=6)
    until(lambda: "1 running" in ok(home.burst("status", sid)), "a task to run")
    home.end_all()
    home.wait_for_workers_to_end()
    for _ in range(4):
        shown = ok(home.burst("status", sid))
    assert "no workers" in shown
    assert "0 alive, 1 started" in shown
    ok(home.burst("cleanup", sid, "--force", "--yes"))


def test_clean_up_while_tasks_run_leaves_nothing(home, begin, until):
    sid = begin(count=6, workers=2)
    until(lambda: len(home.workers()) == 2, "two workers")
    ok(home.burst("cleanup", sid, "--force", "--yes"))
    home.wait_for_workers_to_end()
    assert home.objects(sid) == []


def test_values_that_no_session_needs_are_swept_and_the_others_stay(home, begin):
    sid = begin()
    home.burst("watch", sid)
    blobs = home.folder / "blobs"
    blobs.mkdir(exist_ok=True)
    for name, age in {"0" * 64: 7200, "1" * 64: 0}.items():
        (blobs / name).write_bytes(b"x" * 1000)
        os.utime(blobs / name, (time.time() - age,) * 2)
    refused(home.burst("cleanup", "--blobs"), "Add --yes")
    said = ok(home.burst("cleanup", "--blobs", "--yes"))
    assert "1 stored values deleted" in said
    assert "1 unused values were kept" in said
    assert [path.name for path in blobs.iterdir()] == ["1" * 64]  # young: a submission may be under way


def test_the_key_is_carried_to_another_machine(home, begin, make_home):
    sid = begin()
    home.burst("watch", sid)
    key = ok(home.burst("key", "show", sid)).strip()
    assert re.fullmatch("[0-9a-f]{64}", key)
    other = make_home("other", store=home.folder.as_uri())
    assert sid in ok(other.burst("status", sid))
    refused(other.burst("collect", sid), "key is not on this machine")
    refused(other.burst("key", "show", sid), "key is not on this machine")
    refused(other.burst("attach", sid, "--key", "0" * 64), "not the key of session")
    kept = other.work / "key"
    kept.write_text(f"{key}\n")
    refused(other.burst("attach", sid, "--key", "no-such-file"), "--key no-such-file: No such file or directory")
    refused(other.burst("attach", sid, "--key", "-"), "--key -: no key was given")  # nobody is there to be asked
    assert sid in ok(other.burst("attach", sid, "--key", str(kept)))
    assert other.burst("collect", sid, "--errors", "skip").stdout == "-12\n20\n"


def test_without_an_id_the_verbs_mean_the_users_latest_or_ask(home, begin, gate):
    refused(home.burst("status"), "no session")
    first = begin(count=4, name="one")
    assert first in ok(home.burst("status"))
    second = begin(count=4, name="two")
    assert second in ok(home.burst("status"))
    said = refused(home.burst("cancel"), "several sessions are running")
    assert first in said
    assert second in said
    assert first in ok(home.burst("cancel", "one"))
    assert second in ok(home.burst("cancel"))
    for verb in (["cancel"], ["scale", "2"], ["extend", "1h"], ["cleanup", "--force", "--yes"]):
        assert second in refused(home.burst(*verb), "no session is running. Give an id:")
    assert home.objects(second)
    assert second in home.burst("watch").stdout
    assert second in ok(home.burst("attach"))


def test_without_an_id_a_terminal_means_sessions_of_notebooks_too(home, begin, gate):
    sid = begin(count=4, name="one")
    listed = home.root / "data/sessions.jsonl"
    listed.write_text(listed.read_text().replace('"notebook": ""', '"notebook": "/somewhere/study.ipynb"'))
    assert sid in ok(home.burst("status"))
    assert sid in ok(home.burst("cancel"))


def test_a_session_that_was_never_wholly_begun_hides_no_other(home, begin):
    """Its kernel died while items were uploaded: it stands on the user's list, written down before anything else."""
    sid = begin(count=2)
    listed = home.root / "data/sessions.jsonl"
    listed.write_text(listed.read_text() + listed.read_text().replace(sid, "29990101-000000-aaaaaaaa"))
    for verb in ("status", "attach"):
        assert sid in ok(home.burst(verb))


def test_doctor_and_config(home):
    assert ok(home.burst("doctor")).count("ok  ") == 5
    assert "workers" in ok(home.burst("config"))
    assert str(home.config) in ok(home.burst("config", "workers=3"))
    assert re.search(r"workers +3 ", ok(home.burst("config")))
    refused(home.burst("config", "workers=many"), "workers")
    home.extra["BURST_STORE"] = "file:///proc/no-such-place"
    told = home.burst("doctor")
    assert told.returncode == 1
    assert "BAD  store" in told.stdout
    assert "ok   directories" in told.stdout
    assert "found something wrong" in told.stderr


@pytest.mark.parametrize("words", [["colect"], ["status", "--nonsense"], ["scale", "x"], ["logs", "-n", "0"], []])
def test_wrong_use_is_two(home, words):
    ran = home.burst(*words)
    assert (ran.returncode, ran.stdout) == (2, "")


def test_unknown_sessions_are_one(home):
    for verb in ("status", "collect", "logs", "cancel", "inspect", "watch", "attach"):
        refused(home.burst(verb, "20200101-000000-aaaaaaaa"), "unknown or has expired")
        refused(home.burst(verb, "nobody"), "no session 'nobody'")


# --- IPython in a terminal ---------------------------------------------------------------------------------------


SHOWING = """
display(f"old {x}", display_id="a")
update_display(f"new {x}", display_id="a")
x * x"""


def test_ipython_runs_a_script_of_magics_and_shows_what_a_task_displayed_last(home):
    script = home.work / "script.ipy"
    script.write_text(
        "%load_ext burst_magic\n"
        "from IPython.display import update_display\n"
        f"cell = {SHOWING!r}\n"
        "get_ipython().run_cell_magic('burst', '--workers 2 --map \"x in range(5)\" --out out --wait', cell)\n"
        "print('values', list(out))\n"
        "out.show(3)\n"
        "%burst_status\n"
        "%burst_cleanup --force --yes\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", str(script)],
        env=home.environ,
        cwd=home.work,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert "values [0, 1, 4, 9, 16]" in ran.stdout
    assert "'new 3'" in ran.stdout
    assert "'old" not in ran.stdout
    assert "5 of 5" in ran.stderr  # the bar
    assert "Traceback" not in ran.stderr + ran.stdout
    home.wait_for_workers_to_end()


class Terminal:
    """IPython on a pseudo-terminal, as somebody sits before it."""

    def __init__(self, home):
        self.pid, self.tty = pty.fork()
        if self.pid == 0:
            os.chdir(home.work)
            words = [sys.executable, "-m", "IPython", "--no-banner", "--simple-prompt", "--colors=NoColor"]
            os.execve(sys.executable, words, {**home.environ, "TERM": "dumb"})
        fcntl.ioctl(self.tty, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.text = ""

    def say(self, line):
        os.write(self.tty, line.encode() + b"\n")

    def hear(self, words):
        """Reads until the words come; what came since the last time."""
        end = time.monotonic() + 40
        while words not in self.text:
            assert time.monotonic() < end, f"no {words!r} in {self.text}"
            if select.select([self.tty], [], [], 0.1)[0]:
                self.text += os.read(self.tty, 65536).decode(errors="replace").replace("\r\n", "\n")
        heard, _, self.text = self.text.partition(words)
        return heard

    def close(self):
        os.close(self.tty)
        os.waitpid(self.pid, 0)


def test_ipython_before_a_person_shows_a_bar_while_it_waits_and_one_message_for_an_error(home):
    terminal = Terminal(home)
    try:
        terminal.hear("In [1]: ")
        terminal.say("%load_ext burst_magic")
        terminal.hear("In [2]: ")
        terminal.say('%%burst --workers 2 --map "x in range(6)" --out out --wait')
        terminal.say("x + 1")
        terminal.hear("...: ")
        terminal.say("")
        terminal.say("")
        said = terminal.hear("In [3]: ")
        assert "session 20" in said
        assert "6 of 6" in said
        terminal.say("print(list(out))")
        assert "[1, 2, 3, 4, 5, 6]" in terminal.hear("In [4]: ")
        terminal.say("%burst_status --nonsense")
        said = terminal.hear("In [5]: ")
        assert "OptionError: --nonsense: unknown option" in said
        assert "Traceback" not in said
        terminal.say("%burst_cleanup --force --yes")
        assert "deleted" in terminal.hear("In [6]: ")
        terminal.say("exit")
    finally:
        terminal.close()
    home.wait_for_workers_to_end()


def test_the_sessions_file_names_what_a_script_started(home, begin):
    sid = begin()
    (line,) = (home.root / "data" / "sessions.jsonl").read_text().splitlines()
    assert json.loads(line)["id"] == sid


def test_scripts_read_status_sessions_and_results_as_json(home, begin, gate):
    gate.touch()
    sid = begin(count=4)
    home.burst("watch", sid)
    seen = json.loads(ok(home.burst("status", sid, "--json")))
    assert (seen["session"], seen["name"], seen["over"]) == (sid, "fit", True)
    assert (seen["tasks"]["completed"], seen["tasks"]["failed"]) == (3, 1)
    assert [row["session"] for row in json.loads(ok(home.burst("sessions", "--json")))] == [sid]
    got = json.loads(home.burst("collect", sid, "--errors", "return", "--json").stdout)
    assert got == [-12, "ZeroDivisionError('integer division or modulo by zero')", 20, 30]
    assert json.loads(home.burst("collect", sid, "--errors", "skip", "--json").stdout) == [-12, 20, 30]


def test_a_clean_up_that_would_throw_away_queued_work_says_how_much_and_wants_to_be_confirmed(home, begin, gate, until):
    sid = begin(count=6)
    until(lambda: "2 completed, 1 failed, 1 running" in home.burst("status", sid).stdout, "the fourth to run")
    said = refused(home.burst("cleanup", sid), f"2 tasks that have not begun of session {sid} will not run")
    assert "Add --yes to confirm." in said
    assert "closed" not in ok(home.burst("status", sid))
    assert "results are kept" in ok(home.burst("cleanup", sid, "--yes"))
    gate.touch()
    home.wait_for_workers_to_end()
    assert "closed" in ok(home.burst("status", sid))


def test_several_sessions_are_cleaned_up_at_once_and_one_that_is_unknown_keeps_none_of_them(home, begin, gate):
    gate.touch()
    sids = [begin(count=3, name=f"fit{number}") for number in range(3)]
    for sid in sids:
        home.burst("watch", sid)
    assert refused(home.burst("cleanup", *sids[:2], "--force"), "every object of 2 sessions").count("3 of 3 tasks") == 2
    problem = home.burst("cleanup", sids[0], "nobody", sids[1], "--force", "--yes")
    assert problem.returncode == 1
    assert "nobody" in problem.stderr
    assert [bool(home.objects(sid)) for sid in sids] == [False, False, True]


def test_sessions_are_chosen_by_their_end_and_by_their_age(home, begin, gate, until):
    going = begin(count=6, name="going")
    done = begin(count=3, name="done")
    home.burst("watch", done)
    assert ok(home.burst("cleanup", "--older-than", "1h", "--force", "--yes")) == "no such sessions\n"
    assert "every object of 1 session: " in refused(home.burst("cleanup", "--finished", "--force"), done)
    said = ok(home.burst("cleanup", "--finished", "--force", "--yes"))
    assert done in said
    assert going not in said
    assert home.objects(done) == []
    assert home.objects(going)
    ok(home.burst("cleanup", going, "--yes"))
    gate.touch()
    home.wait_for_workers_to_end()
