"""Whole sessions on an S3 that makes trouble: all end right, each reader gets each result once (laws 1, 2, 6, 7)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

import burst_magic as burst
from burst_magic.errors import Denied, StoreError
from burst_magic.launchers.local import process_birth
from burst_magic.testing.proxy import Trouble, calm, proxy, seeded
from burst_magic.testing.servers import Server

TASKS, WORKERS, READERS = 1000, 2, 2
FLOOR, INTERVAL = 0.15, 0.4  # seconds
PATIENCE = 120.0  # seconds; a calm job takes one or two
REFUSALS = {Trouble.EXPIRED, Trouble.DENIED}
# What does not verify is read four times; with more of it one of some thousand reads would be given up.
ALONE = [{trouble: 0.08 if trouble is Trouble.CUT else 0.15} for trouble in Trouble if trouble not in REFUSALS]
TOGETHER = {trouble: 0.02 for trouble in Trouble if trouble not in REFUSALS} | {Trouble.CONFLICT: 0.3}


# This module is not what its file says: pytest rewrites assertions.
pytestmark = pytest.mark.filterwarnings("ignore:.*has changed since it was imported here:UserWarning")


def told_apart(item):
    """Another run of the same task gives another value."""
    time.sleep(0.001)
    return item * item, os.urandom(8)


def slowly_told_apart(item):
    """The session lasts long enough for somebody to do something in the middle."""
    time.sleep(0.005)
    return told_apart(item)


def slow(item):
    time.sleep(0.2)
    return item


def settle(patch: pytest.MonkeyPatch, home, server: Server) -> None:
    """A user with directories of his own, in a hurry, for whom this server is AWS."""
    own = {
        "BURST_CONFIG_DIR": str(home / "config"), "BURST_DATA_DIR": str(home / "data"),
        "BURST_INTERVAL": str(INTERVAL), "BURST_FLOOR": str(FLOOR),
        "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }  # fmt: skip
    for name, value in {**own, **server.environ}.items():
        patch.setenv(name, value)


@pytest.fixture(scope="module")
def road(seaweedfs_server):
    with proxy(seaweedfs_server) as running:
        yield running


@pytest.fixture(params=["seaweedfs", "moto"])
def any_road(request):
    with proxy(request.getfixturevalue(f"{request.param}_server")) as running:
        yield running


@pytest.fixture
def warm(road, warm_session):
    """A session whose workers have worked before: a job costs what its tasks cost."""
    yield warm_session
    road.script = calm


@pytest.fixture(scope="module")
def warm_session(road, tmp_path_factory):
    home = tmp_path_factory.mktemp("warm")
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, home, road.server)
        session = burst.map(told_apart, range(10), workers=WORKERS, store=f"s3://contract/{home.name}").wait()
        yield session
        session.cleanup(force=True)


def handed_out(session):
    """What a reader gets while the job runs."""
    given = {}
    for task, value in session.as_completed():
        assert task not in given
        given[task] = value
    return given


def ends_right(session, *, late_readers=1):
    """Two readers at once, from the start; others behind ``final``."""
    name, store = f"{session.id}/{session.job}", session.store.url
    other = burst.attach(name, store=store)
    with ThreadPoolExecutor(READERS) as pool:
        one, two = pool.map(handed_out, [session, other])
    for given, reader in ((one, session), (two, other)):
        assert {task: value for task, (value, _) in given.items()} == {task: task * task for task in range(TASKS)}
        assert given == dict(enumerate(reader.results()))  # law 1: what was handed out stays what it was
    until_final(session)
    late = [burst.attach(name, store=store) for _ in range(late_readers)]
    seen = [list(reader.results()) for reader in late]
    assert all(values == seen[0] for values in seen)
    assert [value for value, _ in seen[0]] == [task * task for task in range(TASKS)]
    for reader in (session, other, *late):
        reader.detach()


def until_final(session):
    end = time.monotonic() + PATIENCE
    while session.status().ended != "finished":
        assert time.monotonic() < end


def most_requests(session, seconds: float, share: float) -> float:
    """What a job may ask of the store: by what it did and how long it took, and no more than one more for each trouble.

    A segment is looked for, written, and read by four readers; a reader polls results each f/4, a worker looks each f.
    """
    segments = len(session.store.list(f"sessions/{session.id}/jobs/{session.job}/results"))
    polls = READERS * (4 / FLOOR + 3 / INTERVAL) + WORKERS * (3 / FLOOR + 3 / INTERVAL)
    return (80 + 8 * segments + polls * seconds) / (1 - share)


def play(road, start, shares: Mapping[Trouble, float], seed: int, **options):
    road.script = seeded(seed, shares)
    road.counts.clear()
    road.met.clear()
    began = time.monotonic()
    session = start()
    ends_right(session, **options)
    took, asked = time.monotonic() - began, road.counts.total()
    road.script = calm
    assert set(road.met) == set(shares)
    assert asked < most_requests(session, took, sum(shares.values()))
    return session


@pytest.mark.parametrize("shares", ALONE, ids=lambda shares: next(iter(shares)).name)
def test_a_job_ends_right_under_each_trouble(road, warm, shares):
    if Trouble.CONFLICT in shares:
        shares = {Trouble.CONFLICT: 0.7}  # of the few requests that it can befall
    play(road, lambda: burst.map(told_apart, range(TASKS), session=warm), shares, seed=3)


def test_a_session_ends_right_under_all_troubles_at_once(any_road, tmp_path, monkeypatch):
    settle(monkeypatch, tmp_path, any_road.server)
    store = f"s3://contract/{tmp_path.name}"
    start = lambda: burst.map(told_apart, range(TASKS), workers=WORKERS, store=store)  # noqa: E731
    play(any_road, start, TOGETHER, seed=5, late_readers=3).cleanup(force=True)
    assert left_over(any_road, tmp_path.name) == []


def left_over(road, prefix):
    found = road.server.clients.of("s3").list_objects_v2(Bucket="contract", Prefix=f"{prefix}/sessions/")
    return [entry["Key"] for entry in found.get("Contents", [])]


def test_a_write_whose_every_first_reply_is_lost_counts_once(road, warm):
    seen, lock = set(), threading.Lock()

    def first_is_lost(request):
        with lock:
            if request.method != "PUT" or request.path in seen:
                return None
            seen.add(request.path)
            return Trouble.DOUBTFUL if len(seen) % 2 else Trouble.LOST

    road.script = first_is_lost
    ends_right(burst.map(told_apart, range(TASKS), session=warm))


def read_only(request):
    return Trouble.DENIED if request.method != "GET" else None


def test_a_bucket_that_becomes_read_only_is_told_once_and_the_session_goes_on_when_it_is_cured(road, warm):
    session = burst.map(told_apart, range(TASKS), session=warm)
    readings = session.as_completed()
    given = dict([next(readings)])
    road.script = read_only
    with pytest.raises(Denied, match="the store denies access: AccessDenied"):
        given.update(readings)
    assert 0 < len(given) < TASKS
    began = time.monotonic()
    road.counts.clear()
    assert session.results().collect(wait=False).count(burst.PENDING) <= TASKS - len(given)
    time.sleep(1.0)  # how much the refused workers ask of the store
    asked = road.counts.total()
    assert asked < 100 * (time.monotonic() - began)
    road.script = calm
    values = list(session.results())
    assert [value for value, _ in values] == [task * task for task in range(TASKS)]
    assert {task: values[task] for task in given} == given
    session.detach()


@pytest.mark.parametrize("kind", ["PUT results", "PUT claims"])
def test_a_store_that_takes_heartbeats_and_no_results_is_told_and_the_session_goes_on_when_it_is_cured(
    road, warm, kind
):
    road.script = lambda request: Trouble.DENIED if request.kind == kind else None
    session = burst.map(told_apart, range(TASKS), session=warm)
    given = {}
    with pytest.raises(StoreError, match="the store denies access: AccessDenied"):
        given.update(session.as_completed())
    assert given == {}
    status = session.status()
    assert status.waiting == "the store refuses the workers' writes: the store denies access: AccessDenied"
    road.script = calm
    assert [value for value, _ in session.results()] == [task * task for task in range(TASKS)]
    assert session.status().waiting == ""
    session.detach()


def test_a_read_only_bucket_refuses_a_submission_in_one_sentence_and_nothing_starts(road, warm, tmp_path, monkeypatch):
    settle(monkeypatch, tmp_path, road.server)
    road.script = read_only
    for where in (f"s3://contract/{tmp_path.name}", warm.store.url):
        with pytest.raises(Denied, match="the store denies access"):
            burst.map(told_apart, range(10), workers=1, store=where)
    assert not list(tmp_path.rglob("*.log"))
    assert left_over(road, tmp_path.name) == []


def test_credentials_that_are_refused_early_are_renewed_and_if_there_are_none_it_is_said(
    moto_server, tmp_path, monkeypatch
):
    expired = set()
    file = tmp_path / "credentials"

    def sign_in(access):
        draft = tmp_path / "draft"
        draft.write_text(f"[default]\naws_access_key_id = {access}\naws_secret_access_key = anything\n")
        draft.replace(file)

    with proxy(moto_server) as road:
        road.script = lambda request: Trouble.EXPIRED if request.access in expired else None
        settle(monkeypatch, tmp_path, road.server)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        sign_in("first")
        session = burst.map(slowly_told_apart, range(TASKS), workers=WORKERS, store=f"s3://contract/{tmp_path.name}")
        given, readings = {}, session.as_completed()
        given.update([next(readings)])
        sign_in("second")
        expired.add("first")  # nobody is told: all ask their helpers
        given.update([next(readings) for _ in range(50)])
        expired.add("second")
        with pytest.raises(Denied, match="ExpiredToken"):
            given.update(readings)
        assert len(given) < TASKS
        sign_in("third")
        values = list(session.results())
        assert [value for value, _ in values] == [task * task for task in range(TASKS)]
        assert {task: values[task] for task in given} == given
        session.cleanup(force=True)


def test_a_worker_that_is_cut_off_from_its_store_still_ends_with_the_deadline(moto_server, tmp_path, monkeypatch):
    with proxy(moto_server) as road:
        settle(monkeypatch, tmp_path, road.server)
        store = f"s3://contract/{tmp_path.name}"
        session = burst.map(slow, range(1000), workers=1, slots=6, store=store, deadline=8)
        next(session.as_completed())
        (worker,) = session.status().workers
        session.detach()
        road.script = lambda _: Trouble.DROPPED
        pid = int(worker.wid.split("-")[-2])
        end = session.manifest.deadline + 3 * INTERVAL + 5.0
        while process_birth(pid) is not None:
            assert time.time() < end
            time.sleep(0.05)
        assert time.time() >= session.manifest.deadline


FULL = """
import contextlib, os, subprocess, sys, threading, time
import burst_magic as burst
from burst_magic.errors import StoreError

