"""Seeded worlds over the very machines that run in production; the laws of ``protocol.model`` are watched at every step.

A failing seed prints its story. What comes from real trouble is kept, as it was drawn, in ``regressions.json``:

    make sim FROM=17 N=1
    python tests/worlds.py keep 17 "what it found"
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from burst_magic.testing import regressions
from burst_magic.testing.scenario import Deed, draw
from burst_magic.testing.simulator import play, play_world

REGRESSIONS = regressions.load(Path(__file__).parent / "regressions.json")
QUICK = 32  # worlds, in eight tests so that they can run side by side; `make test` plays a thousand more


@pytest.mark.parametrize("part", range(8))
def test_the_laws_hold_in_seeded_worlds(part):
    reports = [play(seed) for seed in range(part, QUICK, 8)]
    stories = [report.story for report in reports if report.broken is not None]
    assert not stories, f"{len(stories)} worlds broke a law; the first:\n{stories[0]}"


@pytest.mark.parametrize(("found", "plan"), REGRESSIONS, ids=[str(plan.seed) for _, plan in REGRESSIONS])
def test_a_world_that_once_broke_a_law_keeps_them(found, plan):
    report = play_world(plan)
    assert report.broken is None, f"once: {found}\n{report.story}"


def test_a_world_that_is_kept_stays_what_it_was(tmp_path):
    plans = [draw(seed) for seed in range(200)]
    for plan in plans:
        regressions.keep(tmp_path / "regressions.json", "nothing", plan)
    assert [plan for _, plan in regressions.load(tmp_path / "regressions.json")] == plans


def test_the_same_seed_gives_the_same_trace():
    """Law 8, in processes that hash strings differently: no order may come from a set."""
    script = "from burst_magic.testing.simulator import trace; print(*(trace(seed) for seed in range(12)))"
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
    weather = [plan.weather for plan in plans]

    assert {act.deed for plan in plans for act in plan.acts} == set(Deed)
    assert all(
        any(getattr(each, fault) for each in weather)
        for fault in ("slow", "conflict", "doubled", "lost", "silent", "late", "slips")
    )
    assert all(
        any(getattr(plan, fault) for plan in plans)
        for fault in ("short", "failing", "skew", "reaps", "client_skew", "poison", "tells_exit", "budget", "stutter")
    )
    assert any(plan.cloud.barren for plan in plans if plan.cloud)
    assert {plan.announced for plan in plans} >= {None, 0, 1}
    assert {plan.tasks for plan in plans} >= {0, 1, 60}
