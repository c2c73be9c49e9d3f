"""What every store promises: one suite over a folder, memory, S3 on moto and S3 on SeaweedFS."""

from __future__ import annotations

import array
import os
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from burst_magic.errors import Denied, Exists, Missing, NoBucket, StoreError
from burst_magic.stores import open_store
from burst_magic.stores.command import from_command
from burst_magic.stores.probe import probe
from burst_magic.testing import STORE_CHECKS, ContractBroken, check_store
from burst_magic.testing.servers import Keys, StaticCredentials

PART = 8 << 20
ODD = [
    "workers/~watch", "workers/host~1.1795252170536.0", "claims/000000000017.0", "results/1.0-9.0.17-0", "a b", "ü/ß",
    "per%20cent", "..dots", "plus+and&", "job~2", "x.tar.gz", "back:colon", "star*", "q?x=1", "[set]", "'quoted'",
]  # fmt: skip
ILLEGAL = ["", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/.", "./a", "a\\b", "a\nb", "staged#1", "a\udc80"]


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
def test_every_store_keeps_the_contract_that_is_shipped(place, check):
    check_store(place.open, only=(check,))


def test_a_store_that_breaks_a_promise_is_told_which(tmp_path):
    class Careless(type(open_store(tmp_path.as_uri()))):
        def create(self, key, data, *, whole=False):
            self.put(key, data, whole=whole)

    with pytest.raises(ContractBroken) as caught:
        check_store(lambda: Careless(tmp_path))
    broken = [line.partition(":")[0] for line in str(caught.value).splitlines()]
    assert broken == ["a_second_create_is_refused_and_changes_nothing", "of_racers_one_wins"]


def keys_of(entries):
    return [entry.key for entry in entries]


def test_what_is_created_is_read_back(store):
    store.create("a/b", b"12345")
    assert store.get("a/b") == b"12345"


def test_a_second_create_is_refused_and_changes_nothing(store):
    store.create("a", b"first")
    with pytest.raises(Exists) as caught:
        store.create("a", b"second")
    assert caught.value.context == "a"
    assert store.get("a") == b"first"


def test_a_put_replaces(store):
    store.put("a", b"first, and longer")
    store.put("a", b"second")
    assert store.get("a") == b"second"


def test_a_missing_object_is_named(store):
    store.create("a/b", b"")
    for key in ("nothing", "a", "a/nothing"):
        with pytest.raises(Missing) as caught:
            store.get(key)
        assert caught.value.context == key
    with pytest.raises(Missing):
        store.get("nothing", start=3, end=9)


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, None), (0, 4), (3, 7), (9, 10), (5, None), (5, 99), (10, None), (10, 12), (40, 50), (4, 4), (7, 3)],
)
def test_a_range_is_a_slice(store, start, end):
    store.put("a", b"0123456789")
    assert store.get("a", start=start, end=end) == b"0123456789"[start:end]


def test_an_empty_object_is_an_object(store):
    store.create("a", b"")
    assert store.get("a") == b""
    assert [(entry.key, entry.size) for entry in store.list("")] == [("a", 0)]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_bytes_is_stored(store, kind):
    store.create("created", kind(b"12345"))
    store.put("put", kind(b"12345"))
    assert store.get("created") == store.get("put") == b"12345"


@pytest.mark.parametrize("size", [5, 3 * PART])
def test_what_its_writer_changes_afterwards_is_not_changed_in_the_store(store, size):
    buffer = bytearray(size)
    store.create("created", buffer)
    store.put("put", memoryview(buffer))
    buffer[:] = b"x" * size
    assert store.get("created") == store.get("put") == bytes(size)


def test_a_view_of_numbers_is_stored_as_its_bytes(store):
    grid = memoryview(array.array("d", range(6))).cast("B").cast("d", (2, 3))
    store.create("grid", grid)
    store.put("none", memoryview(array.array("d")))
    assert store.get("grid") == grid.tobytes()
    assert store.get("none") == b""