def mount(*options):
    subprocess.run(["mount", *options, folder], check=True)

def heavy(item):
    import os, time
    time.sleep(0.002)
    return item, os.urandom(4000)

def fill(full, over):  # and what workers give back as their own writes fail
    with contextlib.suppress(OSError), open(folder + "/filler", "wb", buffering=0) as filler:
        while not over.wait(0.0005):
            with contextlib.suppress(OSError):
                while filler.write(bytes(4096)):
                    pass
            full.set()

def debris():
    return [name for _, _, names in os.walk(folder) for name in names if "#" in name and name != "#store"]

folder = sys.argv[1]
os.mkdir(folder)
mount("-t", "tmpfs", "-o", "size=600k", "none")
session = burst.map(heavy, range(300), workers=2, store="file://" + folder)
given, told = {}, []
try:
    given.update(session.as_completed())
except StoreError as error:
    told.append(error.problem)
assert told == ["the store's disk is full: No space left on device"], told
assert 0 < len(given) < 300, len(given)
there = [value for value in session.results().collect(wait=False) if value is not burst.PENDING]
assert len(there) >= len(given)
full, over = threading.Event(), threading.Event()
filler = threading.Thread(target=fill, args=(full, over))
filler.start()
full.wait()
try:
    burst.map(heavy, range(300), workers=2, store="file://" + folder)
