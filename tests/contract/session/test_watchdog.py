"""PID 1 of a container, as a process here: whole sessions whose worker runs under the watchdog. Real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from burst_magic.launchers.local import process_birth
from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.wire import keys, records, sign
from burst_magic.protocol.wire.model import EndCause, Gone
from burst_magic.protocol.wire.summons import Summons
from burst_magic.worker.watchdog import Leash

DAY = 86400.0


def children(pid):
    """Its living children."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if int(parent) == pid and state not in "ZX":
                    found.append(int(folder.name))
    return found


def family(pid):
    """All living descendants, the parents first."""
    return [each for child in children(pid) for each in (child, *family(child))]


class Container:
    """A session without workers, and one that is started as a container starts it."""

    def __init__(self, world, until):
        self.world, self.until = world, until
        self.started = []

    def session(self, **options):
        self.session = self.world.burst("item", range(1), **options)
        assert list(self.session.results()) == [0]
        self.secret = bytes.fromhex(self.session.key)
        self.fingerprint = sign.fingerprint(self.secret)
        for pid in self.world.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        self.until(lambda: not self.world.workers(), "the first worker to go")
        return self.session

    def write_key(self, secret=None, fingerprint=""):
        key = keys.session_key(self.session.id, fingerprint or self.fingerprint)
        self.world.store.create(key, self.secret if secret is None else secret)

    def variables(self, **changes):
        facts = {
            "store": self.world.store.url,
            "sid": self.session.id,
            "token": f"t{len(self.started)}",
            "fingerprint": self.fingerprint,
            "launcher": "test",
            "deadline": time.time() + DAY,
            "grace": 20.0,
        }
        return Summons(**{**facts, **changes}).variables()

    def start(self, **changes):
        return self.run({**os.environ, **self.variables(**changes)})

    def run(self, environ, *, stderr=subprocess.PIPE):
        process = subprocess.Popen(
            [sys.executable, "-m", "burst_magic.worker.watchdog", "--cwd", str(self.world.root)],
            env=environ,
            stdin=subprocess.PIPE,  # an engine may leave one open
            stderr=stderr,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def joined(self, process):
        """Waits for its heartbeat; the supervisor's pid."""
        token = f"/test-t{self.started.index(process)}."
        folder = keys.SessionKeys(self.session.id).workers_folder
        self.until(lambda: [key for key in self.world.objects(folder) if token in key], "its heartbeat")
        return family(process.pid)[0]

    def gone(self, number=0):
        key = keys.SessionKeys(self.session.id).gone(f"test-t{number}")
        self.until(lambda: key in self.world.objects(), "its end")
        return records.decode(Gone, self.world.store.get(key), secret=self.secret, key=key)


@pytest.fixture
def container(world, until):
    container = Container(world, until)
    yield container
    for process in container.started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stderr.close()


def ended(process, code):
    """Waits for the exit code; what it said."""
    assert process.wait(60) == code, process.stderr.read().decode()
    return process.stderr.read().decode()


def test_a_session_runs_under_the_watchdog_and_ends_with_nought(container, world):
    container.session()
    container.write_key()
    process = container.start()
    container.joined(process)
    added = world.burst("item * 10", range(4), into=container.session)
    assert list(added.results()) == [0, 10, 20, 30]
    container.session.cleanup()
    said = ended(process, ExitCode.FINISHED)
    assert container.secret.hex() not in said
    assert container.fingerprint not in said
    assert container.gone().cause is EndCause.CLOSE


NAMES = 'import os\nsorted(name for name in os.environ if name.startswith(("BURST_BIRTH_", "AWS_CONTAINER_")))'


def test_a_task_has_the_roles_credentials_and_nothing_of_its_workers_birth(container, world):
    container.session()
    container.write_key()
    role = {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/x"}
    process = container.run({**os.environ, **container.variables(), **role})
    container.joined(process)
    added = world.burst(NAMES, range(1), into=container.session)
    assert list(added.results()) == [list(role)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_worker_which_says_that_another_is_welcome(container, world, gate, until, number):
    container.session()
    container.write_key()
    process = container.start()
    container.joined(process)
    begun = gate.with_name("begun")
    behind = f"import pathlib, time\npathlib.Path({str(begun)!r}).touch()\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)\nitem + 10"
    added = world.burst(behind, range(1), into=container.session)
    until(begun.exists, "the task to begin")
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.3)  # the task is finished first
    gate.touch()
    ended(process, ExitCode.DRAINED)
    assert list(added.results()) == [10]
    end = container.gone()
    assert (end.cause, end.exit_code) == (EndCause.TERM, ExitCode.DRAINED)


def test_a_task_that_takes_longer_than_the_engine_waits_is_given_up_and_the_rest_is_published(container, world, until):
    container.session()
    container.write_key()
    process = container.start(grace=8.0)
    container.joined(process)
    added = world.burst("import time\nitem and time.sleep(600)\nitem", range(2), into=container.session)
    assert next(iter(added.results())) == 0
    began = time.monotonic()
    process.terminate()
    ended(process, ExitCode.DRAINED)
    assert time.monotonic() - began < 8.0
    assert container.gone().cause is EndCause.TERM


def test_news_reach_the_worker_and_end_nothing(container, world):
    container.session()
    container.write_key()
    process = container.start()
    container.until(lambda: family(process.pid), "the worker to be born")
    for _ in range(50):  # until after it listens
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.005)
    container.joined(process)
    process.send_signal(signal.SIGUSR1)
    added = world.burst("item", range(2), into=container.session)
    assert list(added.results()) == [0, 1]
    process.terminate()
    ended(process, ExitCode.DRAINED)


ORPHAN = """
import os, signal, time
def orphan(lives):
    '''A process that has left its session and lost its parent.'''
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        pid = os.fork()
        if pid:
            os.write(write, b"%d" % pid)
        elif lives:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.closerange(0, 100)
            time.sleep(600)
        os._exit(0)
    os.wait()
    return int(os.read(read, 20))
"""


def test_orphans_are_reaped_and_none_is_left_behind(container, world, until):
    container.session()
    container.write_key()
    process = container.start()
    container.joined(process)
    ((short, long),) = world.burst(f"{ORPHAN}[orphan(False), orphan(True)]", range(1), into=container.session).results()
    until(lambda: not Path(f"/proc/{short}").exists(), "the zombie to be reaped")
    process.terminate()
    ended(process, ExitCode.DRAINED)
    assert process_birth(long) is None


def test_what_a_task_left_running_ends_with_its_container_though_all_that_adopts_it_was_killed(
    container, world, gate, until
):
    """Slots, the fork server and the worker adopt it, one after the other; then the container's first process does."""
    container.session()
    container.write_key()
    process = container.start()
    container.joined(process)
    told = gate.with_name("told")
    cell = (
        f"{ORPHAN}\n"
        "two = [orphan(True), orphan(True)]\n"
        f"with open({str(told)!r} + '.part', 'w') as file: print(*two, file=file)\n"
        f"os.rename({str(told)!r} + '.part', {str(told)!r})\ntime.sleep(600)"
    )
    world.burst(cell, range(1), into=container.session)
    until(told.exists, "the task to leave two processes")
    first, second = map(int, told.read_text().split())
    (worker,) = children(process.pid)
    servers = [pid for pid in reversed(family(worker)) if pid not in {first, second}]
    for pid in (worker, *servers):  # nobody sees another end, and cleans up
        os.kill(pid, signal.SIGSTOP)
    for pid in (*servers, worker):
        os.kill(pid, signal.SIGKILL)
    process.wait(60)
    assert process_birth(first) is process_birth(second) is None


def test_a_worker_that_hangs_is_killed_when_the_deadline_and_its_grace_are_over(container):
    session = container.session(deadline="12s")
    container.write_key()
    process = container.start(deadline=session.manifest.deadline, grace=1.0)
    supervisor = container.joined(process)
    everybody = family(process.pid)
    os.kill(supervisor, signal.SIGSTOP)
    said = ended(process, ExitCode.OVERDUE)
    assert time.time() >= session.manifest.deadline + 1.0
    assert "the worker is killed: it has not ended within 1 s of its deadline" in said
    assert [pid for pid in everybody if process_birth(pid)] == []


def test_a_worker_that_never_says_a_word_is_killed_after_the_deadline_of_its_start(container):
    container.session()
    ended(container.start(deadline=time.time() - DAY, grace=0.01), ExitCode.OVERDUE)


def test_a_later_deadline_is_heard(container, world, until):
    session = container.session(deadline="8s")
    session.extend("1h")
    container.write_key()
    process = container.start(deadline=session.manifest.deadline, grace=4.0)
    container.joined(process)
    until(lambda: time.time() > session.manifest.deadline + 4.5, "the first deadline and its grace to pass")
    assert list(world.burst("item", range(2), into=session).results()) == [0, 1]
    process.terminate()
    ended(process, ExitCode.DRAINED)


def test_a_deadline_that_comes_ends_the_worker_by_itself(container):
    session = container.session(deadline="10s")
    container.write_key()
    process = container.start(deadline=session.manifest.deadline)
    container.joined(process)
    ended(process, ExitCode.FINISHED)
    assert container.gone().cause is EndCause.DEADLINE


def test_a_worker_that_hangs_at_sigterm_is_killed_after_its_grace(container):
    container.session()
    container.write_key()
    process = container.start(grace=1.0)
    supervisor = container.joined(process)
    everybody = family(process.pid)
    os.kill(supervisor, signal.SIGSTOP)
    process.terminate()
    said = ended(process, 128 + signal.SIGKILL)
    assert "the worker is killed: it has not ended within 1 s of SIGTERM" in said
    assert [pid for pid in everybody if process_birth(pid)] == []


def test_the_exit_code_of_a_worker_that_crashes_is_handed_on(container):
    container.session()
    container.write_key()
    process = container.start()
    os.kill(container.joined(process), signal.SIGKILL)
    assert "the worker was ended by signal 9" in ended(process, 128 + signal.SIGKILL)


def test_a_worker_does_not_outlive_its_watchdog(container):
    container.session()
    container.write_key()
    process = container.start()
    container.joined(process)
    everybody = family(process.pid)
    process.kill()
    container.until(lambda: not [pid for pid in everybody if process_birth(pid)], "them to end")


@pytest.mark.parametrize(
    ("secret", "fingerprint", "reason"),
    [
        (None, "", "the key of this session is not in the store"),
        (bytes(32), "", "stored key doesn't match its fingerprint"),
        (b"", "", "stored key doesn't match its fingerprint"),
        (None, "0" * 32, "the key of this session is not in the store"),
    ],
    ids=["missing", "swapped", "empty", "wrong fingerprint"],
)
def test_a_key_that_cannot_be_believed_ends_the_worker_at_once(container, world, secret, fingerprint, reason):
    container.session()
    if secret is not None:
        container.write_key(secret)
    if fingerprint:
        container.write_key()
    process = container.start(**({"fingerprint": fingerprint} if fingerprint else {}))
    said = ended(process, ExitCode.UNTRUSTED)
    assert reason in said
    assert not [key for key in world.objects() if "test-t0" in key]


@pytest.mark.parametrize("variable", ["DEADLINE", "STORE", "GRACE"])
def test_a_birth_that_says_too_little_is_refused(container, variable):
    container.session()
    variables = container.variables()
    if variable == "GRACE":
        variables["BURST_BIRTH_GRACE"] = "inf"
    else:
        del variables[f"BURST_BIRTH_{variable}"]
    process = container.run({**os.environ, **variables})
    assert variable in ended(process, ExitCode.REFUSED)


def test_nobody_is_told_where_nobody_watches():
    Leash().announce(1.0)
    assert Leash.found({})._descriptor is None