def test_a_listing_is_sorted_and_goes_down_into_folders(store):
    keys = ["b/2", "b/10", "b/1/x", "b/1.y", "b/1-z", "b/~", "b/A", "b/a/deep/er"]
    for key in [*keys, "bb/1", "a", "c"]:
        store.put(key, key.encode())
    found = store.list("b")
    assert keys_of(found) == sorted(keys)
    assert [entry.size for entry in found] == [len(entry.key) for entry in found]
    assert keys_of(store.list("b/")) == sorted(keys)
    assert keys_of(store.list("")) == sorted([*keys, "bb/1", "a", "c"])
    assert store.list("nothing") == []
    assert store.list("a") == []


def agrees(store, keys):
    for key in keys:
        store.put(key, b"")
    for after in ["", "a", "b", "b/", "b/1", "b/1.y", "b/15", "b/~", "b0", "c", "ü", *keys]:
        for limit in (None, 0, 1, 3):
            expected = sorted(key for key in keys if key > after)[:limit]
            assert keys_of(store.list("b", after=after, limit=limit)) == expected, (after, limit)


def test_a_listing_goes_on_after_any_key(store):
    agrees(store, ["b/2", "b/10", "b/1a/x", "b/1a/y/z", "b/1~1/x", "b/3.y", "b/3-z", "b/~", "b/ü"])


@pytest.mark.parametrize("place", ["folder", "memory", "moto"], indirect=True)
def test_a_listing_goes_on_where_a_folder_sorts_behind_its_sibling(place):
    """SeaweedFS goes folder by folder and would not: the protocol's keys do not ask for it (stores/base.py)."""
    agrees(place.open(), ["b/2", "b/10", "b/1/x", "b/1.y", "b/1-z", "b/1-/z", "b/~", "b/ü"])


def test_a_listing_of_more_than_a_page_is_whole_and_is_deleted_at_once(store):
    keys = [f"many/{number:05}" for number in range(1105)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.create(key, b"x"), keys))
    store.put("other", b"")
    assert keys_of(store.list("many")) == keys
    assert keys_of(store.list("many", after=keys[40])) == keys[41:]
    assert keys_of(store.list("many", after=keys[40], limit=1050)) == keys[41:1091]
    assert keys_of(store.list("many", after=keys[-2])) == keys[-1:]
    store.delete([*keys, *keys[:10], "many/none", "none"])
    assert keys_of(store.list("")) == ["other"]


def test_last_modified_is_the_time_of_the_write(store):
    before = time.time()
    store.put("a", b"1")
    (entry,) = store.list("")
    assert before - 1.5 <= entry.modified <= time.time() + 1.5  # S3 tells whole seconds


def test_odd_keys_are_kept_as_they_are(store):
    for key in ODD:
        store.create(key, key.encode())
    assert keys_of(store.list("")) == sorted(ODD)
    assert [store.get(key) for key in ODD] == [key.encode() for key in ODD]
    assert keys_of(store.list("workers", after="workers/host~1")) == sorted(ODD[:2])
    store.delete(iter(ODD))
    assert store.list("") == []


@pytest.mark.parametrize("key", ILLEGAL)
def test_a_key_that_some_store_cannot_hold_is_refused_by_all(store, key):
    verbs = [
        lambda: store.create(key, b""),
        lambda: store.put(key, b""),
        lambda: store.put(key, iter([b""])),
        lambda: store.get(key),
        lambda: store.delete([key]),
        lambda: store.path(key) if store.path("a") else store.get(key),
    ]
    for verb in verbs:
        with pytest.raises(StoreError, match="cannot hold this key"):
            verb()
    assert store.list("") == []


def test_deleting_what_is_not_there_is_no_error(store):
    store.delete([])
    store.delete(["a", "b/c"])
    store.put("b", b"")
    store.delete(["b/c", "b", "b"])
    assert store.list("") == []


