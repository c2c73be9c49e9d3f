"""From slot to supervisor: outcomes through the ring; large outcomes and wake-ups through the pipe.

Reporting makes no system call between two short tasks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from burst_magic.worker.channel.board import ENTRY, MARK, NOTE, RECORD, RING_BYTES, SKIP, VALUE, WAKE, Shared, Word

WAKE_AFTER = 0.02  # seconds: outcomes of shorter tasks share one wake-up of the supervisor, which costs as much as ten
LARGEST_IN_RING = RING_BYTES // 4
_LARGEST_RUN = RING_BYTES // 16
_WRITTEN, _CONSUMED = int(Word.WRITTEN), int(Word.CONSUMED)


class SlotChannel:
    """The slot's end of pipe and ring.

    Args:
        descriptor: the pipe.
        shared: board and ring.
    """

    def __init__(self, descriptor: int, shared: Shared) -> None:
        self.shared = shared
        self._descriptor, self._words, self._ring = descriptor, shared.words, shared.ring
        self._woken = 0.0

    def publish(self, job: int, outcomes: Iterable[tuple[int, bytes]], *, ended: float) -> None:
        """Send outcomes of consecutive tasks. Values share an entry, which costs as much as a short task.

        Args:
            job: the job's number.
            outcomes: packed outcomes, each with its kind.
            ended: when the last task ended, by ``time.monotonic()``.
        """
        words, ring, written = self._words, self._ring, self._words[_WRITTEN]
        for kind, count, record in _runs(outcomes):
            length = len(record)
            need = -(-(ENTRY.size + length) // 16) * 16
            place = written % RING_BYTES
            skip = RING_BYTES - place if RING_BYTES - place < need else 0
            if need > LARGEST_IN_RING or skip + need > RING_BYTES - (written - words[_CONSUMED]):
                self._woken = ended
                words[_WRITTEN] = written
                self.tell(RECORD, job=job, outcomes=(kind, count), length=length, record=record)
                continue
            if skip:
                ENTRY.pack_into(ring, place, SKIP, 0, 0, 0)
                place = 0
            ENTRY.pack_into(ring, place, job, kind, count, length)
            begin = place + ENTRY.size
            ring[begin : begin + length] = record
            written += skip + need
        words[_WRITTEN] = written
        if ended - self._woken > WAKE_AFTER:
            self._woken = ended
            self.tell(WAKE)

    def tell(
        self, kind: int, *, job: int = 0, outcomes: tuple[int, int] = (0, 0), length: int = 0, record: bytes = b""
    ) -> None:
        """Write to the pipe; blocks while it is full. ``outcomes``: their kind and the number of tasks."""
        rest = memoryview(NOTE.pack(MARK, kind, outcomes[0], job, outcomes[1], self._words[_WRITTEN], length))
        for part in (rest, memoryview(record)):
            rest = part
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


def _runs(outcomes: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, int, bytes]]:
    """Group outcomes into entries: (kind, tasks, bytes)."""
    values: list[bytes] = []
    size = 0
    for kind, record in outcomes:
        if values and (kind != VALUE or size + len(record) > _LARGEST_RUN):
            yield VALUE, len(values), b"".join(values)
            values, size = [], 0
        if kind == VALUE:
            values.append(record)
            size += len(record)
        else:
            yield kind, 1, record
    if values:
        yield VALUE, len(values), b"".join(values)