except StoreError as error:
    told.append(error.problem)
over.set()
filler.join()
assert told[1:] == told[:1], told
os.remove(folder + "/filler")
mount("-o", "remount,size=20m")
values = list(session.results())
assert [value for value, _ in values] == list(range(300))
assert all(values[task] == value for task, value in given.items())
assert list(burst.attach(session.id, store="file://" + folder).results()) == values
end = time.monotonic() + 10
while debris():  # a heartbeat that is being written is none
    assert time.monotonic() < end, debris()
mount("-o", "remount,ro")
try:
    burst.map(heavy, range(3), workers=1, store="file://" + folder)
except StoreError as error:
    told.append(error.problem)
assert told[2:] == ["the folder of the store denies access: Read-only file system"], told
assert burst.attach(session.id, store="file://" + folder).results()[5] == values[5]
mount("-o", "remount,rw")
session.cleanup(force=True)
assert not [names for _, _, names in os.walk(folder + "/sessions") if names]
print("right")
"""


def test_a_full_disk_is_told_once_and_the_session_goes_on_when_it_is_cured(tmp_path, monkeypatch, seaweedfs_server):
    """In a mount namespace of its own, with a disk of 600 KB. Only Linux has these."""
    if sys.platform != "linux":
        return
    settle(monkeypatch, tmp_path, seaweedfs_server)
    command = ["unshare", "--mount", "--map-root-user", sys.executable, "-c", FULL, str(tmp_path / "small")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr


CRAMPED = """
import os, subprocess, sys
import numpy as np
import burst_magic as burst
from burst_magic.errors import BurstError

