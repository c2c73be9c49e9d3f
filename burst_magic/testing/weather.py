"""A store in virtual time with all faults of law 7: slow, refusing without reason, silent, late."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Generator
from random import Random
from typing import TypeVar

from burst_magic.dataclass import dataclass
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire.keys import parse_worker
from burst_magic.testing.clock import Clock

EPOCH = 1_800_000_000.0  # the store's wall clock at virtual time 0
GIVEN_UP = 30.0  # seconds after which a client gives a write up
T = TypeVar("T")
Waiting = Generator[float, None, T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """A store's behaviour. Times are in seconds, the others are probabilities per request.

    Attributes:
        latency: mean time of a request.
        slow, slowness: a request takes up to that much longer.
        conflict: a create is refused although no other won (S3's 409).
        doubled: a create takes effect and is refused (a retry that lost to itself).
        lost: a create has no effect and no answer.
        silent: a create takes effect, but its answer is lost.
        late, lateness: the answer is lost, and the create takes effect up to that much later.
        slips: last-modified is one second early.
        grain: resolution of last-modified; 0 is exact, as in a folder.
        upload: time to upload a segment over a slow line.
    """

    latency: float
    slow: float = 0.0
    slowness: float = 0.0
    conflict: float = 0.0
    doubled: float = 0.0
    lost: float = 0.0
    silent: float = 0.0
    late: float = 0.0
    lateness: float = 0.0
    slips: float = 0.0
    grain: float = 1.0
    upload: float = 0.0


@dataclass(slots=True)
class Line:
    """The connection of one process to the store, or of all: nothing gets through before ``down_until``."""

    down_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Stored:
    """An object; ``at`` is the virtual time of the write, which no client can see."""

    record: object
    modified: float
    at: float


class SimulatedStore:
    """The five store operations in virtual time. Requests are processes that yield the seconds they wait.

    Args:
        clock: virtual time.
        rng: its randomness.
        weather: its faults.
        wrote: called with (key, record) when a create takes effect.
    """

    def __init__(self, clock: Clock, rng: Random, weather: Weather, wrote: Callable[[str, object], None]) -> None:
        self.objects: dict[str, Stored] = {}
        self.weather = weather
        self.door = Line()
        self.asked: Counter[tuple[str, str]] = (
            Counter()
        )  # requests that reached it, by operation ("list", "get", "put") and kind of object
        self._clock, self._rng, self._wrote = clock, rng, wrote
        self._folders: dict[str, list[str]] = {}

    @property
    def requests(self) -> int:
        """Number of requests that reached it."""
        return sum(self.asked.values())

    # --- at once -------------------------------------------------------------------------------------------

    def put(self, key: str, record: object) -> None:
        """Write or replace an object."""
        folder, _, name = key.rpartition("/")
        if key not in self.objects:
            insort(self._folders.setdefault(folder, []), name)
        slip = 1.0 if self.weather.slips and self._rng.random() < self.weather.slips else 0.0
        at = EPOCH + self._clock.now
        modified = at - (at % self.weather.grain if self.weather.grain else 0.0) - slip
        self.objects[key] = Stored(record, modified, self._clock.now)

    def create(self, key: str, record: object) -> bool:
        """Write an object unless it exists; returns whether it was written."""
        if key in self.objects:
            return False
        self.put(key, record)
        self._wrote(key, record)
        return True

    def get(self, key: str) -> object | None:
        """The object's record, or None."""
        stored = self.objects.get(key)
        return stored.record if stored else None

    def names(self, folder: str, after: str = "", limit: int | None = None) -> tuple[tuple[str, float], ...]:
        """A listing: (name, last-modified), ascending."""
        found = self._folders.get(folder, [])
        begin = bisect_right(found, after) if after else 0
        chosen = found[begin : None if limit is None else begin + limit]
        return tuple((name, self.objects[f"{folder}/{name}"].modified) for name in chosen)

    # --- as requests -----------------------------------------------------------------------------------------

    def carry(self, effect: fx.List | fx.Read | fx.Create, line: Line) -> Waiting[fx.Event]:
        """Carry out one effect and return its event, as ``stores.store_driver``."""
        if isinstance(effect, fx.List):
            names = yield from self._look(line, "list", _kind_of(f"{effect.folder}/"), lambda: self._list(effect))
            return fx.Listed(effect.folder, effect.after, names, effect.limit)
        if isinstance(effect, fx.Read):
            record = yield from self._look(line, "get", _kind_of(effect.key), lambda: self.get(effect.key))
            return fx.Got(effect.key, record if isinstance(record, effect.kind) else None)
        wrote = yield from self.creating(effect.key, effect.record, line)
        return fx.Created(effect.key, wrote)

    def _look(self, line: Line, kind: str, what: str, look: Callable[[], T]) -> Waiting[T]:
        """Repeat a read until its request and answer get through."""
        while True:
            yield self._latency()
            if self._down(line) <= 0:
                self.asked[kind, what] += 1
                seen = look()
                yield self._latency()
                if self._down(line) <= 0:
                    return seen
            yield self._down(line)

    def _list(self, effect: fx.List) -> tuple[tuple[str, float], ...]:
        return self.names(effect.folder, effect.after, effect.limit)

    def _down(self, line: Line) -> float:
        return max(self.door.down_until, line.down_until) - self._clock.now

    def creating(self, key: str, record: object, line: Line) -> Waiting[fx.Wrote]:
        """A create-only put; returns the store's answer."""
        yield self._latency() + (self.weather.upload if _kind_of(key) == "results" else 0.0)
        if self._down(line) > 0:
            return (yield from self._lost(key, record))
        self.asked["put", _kind_of(key)] += 1
        weather, fate = self.weather, self._rng.random()
        for chance, what in (
            (weather.conflict, self._conflict),
            (weather.doubled, self._doubled),
            (weather.lost, self._lost),
            (weather.silent, self._silent),
            (weather.late, self._late),
        ):
            if fate < chance:
                return (yield from what(key, record))
            fate -= chance
        done = self.create(key, record)
        yield self._latency()
        if self._down(line) > 0:
            yield self._silence()
            return fx.Wrote.UNKNOWN
        return fx.Wrote.DONE if done else fx.Wrote.REFUSED

    def putting(self, key: str, record: object, line: Line) -> Waiting[fx.Wrote]:
        """A put; it may be lost, or land late and overwrite a newer one."""
        yield self._latency()
        fate = self._rng.random()
        if self._down(line) > 0 or fate < self.weather.lost:
            yield self._silence()
            return fx.Wrote.UNKNOWN
        self.asked["put", _kind_of(key)] += 1
        if fate < self.weather.lost + self.weather.late:
            when = self._clock.now + self._rng.uniform(0, self.weather.lateness)
            self._clock.at(when, lambda: self.put(key, record))
            yield self._silence()
            return fx.Wrote.UNKNOWN
        self.put(key, record)
        yield self._latency()
        return fx.Wrote.DONE

    def _conflict(self, key: str, record: object) -> Waiting[fx.Wrote]:
        yield self._latency()
        return fx.Wrote.REFUSED

    def _doubled(self, key: str, record: object) -> Waiting[fx.Wrote]:
        self.create(key, record)
        yield self._latency()
        return fx.Wrote.REFUSED

    def _lost(self, key: str, record: object) -> Waiting[fx.Wrote]:
        yield self._silence()
        return fx.Wrote.UNKNOWN

    def _silent(self, key: str, record: object) -> Waiting[fx.Wrote]:
        self.create(key, record)
        yield self._silence()
        return fx.Wrote.UNKNOWN

    def _late(self, key: str, record: object) -> Waiting[fx.Wrote]:
        when = self._clock.now + self._rng.uniform(0, self.weather.lateness)
        self._clock.at(when, lambda: self.create(key, record))
        yield self._silence()
        return fx.Wrote.UNKNOWN

    def _latency(self) -> float:
        latency = self.weather.latency
        if self.weather.slow and self._rng.random() < self.weather.slow:
            latency += self._rng.uniform(0, self.weather.slowness)
        return self._rng.uniform(0.2, 1.0) * latency

    def _silence(self) -> float:
        return self._rng.uniform(0, 1) ** 4 * GIVEN_UP


def _kind_of(key: str) -> str:
    """The kind of a key: its folder, or its name if it is the only one of its kind."""
    folder, _, name = key.rpartition("/")
    kind = folder.rpartition("/")[2]
    return kind if kind in {"workers", "control", "claims", "results"} else name


def has_beaten(store: SimulatedStore, folder: str, wid: str) -> Stored | None:
    """A worker's heartbeat in the store; None if there is none, or its ``.gone`` exists."""
    if f"{folder}/{wid}.gone" in store.objects:
        return None
    for name, _ in store.names(folder):
        key = parse_worker(name)
        if key.kind == "beat" and key.ident == wid:
            return store.objects[f"{folder}/{name}"]
    return None
