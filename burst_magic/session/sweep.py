"""Deletes content-addressed values that no session of the store needs any more."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from burst_magic.errors import Missing
from burst_magic.payload import Envelope
from burst_magic.protocol import keys, sign
from burst_magic.session.attach import session_ids
from burst_magic.session.submit import open_own_store

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.stores import Store

_YOUNG = 3600.0  # seconds: a submission that is under way has stored its values, but not yet its payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How many values were deleted and how many bytes they had; how many were kept for being young."""

    deleted: int
    bytes: int
    young: int


def sweep_blobs(settings: Settings) -> Swept:
    """Deletes what nobody needs, but what is young."""
    store = open_own_store(settings.store, settings)
    needed = {sha256 for sid in session_ids(store) for sha256 in _needed(store, sid)}
    now = time.time()
    idle = [entry for entry in store.list("blobs") if entry.key.rpartition("/")[2] not in needed]
    old = [entry for entry in idle if now - entry.modified > _YOUNG]
    store.delete([entry.key for entry in old])
    return Swept(deleted=len(old), bytes=sum(entry.size for entry in old), young=len(idle) - len(old))


def _needed(store: Store, sid: str) -> set[str]:
    """What the payloads of a session name. Only names are read; nothing is believed or unpickled."""
    needed: set[str] = set()
    for entry in store.list(keys.SessionKeys(sid).jobs_folder):
        if entry.key.endswith("/payload"):
            try:
                envelope = Envelope.from_bytes(sign.peek(entry.key, store.get(entry.key)))
            except Missing:  # cleaned up meanwhile
                continue
            needed.update(sha256 for sha256, _ in envelope.blobs)
            needed.add(envelope.bundle)
    return needed
