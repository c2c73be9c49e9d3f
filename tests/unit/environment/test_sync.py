"""What is stored of an environment, and what is said of it."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace

import pytest

from burst_magic.environment.bundle import Archive
from burst_magic.environment.lock import Resolved
from burst_magic.environment.sync import Synced
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.lock import Lock
from burst_magic.stores import open_store

WEEK = 7 * 86400.0


@pytest.fixture
def archive(tmp_path):
    def make(text: str) -> Archive:
        path = tmp_path / text
        path.write_text(text)
        return Archive(sha256=hashlib.sha256(text.encode()).hexdigest(), path=path)

    return make


@pytest.fixture
def synced(archive):
    versions = (("dill", "0.4"), ("numpy", "2.3"), ("threadpoolctl", "3"))
    lock = Lock(
        python="3.12", platform="arm64", requirements="", wheels=(("mine-1-py3-none-any.whl", "ab"),), versions=versions
    )
    resolved = Resolved(lock=lock, wheels=(archive("wheel"),))
    return Synced(bundle=archive("bundle"), installer=archive("installer"), resolved=resolved)


@pytest.fixture
def store(tmp_path):
    return open_store((tmp_path / "store").as_uri())


def stored(store):
    return {entry.key.removeprefix("envs/"): store.get(entry.key) for entry in store.list("envs")}


def test_everything_is_stored_under_its_sha256(synced, store):
    synced.upload(store)
    found = stored(store)
    assert all(hashlib.sha256(data).hexdigest() == name for name, data in found.items())
    assert set(found.values()) == {b"bundle", b"installer", b"wheel", synced.resolved.lock.to_bytes()}
    assert Lock.from_bytes(found[synced.lock]) == synced.resolved.lock


def test_what_workers_bring_themselves_is_not_installed(synced, store):
    lock = replace(synced.resolved.lock, versions=(("dill", "0.4"), ("threadpoolctl", "3")), wheels=())
    bare = replace(synced, resolved=Resolved(lock=lock))
    bare.upload(store)
    assert (bare.lock, set(stored(store).values())) == ("", {b"bundle"})


def test_what_is_there_is_not_sent_again_unless_it_is_old_or_something_else(synced, store):
    synced.upload(store)
    key = keys.env(synced.bundle.sha256)
    before = time.time() - WEEK / 2
    os.utime(store.path(key), (before, before))
    synced.upload(store)
    assert store.path(key).stat().st_mtime == before
    os.utime(store.path(key), (before - WEEK, before - WEEK))
    synced.upload(store)
    assert store.path(key).stat().st_mtime > before
    store.put(key, b"half of it")
    synced.upload(store)
    assert store.get(key) == b"bundle"


def test_it_is_told_in_a_line_and_what_is_left_out_in_a_warning(synced):
    assert synced.summary == ("Python 3.12 on Linux arm64: dill 0.4, numpy 2.3, threadpoolctl 3; sent from here: mine")
    assert synced.warnings == ()
    less = replace(synced, resolved=replace(synced.resolved, left_out=("mac==1 has no wheel", "x==2 has none")))
    assert less.warnings == ("not on workers: mac==1 has no wheel; x==2 has none",)
