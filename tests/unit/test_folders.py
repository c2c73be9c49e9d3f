"""burst_magic's own files: private, and the system's refusals in words. Paths that no user may write to, root included."""

from __future__ import annotations

import os
import stat
import tracemalloc
from pathlib import Path

import pytest

from burst_magic import config, folders
from burst_magic.aws.prices import PriceFile
from burst_magic.errors import BurstError
from burst_magic.plan.prices import shipped
from burst_magic.session import keyring, session_list
from burst_magic.session.session_list import ListedJob

SID = "20261121-101828-5cj77ijt"
LINE = ListedJob(id=SID, job="0", store="file:///x", created=1.0)
UNUSABLE = Path("/dev/null/burst")  # below something that is no folder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_folders_are_made_for_their_user_only_and_those_that_exist_stay(tmp_path, mask):
    tmp_path.chmod(0o755)
    before = os.umask(mask)
    try:
        folders.make(tmp_path / "a" / "b")
        keyring.keep(tmp_path / "config" / "keys", SID, bytes(32))
        session_list.append(tmp_path / "data" / "sessions.jsonl", LINE)
        config.save({"workers": "3"}, config_dir=tmp_path / "settings")
    finally:
        os.umask(before)
    made = ["a", "a/b", "config", "config/keys", "data", "settings"]
    assert [mode(tmp_path / each) for each in made] == [0o700] * len(made)
    assert mode(tmp_path) == 0o755


@pytest.mark.parametrize(
    "use",
    [
        folders.make,
        lambda path: keyring.keep(path, SID, bytes(32)),
        lambda path: session_list.append(path / "sessions.jsonl", LINE),
        lambda path: config.save({"workers": "3"}, config_dir=path),
    ],
)
@pytest.mark.parametrize("path", [UNUSABLE, Path("/proc/nobody/here")])
def test_a_folder_that_cannot_be_used_is_named_with_the_way_out(use, path):
    with pytest.raises(BurstError, match="burst_magic cannot use its own files: N") as caught:
        use(path)
    assert str(path).startswith(caught.value.context)
    assert "BURST_CONFIG_DIR and BURST_DATA_DIR" in caught.value.way_out
    assert caught.value.__cause__ is None


def test_a_small_file_takes_little_memory_however_large_it_might_be(tmp_path):
    (tmp_path / "small").write_bytes(b"x" * 100)
    tracemalloc.start()
    try:
        assert folders.read(tmp_path / "small", most=1 << 30) == b"x" * 100
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_what_is_not_there_is_no_fault_of_a_reader(tmp_path):
    for folder in (tmp_path / "none", UNUSABLE):
        assert session_list.read(folder / "sessions.jsonl") == []
        assert keyring.find(folder, SID) is None
        keyring.forget(folder, SID)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("sessions.jsonl", session_list.read),
        (SID, lambda path: keyring.find(path.parent, path.name)),
        (SID, lambda path: keyring.forget(path.parent, path.name)),
        ("config.toml", lambda path: config.load(environ={}, config_dir=path.parent, data_dir=path.parent)),
    ],
)
def test_a_file_that_cannot_be_used_is_said(tmp_path, name, read):
    (tmp_path / name).mkdir()
    with pytest.raises(BurstError, match="burst_magic cannot use its own files: Is a directory") as caught:
        read(tmp_path / name)
    assert caught.value.context == str(tmp_path / name)


def test_a_full_disk_is_told_apart():
    full = Path("/dev/full")
    with pytest.raises(BurstError, match="the disk is full") as caught, folders.told(full), full.open("wb") as file:
        file.write(b"x")
    assert caught.value.context == "/dev/full"
    assert caught.value.way_out.startswith("free some space, or set BURST_CONFIG_DIR and BURST_DATA_DIR")


def test_a_current_folder_that_was_removed_is_said(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    assert folders.current() == gone
    gone.rmdir()
    with pytest.raises(BurstError, match="the current folder does not exist any more"):
        folders.current()


# --- other things in place of our files -------------------------------------------------------------------------


def a_pipe(path):
    os.mkfifo(path)


def a_device(path):
    path.symlink_to("/dev/zero")


def a_folder(path):
    path.mkdir()


def a_loop(path):
    path.symlink_to(path)


def a_hole(path):
    with path.open("wb") as file:
        file.truncate(60 << 30)


USES = {
    "a key": ("keys/" + SID, lambda root: keyring.find(root / "keys", SID)),
    "the list": ("sessions.jsonl", lambda root: session_list.read(root / "sessions.jsonl")),
    "the list, to write": ("sessions.jsonl", lambda root: session_list.append(root / "sessions.jsonl", LINE)),
    "the list's lock": ("sessions.lock", lambda root: session_list.append(root / "sessions.jsonl", LINE)),
    "settings": ("config.toml", lambda root: config.load(environ={}, config_dir=root, data_dir=root)),
}


@pytest.mark.parametrize("other", [a_pipe, a_device, a_folder, a_loop, a_hole], ids=lambda other: other.__name__)
@pytest.mark.parametrize("use", USES)
def test_what_is_no_file_of_ours_is_named_and_neither_waited_for_nor_read_whole(tmp_path, use, other):
    name, act = USES[use]
    (tmp_path / "keys").mkdir()
    other(tmp_path / name)
    if other is a_hole and use in {"the list, to write", "the list's lock"}:
        act(tmp_path)  # both are only appended to
        return
    with pytest.raises(BurstError) as caught:
        act(tmp_path)
    assert name in caught.value.context
    assert caught.value.way_out
    assert other is a_hole or caught.value.way_out == "move it away"


@pytest.mark.parametrize("other", [a_pipe, a_device, a_folder, a_loop, a_hole], ids=lambda other: other.__name__)
def test_what_was_kept_to_save_a_question_is_asked_again_where_it_cannot_be_read(tmp_path, other):
    other(tmp_path / "prices.json")
    assert PriceFile(tmp_path).listed() == shipped()


def test_the_end_of_a_long_file_is_read_without_the_rest(tmp_path):
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.truncate(60 << 30)
        file.seek(0, os.SEEK_END)
        file.write("the last line: ü".encode())
    assert folders.read_end(path, 10) == "t line: ü"
    assert folders.read_end(path, 18) == "\0the last line: ü"
