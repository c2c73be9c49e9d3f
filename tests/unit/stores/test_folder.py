"""What only a folder can do wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from burst_magic.errors import Denied, StoreError
from burst_magic.stores import open_store
from burst_magic.stores.faults import fault


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path.as_uri())


def run(program, *args):
    done = subprocess.run(
        [sys.executable, "-c", program, *args], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_being_written_is_no_object(store, tmp_path):
    store.put("a/b", b"1")
    (tmp_path / "a" / "b#1").write_bytes(b"half")
    assert [entry.key for entry in store.list("")] == ["a/b"]
    store.put("a/b", b"2")
    assert store.get("a/b") == b"2"


def test_folders_that_are_empty_go_with_their_last_object(store, tmp_path):
    store.put("a/b/c", b"")
    store.put("a/d", b"")
    store.delete(["a/b/c"])
    assert not (tmp_path / "a" / "b").exists()
    store.delete(["a/d"])
    assert [path.name for path in tmp_path.iterdir()] == ["#store"]
    assert tmp_path.exists()


def test_writers_and_deleters_do_not_lose_each_others_folders(store):
    failures = []

    def churn(me):
        try:
            for number in range(150):
                store.create(f"deep/er/{me}-{number}", b"x")
                store.delete([f"deep/er/{me}-{number}"])
                store.list("deep")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=churn, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.list("") == []


def test_a_key_below_an_object_is_refused(store):
    store.put("a", b"1")
    with pytest.raises(StoreError, match="does not fit"):
        store.put("a/b", b"2")
    with pytest.raises(StoreError):
        store.create("a/b", b"2")
    assert store.get("a") == b"1"


FULL = """
import os, resource, sys, time
from burst_magic.errors import StoreError
from burst_magic.stores import open_store
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
for write in (store.create, store.put, lambda key, data: store.put(key, (data for _ in range(10)))):
    try:
        write("a/b", bytes(3 << 20))
    except StoreError as error:
        print(error.problem, "|", error.context)
end = time.monotonic() + 10  # a thread of the store's clears up
while (left := [name for _, _, files in os.walk(sys.argv[2]) for name in files if name != "#store"]) and time.monotonic() < end:
    time.sleep(0.01)
print(*left, end="")
"""


def test_a_full_disk_is_said_and_nothing_half_is_left(tmp_path):
    lines = run(FULL, tmp_path.as_uri(), str(tmp_path)).splitlines()
    assert lines == ["the store's disk is full: File too large | a/b"] * 3


FORBIDDEN = """
import os, sys
from burst_magic.errors import Denied, RecordError
from burst_magic.stores import open_store
store = open_store(sys.argv[1])
if os.getuid() == 0:  # who may do anything is denied nothing
    os.setgid(65534)
    os.setuid(65534)
tries = [lambda: store.create("b", b""), lambda: store.put("b", b""), lambda: store.put("b", iter([bytes(9 << 20)])),
         lambda: store.delete(["a"]), lambda: open_store(sys.argv[1] + "/new").put("a", b"")]
for attempt in tries:
    try:
        attempt()
    except Denied as error:
        print(error.problem)
try:
    store.get("secret")
except RecordError as error:
    print(error.problem)
print(store.get("a"), [entry.key for entry in store.list("")], [entry.key for entry in store.list("", limit=9)])
for ask in (lambda: store.list("private"), lambda: store.get("private/inside")):
    try:
        ask()
    except Denied as error:
        print(error.problem)
"""


def test_a_folder_one_may_not_write_to_denies():
    with tempfile.TemporaryDirectory() as name:  # pytest keeps its own folders to this user
        root = Path(name)
        (root / "a").write_bytes(b"1")
        (root / "secret").write_bytes(b"2")
        (root / "secret").chmod(0)
        (root / "private").mkdir(mode=0)
        root.chmod(0o555)
        try:
            lines = run(FORBIDDEN, root.as_uri()).splitlines()
        finally:
            root.chmod(0o755)
    denied = ["the folder of the store denies access: Permission denied"]
    unread = ["an object in the store cannot be read: Permission denied"]  # as good as damaged: others can be read
    assert lines == denied * 5 + unread + ["b'1' ['a', 'secret'] ['a', 'secret']"] + denied * 2


def test_a_read_only_file_system_denies():
    assert isinstance(fault(OSError(30, "Read-only file system"), "a"), Denied)
    assert isinstance(fault(Exception("Unable to open file: Read-only file system (os error 30)"), "a"), Denied)


SPARE = """
import resource, sys
from burst_magic.stores import open_store
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> (20 if sys.platform == "darwin" else 10)
store = open_store(sys.argv[1])
store.put("warm", b"1")
data = bytearray(200 << 20)
before = peak()
store.create("a", memoryview(data))
store.put("b", data)
print(peak() - before)
"""


def test_large_bytes_are_written_without_a_copy(tmp_path):
    assert int(run(SPARE, tmp_path.as_uri())) < 20  # MB, of 200


@pytest.fixture
def scanned(monkeypatch):
    """Lets somebody else change the folder while the system lists it: each file is told as it is reported."""
    scandir, seen = os.scandir, []

    class Scan:
        def __init__(self, folder):
            with scandir(folder) as found:
                self.items = list(found)

        def __iter__(self):
            telling, seen[:] = seen[:], []  # the scans of a deletion are not told
            for item in self.items:
                for tell in telling:
                    tell(item.name)
                yield item

        def __enter__(self):
            return self

        def __exit__(self, *_):
            """Nothing is open."""

    monkeypatch.setattr(os, "scandir", Scan)
    return seen.append


def test_a_listing_survives_what_vanishes_under_it(store, scanned):
    for number in range(30):
        store.put(f"a/{number:02}", b"")
    scanned(lambda _: store.delete(["a/00", "a/01"]))
    assert [found.key for found in store.list("a", limit=2)] == ["a/02", "a/03"]


def test_a_file_that_vanishes_before_it_is_looked_at_is_none(store, scanned):
    for number in range(30):
        store.put(f"a/{number:02}", b"")
    scanned(lambda name: store.delete([f"a/{name}"]) if name < "28" else None)
    assert [found.key for found in store.list("a")] == ["a/28", "a/29"]
