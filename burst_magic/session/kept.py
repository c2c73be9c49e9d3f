"""How often a session is looked at after its last job has ended, for the sake of views that are open. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from burst_magic.protocol.log import DEAD_AFTER
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.protocol.wire.model import Manifest

_BACK_OFF = 0.25  # of the time since the end; on S3, ten looks in five minutes


def pause_after_end(seen: Sequence[Snapshot], manifest: Manifest, *, after: float) -> float | None:
    """Seconds until the next look; None if nothing that a view shows can change any more.

    Workers that are kept for the next job end, or join one: both are news, looked for as often as workers beat. Soon
    after the end, some may not have been heard yet. Later, a worker without a known end may still come back, or come:
    from a machine that was suspended or has too much to do. It ends at once if it was idle for too long by then.

    Args:
        seen: what the views of jobs that are over show now; empty if there is no view, or all workers were told to end.
        manifest: the session.
        after: seconds since the end.
    """
    if any(each.kept_until is not None and each.kept_until > each.now for each in seen):
        return manifest.interval
    if seen and after < DEAD_AFTER * manifest.interval:
        return manifest.interval
    if after < manifest.idle and any(_may_hear(each) for each in seen):
        return max(manifest.interval, _BACK_OFF * after)
    return None


def _may_hear(seen: Snapshot) -> bool:
    """Whether a worker, or the start of one, has no known end."""
    return seen.starting > 0 or any(worker.gone is None for worker in seen.workers)
