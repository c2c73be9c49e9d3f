"""Some of the bugs of ``tests/mutants/table.py`` are planted and caught. All: ``make mutations``."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
QUICK = (
    "blank lines at the top shift the lines of an error",
    "a value that only items refer to is not sent",
    "the cause of an exception is lost",
    "more workers start than there are tasks",
    "a crash is reported with the next task's item",
    "a value of --setenv appears in tracebacks",
    "an unsigned payload runs",
    "the last failure of a segment is not counted",
    "a task's output is repeated with the next one's",
)


@pytest.fixture
def planting(monkeypatch):
    monkeypatch.syspath_prepend(TESTS)
    from mutants import planting

    return planting


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_caught(planting, name):
    from mutants.table import MUTANTS

    (mutant,) = [each for each in MUTANTS if each.name == name]
    assert planting.hunt(mutant).caught_by


@pytest.mark.timeout(900)
def test_what_has_no_bug_fails_nowhere(planting):
    from mutants.table import MUTANTS

    assert not planting.fails_anyway([mutant for mutant in MUTANTS if mutant.name in QUICK])


def test_a_bug_that_no_longer_fits_is_an_error(planting):
    from mutants.table import Mutant

    with pytest.raises(LookupError, match="no such text"):
        planting.hunt(Mutant("no such text", "nobody wrote this", "", "unit/test_units.py"))
