"""One client's knowledge of a session's workers: live, lost, starting.

A client creates ``.next`` before it starts a worker. The token of a replacement is derived from the lost worker, so
that two clients that see the same loss use the same key. The number of replacements is read from the log.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field, replace

from burst_magic.protocol.log import DEAD_AFTER, Fleet
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import EndCause, Gone, Heartbeat

STARTING = 120.0  # seconds that a worker may take from ``.next`` to its first heartbeat
_ANNOUNCED_AT_MOST = 3  # times in vain: whoever may not write is not made to try for ever
NOT_LOST = {
    EndCause.IDLE,
    EndCause.SCALE,
    EndCause.CANCEL,
    EndCause.CLOSE,
    EndCause.DEADLINE,
    EndCause.BUDGET,
    EndCause.VERSION,  # the next one would be of the same version
}


def heir(sid: str, lost: str) -> str:
    """The token of the worker that replaces a lost one."""
    return hashlib.sha256(f"{sid}/{lost}".encode()).hexdigest()[:16]


@dataclass(slots=True)
class Crew:
    """What heartbeats, ends and starts have told.

    Attributes:
        beats: the last heartbeat that was read, by worker; its time is the store's.
        gone: ends that were read.
        tried: token -> when this client started it, or started it again because nobody had answered.
        in_vain: token -> how often it was announced and then was not there.
    """

    sid: str
    fleet: Fleet
    beats: dict[str, Heartbeat] = field(default_factory=dict)
    gone: dict[str, Gone] = field(default_factory=dict)
    tried: dict[str, float] = field(default_factory=dict)
    in_vain: Counter[str] = field(default_factory=Counter)

    def heard(self, beat: Heartbeat) -> None:
        """A heartbeat was read."""
        modified = self.fleet.beats.get(beat.worker, (beat.at, 0.0))[0]
        self.beats[beat.worker] = replace(beat, at=modified)

    @property
    def patience(self) -> float:
        """Seconds of watching after which a silent worker counts as dead."""
        return DEAD_AFTER * self.fleet.most

    def living(self) -> list[str]:
        """Workers that beat."""
        return [wid for wid in self.fleet.living() if not self.fleet.dead(wid, self.patience)]

    def starting(self, now: float) -> int:
        """Starts that no heartbeat and no end has named yet, and that are young enough to come."""
        return sum(1 for since in self._unanswered().values() if now - since < STARTING)

    def unanswered(self, now: float) -> list[str]:
        """Starts that another announced and nobody has answered in time: tokens to be started again, each once."""
        return sorted(token for token in self._late(now) if token not in self.tried)

    def heirless(self, now: float, *, nobody_left: bool, since: float, bound: int) -> list[str]:
        """Tokens of the replacements that lost workers are still owed: one list for all who saw the same.

        A start that this client has made, or made again, and that nobody answered is lost too.

        Args:
            now: the observer's clock.
            nobody_left: then one that went for want of work is missed too: there is work after all.
            since: the last result, or the job's beginning; what was lost before does not count towards the bound.
            bound: so many replacements at most, whoever started them.
        """
        kept = NOT_LOST - {EndCause.IDLE} if nobody_left else NOT_LOST
        failed = {token for token in self._late(now) if token in self.tried}
        tokens = [heir(self.sid, lost) for lost in sorted(self._lost(kept) | failed)]
        since_then = failed | self._lost(NOT_LOST - {EndCause.IDLE}, since=since)
        replaced = sum(1 for lost in since_then if heir(self.sid, lost) in self.fleet.starting)
        owed = [token for token in tokens if token not in self.fleet.starting]
        return [token for token in owed if self.in_vain[token] < _ANNOUNCED_AT_MOST][: max(0, bound - replaced)]

    def last_end(self) -> tuple[EndCause | None, float]:
        """Why the last of all that ended did, and when, by the store's clock."""
        wid = max(self.gone, key=lambda wid: self.fleet.gone.get(wid, 0.0), default="")
        return (self.gone[wid].cause, self.fleet.gone.get(wid, 0.0)) if wid else (None, 0.0)

    def last_words(self) -> str:
        """What the last lost worker said."""
        silent = NOT_LOST - {EndCause.VERSION}
        lost = [gone for gone in self.gone.values() if gone.detail and gone.cause not in silent]
        newest = max(lost, key=lambda gone: gone.at, default=None)
        return newest.detail if newest else ""

    def _unanswered(self) -> dict[str, float]:
        """By token, when each was first seen, or tried by this client."""
        answered = {beat.token for beat in self.beats.values()} | {gone.token for gone in self.gone.values()}
        seen = {token: self.tried.get(token, since) for token, since in self.fleet.starting.items()}
        return {token: since for token, since in seen.items() if token not in answered}

    def _late(self, now: float) -> list[str]:
        return [token for token, since in self._unanswered().items() if now - since >= STARTING]

    def _lost(self, kept: set[EndCause], *, since: float = 0.0) -> set[str]:
        """Processes that are silent, or whose end has another cause than these; by what their launcher calls them.

        Those whose end, or last heartbeat, is older than ``since`` are left out.
        """
        living = {keys.base_of(wid) for wid in self.living()}
        silent = {keys.base_of(wid) for wid in self.fleet.living() if self.fleet.beats[wid][0] >= since}
        ends: dict[str, Gone] = {}
        for gone in sorted(self.gone.values(), key=lambda gone: gone.at):
            ends[keys.base_of(gone.worker)] = gone
        ended = {base for base, gone in ends.items() if gone.cause not in kept and gone.at >= since}
        return (ended | silent) - living
