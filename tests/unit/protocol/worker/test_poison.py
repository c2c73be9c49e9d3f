"""Which task ends its workers, from claims, segments and ends: the one loss that counts (law 4)."""

from __future__ import annotations

import pytest

from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ClaimBody, ClaimKey, EndCause, Gone, Job, SegmentKey
from burst_magic.protocol.worker.poison import SINGLES, guilty, piece, suspects, verdict

SESSION = keys.SessionKeys("20261121-093000-abcdefgh")
JOB_KEYS = SESSION.job("0")
JOB = Job(jid="0", created=0.0, tasks=40, lanes=(0,), seed=0)
KILLED = Gone(worker="w", cause=EndCause.CRASH, at=0.0, exit_code=-9)
STOPPED = Gone(worker="w", cause=EndCause.TERM, at=0.0, exit_code=0)
BROKEN = Gone(worker="w", cause=EndCause.BROKEN, at=0.0, exit_code=1)
LEFT = Gone(worker="w", cause=EndCause.CRASH, at=0.0, exit_code=0)
OUT_OF_MEMORY = Gone(worker="w", cause=EndCause.MEMORY, at=0.0)
NOBODY_KNOWS = Gone(worker="w", cause=EndCause.CRASH, at=0.0)


def claim(number, start=0):
    return ClaimKey(start=start, number=number)


def test_a_successor_runs_single_tasks_first_and_then_ever_more():
    sizes, finished = [], 0
    while finished < 100:
        sizes.append(piece(finished))
        finished += sizes[-1]
    assert sizes == [1] * SINGLES + [2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ({}, [3, 2, 1]),
        ({0: 50}, [3, 2, 1]),
        ({1: 1}, [3, 2, 1]),  # it got that far by single tasks: it ended at the very next one
        ({2: 3}, [3, 2]),  # what ended before that was another task
        ({2: SINGLES}, [3]),  # it may have ended anywhere in a longer piece
    ],
)
def test_suspected_are_ends_at_the_very_task_that_is_next(published, expected):
    found = suspects(claim(4), lambda one: published.get(one.number, 0))
    assert [one.number for one in found] == expected


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([KILLED, KILLED], False),
        ([KILLED, KILLED, KILLED], True),
        ([KILLED, KILLED, STOPPED], False),
        ([KILLED, KILLED, LEFT], False),
        ([KILLED, KILLED, None], False),
        ([BROKEN] * 9, False),
        ([None] * 4, False),
        ([None] * 5, True),
        ([NOBODY_KNOWS] * 4, False),
        ([NOBODY_KNOWS] * 5, True),
        ([KILLED, KILLED, None, None, None], True),
    ],
)
def test_three_ends_that_nothing_else_explains_make_a_task_guilty(ends, expected):
    assert guilty(ends) is expected


@pytest.mark.parametrize("cause", [EndCause.SPOT, EndCause.STOPPED, EndCause.HOST])
def test_an_end_from_outside_blames_no_task_whatever_its_exit_code(cause):
    taken = Gone(worker="w", cause=cause, at=0.0, exit_code=137)
    assert not guilty([taken] * 9)
    assert not guilty([KILLED, KILLED, *[taken] * 9])
    assert guilty([KILLED, KILLED, KILLED, taken])
    assert verdict([KILLED, KILLED, KILLED, taken]) == "it ended 3 workers: exit code -9"


def test_running_out_of_memory_blames_the_task_with_an_exit_code_and_without():
    assert guilty([OUT_OF_MEMORY, OUT_OF_MEMORY, KILLED])


def test_the_verdict_says_how_they_ended():
    killed = Gone(worker="w", cause=EndCause.CRASH, at=0.0, exit_code=137, detail="Killed")
    assert verdict([killed, killed, None]) == "it ended 3 workers: exit code 137; Killed"
    assert verdict([None] * 5) == "it ended 5 workers: cause unknown"


# --- a worker that takes over -----------------------------------------------------------------------------------------


def names(*claims):
    return [JOB_KEYS.claim(one).rpartition("/")[2] for one in claims]


def segment(number, stop, start=0):
    return keys.segment_name(SegmentKey(at_ms=1_800_000_000_000, start=start, stop=stop, failed=0, claim=claim(number)))


