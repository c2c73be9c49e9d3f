"""``--env sync``: what a session's workers get installed, prepared before anything is billed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from burst_magic.environment.bundle import Archive, worker_bundle
from burst_magic.environment.uv import Target
from burst_magic.protocol.wire import keys

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.stores import Store

FOLDER = "environments"  # of the user's data directory
_IN_STORE = "envs"
_OLD = 7 * 86400.0  # seconds; a bucket deletes what is older than a month


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What workers get.

    Attributes:
        bundle: the worker itself.
    """

    bundle: Archive

    def upload(self, store: Store) -> None:
        """Store what the store lacks."""
        for archive in (self.bundle,):
            _store(store, archive)


def prepare(settings: Settings, *, python: str, arch: str) -> Synced:
    """Prepare what workers get; in milliseconds if it is what an earlier session got.

    Args:
        settings: for the directories.
        python: the kernel's version.
        arch: the workers' architecture.

    Raises:
        PlanError: it cannot be prepared; says why, and what else would do.
    """
    target = Target(python=".".join(python.split(".")[:2]), arch=arch)
    return Synced(bundle=worker_bundle(target, settings.data_dir / FOLDER))


def _store(store: Store, archive: Archive) -> None:
    """Content-addressed, so whoever was first stored the same; an old one is renewed before its bucket expires it."""
    key = keys.env(archive.sha256)
    there = next((entry for entry in store.list(_IN_STORE, after=key[:-1], limit=1) if entry.key == key), None)
    if there is None or time.time() - there.modified > _OLD:
        store.put(key, archive.path.read_bytes())
