"""A session whose folders their own user has closed to himself is cleaned up all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

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
        f"the rights of this user to his own folders in {root} were restored\n",
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
    environ = {
        "BURST_STORE": world.store.url,
        "BURST_CONFIG_DIR": str(world.root / "config"),
        "BURST_DATA_DIR": str(world.root / "data"),
    }
    words = [*(session.id for session in sessions), *force]
    done = run(ASKED, "n", *words, environ=environ)
    assert (done.returncode, done.stderr) == (1, f"nothing was {'deleted' if force else 'stopped'}\n")
    assert sessions[0].id in done.stdout
    assert "your rights to them will be restored" in done.stdout
    assert closed.stat().st_mode & 0o777 == 0
    done = run(ASKED, "y", *words, environ=environ)
    assert done.returncode == 0, done.stderr
    assert closed.exists() is not bool(force)


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
