"""Installing a lock on a worker: what is believed, what is installed again, and what is refused. No index is asked."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from burst_magic.environment.bundle import uv_tool
from burst_magic.environment.installed import read
from burst_magic.environment.uv import Target
from burst_magic.environment.wheels import pack
from burst_magic.errors import LaunchError, Missing, SignatureError
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.lock import InstalledPack, Lock
from burst_magic.protocol.wire.model import Manifest
from burst_magic.stores import open_store
from burst_magic.stores.retry import slept
from burst_magic.stores.store_driver import Carrier
from burst_magic.worker.install import Installer

MINOR = ".".join(platform.python_version_tuple()[:2])
TARGET = Target(python=MINOR, arch="arm64" if platform.machine() == "aarch64" else "x86_64")
SID, SECRET = "20260101-000000-aaaaaaaa", bytes(range(32))
PACKAGES = ("dill", "iniconfig")  # both are here, and pure Python


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The installer for this machine, and wheels of two packages as they are here."""
    folder = tmp_path_factory.mktemp("archives")
    packages = read(TARGET, folder).packages
    return uv_tool(TARGET, folder), {name: pack(packages[name], folder) for name in PACKAGES}


class Environment:
    """A store with a session that installs a lock."""

    def __init__(self, folder: Path, archives) -> None:
        self.folder = str(folder)
        self.store = open_store((folder / "store").as_uri())
        installer, self.wheels = archives
        for archive in (installer, *self.wheels.values()):
            self.store.put(keys.env(archive.sha256), archive.path.read_bytes())
        self.lock = Lock(
            python=MINOR,
            platform=TARGET.arch,
            requirements="",
            wheels=tuple((archive.path.name, archive.sha256) for archive in self.wheels.values()),
            indexes=("--no-index",),
            installer=installer.sha256,
            versions=tuple((name, "1") for name in PACKAGES),
        )
        self.manifest = Manifest(
            sid=SID, created=0.0, launcher="spot", workers=1, slots=1, cpu=1.0, memory_mb=1, arch=TARGET.arch, seed=0,
            deadline=0.0, idle=0.0, interval=1.0, floor=1.0,
        )  # fmt: skip
        self.sign(self.lock)

    def sign(self, lock: Lock) -> None:
        sha256 = hashlib.sha256(lock.to_bytes()).hexdigest()
        self.store.put(keys.env(sha256), lock.to_bytes())
        self.store.put(keys.SessionKeys(SID).manifest, b"is there")
        self.manifest = replace(self.manifest, lock=sha256)

    def worker(self, *, packs: bool = False, wid: str = "w") -> Installer:
        return Installer(carrier=Carrier(self.store, SECRET, slept), wid=wid, packs=packs, folder=self.folder)

    def has(self, python: str) -> list[str]:
        code = "import iniconfig, dill, sys; print(sys.prefix, iniconfig.__file__, dill.__file__)"
        said = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
        return said.stdout.split()

    def packed(self) -> str:
        """A first worker installs and packs; the sha256 of its pack."""
        self.worker(packs=True).python(self.manifest)
        return self.record().sha256

    def record(self) -> InstalledPack:
        key = keys.SessionKeys(SID).pack
        return records.decode(InstalledPack, self.store.get(key), secret=SECRET, key=key)


@pytest.fixture
def environment(tmp_path, archives):
    return Environment(tmp_path, archives)


def test_a_worker_installs_what_the_lock_names_into_an_environment_of_its_own(environment, caplog):
    python = environment.worker().python(environment.manifest)
    prefix, *files = environment.has(python)
    assert prefix != sys.prefix
    assert all(file.startswith(f"{prefix}/lib/") for file in files)
    assert "installed 2 packages" in caplog.text
    with pytest.raises(Missing):
        environment.record()  # only the first worker packs


def test_others_unpack_what_the_first_has_installed_and_packed(environment, caplog):
    sha256 = environment.packed()
    record = environment.record()
    assert (record.lock, record.by) == (environment.manifest.lock, "w")
    assert hashlib.sha256(environment.store.get(keys.env(sha256))).hexdigest() == sha256
    environment.store.delete([keys.env(environment.lock.installer)])  # nothing to install with
    caplog.clear()
    python = environment.worker().python(environment.manifest)
    prefix, *files = environment.has(python)
    assert all(file.startswith(f"{prefix}/lib/") for file in files)
    assert "unpacked 2 packages" in caplog.text


def test_a_pack_that_the_manifest_names_needs_no_record_of_this_session(environment, caplog):
    sha256 = environment.packed()
    environment.store.delete([keys.SessionKeys(SID).pack, keys.env(environment.lock.installer)])
    python = environment.worker().python(replace(environment.manifest, pack=sha256))
    assert environment.has(python)
    assert "unpacked 2 packages" in caplog.text


