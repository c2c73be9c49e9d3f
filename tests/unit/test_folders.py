"""burst_magic's own files: private, and the system's refusals in words. Paths that no user may write to, root included."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from burst_magic import config, folders
from burst_magic.errors import BurstError
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
