"""A session whose workers another package's launcher starts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from burst_magic import launchers

PAGE = Path(__file__).parents[3] / "docs" / "launchers.md"


@pytest.fixture
def shell():
    """The launcher that docs/launchers.md shows."""
    source = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    names = {}
    exec(compile(source, PAGE, "exec"), names)
    yield names["ShellLauncher"]
    launchers.register("shell", names["ShellLauncher"])()


@pytest.mark.usefixtures("shell")
def test_a_burst_runs_on_the_launcher_that_the_page_shows(world):
    session = world.burst("item * 2", range(20), launcher="shell", workers=2)
    assert list(session.results()) == list(range(0, 40, 2))
    assert {worker.wid[:6] for worker in session.status().workers} == {"shell-"}
    assert "no charge" not in session.manifest.launcher
    session.cleanup(force=True)
    assert world.objects() == []


def test_where_a_sessions_launcher_is_not_installed_its_results_can_be_had_all_the_same(world, shell):
    session = world.burst("item * 2", range(4), launcher="shell")
    session.wait()
    launchers.register("shell", shell)()  # taken back: nobody knows it any more
    again = world.attach(session.id)
    assert list(again.results()) == [0, 2, 4, 6]
    assert again.status().alive >= 0
    again.cleanup()
