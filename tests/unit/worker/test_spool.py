"""Large outcomes lie on disk; where there is no room, in memory; their bytes are the same."""

from __future__ import annotations

import mmap
import os
import resource
import signal

import pytest

from burst_magic.protocol.wire import blocks
from burst_magic.worker.channel.spool import Spool, sliced, spooled

SECRET, KEY = bytes(32), "sessions/s/jobs/0/results/k"


@pytest.fixture
def no_room():
    """No file of this process may grow beyond a few bytes."""
    before, heard = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, heard)


def pieces():
    return [os.urandom(3000), b"", memoryview(os.urandom(3001)), bytearray(os.urandom(3))]


def test_what_was_added_is_viewed_from_a_file():
    parts, spool = pieces(), Spool()
    for part in parts:
        spool.add(part)
    view = spool.view()
    assert view == b"".join(parts)
    assert len(spool) == len(view)
    assert isinstance(view.obj, mmap.mmap)


def test_without_room_on_the_disk_nothing_is_lost(no_room):
    parts, spool = pieces(), Spool()
    for part in parts:
        spool.add(part)
    assert spool.view() == b"".join(parts)


def test_nothing_is_viewed_as_nothing():
    assert Spool().view() == b""
    assert spooled([]) == b""


@pytest.mark.parametrize("size", [0, 1, 4 << 20, (4 << 20) + 1, 9 << 20])
def test_slices_are_the_whole_and_the_whole_stays_readable(size):
    data = os.urandom(size)
    view = spooled([data])
    assert b"".join(map(bytes, sliced(view))) == data
    assert view == data
    assert b"".join(sliced(data)) == data


@pytest.mark.parametrize("sizes", [[10], [3 << 20], [10, 3 << 20, 20], [1 << 20, (1 << 20) + 1, 5]])
def test_a_segment_in_pieces_has_the_same_bytes_as_a_whole_one(sizes):
    entries = [os.urandom(size) for size in sizes]
    whole = blocks.BlockWriter(SECRET, KEY, lengths=False, head=b"from here")
    told = b"".join([*(whole.add(task, entry) for task, entry in enumerate(entries)), whole.finish()])
    writer = blocks.BlockWriter(SECRET, KEY, lengths=False, head=b"from here", sliced=sliced)
    parts = [part for task, entry in enumerate(entries) for part in writer.add_pieces(task, entry)]
    assert b"".join([*parts, *writer.finish_pieces()]) == told
    bodies = [bytes(body) for _, body in blocks.open_object(SECRET, KEY, told)]
    assert b"".join(body.removeprefix(b"from here") for body in bodies) == b"".join(entries)
