"""A store for interactive use: short faults are retried, long ones are raised."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from burst_magic.errors import StoreError, Throttled, Unknown
from burst_magic.stores.base import Bytes, Entry, Store
from burst_magic.stores.retry import PERSON, Retry, persist, slept

T = TypeVar("T")


class Patient:
    """Retries unanswered and throttled calls for a while.

    A create is retried only if it certainly was not done; after an unknown result, the caller must check. A stream is
    not retried, since it is consumed; the store itself retries its parts.

    Args:
        store: the store itself.
        retry: the policy.
        wait, clock: as in ``persist``.

    Attributes:
        bare: the store itself, for callers with their own retries.
    """

    def __init__(
        self,
        store: Store,
        retry: Retry = PERSON,
        *,
        wait: Callable[[float], bool] = slept,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bare = self._store = store
        self._retry, self._wait, self._clock = retry, wait, clock

    @property
    def url(self) -> str:
        """The URL that opens the same store again, in this or another process."""
        return self._store.url

    @property
    def endpoint(self) -> str:
        """The server behind it, if it has one."""
        return getattr(self._store, "endpoint", "")

    @property
    def credentials(self) -> Callable[[], object] | None:
        """The provider of the store behind it, if it has one."""
        return getattr(self._store, "credentials", None)

    def create(self, key: str, data: Bytes, *, whole: bool = False) -> None:
        """Writes an object that must not exist yet; raises ``Exists`` if it does."""
        self._patiently(lambda: self._store.create(key, data, whole=whole), Throttled)

    def put(self, key: str, data: Bytes | Iterator[bytes], *, whole: bool = False) -> None:
        """Writes or replaces an object."""
        if isinstance(data, (bytes, bytearray, memoryview)):
            self._patiently(lambda: self._store.put(key, data, whole=whole), Throttled, Unknown)
        else:
            self._store.put(key, data, whole=whole)

    def get(self, key: str, *, start: int = 0, end: int | None = None) -> bytes:
        """The bytes ``start`` to ``end`` (exclusive) of an object; raises ``Missing``."""
        return self._patiently(lambda: self._store.get(key, start=start, end=end), Throttled, Unknown)

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """Objects below the folder ``prefix``, sorted by key, with keys > ``after``, at most ``limit``."""
        return self._patiently(lambda: self._store.list(prefix, after=after, limit=limit), Throttled, Unknown)

    def folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders directly below the folder ``prefix``, sorted."""
        return self._patiently(lambda: self._store.folders(prefix), Throttled, Unknown)

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects; a missing one is no error."""
        names = list(keys)
        self._patiently(lambda: self._store.delete(names), Throttled, Unknown)

    def path(self, key: str) -> Path | None:
        """The file of the object, if the store is a local folder."""
        return self._store.path(key)

    def _patiently(self, call: Callable[[], T], *faults: type[StoreError]) -> T:
        return persist(call, self._retry, *faults, wait=self._wait, clock=self._clock)


def bare(store: Store) -> Store:
    """The store itself, without retries."""
    return store.bare if isinstance(store, Patient) else store
