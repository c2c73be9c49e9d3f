"""The documents say what the code does."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")] + sorted(ROOT.glob("docs/**/*.md"))
CODE = re.compile(r"^```python.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
USED = re.compile(
    r"(?:^|[`\s])(?:import|from) (\w+)|\b(np|pd|plt)\."
)  # modules, and what everybody calls three of them
CALLED = {"np": "numpy", "pd": "pandas", "plt": "matplotlib"}
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@pytest.fixture(scope="module")
def generator(root):
    spec = importlib.util.spec_from_file_location("reference", root / "docs" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_tables_say(root, generator):
    assert (root / "docs" / "reference.md").read_text() == generator.page(), "make docs"


def test_the_reference_covers_every_option_and_setting(generator):
    from burst_magic import config
    from burst_magic.magics.options import OPTIONS
    from burst_magic.magics.verb_table import VERBS

    page = generator.page()

    assert [
        option.name for option in OPTIONS if option.shown and option.name not in page and option.name != "--help"
    ] == []
    assert [verb.name for verb in VERBS if (verb.magic or verb.command) not in page] == []
    assert [key for key in config.keys() if config.variable(key) not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_documents_lead_somewhere(page):
    broken = [
        target
        for target in LINK.findall(page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]

    assert broken == []


def test_a_make_target_that_a_document_names_exists(root):
    targets = set(re.findall(r"^([\w./-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    named = {
        name
        for page in PAGES
        for name in re.findall(r"(?:`|^)make (?:-\w+ )?([a-z-]+)", page.read_text(), re.MULTILINE)
    }

    assert named <= targets


def test_the_map_lists_every_part_of_the_package(root):
    """docs/architecture.md and .importlinter show the same layers, and the package has no other part."""
    drawn = re.search(
        r"^```\n(cli\n.*?)^```", (root / "docs" / "architecture.md").read_text(), re.MULTILINE | re.DOTALL
    )[1]
    checked = re.search(r"^layers =\n(.*?)^exhaustive", (root / ".importlinter").read_text(), re.MULTILINE | re.DOTALL)[
        1
    ]
    layers = [re.sub(r"[() ]", "", line) for line in checked.splitlines() if line.strip()]
    package = root / "burst_magic"
    parts = {
        path.name.removesuffix(".py")
        for path in package.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }

    assert [line.replace(" ", "") for line in drawn.splitlines()] == layers
    assert parts - {"__init__", "__main__"} <= {name for line in layers for name in line.split("|")}


def test_the_page_explains_every_reason_for_which_ecs_starts_no_task(root):
    from burst_magic.aws import reasons

    page = (root / "docs" / "troubleshooting.md").read_text()

    assert [problem for _, _, problem in reasons._TABLE if f"| {re.split('[:;]', problem)[0]} |" not in page] == []


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_a_tour_needs_only_what_its_commands_install_or_says_what_else(root, name):
    page = (root / name).read_text()
    used = {CALLED.get(found, found) for code in CODE.findall(page) for pair in USED.findall(code) for found in pair}
    installed = set(re.findall(r"^([\w-]+)==", (root / "requirements" / "demo.lock").read_text(), re.MULTILINE))
    said = set(" ".join(re.findall(r"pip install ([^`]*)", page)).split())
    assert used - {"", "burst_magic"} - sys.stdlib_module_names - installed - said == set()
