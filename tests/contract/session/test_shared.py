"""What others put into a shared store neither hurts the user's files nor hides or keeps sessions."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from burst_magic import cli
from burst_magic.errors import BurstError
from burst_magic.magics import verbs
from burst_magic.magics.desk import DESK
from burst_magic.protocol.wire import keys
from burst_magic.session import attach, keyring
from burst_magic.session.sweep import sweep_blobs

PLANTED = "20270101-000000-aaaaaaaa"


@pytest.fixture
def documents(tmp_path):
    folder = tmp_path / "documents"
    (folder / "jobs" / "0").mkdir(parents=True)
    for name in ("thesis.tex", "manifest.json", "jobs/0/job.json", "jobs/0/payload"):
        (folder / name).write_bytes(b"private")
    return folder


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def typed(world, capsys):
    """A command in a terminal of its own; returns its exit code and all that it said."""

    def run(*words):
        code = cli.main(words, perform=lambda call, _: getattr(verbs, words[0])(call, world.settings()))
        while DESK.open:
            DESK.open.popitem()[1].detach()
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def finished(world, until):
    session = world.burst("item", [1, 2], name="mine")
    assert list(session.results()) == [1, 2]
    session.close()
    until(lambda: not world.workers(), "its worker to end")
    session.detach()
    return session


@pytest.mark.parametrize("where", ["", "jobs", "jobs/0", "workers", "control"])
def test_a_session_that_is_a_link_deletes_nothing_behind_it(world, typed, finished, documents, where):
    place = world.store.path(f"sessions/{PLANTED}/{where}".rstrip("/"))
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(documents)
    before = content(documents)
    typed("cleanup", PLANTED, "--force", "--yes")
    typed("cleanup", finished.id, "--force", "--yes")
    assert content(documents) == before
    assert world.objects() == []


@pytest.mark.parametrize("folder", ["sessions", "blobs"])
def test_a_store_whose_folders_are_links_deletes_nothing_behind_them(world, typed, documents, folder):
    world.store.put("other/a", b"")
    (documents / PLANTED).mkdir()
    for name in (f"{PLANTED}/manifest.json", "a" * 64):
        (documents / name).write_bytes(b"private")
        os.utime(documents / name, (0, 0))
    before = content(documents)
    world.store.path(folder).symlink_to(documents)
    typed("cleanup", PLANTED, "--force", "--yes")
    typed("cleanup", "--blobs", "--yes")
    assert content(documents) == before


@pytest.mark.parametrize("folder", ["sessions", "blobs", "envs"])
def test_a_store_whose_folder_became_a_link_is_not_taken_for_one_whose_sessions_were_deleted(
    world, typed, finished, folder
):
    place = world.store.path(folder)
    place.mkdir(exist_ok=True)
    moved = place.rename(world.root / "moved")
    place.symlink_to(moved)
    for words in (
        ("sessions",),
        ("status", finished.id),
        ("collect", "mine"),
        ("cleanup", finished.id, "--force", "--yes"),
        ("cleanup", "--blobs", "--yes"),
    ):
        _, said = typed(*words)
        assert f"the store's folder {folder} is a link, and links in a store are not followed" in said, words
    place.unlink()
    moved.rename(place)
    assert typed("collect", "mine")[1].splitlines()[:2] == ["1", "2"]  # its key is still there


@pytest.mark.parametrize("instead", ["nothing", "an empty mount"])
def test_a_store_that_is_away_is_said_to_be_and_its_sessions_are_kept(world, typed, finished, instead):
    place = world.store.path("sessions").parent
    moved = place.rename(world.root / "moved")
    if instead != "nothing":
        place.mkdir()
    verbs_of_one = [("status", finished.id), ("collect", "mine"), ("attach", finished.id), ("inspect", finished.id)]
    deleting = [("cleanup", finished.id, "--force", "--yes"), ("cleanup", finished.id, "mine", "--force", "--yes")]
    for words in (*verbs_of_one, ("sessions",), *deleting):
        _, said = typed(*words)
        assert "not there now" in said, words
        assert "unknown" not in said, words
    if place.exists():
        place.rmdir()
    moved.rename(place)
    assert typed("collect", "mine")[1].splitlines()[:2] == ["1", "2"]  # its key is still there


def test_sessions_of_a_store_that_was_deleted_for_good_can_be_cleaned_up(world, typed, finished):
    place = world.store.path("sessions")
    shutil.rmtree(place)
    (place.parent / "#store").unlink()
    _, said = typed("cleanup", finished.id, "--force", "--yes")
    assert f"mkdir -p {place} lets you clean up" in said
    place.mkdir(parents=True)
    assert typed("cleanup", finished.id, "--force", "--yes")[0] == 0
    assert world.keys_kept() == []


def test_only_names_of_ours_are_deleted(world, typed, finished):
    root = world.store.path(f"sessions/{finished.id}")
    for name in ("notes.txt", "jobs/0/results/notes", "jobs/thesis/draft.tex", "control/x", "workers/a.b"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"somebody's")
    code, _ = typed("cleanup", finished.id, "--force", "--yes")
    assert code == 0
    assert set(content(root)) == {"notes.txt", "jobs/0/results/notes", "jobs/thesis/draft.tex", "workers/a.b"}
    assert world.keys_kept() == []
    assert [row.id for row in attach.sessions(world.settings())] == []  # what is left is no session
    code, said = typed("cleanup", finished.id, "--force", "--yes")
    assert code == 1
    assert "unknown or has expired" in said
    shutil.rmtree(root)


def test_only_values_of_ours_are_swept(world):
    world.store.put("blobs/notes.txt", b"")
    world.store.put("blobs/" + "a" * 64, b"")
    world.store.put("blobs/deep/" + "b" * 64, b"")
    for key in world.objects("blobs"):
        os.utime(world.store.path(key), (0, 0))
    assert sweep_blobs(world.settings()).deleted == 1
    assert world.objects("blobs") == ["blobs/deep/" + "b" * 64, "blobs/notes.txt"]


def test_what_is_asked_of_one_session_is_not_done_to_another_that_its_records_name(world, typed, finished):
    mine, planted = (world.store.path(f"sessions/{sid}") for sid in (finished.id, PLANTED))
    shutil.copytree(mine, planted)
    before = content(mine)
    for user in ("", "without the key"):
        with pytest.raises(BurstError):
            world.attach(PLANTED, user=user)
    code, said = typed("cleanup", PLANTED, "--force", "--yes")
    assert code == 0, said
    assert content(mine) == before
    assert not planted.exists()


def test_a_job_that_calls_itself_another_is_not_read_for_it(world, finished):
    jobs = world.store.path(f"sessions/{finished.id}/jobs")
    shutil.copytree(jobs / "0", jobs / "7")
    shutil.copy(jobs.parent / "control/0-add-job", jobs.parent / "control/7-add-job")
    with pytest.raises(BurstError, match="says that it is"):
        world.attach(f"{finished.id}/7", user="without the key")


# --- bad bytes ----------------------------------------------------------------------------------------------

BAD = {
    "emptied": b"",
    "no record": b"junk\n",
    "not UTF-8": bytes(range(128, 256)),
    "another shape": b"0" * 64 + b"\n[1,2,3]",
    "other types": b"0" * 64 + b"\n" + json.dumps({"schema": 2, "is": "Manifest", "sid": 5}).encode(),
}


def spoil(path, bad):
    if bad == "a pipe":
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    elif bad == "huge":
        with path.open("wb") as file:
            file.truncate(60 << 30)
    elif bad == "a flipped byte":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(BAD[bad])


SPOILED = [*BAD, "a flipped byte", "huge", "a pipe"]


@pytest.mark.parametrize("bad", SPOILED)
def test_a_bad_object_hides_no_other_session_and_can_be_deleted(world, typed, finished, bad):
    other = world.burst("item", [3])
    assert list(other.results()) == [3]
    root, kept = world.store.path(f"sessions/{finished.id}"), world.root / "kept"
    shutil.copytree(root, kept)
    (key,) = (world.settings().keys_dir / finished.id,)
    secret = key.read_bytes()
    for what in ("manifest.json", "jobs/0/job.json", "jobs/0/final", "control/0-add-job", "control/1x-cancel"):
        (root / what).write_bytes(b"0" * 64 + b"\n{}")
        spoil(root / what, bad)
        for user in ("", "without the key"):
            rows = {row.id: row for row in attach.sessions(world.settings(user=user))}
            assert (rows[other.id].completed, rows[other.id].problem) == (1, "")
            assert set(rows) == {other.id, finished.id}
        assert typed("inspect", finished.id)[0] in {0, 1}
        code, said = typed("cleanup", finished.id, "--force", "--yes")
        assert code == 0, said
        assert (what, set(content(root))) == (what, set())
        shutil.rmtree(root, ignore_errors=True)  # a pipe is not ours
        shutil.copytree(kept, root)
        key.write_bytes(secret)


@pytest.mark.parametrize("bad", [b"", b"\xff" * 32, b"zz" * 32, b"00" * 31])
def test_a_bad_key_file_is_named_and_hides_no_other_session(world, finished, bad):
    other = world.burst("item", [3])
    assert list(other.results()) == [3]
    file = world.settings().keys_dir / finished.id
    before = file.read_bytes()
    file.write_bytes(bad)
    rows = {row.id: row for row in attach.sessions(world.settings())}
    assert rows[other.id].completed == 1
    assert "not a session key" in rows[finished.id].problem
    with pytest.raises(BurstError, match=str(file)):
        world.attach(finished.id)
    file.write_bytes(before)


LINES = ['{"id": 5}', '{"id": ["a"], "job": "0", "store": "x", "created": 1}', "[]", "null", "5", '"x"',
         '{"id": "a", "job": "0", "store": "file:///", "created": "soon"}',
         '{"id": "a", "job": "0", "store": "file:///", "created": NaN, "name": 7}', "\udcff"]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_a_bad_line_in_the_users_list_hides_no_session(world, typed, finished, line):
    roster = world.settings().sessions_file
    with roster.open("ab") as file:
        file.write(line.encode(errors="surrogateescape") + b"\n")
    assert [row.id for row in attach.sessions(world.settings())] == [finished.id]
    assert typed("status", "mine")[0] == 0
    assert typed("sessions")[0] == 0


def test_a_folder_that_is_named_like_a_session_of_no_time_is_no_trouble(world, finished):
    impossible = "99999999-999999-aaaaaaaa"
    world.store.put(f"sessions/{impossible}/manifest.json", b"junk")
    rows = {row.id: row for row in attach.sessions(world.settings())}
    assert rows[impossible].problem
    assert not rows[finished.id].problem


def test_sessions_are_found_with_one_look_however_many_strays_there_are(world, flaky):
    for number in range(20):
        world.store.put(f"sessions/{PLANTED[:-1]}{'abcdefghijklmnopqrstuvwxyz'[number]}/manifest.json", b"")
        world.store.put(f"sessions/stray{number}", b"")
        world.store.put(f"sessions/stray folder {number}/a", b"")
    flaky.calls.clear()
    assert len(attach.whereabouts(world.settings())) == 20
    assert flaky.calls == [("folders", "sessions")]
    world.store.delete(world.objects())


def test_keys_of_sessions_are_found_among_strays(tmp_path):
    (tmp_path / "README").write_bytes(b"")
    assert keyring.find(tmp_path, "README") is None
    assert not keys.is_session_id("README")


def a_folder(path):
    path.mkdir()


def a_pipe(path):
    os.mkfifo(path)


def a_link(path):
    path.symlink_to(path)


@pytest.mark.parametrize("other", [a_folder, a_pipe, a_link], ids=lambda other: other.__name__)
def test_what_is_put_in_the_place_of_a_claim_and_of_the_end_stops_nobody(world, gate, until, other):
    """A worker that cannot create a claim goes on with the next one; a client that cannot write the end shows all."""
    world.home["gate"] = str(gate)
    cell = "import os, time\nwhile not os.path.exists(gate):\n    time.sleep(0.005)\nitem"
    session = world.burst(cell, range(8), workers=2)
    job = world.store.path(f"sessions/{session.id}/jobs/{session.job}")
    until(lambda: len(list((job / "claims").glob("*"))) == 2, "both workers to begin")
    (free,) = {f"{start:010d}.000" for start in session.description.lanes[2:3]}
    for name in (f"claims/{free}", "final"):
        other(job / name)
    gate.touch()
    assert list(session.results()) == list(range(8))
    assert world.attach(session.id, user="-other", key=session.key).status().done == 8
    session.close()
    until(lambda: not world.workers(), "the workers to end")
    session.cleanup(force=True)
    assert world.objects() == []
