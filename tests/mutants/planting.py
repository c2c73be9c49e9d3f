"""Plants a bug in a copy of the project and runs the tests that should catch it: the first failure does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mutants.table import Mutant

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 900.0  # seconds for the tests of one bug
FAILED = re.compile(r"^(?:FAILED|ERROR) \S*/(test_\w+\.py)::(\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a bug: the test that caught it, "" when it survived."""

    mutant: Mutant
    caught_by: str
    seconds: float


def plant(mutant: Mutant, package: Path) -> Path:
    """Changes the copy of the package; returns which module.

    Raises:
        LookupError: the text to replace is not there, or not once.
    """
    files = [path for path in sorted(package.rglob("*.py")) if mutant.old in path.read_text()]
    if len(files) != 1 or files[0].read_text().count(mutant.old) != 1:
        raise LookupError(f"{mutant.name}: not once in burst_magic, but in {[path.name for path in files]}")
    files[0].write_text(files[0].read_text().replace(mutant.old, mutant.new))
    return files[0]


def copy_to(folder: Path) -> None:
    """What tests need of the project, and what is compiled of it: only a planted bug is compiled anew."""
    ignored = shutil.ignore_patterns(".hypothesis", "*.pyc.*")  # these are gone once they are written
    for name in ("burst_magic", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)


def first_failure(folder: Path, tests: Iterable[str]) -> str:
    """Runs tests of a copy; the name of the first that fails, "" when all pass.

    Raises:
        RuntimeError: they could not be run at all.
    """
    quick = ("-x", "-q", "--tb=no", "-p", "no:cacheprovider", f"--basetemp={folder / 'tmp'}")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *quick, *(f"tests/{test}" for test in tests)],
        cwd=folder,
        env={**environ, "PYTHONPATH": str(folder)},  # before what is installed, in workers too
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    failed = FAILED.search(done.stdout)
    if done.returncode == 0:
        return ""
    if done.returncode != 1 or failed is None:
        raise RuntimeError(f"{' '.join(done.args)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return f"{failed[1]}: {failed[2].removeprefix('test_').replace('_', ' ')}"


def hunt(mutant: Mutant) -> Verdict:
    """Runs the tests that should catch it over a copy with the bug in it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as copy:
        copy_to(Path(copy))
        plant(mutant, Path(copy) / "burst_magic")
        caught_by = first_failure(Path(copy), mutant.tests.split())
    return Verdict(mutant, caught_by, time.monotonic() - began)


def fails_anyway(mutants: Iterable[Mutant]) -> str:
    """Runs the same tests without a bug: the first that fails, which must be none."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as copy:
        copy_to(Path(copy))
        return first_failure(Path(copy), sorted({test for mutant in mutants for test in mutant.tests.split()}))


def table(verdicts: list[Verdict]) -> str:
    """What the page shows."""
    rows = [f"| {verdict.mutant.name} | {verdict.caught_by or 'survives'} |" for verdict in verdicts]
    return "\n".join(["| planted | caught by |", "|---|---|", *rows])
