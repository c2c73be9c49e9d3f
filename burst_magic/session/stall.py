"""Find out why no results arrive while a caller waits for them."""

from __future__ import annotations

import contextlib
import math

from burst_magic.errors import Denied, StoreError, Throttled, Unknown
from burst_magic.protocol.log import DEAD_AFTER
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Heartbeat, Manifest
from burst_magic.stores import Store
from burst_magic.stores.probe import try_to_write


class Stall:
    """A store may take heartbeats and no results: workers are then asked what was refused of theirs.

    Args:
        store, manifest: the session.
    """

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store, self._manifest = store, manifest
        self._covered, self._asked = -1, False  # whether workers were asked why nothing new is covered
        self._ask_at, self._quiet = math.inf, 0.0
        self._heard: dict[str, list[Heartbeat]] = {}  # the first two of each worker since the wait began

    def begin(self) -> None:
        """A wait begins: persistent faults are to be raised again."""
        self._heard.clear()
        self._covered = -1

    def heard(self, beat: Heartbeat) -> None:
        """A heartbeat was read.

        Raises:
            StoreError: no results arrived since the wait began, and the store refused some of this worker's.
        """
        heard = self._heard.setdefault(beat.worker, [])
        if len(heard) < 2:  # the first may be old, and the second tell what was refused before it
            heard += [beat] if not heard or beat.number > heard[0].number else []
        elif self._asked and beat.refused and beat.refusals > heard[1].refusals:
            raise StoreError(
                beat.refused, context=f"what {beat.worker} writes", way_out="it resumes once this is fixed"
            )

    def asks(self, covered: int, now: float) -> bool:
        """Whether workers are to be looked at, since nothing new is covered. On a full disk they cannot even tell.

        Args:
            covered: so many tasks have outcomes.
            now: a monotonic clock.

        Raises:
            StoreError: there is no room.
        """
        if covered != self._covered:
            self._covered, self._quiet, self._asked = covered, DEAD_AFTER * self._manifest.interval, False
            self._ask_at = now + self._quiet
        if now < self._ask_at:
            return False
        self._quiet *= 2  # a task may take its time
        self._ask_at, self._asked = now + self._quiet, True
        if self._store.path(keys.SessionKeys(self._manifest.sid).manifest) is not None:
            # another's folder: its workers write, we need not; a store that only keeps us waiting is not full
            with contextlib.suppress(Denied, Throttled, Unknown):
                try_to_write(self._store)
        return True
