"""A store in this process's memory, shared by name. For tests and simulations."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from burst_magic.stores import obstore_io
from burst_magic.stores.base import Bytes, Entry, checked
from burst_magic.stores.faults import fault, outside

if TYPE_CHECKING:
    from obstore.store import MemoryStore as Backend

_named: dict[str, tuple[Backend, threading.Lock]] = {}
_lock = threading.Lock()


def open_memory(url: str, **_: object) -> MemoryStore:
    """Open ``memory://name``; the same name gives the same store."""
    from obstore.store import MemoryStore as Backend  # paid for when a store is opened

    with _lock:
        name = url.removeprefix("memory://").strip("/")
        backend, lock = _named.setdefault(name, (Backend(), threading.Lock()))
    return MemoryStore(url, backend, lock)


class MemoryStore:
    """The store operations in this process's memory, one at a time.

    obstore frees a replaced value, a Python object, under its own lock, and lists under the interpreter's: on Python
    3.10 this deadlocks.
    """

    def __init__(self, url: str, backend: Backend, lock: threading.Lock) -> None:
        self._url = url
        self._backend, self._lock = backend, lock

    @property
    def url(self) -> str:
        """The URL that opens the same store again in this process."""
        return self._url

    def create(self, key: str, data: Bytes, *, whole: bool = False) -> None:  # noqa: ARG002  it is, or not at all
        """Writes an object that must not exist yet; raises ``Exists`` if it does."""
        try:
            with self._lock:
                obstore_io.write(self._backend, checked(key), _own(data), create=True)
        except Exception as error:
            raise fault(error, key) from None

    def put(self, key: str, data: Bytes | Iterator[bytes], *, whole: bool = False) -> None:  # noqa: ARG002
        """Writes or replaces an object."""
        checked(key)
        joined = _own(data) if isinstance(data, (bytes, bytearray, memoryview)) else b"".join(data)
        try:
            with self._lock:
                obstore_io.write(self._backend, key, joined, create=False)
        except Exception as error:
            raise fault(error, key) from None

    def get(self, key: str, *, start: int = 0, end: int | None = None) -> bytes:
        """The bytes ``start`` to ``end`` (exclusive) of an object; raises ``Missing``."""
        try:
            with self._lock:
                return obstore_io.read(self._backend, checked(key), start, end)
        except Exception as error:
            if outside(error):
                return b""
            raise fault(error, key) from None

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """Objects below the folder ``prefix``, sorted by key, with keys > ``after``, at most ``limit``."""
        with self._lock:
            return obstore_io.listed(self._backend, prefix, after, limit)

    def folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders directly below the folder ``prefix``, sorted."""
        with self._lock:
            return obstore_io.folders(self._backend, prefix)

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects; a missing one is no error."""
        for key in keys:
            with self._lock, contextlib.suppress(FileNotFoundError):
                self._backend.delete(checked(key))

    def path(self, key: str) -> Path | None:  # noqa: ARG002  the protocol's signature
        """None: there is no file."""
        return None


def _own(data: Bytes) -> bytes:
    """An immutable copy: obstore keeps its argument without copying."""
    return bytes(obstore_io.plain(data))
