"""Seeded worlds over the very machines that run in production; the laws of ``protocol.model`` are watched at every step.

A failing seed prints its story and goes into ``regressions.json`` with a word on what it found. To see it again:

    make sim FROM=17 N=1
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from burst_magic.testing.scenario import draw
from burst_magic.testing.simulator import play

HERE = Path(__file__).parent
REGRESSIONS = {int(seed): what for seed, what in json.loads((HERE / "regressions.json").read_text()).items()}
QUICK = 160  # worlds, in eight tests so that they can run side by side


def assert_laws_hold(seeds) -> None:
    stories = [report.story for report in map(play, seeds) if report.broken is not None]
    assert not stories, f"{len(stories)} worlds broke a law; the first:\n{stories[0]}"


@pytest.mark.parametrize("part", range(8))
def test_the_laws_hold_in_seeded_worlds(part):
    assert_laws_hold(range(part, QUICK, 8))


def test_the_seeds_that_once_failed_hold():
    assert_laws_hold(REGRESSIONS)


def test_the_same_seed_gives_the_same_trace():
    """Law 8, in processes that hash strings differently: no order may come from a set."""
    script = "from burst_magic.testing.simulator import play; print(*(play(seed).trace for seed in range(12)))"
    traces = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(traces) == 1


def test_the_worlds_hold_what_they_promise():
    """Every deed and every fault occurs within a few hundred worlds; a lever that is tied to nothing finds nothing."""
    plans = [draw(seed) for seed in range(400)]
    deeds = {act.deed for plan in plans for act in plan.acts}
    weather = [plan.weather for plan in plans]

    assert deeds == set(type(next(iter(deeds))))
    assert all(
        any(getattr(each, fault) for each in weather)
        for fault in ("slow", "conflict", "doubled", "lost", "silent", "late", "slips")
    )
    assert {plan.tasks for plan in plans} >= {0, 1, 60}
    assert any(plan.short for plan in plans)
