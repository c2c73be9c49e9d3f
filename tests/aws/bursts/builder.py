"""Somebody who builds images in CodeBuild: a worker of one file and a package of one module, so that it takes no time."""

from __future__ import annotations

import hashlib
import io
import platform
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from uv import find_uv_bin

from burst_magic import config
from burst_magic.aws.ecr import Repository, RepositoryPlace
from burst_magic.aws.setup import Account, SetupWishes, prepare
from burst_magic.aws.setup import settings as settings_of
from burst_magic.environment.bundle import Archive
from burst_magic.environment.image import Recipe
from burst_magic.environment.lock import Resolved
from burst_magic.environment.sync import Synced
from burst_magic.environment.uv import Target
from burst_magic.magics import remote_images
from burst_magic.protocol.wire.lock import Lock
from burst_magic.testing.sandbox import Sandbox

PYTHON = ".".join(platform.python_version_tuple()[:2])


def archive(path: Path, **files: bytes) -> Archive:
    with tarfile.open(path, "w:gz") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o755
            packed.addfile(member, io.BytesIO(content))
    return kept(path)


def kept(path: Path) -> Archive:
    return Archive(sha256=hashlib.sha256(path.read_bytes()).hexdigest(), path=path)


def wheel(folder: Path, name: str) -> Archive:
    """A package of one module."""
    path, about = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{name}.py", "said = 'here'\n")
        packed.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        packed.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{about}/RECORD", "")
    return kept(path)


def with_repository(cloud: Sandbox) -> Mapping[str, str]:
    """Adds a repository and a build project to the stack; returns the settings."""
    wishes, account = SetupWishes(repository=True), Account("us-east-1", cloud.administrator.clients)
    return settings_of(prepare(wishes, account).deploy(lambda _: None)[0])


class Builder:
    """Builds with what the settings say.

    Args:
        found: settings of the stack.
    """

    def __init__(self, cloud: Sandbox, folder: Path, found: Mapping[str, str]) -> None:
        self.cloud, self.base = cloud, f"{found['aws.image']}:{PYTHON}-slim"
        self.environ = {f"BURST_AWS_{key.upper()}": found[f"aws.{key}"] for key in ("repository", "build_project")}
        self.said: list[str] = []
        self.worker = archive(folder / "worker.tar.gz", **{"lib/worker.py": b"runs = True\n"})
        self.uv = archive(folder / "uv.tar.gz", uv=f'#!/bin/sh\nexec {find_uv_bin()} "$@"\n'.encode())
        self.wheel = wheel(folder, "of_mine")

    def recipe(self, **changes) -> Recipe:
        lock = Lock(python=PYTHON, platform="x86_64", requirements="", wheels=((self.wheel.path.name, self.wheel.sha256),),
                    versions=(("of_mine", "1.0"),))  # fmt: skip
        resolved = Resolved(lock=lock, wheels=(self.wheel,))
        synced = Synced(bundle=self.worker, installer=self.uv, resolved=resolved)
        target = Target(python=PYTHON, arch="x86_64")
        return replace(Recipe(target=target, base=self.base, synced=synced, environ={}), **changes)

    @property
    def settings(self) -> config.Settings:
        return config.load()

    @property
    def repository(self) -> Repository:
        return Repository(RepositoryPlace.of(self.settings.aws["repository"]))

    def name(self, made: Recipe) -> str:
        return f"{self.settings.aws['repository']}:{made.tag}"

    def build(self, made: Recipe) -> str:
        self.said.clear()
        return remote_images.build(made, self.name(made), self.settings, tell=self.said.append)

    def sources(self) -> list[str]:
        found = self.cloud.administrator.clients.of("s3").list_objects_v2(Bucket=self.cloud.stack.bucket)
        return [each["Key"] for each in found.get("Contents", ()) if "/builds/" in each["Key"]]
