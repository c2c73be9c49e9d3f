"""What the protocol asks of a store: five verbs over keys. Knows no provider.

Keys are relative to the store's root, use ``/``, and hold no ``..`` and no empty part.
Every verb is safe to call from many threads at once. Faults are told apart by class:
``Missing``, ``Exists``, ``Denied``, ``Throttled``, ``Unknown`` (see ``errors.py``); each
carries the key as its context.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from burst_magic.errors import StoreError

Bytes = bytes | bytearray | memoryview

# No empty part, no "." or "..", no control character, no backslash; "#" marks what a folder is still writing.
_PART = r"(?!\.{1,2}(?:/|\Z))[^/\\#\x00-\x1f\x7f\ud800-\udfff]+"
_legal = re.compile(f"{_PART}(?:/{_PART})*").fullmatch


def checked(key: str) -> str:
    """The key itself, when every store can hold it; raises ``StoreError``."""
    if _legal(key) is None:
        raise StoreError("a store cannot hold this key", context=repr(key), way_out="parts divided by single slashes")
    return key


def folder_of(prefix: str) -> str:
    """The prefix of a listing with its one trailing slash, "" for the whole store."""
    trimmed = prefix.removesuffix("/")
    return checked(trimmed) + "/" if trimmed else ""


class Entry(NamedTuple):
    """One listed object; a tuple, since listings are long.

    Attributes:
        key: relative to the store's root.
        size: bytes.
        modified: last-modified by the store's clock, seconds since the epoch.
    """

    key: str
    size: int
    modified: float


class Store(Protocol):
    """Five verbs over keys."""

    @property
    def url(self) -> str:
        """The URL that opens the same store again, in this or another process."""

    def create(self, key: str, data: Bytes) -> None:
        """Writes an object that must not exist yet; raises ``Exists`` if it does."""

    def put(self, key: str, data: Bytes | Iterator[bytes]) -> None:
        """Writes or replaces an object. An iterator is streamed with flat memory; when it
        raises, nothing is left behind and its exception comes through unchanged."""

    def get(self, key: str, *, start: int = 0, end: int | None = None) -> bytes:
        """The bytes ``start`` to ``end`` (exclusive) of an object; raises ``Missing``."""

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """Objects below the folder ``prefix`` (a trailing ``/`` is implied), sorted by key, with keys > ``after``,
        at most ``limit``. All pages are read.

        A whole listing is exact on every store. ``after`` and ``limit`` are on S3, in folders and in memory; a
        server that goes folder by folder (SeaweedFS) differs where ``after`` is the name of a folder without its
        slash, and where a folder ``x/`` has a sibling that begins with ``x`` and one of ``!"$%&'()*+,-.``. No key
        of the protocol does either."""

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects; a missing one is no error."""

    def path(self, key: str) -> Path | None:
        """The file that holds the object, where the store is a folder of this machine."""
