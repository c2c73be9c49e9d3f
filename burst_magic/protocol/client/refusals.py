"""Failed starts: when each is retried, and by which launcher.

A start that its launcher refused has a ``.gone`` under its token, one that failed later under the worker's id. The
token of its replacement is derived from that name, as for any lost worker, so every client can count the failures of
one place in the log. The pause doubles each time. If the session has a fallback launcher, that one is tried first,
immediately.
"""

from __future__ import annotations

import hashlib

from burst_magic.protocol.client.crew import Crew
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import EndCause, Gone, Manifest

LONGEST = 300.0  # seconds between two attempts, at most
NO_WORKER = {EndCause.REFUSED, EndCause.UNSTARTED}
_DOUBLINGS = 12  # more than ``LONGEST`` needs, without overflow


def replacement_token(sid: str, lost: str) -> str:
    """The token of the worker that replaces a lost one."""
    return hashlib.sha256(f"{sid}/{lost}".encode()).hexdigest()[:16]


class RefusedStarts:
    """The failed starts of one session.

    Args:
        manifest: the session.
        crew: its workers and their ends.
    """

    def __init__(self, manifest: Manifest, crew: Crew) -> None:
        self._manifest, self._crew = manifest, crew
        self._heard: dict[str, float] = {}  # token -> when this client first saw it
        self._before: dict[str, str] = {}  # replacement's token -> the refused one

    @property
    def tokens(self) -> set[str]:
        """Starts that produced no worker, by their names in the log."""
        return {keys.base_of(gone.worker) for gone in self._crew.gone.values() if gone.cause in NO_WORKER}

    def launcher_of(self, token: str) -> str:
        """The launcher for this token: the first one and its fallback, alternating."""
        fallback = self._manifest.fallback
        return fallback if fallback and self._refused_before(token) % 2 else self._manifest.launcher

    def again_at(self, token: str, now: float) -> float:
        """When a refused start is retried, by the observer's clock."""
        heard = self._heard.setdefault(token, now)
        tries = 1 + self._refused_before(token)
        if self._manifest.fallback:
            if tries % 2:
                return heard
            tries //= 2
        return heard + min(LONGEST, self._manifest.interval * 2.0 ** min(tries - 1, _DOUBLINGS))

    def put_off(self, now: float) -> set[str]:
        """Failed starts whose retry is not due yet."""
        return {token for token in self.tokens if self.again_at(token, now) > now}

    def words(self, wanted: int) -> str:
        """The message about starts that are still refused, or an empty text."""
        announced = self._crew.log.starting
        still = [gone for gone in self._crew.gone.values() if self._is_open(gone, announced)]
        if not still:
            return ""
        newest = max(still, key=lambda gone: gone.at)
        return f"{len(still)} of {wanted} workers could not start; retrying: {newest.detail}"

    def _is_open(self, gone: Gone, announced: dict[str, float]) -> bool:
        token = replacement_token(self._manifest.sid, keys.base_of(gone.worker))
        return gone.cause in NO_WORKER and token not in announced

    def _refused_before(self, token: str) -> int:
        """Number of refusals of this place before this start."""
        tokens = self.tokens
        if len(self._before) != len(tokens):
            self._before = {replacement_token(self._manifest.sid, each): each for each in tokens}
        count = 0
        while token in self._before:
            token, count = self._before[token], count + 1
        return count
