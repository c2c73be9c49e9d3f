"""A seeded world: production machines over one simulated store, with the laws checked."""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random
from typing import NoReturn

from burst_magic.dataclass import dataclass
from burst_magic.launchers.base import Handle
from burst_magic.protocol.client.starts import STARTING
from burst_magic.protocol.ranges import job_lanes
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Control, ControlKind, Job, Manifest, Next
from burst_magic.testing import deeds
from burst_magic.testing.clock import Clock, Process
from burst_magic.testing.laws import LawBroken, Laws
from burst_magic.testing.orders import ORDERS, order
from burst_magic.testing.reckoning import count_idle, reckon
from burst_magic.testing.scenario import Scenario
from burst_magic.testing.simclient import SimulatedClient
from burst_magic.testing.simcloud import AT_ONCE, CLOUD, SPARE, Clouds
from burst_magic.testing.simslots import SimulatedRun
from burst_magic.testing.simworker import SimulatedWorker
from burst_magic.testing.weather import EPOCH, SimulatedStore

_TURNS = 400_000  # steps of the clock; no correct world needs so many
_FLEETS = 200  # workers; no correct world starts so many more than planned
_PATIENCE = 150  # intervals after which no worker or client should be left


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One line of the trace: ``what`` is an event, an effect, a record or a text."""

    at: float
    who: str
    what: object


class World:
    """One session from its submission until all work is over.

    Args:
        plan: the scenario.
    """

    def __init__(self, plan: Scenario) -> None:
        self.plan = plan
        self.clock = Clock()
        self.trace: list[TraceEntry] = []
        self.workers: dict[str, SimulatedWorker] = {}
        self.clients: list[SimulatedClient] = []
        self.jobs: dict[str, Job] = {}
        self.started: dict[str, str] = {}  # worker of each token
        self.committed: list[float] = []  # when each job was committed
        self.ran: Counter[tuple[str, int]] = Counter()  # runs of each (job, task)
        self.deadline, self.budget = EPOCH + plan.lifetime, plan.budget  # as last extended
        self.asked: set[ControlKind] = set()
        self.cancelled: set[str] = set()
        self.unannounced = 0  # workers that the first client did not come to
        self.asleep: list[tuple[float, float]] = []  # when the laptop fell asleep, and woke
        self._rng = Random(f"{plan.seed} world")  # noqa: S311 - reproducible randomness
        self._durations: dict[tuple[str, int], float] = {}
        self._starting = 0
        self._runs = 0
        self.manifest = Manifest(
            sid="20270115-080000-simulate",
            created=EPOCH,
            launcher=CLOUD if plan.cloud else AT_ONCE,
            fallback=SPARE if plan.spare else "",
            workers=plan.workers,
            slots=plan.slots,
            cpu=1.0,
            memory_mb=1024,
            arch="x86_64",
            seed=plan.seed,
            deadline=self.deadline,
            idle=plan.idle,
            interval=plan.interval,
            floor=plan.floor,
            rate=plan.rate,
            budget=plan.budget or None,
        )
        self._keys = keys.SessionKeys(self.manifest.sid)
        self.clouds = Clouds(self)
        self.laws = Laws(self)
        self.store = SimulatedStore(self.clock, self._rng, plan.weather, self._wrote)
        self.store.put(self._keys.manifest, self.manifest)

    # --- the course of events ----------------------------------------------------------------------------------

    def play(self) -> None:
        """Play the whole scenario; raises ``LawBroken``."""
        self.submit(self.plan.tasks, first=0)
        for act in self.plan.acts:
            self.clock.at(act.at, partial(deeds.perform, self, act))
        self.clock.at(self.plan.calm, self._send_heirs)
        self.clock.spawn(self._counting())
        turns, end = 0, 0.0
        slowest = max([STARTING, *self.clouds.patience.values()])
        while not self._quiet() and self.clock.turn():
            turns += 1
            if turns > _TURNS:
                self.broken(6, "the world does not end")
            end = max(self.deadline - EPOCH, self.plan.calm, self.store.door.down_until)
            if self.clock.now > end + _PATIENCE * self.plan.interval + 3 * slowest:
                self._say_who_hangs()
        reckon(self)

    def _counting(self) -> Process:
        while True:
            yield 3 * self.plan.interval
            count_idle(self)

    def _quiet(self) -> bool:
        return (
            self.clock.now > self.plan.calm
            and not self._starting
            and not self.clouds.coming
            and all(client.over for client in self.clients)
            and not any(worker.alive for worker in self.workers.values())
        )

    def _say_who_hangs(self) -> None:
        hanging = [w.wid for w in self.workers.values() if w.alive] + [c.name for c in self.clients if not c.over]
        self.broken(3, f"{', '.join(hanging)} never end", next(iter(self.jobs)))

    def _send_heirs(self) -> None:
        """Attach a client that stays to every job."""
        self.tell("world", "calm: a client attaches to each job and stays")
        for job in self.jobs.values():
            self.attach(job, signed=True, stays=True)

    def submit(self, tasks: int, *, first: int | None) -> None:
        """Submit a job, attach a client, and start the missing workers, numbered from ``first`` on."""
        jid = str(len(self.jobs))
        lanes = job_lanes(tasks, self.plan.workers * self.plan.slots)
        job = Job(jid=jid, created=EPOCH + self.clock.now, tasks=tasks, lanes=lanes, seed=0)
        self.jobs[jid] = job
        self.announce(jid)
        self.store.put(self._keys.job(jid).record, job)
        self.committed.append(self.clock.now)
        client = self.attach(job, signed=True, stays=False)
        wanted = max(1, min(self.plan.workers, -(-tasks // self.plan.slots)))
        living = sum(worker.alive for worker in self.workers.values()) if first is None else 0
        for place in range(max(0, wanted - living)):
            if first == 0 and place == self.plan.announced:
                self.unannounced = wanted - place
                client.crash()
                return
            client.start_worker(None if first is None else first + place)

    def announce(self, jid: str) -> None:
        """Write the control entry that announces a job."""
        record = Control(kind=ControlKind.ADD_JOB, at=EPOCH + self.clock.now, job=jid)
        self.store.put(self._keys.control(jid, ControlKind.ADD_JOB), record)

    def attach(self, job: Job, *, signed: bool, stays: bool) -> SimulatedClient:
        """Attach a kernel to a job."""
        name = f"c{len(self.clients)}"
        rng = Random(f"{self.plan.seed} {name}")  # noqa: S311 - reproducible randomness
        client = SimulatedClient(self, name=name, job=job, signed=signed, stays=stays, rng=rng)
        self.clients.append(client)
        self.clock.spawn(client.life())
        return client

    def announce_start(self, number: int | None) -> str:
        """Write a ``.next``; returns its token."""
        token = f"{self._rng.getrandbits(64):016x}"
        start = Next(token=token, launcher=self.manifest.launcher, number=number, at=self.clock.now)
        self.store.put(self._keys.next(token), start)
        return token

    def start_late_joiner(self) -> None:
        """Start a worker that no client looks after."""
        if self.clouds:
            self.clouds.start(self.manifest.launcher, self.announce_start(None), None)
        else:
            self.start_worker(None)

    def boot(self, handle: Handle, number: int | None) -> None:
        """Start a worker on a machine that a cloud has booted."""
        wid, token = handle.wid, handle.token
        if len(self.workers) >= _FLEETS + self.plan.workers:
            self.broken(3, f"{len(self.workers)} workers were started, and the work is not done")
        rng = Random(f"{self.plan.seed} {wid}")  # noqa: S311 - reproducible randomness
        self.started[token] = wid
        worker = SimulatedWorker(self, wid=wid, number=number, token=token, rng=rng, handle=handle.to_json())
        self.workers[wid] = worker
        worker.begin()

    def take_back(self, worker: SimulatedWorker) -> None:
        """Let the cloud reclaim a worker's machine."""
        self.clouds.take_back(worker.wid)

    def was_started(self, token: str) -> bool:
        """Whether this start has brought a worker, or will."""
        return token in self.started or self.clouds.knows(token)

    def start_worker(self, number: int | None, *, token: str = "") -> str:
        """Start a process, which is up a little later; returns its id.

        Args:
            number: its place in the fleet.
            token: token of a start whose ``.next`` was written; each token starts one worker only.
        """
        if token in self.started:
            return self.started[token]
        wid = f"w{len(self.workers):02d}"
        if len(self.workers) >= _FLEETS + self.plan.workers:
            self.broken(3, f"{len(self.workers)} workers were started, and the work is not done")
        rng = Random(f"{self.plan.seed} {wid}")  # noqa: S311 - reproducible randomness
        if not token:
            token = f"t{wid}"
            start = Next(token=token, launcher=self.manifest.launcher, number=number, at=self.clock.now)
            self.store.put(self._keys.next(token), start)
        self.started[token] = wid
        self.workers[wid] = worker = SimulatedWorker(self, wid=wid, number=number, token=token, rng=rng)
        self._starting += 1

        def up() -> None:
            self._starting -= 1
            if worker.alive:
                worker.begin()
                if self.plan.stutter is not None:
                    self.clock.spawn(self._stuttering(worker, *self.plan.stutter))

        sluggish = 0.0 if len(self.workers) > 1 else self.plan.sluggish
        self.clock.at(self.clock.now + rng.uniform(0, self.plan.boot) + sluggish, up)
        return wid

    def _stuttering(self, worker: SimulatedWorker, every: float, still: float) -> Process:
        yield self._rng.uniform(0, every) * self.plan.interval
        while worker.alive:
            worker.pause(still * self.plan.interval)
            yield every * self.plan.interval

    # --- tasks -------------------------------------------------------------------------------------------------

    def duration(self, job: str, task: int) -> float:
        """Duration of a task in seconds; the same in every run."""
        found = self._durations.get((job, task))
        if found is None and self.plan.work in ORDERS:
            each = order(self.plan.work, self.jobs[job].tasks, self.plan.workers * self.plan.slots)
            self._durations.update(((job, task), self.plan.task * share) for task, share in enumerate(each))
            return self._durations[job, task]
        if found is None:
            rng = Random(f"{self.plan.seed} {job} {task}")  # noqa: S311 - reproducible randomness
            mean = self.plan.task
            drawn = {"exp": rng.expovariate(1), "equal": 1.0, "pareto": min(50.0, 0.3 * rng.paretovariate(1.3))}
            found = self._durations[job, task] = mean * drawn[self.plan.work]
        return found

    def is_poison(self, job: str, task: int) -> bool:
        """Whether a task kills its whole worker."""
        return job == "0" and task in self.plan.poison

    def run(self, wid: str, job: str, task: int) -> SimulatedRun:
        """Record a task's run; the same tasks fail in every run."""
        failing = self.plan.failing
        failed = failing > 0 and Random(f"{self.plan.seed} {job} {task} fails").random() < failing  # noqa: S311
        self.tell(wid, f"ran {job}/{task}")
        self.ran[job, task] += 1
        return SimulatedRun(task, self.count_run(), failed, self.clock.now)

    def count_run(self) -> int:
        """A new number for a run."""
        self._runs += 1
        return self._runs

    # --- state ----------------------------------------------------------------------------------------------------

    def awake(self, at: float) -> float:
        """Seconds until ``at``, without those in which the laptop slept."""
        return at - sum(min(until, at) - min(since, at) for since, until in self.asleep)

    @property
    def past_deadline(self) -> bool:
        """The deadline has passed, by the store's clock."""
        return EPOCH + self.clock.now >= self.deadline

    def has_ended(self, wid: str) -> bool:
        """Whether a process has ended."""
        return not self.workers[wid].alive

    def tell(self, who: str, what: object) -> None:
        """Add an entry to the trace."""
        self.trace.append(TraceEntry(self.clock.now, who, what))

    def broken(self, law: int, what: str, job: str = "") -> NoReturn:
        """Raise ``LawBroken``."""
        raise LawBroken(law, what, job)

    def _wrote(self, key: str, record: object) -> None:
        self.tell("store", f"{key.partition('/')[2].partition('/')[2]} is written")
        self.laws.wrote(record)
