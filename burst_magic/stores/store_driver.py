"""Carry out a machine's store effects and return events. Shared by worker and client.

Lists and reads are retried until they succeed. A create is tried once and its result reported, since only the machine
may judge a refusal (law 7). A throttled write was not done, so it is simply retried.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from threading import Event
from typing import TypeVar

from burst_magic.errors import (
    BurstError,
    Exists,
    Missing,
    NoBucket,
    RecordError,
    SignatureError,
    StoreError,
    Throttled,
    Unknown,
    VersionError,
)
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import ClaimBody
from burst_magic.stores.base import Bytes, Entry, Store
from burst_magic.stores.patient import bare
from burst_magic.stores.retry import DOUBTFUL, DRIVER, GONE, Retry, persist, slept

_LOG = logging.getLogger(__name__)
_TOLD_FROM = 1.0  # seconds of a pause: shorter troubles are not reported
_TOLD_AGAIN = 60.0  # seconds between two reports of one fault
_NAMED = 3  # records in one folder that cannot be read
T = TypeVar("T")


class Refusals:
    """Creates that the store refuses persistently, for lack of space or permission.

    Attributes:
        count: number so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._standing: dict[str, str] = {}  # folder -> what was said of the last, where nothing was taken since

    @property
    def said(self) -> str:
        """Latest refusal for a folder with no success since, or ""."""
        return next(iter(self._standing.copy().values()), "")

    def refused(self, key: str, fault: StoreError) -> None:
        """Record a refusal."""
        self.count += 1
        self._standing[_folder(key)] = fault.problem

    def taken(self, key: str) -> None:
        """Record a success."""
        self._standing.pop(_folder(key), None)


