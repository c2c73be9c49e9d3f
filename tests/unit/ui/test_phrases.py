"""The facts of a frame in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from burst_magic.protocol.snapshot import StartView, WaitCause, WaitReason, WorkerView
from burst_magic.protocol.wire.model import EndCause, Gone, JobEnd, OutcomeKind
from burst_magic.ui import phrases
from burst_magic.ui.drawing import frame_of
from burst_magic.ui.words import clock

AWS = {"launcher": "fargate", "rate": 36_000}


def alive(started=1000.0, *, rate=0):
    return WorkerView(wid="w1", started=started, seen=1080.0, rate=rate)


def cost(shown):
    return phrases.cost(shown.money, at=shown.at, over=shown.over)


def test_the_clock_of_a_finished_job_stands_still(finished):
    assert phrases.elapsed(frame_of(finished())) == 200.0


def test_a_local_session_costs_nothing_and_says_elsewhere_what_fargate_would_have_cost(snapshot):
    shown = frame_of(snapshot(fargate_rate=36_000, workers=(alive(),)))

    assert cost(shown) == ""
    assert phrases.on_fargate(shown.money, shown.at) == "no charge; on Fargate this would be $0.0008"
    assert phrases.on_fargate(frame_of(snapshot(**AWS)).money, 1080.0) == ""


def test_on_aws_the_cost_is_what_was_spent(snapshot):
    workers = (alive(rate=36_000),)

    assert cost(frame_of(snapshot(**AWS, workers=workers))) == "$0.0008 so far"
    assert cost(frame_of(snapshot(**AWS, workers=workers, budget=5_000_000))) == "$0.0008 so far of a budget of $5.00"
    over = snapshot(**AWS, workers=workers, ended=JobEnd.CANCELLED, finished_at=1050.0)
    assert cost(frame_of(over)) == "$0.0008 so far (whole session; $0.0005 while this cell ran)"  # the worker lives
    ended = Gone(worker="w1", cause=EndCause.CANCEL, at=1080.0)
    assert cost(frame_of(replace(over, workers=(replace(workers[0], gone=ended),)))) == (
        "$0.0008 (whole session; $0.0005 while this cell ran)"
    )
    assert cost(frame_of(snapshot(**AWS))) == "$0.00 so far"
    assert cost(frame_of(snapshot(**AWS, priced=False))) == "the price of its workers is not known"


def test_on_workers_that_are_older_than_the_job_the_cost_is_said_to_be_the_session_s(snapshot):
    shown = frame_of(snapshot(**AWS, workers=(alive(rate=36_000),), created=1030.0))

    assert cost(shown) == "$0.0008 so far (whole session; $0.0005 while this cell ran)"


def test_kept_workers_are_said_with_what_they_cost_until_when_and_the_sum_goes_on(snapshot):
    workers = (alive(rate=36_000),)
    seen = snapshot(**AWS, workers=workers, ended=JobEnd.FINISHED, finished_at=1050.0, kept_until=1350.0)
    shown = frame_of(seen)

    assert cost(shown) == "$0.0008 so far (whole session; $0.0005 while this cell ran)"
    assert phrases.kept(shown.money) == f"1 kept, $0.04 an hour until {clock(1350.0)} at the latest"
    assert phrases.kept(frame_of(replace(seen, rate=0)).money) == ""
    assert phrases.kept(frame_of(replace(seen, priced=False)).money) == f"1 kept until {clock(1350.0)} at the latest"
    assert phrases.kept(frame_of(replace(seen, now=1350.0)).money) == ""
    later = frame_of(replace(seen, now=1200.0, workers=(replace(workers[0], seen=1200.0),)))
    assert later.etag == shown.etag  # the reader counts


def test_workers_that_are_coming_while_others_run_are_told_with_what_they_are_at(snapshot):
    coming = tuple(StartView(token=f"{n}", phase="provisioning", seconds=40.0 + n) for n in range(3))
    starting = WaitReason(cause=WaitCause.STARTING, words="workers are starting")

    assert phrases.workers(frame_of(snapshot(coming=coming))).endswith("; 3 provisioning for 42 s")
    waiting = frame_of(snapshot(coming=coming, wait=starting))
    assert "provisioning" not in phrases.workers(waiting)
    assert phrases.waiting(waiting) == "workers: 3 provisioning for 42 s"


@pytest.mark.parametrize(
    ("attended", "said"),
    [(True, "; 2 of 32 lost"), (False, "; 2 of 32 lost, not replaced while no notebook is attached")],
)
def test_lost_workers_are_told_with_what_becomes_of_them(snapshot, attended, said):
    facts = {"wanted": 32, "lost": 2, "attended": attended}

    assert phrases.workers(frame_of(snapshot(**facts))).endswith(f"32 wanted{said}")
    assert "lost" not in phrases.workers(frame_of(snapshot(**facts, ended=JobEnd.CANCELLED)))


def test_after_the_end_nothing_is_said_of_workers_that_will_be_gone_when_it_is_read(snapshot):
    over = frame_of(snapshot(ended=JobEnd.CANCELLED, workers=(alive(),)))

    assert phrases.workers(over) == "4 started"
    assert phrases.workers(over, alive=1) == "1 alive, 4 started, 4 wanted"


def test_a_silence_is_counted_from_the_last_heartbeat(snapshot):
    wait = WaitReason(cause=WaitCause.SILENT, words="no heartbeat", since=1050.0)

    assert phrases.waiting(frame_of(snapshot(wait=wait))) == "no heartbeat for 30 s"


def test_a_group_of_failures_says_how_many_messages_it_has_and_which_task_was_first(snapshot, group):
    several = group(20, "'column_0'", error="KeyError", line=3, first=1017, messages=4)
    lost = group(1, "it ended three workers", kind=OutcomeKind.LOST, first=5)
    said = [phrases.failure(view) for view in frame_of(snapshot(failures=(several, lost))).failures.groups]

    assert said == ["KeyError: 'column_0' at line 3, 4 different messages; first: task 1 017", "it ended three workers"]


def test_tasks_that_did_not_run_are_told_with_the_reason(snapshot):
    view = frame_of(snapshot(ended=JobEnd.BUDGET)).failures.groups[-1]

    assert phrases.failure(view) == "not run: budget spent; first: task 50"
