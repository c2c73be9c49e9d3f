"""Preparing the slots' environment: the worker beats while it installs, and slots run in the Python that was installed."""

from __future__ import annotations

import shutil
import sys
import threading
import venv
from pathlib import Path

import dill
import pytest

from burst_magic.errors import LaunchError
from burst_magic.protocol.wire.model import EndCause
from burst_magic.worker.stage import Staging


@pytest.fixture
def python(tmp_path):
    """An interpreter with packages of its own: dill, and none of ours."""
    venv.create(tmp_path / "venv", symlinks=True)
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    shutil.copytree(Path(dill.__file__).parent, site / "dill", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    (site / "only_here.py").write_text("said = 'installed'\n")
    return str(tmp_path / "venv" / "bin" / "python")


WHERE = """\
import importlib.util, sys, only_here
(sys.prefix, only_here.said, importlib.util.find_spec("obstore"), sys.flags.hash_randomization, item)"""


def test_slots_run_in_another_python_with_its_packages_and_none_of_the_supervisors(session, python):
    session.add(WHERE, [1, 2, 3], lanes=2)
    session.open(slots=2)
    assert session.work(Staging(install=lambda _: python)) is EndCause.IDLE
    prefix = str(Path(python).parent.parent)
    assert session.values() == [(prefix, "installed", None, 0, item) for item in (1, 2, 3)]
    assert prefix != sys.prefix


def test_a_worker_beats_while_it_installs_and_is_not_idle(session):
    gate, installed = threading.Event(), []

    def install(manifest):
        installed.append(manifest.sid)
        assert gate.wait(60)
        return sys.executable

    session.add("item", [1])
    session.open(idle=1.0)
    stages = []

    def see():
        beat = session.heartbeat()
        if beat is not None and beat.number > len(stages):
            stages.append((beat.stage, len(beat.slots)))
        return len(stages) >= 14  # 1.4 s: longer than it may be idle

    session.meanwhile(gate.set, see)
    assert session.work(Staging(install=install)) is EndCause.IDLE
    assert set(stages) == {("installing", 0)}
    assert installed == [session.keys.sid]
    assert session.values() == [1]
    assert (session.heartbeat().stage, len(session.heartbeat().slots)) == ("", 1)


def test_what_cannot_be_installed_ends_the_worker_with_the_reason(session):
    def install(_):
        raise LaunchError("numpy==99 is nowhere")

    session.open()
    with pytest.raises(Exception, match="numpy==99 is nowhere"):
        session.work(Staging(install=install))
    assert session.gone().cause is EndCause.UNSTARTED
    assert "numpy==99 is nowhere" in session.gone().detail


def test_an_interpreter_that_is_not_there_is_said(session):
    session.open()
    with pytest.raises(Exception, match="no-such-python"):
        session.work(Staging(install=lambda _: "/nowhere/no-such-python"))
    assert "no-such-python" in session.gone().detail
