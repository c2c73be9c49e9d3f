"""What the quick suites do not run can be collected at least: a name that moved is seen at once."""

from __future__ import annotations

import subprocess
import sys


def test_every_test_can_be_collected(root):
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-2000:]
