"""Which packs of earlier sessions are believed: those whose name a worker has signed with that session's key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from burst_magic.config import load
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.lock import InstalledPack
from burst_magic.protocol.wire.model import Manifest
from burst_magic.session import keyring, packs
from burst_magic.stores import open_store

SECRET = bytes(range(32))
LOCK, PACK = "a" * 64, "b" * 64


@pytest.fixture
def settings(tmp_path):
    return load(environ={}, config_dir=tmp_path / "config", data_dir=tmp_path / "data")


@pytest.fixture
def store(tmp_path):
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def session(settings, store):
    """Makes a session with this lock, whose worker has stored its pack."""

    def make(number=0, *, secret=SECRET, lock=LOCK, pack=PACK):
        sid = f"20260101-00000{number}-aaaaaaaa"
        manifest = Manifest(
            sid=sid, created=0.0, launcher="spot", workers=1, slots=1, cpu=1.0, memory_mb=1, arch="", seed=0,
            deadline=0.0, idle=0.0, interval=1.0, floor=1.0, lock=LOCK,
        )  # fmt: skip
        keyring.keep(settings.keys_dir, sid, SECRET)
        packs.note(settings, store, manifest)
        key = keys.SessionKeys(sid).pack
        record = InstalledPack(lock=lock, sha256=pack, by="w")
        store.put(key, records.encode(record, secret=secret, key=key))
        store.put(keys.env(pack), b"bytes")
        return manifest

    return make


def test_the_pack_that_an_earlier_session_has_signed_is_known(settings, store, session):
    assert packs.known(settings, store, LOCK) == ""
    session()
    assert packs.known(settings, store, LOCK) == PACK
    assert packs.known(settings, store, "c" * 64) == ""
    assert packs.known(settings, store, "") == ""


def test_it_outlives_the_session_that_made_it(settings, store, session):
    manifest = session()
    assert packs.learn(settings, store, manifest.sid, LOCK) == PACK
    store.delete([keys.SessionKeys(manifest.sid).pack])
    keyring.forget(settings.keys_dir, manifest.sid)
    assert packs.known(settings, store, LOCK) == PACK


def test_a_pack_that_the_store_has_lost_is_not_named(settings, store, session):
    session()
    store.delete([keys.env(PACK)])
    assert packs.known(settings, store, LOCK) == ""


@pytest.mark.parametrize("change", [{"secret": bytes(32)}, {"lock": "c" * 64}], ids=str)
def test_what_was_signed_by_somebody_else_or_is_of_another_lock_is_not_believed(settings, store, session, change):
    session(**change)
    assert packs.known(settings, store, LOCK) == ""


def test_a_session_whose_key_is_not_here_proves_nothing(settings, store, session):
    manifest = session()
    keyring.forget(settings.keys_dir, manifest.sid)
    assert packs.known(settings, store, LOCK) == ""


def test_a_session_of_somebody_else_whose_key_was_given_proves_nothing(settings, store, session):
    manifest = session()
    (settings.data_dir / "environments" / "packs.jsonl").unlink()
    assert packs.learn(settings, store, manifest.sid, LOCK) == ""
    assert packs.known(settings, store, LOCK) == ""


def test_another_store_has_packs_of_its_own(settings, store, session, tmp_path):
    session()
    assert packs.known(settings, open_store((tmp_path / "other").as_uri()), LOCK) == ""


def test_a_damaged_line_is_passed_over(settings, store, session):
    session()
    with (settings.data_dir / "environments" / "packs.jsonl").open("a") as file:
        file.write('{"lock": "half\n{"of a newer version": 1}\n')
    assert packs.known(settings, store, LOCK) == PACK


def test_a_session_that_was_told_of_a_pack_passes_it_on(settings, store, session):
    manifest = replace(session(), pack=PACK, sid="20260101-000009-aaaaaaaa")
    packs.note(settings, store, manifest)
    assert packs.known(settings, store, LOCK) == PACK
