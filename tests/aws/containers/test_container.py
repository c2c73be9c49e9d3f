"""The worker's image, built with buildah, and bursts on containers of it, run by podman over SeaweedFS."""

from __future__ import annotations

import time

import pytest

from burst_magic.errors import WorkerLost
from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import EndCause, Gone
from burst_magic.stores import open_store

from .conftest import IMAGE, wait_until

MB = 1_000_000


def test_the_image_is_small_and_says_what_it_is(podman, base, image):
    ours, theirs = podman.inspect("image", image), podman.inspect("image", base)
    assert ours["Size"] - theirs["Size"] < 80 * MB
    config = ours["Config"]
    assert config["Entrypoint"] == ["python", "-m", "burst_magic.worker.watchdog"]
    assert config.get("Cmd") is None
    assert config["User"] == "10001"
    assert list(config["Volumes"]) == ["/tmp"]
    assert ours["Healthcheck"]["Test"] == ["CMD", "python", "-m", "burst_magic.worker.health"]
    assert config["Labels"]["org.opencontainers.image.title"] == "burst_magic worker"


def test_the_image_holds_the_workers_packages_and_nothing_that_built_it(podman, image):
    listed = "import importlib.metadata as m, sys; print(*sorted({d.name.lower() for d in m.distributions(path=[p for p in sys.path if '/opt/' in p])}))"
    names = podman("run", "--rm", "--entrypoint", "python", image, "-c", listed).split()
    assert (
        {"burst_magic", "dill", "obstore"}
        <= set(names)
        <= {"burst_magic", "dill", "obstore", "typing-extensions", "typing_extensions"}
    )
    said = podman("run", "--rm", "--entrypoint", "ls", image, "/opt", "/src", "/etc/pip.conf", "/etc/uv", check=False)
    assert said.split() == ["/opt:", "worker"]


WHO = """
import os, pathlib
def refused(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__ if error.errno != 30 else "read-only"
    return "done"
def births():
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                found += [name for name in (folder / "environ").read_bytes().split(b"\\0") if name.startswith(b"BURST_BIRTH_")]
            except OSError:
                pass
    return found
def mapped(pid):
    return open(f"/proc/{pid}/mem", "rb").close()
{
    "uid": os.getuid(),
    "folder": os.getcwd(),
    "command": pathlib.Path("/proc/1/cmdline").read_bytes().split(b"\\0")[:3],
    "writes": [refused(pathlib.Path(place, "x").touch) for place in ("/", "/opt/worker", "/tmp")],
    "births": births(),
    "memory": [refused(lambda: mapped(pid)) for pid in (1, os.getppid())],
}"""


def test_a_task_is_not_root_writes_to_tmp_only_and_reads_nothing_of_the_worker(fleet):
    (seen,) = fleet.burst(WHO, range(1)).results()
    assert (seen["uid"], seen["folder"]) == (10001, "/tmp")
    assert seen["command"] == [b"python", b"-m", b"burst_magic.worker.watchdog"]
    assert seen["writes"] == ["read-only", "read-only", "done"]
    assert seen["births"] == []
    assert seen["memory"][0] == "PermissionError"


def test_sixty_four_tasks_on_three_containers(fleet):
    session = fleet.burst("import os, socket, time\ntime.sleep(0.1)\nitem ** 2", range(64), workers=3)
    assert list(session.results()) == [number**2 for number in range(64)]
    assert (session.status().completed, len(fleet.containers())) == (64, 3)
    session.cancel()
    assert [fleet.ended(name) for name in fleet.containers()] == [ExitCode.FINISHED] * 3


def test_sigterm_drains_a_container_in_time(fleet, server):
    session = fleet.burst("import time\nprint('begun', flush=True)\ntime.sleep(3)\nitem + 10", range(1))
    wait_until(lambda: session.status().running, "the task to run")
    name = fleet.container()
    fleet.podman("stop", "--time", 20, name)
    assert fleet.ended(name) == ExitCode.DRAINED
    assert list(session.results()) == [10]
    store = open_store(session.store.url, credentials=server.credentials)
    key = keys.SessionKeys(session.id).gone(name)
    end = records.decode(Gone, store.get(key), secret=bytes.fromhex(session.key), key=key)
    assert (end.cause, end.exit_code) == (EndCause.TERM, ExitCode.DRAINED)


def test_a_task_that_eats_the_containers_memory_is_told_and_the_worker_goes_on(fleet):
    fleet.options.append("--memory=256m")
    session = fleet.burst("len(bytearray(item * 2**20))", [1, 1024, 2])
    results = session.results()
    assert (results[0], results[2]) == (2**20, 2**21)
    with pytest.raises(WorkerLost, match="memory"):
        results[1]
    assert fleet.podman.inspect("container", fleet.container())["State"]["Status"] == "running"


def test_a_container_whose_worker_is_out_of_memory_ends_with_137(fleet):
    fleet.options.append("--memory=12m")
    fleet.burst("item", range(1))
    assert fleet.ended(fleet.containers()[0]) == 137


STOP = """
import os, pathlib, signal
for folder in pathlib.Path("/proc").iterdir():
    if folder.name.isdigit() and (folder / "cmdline").read_bytes().find(b"\\0-m\\0burst_magic.worker\\0") > 0:
        os.kill(int(folder.name), signal.SIGSTOP)"""


def health(podman, name):
    return podman.call("podman", "healthcheck", "run", name, check=False)


PLANT = "import pathlib\npathlib.Path('contextlib.py').write_text('raise SystemExit(3)')"


def test_a_container_is_healthy_until_its_worker_is_stopped_whatever_tasks_leave_in_tmp(fleet):
    session = fleet.burst(f"{PLANT}\nitem", range(1))
    assert list(session.results()) == [0]
    name = fleet.container()
    assert health(fleet.podman, name).returncode == 0
    fleet.podman("exec", name, "python", "-c", STOP)
    assert health(fleet.podman, name).returncode == 1


def test_a_container_without_a_birth_says_what_is_missing(podman, image):
    done = podman.call("podman", "run", "--rm", IMAGE, check=False)
    assert done.returncode == ExitCode.REFUSED
    assert "BURST_BIRTH_DEADLINE" in done.stderr


def test_a_container_with_another_key_ends_at_once(fleet, server):
    session = fleet.burst("item", range(1))
    assert list(session.results()) == [0]
    birth = {
        name: value
        for name, _, value in (
            each.partition("=") for each in fleet.podman.inspect("container", fleet.container())["Config"]["Env"]
        )
        if name.startswith(("BURST_BIRTH_", "AWS_"))
    }
    fingerprint = birth["BURST_BIRTH_FINGERPRINT"]
    store = open_store(session.store.url, credentials=server.credentials)
    store.put(keys.session_key(session.id, fingerprint), bytes(32))
    began = time.monotonic()
    done = fleet.podman.call("podman", "run", "--rm", *(f"--env={n}={v}" for n, v in birth.items()), IMAGE, check=False)
    assert done.returncode == ExitCode.UNTRUSTED
    assert "stored key doesn't match its fingerprint" in done.stderr
    assert fingerprint not in done.stderr
    assert time.monotonic() - began < 30