class Carrier:
    """Store effects in, events out.

    Args:
        store: where; a patient store is unwrapped, so that the two don't multiply their waits.
        secret: the session's key; None reads records unverified (status only).
        pause: sleeps that many seconds and returns whether to continue; False once the driver ends.
        retry: how long a call is repeated; clock: seconds.
        give_up: faults to raise at once: a waiting user should rather see them.

    Attributes:
        refusals: what the store did not let it create.
        trouble: what the store said to the call that is under way, or to the last one; "" once it answers.
    """

    def __init__(
        self,
        store: Store,
        secret: bytes | None,
        pause: Callable[[float], bool],
        *,
        retry: Retry = DRIVER,
        give_up: tuple[type[StoreError], ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store, self.secret, self._pause, self._retry = bare(store), secret, pause, retry
        self._clock = clock
        self._give_up: tuple[type[StoreError], ...] = (Missing, Exists, *give_up)
        self._told: dict[str, float] = {}
        self._passed_over: dict[str, set[str]] = {}  # keys by folder; each is said once, and of many the first
        self._unanswered = 0  # creates in a row
        self._gone = GONE
        self.refusals = Refusals()
        self.trouble = ""

    def until(self, over: Event) -> Carrier:
        """A copy that stops retrying once ``over`` is set, and raises the fault."""
        return self._with(lambda seconds: not over.wait(seconds))

    def once(self) -> Carrier:
        """A copy that never retries."""
        return self._with(lambda _: False)

    def _with(self, pause: Callable[[float], bool]) -> Carrier:
        other = Carrier(self.store, self.secret, pause, retry=self._retry, give_up=self._give_up, clock=self._clock)
        other._told, other._passed_over, other.refusals = self._told, self._passed_over, self.refusals
        return other

    def carry(self, effect: fx.List | fx.Read | fx.Create) -> fx.Event:
        """Carry out one effect and return its event."""
        if isinstance(effect, fx.List):
            return self._list(effect)
        if isinstance(effect, fx.Read):
            return fx.Got(effect.key, self._read(effect))
        return fx.Created(effect.key, self.create(effect.key, self.encode(effect.record, effect.key)))

    def encode(self, record: fx.Record, key: str) -> bytes:
        """A record's bytes, signed for its key."""
        if self.secret is None:
            raise SignatureError("this session's key is not on this machine: the session is read-only", context=key)
        return records.encode(record, secret=self.secret, key=key)

    def create(self, key: str, data: Bytes, *, whole: bool = False) -> fx.Wrote:
        """Create-only put; returns its result. ``whole``: as in a store's."""
        try:
            self.patiently(lambda: self.store.create(key, data, whole=whole), Throttled)
        except Exists:
            return fx.Wrote.REFUSED
        except StoreError as fault:
            self.tell(fault)
            if not isinstance(fault, (Throttled, Unknown)):
                self.refusals.refused(key, fault)
            self._pause(self._retry.pause(self._unanswered))
            self._unanswered += 1
            return fx.Wrote.UNKNOWN
        self._unanswered = 0
        self.refusals.taken(key)
        return fx.Wrote.DONE

    def insist(self, key: str, data: bytes) -> None:
        """Create an object that no one else creates. After a refusal or a lost reply, check, then retry.

        Raises:
            StoreError: the store refused it, or repeatedly didn't answer.
        """

        def attempt() -> None:
            try:
                self.patiently(lambda: self.store.create(key, data), Throttled)
            except (Exists, Unknown):
                if not self._lies_there(key, data):
                    raise

        persist(attempt, DOUBTFUL, Exists, Unknown, wait=self._pause)

    def _lies_there(self, key: str, data: bytes) -> bool:
        try:
            return self.fetch(key) == data
        except Missing:
            return False

    def fetch(self, key: str, *, start: int = 0, end: int | None = None) -> bytes:
        """Read an object's bytes; retries until the store answers. Raises ``Missing``."""
        return self.patiently(lambda: self.store.get(key, start=start, end=end), StoreError)

    def record(self, kind: type[records.T], key: str) -> records.T:
        """A verified record; retries until the store answers. Raises ``Missing``, and what ``decode`` raises."""
        return self.believed(
            lambda: records.read(kind, lambda end: self.fetch(key, end=end), secret=self.secret, key=key)
        )

    def _list(self, effect: fx.List) -> fx.Listed:
        after = f"{effect.folder}/{effect.after}" if effect.after else ""
        look = partial(ours, self.store, effect.folder, after=after, limit=effect.limit)
        try:
            entries = persist(
                lambda: self.patiently(look, StoreError), self._gone, NoBucket, wait=self._pause, clock=self._clock
            )
        except NoBucket:
            if not self._pause(0.0):  # it was not looked for long enough
                raise
            entries = []  # with it went all that it held: the machine sees a deleted session
            self._gone = Retry(tries=0)
        cut = len(effect.folder) + 1
        names = tuple((entry.key[cut:], entry.modified) for entry in entries)
        return fx.Listed(effect.folder, effect.after, names, effect.limit)

    def _read(self, effect: fx.Read) -> fx.Record | None:
        kind, key = effect.kind, effect.key
        try:
            return self.record(kind, key)
        except Missing:
            return None
        except (SignatureError, RecordError) as fault:  # whoever wrote it, it is not believed
            self._pass_over(key, fault)
            return ClaimBody(worker="", slot=0, nonce="", at=0.0) if effect.kind is ClaimBody else None

    def _pass_over(self, key: str, fault: BurstError) -> None:
        folder = _folder(key)
        known = self._passed_over.setdefault(folder, set())
        if key in known:
            return
        known.add(key)
        if len(known) <= _NAMED:
            _LOG.warning("%s", fault)
        elif len(known) == _NAMED + 1:
            _LOG.warning("more records in %s cannot be read, either; they are passed over without a message", folder)

    def patiently(self, call: Callable[[], T], repeat: type[StoreError]) -> T:
        """What a call of the store returns; faults of the kind ``repeat`` are waited out."""

        def report(fault: BurstError, pause: float) -> None:
            self.trouble = fault.problem
            if pause >= _TOLD_FROM:
                self.tell(fault)

        answer = persist(
            call, self._retry, repeat, never=self._give_up, wait=self._pause, clock=self._clock, tell=report
        )
        self.trouble = ""
        return answer

    def believed(self, read: Callable[[], T]) -> T:
        """Result of ``read``, which verifies its bytes; see the function of this name."""
        return believed(read, self.store, self._pause)

    def tell(self, fault: BurstError) -> None:
        """Log a fault; a persistent one once a minute."""
        text, now = str(fault), self._clock()
        if now - self._told.get(fault.problem, -_TOLD_AGAIN) >= _TOLD_AGAIN:
            self._told[fault.problem] = now
            _LOG.warning("%s", text)


def _folder(key: str) -> str:
    return key.rpartition("/")[0]


def believed(read: Callable[[], T], store: Store, pause: Callable[[float], bool] = slept) -> T:
    """Result of ``read``. Bytes that do not verify may have been truncated in transit: they are reread a few times.

    Not those of a local file: they stay as they are.
    """
    if store.path("manifest.json") is not None:
        return read()
    return persist(read, DOUBTFUL, SignatureError, RecordError, never=(VersionError,), wait=pause)


def read_record(kind: type[records.T], store: Store, key: str, secret: bytes | None) -> records.T:
    """One record, verified if there is a key; raises ``Missing``, and what ``decode`` raises."""
    return believed(lambda: records.read(kind, lambda end: store.get(key, end=end), secret=secret, key=key), store)


def ours(store: Store, folder: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
    """Parse the protocol's keys in a folder; foreign keys are skipped."""
    is_ours, cut = keys.ours_in(folder), len(folder) + 1
    while True:
        listed = store.list(folder, after=after, limit=limit)
        found = [entry for entry in listed if is_ours(entry.key[cut:])]
        if found or limit is None or len(listed) < limit:
            return found
        after = listed[-1].key
