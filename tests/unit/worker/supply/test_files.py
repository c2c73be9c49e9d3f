"""A job's bytes on a worker: verified before they are handed on, fetched once, gone with the worker."""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import os
import shutil
import threading
import zipfile
from pathlib import Path

import pytest

from burst_magic.errors import Missing, RecordError, SignatureError
from burst_magic.payload import Envelope
from burst_magic.protocol.wire import blocks, keys, sign
from burst_magic.protocol.wire.model import Job
from burst_magic.stores import open_store
from burst_magic.stores.store_driver import Carrier
from burst_magic.worker.supply.blobs import verified
from burst_magic.worker.supply.files import JobFiles
from burst_magic.worker.supply.scratch import Scratch, _remove_if_alone

SECRET, SID = bytes(32), "20260101-000000-aaaaaaaa"
KEYS = keys.SessionKeys(SID).job("0")
_names = itertools.count()


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    if request.param == "folder":
        return open_store((tmp_path / "store").as_uri())
    return open_store(f"memory://job-{next(_names)}")


def own():
    """A session that no other test has."""
    return f"test-{os.getpid()}-{next(_names)}"


@pytest.fixture
def scratch():
    scratch = Scratch(own())
    yield scratch
    scratch.remove()


def put_items(store, entries, key=KEYS.items):
    writer = blocks.BlockWriter(SECRET, key, lengths=True)
    pieces = [writer.add(task, entry) for task, entry in enumerate(entries)]
    store.put(KEYS.items, b"".join(pieces) + writer.finish())
    return writer.index


def put_payload(store, *, blobs=(), bundle=""):
    envelope = Envelope(source="item", stream=b"", filename="<cell>", target="item", blobs=blobs, bundle=bundle)
    store.put(KEYS.payload, sign.seal(SECRET, KEYS.payload, envelope.to_bytes()))


def put_blob(store, data):
    sha256 = hashlib.sha256(data).hexdigest()
    store.put(keys.blob(sha256), data)
    return sha256, len(data)


def job(tasks=1, items=None):
    return Job(jid="0", created=0.0, tasks=tasks, lanes=(0,), seed=1, items=items)


def files(store, scratch, described):
    return JobFiles(Carrier(store, SECRET, lambda _: False), SID, described, scratch)


def test_items_come_by_the_block_that_holds_the_task(store, scratch):
    entries = [bytes([number]) * 400_000 for number in range(6)]
    put_payload(store)
    found = files(store, scratch, job(6, put_items(store, entries)))
    for task in range(6):
        first, block = found.entries(task)
        assert first == task - task % 2  # two of these fill a block
        assert block.part(0, 2) == blocks.join_entries(entries[first : first + 2])


def test_a_task_beyond_the_items_is_an_error_not_another_tasks_item(store, scratch):
    put_payload(store)
    found = files(store, scratch, job(2, put_items(store, [b"a", b"b"])))
    with pytest.raises(RecordError, match="task 2"):
        found.entries(2)


def test_items_of_another_job_are_not_taken_for_these(store, scratch):
    put_payload(store)
    index = put_items(store, [b"a"], key=keys.SessionKeys(SID).job("1").items)
    with pytest.raises(SignatureError) as caught:
        files(store, scratch, job(1, index))
    assert caught.value.context == KEYS.items


def test_a_changed_byte_of_an_item_is_found_and_names_the_object(store, scratch):
    put_payload(store)
    index = put_items(store, [b"aaaa", b"bbbb"])
    data = bytearray(store.get(KEYS.items))
    data[data.index(b"bbbb")] ^= 1
    store.put(KEYS.items, bytes(data))
    found = files(store, scratch, job(2, index))
    with pytest.raises(SignatureError) as caught:
        found.entries(0)
    assert caught.value.context == KEYS.items


@pytest.mark.parametrize("changed", [b"", b"x", b"\n" * 80])
def test_a_payload_that_is_none_is_refused(store, scratch, changed):
    store.put(KEYS.payload, changed)
    with pytest.raises(SignatureError):
        files(store, scratch, job())


def test_a_payload_that_is_missing_is_said(store, scratch):
    with pytest.raises(Missing):
        files(store, scratch, job())


def test_blobs_and_the_bundle_are_files_with_the_bytes_that_were_named(store, scratch):
    data, code = bytes(range(256)) * 1000, io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("mine/deep.py", "answer = 42")
    put_payload(store, blobs=(put_blob(store, data), put_blob(store, b"")), bundle=put_blob(store, code.getvalue())[0])
    found = files(store, scratch, job())
    assert [Path(blob.path).read_bytes() for blob in found.blobs] == [data, b""]
    assert Path(found.bundle, "mine", "deep.py").read_text() == "answer = 42"


def test_a_blob_that_was_changed_is_refused_by_its_name(store, scratch):
    sha256, size = put_blob(store, b"what was meant")
    put_payload(store, blobs=((sha256, size),))
    store.put(keys.blob(sha256), b"what is there!")
    with pytest.raises(SignatureError, match="does not match its name") as caught:
        files(store, scratch, job())
    assert caught.value.context == keys.blob(sha256)


def test_local_sources_that_were_changed_are_refused_and_not_unpacked(store, scratch):
    meant, there = io.BytesIO(), io.BytesIO()
    for data, answer in ((meant, "42"), (there, "43")):
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("mine.py", f"answer = {answer}")
    sha256, _ = put_blob(store, meant.getvalue())
    put_payload(store, bundle=sha256)
    store.put(keys.blob(sha256), there.getvalue())
    with pytest.raises(SignatureError, match="does not match its name") as caught:
        files(store, scratch, job())
    assert caught.value.context == keys.blob(sha256)


