"""From slot to supervisor: outcomes through the ring; large outcomes and wake-ups through the pipe.

Reporting makes no system call between two short tasks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from burst_magic.worker.channel.board import ENTRY, NOTE, RECORD, RING_BYTES, SKIP, WAKE, Shared, Word

WAKE_AFTER = 0.02  # seconds: outcomes of shorter tasks share one wake-up of the supervisor, which costs as much as ten
LARGEST_IN_RING = RING_BYTES // 4
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

    def publish(self, job: int, outcomes: Iterable[tuple[bytes, bool]], *, ended: float) -> None:
        """Send outcomes.

        Args:
            job: the job's number.
            outcomes: packed outcomes, each with whether the task failed.
            ended: when the last task ended, by ``time.monotonic()``.
        """
        words, ring, written = self._words, self._ring, self._words[_WRITTEN]
        for record, failed in outcomes:
            length = len(record)
            need = -(-(ENTRY.size + length) // 16) * 16
            place = written % RING_BYTES
            skip = RING_BYTES - place if RING_BYTES - place < need else 0
            if need > LARGEST_IN_RING or skip + need > RING_BYTES - (written - words[_CONSUMED]):
                self._woken = ended
                words[_WRITTEN] = written
                self.tell(RECORD, job=job, failed=failed, length=length, record=record)
                continue
            if skip:
                ENTRY.pack_into(ring, place, SKIP, 0, 0)
                place = 0
            ENTRY.pack_into(ring, place, job, failed, length)
            begin = place + ENTRY.size
            ring[begin : begin + length] = record
            written += skip + need
        words[_WRITTEN] = written
        if ended - self._woken > WAKE_AFTER:
            self._woken = ended
            self.tell(WAKE)

    def tell(self, kind: int, *, job: int = 0, failed: bool = False, length: int = 0, record: bytes = b"") -> None:
        """Write to the pipe; blocks while it is full."""
        rest = memoryview(NOTE.pack(kind, failed, job, self._words[Word.WRITTEN], length))
        for part in (rest, memoryview(record)):
            rest = part
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
