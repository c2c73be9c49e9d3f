"""Looks after the last job's end: literal cases."""

from __future__ import annotations

import pytest

from burst_magic.protocol.snapshot import Snapshot, WorkerView
from burst_magic.protocol.wire.model import EndCause, Gone, Manifest
from burst_magic.session.kept import pause_after_end

NOW = 1000.0
MANIFEST = Manifest(
    sid="20260101-000000-aaaaaaaa", created=0.0, launcher="local", workers=1, slots=1, rate=0, fargate_rate=0,
    cpu=1, memory_mb=1, arch="x86_64", seed=0, deadline=9000.0, idle=300.0, interval=5.0, floor=1.0,
)  # fmt: skip
SILENT = WorkerView(wid="w1", started=0.0, seen=0.0, rate=0, silent=True)
ALIVE = WorkerView(wid="w1", started=0.0, seen=NOW, rate=0)
ENDED = WorkerView(wid="w1", started=0.0, seen=0.0, rate=0, gone=Gone(worker="w1", cause=EndCause.IDLE, at=0.0))


def over(*workers, **changes):
    facts = {"pending": 0, "running": 0, "completed": 1, "failed": 0}
    return Snapshot(sid=MANIFEST.sid, jid="0", now=NOW, created=0.0, total=1, workers=workers, **(facts | changes))


@pytest.mark.parametrize(
    ("seen", "after", "pause"),
    [
        ([over(ALIVE, kept_until=NOW + 1)], 4000.0, 5.0),  # kept: as often as it beats
        ([over(ENDED, kept_until=NOW)], 4000.0, None),
        ([over()], 14.0, 5.0),  # soon after the end
        ([over()], 15.0, None),
        ([over(ENDED)], 15.0, None),
        ([over(SILENT)], 16.0, 5.0),  # it may come back
        ([over(SILENT)], 100.0, 25.0),
        ([over(SILENT)], 299.0, 74.75),
        ([over(SILENT)], 300.0, None),  # it would end at once
        ([over(ENDED), over(ENDED, SILENT)], 100.0, 25.0),
        ([over(ALIVE)], 100.0, 25.0),  # alive, and not said to be kept: it was busy with another job
        ([over(starting=1)], 100.0, 25.0),
        ([], 0.0, None),  # nobody looks
    ],
)
def test_looks_go_on_while_a_kept_worker_may_be_heard_of_and_become_rare(seen, after, pause):
    assert pause_after_end(seen, MANIFEST, after=after) == pause


def test_a_silent_worker_costs_few_looks():
    after, looks = 0.0, 0
    while (pause := pause_after_end([over(SILENT)], MANIFEST, after=after)) is not None:
        after, looks = after + pause, looks + 1
    assert looks < 20
