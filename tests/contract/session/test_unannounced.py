"""Workers that were asked for and never announced: whoever asked was killed before it came to that."""

from __future__ import annotations

import time

from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import Control, ControlKind

WAITS = """
import pathlib, time
while not pathlib.Path(gate).exists():
    time.sleep(0.01)
item
"""


def says_and_dies(session, store, workers):
    """What a kernel leaves that was killed in the middle of ``%burst_scale``."""
    key = keys.SessionKeys(session.id).control("9killed", ControlKind.SCALE)
    record = Control(kind=ControlKind.SCALE, at=time.time(), workers=workers, revision=1)
    store.put(key, records.encode(record, secret=bytes.fromhex(session.key), key=key))


def test_whoever_attaches_starts_the_workers_that_a_killed_kernel_did_not_come_to(world, until, gate):
    world.home["gate"] = str(gate)
    session = world.burst(WAITS, range(6), workers=1)
    until(lambda: session.status().running == 1, "the only worker to run a task")
    session.detach()
    says_and_dies(session, world.store, 3)
    again = world.attach(session.id)
    until(lambda: again.status().running == 3, "the other two")
    gate.touch()
    assert list(again.results()) == list(range(6))
    assert len(again.status().workers) == 3
