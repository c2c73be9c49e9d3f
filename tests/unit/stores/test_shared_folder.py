"""A folder that others can write to, and one that goes away for a while."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from burst_magic.errors import Exists, Missing, RecordError, StoreError, Unknown
from burst_magic.stores import beneath, open_store


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def store(root):
    made = open_store(root.as_uri())
    made.put("mine/a", b"1")
    return made


@pytest.fixture
def elsewhere(tmp_path):
    """What is not the store's, and must stay as it is."""
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "b").write_bytes(b"private")
    return folder


# --- links ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["linked", "mine/linked", "mine/deep/er/linked"])
def test_no_folder_behind_a_link_is_read_listed_written_or_deleted(store, root, elsewhere, place):
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).symlink_to(elsewhere)
    with pytest.raises(Missing):
        store.get(f"{place}/b")
    assert store.list(place) == []
    assert store.list(place, limit=1) == []
    assert store.folders(place) == []
    assert [entry.key for entry in store.list("")] == ["mine/a"]
    assert [entry.key for entry in store.list("", limit=9)] == ["mine/a"]
    for write in (store.put, store.create):
        with pytest.raises(StoreError):
            write(f"{place}/c", b"2")
    store.delete([f"{place}/b", f"{place}/deep/b"])
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == {"b": b"private"}


def test_no_file_behind_a_link_is_read_or_replaced(store, root, elsewhere):
    (root / "mine" / "linked").symlink_to(elsewhere / "b")
    with pytest.raises(RecordError, match="no file"):
        store.get("mine/linked")
    with pytest.raises(Exists):
        store.create("mine/linked", b"2")
    store.put("mine/linked", b"2")
    assert store.get("mine/linked") == b"2"
    (root / "mine" / "again").symlink_to(elsewhere / "b")
    store.delete(["mine/again"])
    assert (elsewhere / "b").read_bytes() == b"private"


def test_the_folder_itself_may_be_a_link_and_become_one(store, root, tmp_path):
    root.rename(tmp_path / "moved")
    root.symlink_to(tmp_path / "moved")
    assert store.get("mine/a") == b"1"
    store.create("mine/b", b"2")
    again = open_store(root.as_uri())
    assert [entry.key for entry in again.list("")] == ["mine/a", "mine/b"]
    again.delete(["mine/a", "mine/b"])
    assert store.list("") == []


@pytest.mark.parametrize("way", [beneath.open_at, beneath.by_parts])
def test_each_way_to_open_follows_no_link_and_waits_for_nothing(way, store, root, elsewhere):
    (root / "linked").symlink_to(elsewhere)
    os.mkfifo(root / "mine" / "pipe")
    held = os.open(root, beneath.FOLDER)

    def opened(path, flags=beneath.FILE):
        try:
            descriptor = way(held, path, flags)
        except OSError:
            return None
        try:
            return beneath.is_file(descriptor) and os.read(descriptor, 9)
        finally:
            os.close(descriptor)

    assert opened("mine/a") == b"1"
    assert [opened(path) for path in ("mine/none", "linked/b", "mine/a/b")] == [None] * 3
    assert opened("linked", beneath.FOLDER) is None
    assert opened("mine", beneath.FOLDER) is False
    assert opened("mine/pipe") is False
    os.close(held)


# --- what is no file ----------------------------------------------------------------------------------------


