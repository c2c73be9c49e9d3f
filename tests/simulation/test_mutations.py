"""The planted bugs of ``tests/mutations.py`` still fit the protocol, and the page shows them. All: ``make mutations``."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
CHEAP = (
    "final is written one task too early",
    "tasks start after a cancel was read",
    "a client believes its own final",
)


@pytest.fixture
def mutations(monkeypatch):
    monkeypatch.syspath_prepend(TESTS)
    import mutations

    return mutations


def test_every_bug_can_still_be_planted(mutations):
    modules = mutations.sources(TESTS.parent / "burst_magic")
    for mutant in mutations.MUTANTS:
        path, text = mutations.planted(mutant, modules)
        compile(text, path, "exec")


def test_a_bug_that_no_longer_fits_is_an_error(mutations):
    with pytest.raises(LookupError, match="no such text"):
        mutations.planted(
            mutations.Mutant("no such text", "nobody wrote this", ""), mutations.sources(TESTS.parent / "burst_magic")
        )


@pytest.mark.parametrize("name", CHEAP)
def test_a_planted_bug_is_found_within_a_few_worlds(mutations, name):
    (mutant,) = [each for each in mutations.MUTANTS if each.name == name]
    assert mutations.hunt(mutant, 60).law is not None


def test_a_directed_world_breaks_a_law_with_its_bug_and_none_without(mutations):
    bugs = [mutant for mutant in mutations.MUTANTS if mutant.name in mutations.DIRECTED]
    assert len(bugs) == len(mutations.DIRECTED)
    assert [mutant.name for mutant in bugs if mutations.hunt(mutant, 1).law is None] == []


def test_the_page_lists_exactly_the_bugs_that_are_planted(mutations):
    page = (TESTS.parent / "docs" / "simulation.md").read_text()
    shown = page.partition("<!-- mutations -->")[2].partition("<!-- /mutations -->")[0]
    rows = [line.split("|")[1].strip() for line in shown.splitlines()[3:] if line.startswith("|")]
    assert rows == [mutant.name for mutant in mutations.MUTANTS]
    assert "survives" not in shown
