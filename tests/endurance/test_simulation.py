"""What takes longer than `make check` may: a thousand worlds, and a fleet of 256 workers."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
WORLDS = range(10_000, 11_000)


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(TESTS)


@pytest.mark.timeout(600)
def test_the_laws_hold_in_a_thousand_worlds():
    from worlds import play_all

    failed, _, _ = play_all(WORLDS)
    assert failed is None, failed.story


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("work", "task", "tasks"), [("equal", 0.01, 256_000), ("equal", 1.0, 10_240)])
def test_256_workers_ask_the_store_as_often_as_the_page_says(work, task, tasks):
    from figures import Work, formula, measure

    cost = measure(Work(name="", tasks=tasks, work=work, task=task, workers=256))
    assert cost.requests == pytest.approx(formula(cost), rel=0.1)
    assert cost.requests < tasks * 2.5
