"""How sessions on real workers end: nobody is left running, no work is lost, and who waits is told why (law 5)."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from burst_magic.errors import NotRun
from burst_magic.launchers.local import process_birth
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import Gone

GATED = "import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.005)\nitem"
NOTED = """
import os, time
note = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(note, b"%d\\n" % item)
os.close(note)
time.sleep({seconds})
item
"""


def behind(gate):
    return GATED.format(gate=str(gate))


def noting(log, seconds=0.03):
    return NOTED.format(log=str(log), seconds=seconds)


def ran(log):
    return Counter(map(int, log.read_text().split()))


def claims(session):
    return session.store.list(f"sessions/{session.id}/jobs/{session.job}/claims")


def workers(session):
    return session.store.list(f"sessions/{session.id}/workers")


def supervisors(session):
    found = []
    for entry in workers(session):
        wid = entry.key.rpartition("/")[2].partition(".")[0].partition("~")[0]
        if wid.count("-") >= 2:
            *_, pid, born = wid.split("-")
            if process_birth(int(pid)) == born:
                found.append(int(pid))
    return found


def causes(session):
    """Why the session's workers ended, as they said themselves."""
    folder = keys.SessionKeys(session.id).workers_folder
    ends = [entry.key for entry in session.store.list(folder) if entry.key.endswith(".gone")]
    return Counter(records.decode(Gone, session.store.get(key), secret=None, key=key).cause.value for key in ends)


def naming(word):
    found = []
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and word.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return [pid for pid in found if process_birth(pid) is not None]


# --- with nobody attached ------------------------------------------------------------------------------------


def test_after_a_cancel_nothing_runs_not_even_what_tasks_have_started(world, until):
    nap = f"600.{secrets.randbelow(10**9):09d}"
    cell = f"import subprocess\nsubprocess.run(['sleep', '{nap}'])\nsubprocess.run(['sleep', '{nap}'])"
    session = world.burst(cell, range(8), workers=2, slots=2)
    until(lambda: len(naming(nap)) >= 4, "all slots to run a task")
    session.cancel()
    session.detach()
    until(lambda: not naming(nap) and not world.workers(), "everything to end")
    assert causes(session) == {"cancel": 2}


@pytest.mark.parametrize("done", [True, False], ids=["between jobs", "in the midst of a task"])
def test_the_deadline_ends_workers_with_no_kernel_alive(world, gate, until, done):
    if done:
        gate.touch()
    session = world.burst(behind(gate), range(4), workers=2, deadline=2.0)
    until(lambda: len(claims(session)) >= 2, "all to work")
    session.detach()
    until(lambda: not world.workers(), "the workers to end")
    late = time.time() - session.manifest.deadline
    assert 0 <= late < 10
    assert causes(session) == {"deadline": 2}
    if not done:
        found = world.attach(session.id).results().collect(errors="return")
        assert {type(each) for each in found} == {NotRun}
        assert "deadline" in str(found[0])


def test_idle_workers_end_with_no_kernel_alive(world, until):
    session = world.burst("item", range(4), workers=2, idle=0.5)
    assert list(session.results()) == [0, 1, 2, 3]
    session.detach()
    until(lambda: not world.workers(), "the workers to end")
    assert causes(session) == {"idle": 2}


def test_a_deadline_that_was_moved_holds_for_living_workers_when_nobody_is_attached_any_more(world, gate, until):
    session = world.burst(behind(gate), range(2), deadline=2.0)
    until(lambda: claims(session), "a task to run")
    session.extend("1h")
    session.detach()
    until(lambda: time.time() > session.manifest.deadline + 1.0, "the old deadline to pass")
    gate.touch()
    until(lambda: f"sessions/{session.id}/jobs/0/final" in world.objects(), "the job to end")
    assert world.workers()


def test_a_closed_session_finishes_what_runs_and_says_so_of_the_rest(world, gate, until):
    session = world.burst(behind(gate), range(5))
    until(lambda: session.status().running, "a task to run")
    session.close()
    heard = time.time() + 2 * session.manifest.interval
    until(lambda: any(entry.modified > heard for entry in workers(session)), "the worker to hear of it")
    gate.touch()
    found = session.results().collect(errors="return")
    assert found[0] == 0
    assert {type(each) for each in found[1:]} == {NotRun}
    assert "closed" in str(found[-1])
    until(lambda: not world.workers(), "the worker to end")
    assert causes(session) == {"close": 1}


# --- fewer and more ----------------------------------------------------------------------------------------------