def test_a_small_stream_is_stored(store):
    store.put("a", iter([b"12", b"", b"345"]))
    store.put("none", iter([]))
    assert store.get("a") == b"12345"
    assert store.get("none") == b""


@pytest.mark.parametrize("size", [PART - 1, PART, PART + 1, 2 * PART + 4321])
def test_a_large_stream_is_stored_whole(store, size):
    content = os.urandom(size)
    store.put("a", (content[at : at + 300_001] for at in range(0, size, 300_001)))
    assert store.get("a") == content


def test_large_bytes_come_back_whole(store, place):
    content = os.urandom(2 * PART + 999)
    store.put("put", content)
    store.create("created", memoryview(content))
    assert store.get("put") == content
    assert store.get("created") == content
    assert store.get("put", start=77) == content[77:]
    with pytest.raises(Exists):
        store.create("created", content)
    assert place.debris() == []


@pytest.mark.parametrize("length", [0, 1000, 3 * PART])
@pytest.mark.parametrize("kind", [LookupError, KeyboardInterrupt])
def test_a_stream_that_breaks_off_leaves_nothing_and_says_its_own_error(store, place, length, kind):
    mine = kind("half way")

    def broken():
        for _ in range(length // 1000):
            yield bytes(1000)
        raise mine

    store.put("old", b"as it was")
    for key in ("new", "old"):
        with pytest.raises(kind) as caught:
            store.put(key, broken())
        assert caught.value is mine
    assert place.debris() == []
    assert keys_of(store.list("")) == ["old"]
    assert store.get("old") == b"as it was"


def test_debris_would_be_seen(store, place):
    """The look behind the store's back, used above, is not blind."""
    seen = []

    def chunks():
        for _ in range(5):
            yield bytes(PART)
            seen.extend(place.debris())
            assert keys_of(store.list("")) == []

    store.put("a", chunks())
    assert bool(seen) is (place.kind != "memory")


def test_of_racing_threads_one_wins_each_key(place):
    store = place.open()
    start = threading.Barrier(8)

    def race(me):
        start.wait()
        return [key for key in range(12) if wins(store, f"race/{key:03}", me)]

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(race, range(8)))
    assert sorted(key for keys in won for key in keys) == list(range(12))
    for me, keys in enumerate(won):
        assert all(store.get(f"race/{key:03}") == b"%d" % me for key in keys)


def wins(store, key, me):
    """The protocol's rule: a refusal decides nothing, only a read does."""
    mine = b"%d" % me
    for _ in range(100):
        try:
            store.create(key, mine)
        except Exists:
            try:
                return store.get(key) == mine
            except Missing:
                continue
        return True
    raise AssertionError(key)


RACER = """
import sys
from burst_magic.errors import Exists, Missing
from burst_magic.stores import open_store
store, me = open_store(sys.argv[1]), sys.argv[2].encode()
def wins(key):
    while True:
        try:
            store.create(key, me)
        except Exists:
            try:
                return store.get(key) == me
            except Missing:
                continue
        return True
print("ready", flush=True)
sys.stdin.readline()
print(*[number for number in range(40) if wins(f"race/{number:03}")])
"""


def test_of_racing_processes_one_wins_each_key(place):
    if place.kind == "memory":
        assert place.open().path("a") is None  # no other process can see it: threads only, above
        return
    environ = {**os.environ, **place.environ}
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, place.url, str(me)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ,
        )
        for me in range(4)
    ]  # fmt: skip
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    won = [[int(key) for key in racer.communicate(timeout=60)[0].split()] for racer in racers]
    assert sorted(key for keys in won for key in keys) == list(range(40))
    store = place.open()
    for me, keys in enumerate(won):
        assert all(store.get(f"race/{key:03}") == b"%d" % me for key in keys)


