"""Workers that begin in a container of a stock Python, as root and as its first process, as on Fargate."""

from __future__ import annotations

import platform
from dataclasses import replace

import pytest

from burst_magic import launchers
from burst_magic.environment.bundle import uv_tool, worker_bundle
from burst_magic.environment.installed import read
from burst_magic.environment.lock import Resolved
from burst_magic.environment.sync import Synced
from burst_magic.environment.uv import Target
from burst_magic.environment.wheels import pack
from burst_magic.errors import NotRun
from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.wire.lock import Lock

from .conftest import PYTHON, PodmanLauncher

TARGET = Target(python=PYTHON, arch="arm64" if platform.machine() == "aarch64" else "x86_64")
PACKAGES = ("dill", "iniconfig")  # both are here, and pure Python


class StockLauncher(PodmanLauncher):
    """Containers of the base image, told what to run."""

    name = "stock"
    traits = replace(PodmanLauncher.traits, syncs=True)
    hardening = ()
    image = ""

    def command(self, start):
        return start.command[1:], [f"--entrypoint={start.command[0]}"]


@pytest.fixture(scope="module")
def synced(tmp_path_factory) -> Synced:
    """Two packages, as they are installed here."""
    folder = tmp_path_factory.mktemp("archives")
    installer, installed = uv_tool(TARGET, folder), read(TARGET, folder)
    wheels = [pack(installed.packages[name], folder) for name in PACKAGES]
    lock = Lock(
        python=TARGET.python,
        platform=TARGET.arch,
        requirements="",
        wheels=tuple((wheel.path.name, wheel.sha256) for wheel in wheels),
        indexes=("--no-index",),
        installer=installer.sha256,
        versions=tuple((name, installed.packages[name].version) for name in PACKAGES),
    )
    resolved = Resolved(lock=lock, wheels=tuple(wheels))
    return Synced(bundle=worker_bundle(TARGET, folder), installer=installer, resolved=resolved)


@pytest.fixture
def stock(fleet, base):
    StockLauncher.image = base
    forget = launchers.register("stock", StockLauncher)
    yield replace(fleet, launcher="stock")
    forget()


LOOK = """
import iniconfig, os, sys
def refused(path):
    try:
        open(path, "w")
    except OSError as error:
        return type(error).__name__
    return "written"
worker = f"/opt/burst_magic/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages/burst_magic/errors.py"
(item, os.getuid(), os.getgid(), os.getgroups(), os.getcwd(), os.path.exists(worker), refused(worker), refused("/opt/x"),
 iniconfig.__file__.startswith(sys.prefix), sorted(name for name in os.environ if name.startswith("BURST_")))
"""


def test_a_burst_runs_in_a_stock_image_and_tasks_cannot_change_the_worker(stock, synced):
    session = stock.burst(LOOK, range(3), synced=synced)
    denied = "PermissionError"
    assert list(session.results()) == [
        (item, 10001, 10001, [], "/tmp", True, denied, denied, True, []) for item in range(3)
    ]


def test_a_worker_whose_packages_cannot_be_installed_says_so_and_one_more_is_tried(stock, synced):
    lock = replace(synced.resolved.lock, requirements="no-such-package==1.0 --hash=sha256:" + "0" * 64)
    session = stock.burst("item", range(3), synced=replace(synced, resolved=replace(synced.resolved, lock=lock)))
    with pytest.raises(NotRun, match=r"no-such-package.*; %burst_scale 1 tries again"):
        session.wait()
    assert len(stock.containers()) == 2
    assert stock.ended(stock.containers()[-1]) == ExitCode.REFUSED
