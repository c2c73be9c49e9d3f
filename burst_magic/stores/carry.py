"""Carries a machine's store effects out and answers with events. Shared by worker and client.

Lists and reads are repeated until they succeed; a create is tried once and told as it went, since only
the machine may judge a refusal (law 7). A throttled write was not done, so it is simply tried again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from burst_magic.errors import Exists, Missing, RecordError, SignatureError, StoreError, Throttled
from burst_magic.protocol import effects as fx
from burst_magic.protocol import records
from burst_magic.protocol.model import ClaimBody
from burst_magic.stores.base import Store

_LOG = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0  # seconds
T = TypeVar("T")


class Carrier:
    """Store effects in, events out.

    Args:
        store: where.
        secret: the session's key; None reads records without believing them (status only).
        pause: waits so many seconds and says whether to go on; a driver that ends says no.
    """

    def __init__(self, store: Store, secret: bytes | None, pause: Callable[[float], bool]) -> None:
        self.store, self.secret, self._pause = store, secret, pause

    def carry(self, effect: fx.List | fx.Read | fx.Create) -> fx.Event:
        """One effect, one event."""
        if isinstance(effect, fx.List):
            return self._list(effect)
        if isinstance(effect, fx.Read):
            return fx.Got(effect.key, self._read(effect))
        return fx.Created(effect.key, self.create(effect.key, self.encode(effect.record, effect.key)))

    def encode(self, record: fx.Record, key: str) -> bytes:
        """A record's bytes, signed for its key."""
        if self.secret is None:
            raise SignatureError("this session's key is not here: it can be looked at, not changed", context=key)
        return records.encode(record, secret=self.secret, key=key)

    def create(self, key: str, data: bytes) -> fx.Wrote:
        """A create-only put, and what the store said of it."""
        try:
            self._patiently(lambda: self.store.create(key, data), Throttled)
        except Exists:
            return fx.Wrote.REFUSED
        except StoreError as fault:
            _LOG.warning("%s", fault)
            self._pause(_FIRST_PAUSE)
            return fx.Wrote.UNKNOWN
        return fx.Wrote.DONE

    def fetch(self, key: str, *, start: int = 0, end: int | None = None) -> bytes:
        """An object's bytes; repeated until the store answers. Raises ``Missing``."""
        return self._patiently(lambda: self.store.get(key, start=start, end=end), StoreError)

    def _list(self, effect: fx.List) -> fx.Listed:
        entries = self._patiently(
            lambda: self.store.list(
                effect.folder,
                after=f"{effect.folder}/{effect.after}" if effect.after else "",
                limit=effect.limit,
            ),
            StoreError,
        )
        cut = len(effect.folder) + 1
        names = tuple((entry.key[cut:], entry.modified) for entry in entries)
        return fx.Listed(effect.folder, effect.after, names, effect.limit)

    def _read(self, effect: fx.Read) -> fx.Record | None:
        try:
            data = self.fetch(effect.key)
            return records.decode(effect.kind, data, secret=self.secret, key=effect.key)
        except Missing:
            return None
        except (SignatureError, RecordError) as fault:  # whoever wrote it, it is not believed
            _LOG.warning("%s", fault)
            return ClaimBody(worker="", slot=0, nonce="", at=0.0) if effect.kind is ClaimBody else None

    def _patiently(self, call: Callable[[], T], repeat: type[StoreError]) -> T:
        wait = _FIRST_PAUSE
        while True:
            try:
                return call()
            except (Missing, Exists):
                raise
            except repeat as fault:
                _LOG.warning("again in %.2f s: %s", wait, fault)
                if not self._pause(wait):
                    raise
                wait = min(2 * wait, _LONGEST_PAUSE)
