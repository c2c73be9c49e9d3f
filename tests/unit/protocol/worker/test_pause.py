"""A slot pauses behind a long task until a look has told whose the next one is. Floor and flush are one second."""

from __future__ import annotations

from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ClaimKey, Job

LANE = Job(jid="0", created=0.0, tasks=9, lanes=(0,), seed=0)
CLAIMS = keys.SessionKeys("20261121-093000-abcdefgh").job("0")
CUT = CLAIMS.claim(ClaimKey(start=1, number=0)).rpartition("/")[2]


def runs(worker):
    """A worker that has begun the first of nine tasks."""
    talk = worker(workers=1)
    return talk, talk.runs(LANE)


def in_a_long_task(worker):
    """A worker whose slot pauses behind its first task."""
    talk, claim = runs(worker)
    talk.wait(1.0)
    assert talk.of(fx.Pause) == [fx.Pause(0, "0", claim, 1)]
    return talk, claim


def published(talk):
    (publish,) = talk.of(fx.Publish)
    return talk.tell(fx.Published("0", publish.segment, fx.Wrote.DONE))


def test_a_slot_pauses_behind_a_task_that_takes_longer_than_a_flush(worker):
    talk, claim = runs(worker)
    talk.wait(0.9)
    assert talk.of(fx.Pause) == []
    talk.wait(0.1)
    assert talk.of(fx.Pause) == [fx.Pause(0, "0", claim, 1)]


def test_quick_tasks_never_pause(worker):
    talk, claim = runs(worker)
    for upto in range(1, 9):
        talk.tell(fx.Progress(0, "0", claim, upto, (), 10), after=0.9)
        assert talk.of(fx.Pause) == []
        if talk.of(fx.List):
            talk.looks(claim)
            published(talk)


def test_behind_the_last_task_nothing_is_left_to_pause_for(worker):
    talk, claim = runs(worker)
    talk.finishes(claim, 8)
    assert [effect for effect in talk.wait(5.0) if isinstance(effect, fx.Pause)] == []


def test_what_was_not_taken_goes_on_as_soon_as_that_is_known(worker):
    talk, claim = in_a_long_task(worker)
    talk.finishes(claim, 1)
    assert talk.of(fx.Pause) == []
    talk.looks(claim)
    assert talk.of(fx.Pause) == [fx.Pause(0, "0", claim, 2)]  # the next may take as long


def test_behind_a_quick_task_after_a_long_one_it_goes_on_for_good(worker):
    talk, claim = in_a_long_task(worker)
    talk.finishes(claim, 1)
    talk.looks(claim)
    published(talk)
    talk.tell(fx.Progress(0, "0", claim, 2, (), 10), after=0.1)
    talk.looks(claim)
    assert talk.of(fx.Pause) == [fx.Pause(0, "0", claim, None)]


def test_what_was_taken_meanwhile_is_not_begun(worker):
    talk, claim = in_a_long_task(worker)
    talk.finishes(claim, 1)
    talk.looks(claim, CUT)
    assert talk.of(fx.Pause) == []
    assert talk.of(fx.Kill) == [fx.Kill(0)]  # a slot that pauses runs nothing, and is only told
    assert [(each.segment.start, each.segment.stop) for each in talk.of(fx.Publish)] == [(0, 1)]


def test_a_store_that_does_not_answer_is_waited_for_once_and_for_a_flush_only(worker):
    talk, claim = in_a_long_task(worker)
    talk.finishes(claim, 1)
    assert [effect for effect in talk.wait(0.9) if isinstance(effect, fx.Pause)] == []
    assert [effect for effect in talk.wait(0.2) if isinstance(effect, fx.Pause)] == [fx.Pause(0, "0", claim, 2)]
    talk.tell(fx.Progress(0, "0", claim, 2, (), 10), after=1.0)
    assert talk.of(fx.Pause) == [fx.Pause(0, "0", claim, 3)]


def test_a_store_that_refused_a_segment_is_not_waited_for(worker):
    talk, claim = in_a_long_task(worker)
    talk.finishes(claim, 1)
    talk.looks(claim)
    (publish,) = talk.of(fx.Publish)
    talk.tell(fx.Published("0", publish.segment, fx.Wrote.UNKNOWN), after=0.5)
    talk.tell(fx.Progress(0, "0", claim, 2, (), 10), after=0.9)
    assert talk.of(fx.Pause) == [fx.Pause(0, "0", claim, 3)]


def test_a_range_of_a_job_whose_tasks_are_slow_pauses_from_its_first_task_on(worker):
    """Whoever takes what is behind it need not wait until it is seen to be long."""
    talk = worker()
    claim = talk.runs(Job(jid="0", created=0.0, tasks=9, lanes=(0, 1), seed=0))
    talk.tell(fx.Progress(0, "0", claim, 1, (), 10), after=4.0)
    talk.looks(claim)
    published(talk)
    talk.tell(fx.Listed(CLAIMS.results_folder, "", ()))
    talk.tell(fx.Listed(CLAIMS.claims_folder, "", (("0000000000.000", 1_800_000_000.0),)))
    (create,) = talk.of(fx.Create)
    talk.created(create.key, fx.Wrote.DONE)
    (run,) = talk.of(fx.Run)
    assert talk.of(fx.Pause) == [fx.Pause(0, "0", run.claim, 2)]
