"""Installs what the session's lock names, on a worker that began in a bare Python.

What a worker of this session, or of an earlier one of the same user, has installed and packed is unpacked, in seconds.
A worker that finds no pack installs by itself at once and waits for nobody, who might be dead. The session's first
worker packs what it installed, before any task runs, and stores the pack for the others.

A pack is believed if the manifest names its sha256, or a record that is signed with the session's key. Every other byte
is checked too: the lock and its wheels against their names, which begin in the manifest; other packages by uv, against
the lock's hashes.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import logging
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zlib
from collections.abc import Iterator
from dataclasses import field

from burst_magic import config
from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError, LaunchError, Missing, RecordError, SignatureError, StoreError
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.lock import InstalledPack, Lock
from burst_magic.protocol.wire.model import Manifest
from burst_magic.stores.store_driver import Carrier
from burst_magic.worker import stage0

_LOG = logging.getLogger(__name__)
_PART = 16 << 20  # bytes read from the store at a time
_LEVEL = 1  # of compression: the store is near, and a worker has a core or so
_OURS = ("bin/python", "bin/python3", "pyvenv.cfg")  # of a virtual environment: each machine has its own
_TOLD = 2000  # characters of what uv says, from its end
_NOT_INSTALLED = "the packages of this session could not be installed"
_SAME = "import dill, sys; sys.stdout.write(dill.__version__)"


@dataclass(slots=True, kw_only=True)
class Installer:
    """Brings the slots' packages onto this machine.

    Args:
        carrier: the store, with the session's key.
        wid: this worker, which signs what it packs.
        packs: it is the one that packs what it installs, unless that was done already.
        folder: for what it makes.

    Attributes:
        doing: for people, while ``python`` runs.
    """

    carrier: Carrier
    wid: str
    packs: bool
    folder: str = field(default_factory=tempfile.gettempdir)
    doing: str = field(default="installing", init=False)

    def python(self, manifest: Manifest) -> str:
        """Install, and return the interpreter that has it all.

        Raises:
            BurstError: it cannot be installed; says why.
        """
        if not manifest.lock:
            return sys.executable
        try:
            return self._brought(manifest)
        except (OSError, tarfile.TarError, EOFError, zlib.error) as fault:  # a full disk, for example
            raise LaunchError(f"{_NOT_INSTALLED}: {type(fault).__name__}: {fault}") from fault

    def _brought(self, manifest: Manifest) -> str:
        lock = Lock.from_bytes(self._verified(manifest.lock))
        self._check_version(lock)
        began = time.monotonic()
        root = tempfile.mkdtemp(prefix="burst-environment-", dir=self.folder)
        place = os.path.join(root, "env")  # of one name on all machines, since scripts may contain it
        known = self._known_pack(manifest)
        how = "unpacked"
        if not (known and self._unpacked(known, place)):
            how, self.doing = "installed", f"installing {len(lock.versions)} packages"
            _virtual_environment(place)
            self._install(lock, manifest, root, place)
        python = _checked(place)
        _LOG.warning("%s %d packages in %.1f s", how, len(lock.versions), time.monotonic() - began)
        if how == "installed" and self.packs and not known:
            self._pack(manifest, root, place)
        return python

    def _check_version(self, lock: Lock) -> None:
        here = f"{sys.version_info.major}.{sys.version_info.minor}"
        if lock.python != here:
            raise LaunchError(f"the image has Python {here}, and the kernel Python {lock.python}")

    def _verified(self, sha256: str) -> bytes:
        """A small object of the environment."""

        def read() -> bytes:
            data = self.carrier.fetch(keys.env(sha256))
            found = hashlib.sha256(data).hexdigest()
            if found != sha256:
                raise SignatureError("an object is not what its name says; it was not used", context=keys.env(sha256))
            return data

        return self.carrier.believed(read)

    # --- packs -----------------------------------------------------------------------------------------------

    def _known_pack(self, manifest: Manifest) -> str:
        """The sha256 of a pack that is believed, or ""."""
        if manifest.pack:
            return manifest.pack
        key = keys.SessionKeys(manifest.sid).pack
        try:
            record = self.carrier.record(InstalledPack, key)
        except (Missing, RecordError, SignatureError):
            return ""
        return record.sha256 if record.lock == manifest.lock else ""

    def _unpacked(self, sha256: str, place: str) -> bool:
        """Whether the pack is there, and is what was named; if not, this worker installs."""
        self.doing = "unpacking packages"
        with tempfile.TemporaryFile(dir=self.folder) as file:
            try:
                seen = hashlib.sha256()
                for part in self._parts(keys.env(sha256)):
                    seen.update(part)
                    file.write(part)
            except StoreError as fault:
                _LOG.warning("pack %s cannot be had: %s", sha256, fault.problem)
                return False
            if seen.hexdigest() != sha256:
                _LOG.warning("pack %s is not what its name says; it was not used", sha256)
                return False
            file.seek(0)
            _virtual_environment(place)
            with tarfile.open(fileobj=file, mode="r:gz") as archive:
                stage0.extract(archive, place)
        return True

    def _parts(self, key: str) -> Iterator[bytes]:
        start = 0
        while part := self.carrier.fetch(key, start=start, end=start + _PART):
            yield part
            start += len(part)
            if len(part) < _PART:
                return

    def _pack(self, manifest: Manifest, root: str, place: str) -> None:
        """Pack before a task can change anything. Readers check the bytes by their name, and the name by the record."""
        self.doing = "packing packages for other workers"
        path = os.path.join(root, "pack.tar.gz")
        session = keys.SessionKeys(manifest.sid)
        try:
            _archive(place, path)
            record = InstalledPack(lock=manifest.lock, sha256=_digest(path), by=self.wid)
            self.carrier.store.put(keys.env(record.sha256), _chunks(path))
            self.carrier.fetch(session.manifest)  # nothing is written behind the deletion of a session
            self.carrier.create(session.pack, self.carrier.encode(record, session.pack))  # or another one was first
        except (BurstError, OSError) as fault:
            _LOG.warning("the installed packages were not stored for other workers: %s", fault)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    # --- installing ------------------------------------------------------------------------------------------

    def _install(self, lock: Lock, manifest: Manifest, root: str, place: str) -> None:
        """Run uv; it checks hashes, and builds nothing."""
        tools = os.path.join(root, "tools")
        os.mkdir(tools)
        archive = os.path.join(tools, "uv.tar.gz")
        with open(archive, "wb") as file:
            file.write(self._verified(lock.installer))
        with tarfile.open(archive, mode="r:gz") as opened:
            stage0.extract(opened, tools)
        lines = [lock.requirements]
        for name, sha256 in lock.wheels:
            path = os.path.join(tools, os.path.basename(name))
            with open(path, "wb") as file:
                file.write(self._verified(sha256))
            lines.append(f"{path} --hash=sha256:{sha256}")
        requirements = os.path.join(tools, "requirements.txt")
        with open(requirements, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
        command = [
            *(os.path.join(tools, "uv"), "pip", "install", "--quiet", "--python", os.path.join(place, "bin", "python")),
            *("--no-config", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--compile-bytecode"),
            *("--cache-dir", os.path.join(root, "cache"), "--no-progress", "--color", "never"),
            *(*lock.indexes, "-r", requirements),
        ]
        # Variables of --setenv may hold credentials of an index.
        done = subprocess.run(
            command,
            env={**config.environment(), **dict(manifest.setenv)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        _remove(os.path.join(root, "cache"))
        if done.returncode:
            from burst_magic.worker.slots.mask import Mask

            said = " ".join(Mask(manifest.setenv).text(done.stderr).split())[-_TOLD:]
            raise LaunchError(f"{_NOT_INSTALLED}: {said}")


def _virtual_environment(place: str) -> None:
    """Of the image's own Python; its scripts do not contain the place."""
    venv.EnvBuilder(symlinks=True, with_pip=False).create(place)
    with open(os.path.join(place, "pyvenv.cfg"), "a", encoding="utf-8") as file:
        file.write("relocatable = true\n")


def _checked(place: str) -> str:
    """The interpreter, if tasks have the dill that this worker and the kernel have: they exchange pickles."""
    import dill

    python = os.path.join(place, "bin", "python")
    done = subprocess.run([python, "-I", "-c", _SAME], capture_output=True, text=True, check=False)
    if done.stdout != dill.__version__:
        found = done.stdout or " ".join(done.stderr.split())[-_TOLD:]
        raise LaunchError(f"tasks would have another dill than the kernel's {dill.__version__}: {found}")
    return python


def _archive(place: str, to: str) -> None:
    """The files of a virtual environment, but for its interpreter."""
    with (
        open(to, "wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=_LEVEL) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for folder, _, names in sorted(os.walk(place)):
            for name in sorted(names):
                path = os.path.join(folder, name)
                inside = os.path.relpath(path, place)
                if not os.path.islink(path) and not inside.startswith(_OURS):
                    archive.add(path, inside, filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _chunks(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while part := file.read(_PART):
            yield part


def _digest(path: str) -> str:
    seen = hashlib.sha256()
    for part in _chunks(path):
        seen.update(part)
    return seen.hexdigest()


def _remove(folder: str) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