def test_a_worker_that_is_terminated_finishes_its_tasks_and_the_others_do_the_rest(world, until, tmp_path):
    """A victim may run the task at the cut before it sees the cut; all else runs once."""
    log = tmp_path / "ran"
    session = world.burst(noting(log), range(120), workers=2, slots=2)
    until(lambda: len(claims(session)) >= 4 and len(supervisors(session)) == 2, "all to work")
    os.kill(supervisors(session)[0], signal.SIGTERM)
    assert list(session.results()) == list(range(120))
    runs, thefts = ran(log), len(claims(session)) - len(session.description.lanes)
    assert sorted(runs) == list(range(120))
    assert runs.total() - 120 <= thefts
    assert causes(session)["term"] == 1


def test_a_fleet_that_shrinks_and_grows_loses_no_work(world, until, tmp_path):
    """A victim may run the task at the cut before it sees the cut; all else runs once."""
    log = tmp_path / "ran"
    session = world.burst(noting(log), range(300), workers=3)
    until(lambda: len(claims(session)) >= 3, "all to work")
    session.scale(1)
    until(lambda: causes(session)["scale"] == 2, "two to go")
    session.scale(4)
    until(lambda: len(supervisors(session)) == 4, "three to come")
    assert list(session.results()) == list(range(300))
    runs, thefts = ran(log), len(claims(session)) - len(session.description.lanes)
    assert sorted(runs) == list(range(300))
    assert runs.total() - 300 <= thefts


# --- work that comes as the last one goes ------------------------------------------------------------------------


def test_work_for_a_session_whose_last_worker_is_just_ending_is_done(world):
    """Again and again, about when it ends: before its last look, between that and its farewell, after it."""
    chance, idle = random.Random(5), 0.2
    session = world.burst("item", [0], idle=idle)
    assert list(session.results()) == [0]
    for number in range(1, 16):
        time.sleep(idle + chance.uniform(-0.15, 0.25))
        added = world.burst(f"item + {number}", [1, 2], into=session)
        assert list(added.results()) == [number + 1, number + 2]
    assert sum(causes(session).values()) >= 5


def test_neither_a_task_nor_a_program_that_it_starts_leaves_a_core(world):
    """One byte is the limit that the system keeps also where it hands cores to a program."""
    cell = (
        "import resource, subprocess, sys\n"
        "limit = 'import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[0])'\n"
        "child = subprocess.run([sys.executable, '-c', limit], capture_output=True, text=True).stdout\n"
        "resource.getrlimit(resource.RLIMIT_CORE)[0], int(child)"
    )
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        found = world.burst(cell).results()[0]
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    assert found == ((1, 1) if before[1] else (0, 0))


LOOKS = """
import ctypes, os, sys
import burst_magic

def seen(pid):
    try:
        return "read" if open(f"/proc/{pid}/environ", "rb").read() else "empty"
    except PermissionError:
        return "refused"

def look(item):
    above = lambda pid: int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
    task, slot = os.getpid(), os.getppid()
    return [seen(pid) for pid in (task, slot, above(slot), above(above(slot)))]

if os.getuid() == 0 and len(sys.argv) == 1:  # root may look at everything, unless exec takes the capabilities away
    for capability in (19, 21, 38):  # SYS_PTRACE, SYS_ADMIN, PERFMON
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
    os.execv(sys.executable, [sys.executable, *sys.argv, "dropped"])
session = burst_magic.map(look, [0], workers=1)
print(*session.results()[0])
session.cleanup(force=True)
"""


def test_what_holds_the_key_is_hidden_from_other_processes_and_what_runs_tasks_can_be_traced(tmp_path):
    script = tmp_path / "looks.py"
    script.write_text(LOOKS)
    environ = os.environ | {"BURST_CONFIG_DIR": str(tmp_path / "c"), "BURST_DATA_DIR": str(tmp_path / "d")}
    ran = subprocess.run(
        [sys.executable, script], env=environ, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert ran.stdout.split() == ["read", "read", "read", "refused"]


# --- long ago ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ago", [10.0, 7200.0])
def test_a_worker_of_which_nothing_was_heard_for_long_does_not_count_as_alive(world, gate, until, ago):
    """On another machine, so that nobody can ask the system; with nobody attached when it ended."""
    session = world.burst(behind(gate), range(2))
    until(lambda: session.status().running, "a task to run")
    session.detach()
    for pid in world.workers():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not world.workers(), "the workers to end")
    for entry in workers(session):
        os.utime(world.store.path(entry.key), (time.time() - ago,) * 2)
    for path in (world.root / "data" / "logs").glob(f"{session.id}.*.handle"):
        path.unlink()
    other = world.attach(session.id, replaces_lost_workers=False)
    other.fleet.look = lambda: False
    assert other.status().alive == (0 if ago > 3600 else 1)
