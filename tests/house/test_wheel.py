"""What `pip install burst_magic` brings: everything the package needs, nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile

import pytest


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout + done.stderr
    with zipfile.ZipFile(next(folder.iterdir())) as archive:
        yield archive


def test_the_wheel_holds_every_file_of_the_package(wheel, project_files, root):
    package = {path.relative_to(root).as_posix() for path in project_files if path.is_relative_to(root / "burst_magic")}

    assert package <= set(wheel.namelist())
    assert "burst_magic/py.typed" in package


def test_the_wheel_holds_nothing_else(wheel):
    tops = {name.partition("/")[0] for name in wheel.namelist()}

    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == {"burst_magic"}


def test_jupyter_servers_find_the_extension(wheel):
    data = [name.partition(".data/data/")[2] for name in wheel.namelist() if ".data/" in name]
    configured = "etc/jupyter/jupyter_server_config.d/burst_magic.json"

    assert configured in data
    said = json.loads(wheel.read(next(name for name in wheel.namelist() if name.endswith(configured))))
    assert said == {"ServerApp": {"jpserver_extensions": {"burst_magic.server": True}}}


def test_the_wheel_carries_its_licence_and_the_burst_command(wheel):
    info = next(name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name)

    assert f"{info}/licenses/LICENSE" in wheel.namelist()
    assert "burst = burst_magic.cli:main" in wheel.read(f"{info}/entry_points.txt").decode()
