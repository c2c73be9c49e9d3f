"""The worker's image, built once, and bursts whose workers are containers of it. Real images, real containers.

No registry of images is needed: the base is a Debian with Python, which stands for python:X.Y-slim. All that podman
keeps is below build/containers; nothing of the user's own podman is touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from burst_magic import config, launchers
from burst_magic.capture.cell import capture_cell
from burst_magic.environment.sync import Synced
from burst_magic.errors import BurstError
from burst_magic.launchers.base import Cause, Handle, Refusal, Start, Status, Traits, WorkerState
from burst_magic.plan.planner import plan
from burst_magic.protocol.wire import sign
from burst_magic.protocol.wire.summons import Summons
from burst_magic.session.session import Session
from burst_magic.session.submit import submit
from burst_magic.testing.servers import seaweedfs

ROOT = Path(__file__).parents[3]
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
BASE, IMAGE = f"localhost/burst-test/python:{PYTHON}-slim", "localhost/burst-test/worker:built"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP = Path("/etc/pip.conf")
BASES = {"3.11": "bookworm", "3.13": "trixie"}  # code travels as bytecode: workers have the notebook's minor version
PATIENCE = 60.0
SETTINGS = """\
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
netns = "host"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{root}/storage"
runroot = "{root}/run"
"""


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
    return value


class Podman:
    """podman and buildah with a storage of their own."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        (root / "containers.conf").write_text(SETTINGS)
        (root / "storage.conf").write_text(STORAGE.format(root=root))
        self.environ = {
            **os.environ,
            "CONTAINERS_CONF": str(root / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(root / "storage.conf"),
            "DISABLE_HC_SYSTEMD": "true",  # there is no systemd to run health checks: the tests run them
        }

    def call(self, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(word) for word in words]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False, cwd=self.root)
        assert not check or done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
        return done

    def __call__(self, *words: object, check: bool = True) -> str:
        return self.call("podman", *words, check=check).stdout.strip()

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        said = self.call("podman", kind, "inspect", name, check=False)
        while "no such process" in said.stderr:  # it looks into /proc, and its process has just ended
            said = self.call("podman", kind, "inspect", name, check=False)
        assert said.returncode == 0, said.stderr
        (found,) = json.loads(said.stdout)
        return found

    def has_image(self, name: str) -> bool:
        return self.call("podman", "image", "exists", name, check=False).returncode == 0


@pytest.fixture(scope="session")
def podman() -> Iterator[Podman]:
    missing = [name for name in ("podman", "buildah", "runc", "mmdebstrap") if shutil.which(name) is None]
    assert not missing, f"missing: {', '.join(missing)}; run: make system"
    podman = Podman(ROOT / "build" / "containers")
    yield podman
    podman("rm", "--all", "--force", "--time", 0)


@pytest.fixture(scope="session")
def base(podman) -> str:
    """Stands for python:X.Y-slim, which is in a registry; made once, kept in build/containers."""
    if podman.has_image(BASE):
        return BASE
    assert PYTHON in BASES, f"no Debian has Python {PYTHON}; run the tests with one of {', '.join(BASES)}"
    archive = podman.root / "base.tar"
    finish = 'ln -s python3 "$1/usr/bin/python" && rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED'
    packages = "python3-venv,ca-certificates,libstdc++6"
    quick = ["--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/doc/*", "--variant=minbase"]
    podman.call("mmdebstrap", *quick, f"--include={packages}", f"--customize-hook={finish}", BASES[PYTHON], archive)
    podman("import", archive, BASE)
    archive.unlink()
    return BASE


@pytest.fixture(scope="session")
def image(podman, base) -> str:
    """Dockerfile.worker, built: with the machine's own ways to its package index, which stay out of the image."""
    (podman.root / "uv.toml").write_text("system-certs = true\n")
    mounts = {CERTIFICATES: CERTIFICATES, PIP: PIP, podman.root / "uv.toml": Path("/etc/uv/uv.toml")}
    volumes = [f"--volume={ours}:{theirs}:ro" for ours, theirs in mounts.items() if ours.exists()]
    how = ["--isolation", "chroot", "--network", "host", "--format", "docker", "--layers"]
    arguments = [f"--build-arg=BASE_IMAGE={base}", f"--build-arg=PYTHON_VERSION={PYTHON}"]
    podman.call("buildah", "bud", *how, *volumes, *arguments, "-f", ROOT / "Dockerfile.worker", "-t", IMAGE, ROOT)
    return IMAGE


