"""A seeded world: production machines over one simulated store, and the laws of ``protocol.model`` watched over."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import NoReturn

from burst_magic.protocol import keys
from burst_magic.protocol.model import ClaimBody, ClaimKey, Control, ControlKind, Final, Job, Manifest, Next, SegmentKey
from burst_magic.protocol.ranges import Cover, cut_lanes
from burst_magic.protocol.worker import MAX_FLUSH
from burst_magic.testing.clock import Clock
from burst_magic.testing.scenario import Act, Deed, Scenario
from burst_magic.testing.simclient import SimulatedClient
from burst_magic.testing.simworker import Pack, Run, SimulatedWorker
from burst_magic.testing.weather import EPOCH, SimulatedStore, has_beaten

_TURNS = 400_000  # steps of the clock that no honest world needs
_FLEETS = 100  # workers


class LawBroken(Exception):
    """A law does not hold; ``job`` is the one it is about, "" for the session."""

    def __init__(self, law: int, what: str, job: str) -> None:
        super().__init__(f"law {law}: {what}")
        self.law, self.what, self.job = law, what, job


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the trace: ``what`` is an event, an effect, a record or a text."""

    at: float
    who: str
    what: object


class World:
    """One session from its submission until nobody has anything to do any more.

    Args:
        plan: what happens.
    """

    def __init__(self, plan: Scenario) -> None:
        self.plan = plan
        self.clock = Clock()
        self.trace: list[Entry] = []
        self.workers: dict[str, SimulatedWorker] = {}
        self.clients: list[SimulatedClient] = []
        self.jobs: dict[str, Job] = {}
        self._rng = Random(f"{plan.seed} world")  # noqa: S311 - chance that can be had again
        self.store = SimulatedStore(self.clock, self._rng, plan.weather, self._wrote)
        self._durations: dict[tuple[str, int], float] = {}
        self._starting = 0
        self._runs = 0
        self._deadline = EPOCH + plan.lifetime
        self._asked: set[ControlKind] = set()
        self._cancelled: set[str] = set()
        self.manifest = Manifest(
            sid="20270115-080000-simulate",
            created=EPOCH,
            launcher="local",
            workers=plan.workers,
            slots=plan.slots,
            cpu=1.0,
            memory_mb=1024,
            arch="x86_64",
            seed=plan.seed,
            deadline=self._deadline,
            idle=plan.idle,
            interval=plan.interval,
            floor=plan.floor,
        )
        self._keys = keys.SessionKeys(self.manifest.sid)
        self.store.put(self._keys.manifest, self.manifest)

    # --- the course of it --------------------------------------------------------------------------------------

    def play(self) -> None:
        """Lives through the whole scenario; raises ``LawBroken``."""
        self._submit(self.plan.tasks, signed=True, first=0)
        for act in self.plan.acts:
            self.clock.at(act.at, partial(self._perform, act))
        self.clock.at(self.plan.calm, self._send_heirs)
        turns = 0
        while not self._quiet():
            if not self.clock.turn():
                break
            turns += 1
            if turns > _TURNS:
                self.broken(6, "there is no end to it")
            if EPOCH + self.clock.now > max(self._deadline, EPOCH + self.plan.calm) + 150 * self.plan.interval:
                self._say_who_hangs()
        self._check_end()

    def _quiet(self) -> bool:
        return (
            self.clock.now > self.plan.calm
            and not self._starting
            and all(client.over for client in self.clients)
            and not any(worker.alive for worker in self.workers.values())
        )

    def _perform(self, act: Act) -> None:
        self.tell("world", act)
        _DEEDS[act.deed](self, act)

    def _send_heirs(self) -> None:
        """A client that stays, for every job."""
        self.tell("world", "calm: a client attaches to each job and stays")
        for job in self.jobs.values():
            self.attach(job, signed=True, stays=True)

    def _submit(self, tasks: int, *, signed: bool, first: int | None) -> None:
        jid = str(len(self.jobs))
        lanes = cut_lanes(tasks, self.plan.workers * self.plan.slots)
        job = Job(jid=jid, created=EPOCH + self.clock.now, tasks=tasks, lanes=lanes, seed=0)
        self.jobs[jid] = job
        self._announce(jid)
        self.store.put(self._keys.job(jid).record, job)
        client = self.attach(job, signed=signed, stays=False)
        wanted = max(1, min(self.plan.workers, -(-tasks // self.plan.slots)))
        living = sum(worker.alive for worker in self.workers.values()) if first is None else 0
        for place in range(max(0, wanted - living)):
            client.met.add(self.start_worker(None if first is None else first + place))

    def _announce(self, jid: str) -> None:
        record = Control(kind=ControlKind.ADD_JOB, at=EPOCH + self.clock.now, job=jid)
        self.store.put(self._keys.control(jid, ControlKind.ADD_JOB), record)

    def attach(self, job: Job, *, signed: bool, stays: bool) -> SimulatedClient:
        """A kernel that follows a job."""
        name = f"c{len(self.clients)}"
        rng = Random(f"{self.plan.seed} {name}")  # noqa: S311 - chance that can be had again
        client = SimulatedClient(self, name=name, job=job, signed=signed, stays=stays, rng=rng)
        self.clients.append(client)
        self.clock.spawn(client.life())
        return client

    def start_worker(self, number: int | None) -> str:
        """Starts a process; it is up a little later. Returns its id."""
        wid = f"w{len(self.workers):02d}"
        if len(self.workers) >= _FLEETS:
            self.broken(3, f"{_FLEETS} workers were started and it is not done")
        rng = Random(f"{self.plan.seed} {wid}")  # noqa: S311 - chance that can be had again
        token = f"t{wid}"
        self.store.put(self._keys.next(token), Next(token=token, launcher="local", number=number, at=self.clock.now))
        self.workers[wid] = worker = SimulatedWorker(self, wid=wid, number=number, token=token, rng=rng)
        self._starting += 1

        def up() -> None:
            self._starting -= 1
            if worker.alive:
                worker.begin()

        self.clock.at(self.clock.now + rng.uniform(0, self.plan.boot), up)
        return wid

    # --- what tasks do -----------------------------------------------------------------------------------------

    def duration(self, job: str, task: int) -> float:
        """Seconds of a task; the same at every run."""
        found = self._durations.get((job, task))
        if found is None:
            rng = Random(f"{self.plan.seed} {job} {task}")  # noqa: S311 - chance that can be had again
            mean = self.plan.task
            drawn = {"exp": rng.expovariate(1), "equal": 1.0, "pareto": min(50.0, 0.3 * rng.paretovariate(1.3))}
            found = self._durations[job, task] = mean * drawn[self.plan.work]
        return found

    def run(self, wid: str, job: str, task: int) -> Run:
        """A task has run; whether it fails is the task's nature."""
        self._runs += 1
        failed = Random(f"{self.plan.seed} {job} {task} fails").random() < self.plan.failing  # noqa: S311
        self.tell(wid, f"ran {job}/{task}")
        return Run(task, self._runs, failed)

    # --- who can be seen ------------------------------------------------------------------------------------------

    def has_ended(self, wid: str) -> bool:
        """Whether a process is no more."""
        return not self.workers[wid].alive

    def tell(self, who: str, what: object) -> None:
        """Notes it in the trace."""
        self.trace.append(Entry(self.clock.now, who, what))

    def broken(self, law: int, what: str, job: str = "") -> NoReturn:
        """Raises ``LawBroken``."""
        raise LawBroken(law, what, job)

    # --- deeds ------------------------------------------------------------------------------------------------------

    def _some_worker(self, act: Act) -> SimulatedWorker | None:
        alive = [worker for worker in self.workers.values() if worker.alive]
        return alive[act.target % len(alive)] if alive else None

    def _some_client(self, act: Act, *, signed: bool = False) -> SimulatedClient | None:
        alive = [client for client in self.clients if client.alive and (client.signed or not signed)]
        return alive[act.target % len(alive)] if alive else None

    def _crash(self, act: Act) -> None:
        if (worker := self._some_worker(act)) is not None:
            worker.crash()

    def _term(self, act: Act) -> None:
        if (worker := self._some_worker(act)) is not None:
            worker.terminate()

    def _pause(self, act: Act) -> None:
        if (worker := self._some_worker(act)) is not None:
            worker.paused_until = self.clock.now + act.size
            self.tell(worker.wid, f"stands still for {act.size:.1f} s")

    def _sleep(self, act: Act) -> None:
        if (client := self._some_client(act)) is not None:
            client.paused_until = self.clock.now + act.size
            self.tell(client.name, f"stands still for {act.size:.1f} s")

    def _kernel_dies(self, act: Act) -> None:
        if (client := self._some_client(act)) is not None:
            client.crash()

    def _attach(self, act: Act) -> None:
        jobs = list(self.jobs.values())
        self.attach(jobs[act.target % len(jobs)], signed=act.deed is Deed.ATTACH, stays=False)

    def _ask(self, act: Act) -> None:
        client = self._some_client(act, signed=True)
        if client is None:
            return
        if act.deed is Deed.CANCEL:
            client.ask(ControlKind.CANCEL)
            self._asked.add(ControlKind.CANCEL)
        elif act.deed is Deed.CANCEL_JOB:
            client.ask(ControlKind.CANCEL, job=client.job.jid)
            self._cancelled.add(client.job.jid)
        elif act.deed is Deed.CLOSE:
            client.ask(ControlKind.CLOSE)
            self._asked.add(ControlKind.CLOSE)
        elif act.deed is Deed.EXTEND:
            self._deadline += act.size
            client.ask(ControlKind.EXTEND, deadline=self._deadline)
        else:
            self._scale(client, int(act.size))

    def _scale(self, client: SimulatedClient, wanted: int) -> None:
        revisions = [c.revision for c in self._controls() if c.kind is ControlKind.SCALE]
        client.ask(ControlKind.SCALE, workers=wanted, revision=1 + max(revisions, default=0))
        alive = sum(worker.alive for worker in self.workers.values())
        for _ in range(max(0, wanted - alive)):
            client.met.add(self.start_worker(None))

    def _controls(self) -> list[Control]:
        found = [
            self.store.get(f"{self._keys.control_folder}/{n}") for n, _ in self.store.names(self._keys.control_folder)
        ]
        return [control for control in found if isinstance(control, Control)]

    def _add(self, act: Act) -> None:
        if not self._asked:
            self._submit(int(act.size), signed=True, first=None)

    def _half_add(self, act: Act) -> None:
        self._announce("half")

    # --- the laws ---------------------------------------------------------------------------------------------------

    def _wrote(self, key: str, record: object) -> None:
        self.tell("store", f"{key.partition('/')[2].partition('/')[2]} is written")
        if isinstance(record, Final):
            self._check_final(record)

    def _check_final(self, final: Final) -> None:
        """Law 1: it names, for every task once, a segment that lies in the store and holds that task."""
        at, folder = 0, self._keys.job(final.job).results_folder
        for start, stop, name in final.parts:
            pack = self.store.get(f"{folder}/{name}")
            held = {run.task for run in pack.runs} if isinstance(pack, Pack) and pack.job == final.job else set()
            if start != at or not held.issuperset(range(start, stop)):
                self.broken(1, f"final says {(start, stop, name)}, where {sorted(held)} lie", final.job)
            at = stop
        if at != self.jobs[final.job].tasks:
            self.broken(1, f"final ends at {at}", final.job)

    def check_claim(self, worker: SimulatedWorker, jid: str, claim: ClaimKey) -> None:
        """Law 7: what is run was claimed, and by whom it is run."""
        body = self.store.get(self._keys.job(jid).claim(claim))
        if not isinstance(body, ClaimBody) or body.worker != worker.machine.wid:
            self.broken(7, f"{worker.wid} runs {claim}, which is {body}", jid)

    def check_succession(self, worker: SimulatedWorker, key: str) -> None:
        """Law 3: a live owner is never superseded; one is live whose heartbeats land in time."""
        claim, jid = keys.parse_claim(key), key.split("/")[3]
        before = self._keys.job(jid).claim(replace(claim, number=claim.number - 1)) if claim.number else ""
        body, interval = self.store.get(before), self.plan.interval
        for owner in self.workers.values():
            beats = [at for at in owner.beaten if self.clock.now - at < 4 * interval]
            mine = isinstance(body, ClaimBody) and body.worker == owner.machine.wid and owner.alive
            gone = self._keys.gone(owner.machine.wid) in self.store.objects
            if mine and not gone and len(beats) >= 3 and self.clock.now - beats[-1] < 1.2 * interval:
                self.broken(3, f"{worker.wid} takes {claim} from {owner.wid}, which beats", jid)

    def check_publish(self, worker: SimulatedWorker, jid: str, segment: SegmentKey) -> None:
        """Law 3: nobody publishes a range that was taken from him before his last look."""
        successor = replace(segment.claim, number=segment.claim.number + 1)
        taken = self.store.objects.get(self._keys.job(jid).claim(successor))
        settled = self.clock.now - 1.0 - 2 * self.plan.weather.latency - 2 * self.plan.weather.slowness
        if taken and taken.at < settled and worker.paused_until < settled:
            self.broken(3, f"{worker.wid} publishes {segment}, which was taken from it", jid)

    def check_leaving(self, worker: SimulatedWorker, known: Collection[str]) -> None:
        """Law 3: who relied on a worker that had no ``.gone`` yet finds it joining again."""
        gone = self.store.objects.get(self._keys.gone(worker.machine.wid))
        for jid in self.jobs:
            committed = self.store.objects[self._keys.job(jid).record].at
            if (
                gone
                and committed < gone.at
                and jid not in known
                and self._keys.job(jid).final not in self.store.objects
            ):
                self.broken(3, f"{worker.wid} leaves, though job {jid} was committed before its end was written", jid)

    def check_reader(self, client: SimulatedClient, asked_at: float) -> None:
        """Law 1's reader: what landed within the window of its name is seen by the next listing."""
        folder = self._keys.job(client.job.jid).results_folder
        for name, _ in self.store.names(folder):
            segment, at = keys.parse_segment(name), self.store.objects[f"{folder}/{name}"].at
            prompt = EPOCH + at - segment.at_ms / 1000 < MAX_FLUSH
            if prompt and at < asked_at and client.machine.final is None and segment not in client.machine.names:
                self.broken(7, f"{client.name} lists and does not see {name}", client.job.jid)

    def check_agrees(self, client: SimulatedClient, final: Final, task: int, run: Run) -> None:
        """Law 1: what is first handed out after ``final`` was seen is ``final``'s."""
        name = next(name for start, stop, name in final.parts if start <= task < stop)
        pack = self.store.get(f"{self._keys.job(final.job).results_folder}/{name}")
        if not isinstance(pack, Pack) or run not in pack.runs:
            self.broken(1, f"{client.name} hands out {run}, final says {name}", final.job)

    def check_verdict(self, client: SimulatedClient) -> None:
        """Nobody is told that nothing will run any more while results lie there or a worker beats."""
        said, job = client.verdict, client.job.jid
        if said == "finished" and client.machine.final != self.store.get(self._keys.job(job).final):
            self.broken(1, f"{client.name} believes a final that is not the store's", job)
        if said == "cancelled" and ControlKind.CANCEL not in self._asked and job not in self._cancelled:
            self.broken(3, f"{client.name} says cancelled, and nobody did", job)
        if said == "closed" and ControlKind.CLOSE not in self._asked:
            self.broken(3, f"{client.name} says closed, and nobody did", job)
        if said not in {None, "finished"}:
            self._check_stuck(client)

    def _check_stuck(self, client: SimulatedClient) -> None:
        said, job, asked_at = client.verdict, client.job.jid, client.workers_asked_at
        cover = Cover(client.job.tasks)
        folder = self._keys.job(job).results_folder
        for name, _ in self.store.names(folder):
            if self.store.objects[f"{folder}/{name}"].at < asked_at:
                cover.add(keys.parse_segment(name))
        if cover.whole:
            self.broken(3, f"{client.name} says {said!r} while every task has an outcome in the store", job)
        for worker in self.workers.values():
            beat = has_beaten(self.store, self._keys.workers_folder, worker.machine.wid) if worker.alive else None
            if beat and beat.at < asked_at and self.clock.now - beat.at < 2 * self.plan.interval:
                self.broken(3, f"{client.name} says {said!r} while {worker.wid} beats", job)

    def _say_who_hangs(self) -> None:
        hanging = [w.wid for w in self.workers.values() if w.alive] + [c.name for c in self.clients if not c.over]
        self.broken(3, f"{', '.join(hanging)} never come to an end", next(iter(self.jobs)))

    def _check_end(self) -> None:
        for job in self.jobs.values():
            excused = bool(self._asked) or job.jid in self._cancelled or self.plan.short
            if self._keys.job(job.jid).final not in self.store.objects and not excused:
                self.broken(3, f"job {job.jid} was never finished", job.jid)
        for worker in self.workers.values():
            self._check_life(worker)

    def _check_life(self, worker: SimulatedWorker) -> None:
        """Laws 5 and 6 for one worker: it ended in time, and did not ask more of the store than it may."""
        until = worker.left_at or self.clock.now
        slack = 2 * self.plan.interval + 35.0 + 10 * self.plan.weather.slowness
        if EPOCH + until > self._deadline + slack + self.plan.skew and until > worker.paused_until + slack:
            self.broken(5, f"{worker.wid} lived {EPOCH + until - self._deadline:.0f} s past the deadline")
        life = until - worker.born
        segments = sum(len(self.store.names(self._keys.job(jid).results_folder)) for jid in self.jobs)
        allowed = 60 + 6 * segments + 8 * life / self.plan.interval + 3 * life / self.plan.floor
        if worker.requests > allowed:
            self.broken(6, f"{worker.wid} made {worker.requests} requests in {life:.1f} s; {allowed:.0f} are allowed")


_DEEDS: dict[Deed, Callable[[World, Act], None]] = {
    Deed.CRASH: World._crash,
    Deed.TERM: World._term,
    Deed.PAUSE: World._pause,
    Deed.SLEEP: World._sleep,
    Deed.KERNEL_DIES: World._kernel_dies,
    Deed.ATTACH: World._attach,
    Deed.LOOK: World._attach,
    Deed.CANCEL: World._ask,
    Deed.CANCEL_JOB: World._ask,
    Deed.CLOSE: World._ask,
    Deed.EXTEND: World._ask,
    Deed.SCALE: World._ask,
    Deed.ADD: World._add,
    Deed.HALF_ADD: World._half_add,
}