folder, store = sys.argv[1:]
os.mkdir(folder)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=True)
os.environ["TMPDIR"] = folder
big = np.ones(1_000_000)

def add(item):
    return float(big.sum()) + item

session = burst.map(add, range(4), workers=2, store=store)
found = session.results().collect(errors="return")
assert all(isinstance(each, BurstError) for each in found), found
assert all("No space left on device" in str(each) and folder in str(each) for each in found), found
while session.status().starting:  # one that had nothing to do
    pass
workers = session.status().workers
assert len(workers) == 2 and all(worker.alive for worker in workers), workers
assert not [name for _, _, names in os.walk(folder) for name in names if not name.endswith(".lock")]
subprocess.run(["mount", "-o", "remount,size=20m", folder], check=True)
assert list(burst.map(add, range(4), session=session).results()) == [1e6 + item for item in range(4)]
session.cleanup(force=True)
print("right")
"""


def test_a_worker_with_no_room_for_what_a_job_needs_says_so_and_works_on(tmp_path, monkeypatch, moto_server):
    """In a mount namespace of its own, with 1 MB for temporary files. Only Linux has these."""
    if sys.platform != "linux":
        return
    settle(monkeypatch, tmp_path, moto_server)
    store = f"s3://contract/{tmp_path.name}"
    command = ["unshare", "--mount", "--map-root-user", sys.executable, "-c", CRAMPED, str(tmp_path / "small"), store]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr


SIGN_IN = """#!{python}
import datetime, json
with open({asked!r}, "a") as file:
    file.write("x")
end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=6)
print(json.dumps({{"Version": 1, "AccessKeyId": {access!r}, "SecretAccessKey": {secret!r}, "Expiration": end.isoformat()}}))
"""


def test_one_look_up_serves_the_kernel_and_all_workers_of_its_machine(seaweedfs_server, tmp_path, monkeypatch):
    settle(monkeypatch, tmp_path, seaweedfs_server)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    asked, script, profile = (tmp_path / name for name in ("asked", "sign-in", "profile"))
    keys = seaweedfs_server.keys
    script.write_text(SIGN_IN.format(python=sys.executable, asked=str(asked), access=keys.access, secret=keys.secret))
    script.chmod(0o700)
    profile.write_text(f"[default]\ncredential_process = {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(profile))
    session = burst.map(slow, range(6), workers=3, store=f"s3://contract/{tmp_path.name}")
    assert list(session.results()) == list(range(6))
    session.scale(4)
    assert len(session.fleet.living) == 4
    assert asked.read_text() == "x"
    session.cleanup(force=True)