def recovers(talk, *, number, published=()):
    """It finds the only range held by the ``number``-th dead owner, and takes it."""
    takes_over(talk, number=number, published=published)
    (create,) = talk.of(fx.Create)
    assert create.key == JOB_KEYS.claim(claim(number))
    talk.created(create.key, fx.Wrote.DONE)
    return claim(number)


def takes_over(talk, *, number, published=()):
    """It tries for that range."""
    talk.joins(JOB)
    first = talk.of(fx.Create)[0]
    talk.created(first.key, fx.Wrote.REFUSED)
    talk.got(first.key, ClaimBody(worker="w0", slot=0, nonce="another", at=0.0))
    before = [claim(count) for count in range(number)]
    talk.listed(JOB_KEYS.claims_folder, *names(*before))
    talk.wait(1.0)
    talk.listed(JOB_KEYS.results_folder, *published)
    talk.listed(JOB_KEYS.claims_folder, *names(*before))
    gone = [f"w{count}.gone" for count in range(number)]
    talk.listed(SESSION.workers_folder, *gone)
    if number > 1:
        talk.got(JOB_KEYS.claim(before[-1]), ClaimBody(worker=f"w{number - 1}", slot=0, nonce="another", at=0.0))


def runs(talk):
    return [(run.start, run.stop) for run in talk.of(fx.Run)]


def test_a_dead_owners_range_is_run_task_by_task_each_published_before_the_next(worker):
    talk = worker(workers=1)
    mine = recovers(talk, number=1, published=[segment(0, 5)])
    assert runs(talk) == [(5, 6)]
    publish = talk.publishes(mine, 6)
    assert (publish.segment.start, publish.segment.stop, publish.segment.claim) == (5, 6, mine)
    assert runs(talk) == []
    talk.tell(fx.Published("0", publish.segment, fx.Wrote.DONE))
    assert talk.asked[-2:] == [fx.Forget("0", mine, 6), fx.Run(0, "0", mine, 6, 7)]


def answers(talk, ends, owners=None, published=()):
    """What was published last, who the owners before were and how they ended, as it asks for it; all that it asked."""
    assert talk.lists() == [JOB_KEYS.results_folder]
    talk.listed(JOB_KEYS.results_folder, *published)
    asked, talk.asked = list(talk.asked), []
    waiting = [each for each in asked if isinstance(each, fx.Read)]
    for read in waiting:
        name = read.key.rpartition("/")[2]
        if read.key.endswith(".gone"):
            record = ends.get(keys.parse_worker(name).ident)
        else:
            number = keys.parse_claim(name).number
            record = ClaimBody(worker=(owners or {}).get(number, f"w{number}"), slot=0, nonce="another", at=0.0)
        found = talk.got(read.key, record)
        waiting += [each for each in found if isinstance(each, fx.Read)]
        asked += found
    talk.asked = asked


def test_a_task_that_ended_three_workers_is_lost_and_the_range_goes_on_behind_it(worker):
    talk = worker(workers=1)
    mine = recovers(talk, number=4, published=[segment(0, 5)])
    assert runs(talk) == []
    answers(talk, {f"w{count}": KILLED for count in range(4)})
    assert talk.of(fx.Lose) == [fx.Lose(0, "0", mine, 5, "it ended 3 workers: exit code -9")]
    talk.tell(fx.Progress(0, "0", mine, 6, (5,), 10))
    talk.looks(mine)
    (publish,) = talk.of(fx.Publish)
    assert (publish.segment.start, publish.segment.stop, publish.segment.failed) == (5, 6, 1)
    talk.tell(fx.Published("0", publish.segment, fx.Wrote.DONE))
    assert runs(talk) == [(6, 7)]


def test_workers_that_were_stopped_from_outside_blame_no_task(worker):
    talk = worker(workers=1)
    recovers(talk, number=4)
    answers(talk, {f"w{count}": STOPPED for count in range(4)})
    assert talk.of(fx.Lose) == []
    assert runs(talk) == [(0, 1)]


