"""Money as a straight line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from burst_magic.protocol.money import Life, spend
from burst_magic.protocol.snapshot import WorkerView
from burst_magic.protocol.wire.model import EndCause, Gone, JobEnd
from burst_magic.ui.accrual import BilledLife, accrue, job_accrual, session_accrual

RATE = 36_000  # micro-dollars an hour: ten a second

lives = st.lists(
    st.tuples(st.integers(0, 100), st.none() | st.integers(1, 100), st.integers(0, 10).map(lambda n: n * RATE)),
    max_size=6,
)


@given(lives, st.sampled_from([0.0, 60.0]), st.integers(101, 400))
def test_the_line_is_what_the_bill_says_at_every_instant(lives, minimum, now):
    billed = [
        BilledLife(since=float(since), until=None if lived is None else float(min(since + lived, now)), rate=rate)
        for since, lived, rate in lives
    ]

    line = accrue(billed, minimum=minimum, created=0.0, now=float(now))

    bill = spend(
        (
            Life(since=life.since, until=float(now) if life.until is None else life.until, rate=life.rate)
            for life in billed
        ),
        minimum=minimum,
    )
    assert abs(line.until(float(now)) - bill) <= 1
    assert line.at <= now


def test_the_line_stays_the_same_while_no_worker_starts_or_ends():
    billed = [BilledLife(since=10.0, until=None, rate=RATE), BilledLife(since=5.0, until=30.0, rate=RATE)]

    assert len({accrue(billed, minimum=60.0, created=0.0, now=now / 8) for now in range(8 * 71, 8 * 500)}) == 1


def test_a_worker_costs_its_minimum_at_once_and_nothing_more_until_that_is_over():
    billed = [BilledLife(since=10.0, until=None, rate=RATE)]

    first = accrue(billed, minimum=60.0, created=0.0, now=11.0)

    assert (first.spent, first.hourly) == (600, 0)
    assert accrue(billed, minimum=60.0, created=0.0, now=80.0).hourly == RATE


def worker(wid, started, seen, *, gone=False):
    end = Gone(worker=wid, cause=EndCause.IDLE, at=seen) if gone else None
    return WorkerView(wid=wid, started=started, seen=seen, rate=RATE, gone=end)


def test_a_session_is_billed_for_living_silent_gone_and_unheard_workers(snapshot):
    seen = snapshot(
        rate=RATE,
        workers=(
            worker("a", 1000.0, 1080.0),
            worker("silent", 1000.0, 1050.0),
            worker("gone", 1000.0, 1020.0, gone=True),
        ),
        unheard=(Life(since=1000.0, until=1001.0, rate=RATE),),
    )

    line = session_accrual(seen)

    assert (line.until(seen.now), line.hourly) == (800 + 500 + 200 + 10, RATE)


def test_a_worker_that_rejoined_is_billed_in_between_and_once(snapshot):
    seen = snapshot(rate=RATE, workers=(worker("a", 1000.0, 1020.0, gone=True), worker("a~1", 1000.0, 1080.0)))

    line = session_accrual(seen)

    assert (line.until(seen.now), line.hourly) == (800, RATE)


def test_a_job_that_joined_is_billed_from_its_own_beginning(snapshot):
    seen = snapshot(
        created=1030.0, rate=RATE, workers=(worker("a", 1000.0, 1080.0), worker("old", 900.0, 1000.0, gone=True))
    )

    assert job_accrual(seen, joined=True).until(seen.now) == 500


def test_after_a_job_s_end_its_cost_stands_and_the_session_s_grows_with_workers_that_live_on(snapshot):
    workers = (worker("a", 1000.0, 1080.0), worker("gone", 1000.0, 1070.0, gone=True))
    seen = snapshot(rate=RATE, minimum=60.0, ended=JobEnd.FINISHED, finished_at=1050.0, workers=workers)

    line = session_accrual(seen)
    job = job_accrual(seen, joined=False)

    assert (line.until(1080.0), line.hourly) == (1500, RATE)
    assert (job.until(1080.0), job.hourly) == (1200, 0)  # two minutes, which are billed at least
    assert job_accrual(seen, joined=True).spent == 1000