def test_a_blob_that_is_missing_is_said(store, scratch):
    put_payload(store, blobs=(("0" * 64, 5),))
    with pytest.raises(Missing):
        files(store, scratch, job())


def test_nothing_is_left_of_the_scratch_folder():
    Scratch(own()).remove()  # nothing was there
    scratch = Scratch(own())
    place = scratch.keep("x", lambda draft: draft.write_text("x"))
    assert scratch.keep("y", lambda draft: draft.mkdir()).parent == place.parent
    scratch.remove()
    assert not place.parent.exists()


def test_workers_of_one_session_share_what_one_has_fetched_and_the_last_removes_it():
    session = own()
    one, two = Scratch(session), Scratch(session)
    place = one.keep("x", lambda draft: draft.write_text("x"))
    assert two.keep("x", lambda draft: draft.write_text("again")).read_text() == "x"
    one.remove()
    assert place.read_text() == "x"
    two.remove()
    assert not place.parent.exists()
    three = Scratch(session)
    assert three.keep("x", lambda draft: draft.write_text("anew")).read_text() == "anew"
    three.remove()


def test_what_a_killed_worker_left_goes_when_the_next_one_comes():
    killed, alive, next_one = Scratch(own()), Scratch(own()), Scratch(own())
    left, held = (each.keep("x", lambda draft: draft.touch()) for each in (killed, alive))
    os.close(killed._held)
    next_one.keep("y", lambda draft: draft.touch())
    assert (left.exists(), held.exists()) == (False, True)
    for each in (alive, next_one):
        each.remove()


def test_of_two_that_sweep_at_once_the_second_spares_what_was_made_anew_meanwhile():
    session = own()
    killed, replacement = Scratch(session), Scratch(session)
    folder = killed.keep("x", lambda draft: draft.touch()).parent
    os.close(killed._held)
    first, second = (os.open(folder, os.O_RDONLY) for _ in range(2))
    _remove_if_alone(folder, first)
    assert not folder.exists()
    place = replacement.keep("x", lambda draft: draft.write_text("anew"))
    _remove_if_alone(folder, second)
    assert place.read_text() == "anew"
    replacement.remove()
    assert not folder.exists()


def test_who_leaves_a_folder_that_was_removed_spares_the_one_that_was_made_anew():
    session = own()
    leaving, replacement = Scratch(session), Scratch(session)
    shutil.rmtree(leaving.keep("x", lambda draft: draft.touch()).parent)  # by one that swept while this one let go
    place = replacement.keep("x", lambda draft: draft.write_text("anew"))
    leaving.remove()
    assert place.read_text() == "anew"
    replacement.remove()
    assert not place.parent.exists()


def test_who_has_left_keeps_nothing_more():
    scratch = Scratch(own())
    scratch.keep("x", lambda draft: draft.touch())
    scratch.remove()
    with pytest.raises(OSError, match="the worker ends"):
        scratch.keep("y", lambda draft: draft.touch())


def test_a_folder_that_others_can_write_is_not_trusted():
    session = own()
    scratch, squatter = Scratch(session), Scratch(session)
    open_to_all = squatter.keep("x", lambda draft: draft.touch()).parent
    open_to_all.chmod(0o777)
    place = scratch.keep("y", lambda draft: draft.touch())
    assert place.parent != open_to_all
    scratch.remove()
    squatter.remove()
    assert not place.parent.exists()


def test_what_a_worker_left_half_made_when_it_was_killed_is_made_anew(scratch):
    place = scratch.keep("x", lambda draft: draft.touch())
    place.with_name("y.part").mkdir()
    assert scratch.keep("y", lambda draft: draft.write_text("whole")).read_text() == "whole"


def test_what_two_need_at_once_is_made_once(scratch):
    gate, made = threading.Event(), []

    def make(draft):
        gate.wait(10)
        made.append(draft)
        draft.write_text("x")

    both = [threading.Thread(target=scratch.keep, args=("x", make)) for _ in range(2)]
    for each in both:
        each.start()
    scratch.keep("y", lambda draft: draft.touch())  # nobody waits for another's file
    gate.set()
    for each in both:
        each.join()
    assert len(made) == 1


def test_of_what_could_not_be_made_whole_nothing_is_left(scratch):
    def fails(draft):
        draft.mkdir()
        (draft / "half").touch()
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(OSError, match="full") as caught:
        scratch.keep("x", fails)
    assert Path(caught.value.filename).name == "x.part"
    place = scratch.keep("x", lambda draft: draft.touch())
    assert sorted(each.name for each in place.parent.iterdir()) == ["x", "x.lock"]


@pytest.mark.parametrize("how", ["replaced", "in place"])
def test_a_blob_that_was_changed_after_it_was_verified_is_not_opened(tmp_path, how):
    path = tmp_path / "blob"
    path.write_bytes(b"what was meant")
    blob = verified(str(path), hashlib.sha256(b"what was meant").hexdigest(), 14)
    if how == "replaced":
        (tmp_path / "other").write_bytes(b"what is there!")
        (tmp_path / "other").replace(path)
    else:
        path.write_bytes(b"what is there!")
    with pytest.raises(SignatureError, match="changed"):
        blob.open()


def test_a_blob_that_was_only_touched_is_opened(tmp_path):
    path = tmp_path / "blob"
    path.write_bytes(b"what was meant")
    blob = verified(str(path), hashlib.sha256(b"what was meant").hexdigest(), 14)
    os.utime(path)
    descriptor, size = blob.open()
    assert os.read(descriptor, 100) == b"what was meant"
    assert size == 14
    os.close(descriptor)
