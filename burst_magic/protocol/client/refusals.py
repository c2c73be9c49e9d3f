"""Failed starts: when each is retried, and by which launcher.

A start that its launcher refused has a ``.gone`` under its token, one that failed later under the worker's id. The
token of its replacement is derived from that name, as for any lost worker, so every client can count the failures of
one place in the log. The pause doubles each time. A start for which the first launcher has no room is made by the
session's fallback launcher, immediately. What another launcher would meet, too (a limit on requests, a missing image),
is no reason for the fallback, which may cost more.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable

from burst_magic.protocol.client.crew import Crew
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import EndCause, Gone, Manifest

LONGEST = 300.0  # seconds between two attempts, at most
PASSES = {EndCause.REFUSED, EndCause.DELAYED}  # by itself, and such a start has cost nothing
NO_WORKER = PASSES | {EndCause.UNSTARTED}
_DOUBLINGS = 12  # more than ``LONGEST`` needs, without overflow


@functools.lru_cache(maxsize=1 << 14)  # asked for all workers at every step
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
        self._ends: dict[str, EndCause] = {}  # token of a failed start -> why it failed
        self._before: dict[str, str] = {}  # replacement's token -> that of the failed start

    @property
    def _failed(self) -> dict[str, str]:
        """Starts that produced no worker: name in the log -> token."""
        ends = (gone for gone in self._crew.gone.values() if gone.cause in NO_WORKER)
        return {keys.base_of(gone.worker): _token_of(gone) for gone in ends}

    def launcher_of(self, token: str) -> str:
        """The launcher for this token: the fallback if the first one had no room for the start that it replaces."""
        by_fallback = self._by_fallback(self._failures(self._before_of(token)))
        return self._manifest.fallback if by_fallback[-1:] == [True] else self._manifest.launcher

    def again_at(self, name: str, now: float) -> float:
        """When a failed start, by its name in the log, is retried; by the observer's clock."""
        heard = self._heard.setdefault(name, now)
        by_fallback = self._by_fallback(self._failures(self._failed.get(name, "")))
        if by_fallback[-1:] == [True]:
            return heard
        pauses = by_fallback.count(False)
        return heard + min(LONGEST, self._manifest.interval * 2.0 ** min(pauses - 1, _DOUBLINGS))

    def _by_fallback(self, failures: Iterable[EndCause]) -> list[bool]:
        """After each of these failures of one place: whether the fallback makes the next start, at once."""
        found, by_fallback = [], False
        for cause in failures:
            by_fallback = bool(self._manifest.fallback) and not by_fallback and cause is EndCause.REFUSED
            found.append(by_fallback)
        return found

    def _before_of(self, token: str) -> str:
        """The failed start that this one replaces, or ""."""
        failed = self._failed
        if len(self._before) != len(failed):
            self._before = {replacement_token(self._manifest.sid, name): start for name, start in failed.items()}
            self._ends = {_token_of(gone): gone.cause for gone in self._crew.gone.values() if gone.cause in NO_WORKER}
        return self._before.get(token, "")

    def _failures(self, token: str) -> list[EndCause]:
        """Why the starts of one place failed, oldest first, up to this one."""
        found = []
        while token:
            before = self._before_of(token)
            found.append(self._ends[token])
            token = before
        return found[::-1]

    def put_off(self, now: float) -> set[str]:
        """Failed starts whose retry is not due yet."""
        return {name for name in self._failed if self.again_at(name, now) > now}

    def words(self, wanted: int, *, retried: bool = True) -> str:
        """The message about starts that are still refused, or an empty text.

        Args:
            wanted: number of workers requested.
            retried: others follow by themselves.
        """
        named = self._crew.named
        still = [gone for gone in self._crew.gone.values() if self._is_open(gone, named)]
        missing = min(len(still), wanted - len(self._crew.living()))
        if missing <= 0:
            return ""
        newest = max(still, key=lambda gone: gone.at)
        fate = "; retrying" if retried else ", and no more are tried"
        return f"{missing} of {wanted} workers could not start{fate}: {newest.detail}"

    def _is_open(self, gone: Gone, named: set[str]) -> bool:
        """Whether its retry has brought neither a worker nor another failure yet."""
        token = replacement_token(self._manifest.sid, keys.base_of(gone.worker))
        return gone.cause in NO_WORKER and token not in named


def _token_of(gone: Gone) -> str:
    return gone.token or keys.base_of(gone.worker)
