"""All tests are run by `make test`; what `make check` leaves out it collects, so that a name that moved is seen."""

from __future__ import annotations

import re
import subprocess
import sys


def test_every_test_can_be_collected(root):
    quick = re.search(r"^QUICK := (.*)$", (root / "Makefile").read_text(), re.MULTILINE)[1].split()
    rest = [path for path in (root / "tests").iterdir() if path.is_dir() and f"tests/{path.name}" not in quick]
    flags = ["--collect-only", "-q", "-p", "no:cacheprovider", "--assert=plain"]
    command = [sys.executable, "-m", "pytest", *flags, *map(str, rest)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-2000:]


def test_make_test_runs_every_folder_of_tests(root):
    recipe = (root / "Makefile").read_text()
    lines = " ".join(re.findall(r"^\w+ := .*tests/.*$", recipe, re.MULTILINE))
    named = re.findall(r"tests/([\w/]+)(?!\.)", lines)
    files = [path.relative_to(root / "tests").as_posix() for path in (root / "tests").rglob("test_*.py")]

    assert len(named) == len(set(named))
    assert [file for file in files if sum(file.startswith(f"{name}/") for name in named) != 1] == []
