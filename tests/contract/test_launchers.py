"""The contract over every launcher in the table and a simulated cloud; and what only local workers are asked.

The launchers here start real workers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from burst_magic.launchers import TABLE, open_launcher, traits
from burst_magic.launchers.base import Cause, Handle, Refusal, WorkerState
from burst_magic.launchers.local import process_birth
from burst_magic.testing import (
    LAUNCHER_CHECKS,
    CloudWeather,
    ContractBroken,
    LocalMachines,
    Rehearsal,
    SimulatedCloud,
    check_launcher,
)
from burst_magic.testing.rehearsal import SID

FAST = 600.0  # seconds that pass in the cloud in one of ours: fifteen minutes in one and a half
LATE = CloudWeather(boot=(300.0, 900.0))
MEAN = CloudWeather(boot=(0.0, 300.0), refused=0.3, lost=0.3, hidden=0.3)


def cloud(tmp_path, weather, *, seed=1):
    """A cloud of real processes whose clock runs fast; every client sees the same one."""
    now, began = time.monotonic, time.monotonic()
    machines = LocalMachines(tmp_path / "machines")
    rng = Random(seed)
    return SimulatedCloud(machines, name="cloud", weather=weather, rng=rng, now=lambda: FAST * (now() - began))


def local(logs):
    return open_launcher("local", logs=logs)


def until(condition, what, patience=30.0):
    end = time.monotonic() + patience
    while not (value := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)
    return value


def alive(pid):
    return process_birth(pid) is not None


def ended(launcher, handles):
    described = launcher.describe(handles)
    return {wid: status for wid, status in described.items() if status.state is WorkerState.ENDED}


# --- the contract ----------------------------------------------------------------------------------------------


HERE = [name for name in TABLE if traits(name)[name].here]  # the others' are in tests/aws


@pytest.fixture(params=[*HERE, "a late cloud", "a mean cloud"])
def launcher(request, tmp_path):
    """Makes the launcher for one more client."""
    if request.param in TABLE:
        return lambda logs: open_launcher(request.param, logs=logs)
    one = cloud(tmp_path, LATE if "late" in request.param else MEAN)
    return lambda logs: one


@pytest.mark.parametrize("check", LAUNCHER_CHECKS, ids=lambda check: check.__name__)
def test_every_launcher_keeps_the_contract(launcher, check):
    check_launcher(launcher, only=(check,))


def test_a_broken_launcher_is_told_which_promises_it_breaks(tmp_path):
    class Forgetful(type(local(tmp_path))):
        def start(self, starts):
            return super().start([replace(start, token=os.urandom(8).hex()) for start in starts])

    with pytest.raises(ContractBroken) as caught:
        check_launcher(Forgetful, only=LAUNCHER_CHECKS[:4])
    broken = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert broken == ["each_start_has_its_own_answer_in_order", "the_same_token_twice_is_one_worker"]


# --- a simulated cloud -------------------------------------------------------------------------------------------


@pytest.fixture
def rehearsed(tmp_path):
    """Makes a rehearsal over a cloud of some weather."""
    opened = []

    def rehearse(weather):
        one = cloud(tmp_path, weather)
        opened.append(Rehearsal(lambda logs: one, tmp_path))
        return opened[-1]

    yield rehearse
    for rehearsal in opened:
        rehearsal.close()


def test_what_a_cloud_takes_back_ends_by_spot_with_the_exit_code_of_any_kill(rehearsed):
    rehearsal = rehearsed(CloudWeather())
    handle = rehearsal.joined()
    rehearsal.launcher.take_back(handle.wid)
    end = rehearsal.end_of(handle)
    assert (end.cause, end.exit_code, end.reason) == (Cause.SPOT, 137, "Your Spot Task was interrupted.")


def test_what_is_dead_on_arrival_never_started_for_a_reason(rehearsed):
    rehearsal = rehearsed(CloudWeather(stillborn=1.0))
    end = rehearsal.end_of(rehearsal.start())
    assert (end.cause, end.exit_code) == (Cause.NEVER_STARTED, None)
    assert "CannotPullContainerError" in end.reason


def test_what_is_coming_is_said_to_be_coming_and_may_be_called_off(rehearsed):
    rehearsal = rehearsed(CloudWeather(boot=(1e9, 1e9)))
    handle = rehearsal.start()
    assert rehearsal.status(handle).state is WorkerState.COMING
    rehearsal.launcher.stop(handle)
    assert rehearsal.end_of(handle).cause is Cause.STOPPED


# --- local workers: processes of this machine ----------------------------------------------------------------------


class World(Rehearsal):
    """With what the tests below ask of local workers only."""

    def __init__(self, root: Path) -> None:
        super().__init__(local, root)
        self.logs = root / "logs"

    living = Rehearsal.joined


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()
    until(lambda: not processes_naming(str(tmp_path)), "templates and slots to follow their workers")


def processes_naming(word: str) -> list[int]:
    found = []
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and word.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return [pid for pid in found if alive(pid)]


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
        f"start = Start(store={world.store.url!r}, sid={SID!r}, secret=sys.stdin.read(), token='t', number=0)\n"
        f"print(open_launcher('local', logs=Path({str(world.logs)!r})).start([start])[0].to_json(), flush=True)\n"
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
    said, warned = starter.communicate(world.secret.hex(), timeout=30)
    assert (starter.returncode, warned) == (code, "")
    handle = Handle.from_json(said)
    world.handles.append(handle)
    first = until(world.beats, "a heartbeat")[0].number
    until(lambda: world.beats()[0].number > first + 1, "more heartbeats")
    assert ended(world.launcher, [handle]) == {}


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


def test_the_sessions_key_is_in_no_argument_and_in_no_environment(world):
    handle = world.living()
    folder = Path(f"/proc/{handle.data['pid']}")
    for place in ("cmdline", "environ"):
        with contextlib.suppress(PermissionError):  # only root is shown the second
            assert world.secret.hex().encode() not in (folder / place).read_bytes()
    assert world.secret.hex() not in handle.to_json() + world.launcher.log(handle)


def refusal(launcher, start):
    (answer,) = launcher.start([start])
    assert isinstance(answer, Refusal)
    assert answer.token == start.token
    return answer


def test_a_command_that_is_not_there_is_refused(tmp_path, monkeypatch):
    launcher = open_launcher("local", logs=tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    answer = refusal(launcher, World(tmp_path).words())
    assert "could not be started" in answer.problem
    assert answer.context == str(tmp_path / "no-python")


def test_a_command_that_ends_at_once_is_refused_with_what_it_said(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no licence for this >&2\nexec <&-\nexec sleep 600\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    words = World(tmp_path).words(secret="0" * 1_000_000)  # more than a pipe holds: it must notice
    answer = refusal(open_launcher("local", logs=tmp_path), words)
    assert "exited at once" in answer.problem
    assert "no licence for this" in answer.context
    until(lambda: not processes_naming(str(broken)), "it to end")


def test_a_folder_for_logs_that_cannot_be_is_a_refusal(tmp_path):
    (tmp_path / "file").touch()
    launcher = open_launcher("local", logs=tmp_path / "file" / "logs")
    assert "cannot use its own files" in refusal(launcher, World(tmp_path).words()).problem


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
