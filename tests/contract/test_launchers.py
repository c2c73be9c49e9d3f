"""One suite over every launcher in the table: what the session relies on, whatever starts the workers.

The launchers here start real workers. A worker of a session that does not exist ends at once; one that is to live
joins a session without work.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from burst_magic.launchers import TABLE, open_launcher
from burst_magic.launchers.base import Handle, Refusal, Start, Status, WorkerState
from burst_magic.launchers.local import process_birth
from burst_magic.payload import Envelope, pack, pack_value
from burst_magic.protocol.wire import blocks, keys, records, sign
from burst_magic.protocol.wire.model import Control, ControlKind, Gone, Heartbeat, Job, Manifest
from burst_magic.stores import open_store

PATIENCE = 30.0


def until(condition, what):
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)
    return value


def alive(pid):
    return process_birth(pid) is not None


def ended(launcher, handles):
    described = launcher.describe(handles)
    assert described.keys() == {handle.wid for handle in handles}
    return {wid: status for wid, status in described.items() if status.state is WorkerState.ENDED}


class World:
    """A session in a folder, and a launcher whose workers join it."""

    def __init__(self, root: Path, launcher: str, sid: str = "20260101-000000-aaaaaaaa") -> None:
        self.root, self.sid, self.secret = root, sid, secrets.token_bytes(32)
        self.keys = keys.SessionKeys(sid)
        self.store = open_store((root / "store").as_uri())
        self.logs = root / "logs"
        self.name = launcher
        self.launcher = open_launcher(launcher, logs=self.logs)
        self.handles: list[Handle] = []

    def start_words(self, **changes) -> Start:
        words = Start(
            store=self.store.url,
            sid=self.sid,
            secret=self.secret.hex(),
            token=secrets.token_hex(8),
            number=0,
            cwd=str(self.root),
        )
        return replace(words, **changes)

    def start(self, **changes) -> Handle:
        (handle,) = self.launcher.start([self.start_words(**changes)])
        self.handles.append(handle)
        return handle

    def open_session(self, **changes) -> None:
        manifest = Manifest(
            sid=self.sid,
            created=time.time(),
            launcher=self.name,
            workers=1,
            slots=1,
            cpu=1.0,
            memory_mb=2048,
            arch="x86_64",
            seed=1,
            deadline=time.time() + 120,
            idle=60.0,
            interval=0.1,
            floor=0.02,
            **changes,
        )
        self.put(self.keys.manifest, manifest)

    def put(self, key: str, record) -> None:
        self.store.put(key, records.encode(record, secret=self.secret, key=key))

    def add_job(self, source: str, item: object) -> None:
        """One task."""
        job = self.keys.job("0")
        entries = [(0, pack_value(item, home={}))]
        writer = blocks.BlockWriter(self.secret, job.items, lengths=True)
        self.store.put(job.items, writer.add(*entries[0]) + writer.finish())
        packed = pack({}, home={})
        envelope = Envelope(source=source, stream=packed.stream, filename="<cell>", target="item", has_value=True)
        self.store.put(job.payload, sign.seal(self.secret, job.payload, envelope.to_bytes()))
        self.put(self.keys.control("0", ControlKind.ADD_JOB), Control(kind=ControlKind.ADD_JOB, at=0.0, job="0"))
        self.put(job.record, Job(jid="0", created=time.time(), tasks=1, lanes=(0,), seed=1, items=writer.index))

    def beats(self) -> list[Heartbeat]:
        return [
            records.decode(Heartbeat, self.store.get(entry.key), secret=self.secret, key=entry.key)
            for entry in self.store.list(self.keys.workers_folder)
            if keys.parse_worker(entry.key).kind == "beat"
        ]

    def gone(self, handle: Handle) -> Gone | None:
        key = self.keys.gone(handle.wid)
        if not self.store.list(self.keys.workers_folder, after=key[:-1], limit=1):
            return None
        return records.decode(Gone, self.store.get(key), secret=self.secret, key=key)

    def living(self) -> Handle:
        """A worker that has joined the session."""
        self.open_session()
        handle = self.start()
        until(self.beats, "a heartbeat")
        return handle

    def end_of(self, handle: Handle) -> Status:
        return until(lambda: ended(self.launcher, [handle]).get(handle.wid), "the end of a worker")


@pytest.fixture(params=sorted(TABLE))
def world(request, tmp_path):
    world = World(tmp_path, request.param)
    yield world
    left = [handle for handle in world.handles if handle.wid not in ended(world.launcher, [handle])]
    for handle in left:
        world.launcher.stop(handle, kill=True)
    for handle in left:
        world.end_of(handle)
    until(lambda: not processes_naming(str(tmp_path)), "templates and slots to follow their workers")


def processes_naming(word: str) -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and word.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return [pid for pid in found if alive(pid)]


def test_a_handle_is_plain_data_and_comes_back_the_same(world):
    handle = world.start()
    assert Handle.from_json(handle.to_json()) == handle
    assert handle.launcher == world.name
    assert keys.SessionKeys(world.sid).gone(handle.wid)  # an id that a key may hold
    world.end_of(handle)


def test_a_worker_of_a_session_that_is_gone_ends_well_and_says_so_in_its_log(world):
    handle = world.start()
    assert world.end_of(handle).exit_code == 0
    assert "the session is gone" in world.launcher.log(handle)


def test_a_worker_says_who_it_is_and_its_heartbeat_holds_the_handle(world):
    handle = world.living()
    (beat,) = world.beats()
    assert (beat.worker, beat.token, Handle.from_json(beat.handle)) == (handle.wid, handle.token, handle)


def test_two_workers_have_two_ids_and_end_apart(world):
    world.open_session()
    first, second = world.start(), world.start(number=1)
    assert first.wid != second.wid
    until(lambda: len(world.beats()) == 2, "two heartbeats")
    world.launcher.stop(first)
    world.end_of(first)
    assert ended(world.launcher, [first, second]).keys() == {first.wid}


@pytest.mark.parametrize(
    ("end", "code"),
    [("", 0), ("import os, signal; os.killpg(0, signal.SIGHUP)", -signal.SIGHUP)],
    ids=["end", "hang-up"],
)
def test_a_worker_outlives_the_process_that_started_it(world, end, code):
    """And the process group, and the terminal's hang-up; nobody is warned of it."""
    world.open_session()
    start = (
        "import sys\n"
        "from pathlib import Path\n"
        "from burst_magic.launchers import open_launcher\n"
        "from burst_magic.launchers.base import Start\n"
        f"start = Start(store={world.store.url!r}, sid={world.sid!r}, secret=sys.stdin.read(), token='t', number=0)\n"
        f"print(open_launcher({world.name!r}, logs=Path({str(world.logs)!r})).start([start])[0].to_json(), flush=True)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-W", "always", "-c", start + end],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        cwd=world.root,
    )
    said, warned = starter.communicate(world.secret.hex(), timeout=PATIENCE)
    assert (starter.returncode, warned) == (code, "")
    handle = Handle.from_json(said)
    world.handles.append(handle)
    first = until(world.beats, "a heartbeat")[0].number
    until(lambda: world.beats()[0].number > first + 1, "more heartbeats")
    assert ended(world.launcher, [handle]) == {}


