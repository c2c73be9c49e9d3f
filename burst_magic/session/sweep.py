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
    needed = _Needed(store)
    now = time.time()
    idle = [entry for entry in store.list("blobs") if entry.key not in needed]
    old = [entry for entry in idle if now - entry.modified > _YOUNG]
    needed.look()  # a submission that found an old value there names it before it looks whether it still is
    old = [entry for entry in old if entry.key not in needed]
    store.delete([entry.key for entry in old])
    return Swept(deleted=len(old), bytes=sum(entry.size for entry in old), young=len(idle) - len(old))


class _Needed:
    """What the payloads of a store name. Only names are read; nothing is believed or unpickled."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: set[str] = set()
        self._keys: set[str] = set()
        self.look()

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def look(self) -> None:
        """Reads the payloads that it has not read."""
        for sid in session_ids(self._store):
            for entry in self._store.list(keys.SessionKeys(sid).jobs_folder):
                if entry.key.endswith("/payload") and entry.key not in self._read:
                    self._read.add(entry.key)
                    self._keys.update(map(keys.blob, self._named_in(entry.key)))

    def _named_in(self, payload: str) -> list[str]:
        try:
            envelope = Envelope.from_bytes(sign.peek(payload, self._store.get(payload)))
        except Missing:  # cleaned up meanwhile
            return []
        return [sha256 for sha256, _ in envelope.blobs] + [envelope.bundle] * bool(envelope.bundle)
