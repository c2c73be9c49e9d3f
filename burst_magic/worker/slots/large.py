"""An outcome too large for the supervisor's memory, as it arrives from a slot."""

from __future__ import annotations

from dataclasses import field

from burst_magic.dataclass import dataclass
from burst_magic.worker.channel.spool import Spool


@dataclass(slots=True, kw_only=True)
class LargeOutcome:
    """What its note said, and the bytes that have come.

    Attributes:
        job: number of its job.
        outcomes: their kind.
        count: number of tasks.
        position: of the ring, of outcomes that come before.
        missing: number of bytes.
    """

    job: int
    outcomes: int
    count: int
    position: int
    missing: int
    spool: Spool = field(default_factory=Spool)

    def take(self, buffer: bytearray, begin: int) -> int:
        """Take its bytes from there on; returns where they end."""
        end = begin + min(self.missing, len(buffer) - begin)
        with memoryview(buffer) as view, view[begin:end] as part:
            self.spool.add(part)
        self.missing -= end - begin
        return end
