"""Reading segments of a store that does not answer."""

from __future__ import annotations

import itertools
import threading
import time

from burst_magic.errors import Unknown
from burst_magic.protocol import blocks, keys
from burst_magic.protocol.model import ClaimKey, SegmentKey
from burst_magic.protocol.records import pack_value
from burst_magic.session.outcomes import SegmentReader
from burst_magic.stores import open_store
from burst_magic.stores.carry import Carrier

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
    record = pack_value(task, b"value", wall=0.0, cpu=0.0, peak_mb=0.0)
    store.inner.put(key, b"".join(blocks.write_blocks(SECRET, key, [(task, record)], lengths=False)))
    return task, task + 1, segment


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
