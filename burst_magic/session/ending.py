"""Wait until no worker of a session writes any more, before its objects are deleted; nothing may land behind that."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from burst_magic.errors import BurstError
from burst_magic.protocol.log import DEAD_AFTER, WorkersLog
from burst_magic.protocol.wire import keys
from burst_magic.stores.store_driver import ours

if TYPE_CHECKING:
    from burst_magic.protocol.wire.model import Manifest
    from burst_magic.session.fleet import Fleet
    from burst_magic.stores import Store

GRACE = 15.0  # seconds that workers get to end before their objects go
_LAST = 5.0  # seconds to wait for the rest after that
_LOOK, _LONGEST_LOOK = 0.05, 2.0  # seconds between two checks whether they have ended


def await_end(fleet: Fleet, store: Store, manifest: Manifest, grace: float = GRACE) -> None:
    """Workers get their grace, then those of this machine are killed, with all that their tasks started.

    Args:
        fleet: the workers, which have been told to end.
        store: the session's store.
        manifest: the session.
        grace: seconds.

    Raises:
        BurstError: workers on another machine are still running.
    """
    waiting = _Waiting(fleet, store, manifest)
    ended = waiting.none_lives(grace)
    fleet.end_here()  # one that was stopped is silent, and would write if it were continued
    if not ended:
        fleet.stop(kill=True)
        ended = waiting.none_lives(min(_LAST, grace) + (DEAD_AFTER + 1) * manifest.interval)
    if not ended:
        raise BurstError(
            f"workers of session {manifest.sid} are still running; nothing was deleted",
            context=", ".join(waiting.log.living()),
            way_out="stop them on the machine where they run, then clean up again",
        )


class _Waiting:
    """The log tells who lives: workers may run on any machine."""

    def __init__(self, fleet: Fleet, store: Store, manifest: Manifest) -> None:
        self._fleet, self._store, self._manifest = fleet, store, manifest
        self._folder = keys.SessionKeys(manifest.sid).workers_folder
        self.log = WorkersLog(manifest.interval)

    def none_lives(self, seconds: float) -> bool:
        """Whether each worker that ever began is gone or silent, in time."""
        end = time.monotonic() + seconds
        pauses = looks(self._manifest.interval, at_hand=self._store.path(self._folder) is not None)
        while self._may_write():
            if time.monotonic() > end:
                return False
            time.sleep(next(pauses))
        return True

    def _may_write(self) -> bool:
        self._fleet.look()
        log, now, patience = self.log, time.monotonic(), DEAD_AFTER * self._manifest.interval
        entries = ours(self._store, self._folder)
        log.listed([(entry.key.rpartition("/")[2], entry.modified) for entry in entries], now)
        if any(not log.dead(wid, patience) for wid in log.living()):
            return True
        begun = {keys.base_of(wid) for wid in [*log.beats, *log.gone]}
        fresh = [since for since in log.starting.values() if now - since < patience]
        return bool(fresh) and len(log.starting) > len(begun)  # an unanswered start


def looks(interval: float, *, at_hand: bool) -> Iterator[float]:
    """Seconds between two checks for the workers' end: a folder is cheap to list, but each LIST of a bucket costs
    money."""
    pause, longest = min(_LOOK, interval / 4), min(_LONGEST_LOOK, interval / 4)
    while True:
        yield pause
        if not at_hand:
            pause = min(2 * pause, longest)
