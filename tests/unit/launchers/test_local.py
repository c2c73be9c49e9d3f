"""Who is meant by a process id, and what a worker's record says of it."""

import os
import subprocess

import pytest

from burst_magic.launchers.base import Handle, Refusal, Start, WorkerState
from burst_magic.launchers.local import LocalLauncher, process_birth, this_host

SID = "20261121-101828-5cj77ijt"


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


DAMAGED = ["{}", "[1]", "null", "5", "junk", '{"launcher": 5, "wid": "w", "token": "t"}', "[" * 100_000, "\0" * 200,
           '{"launcher": "local", "wid": "w", "token": "t", "data": [1]}']  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: text[:20])
def test_a_damaged_handle_hides_no_other_and_answers_no_start(tmp_path, text):
    whole = Handle(launcher="local", wid="w", token="other", data={})
    (tmp_path / f"{SID}.other.handle").write_text(whole.to_json())
    (tmp_path / f"{SID}.token.handle").write_text(text)
    launcher = LocalLauncher(tmp_path)
    assert launcher.find(SID, {}) == [whole]
    assert launcher.describe([whole])["w"].state is WorkerState.UNKNOWN
    (answer,) = launcher.start([Start(sid=SID, store="memory://x", secret="00", token="token", number=0)])
    assert isinstance(answer, Refusal)
    assert "damaged" in answer.problem


@pytest.mark.parametrize("pid", [None, "1", 0, -1, 1, 10**30, 1.5])
def test_a_handle_of_no_process_is_signalled_to_nobody(tmp_path, pid):
    launcher, here = LocalLauncher(tmp_path), this_host()
    handle = Handle(launcher="local", wid="w", token="t", data={"host": here, "pid": pid, "born": process_birth(1)})
    assert launcher.describe([handle])["w"].state is WorkerState.ENDED
    launcher.poke(handle)
    launcher.stop(handle, kill=True)
