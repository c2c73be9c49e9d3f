"""Large captured values, each stored once under its hash; ``sweep.py`` may delete unused ones.

A sweep deletes no recent value. A submission refreshes the values it reuses, and checks all its values again after it
has written the payload that names them: an earlier sweep may still be running.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

from burst_magic.protocol.wire import keys

if TYPE_CHECKING:
    from pathlib import Path

    from burst_magic.stores import Entry, Store

FOLDER = "blobs"
YOUNG = 3600.0  # seconds
_USED_AGAIN = YOUNG / 2  # older values are refreshed, so that they don't expire before the payload names them


class Values:
    """The values of one submission.

    Args:
        store: where.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, memoryview] = {}

    def keep(self, buffer: memoryview) -> tuple[str, int]:
        """Store bytes under their hash unless they exist; return the hash and the size."""
        view = buffer.cast("B") if buffer.contiguous else memoryview(bytes(buffer))
        sha256 = hashlib.sha256(view).hexdigest()
        self._kept[keys.blob(sha256)] = view
        self._make_young(keys.blob(sha256), view)
        return sha256, view.nbytes

    def keep_again(self) -> None:
        """After the payload is written: store again any value that was swept or expired meanwhile."""
        for key, view in self._kept.items():
            self._make_young(key, view)

    def _make_young(self, key: str, view: memoryview) -> None:
        there = find(self._store, key)
        if there is not None and abs(time.time() - there.modified) <= _USED_AGAIN:  # else old, or our clock is wrong
            return
        if there is None or not _touched(self._store.path(key)):
            self._store.put(key, view)  # the same bytes, whoever writes them


def find(store: Store, key: str) -> Entry | None:
    """A stored value's entry."""
    return next((entry for entry in store.list(FOLDER, after=key[:-1], limit=1) if entry.key == key), None)


def is_old(entry: Entry, now: float) -> bool:
    """Whether it is so long that it was stored or used that no submission under way relies on it.

    Args:
        entry: the value's.
        now: by the store's clock, as its times are.
    """
    return now - entry.modified > YOUNG


def _touched(file: Path | None) -> bool:
    """Whether a file was refreshed; not if it is gone, belongs to another user, or the store has no files."""
    if file is None:
        return False
    try:
        os.utime(file)
    except OSError:
        return False
    return True
