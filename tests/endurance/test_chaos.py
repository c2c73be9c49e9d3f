"""Real sessions whose kernels, workers, templates and slots are killed, stopped and terminated. More: ``make chaos``."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [3, 7])
def test_no_result_is_lost_or_changed(monkeypatch, seed):
    monkeypatch.syspath_prepend(TESTS)
    import chaos

    played = chaos.play(seed, tasks=120)
    assert played.broken == ""
    assert played.deeds.total() > 3
