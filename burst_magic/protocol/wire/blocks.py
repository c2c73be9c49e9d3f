"""Signed blocks: the layout of items and segments, so that a part can be read by range and verified on its own.

    object   = block … block, index, trailer
    block    = mac (32 bytes over key, number, first task, body), body
    index    = mac (32 bytes), then per block: first task, tasks, offset, length (mac included)
    trailer  = bytes of the index (4, little endian), magic (4)

A block's body is at most ``BLOCK_BYTES``, or one larger entry. In ``items`` a body is the entries' lengths
(4 bytes each), then the entries; in a segment it is their origin, then packed outcomes (``records.py``).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

from burst_magic.dataclass import dataclass
from burst_magic.errors import RecordError
from burst_magic.protocol.wire import sign
from burst_magic.protocol.wire.sign import Buffer

BLOCK_BYTES = 1 << 20
MAGIC = b"BMb1"
TRAILER_BYTES = 8
_ROW = struct.Struct("<QIQQ")

Sliced = Callable[[Buffer], Iterable[Buffer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A block's location: tasks ``first`` … ``first + count`` − 1 at bytes ``offset`` … ``offset + length`` − 1."""

    number: int
    first: int
    count: int
    offset: int
    length: int


class BlockWriter:
    """Cuts entries into signed blocks, in order. Holds no more than one block and the index.

    Args:
        secret: the session's key.
        key: the object the blocks are for.
        lengths: put the entries' lengths in front of each body (items); packed outcomes carry their own.
        head: put this in front of each body: in segments, where its outcomes come from.
        sliced: gives a large entry's bytes part by part, for its signature.
    """

    def __init__(
        self, secret: bytes, key: str, *, lengths: bool, head: bytes = b"", sliced: Sliced = lambda entry: (entry,)
    ) -> None:
        self._secret, self._key, self._lengths, self._head, self._sliced = secret, key, lengths, head, sliced
        self._blocks: list[Block] = []
        self._entries: list[Buffer] = []
        self._first = self._next = self._bytes = self._offset = 0

    def add(self, task: int, entry: bytes, count: int = 1) -> bytes:
        """Takes the entry of ``task`` (they come in order); returns a finished block's bytes, or nothing yet."""
        return b"".join(self.add_pieces(task, entry, count))

    def add_pieces(self, task: int, entry: Buffer, count: int = 1) -> list[Buffer]:
        """The same, in pieces: a large entry is not copied.

        Args:
            task: the task, or the first of several.
            entry: its item, or the packed outcomes of all of them, which stay in one block.
            count: the number of tasks.
        """
        done: list[Buffer] = []
        size = self._bytes + len(entry)
        if size > BLOCK_BYTES and self._entries:
            done, size = self._cut(), len(entry)
        if not self._entries:
            self._first = self._next = task
        self._entries.append(entry)
        self._next += count
        self._bytes = size
        return done

    def finish(self) -> bytes:
        """The last block, the index and the trailer."""
        return b"".join(self.finish_pieces())

    def finish_pieces(self) -> list[Buffer]:
        """The same, in pieces."""
        last = self._cut() if self._entries else []
        rows = b"".join(_ROW.pack(b.first, b.count, b.offset, b.length) for b in self._blocks)
        index = sign.mac(self._secret, self._key, "index", rows) + rows
        self.index = (self._offset, len(index))
        return [*last, index + struct.pack("<I", len(index)) + MAGIC]

    def _cut(self) -> list[Buffer]:
        number = len(self._blocks)
        sealed = self._sealed(f"{number}:{self._first}")
        length = sum(map(len, sealed))
        block = Block(
            number=number, first=self._first, count=self._next - self._first, offset=self._offset, length=length
        )
        self._blocks.append(block)
        self._offset += length
        self._entries, self._bytes = [], 0
        return sealed

    def _sealed(self, place: str) -> list[Buffer]:
        if not self._lengths and self._bytes > BLOCK_BYTES:
            body = (self._head, *self._entries)
            parts = (part for entry in body for part in self._sliced(entry))
            return [sign.mac_of_parts(self._secret, self._key, place, parts), *body]
        whole = join_entries(self._entries) if self._lengths else b"".join((self._head, *self._entries))
        return [sign.mac(self._secret, self._key, place, whole), whole]


def read_index(secret: bytes, key: str, data: bytes) -> tuple[Block, ...]:
    """The blocks of an object, from the bytes of its index; verified."""
    rows = data[sign.MAC_BYTES :]
    sign.check(secret, key, "index", rows, data[: sign.MAC_BYTES])
    return tuple(
        Block(number=number, first=first, count=count, offset=offset, length=length)
        for number, (first, count, offset, length) in enumerate(_ROW.iter_unpack(rows))
    )


def locate_index(key: str, tail: bytes, size: int) -> tuple[int, int]:
    """(offset, length) of the index, from an object's last bytes and its size."""
    if len(tail) < TRAILER_BYTES or tail[-4:] != MAGIC:
        raise RecordError("an object in the store is damaged or truncated", context=key)
    length = int.from_bytes(tail[-TRAILER_BYTES:-4], "little")
    offset = size - TRAILER_BYTES - length
    if offset < 0:
        raise RecordError("an object in the store is damaged or truncated", context=key)
    return offset, length


def open_block(secret: bytes, key: str, block: Block, data: bytes | memoryview) -> memoryview:
    """The body of a block, verified."""
    view = memoryview(data)
    body = view[sign.MAC_BYTES :]
    sign.check(secret, key, f"{block.number}:{block.first}", body, view[: sign.MAC_BYTES])
    return body


def open_object(secret: bytes, key: str, data: bytes | memoryview) -> Iterator[tuple[Block, memoryview]]:
    """Each block of a whole object with its body, verified."""
    view = memoryview(data)
    offset, length = locate_index(key, bytes(view[-TRAILER_BYTES:]), len(view))
    for block in read_index(secret, key, bytes(view[offset : offset + length])):
        yield block, open_block(secret, key, block, view[block.offset : block.offset + block.length])


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of an ``items`` block, without an object for each: a block may contain a hundred thousand."""

    lengths: array[int]
    data: memoryview

    def __len__(self) -> int:
        """The number of entries."""
        return len(self.lengths)

    def part(self, start: int, stop: int) -> bytes:
        """The entries ``start`` … ``stop`` − 1 as a body of their own."""
        begin, chosen = sum(self.lengths[:start]), self.lengths[start:stop]
        return chosen.tobytes() + self.data[begin : begin + sum(chosen)]


def read_entries(block: Block, body: memoryview) -> Entries:
    """The entries of an ``items`` block."""
    head = 4 * block.count
    return Entries(array("I", bytes(body[:head])), body[head:])


def join_entries(entries: Sequence[Buffer]) -> bytes:
    """The body of an ``items`` block."""
    return array("I", map(len, entries)).tobytes() + b"".join(entries)


def find_block(blocks: Iterable[Block], task: int) -> Block:
    """The block that holds ``task``."""
    for block in blocks:
        if block.first <= task < block.first + block.count:
            return block
    raise RecordError(f"task {task} is not in any block")


def write_blocks(
    secret: bytes, key: str, entries: Iterable[tuple[int, bytes]], *, lengths: bool, head: bytes = b""
) -> Iterator[bytes]:
    """A whole object in pieces, for entries that are all available."""
    writer = BlockWriter(secret, key, lengths=lengths, head=head)
    for task, entry in entries:
        piece = writer.add(task, entry)
        if piece:
            yield piece
    yield writer.finish()
