"""A kernel that is killed while it submits, at every step: the job exists whole or not at all, and what is left goes.

One process prepares everything; for each step it forks a child that submits and kills itself at that step: before and
after each write to the store, and on every line of ``submit``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from burst_magic import cli, config
from burst_magic.capture.cell import capture_cell
from burst_magic.errors import AttachError
from burst_magic.launchers import traits
from burst_magic.launchers.local import process_birth
from burst_magic.magics import verbs
from burst_magic.plan.planner import plan
from burst_magic.protocol.wire import keys
from burst_magic.session import attach, session_list
from burst_magic.session.submit import submit
from burst_magic.stores import open_store

CHILD = '''
import os, signal, sys, types
from dataclasses import replace
from pathlib import Path
from burst_magic import config
from burst_magic.capture.cell import capture_cell
from burst_magic.launchers import traits
from burst_magic.plan.planner import plan
from burst_magic.session import submit
from burst_magic.stores import TABLE, open_store

TABLE_ENTRY = TABLE["file"]

class Deadly:
    """Counts steps and dies at the last of them."""

    def __init__(self, url, steps):
        TABLE["file"] = TABLE_ENTRY
        self.inner, self.left = open_store(url), steps

    def step(self):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def create(self, key, data, *, whole=False):
        self.step()
        self.inner.create(key, data, whole=whole)
        self.step()

    def put(self, key, data, *, whole=False):
        self.step()
        self.inner.put(key, data if isinstance(data, (bytes, memoryview)) else self.pieces(data))
        self.step()

    def pieces(self, data):
        for piece in data:
            self.step()
            yield piece

    def __getattr__(self, name):
        return getattr(self.inner, name)

def run(root, steps, into):
    url = (root / "store").as_uri()
    store = Deadly(url, steps)
    module = types.ModuleType("deadly")
    module.open_deadly = lambda url, **_: store
    sys.modules["deadly"] = module
    TABLE["file"] = ("deadly", "open_deadly")
    folders = {"config_dir": root / "config", "data_dir": root / "data"}
    settings = config.load({"workers": 1}, environ={"BURST_STORE": url}, **folders)
    settings = replace(settings, interval=0.2, floor=0.02)
    home = {"items": [1, 2, 3], "big": bytearray(2_000_000)}
    if into:
        from burst_magic.session.attach import attach
        into = attach(into, settings=settings, home=home)
    def trace(frame, event, arg):
        if frame.f_code in codes and event == "line":
            store.step()
        return trace if frame.f_code in codes else None
    codes = {submit.submit.__code__, submit._add.__code__, submit._Writer.commit.__code__}
    capture = capture_cell("item * 2 + len(big)", home, map_expr="items")
    made = plan(settings, traits(settings.launcher), tasks=3)
    sys.settrace(trace)
    submit.submit(capture, made, settings, home=home, into=into or None)
    sys.settrace(None)
    os._exit(0)

folder, into = Path(sys.argv[1]), sys.argv[2:]
steps = 0
while True:
    steps += 1
    root = folder / (f"step-{steps}" if not into else "")
    root.mkdir(exist_ok=True)
    os.chdir(root)
    pid = os.fork()
    if pid == 0:
        run(root, steps, into[0] if into else "")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == 0:
        break
    assert status == -signal.SIGKILL, status
print(steps)
'''


def killed_at_every_step(folder, *into):
    """How many steps there are."""
    command = [sys.executable, "-c", CHILD, str(folder), *into]
    done = subprocess.run(command, capture_output=True, text=True, timeout=80, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def settings_of(root):
    folders = {"config_dir": root / "config", "data_dir": root / "data"}
    return config.load({}, environ={"BURST_STORE": (root / "store").as_uri()}, **folders)


def traces(settings):
    """Ids of sessions of which there is anything: an object, a key, a line in the list."""
    kept = settings.keys_dir.iterdir() if settings.keys_dir.exists() else ()
    store = open_store(settings.store)
    return {
        *attach.session_ids(store),
        *(line.id for line in session_list.read(settings.sessions_file)),
        *(f.name for f in kept),
    }


def files(root):
    return [path for path in (root / "store" / "sessions").rglob("*") if path.is_file()]


def objects(root):
    """Without the drafts that a writer was killed over."""
    return [path for path in files(root) if not path.name.startswith("#")]


def clean_up(settings, sid, capsys):
    words = ["cleanup", sid, "--force", "--yes"]
    code = cli.main(words, perform=lambda call, _: verbs.cleanup(call, settings))
    assert code == 0, capsys.readouterr().err


@pytest.fixture
def folder(tmp_path, until):
    """Nobody who was started here is left running."""
    yield tmp_path
    living = [pid for pid in pids() if f"--cwd\0{tmp_path}".encode() in command(pid)]
    try:
        until(lambda: not any(process_birth(pid) for pid in living), "the workers to end")
    finally:
        for pid in living:
            if f"--cwd\0{tmp_path}".encode() in command(pid):
                os.kill(pid, signal.SIGKILL)


def pids():
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_a_submission_that_is_killed_leaves_a_whole_job_or_what_clean_up_removes(folder, capsys):
    steps = killed_at_every_step(folder)
    assert steps > 30
    whole, parts, nothing = 0, 0, 0
    for step in range(1, steps + 1):
        root = folder / f"step-{step}"
        settings = settings_of(root)
        found = traces(settings)
        if not found:
            assert objects(root) == []
            nothing += 1
            continue
        (sid,) = found
        listed = [row.id for row in attach.sessions(settings)]
        assert listed == ([sid] if objects(root) else [])
        committed = (root / "store" / keys.SessionKeys(sid).job("0").record).exists()
        if committed:
            session = attach.attach(sid, settings=settings, home={})
            session.scale(2)  # some may have been killed with the kernel before any worker was started
            assert list(session.results()) == [2_000_002, 2_000_004, 2_000_006]
            session.detach()
            whole += 1
        else:
            with pytest.raises(AttachError, match="was interrupted" if objects(root) else "unknown"):
                attach.attach(sid, settings=settings, home={})
            parts += 1
        clean_up(settings, sid, capsys)
        assert traces(settings) == set()
        assert files(root) == []
    assert min(whole, parts, nothing) >= 3


def test_a_job_whose_submission_is_killed_leaves_its_session_as_it_was(folder, capsys):
    settings, home = settings_of(folder), {"items": [1, 2]}
    first = submit(
        capture_cell("item", home, map_expr="items"),
        plan(settings, traits(settings.launcher), tasks=2),
        settings,
        home=home,
    )
    assert list(first.results()) == [1, 2]
    steps = killed_at_every_step(folder, first.id)
    assert steps > 20
    whole, parts = 0, 0
    for job in sorted((folder / "store" / keys.SessionKeys(first.id).jobs_folder).iterdir()):
        if not (job / "job.json").exists():
            parts += 1
        elif job.name != "0":
            added = attach.attach(f"{first.id}/{job.name}", settings=settings, home={})
            assert list(added.results()) == [2_000_002, 2_000_004, 2_000_006]
            added.detach()
            whole += 1
    assert min(whole, parts) >= 2
    assert list(attach.attach(f"{first.id}/0", settings=settings, home={}).results()) == [1, 2]
    first.detach()
    clean_up(settings, first.id, capsys)
    assert traces(settings) == set()
    assert files(folder) == []


def test_what_a_killed_worker_had_begun_to_write_goes_with_its_session(world):
    session = world.burst("item", [1])
    assert list(session.results()) == [1]
    root = world.store.path(f"sessions/{session.id}")
    (root / "jobs/0/results/#0123456789abcdef").write_bytes(b"x" * 1000)
    session.cleanup(force=True)
    assert not root.exists()
