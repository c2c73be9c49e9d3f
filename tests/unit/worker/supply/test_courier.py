"""Store calls in threads: their events come back in one place, and what breaks is told there."""

from __future__ import annotations

import itertools
import select
import threading
from contextlib import contextmanager

import pytest

from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import blocks, keys, records
from burst_magic.protocol.wire.model import ClaimKey, Heartbeat, Outcome, OutcomeKind, Provenance, SegmentKey
from burst_magic.stores import open_store
from burst_magic.stores.store_driver import Carrier
from burst_magic.testing.careless import careless
from burst_magic.testing.servers import Keys, StaticCredentials
from burst_magic.worker.supply.courier import Broken, Courier, Errand

SID = "20260101-000000-aaaaaaaa"
_names = itertools.count()


@pytest.fixture
def store():
    return open_store(f"memory://courier-{next(_names)}")


@contextmanager
def over(store):
    stopping = threading.Event()
    courier = Courier(Carrier(store, bytes(32), lambda _: not stopping.is_set()), stopping)
    yield courier
    courier.close()


@pytest.fixture
def courier(store):
    with over(store) as courier:
        yield courier


def heard(courier, count=1):
    """So many events; waits as the supervisor does."""
    found = []
    while len(found) < count:
        assert select.select([courier.fileno()], [], [], 10)[0], f"only {found}"
        found += courier.events()
    return found


def test_what_a_call_returns_is_an_event_and_nothing_is_none(courier):
    courier.call(lambda: None)
    courier.call(fx.Tick)
    assert heard(courier) == [fx.Tick()]


def test_many_calls_lose_no_event(courier):
    for number in range(2000):
        courier.call(lambda number=number: number)
    assert sorted(heard(courier, 2000)) == list(range(2000))


def test_a_slow_call_holds_up_no_other(courier):
    gate = threading.Event()
    courier.call(lambda: gate.wait(10) and "slow")
    courier.call(lambda: "quick")
    assert heard(courier) == ["quick"]
    gate.set()
    assert heard(courier) == ["slow"]


def test_a_heartbeat_waits_for_nobody(courier):
    gate = threading.Event()
    for errand in (Errand.CALLS, Errand.FILES):
        for _ in range(10):
            courier.call(lambda: gate.wait(10) and None, errand=errand)
    courier.call(lambda: "beat", errand=Errand.BEAT)
    assert heard(courier) == ["beat"]
    gate.set()


def test_a_jobs_files_hold_up_no_call(courier):
    gate = threading.Event()
    for _ in range(10):
        courier.call(lambda: gate.wait(10) and None, errand=Errand.FILES)
    courier.call(lambda: "call")
    assert heard(courier) == ["call"]
    gate.set()


def test_a_call_that_breaks_is_raised_where_events_are_read(courier):
    courier.call(lambda: 1 // 0)
    with pytest.raises(Broken, match=r"ZeroDivisionError: .* by zero"):
        heard(courier)


def test_a_heartbeat_that_fails_is_an_answer_too(courier, store):
    key = keys.SessionKeys(SID).heartbeat("here-1-1", 0, 0)
    beat = Heartbeat(worker="here-1-1", number=1, at=0.0)
    assert courier.beat(key, beat).wrote is fx.Wrote.DONE
    assert records.decode(Heartbeat, store.get(key), secret=bytes(32), key=key) == beat
    with careless() as server:
        keys_of = StaticCredentials(Keys(access="a", secret="b"), {"endpoint": server.endpoint})
        server.script.append(403)
        with over(open_store("s3://bucket/prefix", credentials=keys_of)) as refused:
            assert refused.beat(key, beat).wrote is fx.Wrote.UNKNOWN


def test_a_segment_is_written_once_and_a_second_time_refused(courier, store):
    segment = SegmentKey(at_ms=1, start=0, stop=3, failed=0, claim=ClaimKey(start=0, number=0))
    packed = [records.pack_outcome(Outcome(task=task, kind=OutcomeKind.VALUE)) for task in range(3)]
    runs = [
        records.PackedRun(first=0, count=2, data=packed[0] + packed[1]),
        records.PackedRun(first=2, count=1, data=packed[2]),
    ]
    effect, by = fx.Publish("0", segment), Provenance("here-1-1", 3)
    assert courier.publish(SID, effect, runs, by=by).wrote is fx.Wrote.DONE
    assert courier.publish(SID, effect, runs, by=by).wrote is fx.Wrote.REFUSED
    key = keys.SessionKeys(SID).job("0").segment(segment)
    ((block, body),) = blocks.open_object(bytes(32), key, store.get(key))
    assert records.read_origin(body) == (by, b"".join(packed))
    assert (block.first, block.count) == (0, 3)
    for wrong in (runs[:1], runs[1:]):
        with pytest.raises(ValueError, match="outcomes up to task"):
            courier.publish(SID, effect, wrong, by=by)
