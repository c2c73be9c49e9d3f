"""A store that ignores conditional writes is found before it harms."""

from __future__ import annotations

import pytest

from burst_magic.errors import Denied, StoreError, Unknown
from burst_magic.stores import Entry, open_store
from burst_magic.stores.probe import probe, time_of
from burst_magic.testing.careless import careless
from burst_magic.testing.servers import Keys, StaticCredentials


@pytest.fixture
def server():
    with careless() as running:
        yield running


def on(server):
    keys = StaticCredentials(Keys(access="a", secret="b"), {"endpoint": server.endpoint})
    return open_store("s3://bucket/prefix", credentials=keys)


class TriesTwice:
    """A store of which each create is applied and then, as if its answer had been lost, tried again."""

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def create(self, key, data, *, whole=False):
        self._inner.create(key, data)
        self._inner.create(key, data)


def test_a_careless_store_is_refused_each_time_and_nothing_is_left(server, tmp_path):
    for _ in range(2):
        with pytest.raises(StoreError, match="ignores conditional writes") as caught:
            probe(on(server), remembered=tmp_path)
        assert server.endpoint in caught.value.context
        assert caught.value.way_out
    assert server.objects == {}
    assert list(tmp_path.iterdir()) == []


def test_a_sound_store_is_asked_once(tmp_path):
    store = open_store((tmp_path / "store").as_uri())
    asked = []
    create, store.create = store.create, lambda key, data: (asked.append(key), create(key, data))
    probe(store, remembered=tmp_path / "data")
    probe(store, remembered=tmp_path / "data")
    assert len(asked) == 2
    probe(store, remembered=tmp_path / "other user")
    assert len(asked) == 4
    assert store.list("") == []


def test_one_bucket_name_on_two_servers_is_two_stores(server, tmp_path):
    with careless() as other:
        (tmp_path / "probed-stores.txt").write_text(f"{other.endpoint} s3://bucket/prefix\n")
        probe(on(other), remembered=tmp_path)
        with pytest.raises(StoreError):
            probe(on(server), remembered=tmp_path)


def test_a_write_that_lost_to_itself_does_not_condemn_a_store(tmp_path):
    """S3 may answer 412 to the second try of a write that had landed."""
    probe(TriesTwice(open_store("memory://lost-to-itself")), remembered=tmp_path)


def test_denial_is_no_verdict(server, tmp_path):
    server.script.append(403)
    with pytest.raises(Denied):
        probe(on(server), remembered=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shown", [[], [Entry("zz", 1, 5.0)]], ids=["nothing", "another"])
def test_a_store_that_does_not_list_what_was_written_has_no_known_time(tmp_path, shown):
    store = open_store(tmp_path.as_uri())
    store.list = lambda *_, **__: shown
    with pytest.raises(Unknown, match="does not list"):
        time_of(store)
    del store.list
    assert store.list("") == []
    assert time_of(store) > 0
