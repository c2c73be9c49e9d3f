"""The project as files, and Python in a process of its own."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MADE = {"build", "dist", "node_modules", "__pycache__"}  # what tools write; also ignored by git
KEPT = {".ci", ".dockerignore", ".importlinter", ".gitignore", ".github"}


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """A module as it is parsed, once for all tests of a process."""
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def project_files() -> list[Path]:
    """Every file of the project, nothing that a tool made; does without git, so that it works in an export too."""
    files: list[Path] = []
    folders = [ROOT]
    while folders:
        for path in folders.pop().iterdir():
            if path.name in MADE or path.suffix == ".egg-info" or (path.name[0] == "." and path.name not in KEPT):
                continue
            (folders if path.is_dir() else files).append(path)
    return sorted(files)


@pytest.fixture(scope="session")
def nodes_of(project_files: list[Path]) -> Callable[..., Iterator[tuple[str, ast.AST]]]:
    """(path within the package, node) of everything in the modules of the package that contain one of some texts."""
    package = ROOT / "burst_magic"

    def nodes(*texts: str) -> Iterator[tuple[str, ast.AST]]:
        for path in project_files:
            if path.suffix == ".py" and path.is_relative_to(package):
                source = path.read_text(encoding="utf-8")
                if any(text in source for text in texts):
                    yield from ((path.relative_to(package).as_posix(), node) for node in ast.walk(tree_of(path)))

    return nodes


@pytest.fixture(scope="session")
def modules_after() -> Callable[[str], set[str]]:
    """The modules that ``code`` brings in beyond those that a bare interpreter has."""

    def loaded(code: str) -> set[str]:
        program = f"import sys\nbare = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - bare), sep='\\n')"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
        assert not done.returncode, done.stderr
        return set(done.stdout.split())

    return loaded
