"""One worker's state, shared by the parts of its machine (``machine.py``).

The parts request effects and wake-ups here; no other code reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from typing import Protocol

from burst_magic.dataclass import dataclass
from burst_magic.protocol import effects as fx
from burst_magic.protocol.log import WorkersLog, fold_control
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ClaimKey, EndCause, Manifest
from burst_magic.protocol.worker.known import KnownJob

MAX_FLUSH = 30.0  # seconds


class Chance(Protocol):
    """The only use of randomness: spreading workers over free lanes, and thieves over victims."""

    def choice(self, seq: Sequence[int]) -> int:
        """One of ``seq``."""

    def choices(self, population: Sequence[int], weights: Sequence[float]) -> list[int]:
        """One of ``population``, weighted."""


@dataclass(slots=True)
class Hold:
    """A range that this worker owns: tasks below ``published`` are in the store, below ``done`` have outcomes.

    ``slot`` is −1 once no slot runs it: the slot has moved on, though outcomes may still be on their way to the store.
    The slot was given the tasks below ``fed``: all of the range, or a piece of a recovered one. ``since`` is when it
    began its running task, as far as is known; ``slow`` means that earlier tasks took longer than a flush. It starts no
    task from ``pause`` on for now.
    """

    slot: int
    job: str
    claim: ClaimKey
    stop: int
    done: int
    published: int
    fed: int
    last_flush: float
    since: float
    slow: bool
    pause: int | None = None
    told: int = 0  # the driver has outcomes of tasks below it, even of those that a cut took away
    failed: list[int] = field(default_factory=list)
    held: int = 0
    busy: bool = False  # a look or a publish is under way
    busy_since: float = 0.0
    stopping: str = ""  # "", "drain", "kill"
    retry_at: float = 0.0
    orphan: bool = False  # claimed under a name that is gone: it needs an heir before it is published
    asked: set[str] = field(default_factory=set)  # to be read before its first task may run
    read: set[str] = field(default_factory=set)  # already read

    @property
    def running(self) -> bool:
        """True if its slot has something to do."""
        return self.slot >= 0 and self.done < self.fed and not self.asked

    @property
    def paused(self) -> bool:
        """Its slot has reached the task where it pauses."""
        return self.running and self.pause is not None and self.done >= self.pause


@dataclass(frozen=True, slots=True)
class Try:
    """An attempt to create a claim.

    Attributes:
        heir_of: the claim that it succeeds, if that is this worker's own.
        slow: its tasks may be long.
        refused: how often the store has refused it.
    """

    slot: int
    job: str
    claim: ClaimKey
    worker: str
    nonce: str
    heir_of: ClaimKey | None = None
    slow: bool = False
    refused: int = 0


class State:
    """One worker's facts.

    Args:
        manifest: the session.
        wid: the worker's id; after a rejoin it goes on as ``wid~1``.
        now, wall: both clocks at birth, seconds.
        nonce, chance: see ``WorkerMachine``.
    """

    def __init__(
        self, *, manifest: Manifest, wid: str, now: float, wall: float, nonce: Callable[[], str], chance: Chance
    ) -> None:
        self.manifest, self.nonce, self.chance = manifest, nonce, chance
        self.wid, self._base, self._incarnation = wid, wid, 0
        self.keys = keys.SessionKeys(manifest.sid)
        self.offset = wall - now  # the store's wall clock minus our monotonic one, seconds
        self.billed_from = int(wall * 1000)
        self.wake = now
        self.out: list[fx.Effect] = []
        self.jobs: dict[str, KnownJob] = {}
        self.asked = fold_control(())
        self.fleet = WorkersLog(manifest.interval)
        self.ready: set[int] = set()
        self.installing = False
        self.holds: dict[tuple[str, ClaimKey], Hold] = {}
        self.trying: dict[str, Try] = {}  # by the claim's key
        self.writing = 0  # records on their way that the store has not answered
        self.idle_since = self.heard = now  # heard: when the store answered last
        self.ending: EndCause | None = None

    @property
    def budget(self) -> int | None:
        """The session's budget in micro-dollars; None without a limit or cost."""
        budgets = [budget for budget in (self.manifest.budget, self.asked.budget) if budget]
        return max(budgets) if budgets and (self.manifest.rate or self.manifest.fallback_rate) else None

    def ask(self, effect: fx.Effect) -> None:
        """Add an effect to this step."""
        self.out.append(effect)
        self.writing += isinstance(effect, fx.Create | fx.Beat)

    def due(self, at: float) -> None:
        """Wake the machine at that time, if not earlier."""
        self.wake = min(self.wake, at)

    def wall(self, now: float) -> float:
        """The store's clock, as far as it is known."""
        return now + self.offset

    def rename(self, now: float) -> None:
        """Its end was written under the old id: continue under a new one."""
        self._incarnation += 1
        self.wid = f"{self._base}~{self._incarnation}"
        self.billed_from = int(self.wall(now) * 1000)

    def mine(self, owner: str) -> bool:
        """Whether an owner is this worker, under its current or an earlier name."""
        return keys.base_of(owner) == self._base

    def of(self, jid: str) -> Iterator[Hold]:
        """Its ranges of a job."""
        return (hold for hold in list(self.holds.values()) if hold.job == jid)

    def open_jobs(self) -> Iterator[KnownJob]:
        """Jobs that may have work."""
        return (job for job in self.jobs.values() if job.record is not None and not job.closed)

    def idle_slots(self) -> list[int]:
        """Slots with nothing to run; a range whose last outcomes are being published doesn't keep a slot busy."""
        running = {hold.slot for hold in self.holds.values()}
        return [slot for slot in sorted(self.ready) if slot not in running]

    def free_slots(self) -> list[int]:
        """Idle slots without a pending claim."""
        trying = {one.slot for one in self.trying.values()}
        return [slot for slot in self.idle_slots() if slot not in trying]

    def flush_every(self, job: KnownJob, now: float) -> float:
        """Seconds between two segments of one range."""
        floor = self.manifest.floor
        slots = max(1, self.manifest.workers)
        return min(MAX_FLUSH, max(floor, 0.02 * (now - job.since), floor * slots / 32))

    def close(self, job: KnownJob) -> None:
        """Close a job that is finished or cancelled."""
        if not job.closed:
            job.closed = True
            self.ask(fx.LetGo(job.keys.jid))

    def stop(self, hold: Hold, *, kill: bool) -> None:
        """Stop its slot, once; a draining slot may still be killed."""
        if hold.slot < 0:
            return
        if not hold.running:  # between two pieces, or before the first
            hold.slot, hold.stop = -1, hold.done
            if hold.published >= hold.done and not hold.busy:
                self.holds.pop((hold.job, hold.claim), None)
        elif hold.stopping not in {"kill", "kill" if kill else "drain"}:
            hold.stopping = "kill" if kill else "drain"
            self.ready.discard(hold.slot)
            self.ask(fx.Kill(hold.slot) if kill else fx.Drain(hold.slot))


def job_of(key: str) -> str:
    """The job that a key belongs to."""
    return key.split("/")[3]
