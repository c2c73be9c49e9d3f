"""The laws of ``protocol/wire/model.py`` are told in docs/protocol.md, kept by code that names them, and tested."""

from __future__ import annotations

import re

import pytest

NUMBERED = re.compile(r"^(\d)\. ", re.MULTILINE)
CITED = re.compile(r"\b[Ll]aws? (\d(?:(?:, | and )\d)*)")


def laws(text):
    """Numbers of all laws that a text cites: ``law 3``, ``laws 1, 7``."""
    return {int(number) for cited in CITED.findall(text) for number in re.findall(r"\d", cited)}


@pytest.fixture(scope="module")
def numbers(root):
    text = (root / "burst_magic" / "protocol" / "wire" / "model.py").read_text(encoding="utf-8")
    return [int(number) for number in NUMBERED.findall(text.split('"""')[1])]


def test_the_laws_are_numbered_in_the_code_as_in_the_document(root, numbers):
    page = (root / "docs" / "protocol.md").read_text(encoding="utf-8")
    told = page.partition("## The eight laws")[2].partition("\n## ")[0]

    assert numbers == list(range(1, 9))
    assert [int(number) for number in NUMBERED.findall(told)] == numbers


def test_every_law_is_cited_by_the_code_that_keeps_it(root, numbers):
    files = [path for path in (root / "burst_magic").rglob("*.py") if path.name != "model.py"]
    cited = {law for path in files for law in laws(path.read_text(encoding="utf-8"))}

    assert set(numbers) - cited == set()


def test_every_law_is_cited_by_a_test(root, numbers):
    files = [path for path in (root / "tests").rglob("test_*.py") if path.name != "test_laws.py"]
    cited = {law for path in files for law in laws(path.read_text(encoding="utf-8"))}

    assert set(numbers) - cited == set()


def test_citations_are_read_one_and_several_at_a_time():
    assert laws("law 3; (laws 1, 7) and Laws 2 and 5: not law12, nor lawless 4") == {1, 2, 3, 5, 7}
