"""A session's log in words: logs written by hand, with a steal, a recovery, a rejoin, a task given up, a repeat."""

from __future__ import annotations

import random
import time

import pytest

from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import (
    ClaimBody,
    ClaimKey,
    EndCause,
    Final,
    Gone,
    Job,
    Manifest,
    Outcome,
    OutcomeKind,
    SegmentKey,
)
from burst_magic.session.story import Log, Outcomes, Seen, Story, clock

NOON = time.mktime((2026, 11, 21, 12, 0, 0, 0, 0, -1))
MANIFEST = Manifest(
    sid="20261121-120000-abcdefgh", created=NOON, launcher="local", workers=2, slots=1, cpu=1.0, memory_mb=1024,
    arch="x86_64", seed=7, deadline=NOON + 3600, idle=300.0, interval=1.0, floor=0.05,
)  # fmt: skip
JOB = Job(jid="0", created=NOON, tasks=100, lanes=(0, 50), seed=7, items=(0, 10))


def claim(start, number=0):
    return ClaimKey(start=start, number=number)


def body(worker, after):
    return ClaimBody(worker=worker, slot=0, nonce="", at=NOON + after)


def segment(start, stop, after, of, failed=0):
    return SegmentKey(at_ms=int((NOON + after) * 1000), start=start, stop=stop, failed=failed, claim=of)


def gone(worker, after, cause=EndCause.CRASH, exit_code=None, detail=""):
    return Gone(worker=worker, cause=cause, at=NOON + after, exit_code=exit_code, detail=detail)


def final_of(*segments, by="w2", after=9.0):
    parts = tuple((each.start, each.stop, keys.segment_name(each)) for each in segments)
    return Final(job="0", at=NOON + after, by=by, parts=parts)


def log(claims, segments=(), **facts):
    sized = tuple((each, 1000) for each in sorted(segments))
    return Log(manifest=MANIFEST, job=JOB, claims=claims, segments=sized, **facts)


def told(log):
    return list(Story(log, NOON + 60).events())


def test_lanes_are_claimed_and_published_and_final_has_an_author():
    first, second = segment(0, 50, 2, claim(0)), segment(50, 100, 3, claim(50), failed=2)
    lines = told(
        log({claim(0): body("w1", 1), claim(50): body("w2", 1.5)}, [first, second], final=final_of(first, second))
    )

    assert lines == [
        "12:00:01.000 w1 claimed tasks 0-49: a free lane",
        "12:00:01.500 w2 claimed tasks 50-99: a free lane",
        "12:00:02.000 w1 published tasks 0-49, 1000 bytes",
        "12:00:03.000 w2 published tasks 50-99, 1000 bytes, 2 failed",
        "12:00:09.000 w2 wrote final: 2 parts, one result per task",
    ]


def test_a_theft_names_the_thief_what_it_took_and_from_whom():
    claims = {claim(0): body("w1", 1), claim(50): body("w2", 1), claim(30): body("w2", 4), claim(40): body("w3", 5)}
    lines = told(log(claims))

    assert "12:00:04.000 w2 stole tasks 30-49 from w1, which kept tasks 0-29" in lines
    assert "12:00:05.000 w3 stole tasks 40-49 from w2, which kept tasks 30-39" in lines
    assert lines[-1] == "no final yet: 0 of 100 tasks published"


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (
            Seen(started=NOON, beat=NOON + 3, gone=gone("w1", 3.5, exit_code=-9)),
            "which had ended at 12:00:03.500: crash, exit code -9",
        ),
        (Seen(started=NOON, beat=NOON + 3), "which was silent: last heartbeat at 12:00:03.000"),
        (
            Seen(started=NOON, beat=NOON + 3, gone=gone("w1", 30)),  # written long after: it was not the reason
            "which was silent: last heartbeat at 12:00:03.000",
        ),
        (Seen(), "which was silent"),
    ],
)
def test_a_recovery_says_whose_death_it_was_and_where_it_goes_on(seen, why):
    claims = {claim(0): body("w1", 1), claim(50): body("w2", 1), claim(0, 1): body("w2", 6)}
    lines = told(log(claims, [segment(0, 20, 2, claim(0))], workers={"w1": seen}))

    assert f"12:00:06.000 w2 recovered tasks 20-49 (take-over 1 of 0) from w1, {why}" in lines


def test_a_worker_that_joined_again_takes_its_own_back():
    lines = told(log({claim(0): body("w1", 1), claim(0, 1): body("w1~1", 6)}))

    assert "12:00:06.000 w1~1 reclaimed its own tasks 0-49 (take-over 1 of 0)" in lines[1]


