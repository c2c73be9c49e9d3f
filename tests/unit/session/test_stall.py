"""Why results stay away: what is told to whoever waits, and what only takes time."""

from __future__ import annotations

import pytest

from burst_magic.errors import StoreError, Throttled, Unknown
from burst_magic.protocol.wire.model import Manifest
from burst_magic.session.stall import Stall
from burst_magic.stores import open_store

MANIFEST = Manifest(
    sid="20261121-093000-abcdefgh",
    created=0.0,
    launcher="local",
    workers=1,
    slots=1,
    cpu=1.0,
    memory_mb=1024,
    arch="x86_64",
    seed=0,
    deadline=1000.0,
    idle=50.0,
    interval=10.0,
    floor=1.0,
)


class Refusing:
    """A folder that refuses writes with a fault."""

    def __init__(self, url, fault):
        self._inner, self._fault = open_store(url), fault

    def put(self, key, data, *, whole=False):
        raise self._fault

    create = put

    def __getattr__(self, name):
        return getattr(self._inner, name)


@pytest.fixture
def stall(tmp_path):
    """Nothing new has been covered for a while; the store refuses what we try to write."""

    def make(fault):
        stall = Stall(Refusing(tmp_path.as_uri(), fault), MANIFEST)
        assert not stall.asks(0, 0.0)
        return stall

    return make


@pytest.mark.parametrize("fault", [Throttled("slow down"), Unknown("no reply")])
def test_a_store_that_only_keeps_us_waiting_is_not_full(stall, fault):
    assert stall(fault).asks(0, 1000.0)


def test_a_disk_without_room_is_told(stall):
    with pytest.raises(StoreError, match="no space"):
        stall(StoreError("no space left on device")).asks(0, 1000.0)


def test_who_sees_results_come_asks_nobody(stall):
    quiet = stall(StoreError("no space left on device"))
    assert not quiet.asks(1, 1000.0)
