"""The unit suite and the quickstart on the oldest and the newest other Python of this machine.

What a new Python changes is mostly how processes start and what warns: there the worker's contracts run, too.

Each gets an environment of its own below build/, installed from the same lock, kept until the lock changes.
A Python that is not here is named and left out: one interpreter is enough to work on burst_magic.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROBE = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
WHAT_MATTERS = ("requirements/dev.lock", "requirements/install.sh", "pyproject.toml")


def main() -> int:
    """0 when all that could run passed."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    versions = supported()
    found = {version: python for version in versions if version != here and (python := find(version))}
    newest = [version for version in versions if version in found or version == here][-1]
    chosen = [version for version in (versions[0], newest) if version in found]
    for version in {versions[0], versions[-1]} - set(found) - {here}:
        print(f"Python {version}: not on this machine, nothing run on it", flush=True)
    failed = []
    for version in dict.fromkeys(chosen):
        home = environment(version, found[version])
        print(f"Python {version}: unit suite and quickstart", flush=True)
        ran = commands(home, ["tests/contract/worker"] if version == newest else [])
        runs = [subprocess.run(command, cwd=ROOT, check=False) for command in ran]
        failed += [f"Python {version}: failed: {' '.join(run.args)}" for run in runs if run.returncode]
    print(*failed, sep="\n", end="\n" if failed else "", file=sys.stderr)
    return 1 if failed else 0


def supported() -> list[str]:
    """The versions that pyproject.toml promises, oldest first."""
    text = (ROOT / "pyproject.toml").read_text()
    versions = re.findall(r"Programming Language :: Python :: (3\.\d+)", text)
    return sorted(versions, key=lambda version: int(version.partition(".")[2]))


def find(version: str) -> str:
    """An interpreter of that version that works (a name on PATH may be a stub), or an empty string."""
    name = f"python{version}"
    folders = os.get_exec_path()
    if pyenv := shutil.which("pyenv"):
        root = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=False).stdout.strip()
        folders += [str(path) for path in sorted(Path(root, "versions").glob(f"{version}*/bin"))]
    for folder in folders:
        path = Path(folder, name)
        if path.is_file() and os.access(path, os.X_OK):
            probe = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, check=False)
            if probe.stdout.strip() == version:
                return str(path)
    return ""


def environment(version: str, python: str) -> Path:
    """An environment with the lock's packages, made once per lock."""
    home = ROOT / "build" / f"python{version}"
    stamp = home / "stamp"
    wanted = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in WHAT_MATTERS)).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([python, "-m", "venv", home], check=True)
        # The first environment may hold a uv that this one can use.
        path = f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}"
        install = ["sh", "requirements/install.sh", str(home.relative_to(ROOT)), "requirements/dev.lock"]
        subprocess.run(install, cwd=ROOT, check=True, env={**os.environ, "PATH": path})
        stamp.write_text(wanted)
    return home


def commands(home: Path, more: list[str]) -> list[list[str]]:
    """What runs there: the demo, the unit suite and more tests."""
    python = str(home / "bin" / "python")
    demo = [python, "notebooks/demo.py", "--home", str(home / "demo"), "--out", str(home / "quickstart.ipynb")]
    unit = [
        python,
        "-m",
        "pytest",
        "-q",
        "-n",
        "3",
        "--dist",
        "worksteal",
        "--hypothesis-profile",
        "quick",
        "-o",
        f"cache_dir={home / 'cache'}",
        "tests/unit",
        *more,
    ]
    return [unit, demo]


if __name__ == "__main__":
    sys.exit(main())