def test_who_took_over_from_himself_did_not_end(worker):
    talk = worker(workers=1)
    mine = recovers(talk, number=4)
    answers(talk, {"w1": KILLED, "w2": KILLED, "w3": KILLED}, owners={1: "w1", 2: "w1~1", 3: "w3"})
    assert talk.of(fx.Lose) == []
    assert talk.of(fx.Run) == [fx.Run(0, "0", mine, 0, 1)]


def test_what_was_published_while_it_decided_to_take_a_range_blames_nobody(worker):
    """The owner before had run the task that three are said to have ended at, and ended at the next."""
    talk = worker(workers=1)
    mine = recovers(talk, number=4, published=[segment(0, 5)])
    answers(talk, {f"w{count}": KILLED for count in range(4)}, published=[segment(0, 5), segment(3, 6, start=5)])
    assert talk.of(fx.Lose) == []
    assert talk.of(fx.Run) == [fx.Run(0, "0", mine, 6, 7)]


def test_a_range_that_was_finished_while_it_decided_to_take_it_is_dropped(worker):
    talk = worker(workers=1)
    recovers(talk, number=4, published=[segment(0, 5)])
    answers(talk, {}, published=[segment(3, 40, start=5)])
    assert talk.machine.holds == ()
    assert [each for each in talk.asked if isinstance(each, fx.Run | fx.Kill | fx.Drain)] == []


def test_a_range_that_is_given_up_during_the_inquiry_is_not_run(worker, cancel_job):
    talk = worker(workers=1, idle=500.0)
    recovers(talk, number=4, published=[segment(0, 5)])
    inquiry = list(talk.asked)
    talk.tell(fx.Tick(), after=100.0)  # it slept, and looks behind its claim: the range is not dropped at once
    talk.control(**cancel_job)
    talk.asked = inquiry
    answers(talk, {f"w{count}": KILLED for count in range(4)})
    assert [each for each in talk.asked if isinstance(each, fx.Run | fx.Lose)] == []


@pytest.mark.parametrize("passed", [False, True])
def test_beside_a_suspected_task_nothing_runs_and_beside_the_next_one_other_slots_do(worker, passed):
    talk = worker(workers=1, slots=2)
    mine = recovers(talk, number=2)
    talk.tell(fx.SlotReady(1))
    assert JOB_KEYS.results_folder not in map(folder, talk.wait(2.0))
    publish = talk.publishes(mine, 1)
    asked = talk.tell(fx.Published("0", publish.segment, fx.Wrote.DONE)) if passed else []
    assert (JOB_KEYS.results_folder in map(folder, [*asked, *talk.wait(2.0)])) is passed


def test_nothing_is_begun_while_the_claim_of_a_suspected_task_is_under_way(worker):
    talk = worker(workers=1, slots=2)
    takes_over(talk, number=2)
    assert [each.key for each in talk.of(fx.Create)] == [JOB_KEYS.claim(claim(2))]
    talk.listed(SESSION.control_folder, "0-add-job", "1-add-job")
    asked = talk.got(SESSION.job("1").record, Job(jid="1", created=0.0, tasks=2, lanes=(0, 1), seed=0))
    asked += talk.tell(fx.SlotReady(1)) + talk.wait(1.0)
    assert [each for each in asked if isinstance(each, fx.Create)] == []
    assert SESSION.job("1").claims_folder not in map(folder, asked)


def test_a_job_that_is_cancelled_when_a_piece_ends_leaves_nothing_behind(worker, cancel_job):
    """The slot has nothing left that could be stopped: nobody will say that it stopped."""
    talk = worker(workers=1)
    mine = recovers(talk, number=1, published=[segment(0, 5)])
    talk.control(**cancel_job)
    assert talk.of(fx.Kill) == [fx.Kill(0)]
    publish = talk.publishes(mine, 6)
    talk.tell(fx.Published("0", publish.segment, fx.Wrote.DONE))
    assert talk.machine.holds == ()


@pytest.mark.parametrize(("number", "looks"), [(1, True), (2, False)])
def test_a_suspected_task_runs_alone(worker, number, looks):
    talk = worker(workers=1, slots=2)
    recovers(talk, number=number)
    talk.tell(fx.SlotReady(1))
    assert (JOB_KEYS.results_folder in talk.lists() or JOB_KEYS.results_folder in map(folder, talk.wait(2.0))) is looks


def folder(effect):
    return getattr(effect, "folder", "")
