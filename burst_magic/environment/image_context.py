"""What an image is built from elsewhere: the same that a build here copies, before uv has installed the packages.

It is small, whatever the packages weigh: CodeBuild installs them from the indexes, with hashes checked, by the command
that a build here runs. Only what is in no index travels as wheels.
"""

from __future__ import annotations

import io
import shlex
import zipfile
from pathlib import Path

from burst_magic.environment.image import DOCKERFILE, Recipe

BUILDSPEC = Path(__file__).with_name("buildspec.yml")
_WHEELS = "wheels"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same content gives the same bytes


def zipped(recipe: Recipe) -> bytes:
    """The sources of a remote build: buildspec, Dockerfile, worker, uv, requirements with hashes, and own wheels."""
    synced = recipe.synced
    files = {
        "buildspec.yml": BUILDSPEC.read_bytes(),
        "context/Dockerfile": DOCKERFILE.read_bytes(),
        "worker.tar.gz": synced.bundle.path.read_bytes(),
        "install.sh": _install(recipe).encode(),
    }
    if synced.installs:
        wheels = {f"{_WHEELS}/{each.path.name}": each for each in synced.resolved.wheels}
        lines = [synced.resolved.lock.requirements]
        lines += [f"./{name} --hash=sha256:{each.sha256}" for name, each in wheels.items()]
        files["uv.tar.gz"] = synced.installer.path.read_bytes()
        files["requirements.txt"] = "\n".join(lines).encode()
        files |= {name: each.path.read_bytes() for name, each in wheels.items()}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _install(recipe: Recipe) -> str:
    """Unpacks the worker, and installs the packages beside it."""
    lines = ["set -eu", "mkdir context/worker", "tar -xzf worker.tar.gz -C context/worker"]
    if recipe.synced.installs:
        site = f"context/worker/lib/python{recipe.target.python}/site-packages"
        lines += [
            "tar -xzf uv.tar.gz",
            "UV_PYTHON_DOWNLOADS=never ./uv "
            + shlex.join([*recipe.install(site), "-r", "requirements.txt", "--color", "never", "--no-progress"]),
        ]
    return "\n".join([*lines, ""])
