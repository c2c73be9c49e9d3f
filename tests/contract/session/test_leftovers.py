"""Nothing that a task started outlives its session, however task, fork server and supervisor end (law 5)."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from multiprocessing import shared_memory
from pathlib import Path

import pytest

from burst_magic.launchers.local import process_birth
from burst_magic.session import remains

STARTS = {
    "a process with a session of its own": "subprocess.Popen(['setsid', 'sleep', NAP])",
    "a shell's daemons": "os.system(f'(setsid sleep {NAP} &) ; (sleep {NAP} &)')",
    "a daemon that forked twice": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 300)
        os.execvp('sleep', ['sleep', NAP])
    os._exit(0)
os.wait()""",
    "one that ignores signals": "subprocess.Popen(['setsid', 'sh', '-c', f'trap : TERM HUP INT; sleep {NAP}; exit'])",
    "a thread's process": "threading.Thread(target=subprocess.run, args=(['setsid', 'sleep', NAP],), daemon=True).start()",
}
CELL = """
import os, subprocess, threading, time
NAP = {nap!r}
{start}
{then}
"""


def naming(nap):
    """Live processes with this number in their command, other than our own."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and nap.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return [pid for pid in found if process_birth(pid) is not None]


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def supervisors(world):
    """Those whose parent is no process of this world."""
    alive = world.workers()
    return [pid for pid in alive if parent_of(pid) not in alive]


def templates(world):
    return [pid for pid in world.workers() if parent_of(pid) in supervisors(world)]


def send(number, pids):
    for pid in pids:
        os.kill(pid, number)


SHARED = Path("/dev/shm")
KILL, STOP = signal.SIGKILL, signal.SIGSTOP
ENDS = {
    "a clean-up": lambda world, session: session.cleanup(force=True),
    "a cancel": lambda world, session: session.cancel(),
    "the supervisor's death": lambda world, session: send(KILL, supervisors(world)),
    "the fork server's death": lambda world, session: send(KILL, templates(world)),
    "the death of both and of the slots": lambda world, session: send(KILL, world.workers()),
    "the supervisor's death with a stopped fork server": lambda world, session: (
        send(STOP, templates(world)),
        send(KILL, supervisors(world)),
    ),
    "a clean-up with all stopped": lambda world, session: (
        send(STOP, world.workers()),
        session.cleanup(force=True, grace=1.0),
    ),
    "a clean-up with a stopped fork server": lambda world, session: (
        send(STOP, templates(world)),
        session.cleanup(force=True, grace=1.0),
    ),
}


def burst(world, until, start, then="time.sleep(600)"):
    """A session with a task that has started something; returns it and the something's name."""
    nap = f"600.{secrets.randbelow(10**9):09d}"
    session = world.burst(CELL.format(nap=nap, start=start, then=then), range(1), workers=1)
    until(lambda: naming(nap), "the task to start something")
    return session, nap


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("start", ["a daemon that forked twice", "one that ignores signals"])
def test_however_a_worker_ends_what_its_tasks_started_ends(world, until, start, end):
    session, nap = burst(world, until, STARTS[start])
    ENDS[end](world, session)
    if "clean-up" in end:
        assert not naming(nap)  # when it says that all is deleted, nothing runs
    elif end != "a cancel":
        session.cancel()  # a replacement would start the task again
    until(lambda: not naming(nap) and not world.workers(), "everything to end")


@pytest.mark.parametrize("start", STARTS)
def test_whatever_a_task_starts_ends_with_its_session(world, until, start):
    session, nap = burst(world, until, STARTS[start])
    session.cleanup(force=True)
    assert not naming(nap)
    assert not world.workers()


@pytest.mark.parametrize("start", [start for start in STARTS if "thread" not in start])
def test_what_a_task_leaves_is_gone_before_the_next_task(world, start):
    nap = f"600.{secrets.randbelow(10**9):09d}"
    look = f"os.popen('pgrep -fc \"^sleep {nap[:8]}[{nap[8]}]{nap[9:]}\"').read().strip()"
    cell = f"if item == 0:\n    exec(START)\n    time.sleep(0.1)\n{look}"
    world.home["START"] = f"import os, subprocess\nNAP = {nap!r}\n{STARTS[start]}"
    session = world.burst(f"import os, time\n{cell}", range(3), workers=1)
    first, *others = session.results()
    assert int(first) >= 1
    assert others == ["0", "0"]
    assert session.status().started == 1


def test_slots_of_a_stopped_fork_server_are_replaced_all_the_same(world, until):
    """Nobody but the fork server can say that a slot has died, and start another."""
    cell = """
import os, signal
if item == 1:
    keeper = os.getppid()
    template = int(open(f"/proc/{keeper}/stat").read().rpartition(")")[2].split()[1])
    os.kill(template, signal.SIGSTOP)
    os._exit(1)
item"""
    session = world.burst(cell, range(4), workers=1)
    results = session.results().collect(errors="return", timeout=30)
    assert [results[0], *results[2:]] == [0, 2, 3]
    assert session.status().started == 1