class PodmanLauncher:
    """An engine that hides nothing: one container a worker, with a birth in its environment."""

    name = "podman"
    traits = Traits(starting_within=PATIENCE, inherits=False, stores=("s3",))
    podman: Podman  # set by the fixture
    environ: dict[str, str]
    options: tuple[str, ...] = ()
    hardening: tuple[str, ...] = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")
    image = IMAGE

    def __init__(self, logs: Path) -> None:
        """Containers keep their own logs."""

    def start(self, starts: Iterable[Start]) -> list[Handle | Refusal]:
        return [self._start(start) for start in starts]

    def _start(self, start: Start) -> Handle:
        summons = Summons(
            store=start.store,
            sid=start.sid,
            token=start.token,
            fingerprint=sign.fingerprint(bytes.fromhex(start.secret)),
            launcher=self.name,
            number=start.number,
            bundle=start.bundle,
            deadline=start.deadline,
            grace=10.0,
        )
        wid = f"{self.name}-{start.token}"
        told = [f"--env={name}={value}" for name, value in {**self.environ, **summons.variables()}.items()]
        if self.podman.call("podman", "container", "exists", wid, check=False).returncode == 0:
            return Handle(launcher=self.name, wid=wid, token=start.token)  # the same token twice is one worker
        words, entry = self.command(start)
        how = ["--detach", f"--name={wid}", f"--label=session={start.sid}", *self.hardening, *self.options, *entry]
        self.podman("run", *how, *told, self.image, *words)
        return Handle(launcher=self.name, wid=wid, token=start.token)

    def command(self, start: Start) -> tuple[tuple[str, ...], list[str]]:
        """What follows the image, and podman's options: the image knows what it runs."""
        return (), []

    def describe(self, handles: Iterable[Handle]) -> dict[str, Status]:
        return {handle.wid: self._status(handle.wid) for handle in handles}

    def _status(self, wid: str) -> Status:
        state = self.podman.inspect("container", wid)["State"]
        if state["Status"] != "exited":
            return Status(state=WorkerState.RUNNING)
        cause = Cause.MEMORY if state["OOMKilled"] else Cause.CODE
        return Status(state=WorkerState.ENDED, cause=cause, exit_code=state["ExitCode"])

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        self.podman("kill", "--signal", "KILL" if kill else "TERM", handle.wid, check=False)

    def poke(self, handle: Handle) -> None:
        """It looks by itself."""

    def find(self, sid: str, options: Mapping[str, str]) -> list[Handle]:
        names = self.podman("ps", "--all", f"--filter=label=session={sid}", "--format={{.Names}}").split()
        return [Handle(launcher=self.name, wid=name, token=name.partition("-")[2]) for name in names]

    def log(self, handle: Handle) -> str:
        done = self.podman.call("podman", "logs", handle.wid, check=False)
        return done.stdout + done.stderr


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A user whose workers are containers."""

    podman: Podman
    folder: Path
    launcher: str
    options: list[str] = field(default_factory=list)  # of podman run, for each worker
    sessions: list[Session] = field(default_factory=list)

    def burst(self, source: str, items: Iterable[object], synced: Synced | None = None, **asked: Any) -> Session:
        """What ``%%burst --launcher … --map "item in items"`` does."""
        PodmanLauncher.options = tuple(self.options)
        folders = {"config_dir": self.folder / "config", "data_dir": self.folder / "data"}
        asked = {"launcher": self.launcher, "workers": 1, "store": "s3://bucket/prefix", **asked}
        settings = replace(config.load(asked, environ={}, **folders), interval=0.5, floor=0.1)
        capture = capture_cell(source, {"items": list(items)}, map_expr="items")
        made = plan(settings, launchers.traits(self.launcher), tasks=len(list(items)))
        session = submit(capture, made, settings, home={}, synced=synced)
        self.sessions.append(session)
        return session

    def containers(self) -> list[str]:
        return self.podman("ps", "--all", "--format", "{{.Names}}").split()

    def container(self) -> str:
        """The only one."""
        (name,) = self.containers()
        return name

    def ended(self, name: str) -> int:
        """Waits for its exit code."""
        return int(self.podman("wait", name))

    def close(self) -> None:
        """Nothing is left running, nor followed."""
        for session in self.sessions:
            with contextlib.suppress(BurstError):
                session.cancel()
            session.detach()
        # One that ends at this moment cannot be removed at the first try.
        remove = ("podman", "rm", "--all", "--force", "--time", 0)
        wait_until(lambda: not self.podman.call(*remove, check=False).returncode, "the containers to be removed")


@pytest.fixture(scope="session")
def server():
    with seaweedfs() as server:
        server.bucket("bucket")
        yield server


@pytest.fixture
def fleet(podman, image, server, tmp_path, monkeypatch) -> Iterator[Fleet]:
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)
    PodmanLauncher.podman, PodmanLauncher.environ = podman, server.environ
    forget = launchers.register("podman", PodmanLauncher)
    fleet = Fleet(podman=podman, folder=tmp_path, launcher="podman")
    yield fleet
    fleet.close()
    forget()
