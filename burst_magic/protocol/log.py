"""Fold the log: control entries, workers, segments. The result doesn't depend on their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field

from burst_magic.dataclass import dataclass
from burst_magic.protocol import money
from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Control, ControlKind, Final

DEAD_AFTER = 3  # intervals without a new heartbeat
SKEW = 2.0  # seconds by which our clock may differ from the store's, which has whole seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """All control entries of a session, folded: cancel and close win for ever, deadline and budget are the largest."""

    cancel_all: bool = False
    cancelled: frozenset[str] = frozenset()
    closed: bool = False
    deadline: float = 0.0
    budget: int = 0
    wanted: int | None = None
    revision: int = 0


def fold_control(controls: Iterable[Control]) -> Requested:
    """Combine the requests to a session; their order does not matter."""
    controls = list(controls)
    cancels = [c.job for c in controls if c.kind is ControlKind.CANCEL]
    scales = [(c.revision, c.at, c.workers) for c in controls if c.kind is ControlKind.SCALE]
    newest = max(scales, default=(0, 0.0, None))
    return Requested(
        cancel_all="" in cancels,
        cancelled=frozenset(job for job in cancels if job),
        closed=any(c.kind is ControlKind.CLOSE for c in controls),
        deadline=max((c.deadline or 0.0 for c in controls), default=0.0),
        budget=max((c.budget or 0 for c in controls), default=0),
        wanted=newest[2],
        revision=newest[0],
    )


def make_final(jid: str, cover: Cover, at: float, *, by: str) -> Final:
    """Make ``final`` for a fully covered job; ``by`` is the worker's id, or "client"."""
    parts = tuple((start, stop, keys.segment_name(segment)) for start, stop, segment in cover.parts)
    return Final(job=jid, at=at, by=by, parts=parts)


def unended(base: str, names: Iterable[str]) -> list[str]:
    """The ids of a process, later ones after a rejoin included, that have no ``.gone``.

    Args:
        base: its launcher's name for it.
        names: names in the workers' folder.
    """
    beats: set[str] = set()
    ends: set[str] = set()
    for key in map(keys.parse_worker, names):
        if keys.base_of(key.ident) == base:
            {"beat": beats, "gone": ends}.get(key.kind, set()).add(key.ident)
    return sorted(beats - ends)


@dataclass(slots=True)
class WorkersLog:
    """The workers' folder as one observer sees it, by its own clock.

    A worker is dead if it has a ``.gone``, or if its heartbeat hasn't changed for a while of the observer's own time:
    no wall clock is trusted (laws 3, 7). That time counts at most ``most`` seconds between two listings, so that an
    observer that slept, or whose store did not answer, doesn't declare a live fleet dead.
    """

    most: float
    watched: float = 0.0  # seconds
    listed_at: float | None = None
    looks: int = 0  # number of listings
    viewed: float = 0.0  # when a viewer of live output last put ``~watch``, by the store's clock
    gone: dict[str, float] = field(default_factory=dict)  # id -> when its end was written
    beats: dict[str, tuple[float, float]] = field(
        default_factory=dict
    )  # id -> last-modified, ``watched`` when first seen so
    born: dict[str, tuple[int, int]] = field(default_factory=dict)  # id -> billed from (ms), rate
    starting: dict[str, float] = field(default_factory=dict)  # token -> when first seen
    heard_of: dict[str, float] = field(default_factory=dict)  # id in a claim -> ``watched`` when first read

    def listed(self, names: Iterable[tuple[str, float]], now: float) -> None:
        """Record a listing of the folder."""
        if self.listed_at is not None:
            self.watched += min(self.most, now - self.listed_at)
        self.listed_at, self.looks = now, self.looks + 1
        for name, modified in names:
            key = keys.parse_worker(name)
            if key.kind == "gone":
                self.gone[key.ident] = modified
            elif key.kind == "watch":
                self.viewed = modified
            elif key.kind == "next":
                self.starting.setdefault(key.ident, now)
            elif key.kind == "beat":
                self.born[key.ident] = (key.billed_from_ms, key.rate)
                if self.beats.get(key.ident, (None, 0.0))[0] != modified:
                    self.beats[key.ident] = (modified, self.watched)

    def watch_anew(self) -> None:
        """Forget how long heartbeats have been silent: the observer was cut off itself."""
        self.beats = {wid: (modified, self.watched) for wid, (modified, _) in self.beats.items()}

    def hear_of(self, wid: str) -> None:
        """A worker has claimed something; from now on, expect its heartbeat."""
        self.heard_of.setdefault(wid, self.watched)

    def dead(self, wid: str, patience: float) -> bool:
        """Whether this observer may consider a worker dead, even without any heartbeat so far."""
        if wid in self.gone:
            return True
        since = self.beats[wid][1] if wid in self.beats else self.heard_of.get(wid)
        return since is not None and self.watched - since >= patience

    def silent_for(self, wid: str) -> float:
        """Seconds that this observer has watched since it saw a new heartbeat."""
        return self.watched - self.beats[wid][1] if wid in self.beats else 0.0

    def living(self) -> list[str]:
        """Workers with a heartbeat and without a known end, by id."""
        return sorted(wid for wid in self.beats if wid not in self.gone)

    def rank(self, wid: str, patience: float) -> int:
        """A worker's place among those that this observer considers alive; −1 if it is not among them."""
        living = [other for other in self.living() if not self.dead(other, patience)]
        return living.index(wid) if wid in living else -1

    def lives(self, wall: float, *, ahead: float = 0.0, unheard: float = 0.0) -> list[money.Life]:
        """What is billed of each process, by the store's clock.

        Args:
            wall: now, by the store's clock.
            ahead: additional seconds for live workers.
            unheard: seconds since the folder was listed; workers alive then count as alive since.
        """
        lives: dict[str, money.Life] = {}  # by process: a worker that rejoined was billed in between
        for wid, (billed_ms, rate) in self.born.items():
            since, until = billed_ms / 1000, self._until(wid, wall, ahead, unheard)
            known = lives.setdefault(keys.base_of(wid), money.Life(since=since, until=until, rate=rate))
            since, until = min(known.since, since), max(known.until, until)
            lives[keys.base_of(wid)] = money.Life(since=since, until=until, rate=rate)
        return list(lives.values())

    def spend(self, wall: float, *, minimum: float = 0.0, ahead: float = 0.0, unheard: float = 0.0) -> float:
        """Cost of all processes in micro-dollars, each billed for at least ``minimum`` seconds; see ``lives``."""
        return money.spend(self.lives(wall, ahead=ahead, unheard=unheard), minimum=minimum)

    def _until(self, wid: str, wall: float, ahead: float, unheard: float) -> float:
        beat, gone, silence = self.beats[wid][0], self.gone.get(wid), DEAD_AFTER * self.most
        if gone is None and beat + silence >= wall - unheard:  # it was alive at the last listing
            return min(wall + ahead, beat + silence + unheard)
        return money.lived_until(beat, gone, silence=silence, now=wall)
