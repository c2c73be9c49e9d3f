"""An image with the worker and the kernel's packages, for ``--env image:URI``: what it is made of, and its name.

The packages are installed here, by uv, for the workers' platform, and copied: the build needs no index, and no
credentials of one come near the image.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from burst_magic import config
from burst_magic.config import __version__
from burst_magic.dataclass import dataclass
from burst_magic.environment import indexes
from burst_magic.environment.sync import Synced, prepare
from burst_magic.environment.uv import Target, UvError, refusal, run

DOCKERFILE = Path(__file__).with_name("Dockerfile.image")
_FORMAT = 1  # counts up when images are made in another way
_TAG = re.compile(r"(?P<version>.+)-py(?P<python>\d+\.\d+)-(?P<arch>x86_64|arm64)-(?P<digest>[0-9a-f]{12})\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageName:
    """What the tag of an image that was built here says."""

    version: str
    python: str
    arch: str

    @classmethod
    def of(cls, tag: str) -> ImageName | None:
        """None for a tag that ``burst image`` did not make.

        >>> ImageName.of("0.1.0-py3.12-arm64-0123456789ab").python
        '3.12'
        """
        found = _TAG.match(tag)
        return cls(version=found["version"], python=found["python"], arch=found["arch"]) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an image is made of.

    Attributes:
        target: where it runs.
        base: the image below it, a Python of the same minor version.
        synced: the worker and the packages.
        environ: variables that tell uv where packages come from.
    """

    target: Target
    base: str
    synced: Synced
    environ: Mapping[str, str]

    @property
    def tag(self) -> str:
        """Names everything that it is made of: the same packages and the same worker have the same tag."""
        lock = hashlib.sha256(self.synced.resolved.lock.to_bytes()).hexdigest()
        facts = [_FORMAT, DOCKERFILE.read_text(encoding="utf-8"), self.base, self.synced.bundle.sha256, lock]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
        version = re.sub(r"[^\w.]", "-", __version__)
        return f"{version}-py{self.target.python}-{self.target.arch}-{digest}"

    @property
    def arguments(self) -> dict[str, str]:
        """Of the build."""
        said = {"BASE_IMAGE": self.base, "PYTHON_VERSION": self.target.python, "VERSION": __version__}
        return {**said, "LOCK": self.synced.lock}

    def lay_out(self, folder: Path) -> None:
        """Write what the build copies.

        Raises:
            PlanError: a package cannot be had.
        """
        shutil.copy(DOCKERFILE, folder / "Dockerfile")
        with tarfile.open(self.synced.bundle.path) as archive:
            archive.extractall(folder / "worker", filter="data")
        if self.synced.installs:
            self._install(folder / "worker" / "lib" / f"python{self.target.python}" / "site-packages", folder)

    def install(self, site: str) -> tuple[str, ...]:
        """The words for uv that install the lock into a folder, but for the file of requirements."""
        how = ("--no-deps", "--require-hashes", *self.target.options, *self.synced.resolved.lock.indexes)
        return ("pip", "install", "--quiet", "--target", site, *how)

    def _install(self, site: Path, folder: Path) -> None:
        lock, wheels = self.synced.resolved.lock, self.synced.resolved.wheels
        lines = [lock.requirements, *(f"{each.path} --hash=sha256:{each.sha256}" for each in wheels)]
        requirements = folder / "requirements.txt"
        requirements.write_text("\n".join(lines), encoding="utf-8")
        try:
            run(*self.install(str(site)), "-r", str(requirements), environ=self.environ)
        except UvError as error:
            raise refusal(error, "the image") from None


def recipe(settings: config.Settings, *, python: str, arch: str, base: str) -> Recipe:
    """What an image for this kernel is made of.

    Args:
        settings: for the directories.
        python: the kernel's version.
        arch: of the image.
        base: the image below it.

    Raises:
        PlanError: it cannot be prepared; says why.
    """
    synced = prepare(settings, python=python, arch=arch)
    target = Target(python=".".join(python.split(".")[:2]), arch=arch)
    return Recipe(target=target, base=base, synced=synced, environ=indexes.find(config.environment(), setenv=()).here)
