"""An upload whose source is code of the user's."""

from __future__ import annotations

import pytest

from burst_magic.errors import Missing, StoreError
from burst_magic.stores import open_store

BLOCK = bytes(1 << 20)


def test_a_source_may_use_the_store_itself(tmp_path):
    store = open_store(tmp_path.as_uri())

    def chunks():
        for number in range(20):
            store.create(f"blobs/{number}", b"x")
            yield BLOCK

    store.put("items", chunks())
    assert len(store.list("blobs")) == 20
    assert len(store.get("items")) == 20 << 20


def test_an_error_of_the_source_is_never_taken_for_one_of_the_store(tmp_path):
    store = open_store(tmp_path.as_uri())
    for mine in (FileNotFoundError(2, "the user's own file"), PermissionError(13, "no"), Missing("of another store")):
        for length in (0, 20):

            def chunks(mine=mine, length=length):
                yield from [BLOCK] * length
                raise mine

            with pytest.raises(type(mine)) as caught:
                store.put("items", chunks())
            assert caught.value is mine
    assert store.list("") == []


def test_a_source_is_not_pulled_to_its_end_when_the_store_has_failed(tmp_path):
    store = open_store(tmp_path.as_uri())
    store.put("a", b"an object, so nothing can lie below it")
    pulled = []

    def chunks():
        for number in range(1000):
            pulled.append(number)
            yield BLOCK

    with pytest.raises(StoreError):
        store.put("a/b", chunks())
    assert len(pulled) < 100
