"""A store in the memory of this process, shared by its name. For tests, simulations and small trials."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from burst_magic.stores import over
from burst_magic.stores.base import Bytes, Entry, checked
from burst_magic.stores.faults import fault, outside

if TYPE_CHECKING:
    from obstore.store import MemoryStore as Backend

_named: dict[str, Backend] = {}
_lock = threading.Lock()


def open_memory(url: str, **_: object) -> MemoryStore:
    """Opens ``memory://name``; the same name is the same store."""
    from obstore.store import MemoryStore as Backend  # paid for when a store is opened

    with _lock:
        backend = _named.setdefault(url.removeprefix("memory://").strip("/"), Backend())
    return MemoryStore(url, backend)


class MemoryStore:
    """Five verbs over the memory of this process."""

    def __init__(self, url: str, backend: Backend) -> None:
        self._url = url
        self._backend = backend

    @property
    def url(self) -> str:
        """The URL that opens the same store again in this process."""
        return self._url

    def create(self, key: str, data: Bytes) -> None:
        """Writes an object that must not exist yet; raises ``Exists`` if it does."""
        try:
            over.write(self._backend, checked(key), _own(data), create=True)
        except Exception as error:
            raise fault(error, key) from error

    def put(self, key: str, data: Bytes | Iterator[bytes]) -> None:
        """Writes or replaces an object."""
        checked(key)
        whole = _own(data) if isinstance(data, (bytes, bytearray, memoryview)) else b"".join(data)
        try:
            over.write(self._backend, key, whole, create=False)
        except Exception as error:
            raise fault(error, key) from error

    def get(self, key: str, *, start: int = 0, end: int | None = None) -> bytes:
        """The bytes ``start`` to ``end`` (exclusive) of an object; raises ``Missing``."""
        try:
            return over.read(self._backend, checked(key), start, end)
        except Exception as error:
            if outside(error):
                return b""
            raise fault(error, key) from error

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """Objects below the folder ``prefix``, sorted by key, with keys > ``after``, at most ``limit``."""
        return over.listed(self._backend, prefix, after, limit)

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects; a missing one is no error."""
        for key in keys:
            try:
                self._backend.delete(checked(key))
            except FileNotFoundError:
                continue

    def path(self, key: str) -> Path | None:  # noqa: ARG002  the protocol's signature
        """None: there is no file."""
        return None


def _own(data: Bytes) -> bytes:
    """Bytes that nobody can change any more: obstore keeps what it is given, without a copy."""
    return bytes(over.plain(data))
