"""What is drawn of a job: the longest stretches of one state, however many segments there are."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from burst_magic.protocol.client.spans import draw
from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.snapshot import Span
from burst_magic.protocol.wire.model import ClaimKey, SegmentKey

TASKS = 24


def segment(start, stop, failed=0):
    return SegmentKey(at_ms=1, start=start, stop=stop, failed=failed, claim=ClaimKey(start=0, number=0))


def cover_of(*segments, tasks=TASKS):
    cover = Cover(tasks)
    for each in segments:
        cover.add(each)
    return cover


def test_many_segments_in_one_state_are_one_stretch():
    cover = cover_of(*(segment(task, task + 1) for task in range(1000)), tasks=1_000)

    assert draw(cover, ()) == (Span(start=0, stop=1000, state="completed"),)


def test_running_tasks_stand_apart_from_those_that_wait_and_failed_ones_come_last_in_their_segment():
    drawn = draw(cover_of(segment(4, 8, failed=1), segment(8, 10), tasks=16), {0, 12, 15})

    assert [(span.start, span.stop, span.state) for span in drawn] == [
        (0, 1, "running"),
        (1, 4, "pending"),
        (4, 7, "completed"),
        (7, 8, "failed"),
        (8, 10, "completed"),
        (10, 12, "pending"),
        (12, 13, "running"),
        (13, 15, "pending"),
        (15, 16, "running"),
    ]


@given(
    st.lists(st.tuples(st.integers(0, TASKS - 1), st.integers(1, 6), st.integers(0, 2)), max_size=10),
    st.sets(st.integers(0, TASKS - 1), max_size=4),
)
def test_the_stretches_are_a_partition_and_neighbours_differ(parts, running):
    cover = cover_of(*(segment(start, min(TASKS, start + length), failed) for start, length, failed in parts))
    running = {task for task in running if cover.find(task) is None}
    drawn = draw(cover, running)

    assert [span.start for span in drawn] == [0, *(span.stop for span in drawn[:-1])]
    assert drawn[-1].stop == TASKS
    assert all(before.state != after.state for before, after in pairwise(drawn))
    states = {task: span.state for span in drawn for task in range(span.start, span.stop)}
    assert {task for task, state in states.items() if state == "running"} == running
    done = {task for task, state in states.items() if state in {"completed", "failed"}}
    assert done == {task for task in range(TASKS) if cover.find(task)}
    last = {task for start, stop, each in cover.parts for task in range(max(start, stop - each.failed), stop)}
    assert {task for task, state in states.items() if state == "failed"} == last
