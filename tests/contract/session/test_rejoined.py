"""A worker whose end was written though it lived goes on under a new name; when its process dies, that name ends too."""

from __future__ import annotations

import os
import signal
import time

from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import EndCause, Gone

WAITS = "import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.005)\nitem"


def test_the_crash_of_a_worker_that_had_joined_again_is_announced_under_its_new_name(world, until, gate):
    session = world.burst(WAITS.format(gate=str(gate)), range(2))
    session_keys, secret = keys.SessionKeys(session.id), bytes.fromhex(session.key)

    def named(ending):
        return [key for key in world.objects(session_keys.workers_folder) if ending in key]

    (beat,) = until(lambda: [key for key in named(".") if keys.parse_worker(key).kind == "beat"], "its heartbeat")
    wid = keys.parse_worker(beat).ident
    pid = int(wid.split("-")[-2])
    os.kill(pid, signal.SIGSTOP)
    mistaken = Gone(worker=wid, cause=EndCause.CRASH, at=time.time())
    key = session_keys.gone(wid)
    world.store.create(key, records.encode(mistaken, secret=secret, key=key))
    time.sleep(0.7)  # more than two intervals: it then looks whether somebody wrote its end
    os.kill(pid, signal.SIGCONT)
    until(lambda: named(f"{wid}~1."), "it to join again")
    os.killpg(pid, signal.SIGKILL)
    until(lambda: session.status() and named(f"{wid}~1.gone"), "its end to be written")
    end = records.decode(
        Gone, world.store.get(session_keys.gone(f"{wid}~1")), secret=secret, key=session_keys.gone(f"{wid}~1")
    )
    assert (end.cause, end.exit_code) == (EndCause.CRASH, -signal.SIGKILL)
    alive = [worker.wid for worker in session.status().workers if worker.alive]
    assert not [each for each in alive if keys.base_of(each) == wid]
    gate.touch()
    assert list(session.results()) == [0, 1]
