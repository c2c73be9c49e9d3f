"""A session whose folders their own user has closed to himself is cleaned up all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from burst_magic.magics import calls, cleaning, consent
from burst_magic.protocol.wire import keys
from burst_magic.session import session_list

CLEAN = """
import sys
from pathlib import Path
from burst_magic import cli, config
from burst_magic.magics import cleaning
root = Path(sys.argv[1])
environ = {"BURST_STORE": (root / "data/store").as_uri()}
settings = config.load({}, environ=environ, config_dir=root / "config", data_dir=root / "data")
sys.exit(cli.main(["cleanup", sys.argv[2], *sys.argv[3:]], perform=lambda call, _: cleaning.run(call, settings)))
"""
ASKED = """
import sys
from pathlib import Path
from burst_magic import cli
answer, *words = sys.argv[1:]
def ask(question):
    print(question)
    return answer
sys.exit(cli.main(["cleanup", *words], ask=ask))
"""
HELD = """
import sys
from pathlib import Path
from burst_magic import config
from burst_magic.magics import calls, cleaning, consent
from burst_magic.magics.desk import DESK
from burst_magic.session import attach
class Shell:
    user_ns = {}
DESK.shell, settings = Shell(), config.load()
DESK.keep(attach.attach(sys.argv[1], settings=settings, home={}))
Path(sys.argv[2]).chmod(0)
call = calls.CleanupCall(force="force" in sys.argv, yes="yes" in sys.argv)
def ask(question):
    print(question)
    return "y"