def spoil(environment, sha256):
    environment.store.put(keys.env(sha256), b"something else")


def remove(environment, sha256):
    environment.store.delete([keys.env(sha256)])


def forge(environment, sha256):
    """Somebody who may write to the store, and has no key of this session, names a pack of his own."""
    evil = b"anything"
    environment.store.put(keys.env(hashlib.sha256(evil).hexdigest()), evil)
    key = keys.SessionKeys(SID).pack
    record = InstalledPack(lock=environment.manifest.lock, sha256=hashlib.sha256(evil).hexdigest(), by="w")
    environment.store.put(key, records.encode(record, secret=bytes(32), key=key))


def of_another_lock(environment, sha256):
    key = keys.SessionKeys(SID).pack
    record = replace(environment.record(), lock="0" * 64)
    environment.store.put(key, records.encode(record, secret=SECRET, key=key))


@pytest.mark.parametrize("meddle", [spoil, remove, forge, of_another_lock])
def test_a_pack_that_cannot_be_believed_or_had_is_installed_again(environment, meddle, caplog):
    meddle(environment, environment.packed())
    caplog.clear()
    assert environment.has(environment.worker().python(environment.manifest))
    assert "installed 2 packages" in caplog.text


def test_a_second_pack_does_not_replace_the_first(environment):
    sha256 = environment.packed()
    environment.store.delete([keys.env(sha256)])
    environment.worker(packs=True, wid="v").python(environment.manifest)
    assert environment.record().by == "w"


def test_nothing_is_written_to_a_session_that_was_deleted_meanwhile(environment, caplog):
    environment.store.delete([keys.SessionKeys(SID).manifest])
    assert environment.has(environment.worker(packs=True).python(environment.manifest))
    assert environment.store.list("sessions") == []
    assert "were not stored for other workers" in caplog.text


@pytest.mark.parametrize("what", ["lock", "wheel", "installer"])
def test_what_is_not_what_its_name_says_is_not_used(environment, what):
    sha256 = {
        "lock": environment.manifest.lock,
        "wheel": environment.wheels["dill"].sha256,
        "installer": environment.lock.installer,
    }[what]
    environment.store.put(keys.env(sha256), b"something else")
    with pytest.raises(SignatureError, match="not what its name says"):
        environment.worker().python(environment.manifest)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"python": "3.9"}, f"the image has Python {MINOR}, and the kernel Python 3.9"),
        ({"requirements": "iniconfig==1.0"}, "must have a hash"),
        ({"requirements": "no-such-package==1.0 --hash=sha256:" + "0" * 64}, "no-such-package"),
        ({"wheels": ()}, "No module named 'dill'"),
    ],
    ids=str,
)
def test_what_cannot_be_installed_or_would_not_work_is_said(environment, change, why):
    environment.sign(replace(environment.lock, **change))
    with pytest.raises(LaunchError) as caught:
        environment.worker().python(environment.manifest)
    assert why in str(caught.value)


def test_without_a_lock_tasks_run_in_the_workers_own_environment(environment):
    assert environment.worker().python(replace(environment.manifest, lock="")) == sys.executable


def test_a_variable_of_setenv_reaches_the_installer(environment):
    """An index may ask for credentials, which travel by --setenv only."""
    environment.sign(replace(environment.lock, indexes=(), requirements="tiny==1 --hash=sha256:" + "0" * 64))
    manifest = replace(
        environment.manifest, setenv=(("UV_DEFAULT_INDEX", "http://127.0.0.1:9/mine"), ("UV_HTTP_RETRIES", "0"))
    )
    with pytest.raises(LaunchError, match=r"Failed to fetch: \*{4}/tiny/"):  # it was asked, and its address is hidden
        environment.worker().python(manifest)


def test_values_of_setenv_are_not_in_what_is_said_of_the_installer(environment):
    hidden = "hunter2-hunter2"
    lock = replace(
        environment.lock,
        requirements=f"absent==1.0 --hash=sha256:{'0' * 64}",
        indexes=("--default-index", f"http://127.0.0.1:9/{hidden}/simple"),
    )
    environment.sign(lock)
    manifest = replace(environment.manifest, setenv=(("TOKEN", hidden), ("UV_HTTP_RETRIES", "0")))
    with pytest.raises(LaunchError, match=r"could not be installed: .*127\.0\.0\.1:9") as refused:
        environment.worker().python(manifest)
    assert hidden not in str(refused.value)


def test_a_disk_that_cannot_be_written_is_said_as_what_keeps_packages_from_being_installed(environment):
    worker = environment.worker()
    worker.folder += "/not/there"
    with pytest.raises(LaunchError, match="packages of this session could not be installed: FileNotFoundError"):
        worker.python(environment.manifest)