def test_what_is_no_file_is_no_object_and_never_waited_for(store, root):
    os.mkfifo(root / "mine" / "pipe")
    (root / "mine" / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(root / "mine")  # a socket's path is short
        made.bind("socket")
        os.chdir(here)
    (root / "mine" / "loop").symlink_to("loop")
    for name in ("pipe", "socket", "loop", "folder"):  # it is taken, so that nobody tries to write it for ever
        with pytest.raises(Missing if name == "folder" else RecordError):
            store.get(f"mine/{name}")
        with pytest.raises(Exists):
            store.create(f"mine/{name}", b"")
    assert [entry.key for entry in store.list("mine")] == ["mine/a"]
    store.put("mine/pipe", b"2")
    assert store.get("mine/pipe") == b"2"
    store.delete(["mine/folder", "mine/socket"])
    assert (root / "mine" / "folder").is_dir()


@pytest.mark.parametrize("name", ["back\\slash", "new\nline", "esc\x1b[31m", os.fsdecode(b"\xff"), "of#mine", "#1"])
def test_names_that_no_store_can_hold_are_passed_over(store, root, name):
    (root / "mine" / name).write_bytes(b"")
    (root / f"{name}x").mkdir()
    (root / f"{name}x" / "inside").write_bytes(b"")
    for limit in (None, 9):
        assert [entry.key for entry in store.list("", limit=limit)] == ["mine/a"]
    assert store.folders("") == ["mine"]


# --- drafts -------------------------------------------------------------------------------------------------

WRITER = """
import sys
from burst_magic.stores import open_store
def chunks():
    yield b"half"
    print("half way", flush=True)
    sys.stdin.readline()
open_store(sys.argv[1]).put("other/b", chunks())
"""


@pytest.fixture
def writing(store):
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, store.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout.readline() == "half way\n"
    yield writer
    writer.kill()
    writer.communicate()


def test_what_a_dead_writer_left_goes_with_its_folder(store, root, writing):
    store.put("other/a", b"")
    writing.kill()
    writing.wait()
    assert len(list((root / "other").iterdir())) == 2
    store.delete(["other/a"])
    assert not (root / "other").exists()


def test_a_folder_that_somebody_writes_to_stays(store, root, writing):
    store.put("other/a", b"")
    store.delete(["other/a"])
    writing.communicate("on\n")
    assert writing.returncode == 0
    assert store.get("other/b") == b"half"


def test_what_is_not_ours_keeps_its_folder(store, root):
    (root / "mine" / "notes.txt").write_bytes(b"")
    (root / "mine" / "#1").write_bytes(b"")
    store.delete(["mine/a", "mine/notes"])
    assert {path.name for path in (root / "mine").iterdir()} == {"notes.txt", "#1"}


# --- who may read it ----------------------------------------------------------------------------------------


def test_a_folder_that_we_make_is_private_whatever_the_umask(tmp_path):
    before = os.umask(0)
    try:
        store = open_store((tmp_path / "new").as_uri())
        store.put("a/b", b"")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes["new"] == 0o700
    assert not any(mode & 0o002 for mode in modes.values())


def test_a_folder_is_made_by_the_first_write_and_not_by_a_look(tmp_path):
    store = open_store((tmp_path / "new").as_uri())
    assert (store.list("a"), store.folders("")) == ([], [])
    with pytest.raises(Missing):
        store.get("a")
    store.delete(["a"])
    assert not (tmp_path / "new").exists()
    store.create("a/b", b"1", whole=True)
    assert store.get("a/b") == b"1"


# --- away ---------------------------------------------------------------------------------------------------

VERBS = {
    "get": lambda store: store.get("mine/a"),
    "list": lambda store: store.list("mine"),
    "a few": lambda store: store.list("mine", limit=1),
    "folders": lambda store: store.folders("mine"),
    "create": lambda store: store.create("mine/b", b""),
    "put": lambda store: store.put("mine/b", b""),
    "delete": lambda store: store.delete(["mine/a"]),
}


@pytest.mark.parametrize("shadowed", ["by nothing", "by an empty folder", "by another store", "by a file"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_store_that_is_away_is_neither_empty_nor_written_elsewhere(store, root, tmp_path, verb, shadowed):
    root.rename(tmp_path / "away")
    if shadowed == "by a file":
        root.write_bytes(b"")
    elif shadowed != "by nothing":
        root.mkdir()
    if shadowed == "by another store":
        open_store(root.as_uri()).put("other/a", b"")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Unknown, match="not there now"):
        VERBS[verb](store)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("verb", VERBS)
def test_it_goes_on_when_the_store_is_back(store, root, tmp_path, verb):
    root.rename(tmp_path / "away")
    with pytest.raises(Unknown):
        store.get("mine/a")
    (tmp_path / "away").rename(root)
    VERBS[verb](store)
    with pytest.raises(Missing):
        store.get("mine/none")


def test_a_store_that_is_mounted_anew_is_known_by_its_mark(store, root, tmp_path):
    store.put("b/c", b"2")
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(root), str(copy)], check=True)  # other inodes, the same mark
    root.rename(tmp_path / "away")
    copy.rename(root)
    assert store.get("b/c") == b"2"
    with pytest.raises(Missing):
        store.get("b/none")


def test_two_who_open_it_at_once_agree_on_its_mark(root):
    one, other = open_store(root.as_uri()), open_store(root.as_uri())
    one.put("a/b", b"1")
    other.put("a/c", b"1")
    mark = (root / "#store").read_bytes()
    open_store(root.as_uri()).put("a/d", b"1")
    assert (root / "#store").read_bytes() == mark
    with pytest.raises(Exists):
        other.create("a/b", b"2")