def test_a_clean_up_leaves_what_tasks_of_another_session_started(world, until):
    session, nap = burst(world, until, STARTS["a daemon that forked twice"])
    other, _ = burst(world, until, STARTS["a daemon that forked twice"])
    other.cleanup(force=True)
    assert naming(nap)
    session.cleanup(force=True)
    assert not naming(nap)


@pytest.mark.parametrize("end", ["a clean-up", "the death of both and of the slots"])
def test_shared_memory_and_semaphores_of_tasks_are_deleted(world, until, end):
    name = f"burst_test_{secrets.token_hex(6)}"
    start = f"""
from multiprocessing import get_context, shared_memory
memory = shared_memory.SharedMemory({name!r}, create=True, size=1000)
semaphore = get_context("spawn").Semaphore()
subprocess.Popen(['sleep', NAP])"""
    before = set(SHARED.iterdir())
    session, nap = burst(world, until, start)
    assert SHARED / name in SHARED.iterdir()
    ENDS[end](world, session)
    if end != "a clean-up":
        session.cancel()
    until(lambda: not naming(nap) and not world.workers(), "everything to end")
    until(lambda: set(SHARED.iterdir()) <= before, "shared memory to be deleted")


SHARING = {
    "multiprocessing": """
from multiprocessing import get_context, shared_memory
memory = shared_memory.SharedMemory(create=True, size=1000)
semaphore = get_context("spawn").Semaphore()
with open("names", "w") as file:
    print(memory.name, "sem." + semaphore._semlock.name[1:], file=file)
os.system(f"(setsid sleep {NAP} &) ; sleep {NAP}")""",
    "joblib": """
import numpy
from joblib import Parallel, delayed
big = numpy.zeros(1_000_000)  # so large that joblib puts it into /dev/shm
def nap(data):
    os.system(f"(setsid sleep {NAP} &) ; sleep {NAP}")
Parallel(n_jobs=2)(delayed(nap)(big) for _ in range(2))""",
}


def shared_by(world):
    """Objects in /dev/shm that this world's processes made: named in a file, or for their process as joblib's are."""
    names = world.root / "names"
    told = set(names.read_text().split()) if names.exists() else set()
    marks = [f"{mark}{pid}{end}" for pid in world.workers() for mark, end in (("loky-", "-"), ("folder_", "_"))]
    return {path for path in SHARED.iterdir() if path.name in told or any(mark in path.name for mark in marks)}


@pytest.mark.parametrize("library", SHARING)
def test_a_clean_up_after_a_supervisors_death_leaves_no_process_and_no_shared_memory(world, until, library):
    """By another process, as after a night: the kernel has gone, too."""
    session, nap = burst(world, until, SHARING[library])
    shared = until(lambda: len(found := shared_by(world)) > 1 and found, "shared memory and semaphores")
    assert [path for path in shared if path.name.startswith("sem.")]
    assert [path for path in shared if not path.name.startswith("sem.")]
    until(lambda: len(naming(nap)) > 1, "grandchildren")
    session.detach()
    ENDS["the supervisor's death"](world, session)
    settings = world.settings()
    environ = {
        **os.environ,
        "BURST_STORE": world.store.url,
        "BURST_CONFIG_DIR": str(settings.config_dir),
        "BURST_DATA_DIR": str(settings.data_dir),
    }
    command = [sys.executable, "-m", "burst_magic", "cleanup", session.id, "--force", "--yes"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not naming(nap)
    assert not world.workers()
    assert [path.name for path in shared if path.exists()] == []


@pytest.mark.parametrize("leave", ["", "os._exit(1)"], ids=["a task that ends", "a task that ends its process"])
def test_shared_memory_of_the_notebook_outlives_the_tasks_that_attach_to_it(world, leave):
    memory = shared_memory.SharedMemory(create=True, size=1000)
    try:
        memory.buf[:5] = b"hello"
        cell = f"""
import os
from multiprocessing import shared_memory
memory = shared_memory.SharedMemory({memory.name!r})
said = bytes(memory.buf[:5])
memory.close()
if item == 1:
    {leave or "pass"}
said"""
        session = world.burst(cell, range(3), workers=1)
        found = session.results().collect(errors="return")
        assert found[0] == found[2] == b"hello"
        session.cleanup(force=True)
        assert (SHARED / memory.name).exists()
    finally:
        memory.close()
        memory.unlink()


def test_cleaning_up_what_an_interrupted_submission_left_waits_for_its_workers(world, until):
    """Workers start before the job is announced: a kernel that dies in between leaves them, and no job."""
    session, nap = burst(world, until, STARTS["a daemon that forked twice"])
    session.detach()
    world.store.delete([key for key in world.objects() if key.endswith("job.json")])
    sid, deleted = remains.remove(session.id, world.settings())
    assert sid == session.id
    assert deleted > 0
    assert not world.workers()
    assert not naming(nap)
    assert world.objects() == []
