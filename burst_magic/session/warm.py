"""Find a running session for the next job: one whose fleet equals the one that a new session would start.

Correct results come first. A worker never changes what it inherited from the process that started it, so a fleet is
reused only while this process would start the same workers again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from burst_magic.errors import BurstError
from burst_magic.protocol.wire import keys
from burst_magic.session.attach import siblings

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.protocol.wire.model import Manifest
    from burst_magic.session.session import Session

_SIZE = ("workers", "memory_limit_mb")  # of the fleet
_LEFT = 0.9  # of the deadline that a new session would have: with less, the warm one's is moved


def find_warm(jobs: Iterable[Session], manifest: Manifest, settings: Settings, *, exactly: bool) -> Session | None:
    """The first session whose idle fleet is equivalent to a new one. Nothing is written.

    Args:
        jobs: this process's jobs, best candidate first.
        manifest: the manifest of the session that would start otherwise.
        settings: the call's settings.
        exactly: the user chose the number of workers; otherwise a larger fleet will do.
    """
    by_session: dict[str, list[Session]] = {}
    for job in jobs:
        by_session.setdefault(job.id, []).append(job)
    for mine in by_session.values():
        try:
            if _is_warm(mine, manifest, settings, exactly=exactly):
                return mine[0]
        except BurstError:  # deleted, cancelled, closed, too old, out of reach: unavailable
            continue
    return None


def prolong(session: Session, settings: Settings) -> None:
    """Move the deadline of a warm session to about where a new session's would be.

    Raises:
        BurstError: it accepts no more work.
    """
    deadline = max(session.manifest.deadline, session.check_open().deadline)
    missing = settings.deadline - (deadline - session.now())
    if missing > (1 - _LEFT) * settings.deadline:
        session.extend(missing)


def _is_warm(jobs: list[Session], wanted: Manifest, settings: Settings, *, exactly: bool) -> bool:
    """Whether a session is idle and its workers are those that would be started. Asks the store last.

    Raises:
        BurstError: it takes no more work, or cannot be asked.
    """
    session = jobs[0]
    same_store = unquote(session.store.url) == unquote(settings.store)
    if wanted.budget is not None or not same_store or not _alike(session.manifest, wanted):
        return False
    session.fleet.look()
    if not session.fleet.is_as_new() or not all(map(_is_over, jobs)):
        return False
    alive = {keys.base_of(worker.wid) for worker in session.status().workers if worker.alive}
    known = {f"{job.id}/{job.job}" for job in jobs}
    if not alive or not alive <= set(session.fleet.living) or set(siblings(session)) - known:
        return False
    asked = session.check_open()
    workers = session.manifest.workers if asked.wanted is None else asked.wanted
    return workers == wanted.workers if exactly else workers >= wanted.workers


def _is_over(job: Session) -> bool:
    ended = job.ended()
    return ended is not None and ended.for_good


def _alike(one: Manifest, other: Manifest) -> bool:
    """Whether two manifests differ only in id, times, seed, size of the fleet, and how the same packages come there."""
    same = {name: getattr(one, name) for name in ("sid", "created", "deadline", "seed", "pack", *_SIZE)}
    return one == replace(other, **same)