def test_writers_and_readers_of_one_key_see_whole_objects(store):
    contents = [bytes([digit]) * 50_000 for digit in range(4)]
    store.put("a", contents[0])

    def write(content):
        for _ in range(10):
            store.put("a", content)

    def read(_):
        return [store.get("a") in contents for _ in range(20)]

    with ThreadPoolExecutor(6) as pool:
        writing = [pool.submit(write, content) for content in contents]
        reading = [pool.submit(read, number) for number in range(2)]
        assert all(all(done.result()) for done in reading)
        assert [done.result() for done in writing] == [None] * 4


def test_a_store_is_opened_again_by_its_url(store, place):
    store.put("a/b", b"1")
    again = open_store(store.url, credentials=place.credentials)
    assert again.url == store.url
    assert again.get("a/b") == b"1"


def test_a_file_is_offered_where_there_is_one(store, place):
    store.put("a/b", b"1")
    path = store.path("a/b")
    assert (path.read_bytes() if place.kind == "folder" else path) == (b"1" if place.kind == "folder" else None)


def test_the_probe_lets_a_sound_store_pass_and_leaves_nothing(store, place, tmp_path):
    probe(store, remembered=tmp_path / "user data")
    assert store.list("") == []
    assert (tmp_path / "user data").exists() is (place.kind != "memory")


FLAT = """
import resource, sys
from burst_magic.stores import open_store
store = open_store(sys.argv[1])
block = bytes(1 << 20)
store.put("warm", (block for _ in range(20)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.put("a", (block for _ in range(int(sys.argv[2]))))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> (20 if sys.platform == "darwin" else 10))
"""


@pytest.mark.parametrize("place", ["folder", "seaweedfs"], indirect=True)
def test_a_stream_takes_flat_memory(place):
    environ = {**os.environ, **place.environ}
    command = [sys.executable, "-c", FLAT, place.url, "160"]
    grown = subprocess.run(command, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout
    assert int(grown) < 70  # MB, of 160


def test_wrong_keys_are_denied(seaweedfs_server):
    wrong = StaticCredentials(Keys(access="nobody", secret="nothing"), seaweedfs_server.config)
    store = open_store("s3://contract/denied", credentials=wrong)
    for verb in (
        lambda: store.create("a", b""),
        lambda: store.get("a"),
        lambda: store.list(""),
        lambda: store.put("a", b""),
    ):
        with pytest.raises(Denied):
            verb()


def test_a_reader_may_not_write(seaweedfs_server):
    open_store("s3://contract/policy", credentials=seaweedfs_server.credentials).put("a", b"1")
    keys = Keys(access="reader", secret="may-read-only")
    store = open_store("s3://contract/policy", credentials=StaticCredentials(keys, seaweedfs_server.config))
    assert store.get("a") == b"1"
    for verb in (
        lambda: store.create("b", b""),
        lambda: store.put("b", b""),
        lambda: store.put("b", iter([bytes(2 * PART)])),
    ):
        with pytest.raises(Denied):
            verb()


def test_a_bucket_that_is_not_there_is_said(moto_server):
    store = open_store("s3://no-such-bucket/x", credentials=moto_server.credentials)
    verbs = (
        lambda: store.create("a", b""),
        lambda: store.get("a"),
        lambda: store.list(""),
        lambda: store.put("a", iter([bytes(2 * PART)])),
    )
    for verb in verbs:
        with pytest.raises(NoBucket, match="no such bucket") as caught:
            verb()
        shown = "".join(traceback.format_exception(caught.type, caught.value, caught.tb))
        assert "another exception" not in shown  # pages of the library's own debugging output
        assert "direct cause" not in shown


def test_a_worker_gets_its_credentials_and_its_server_from_a_helper(moto_server):
    """As a local worker on S3 does: no boto3 in this process's part, no AWS variable in its environment."""
    server = {**moto_server.environ, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    said = [f"{name}={value}" for name, value in server.items()]
    provider = from_command(["env", *said, sys.executable, "-m", "burst_magic.aws.credentials"])
    store = open_store("s3://contract/by-a-helper", credentials=provider)
    store.create("a", b"1")
    assert store.get("a") == b"1"
    assert store.endpoint == moto_server.endpoint