consent.confirm(call, ask)
print(cleaning.run(call, settings))
"""
REGAIN = """
import sys
from pathlib import Path
from burst_magic.stores.owned import regain
print([regain(Path(each)) for each in sys.argv[1:]])
"""
# No folder is closed to root, but for these rights.
PLAIN = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def run(script, *words, environ=None):
    line = [*PLAIN, sys.executable, "-c", script, *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, **(environ or {})})


def environ(world):
    return {
        "BURST_STORE": world.store.url,
        "BURST_CONFIG_DIR": str(world.root / "config"),
        "BURST_DATA_DIR": str(world.root / "data"),
    }


def asked(world, answer, *words):
    return run(ASKED, answer, *words, environ=environ(world))


def closing(world, session):
    closed = world.root / "data/store" / keys.SessionKeys(session.id).jobs_folder
    closed.chmod(0)
    return closed


def assert_still(closed):
    assert closed.stat().st_mode & 0o777 == 0
    closed.chmod(0o700)  # for the end of the test


def ended_and_closed(world, **words):
    session = world.burst("item", [1, 2], **words)
    assert list(session.results()) == [1, 2]
    session.cleanup()
    return session, closing(world, session)


@pytest.mark.parametrize("closed", [("jobs", "control", "workers"), ("",), ("jobs/0/results",)])
def test_a_session_in_folders_that_are_closed_to_their_own_user_can_be_deleted(world, closed):
    session = world.burst("item", [1, 2])
    assert list(session.results()) == [1, 2]
    session.cleanup()
    root = world.root / "data/store" / keys.SessionKeys(session.id).root
    for name in closed:
        (root / name).chmod(0)
    done = run(CLEAN, world.root, session.id, "--force", "--yes")
    assert (done.returncode, done.stderr) == (
        0,
        f"restored your access to {root}\n",
    )
    assert not root.exists()


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize("several", [False, True])
def test_nothing_is_opened_before_somebody_has_agreed(world, force, several):
    sessions = [world.burst("item", [1, 2]) for _ in range(1 + several)]
    for session in sessions:
        assert list(session.results()) == [1, 2]
        session.cleanup()
    closed = world.root / "data/store" / keys.SessionKeys(sessions[0].id).jobs_folder
    closed.chmod(0)
    words = [*(session.id for session in sessions), *force]
    done = asked(world, "n", *words)
    assert (done.returncode, done.stderr) == (1, f"nothing was {'deleted' if force else 'stopped'}\n")
    assert sessions[0].id in done.stdout
    assert "closed to you" in done.stdout
    assert "access will be restored" in done.stdout
    assert closed.stat().st_mode & 0o777 == 0
    done = asked(world, "y", *words)
    assert done.returncode == 0, done.stderr
    assert closed.exists() is not bool(force)


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_without_an_id_only_what_the_question_names_is_cleaned_up(world, gate, force):
    other, closed = ended_and_closed(world)
    source = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    waiting = world.burst(source, [1, 2], name="it")
    done = asked(world, "y", *force)
    assert done.returncode == 0, done.stderr
    assert waiting.id in done.stdout.splitlines()[0]
    assert other.id not in done.stdout
    assert_still(closed)
    gate.touch()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("yes", [False, True])
def test_without_an_id_the_kernel_s_own_session_is_cleaned_up_although_it_is_closed(world, force, yes):
    session = world.burst("item", [1, 2])
    assert list(session.results()) == [1, 2]
    session.cleanup()
    closed = world.root / "data/store" / keys.SessionKeys(session.id).jobs_folder
    done = run(HELD, session.id, closed, *["force"] * force, *["yes"] * yes, environ=environ(world))
    assert done.returncode == 0, done.stderr
    assert (session.id in done.stdout.splitlines()[0], "closed to you" in done.stdout) == (True, not yes)
    assert f"session {session.id}: " in done.stdout.splitlines()[-1]
    assert closed.exists() is not force


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_closed_session_is_cleaned_up_by_its_name(world, force):
    session, closed = ended_and_closed(world, name="it")
    done = asked(world, "y", "it", *force)
    assert done.returncode == 0, done.stderr
    question = {
        True: f"Delete every object of session {session.id} (its folders are closed to you; access will be restored)? ",
        False: f"Stop the workers of {session.id}? Its folders are closed to you, so its pending tasks cannot be counted; "
        "access will be restored. ",
    }
    assert done.stdout.startswith(f"{question[bool(force)]}[y/N] ")
    assert closed.exists() is not bool(force)


@pytest.mark.parametrize("answer", ["y", "--yes"])
def test_a_name_that_is_not_sure_deletes_no_closed_session(world, answer):
    ended_and_closed(world, name="twice")
    _, closed = ended_and_closed(world, name="twice")
    done = asked(world, answer, "twice", "--force", *[answer] * (answer == "--yes"))
    assert (done.returncode, "2 sessions are named twice" in done.stderr) == (1, True), done.stderr
    assert_still(closed)


@pytest.mark.parametrize("answer", ["y", "--yes"])
@pytest.mark.parametrize("job", ["first", "{}/0"])
@pytest.mark.parametrize("several", [False, True])
def test_one_job_of_a_closed_session_is_not_deleted_alone(world, answer, job, several):
    session = world.burst("item", [1, 2], name="first")
    more = world.burst("item", [3], into=session, name="second")
    assert [list(session.results()), list(more.results())] == [[1, 2], [3]]
    session.cleanup()
    closed = closing(world, session)
    job = job.format(session.id)
    words = [job, *["20260101-000000-abcdefgh"] * several, "--force", *[answer] * (answer == "--yes")]
    done = asked(world, answer, *words)
    refused = f"{job} is one job of session {session.id}, which is deleted as a whole; its other jobs: second (job {more.job})"
    assert (done.returncode, refused in done.stderr) == (1, True), done.stderr
    assert_still(closed)


def test_what_was_named_is_deleted_although_another_session_got_its_name(world, monkeypatch):
    session, closed = ended_and_closed(world, name="it")
    call = calls.CleanupCall(id="it", force=True)
    for name, value in environ(world).items():
        monkeypatch.setenv(name, value)
    later = []

    def ask(question):
        assert session.id in question
        later.append(world.burst("item", [1], name="it"))
        assert list(later[0].results()) == [1]
        return "y"

    consent.confirm(call, ask)
    cleaning.run(call, world.settings())
    assert not closed.exists()
    assert world.objects(f"sessions/{later[0].id}")


def test_a_store_that_cannot_be_opened_keeps_no_other_session_from_being_cleaned_up(world):
    session = world.burst("item", [1, 2])
    assert list(session.results()) == [1, 2]
    session.cleanup()
    (world.root / "file").touch()
    listed = world.settings().sessions_file
    lost = replace(session_list.read(listed)[-1], id="20260101-000000-abcdefgh", store=(world.root / "file").as_uri())
    session_list.append(listed, lost)
    done = run(CLEAN, world.root, lost.id, session.id, "--force", "--yes")
    assert "this is not a folder" in done.stderr
    assert not (world.root / "data/store" / keys.SessionKeys(session.id).root).exists()


def test_only_one_s_own_folders_are_opened_and_no_link_is_followed(tmp_path):
    (tmp_path / "mine/inner").mkdir(parents=True)
    (tmp_path / "mine/theirs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "mine/file").touch(mode=0)
    if os.geteuid() == 0:
        os.chown(tmp_path / "mine/theirs", 65534, -1)
    names = ("mine/inner", "mine/theirs", "elsewhere", "mine")
    for name in names:
        (tmp_path / name).chmod(0o050)
    done = run(REGAIN, tmp_path / "mine", tmp_path / "nothing", tmp_path / "mine/file")
    (tmp_path / "mine").chmod(0o700)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in (*names[:3], "mine/file")]
    theirs = 0o050 if os.geteuid() == 0 else 0o750
    assert (done.stdout, modes) == (f"[{2 if theirs == 0o050 else 3}, 0, 0]\n", [0o750, theirs, 0o050, 0])
