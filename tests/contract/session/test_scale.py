"""What grows with the number of tasks and what does not: requests and memory, never a time (law 6)."""

from __future__ import annotations

import gc
import time
import weakref

import pytest

from burst_magic.payload import pack_value
from burst_magic.protocol.log import make_final
from burst_magic.protocol.ranges import Cover, cut_lanes
from burst_magic.protocol.wire import blocks, keys, records
from burst_magic.protocol.wire.model import ClaimBody, ClaimKey, Job, SegmentKey

LANES = 8


def a_job_published_one_by_one(session, store, *, published, tasks):
    """A job of ``session`` as a fleet leaves it that published each task by itself; its id."""
    secret, job_keys, lanes = (
        bytes.fromhex(session.key),
        keys.SessionKeys(session.id).job("long"),
        cut_lanes(tasks, LANES),
    )
    now, cover = time.time(), Cover(tasks)
    for number in range(published):
        lane, place = number % LANES, number // LANES
        task = lanes[lane] + place
        claim = ClaimKey(start=lanes[lane], number=0)
        at_ms = int((now - 200 + 100 * number / published) * 1000)  # all of it before a reader's window
        segment = SegmentKey(at_ms=at_ms, start=task, stop=task + 1, failed=0, claim=claim)
        outcome = records.pack_value(task, pack_value(task * 10, home={}), began=0.0, wall=0.0, cpu=0.0, peak_mb=0.0)
        key = job_keys.segment(segment)
        store.put(
            key,
            b"".join(blocks.write_blocks(secret, key, [(task, outcome)], lengths=False, head=records.pack_origin())),
        )
        cover.add(segment)
    written = {
        job_keys.claim(ClaimKey(start=start, number=0)): ClaimBody(worker="elsewhere", slot=0, nonce="", at=now - 200)
        for start in lanes
    }
    written[job_keys.record] = Job(jid="long", created=now - 200, tasks=tasks, lanes=lanes, seed=1)
    if cover.whole:
        written[job_keys.final] = make_final("long", cover, now, by="elsewhere")
    for key, record in written.items():
        store.put(key, records.encode(record, secret=secret, key=key))
    return f"{session.id}/long"


def asked_of_the_results(store):
    """(lists, gets) of segments."""
    verbs = [verb for verb, key in store.calls if "/long/results" in key]
    return verbs.count("list"), verbs.count("get")


@pytest.mark.parametrize("published", [80, 1600])
def test_a_look_at_a_long_log_asks_for_no_task_and_draws_few_stretches(world, flaky, published):
    session = world.burst("item", [1]).wait()
    ident = a_job_published_one_by_one(session, flaky.inner, published=published, tasks=2 * published)
    flaky.calls.clear()
    seen = world.attach(ident).status()

    assert (seen.completed, seen.pending) == (published, published)
    assert len(seen.spans) == 2 * LANES
    lists, gets = asked_of_the_results(flaky)
    assert lists <= 4
    assert gets == 0
    assert len(flaky.calls) <= 30


@pytest.mark.parametrize("tasks", [80, 1600])
def test_a_finished_job_is_looked_at_with_one_read_however_many_segments_it_has(world, flaky, tasks):
    session = world.burst("item", [1]).wait()
    ident = a_job_published_one_by_one(session, flaky.inner, published=tasks, tasks=tasks)
    flaky.calls.clear()
    seen = world.attach(ident).status()

    assert (seen.completed, seen.ended) == (tasks, "finished")
    assert asked_of_the_results(flaky) == (0, 0)
    assert [key for verb, key in flaky.calls if verb == "get" and "/long/" in key] == [
        f"sessions/{session.id}/jobs/long/job.json",
        f"sessions/{session.id}/jobs/long/final",
    ]


def test_a_value_is_read_with_one_get_and_all_of_them_with_one_a_segment(world, flaky):
    session = world.burst("item", [1]).wait()
    ident = a_job_published_one_by_one(session, flaky.inner, published=80, tasks=80)
    reader = world.attach(ident)
    reader.status()
    flaky.calls.clear()

    assert reader.results()[33] == 330
    assert asked_of_the_results(flaky) == (0, 1)
    assert reader.results().collect() == [10 * task for task in range(80)]
    assert asked_of_the_results(flaky) == (0, 80)


def test_a_submission_of_many_tasks_asks_no_more_than_one_of_few(world, flaky):
    def asked(tasks):
        flaky.calls.clear()
        session = world.burst("item", range(tasks), workers=1)
        written = [key for verb, key in flaky.calls if verb in {"create", "put"}]
        committed = keys.SessionKeys(session.id).job("0").record
        return len(written[: written.index(committed) + 1])

    assert asked(5) == asked(5000) < 10


def test_tiny_tasks_are_published_many_at_a_time_and_read_so(world, flaky):
    session = world.burst("item", range(5000), workers=2).wait()
    reader = world.attach(session.id)
    reader.status()
    flaky.calls.clear()

    assert reader.results().collect() == list(range(5000))
    assert sum("/results/" in key for verb, key in flaky.calls if verb == "get") < 100


class Weighty:
    """A value that can be referred to weakly."""

    def __init__(self, number):
        self.number = number


def test_what_is_read_as_it_completes_is_not_kept_once_the_job_is_finished(world):
    world.home["Weighty"] = Weighty
    session = world.burst("Weighty(item)", range(300), workers=2).wait()
    reader = world.attach(session.id)
    reader.status()
    living, most = weakref.WeakSet(), 0
    for task, value in reader.as_completed():
        living.add(value)
        if task % 50 == 0:
            gc.collect()
            most = max(most, len(living))

    assert 0 < most < 5
    values = reader.results()
    assert values[7] is values[7]  # what is indexed is kept, as in a list
    assert dict(reader.as_completed())[7] is values[7]
