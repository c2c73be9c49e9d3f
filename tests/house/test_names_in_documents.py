"""Every magic, command, option, setting, file and error that a document names is there."""

from __future__ import annotations

import builtins
import re
from pathlib import Path

import pytest

from burst_magic import config, errors
from burst_magic.magics import unsupported
from burst_magic.magics.options import OPTIONS
from burst_magic.magics.verb_table import VERBS
from burst_magic.protocol.wire.summons import Summons

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
MISSPELT = {"--wrokers", "BURST_WROKERS"}  # shown for what is said of them
OTHERS = {"--option", "--only", "--runs", "--write"}  # a placeholder; scripts'
OTHERS |= {"--build-arg", "--init", "--no-cache-dir"}  # docker's and pip's
WHOLE_PATH = re.compile(r"(?<![\w./-])((?:burst_magic|docs|tests|notebooks|benchmarks|requirements)/[\w./-]*\w)")


def code(page: Path) -> str:
    """What a page sets as code, blocks and words."""
    return "\n".join(CODE.findall(page.read_text(encoding="utf-8")))


def found(pattern: str, page: Path) -> set[str]:
    return set(re.findall(pattern, code(page), re.MULTILINE))


@pytest.fixture(params=PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def page(request) -> Path:
    return request.param


def test_a_magic_that_a_document_names_exists(page):
    have = {f"burst_{verb.name}" for verb in VERBS if verb.place == "line"}
    coming = {f"burst_{name}" for name in unsupported.LATER} if page.name in {"README.md", "CHANGELOG.md"} else set()

    assert found(r"(?<!%)%(burst_\w+)", page) <= have | coming


def test_a_command_that_a_document_names_exists(page):
    have = {verb.name for verb in VERBS if verb.place != "cell"}

    assert found(r"(?:^\$ |^|`|=\S+ )burst ([a-z]+)", page) <= have


def test_an_option_that_a_document_names_exists(page):
    have = {option.name for option in OPTIONS} | MISSPELT | OTHERS | {"--help"}

    assert found(r"(?<![\w-])(--[a-z][a-z-]+)", page) <= have


def test_a_variable_that_a_document_names_is_a_setting(page):
    have = {config.variable(key) for key in (*config.keys(), *config.DIRECTORIES)} | MISSPELT
    have |= (
        Summons(
            store="s", sid="i", token="t", fingerprint="f", launcher="l", number=0, bundle="b", deadline=1.0, grace=1.0
        )
        .variables()
        .keys()
    )

    assert found(r"\b(BURST_[A-Z_]+)\b", page) <= have


def test_a_file_that_a_document_names_exists(page):
    assert [path for path in found(WHOLE_PATH.pattern, page) if not (ROOT / path).exists()] == []


def test_an_error_that_a_document_names_exists(page):
    have = {*vars(errors), *vars(builtins), "UsageError", "OutOfMemoryError"}  # the last two are IPython's and ECS's

    assert found(r"\b([A-Z][A-Za-z]+(?:Error|Exceeded|Lost|Run|Timeout|Failed|Result))\b", page) <= have
