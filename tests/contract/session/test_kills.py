"""Real workers are killed, stopped past their lease and terminated at random, and every result is right (laws 1 to 4).

Tasks write down that they were run: what is run twice is bounded by the deaths.
"""

from __future__ import annotations

import contextlib
import math
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from burst_magic.launchers.local import process_birth
from burst_magic.protocol.wire import records
from burst_magic.protocol.wire.model import ClaimBody

INTERVAL, FLOOR = 0.2, 0.02  # seconds; see conftest.py
LEASE = 3 * INTERVAL
TASKS, SECONDS = 2000, 0.16
WORKERS, SLOTS = 4, 2
_PROGRESS = 4 * 2 * WORKERS * SLOTS  # bytes of the log between two deeds: two tasks a slot

NOTED = """
import os, time
note = os.open({log!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(note, b"%d\\n" % item)
os.close(note)
time.sleep({seconds})
item * item, os.urandom(8)
"""


def supervisors(session):
    """Process ids of the session's living workers, by their names."""
    found = {}
    for entry in session.store.list(f"sessions/{session.id}/workers"):
        wid = entry.key.rpartition("/")[2].partition(".")[0].partition("~")[0]
        if wid.count("-") >= 2:
            *_, pid, born = wid.split("-")
            if process_birth(int(pid)) == born:
                found[wid] = int(pid)
    return found


def family(pid):
    """A worker's supervisor, template and slots."""
    found = [pid]
    with contextlib.suppress(OSError):
        for path in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (path / "children").read_text().split()):
                found += family(child)
    return found


class Reaper:
    """Ends and stops workers at random, until told to rest.

    Between two deeds a few tasks begin, however slow the machine is: three deaths without progress would be blamed on
    the task that runs.
    """

    def __init__(self, session, seed: int, log: Path) -> None:
        self.session, self.chance, self._log = session, random.Random(seed), log
        self.deeds: list[tuple[str, float]] = []  # what, and how many seconds after it began
        self.began = time.monotonic()
        self._over = threading.Event()
        self._stopped: list[tuple[float, list[int]]] = []  # (when to let them go on, processes)
        self._thread = threading.Thread(target=self._reap)
        self._thread.start()

    def _reap(self) -> None:
        seen = 0
        while not self._over.wait(self.chance.uniform(0.3, 1.0)):
            self._wake(time.monotonic())
            living, begun = supervisors(self.session), self._log.stat().st_size if self._log.exists() else 0
            if not living or begun < seen + _PROGRESS:
                continue
            seen = begun
            pid = living[self.chance.choice(sorted(living))]
            deed = self.chance.choice(["kill", "kill", "stop", "term"])
            with contextlib.suppress(ProcessLookupError):
                if deed == "kill":
                    os.kill(pid, signal.SIGKILL)
                elif deed == "term":
                    os.kill(pid, signal.SIGTERM)
                else:
                    self._stop(family(pid) if self.chance.random() < 0.5 else [pid])
                self.deeds.append((deed, time.monotonic() - self.began))

    def _stop(self, pids: list[int]) -> None:
        """As a machine that sleeps, or the supervisor alone."""
        self._stopped.append((time.monotonic() + LEASE * self.chance.uniform(1.2, 4.0), pids))
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def _wake(self, now: float) -> None:
        for until, pids in list(self._stopped):
            if now >= until:
                self._stopped.remove((until, pids))
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)

    def rest(self) -> None:
        """No more."""
        self._over.set()
        self._thread.join()
        self._wake(math.inf)

    def may_be_lost(self) -> int:
        """Tasks that law 3 allows to be run again: those that ran and a flush interval's worth for each death.

        Who is terminated finishes what it runs; who is stopped for longer than its lease is dead to the others.
        """
        flushes = [max(FLOOR, 0.02 * at) for deed, at in self.deeds if deed != "term"]
        return sum(SLOTS * (1 + math.ceil(flush / SECONDS)) for flush in flushes)


def handed_out(session):
    given = {}
    for task, value in session.as_completed():
        assert task not in given
        given[task] = value
    return given


@pytest.fixture
def report(capsys):
    """Says a figure to whoever runs the tests."""

    def say(text):
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return say


@pytest.mark.parametrize("seed", [7])
def test_under_random_deaths_every_result_is_right_and_little_is_run_twice(world, tmp_path, until, report, seed):
    log = tmp_path / "ran"
    source = NOTED.format(log=str(log), seconds=SECONDS)
    session = world.burst(source, range(TASKS), workers=WORKERS, slots=SLOTS, idle=5)
    other = world.attach(session.id)
    reaper = Reaper(session, seed, log)
    try:
        with ThreadPoolExecutor(2) as pool:
            one, two = pool.map(handed_out, [session, other])
    finally:
        reaper.rest()
    for given, reader in ((one, session), (two, other)):
        assert {task: square for task, (square, _) in given.items()} == {task: task * task for task in range(TASKS)}
        assert given == dict(enumerate(reader.results()))  # law 1: what was handed out stays what it was
    until(lambda: f"sessions/{session.id}/jobs/0/final" in world.objects(), "final")
    late = [list(world.attach(session.id).results()) for _ in range(3)]
    assert late[0] == late[1] == late[2]
    assert [square for square, _ in late[0]] == [task * task for task in range(TASKS)]

    ran, deeds = Counter(map(int, log.read_text().split())), Counter(deed for deed, _ in reaper.deeds)
    report(f"{dict(deeds)} in {reaper.deeds[-1][1]:.0f} s, {ran.total() - TASKS} of {TASKS} tasks run again")
    assert set(ran) == set(range(TASKS))
    assert ran.total() - TASKS <= reaper.may_be_lost()
    assert min(deeds[deed] for deed in ("kill", "stop", "term")) >= 3


@pytest.mark.parametrize("attached", [True, False], ids=["with a client", "without a client"])
def test_what_a_dead_worker_had_goes_on_soon(world, gate, until, report, attached):
    """One lane is done, the other's owner is killed in the midst of it: how long until the first one takes over."""
    source = f"import os, time\nwhile item >= 1 and not os.path.exists({str(gate)!r}): time.sleep(0.005)\nitem"
    session = world.burst(source, [0, 1], workers=2)
    claims = f"sessions/{session.id}/jobs/0/claims"
    owners = until(
        lambda: len(session.store.list(claims)) == 2 and session.store.list(claims), "both lanes to be taken"
    )
    until(lambda: session.results().collect(wait=False)[0] == 0, "the first task")
    body = records.decode(ClaimBody, session.store.get(owners[1].key), secret=None, key=owners[1].key)
    until(lambda: len(supervisors(session)) == 2, "both workers to beat")
    if not attached:
        session.detach()
    began = time.monotonic()
    os.kill(supervisors(session)[body.worker], signal.SIGKILL)
    until(lambda: len(session.store.list(claims)) == 3, "a successor")
    took = time.monotonic() - began
    report(f"{took:.2f} s, {took / INTERVAL:.1f} intervals")
    gate.touch()
    assert took < (10.0 if attached else 25 * INTERVAL)  # 2 s and 5 intervals on a machine that has nothing else to do
    assert list(session.results()) == [0, 1]
