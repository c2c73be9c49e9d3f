"""Who is meant by a process id."""

import os
import subprocess

from burst_magic.launchers.local import process_birth, this_host


def test_a_process_keeps_its_birth_and_a_zombie_or_nobody_has_none():
    assert process_birth(os.getpid()) == process_birth(os.getpid())
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended and nobody has asked how
    assert process_birth(child.pid) is None
    child.wait()
    assert process_birth(child.pid) is None


def test_this_machine_is_the_same_to_all_its_processes():
    code = "from burst_magic.launchers.local import this_host; print(this_host())"
    import sys

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == this_host()
