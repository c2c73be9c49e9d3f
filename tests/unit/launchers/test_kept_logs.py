"""Old sessions' logs of local workers go; those of the newest, and of living workers, stay."""

from __future__ import annotations

import fcntl

from burst_magic.launchers.base import Handle, Start
from burst_magic.launchers.kept_logs import KEPT, forget, make_room
from burst_magic.launchers.local import LocalLauncher


def session_of(number):
    return f"20260101-{number:06d}-aaaaaaaa"


def write(folder, number, *, handle=""):
    (folder / f"{session_of(number)}.t{number}.log").write_text("said")
    (folder / f"{session_of(number)}.t{number}.handle").write_text(handle)


def sessions(folder):
    return {path.name.partition(".")[0] for path in folder.iterdir()}


def dead(_):
    return False


def test_the_newest_sessions_keep_their_files(tmp_path):
    for number in range(8):
        write(tmp_path, number)
    assert make_room(tmp_path, dead, kept=5) == 6
    assert sessions(tmp_path) == {session_of(number) for number in range(3, 8)}


def test_where_there_are_few_nothing_is_deleted(tmp_path):
    for number in range(5):
        write(tmp_path, number)
    assert make_room(tmp_path, dead, kept=5) == 0
    assert len(sessions(tmp_path)) == 5


def test_files_of_a_living_worker_stay_however_old(tmp_path):
    handle = Handle(launcher="local", wid="w", token="t0", data={})
    write(tmp_path, 0, handle=handle.to_json())
    for number in range(1, 8):
        write(tmp_path, number)
    make_room(tmp_path, lambda found: found == handle, kept=5)
    assert sessions(tmp_path) == {session_of(number) for number in (0, 3, 4, 5, 6, 7)}


def test_files_of_a_worker_that_is_just_being_started_stay(tmp_path):
    for number in range(8):
        write(tmp_path, number)
    with (tmp_path / f"{session_of(0)}.t0.handle").open("a") as record:
        fcntl.flock(record, fcntl.LOCK_EX)
        make_room(tmp_path, dead, kept=5)
    assert session_of(0) in sessions(tmp_path)


def test_files_that_are_not_ours_stay(tmp_path):
    for number in range(8):
        write(tmp_path, number)
    for name in ("notes.log", f"{session_of(0)}.txt", "20260101.log"):
        (tmp_path / name).write_text("mine")
    make_room(tmp_path, dead, kept=1)
    assert sessions(tmp_path) == {"notes", session_of(0), "20260101", session_of(7)}
    assert not (tmp_path / f"{session_of(0)}.t0.log").exists()


def test_a_launcher_makes_room_when_a_session_begins(tmp_path):
    for number in range(KEPT + 3):
        write(tmp_path, number)
    start = Start(store=tmp_path.as_uri(), sid="20270101-000000-aaaaaaaa", secret="00", token="t")
    launcher = LocalLauncher(tmp_path)
    (handle,) = launcher.start([start])
    launcher.stop(handle, kill=True)
    assert sessions(tmp_path) - {start.sid} == {session_of(number) for number in range(3, KEPT + 3)}


def test_a_deleted_session_leaves_none_of_its_files_and_all_others(tmp_path):
    for number in range(3):
        write(tmp_path, number)
    mine = tmp_path / f"{session_of(1)}.notes"
    mine.write_text("the user's")
    forget(tmp_path, session_of(1))
    forget(tmp_path, "*")
    forget(tmp_path / "none", session_of(1))
    assert {path.suffix for path in tmp_path.glob(f"{session_of(1)}.*")} == {".notes"}
    assert sessions(tmp_path) == {session_of(number) for number in range(3)}
