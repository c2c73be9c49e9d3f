"""The bugs of ``tests/mutants/table.py`` still fit the package, and the page shows who catches them."""

from __future__ import annotations

import pytest


@pytest.fixture
def mutants(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "tests")
    from mutants.table import MUTANTS

    return MUTANTS


def test_every_bug_can_still_be_planted(root, mutants):
    files = {path: path.read_text() for path in (root / "burst_magic").rglob("*.py")}
    for mutant in mutants:
        counts = {path: text.count(mutant.old) for path, text in files.items() if mutant.old in text}
        assert list(counts.values()) == [1], f"{mutant.name}: quote the line anew in tests/mutants/table.py"
        (path,) = counts
        compile(files[path].replace(mutant.old, mutant.new), path, "exec")


def test_the_tests_that_should_catch_a_bug_are_there(root, mutants):
    for mutant in mutants:
        for test in mutant.tests.split():
            file, _, name = test.partition("::")
            assert not name or f"def {name}(" in (root / "tests" / file).read_text(), test
            assert (root / "tests" / file).exists(), test


def test_the_page_lists_exactly_the_bugs_that_are_planted(root, mutants):
    page = (root / "docs" / "simulation.md").read_text()
    shown = page.partition("<!-- mutations elsewhere -->")[2].partition("<!-- /mutations elsewhere -->")[0]
    rows = [line.split("|")[1].strip() for line in shown.splitlines()[3:] if line.startswith("|")]

    assert rows == [mutant.name for mutant in mutants]
    assert "survives" not in shown
