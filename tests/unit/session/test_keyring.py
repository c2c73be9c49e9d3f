"""A session's key in the store: for the user's other computers, if they may list the names."""

from __future__ import annotations

import os

import pytest

from burst_magic.errors import AttachError, BurstError, Denied
from burst_magic.protocol.wire import keys, sign
from burst_magic.session import keyring
from burst_magic.session.deletion import delete_all
from burst_magic.stores import open_store

SID, OTHER = "20260101-000000-aaaaaaaa", "20260101-000000-aaaaaaab"
SECRET = bytes(range(32))


@pytest.fixture
def store(tmp_path):
    return open_store(f"memory://{tmp_path.name}")


class Refusing:
    """A store that denies a verb."""

    def __init__(self, store, verb):
        self.url = store.url
        self._store, self._verb = store, verb

    def __getattr__(self, name):
        if name == self._verb:
            return self._refuse
        return getattr(self._store, name)

    def list(self, prefix, **options):
        if self._verb in {"list", f"list-{prefix}"}:
            self._refuse()
        return self._store.list(prefix, **options)

    def _refuse(self, *_, **__):
        raise Denied("the store denies access")


def test_another_computer_finds_the_key_of_this_session_and_no_other(store):
    keyring.publish(store, OTHER, bytes(32))
    assert keyring.fetch(store, SID) is None
    keyring.publish(store, SID, SECRET)
    assert keyring.fetch(store, SID) == SECRET


@pytest.mark.parametrize("verb", ["list", "get"])
def test_who_may_not_list_or_read_keys_has_none(store, verb):
    keyring.publish(store, SID, SECRET)
    assert keyring.fetch(Refusing(store, verb), SID) is None


def test_a_key_that_does_not_match_its_name_is_not_believed(store):
    store.put(keys.session_key(SID, sign.fingerprint(SECRET)), bytes(32))
    with pytest.raises(AttachError, match="does not match its name"):
        keyring.fetch(store, SID)


def test_of_two_keys_none_is_believed(store):
    for secret in (SECRET, bytes(32)):
        keyring.publish(store, SID, secret)
    with pytest.raises(AttachError, match="several keys"):
        keyring.fetch(store, SID)


def test_a_folder_has_no_keys_to_believe(tmp_path):
    store = open_store(tmp_path.as_uri())
    keyring.publish(store, SID, SECRET)
    assert keyring.fetch(store, SID) is None


def test_who_may_not_list_keys_deletes_the_one_that_follows_from_the_session_s(store):
    keyring.publish(store, SID, SECRET)
    assert delete_all(Refusing(store, "list-keys"), keys.SessionKeys(SID), secret=SECRET) == 1
    assert store.list(keys.SESSION_KEYS) == []


def test_no_key_is_written_into_a_pipe_and_nobody_waits_for_its_reader(tmp_path):
    os.mkfifo(tmp_path / SID)
    with pytest.raises(BurstError, match="cannot use its own files"):
        keyring.keep(tmp_path, SID, bytes(32))
