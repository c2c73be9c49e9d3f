"""Results and output of any size pass through a worker without taking its memory; a slot has its share of the machine."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from burst_magic.launchers import traits
from burst_magic.plan.machine import Machine
from burst_magic.plan.planner import plan
from burst_magic.session.submit import Labels, manifest_of

SIZE = 120_000_000  # bytes
_ROOM_MB = 100  # what a supervisor may take; it has 20 without any work


class Gauge:
    """The most private memory that each process of a world had, by pid, in MiB."""

    def __init__(self, world):
        self.world, self.peaks, self._over = world, {}, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self):
        while not self._over.wait(0.005):
            for pid in self.world.workers():
                try:
                    said = Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                if found := re.search(r"RssAnon:\s+(\d+)", said):
                    self.peaks[pid] = max(self.peaks.get(pid, 0), int(found[1]) / 1024)

    def close(self):
        self._over.set()
        self._thread.join()


@pytest.fixture
def gauge(world):
    gauge = Gauge(world)
    yield gauge
    gauge.close()


def supervisor_of(session):
    (worker,) = session.status().workers
    return int(worker.wid.split("-")[-2])


@pytest.mark.parametrize("cell", ["b'x' * SIZE", "print('said')\nb'x' * SIZE", "raise ValueError(b'x' * SIZE)"])
def test_a_large_outcome_does_not_pass_through_the_supervisors_memory(world, gauge, cell):
    world.home["SIZE"] = SIZE
    session = world.burst(cell, range(2), workers=1)
    session.results().wait(timeout=50)
    assert session.status().done == 2
    assert session.status().started == 1
    assert gauge.peaks[supervisor_of(session)] < _ROOM_MB
    if "raise" not in cell:
        assert [len(value) for value in session.results()] == [SIZE, SIZE]


@pytest.mark.parametrize(
    "write",
    [
        "for _ in range(N): sys.stdout.write('x' * 1000)",
        "for _ in range(N): print('x' * 1000, end='')",
        "for _ in range(N): print('x' * 1000, end='\\r')",
        "os.system(f'head -c {N}000 /dev/zero')",
    ],
)
def test_a_line_without_an_end_is_kept_by_its_ends(world, gauge, write):
    world.home["N"] = SIZE // 1000
    session = world.burst(f"import os, sys\n{write}\nitem", range(2), workers=1)
    assert list(session.results()) == [0, 1]
    assert all(len(outcome.output) < 100_000 for outcome in session.results().outcomes)
    assert all("left out" in outcome.output for outcome in session.results().outcomes)
    assert max(gauge.peaks.values()) < _ROOM_MB


def test_a_session_on_this_machine_gives_each_slot_its_share(world):
    settings = world.settings(workers=2)
    made = plan(settings, traits("local"), tasks=4, machine=Machine(cores=2, memory_mb=1000))
    assert manifest_of("20260101-000000-aaaaaaaa", made, settings, Labels()).memory_limit_mb == 400
