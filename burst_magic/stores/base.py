"""What the protocol requires of a store: a few operations on keys. Provider-independent.

Keys are relative to the store's root, use ``/``, and contain no ``..`` and no empty part.
Every operation is thread-safe. Faults are distinguished by class:
``Missing``, ``Exists``, ``Denied``, ``Throttled``, ``Unknown`` (see ``errors.py``); each
carries the key as its context.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from burst_magic.errors import StoreError

Bytes = bytes | bytearray | memoryview

# No empty part, no "." or "..", no control character, no backslash; "#" marks files that are no objects.
_PART = r"(?!\.{1,2}(?:/|\Z))[^/\\#\x00-\x1f\x7f\ud800-\udfff]+"
_legal = re.compile(f"{_PART}(?:/{_PART})*").fullmatch
_part = re.compile(_PART).fullmatch


def checked(key: str) -> str:
    """Return the key if every store can hold it; raises ``StoreError``."""
    if _legal(key) is None:
        raise StoreError("a store cannot hold this key", context=repr(key), way_out="parts divided by single slashes")
    return key


def is_part(name: str) -> bool:
    """Whether every store can hold a key with this part, between its slashes."""
    return _part(name) is not None


def folder_of(prefix: str) -> str:
    """The prefix of a listing with one trailing slash, "" for the whole store."""
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
    """Operations on keys."""

    @property
    def url(self) -> str:
        """The URL that opens the same store again, in this or another process."""

    def create(self, key: str, data: Bytes, *, whole: bool = False) -> None:
        """Writes an object that must not exist yet; raises ``Exists`` if it does.

        ``whole``: not even a power loss may leave a part of it, on a store where that takes time.
        """

    def put(self, key: str, data: Bytes | Iterator[bytes], *, whole: bool = False) -> None:
        """Writes or replaces an object. An iterator is streamed with flat memory; when it
        raises, nothing is left behind and its exception comes through unchanged."""

    def get(self, key: str, *, start: int = 0, end: int | None = None) -> bytes:
        """The bytes ``start`` to ``end`` (exclusive) of an object; raises ``Missing``."""

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """Objects below the folder ``prefix`` (a trailing ``/`` is implied), sorted by key, with keys > ``after``,
        at most ``limit``. All pages are read.

        A full listing is exact on every store. ``after`` and ``limit`` are exact on S3, in folders and in memory. A
        server that lists folder by folder (SeaweedFS) differs if ``after`` names a folder without its slash, or if a
        folder ``x/`` has a sibling that begins with ``x`` and one of ``!"$%&'()*+,-.``. The protocol has no such
        keys."""

    def folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders directly below the folder ``prefix``, sorted, with one request for a thousand. In a
        local folder one may be empty."""

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects; a missing one is no error."""

    def path(self, key: str) -> Path | None:
        """The file of the object, if the store is a local folder."""
