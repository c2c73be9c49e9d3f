"""A client's estimate of the store's clock: its own, corrected by the last-modified of its own writes."""

from __future__ import annotations

from burst_magic.dataclass import dataclass
from burst_magic.protocol.log import SKEW

DIFFER = 900.0  # seconds that a client's clock may be off, at most


@dataclass(slots=True)
class StoreClock:
    """Tells the store's time.

    Attributes:
        offset: the store's clock minus our monotonic one, as far as it is known.
        asked: we have put ``~watch`` to read the store's clock.
    """

    offset: float
    asked: bool = False
    _stamp: float | None = None
    _put: bool = False

    def wall(self, now: float) -> float:
        """Seconds since the epoch."""
        return now + self.offset

    def near(self, at: float, now: float) -> bool:
        """Whether our own clock cannot tell if a time has passed."""
        return abs(self.wall(now) - at) <= DIFFER

    def put(self) -> None:
        """Our stamp is being written: the next listing tells when."""
        self._put = True

    def heard(self, stamp: float | None, now: float) -> None:
        """A listing was made; it tells when the stamp was written, by whomever."""
        if self._put and stamp is not None and stamp != self._stamp and abs(stamp - self.wall(now)) >= SKEW:
            self.offset = stamp - now
        self._stamp, self._put = stamp, False
