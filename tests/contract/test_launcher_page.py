"""The launcher that docs/launchers.md shows keeps the contract, and a burst runs on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from burst_magic import launchers
from burst_magic.testing import LAUNCHER_CHECKS, check_launcher

PAGE = Path(__file__).parents[2] / "docs" / "launchers.md"


@pytest.fixture(scope="module")
def shown():
    """The names of the page's first example."""
    source = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    names = {}
    exec(compile(source, PAGE, "exec"), names)
    yield names, source
    launchers.register("shell", names["ShellLauncher"])()


@pytest.mark.parametrize("check", LAUNCHER_CHECKS, ids=lambda check: check.__name__)
def test_the_launcher_that_the_page_shows_keeps_the_contract(shown, check):
    check_launcher(shown[0]["ShellLauncher"], only=(check,))


def test_it_is_short(shown):
    body = shown[1].partition("class ShellLauncher")[2].partition("\nregister(")[0]
    assert len([line for line in body.splitlines() if line.strip()]) <= 46


def test_the_page_names_every_state_cause_trait_and_answer():
    from dataclasses import fields

    from burst_magic.launchers.base import Again, Cause, Traits, WorkerState

    page = PAGE.read_text(encoding="utf-8")
    names = [each.name for kind in (Again, Cause, WorkerState) for each in kind]
    names += [each.name for each in fields(Traits)]
    assert [name for name in names if f"`{name}`" not in page] == []
