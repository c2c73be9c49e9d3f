"""Signed blocks: any part is found and verified alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burst_magic.errors import RecordError, SignatureError
from burst_magic.protocol.wire import blocks

SECRET = bytes(range(32))
KEY = "jobs/0/items"
SMALL = st.lists(st.binary(max_size=40), max_size=30)


def written(entries, *, lengths=True, first=0) -> bytes:
    return b"".join(blocks.write_blocks(SECRET, KEY, enumerate(entries, first), lengths=lengths))


def index_of(data: bytes):
    offset, length = blocks.locate_index(KEY, data[-blocks.TRAILER_BYTES :], len(data))
    return blocks.read_index(SECRET, KEY, data[offset : offset + length])


def read_all(data: bytes, key=KEY) -> list[bytes]:
    found = []
    for block, body in blocks.open_object(SECRET, key, data):
        entries = blocks.read_entries(block, body)
        found += [entries.part(at, at + 1)[4:] for at in range(len(entries))]
    return found


@given(SMALL)
def test_entries_come_back_in_order(entries):
    assert read_all(written(entries)) == entries


@given(st.lists(st.integers(0, blocks.BLOCK_BYTES + 1000), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_blocks_are_bounded_and_without_gaps(sizes):
    index = index_of(written([bytes(size) for size in sizes], first=7))

    assert [block.number for block in index] == list(range(len(index)))
    at, task = 0, 7
    for block in index:
        assert (block.offset, block.first) == (at, task)
        body = block.length - 32 - 4 * block.count
        assert body <= blocks.BLOCK_BYTES or block.count == 1
        at, task = at + block.length, task + block.count
    assert task == 7 + len(sizes)


def test_an_entry_larger_than_a_block_has_a_block_of_its_own():
    entries = [b"a", bytes(3 * blocks.BLOCK_BYTES), b"b"]
    data = written(entries)
    assert [block.count for block in index_of(data)] == [1, 1, 1]
    assert read_all(data) == entries


@given(SMALL.filter(bool), st.data())
@settings(deadline=None)
def test_a_changed_byte_anywhere_is_found(entries, data):
    whole = bytearray(written(entries))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((SignatureError, RecordError), match=KEY):
        read_all(bytes(whole))


def test_a_moved_object_is_refused_with_the_name_of_its_place():
    with pytest.raises(SignatureError, match="jobs/1/items"):
        read_all(written([b"x"]), "jobs/1/items")


def test_blocks_cannot_change_places():
    entries = [bytes([number]) * blocks.BLOCK_BYTES for number in range(2)]
    data = written(entries)
    one, two = index_of(data)
    with pytest.raises(SignatureError, match=KEY):
        blocks.open_block(SECRET, KEY, one, data[two.offset : two.offset + two.length])


@pytest.mark.parametrize("keep", [0, 3, 7])
def test_an_object_that_was_cut_short_is_named(keep):
    data = written([b"x"])[:keep]
    with pytest.raises(RecordError, match=KEY):
        blocks.locate_index(KEY, data[-blocks.TRAILER_BYTES :], len(data))


def test_an_index_longer_than_its_object_is_named():
    tail = (10**6).to_bytes(4, "little") + blocks.MAGIC
    with pytest.raises(RecordError, match=KEY):
        blocks.locate_index(KEY, tail, 100)


@given(SMALL.filter(bool), st.data())
def test_the_block_of_a_task_is_found(entries, data):
    index = index_of(written(entries, first=3))
    task = data.draw(st.integers(3, 2 + len(entries)))
    block = blocks.find_block(index, task)
    assert block.first <= task < block.first + block.count


def test_a_task_in_no_block_is_an_error():
    with pytest.raises(RecordError, match="task 5"):
        blocks.find_block(index_of(written([b"x"])), 5)


@given(SMALL, st.data())
def test_some_entries_make_a_body_again(entries, data):
    body = blocks.join_entries(entries)
    block = blocks.Block(number=0, first=0, count=len(entries), offset=0, length=len(body))
    start = data.draw(st.integers(0, len(entries)))
    stop = data.draw(st.integers(start, len(entries)))
    assert blocks.read_entries(block, memoryview(body)).part(start, stop) == blocks.join_entries(entries[start:stop])


def test_outcomes_of_many_tasks_at_a_time_are_counted_by_the_block():
    writer = blocks.BlockWriter(SECRET, KEY, lengths=False)
    data = writer.add(3, b"x" * 100, 40) + writer.add(43, b"y" * blocks.BLOCK_BYTES, 2) + writer.finish()
    assert [(block.first, block.count, len(body)) for block, body in blocks.open_object(SECRET, KEY, data)] == [
        (3, 40, 100),
        (43, 2, blocks.BLOCK_BYTES),
    ]


def test_the_writer_holds_no_more_than_a_block():
    writer = blocks.BlockWriter(SECRET, KEY, lengths=True)
    pieces = [writer.add(task, bytes(blocks.BLOCK_BYTES // 2)) for task in range(9)]
    assert [bool(piece) for piece in pieces] == [False, False, True, False, True, False, True, False, True]


def test_the_writer_says_where_its_index_lies():
    writer = blocks.BlockWriter(SECRET, KEY, lengths=True)
    data = writer.add(0, b"x") + writer.finish()
    assert writer.index == blocks.locate_index(KEY, data[-blocks.TRAILER_BYTES :], len(data))
