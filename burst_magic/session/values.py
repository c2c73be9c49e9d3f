"""Large values of captures, each stored once under its hash, so that ``sweep.py`` may delete what nobody needs.

A sweep deletes nothing young. A submission makes what it finds young again, and looks at all its values once more
when the payload that names them is written: a sweep that began before it may still be going.
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
_USED_AGAIN = YOUNG / 2  # older than this it is made young: it is not to grow old before the payload names it


class Values:
    """The values of one submission.

    Args:
        store: where.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: dict[str, memoryview] = {}

    def keep(self, buffer: memoryview) -> tuple[str, int]:
        """Stores bytes under their hash unless they are there; returns the hash and how many there are."""
        view = buffer.cast("B") if buffer.contiguous else memoryview(bytes(buffer))
        sha256 = hashlib.sha256(view).hexdigest()
        self._kept[keys.blob(sha256)] = view
        self._make_young(keys.blob(sha256), view)
        return sha256, view.nbytes

    def keep_again(self) -> None:
        """Once the payload is written: what was swept or grew old meanwhile is stored again."""
        for key, view in self._kept.items():
            self._make_young(key, view)

    def _make_young(self, key: str, view: memoryview) -> None:
        there = find(self._store, key)
        if there is not None and not is_old(there, _USED_AGAIN):
            return
        if there is None or not _touched(self._store.path(key)):
            self._store.put(key, view)  # the same bytes, whoever puts them


def find(store: Store, key: str) -> Entry | None:
    """A value as it lies there now."""
    return next((entry for entry in store.list(FOLDER, after=key[:-1], limit=1) if entry.key == key), None)


def is_old(entry: Entry, age: float) -> bool:
    """Whether nobody has stored or used it for so many seconds."""
    return time.time() - entry.modified > age


def _touched(file: Path | None) -> bool:
    """Whether a file is young now; not where it is gone, is another user's, or where there are no files."""
    if file is None:
        return False
    try:
        os.utime(file)
    except OSError:
        return False
    return True
