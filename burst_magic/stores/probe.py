"""Detect stores that ignore conditional writes. On such a store, two workers could own the same claim."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

from burst_magic import folders
from burst_magic.errors import Exists, Missing, NoBucket, StoreError, Unknown
from burst_magic.stores.base import Store
from burst_magic.stores.retry import DOUBTFUL, persist

_FILE = "probed-stores.txt"
_SEGMENT = 256 << 10  # bytes


def probe(store: Store, *, remembered: Path) -> None:
    """Check, once per URL, that a second create of the same key is refused. Leaves no object behind.

    Args:
        store: the store to check.
        remembered: a folder where stores that passed are recorded.

    Raises:
        StoreError: the store ignores conditional writes.
    """
    name = f"{getattr(store, 'endpoint', '')} {store.url}".strip()
    notes = remembered / _FILE
    lasting = not store.url.startswith("memory:")
    if lasting and name in _passed(notes):
        return
    if not keeps_the_first(store):
        way_out = "S3, SeaweedFS, moto 5 and folders honour them; update the server or use another --store"
        raise StoreError("this store ignores conditional writes (If-None-Match)", context=name, way_out=way_out)
    if lasting:
        folders.make(remembered)
        with folders.told(notes), folders.opened(notes, "a") as file:
            file.write(name + "\n")


def _passed(notes: Path) -> list[str]:
    try:
        return folders.read(notes).decode(errors="replace").splitlines()
    except OSError:  # not there yet; what else it may be is said when it is written
        return []


def try_to_write(store: Store) -> None:
    """Write an object of the size of a small segment and delete it; raises the store's refusal."""
    key = f"probe-{secrets.token_hex(8)}"
    store.put(key, bytes(_SEGMENT))
    store.delete([key])


def time_of(store: Store) -> float:
    """The time by the store's clock, in seconds since the epoch, by an object that is written, listed and deleted.

    Raises:
        StoreError: the store refuses it, or does not list it.
    """
    key = f"probe-{secrets.token_hex(8)}"
    store.put(key, b"")
    try:
        found = next((entry.modified for entry in store.list("", after=key[:-1], limit=1) if entry.key == key), None)
    finally:
        store.delete([key])
    if found is None:
        raise Unknown("the store does not list what was just written", context=key, way_out="try again")
    return found


def keeps_the_first(store: Store) -> bool:
    """Whether a second create of a key is refused. Leaves no object behind."""
    key = f"probe-{secrets.token_hex(8)}"
    try:
        kept = _created(store, key, b"first") and not _created(store, key, b"second") and store.get(key) == b"first"
    except StoreError:
        with contextlib.suppress(StoreError):  # report the first fault
            store.delete([key])
        raise
    store.delete([key])
    return kept


def _created(store: Store, key: str, data: bytes) -> bool:
    def attempt() -> bool:
        try:
            store.create(key, data)
        except Exists:
            return store.get(key) == data  # a retry may have lost to itself: only a read decides
        return True

    try:
        return persist(attempt, DOUBTFUL, Missing, never=(NoBucket,))  # S3 refuses racers though nobody won
    except NoBucket:
        raise
    except Missing:
        problem = "the store refuses to create an object that does not exist"
        raise Unknown(problem, context=key, way_out="try again") from None
