"""What an installation brings to Jupyter: both parts enabled, without node; without the built part, it says so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TREE = ("burst_magic", "jupyter-config", "labextension/packaging_hook.py", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The files that an installation is built from, with the lab extension as make has built it."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in (*TREE, "build/share"):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, ignore=ignored) if source.is_dir() else shutil.copy(source, target)
    return folder


@pytest.fixture(scope="module")
def without_node(tmp_path_factory):
    """The environment of a machine that has no node."""
    programs = tmp_path_factory.mktemp("programs")
    assert shutil.which("node", path=str(programs)) is None
    kept = {name: text for name, text in os.environ.items() if not name.startswith("JUPYTER")}
    return {**kept, "PATH": str(programs), "HOME": str(programs)}


def said(*command: object, env: dict[str, str], cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command], env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )
    assert not done.returncode, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_an_installed_wheel_has_both_parts_enabled(checkout, without_node, tmp_path):
    said(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, env=without_node, cwd=checkout)
    env = tmp_path / "env"
    said(sys.executable, "-m", "venv", env, env=without_node)
    python = env / "bin" / "python"
    home = said(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", env=without_node).strip()
    # JupyterLab and the rest come from here; a path of packages brings none of our own editable installation along.
    Path(home, "others.pth").write_text(sysconfig.get_path("purelib"))
    wheel = next(tmp_path.glob("*.whl"))
    said(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, env=without_node)

    labs = said(python, "-m", "jupyterlab.labextensions", "list", env=without_node)
    servers = said(python, "-m", "jupyter_server.extension.serverextension", "list", env=without_node)
    (lab,) = [line for line in labs.splitlines() if "burst-magic" in line]
    assert "enabled" in lab
    assert "OK" in lab
    words = " ".join(re.sub(r"\x1b\[\d+m", "", servers).split())
    assert "burst_magic.server enabled" in words
    assert "burst_magic.server OK" in words


def test_a_checkout_without_the_built_part_installs_and_says_what_was_left_out(checkout, without_node, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(checkout, bare, ignore=shutil.ignore_patterns("build"))
    words = said(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, env=without_node, cwd=bare)

    assert "the lab extension was left out" in words
    assert list(tmp_path.glob("*.whl"))
