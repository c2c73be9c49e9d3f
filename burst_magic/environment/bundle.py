"""What makes a bare Python container a worker: burst_magic and what a worker imports, as one archive.

It is made once for each version, Python and architecture, kept in the user's data directory, and stored under its
sha256. That travels in RunTask's own environment, so stage 0 needs to believe nobody else. uv is an archive of its own:
only a worker that installs needs it.
"""

from __future__ import annotations

import compileall
import gzip
import hashlib
import importlib.metadata
import json
import os
import py_compile
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from burst_magic import config
from burst_magic.dataclass import dataclass
from burst_magic.environment.uv import Target, UvError, refusal, run
from burst_magic.worker import stage0

WORKER = ("dill", "obstore", "threadpoolctl")  # what a worker imports; its slots import the kernel's dill, too
_THEIRS = ("typing-extensions",)  # what these need; at the kernel's version where it has them
_FORMAT = 1  # counts up when archives are made in another way
_SOURCES = Path(config.__file__).parent
_STAYS_HERE = ("testing", "__pycache__")  # of burst_magic
_LEVEL = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A file of the user's data directory that is stored under its sha256."""

    sha256: str
    path: Path


def stage0_command() -> tuple[str, ...]:
    """What a container of a stock Python runs first."""
    return ("python", "-I", "-c", Path(stage0.__file__).read_text(encoding="utf-8"))


def worker_bundle(target: Target, folder: Path, *, environ: Mapping[str, str] | None = None) -> Archive:
    """The worker for a platform, as a virtual environment without its interpreter.

    Args:
        target: the platform.
        folder: where archives are kept.
        environ: variables that tell uv where packages come from.

    Raises:
        PlanError: a package cannot be had.
    """
    versions = dict(_installed((*WORKER, *_THEIRS)))
    facts = [_FORMAT, "worker", target.python, target.arch, versions, _digest(_SOURCES)]

    def fill(root: Path) -> None:
        site = root / "lib" / f"python{target.python}" / "site-packages"
        _download([f"{name}=={version}" for name, version in versions.items()], target, site, environ)
        shutil.rmtree(site / "bin", ignore_errors=True)
        (site / ".lock").unlink(missing_ok=True)  # uv's
        shutil.copytree(_SOURCES, site / _SOURCES.name, ignore=shutil.ignore_patterns(*_STAYS_HERE))
        # Of this very minor version; valid whatever becomes of the files' times.
        compileall.compile_dir(
            str(site), quiet=2, stripdir=str(root), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH
        )

    return _kept(folder, "worker", facts, fill)


def uv_tool(target: Target, folder: Path, *, environ: Mapping[str, str] | None = None) -> Archive:
    """The installer, for a platform, in this kernel's version.

    Raises:
        PlanError: it cannot be had.
    """
    versions = dict(_installed(("uv",)))

    def fill(root: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="burst-uv-") as place:
            _download([f"uv=={versions['uv']}"], target, Path(place), environ)
            shutil.copy2(Path(place) / "bin" / "uv", root / "uv")

    return _kept(folder, "uv", [_FORMAT, "uv", target.arch, versions], fill)


def _installed(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in names:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue


def _download(wanted: Sequence[str], target: Target, place: Path, environ: Mapping[str, str] | None) -> None:
    try:
        run("pip", "install", "--quiet", *target.options, "--target", str(place), *wanted, environ=environ)
    except UvError as error:
        raise refusal(error, "the worker for " + f"Python {target.python} on {target.arch}") from None


def _digest(folder: Path) -> str:
    """Of the files of a package, as they are now: an editable checkout changes."""
    seen = hashlib.sha256()
    for path in _files(folder):
        seen.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return seen.hexdigest()


def _files(folder: Path) -> list[Path]:
    inside = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in inside if not set(path.relative_to(folder).parts) & set(_STAYS_HERE))


def _kept(folder: Path, name: str, facts: list[object], fill: Callable[[Path], None]) -> Archive:
    """The archive that was made of the same facts before, or a new one."""
    made_of = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    for path in folder.glob(f"{name}-{made_of}-*.tar.gz"):
        return Archive(sha256=path.name.removesuffix(".tar.gz").rpartition("-")[2], path=path)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="burst-bundle-") as place:
        root = Path(place) / "root"
        root.mkdir()
        fill(root)
        draft = folder / f"{name}-{made_of}.{os.getpid()}"
        try:
            pack(root, draft)
            with draft.open("rb") as file:
                sha256 = hashlib.sha256(file.read()).hexdigest()
            path = draft.replace(folder / f"{name}-{made_of}-{sha256}.tar.gz")
        finally:
            draft.unlink(missing_ok=True)
    return Archive(sha256=sha256, path=path)


def pack(root: Path, to: Path) -> None:
    """A folder's files as an archive: the same files give the same bytes."""
    with (
        to.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=_LEVEL, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            member = tarfile.TarInfo(path.relative_to(root).as_posix())
            member.size = path.stat().st_size
            member.mode = 0o755 if os.access(path, os.X_OK) else 0o644
            with path.open("rb") as content:
                archive.addfile(member, content)
