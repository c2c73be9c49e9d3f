"""The benchmarks' plumbing, with next to nothing to measure. No figure is judged here: machines differ."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def bench(*options):
    command = [sys.executable, "-m", "benchmarks", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_a_measured_row_stands_in_the_table_with_its_target():
    ran = bench("--tiny", "--runs", "1", "--only", "^noop_10k$|^concurrent.futures:noop_10k$", "--peer-runs", "1")

    assert ran.returncode == 0, ran.stderr
    assert "| 10 000 no-op tasks, 2 warm workers |" in ran.stdout.replace("|  |", "|")
    rows = [line for line in ran.stdout.splitlines() if line.startswith("| concurrent.futures |")]
    assert rows, "the peer that every Python has is not in the table"
    assert rows[0].count("–") == 8  # all but what was asked for


def test_a_case_that_ends_without_figures_says_what_it_was():
    case = subprocess.run(
        [sys.executable, "-c", "from benchmarks.process import measure; measure('benchmarks.ours', 'no_such_case')"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert case.returncode != 0
    assert "CaseFailed: no_such_case" in case.stderr
