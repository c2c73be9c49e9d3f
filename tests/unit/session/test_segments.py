"""Reading segments: of a store that does not answer, and each of them once."""

from __future__ import annotations

import itertools
import threading
import time

from burst_magic.errors import Unknown
from burst_magic.protocol.wire import blocks, keys
from burst_magic.protocol.wire.model import ClaimKey, Outcome, OutcomeKind, SegmentKey
from burst_magic.protocol.wire.records import pack_origin, pack_outcome, pack_value
from burst_magic.session.segments import Failures, SegmentReader, Tally
from burst_magic.stores import open_store
from burst_magic.stores.store_driver import Carrier

SECRET = bytes(32)
JOB = keys.SessionKeys("20261121-093000-abcdefgh").job("0")
_names = itertools.count()


class Silent:
    """A store in memory that answers for the first segment and for no other."""

    def __init__(self) -> None:
        self.inner = open_store(f"memory://outcomes-{next(_names)}")
        self.asked = threading.Event()

    def get(self, key, *, start=0, end=None):
        if "/results/" in key and ".0000000000-" not in key:
            self.asked.set()
            raise Unknown("no answer", context=key)
        return self.inner.get(key, start=start, end=end)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def published(store, task):
    segment = SegmentKey(
        at_ms=1_800_000_000_000, start=task, stop=task + 1, failed=0, claim=ClaimKey(start=task, number=0)
    )
    key = JOB.segment(segment)
    record = pack_value(task, b"value", began=0.0, wall=0.0, cpu=0.0, peak_mb=0.0)
    store.inner.put(
        key, b"".join(blocks.write_blocks(SECRET, key, [(task, record)], lengths=False, head=pack_origin()))
    )
    return task, task + 1, segment


def told(tally, parts):
    failed, groups = tally.count(parts)
    return failed, [(group.count, group.words) for group in groups]


def fetching():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_who_stops_reading_does_not_wait_for_a_store_that_does_not_answer():
    store, before = Silent(), fetching()
    parts = [published(store, task) for task in range(4)]
    carrier = Carrier(store, SECRET, lambda seconds: time.sleep(seconds) or True)
    reading = SegmentReader(carrier, JOB, "tour").records(parts)
    assert next(reading)[0] == 0
    assert store.asked.wait(10)
    reading.close()
    end = time.monotonic() + 10
    while set(fetching()) - set(before):
        assert time.monotonic() < end, "somebody still asks"
        time.sleep(0.01)


class Counted:
    """A store far away that counts what is fetched of each segment."""

    def __init__(self) -> None:
        self.inner = open_store(f"memory://outcomes-{next(_names)}")
        self.fetched: list[str] = []

    def get(self, key, *, start=0, end=None):
        self.fetched.append(key)
        return self.inner.get(key, start=start, end=end)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def failing(store, task, message="no"):
    segment = SegmentKey(
        at_ms=1_800_000_000_000, start=task, stop=task + 1, failed=1, claim=ClaimKey(start=task, number=0)
    )
    record = pack_outcome(Outcome(task=task, kind=OutcomeKind.ERROR, error="ValueError", message=message))
    key = JOB.segment(segment)
    store.inner.put(
        key, b"".join(blocks.write_blocks(SECRET, key, [(task, record)], lengths=False, head=pack_origin()))
    )
    return task, task + 1, segment


def reading(store):
    return SegmentReader(Carrier(store, SECRET, lambda _: False), JOB, "tour")


def test_failures_are_fetched_once_however_often_somebody_looks():
    store = Counted()
    parts = [failing(store, task) for task in range(5)]
    reader = reading(store)
    failures = Failures(reader)
    for _ in range(3):
        assert [outcome.task for _, failed in failures.within(parts) for outcome in failed] == [0, 1, 2, 3, 4]
        assert told(Tally(failures), parts) == (5, [(5, "ValueError: no")])
    parts.append(failing(store, 5))
    assert len(list(failures.within(parts))) == 6
    assert reader.record(parts[2][2], 2)
    assert len(store.fetched) == len(set(store.fetched)) == 6


def test_failures_are_counted_of_the_parts_that_are_asked_about_and_of_no_others():
    store = Counted()
    parts = [failing(store, task) for task in range(3)]
    tally = Tally(Failures(reading(store)))
    assert told(tally, parts) == (3, [(3, "ValueError: no")])
    assert told(tally, parts[1:]) == (2, [(2, "ValueError: no")])


def test_failures_beyond_what_is_kept_are_read_again_and_are_all_there():
    store = Counted()
    parts = [failing(store, task, "x" * (40 << 20)) for task in range(3)]
    failures = Failures(reading(store))
    for _ in range(2):
        assert [outcome.task for _, failed in failures.within(parts) for outcome in failed] == [0, 1, 2]
    assert store.fetched.count(store.fetched[0]) == 1
    assert 3 < len(store.fetched) <= 5
