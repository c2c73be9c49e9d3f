"""The benchmarks' plumbing, with next to nothing to measure. No figure is judged here: machines differ."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.calls import calls_table
from benchmarks.stand_in import name_of
from burst_magic.testing.sandbox.aws_call import AwsCall

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


def test_calls_of_aws_stand_beside_their_formula_and_starburst():
    counted = {"n": 1000.0, "workers": 32.0, "session ecs": 36.0, "session ecs RunTask": 32.0, "session s3": 1500.0}

    lines = calls_table({"cloud_noops": [counted], "cloud_first": [{"wall": 0.3}]})

    assert lines[0] == "| 1000 tasks on 32 workers | no-ops | formula |"
    assert "| ecs RunTask | 32 | W |" in lines
    assert lines[-2:] == ["| control plane, a task | 0.036 |  |", "| S3, a task | 1.500 | starburst: 195 |"]
    assert calls_table({}) == []


def test_the_stand_in_cloud_says_what_it_was_asked_by_the_part_of_the_log():
    def call(path, service="s3", action="", **query):
        asked = {name.replace("_", "-"): [value] for name, value in query.items()}
        return name_of(AwsCall(access="", service=service, action=action, method="GET", path=path, query=asked))

    assert call("/bucket/burst/sessions/20261121-093000-abcdefgh/jobs/0/claims/0.0") == "s3 GET claims"
    assert (
        call("/bucket", list_type="2", prefix="burst/sessions/20261121-093000-abcdefgh/workers/") == "s3 LIST workers"
    )
    assert call("/bucket/burst/keys/20261121-093000-abcdefgh.00") == "s3 GET keys"
    assert call("/", service="ecs", action="RunTask") == "ecs RunTask"
    assert call("/v4/abc/task", service="") == "agent metadata"