def test_a_segment_that_repeats_says_how_much_of_it_is_new():
    claims = {claim(0): body("w1", 1), claim(0, 1): body("w2", 6)}
    repeated = [segment(0, 20, 2, claim(0)), segment(10, 30, 7, claim(0, 1)), segment(10, 20, 8, claim(0, 1))]
    lines = told(log(claims, repeated))

    assert "12:00:07.000 w2 published tasks 10-29, 1000 bytes: 10 of them new" in lines
    assert "12:00:08.000 w2 published tasks 10-19, 1000 bytes: all published before" in lines


def test_a_task_that_ended_its_workers_is_told_with_what_it_did():
    lost = Outcome(task=3, kind=OutcomeKind.LOST, message="it ended 3 workers: exit code -11")
    one = segment(3, 4, 8, claim(0, 3), failed=1)
    story = Story(log({claim(0): body("w1", 1)}, [one], failures={3: lost}), NOON + 60)

    assert "12:00:08.000 task 3 is given up: it ended 3 workers: exit code -11" in list(story.events())
    assert story.example() == 3


def test_many_segments_are_told_by_claim():
    claims = {claim(0): body("w1", 1), claim(50): body("w2", 1)}
    many = [segment(task % 50, task % 50 + 1, 2 + task / 1000, claim(0)) for task in range(300)]
    lines = told(log(claims, [*many, segment(50, 51, 4, claim(50))]))

    assert "12:00:02.000 w1 published tasks 0-49 in 300 segments, 300000 bytes, until 12:00:02.299" in lines
    assert sum("published" in line for line in lines[:-1]) == 2


def test_one_task_is_followed_from_the_cell_to_its_result():
    claims = {claim(0): body("w1", 1), claim(30): body("w2", 4), claim(30, 1): body("w3", 6)}
    first, second = segment(0, 30, 2, claim(0)), segment(30, 50, 7, claim(30, 1))
    rest = segment(50, 100, 8, claim(50))
    workers = {"w2": Seen(started=NOON, gone=gone("w2", 5, EndCause.TERM))}
    story = Story(log(claims, [first, second, rest], workers=workers, final=final_of(first, second, rest)), NOON + 60)

    assert story.example() == 30
    assert list(story.way(30)) == [
        "12:00:00.000 its item was stored with the job",
        "12:00:01.000 w1 claimed tasks 0-49: a free lane",
        "12:00:04.000 w2 stole tasks 30-49 from w1, which kept tasks 0-29",
        "12:00:06.000 w3 recovered tasks 30-49 (take-over 1 of 30) from w2, which had ended at 12:00:05.000: term",
        "12:00:07.000 w3 published it with tasks 30-49",
        "its result: in the segment that w3 published at 12:00:07.000",
    ]


def test_a_quiet_job_is_followed_by_its_first_task_and_an_empty_one_by_none():
    assert Story(log({}), NOON).example() == 0
    assert (
        Story(Log(manifest=MANIFEST, job=Job(jid="0", created=NOON, tasks=0, lanes=(), seed=0)), NOON).example() is None
    )
    assert list(Story(log({}), NOON).way(0))[-1] == "no final result yet"


@pytest.mark.parametrize("seed", range(20))
def test_what_had_no_outcome_at_a_time_is_what_a_cover_of_that_time_leaves(seed):
    chance = random.Random(seed)
    starts = [chance.randrange(500) for _ in range(chance.randrange(400))]
    segments = [segment(at, at + chance.randrange(1, 9), chance.randrange(100), claim(0)) for at in starts]
    outcomes = Outcomes(500, segments)
    for start in (0, *starts[:50]):
        at = NOON + chance.randrange(-1, 102)
        cover = Cover(500)
        cover.add_all(each for each in segments if each.at_ms <= at * 1000)
        assert outcomes.missing(start, at) == next((gap.start for gap in cover.gaps(start)), 500)


def test_every_claim_of_a_long_log_is_told():
    tasks, lanes = 16_000, tuple(range(0, 16_000, 80))
    claims = {claim(lane, number): body(f"w{number}", 1 + 50 * number) for lane in lanes for number in (0, 1)}
    parts = [segment(at, at + 2, 1 + at % 80, claim(at - at % 80)) for at in range(0, tasks, 2)]
    job = Job(jid="0", created=NOON, tasks=tasks, lanes=lanes, seed=7)
    sized = tuple((each, 10) for each in sorted(parts))
    lines = list(Story(Log(manifest=MANIFEST, job=job, claims=claims, segments=sized), NOON + 200).events())
    assert sum(" recovered tasks " in line for line in lines) == 200
    assert "12:00:51.000 w1 recovered tasks 52-79 (take-over 1 of 0) from w0, which was silent" in lines


def test_another_day_is_named():
    assert clock(NOON, NOON + 60) == "12:00:00.000"
    assert clock(NOON, NOON + 86_400) == "2026-11-21 12:00:00.000"