def test_another_client_stops_a_worker_by_its_handle(world):
    handle = world.living()
    other = open_launcher(world.name, logs=world.logs)
    assert ended(other, [handle]) == {}
    other.stop(Handle.from_json(handle.to_json()))
    until(lambda: ended(other, [handle]), "its end, seen by another client")
    assert world.gone(handle).cause.value == "term"
    assert "ended: term" in other.log(handle)


def test_stop_lets_a_worker_finish_its_task_publish_and_say_that_it_is_gone(world, tmp_path):
    gate = tmp_path / "gate"
    world.open_session()
    world.add_job(f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\nitem * 2", 21)
    handle = world.start()
    until(lambda: any(slot.task == 0 for beat in world.beats() for slot in beat.slots), "the task to run")
    world.launcher.stop(handle)
    gate.touch()
    assert world.end_of(handle).exit_code == 0
    assert world.gone(handle).cause.value == "term"
    assert len(world.store.list(world.keys.job("0").results_folder)) == 1


def test_kill_ends_the_whole_tree_of_processes(world, tmp_path):
    pids = tmp_path / "pids"
    world.open_session()
    world.add_job(
        "import os, subprocess, time\nchild = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(pids)!r} + '.part', 'w').write(f'{{os.getpid()}} {{os.getppid()}} {{child.pid}}')\n"
        f"os.rename({str(pids)!r} + '.part', {str(pids)!r})\ntime.sleep(600)",
        0,
    )
    handle = world.start()
    until(pids.exists, "the task to start")
    tree = [int(pid) for pid in pids.read_text().split()]
    assert all(map(alive, tree))
    world.launcher.stop(handle, kill=True)
    assert world.end_of(handle).exit_code == -signal.SIGKILL
    until(lambda: not any(map(alive, tree)), f"{tree} to end")
    assert world.gone(handle) is None  # it had no chance: whoever sees the end says so


def test_a_living_worker_is_never_called_ended(world):
    handle = world.living()
    until(lambda: world.beats()[0].number > 5, "a few heartbeats")
    assert ended(world.launcher, [handle]) == {}
    assert ended(open_launcher(world.name, logs=world.logs), [handle]) == {}


def test_of_a_worker_on_another_machine_nothing_is_known_and_nothing_is_done_to_it(world):
    """Its process id may well be that of a process here, even of one that this launcher saw end."""
    living = world.living()
    over = world.start(sid="20260101-000000-bbbbbbbb")
    world.end_of(over)
    elsewhere = [
        replace(each, data={**each.data, "host": "elsewhere"}, wid=f"elsewhere-{each.data['pid']}-1")
        for each in (living, over)
    ]
    assert ended(world.launcher, elsewhere) == {}
    for handle in elsewhere:
        world.launcher.poke(handle)
        world.launcher.stop(handle, kill=True)
    before = world.beats()[0].number
    until(lambda: world.beats()[0].number > before, "another heartbeat")


def test_a_machine_of_the_same_name_is_another_machine(world):
    """Containers and clouds give one name to many."""
    handle = world.living()
    another = handle.data["host"].partition(" ")[0] + " another-boot pid:[1]"
    same_name = replace(handle, data={**handle.data, "host": another, "born": "0"}, wid="other-1-1")
    assert ended(world.launcher, [same_name]) == {}


def test_a_process_that_got_the_id_of_a_dead_worker_is_not_that_worker(world):
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        earlier = world.living()
        earlier = replace(earlier, data={**earlier.data, "pid": bystander.pid, "born": "1"}, wid="earlier-1-1")
        world.launcher.poke(earlier)  # SIGUSR1 would end it
        world.launcher.stop(earlier)
        world.launcher.stop(earlier, kill=True)
        assert ended(world.launcher, [earlier]).keys() == {"earlier-1-1"}
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_poke_harms_neither_a_worker_that_is_starting_nor_one_that_has_ended(world):
    world.open_session()
    handle = world.start()
    for _ in range(200):  # from before Python is up until after it listens
        world.launcher.poke(handle)
        time.sleep(0.002)
    until(world.beats, "a heartbeat")
    world.launcher.poke(handle)
    world.launcher.stop(handle)
    assert world.end_of(handle).exit_code == 0
    world.launcher.poke(handle)
    world.launcher.stop(handle)
    world.launcher.stop(handle, kill=True)


def test_a_poke_wakes_a_worker_that_sleeps(world):
    """A worker that is idle looks every 2 floors; here that is far too long."""
    world.open_session()
    key = world.keys.manifest
    manifest = records.decode(Manifest, world.store.get(key), secret=world.secret, key=key)
    world.put(key, replace(manifest, floor=60.0, interval=120.0))
    handle = world.start()
    until(world.beats, "a heartbeat")
    world.add_job("item * 2", 21)

    def published():
        world.launcher.poke(handle)
        return world.store.list(world.keys.job("0").results_folder)

    until(published, "the task")


def test_the_sessions_key_is_in_no_argument_and_in_no_environment(world):
    handle = world.living()
    folder = Path(f"/proc/{handle.data['pid']}")
    for place in ("cmdline", "environ"):
        assert world.secret.hex().encode() not in (folder / place).read_bytes()
    assert world.secret.hex() not in handle.to_json() + world.launcher.log(handle)


def test_a_worker_that_breaks_says_why_in_its_log_and_by_its_exit_code(world):
    handle = world.start(store="file://relative")
    end = world.end_of(handle)
    assert end.exit_code == 1
    assert "a folder's URL needs an absolute path" in world.launcher.log(handle)
    assert end.reason in world.launcher.log(handle)
    assert end.reason


def test_a_log_that_nobody_wrote_is_empty(world):
    assert world.launcher.log(Handle(launcher=world.name, wid="nobody-1-1", token="none")) == ""


# --- what cannot start (local workers: this machine's own interpreter and folders) -----------------------------


def refusal(launcher, start):
    (answer,) = launcher.start([start])
    assert isinstance(answer, Refusal)
    assert answer.token == start.token
    return answer


def test_a_command_that_is_not_there_is_refused(tmp_path, monkeypatch):
    launcher = open_launcher("local", logs=tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    answer = refusal(launcher, World(tmp_path, "local").start_words())
    assert "could not be started" in answer.problem
    assert answer.context == str(tmp_path / "no-python")


def test_a_command_that_ends_at_once_is_refused_with_what_it_said(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexec <&-\necho no licence for this >&2\nexec sleep 600\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    words = World(tmp_path, "local").start_words(secret="0" * 1_000_000)  # more than a pipe holds: it must notice
    answer = refusal(open_launcher("local", logs=tmp_path), words)
    assert "ended at once" in answer.problem
    assert "no licence for this" in answer.context
    until(lambda: not processes_naming(str(broken)), "it to end")


def test_a_folder_for_logs_that_cannot_be_is_a_refusal(tmp_path):
    (tmp_path / "file").touch()
    launcher = open_launcher("local", logs=tmp_path / "file" / "logs")
    assert "could not be started" in refusal(launcher, World(tmp_path, "local").start_words()).problem


def test_a_token_that_comes_again_is_answered_with_its_worker_in_every_process(world):
    words = world.start_words()
    world.open_session()
    (handle,) = world.launcher.start([words])
    world.handles.append(handle)
    assert open_launcher(world.name, logs=world.logs).start([words]) == [handle]
    until(world.beats, "a heartbeat")
    assert len(world.beats()) == 1


_SIGNALLED = """
import os, sys
from pathlib import Path
from burst_magic.launchers.local import LocalLauncher, process_birth, this_host
from burst_magic.launchers.base import Handle
pid = int(sys.argv[1])
if os.geteuid() == 0:
    os.setuid(65534)
try:
    os.kill(pid, 0)
except PermissionError:
    print("not mine")
handle = Handle(launcher="local", wid="w", token="t", data={"host": this_host(), "pid": pid, "born": process_birth(pid)})
launcher = LocalLauncher(Path("logs"))
launcher.poke(handle)
launcher.stop(handle)
launcher.stop(handle, kill=True)
print(launcher.describe([handle])["w"].state.value)
"""


def test_another_users_worker_is_left_alone_and_nothing_is_raised(tmp_path):
    """It hears from the store that it is to end."""
    sleeper = subprocess.Popen(["sleep", "600"], start_new_session=True) if os.geteuid() == 0 else None
    pid = sleeper.pid if sleeper else 1
    try:
        told = subprocess.run(
            [sys.executable, "-c", _SIGNALLED, str(pid)],
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
        )
        assert (told.stdout.split("\n")[:2], told.stderr) == (["not mine", "running"], "")
        assert sleeper is None or sleeper.poll() is None
    finally:
        if sleeper:
            sleeper.kill()
            sleeper.wait()
