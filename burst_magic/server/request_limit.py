"""A limit on the server's requests to a remote store: each costs money, and nobody may be looking."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from burst_magic.errors import Throttled, Unknown

if TYPE_CHECKING:
    from burst_magic.stores import Store
    from burst_magic.stores.base import Bytes, Entry

T = TypeVar("T")
RATE = 0.5  # requests a second, in the long run
AT_ONCE = 400  # requests that need not wait: the first look at a session reads a heartbeat of each worker
_PAGE = 1000  # objects that one LIST returns


class RequestLimit:
    """A limit on requests per second that allows a burst. Thread-safe.

    Args:
        rate: a second.
        at_once: that need not wait, after a long quiet time.
        clock: seconds.
    """

    def __init__(
        self, *, rate: float = RATE, at_once: int = AT_ONCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate, self._most, self._clock = rate, at_once, clock
        self._left, self._at = float(at_once), clock()
        self._lock = threading.Lock()

    def take(self, count: int = 1) -> float:
        """Take some requests; returns the seconds to wait before they are made."""
        with self._lock:
            now = self._clock()
            self._left = min(self._most, self._left + (now - self._at) * self._rate) - count
            self._at = now
            return max(0.0, -self._left / self._rate)


class Metered:
    """A store whose requests wait for a limit, and that knows for how long it has not answered.

    Args:
        store: the store itself.
        limit: the limit; None: no limit.
        over: ends all waiting.
    """

    def __init__(self, store: Store, limit: RequestLimit | None, over: threading.Event) -> None:
        self._store, self._limit, self._over = store, limit, over
        self._unanswered: float | None = None  # since when

    @property
    def url(self) -> str:
        """The URL that opens the same store again, in this or another process."""
        return self._store.url

    def silence(self) -> float:
        """Seconds since a request was made that has had no answer, tried again or not; waiting for a turn is none."""
        since = self._unanswered
        return 0.0 if since is None else time.monotonic() - since

    def _in_turn(self, call: Callable[[], T]) -> T:
        if self._limit is not None and self._over.wait(self._limit.take()):
            raise Unknown("nobody asks for this session any more")
        if self._unanswered is None:
            self._unanswered = time.monotonic()
        try:
            found = call()
        except (Throttled, Unknown):
            raise
        except BaseException:  # a refusal is an answer
            self._unanswered = None
            raise
        self._unanswered = None
        return found

    def create(self, key: str, data: Bytes, *, whole: bool = False) -> None:
        """Writes an object that must not exist yet; raises ``Exists`` if it does."""
        self._in_turn(lambda: self._store.create(key, data, whole=whole))

    def put(self, key: str, data: Bytes | Iterator[bytes], *, whole: bool = False) -> None:
        """Writes or replaces an object."""
        self._in_turn(lambda: self._store.put(key, data, whole=whole))

    def get(self, key: str, *, start: int = 0, end: int | None = None) -> bytes:
        """The bytes ``start`` to ``end`` (exclusive) of an object; raises ``Missing``."""
        return self._in_turn(lambda: self._store.get(key, start=start, end=end))

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """Objects below the folder ``prefix``; further pages are on the bill of the next request."""
        found = self._in_turn(lambda: self._store.list(prefix, after=after, limit=limit))
        if self._limit is not None:
            self._limit.take(len(found) // _PAGE)
        return found

    def folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders directly below the folder ``prefix``, sorted."""
        return self._in_turn(lambda: self._store.folders(prefix))

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects; a missing one is no error."""
        self._in_turn(lambda: self._store.delete(keys))

    def path(self, key: str) -> Path | None:
        """The file of the object, if the store is a local folder."""
        return self._store.path(key)
