"""docs/coverage.md has a row for every capability, behaviour and defect, and names tests that exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| ([A-Z]\d+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROWS = {"S": 20, "B": 19, "F": 15, "G": 17}
VERDICTS = ("met", "in part", "not yet", "not applicable")


@pytest.fixture(scope="module")
def rows() -> list[tuple[str, ...]]:
    return ROW.findall((ROOT / "docs" / "coverage.md").read_text(encoding="utf-8"))


@cache
def functions_of(path: str) -> set[str]:
    return set(re.findall(r"^(?:async )?def (\w+)\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE))


def test_every_row_is_there_once_and_in_order(rows):
    assert [row for row, *_ in rows] == [f"{letter}{n}" for letter, most in ROWS.items() for n in range(1, most + 1)]


def test_every_test_that_the_page_names_exists(rows):
    named = [test for row in rows for test in TEST.findall(row[-1])]

    assert [test for test in named if not (ROOT / test[0]).exists() or test[1] not in functions_of(test[0])] == []
    assert all(name.startswith("test_") for _, name in named)


def test_what_is_met_names_its_test_and_every_row_has_a_verdict(rows):
    assert [row for row, _, here, _ in rows if not here.startswith(VERDICTS)] == []
    assert [row for row, _, here, tests in rows if here.startswith(("met", "in part")) and not TEST.search(tests)] == []


def test_a_cell_of_tests_holds_nothing_else(rows):
    assert [row for row, *_, tests in rows if TEST.sub("", tests).strip(" ,") not in {"", "—"}] == []
