"""What a process of the same user sees of another, with and without ``conceal``."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOOKED_AT = """
import ctypes, os, sys
from burst_magic.worker import prctl
if os.getuid() == 0:  # root may always look
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: what exec gives a process that began as this user
if sys.argv[1] == "concealed":
    prctl.conceal()
pid = os.getpid()
if os.fork() == 0:
    try:
        found = open(f"/proc/{pid}/environ", "rb").read()
        print("read" if b"SECRET=fingerprint" in found else "empty")
    except PermissionError:
        print("refused")
    sys.stdout.flush()
    os._exit(0)
os.wait()
"""


@pytest.mark.parametrize(("how", "seen"), [("concealed", "refused"), ("open", "read")])
def test_a_concealed_process_is_not_read_by_others_of_its_user(how, seen):
    command = [sys.executable, "-c", LOOKED_AT, how]
    done = subprocess.run(command, env={"SECRET": "fingerprint"}, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [seen]
