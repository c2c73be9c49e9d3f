"""What a worker had finished of its range before it saw that somebody had taken the end of it."""

from __future__ import annotations

from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ClaimKey, Job


def test_what_was_finished_beyond_a_cut_is_not_published_and_not_kept(worker):
    talk = worker(workers=1)
    claim = talk.runs(Job(jid="0", created=0.0, tasks=9, lanes=(0,), seed=0))
    job = keys.SessionKeys(talk.machine.manifest.sid).job("0")
    talk.finishes(claim, 9)
    talk.looks(claim, job.claim(ClaimKey(start=5, number=0)).rpartition("/")[2])
    (publish,) = talk.of(fx.Publish)
    assert (publish.segment.start, publish.segment.stop) == (0, 5)
    talk.tell(fx.Published("0", publish.segment, fx.Wrote.DONE))
    assert talk.of(fx.Forget) == [fx.Forget("0", claim, 9)]
    assert talk.machine.holds == ()


def test_of_a_range_that_was_taken_over_nothing_is_kept(worker):
    talk = worker(workers=1)
    claim = talk.runs(Job(jid="0", created=0.0, tasks=9, lanes=(0,), seed=0))
    talk.finishes(claim, 9)
    talk.looks(claim, "0000000000.001")
    assert talk.of(fx.Publish) == []
    assert talk.of(fx.Forget) == [fx.Forget("0", claim, 9)]


def test_of_what_was_finished_behind_a_cut_that_was_seen_late_nothing_is_kept(worker):
    """All before the cut was published by then: the range is over with what lies behind it."""
    talk = worker(workers=1)
    claim = talk.runs(Job(jid="0", created=0.0, tasks=9, lanes=(0,), seed=0))
    first = talk.publishes(claim, 5)
    talk.tell(fx.Published("0", first.segment, fx.Wrote.DONE))
    talk.finishes(claim, 9)
    talk.looks(claim, "0000000005.000")
    assert talk.of(fx.Publish) == []
    assert talk.of(fx.Forget) == [fx.Forget("0", claim, 9)]
    assert talk.machine.holds == ()
