"""The partition and what is covered, against models that are too simple to be wrong."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from burst_magic.errors import RecordError
from burst_magic.protocol import ranges
from burst_magic.protocol.log import make_final
from burst_magic.protocol.wire.model import ClaimKey, Range, SegmentKey

TASKS = 30


def segment(start, stop, at_ms=0) -> SegmentKey:
    return SegmentKey(at_ms=at_ms, start=start, stop=stop, failed=start % 3 // 2, claim=ClaimKey(start=start, number=0))


spans = st.tuples(st.integers(0, TASKS - 1), st.integers(1, TASKS)).map(sorted).filter(lambda s: s[0] < s[1])
segment_lists = st.lists(spans, max_size=12).map(
    lambda found: [segment(start, stop, at_ms) for at_ms, (start, stop) in enumerate(found)]
)


@given(st.integers(0, 500), st.integers(1, 40))
def test_lanes_are_equal_and_none_is_empty(tasks, lanes):
    cut = ranges.cut_lanes(tasks, lanes)
    sizes = [stop - start for start, stop in pairwise([*cut, tasks])]

    assert len(cut) == min(tasks, lanes)
    assert sum(sizes) == tasks
    assert not cut or cut[0] == 0
    assert not sizes or (min(sizes) >= 1 and max(sizes) - min(sizes) <= 1)


@given(st.integers(1, TASKS), st.integers(1, 6), st.data())
def test_claims_and_lanes_are_a_partition(tasks, lanes, data):
    cut = ranges.cut_lanes(tasks, lanes)
    claims = data.draw(
        st.lists(st.builds(ClaimKey, start=st.integers(0, tasks - 1), number=st.integers(0, 3)), max_size=10)
    )
    pieces = ranges.partition(tasks, cut, claims)

    assert [task for piece in pieces for task in range(piece.range.start, piece.range.stop)] == list(range(tasks))
    for piece in pieces:
        own = [claim for claim in claims if claim.start == piece.range.start]
        assert piece.claim == (max(own) if own else None)
        assert piece.range.start in cut or own
    assert [piece.range.start for piece in pieces if piece.claim is None] == ranges.free_lanes(cut, claims)


@given(st.integers(1, TASKS), st.integers(1, 6), st.data())
def test_a_lane_ends_where_the_next_begins(tasks, lanes, data):
    cut = ranges.cut_lanes(tasks, lanes)
    start = data.draw(st.integers(0, tasks - 1))
    assert ranges.lane_end(tasks, cut, start) == min([lane for lane in cut if lane > start], default=tasks)


@given(segment_lists)
def test_the_first_segment_that_was_added_counts(found):
    """Laws 1, 7: a segment that lands twice, or repeats what is there, changes nothing."""
    cover, model = ranges.Cover(TASKS), {}
    for each in found:
        fresh = [task for task in range(each.start, each.stop) if task not in model]
        model.update(dict.fromkeys(fresh, each))
        added = cover.add(each)
        assert [task for gap in added for task in range(gap.start, gap.stop)] == fresh
        assert cover.add(each) == []
    assert [cover.find(task) for task in range(TASKS)] == [model.get(task) for task in range(TASKS)]
    assert cover.covered == len(model)
    assert cover.whole == (len(model) == TASKS)


@given(segment_lists, st.integers(0, TASKS), st.integers(0, TASKS))
def test_gaps_are_what_is_not_covered(found, start, stop):
    cover = ranges.Cover(TASKS)
    for each in found:
        cover.add(each)
    gaps = cover.gaps(start, stop)

    assert [task for gap in gaps for task in range(gap.start, gap.stop)] == [
        task for task in range(start, stop) if cover.find(task) is None
    ]
    assert all(before.stop < after.start for before, after in pairwise(gaps))


@given(segment_lists)
def test_the_parts_are_a_partition_of_what_is_covered(found):
    cover = ranges.Cover(TASKS)
    for each in found:
        cover.add(each)

    assert [(task, each) for start, stop, each in cover.parts for task in range(start, stop)] == [
        (task, cover.find(task)) for task in range(TASKS) if cover.find(task) is not None
    ]


def named(cover):
    """The parts as ``final`` has them."""
    return make_final("0", cover, 0.0, by="w1").parts


@pytest.mark.parametrize("name", ["", "1.0-1.0", "1.0-1.0.0", "1.0-1.x.0-0"])
def test_a_name_that_is_no_segments_is_refused_at_once(name):
    with pytest.raises(RecordError):
        ranges.Cover.of(1, [(0, 1, name)])


@given(segment_lists)
def test_final_names_whole_segments_and_says_which_part_of_each_counts(found):
    """A segment of which only a part counts is still read under its own key."""
    cover = ranges.Cover(TASKS)
    for each in found:
        cover.add(each)
    again = ranges.Cover.of(TASKS, reversed(named(cover)))

    assert again.parts == cover.parts
    assert again.within(1, TASKS - 1) == cover.within(1, TASKS - 1)
    assert (again.covered, again.failed) == (cover.covered, cover.failed)
    assert sorted(again.failing) == sorted(cover.failing)
    assert [again.find(task) for task in range(TASKS)] == [cover.find(task) for task in range(TASKS)]


def test_a_segment_that_runs_over_the_end_covers_no_more_than_there_is():
    cover = ranges.Cover(3)
    assert cover.add(segment(1, 9)) == [Range(1, 3)]
    assert cover.covered == 2


def test_a_job_without_tasks_is_covered():
    assert ranges.Cover(0).whole
    assert ranges.cut_lanes(0, 4) == ()
    assert ranges.partition(0, (), ()) == ()


@given(segment_lists)
def test_many_segments_at_once_cover_what_they_cover_one_by_one(segments):
    one_by_one, at_once = ranges.Cover(TASKS), ranges.Cover(TASKS)
    for each in segments:
        one_by_one.add(each)
    at_once.add_all(segments)

    assert at_once.gaps() == one_by_one.gaps()
    assert at_once.covered == one_by_one.covered
    assert ranges.Cover.of(TASKS, named(at_once)).gaps() == at_once.gaps()


@given(segment_lists, spans)
def test_a_stretch_is_told_as_the_whole_is_within_it(segments, stretch):
    cover, (start, stop) = ranges.Cover(TASKS), stretch
    cover.add_all(segments)
    whole = [(max(start, first), min(stop, end), each) for first, end, each in cover.parts]
    assert cover.within(start, stop) == [part for part in whole if part[0] < part[1]]


@pytest.mark.parametrize(("tasks", "slots", "lanes"), [(0, 4, 0), (3, 4, 3), (16, 4, 16), (255, 4, 16), (256, 4, 4)])
def test_slots_that_have_few_tasks_have_finer_lanes(tasks, slots, lanes):
    assert len(ranges.job_lanes(tasks, slots)) == lanes
