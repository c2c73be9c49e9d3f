"""A worker of a simulated world: the production machine, and a stand-in for ``worker.supervisor`` and its slots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from burst_magic.protocol import effects as fx
from burst_magic.protocol import keys
from burst_magic.protocol.model import ClaimKey, Control, ControlKind, EndCause, Heartbeat, Job, SlotView
from burst_magic.protocol.worker import WorkerMachine
from burst_magic.testing.clock import Process
from burst_magic.testing.weather import EPOCH, Waiting

if TYPE_CHECKING:
    from burst_magic.testing.world import World

_GRACE = 30.0  # seconds between SIGTERM and SIGKILL
_BATCH = 0.01  # seconds: outcomes of tiny tasks are told together
_SKEW_EVERY = 5  # beats
_KILLED_IN = 1.0  # seconds
_SAME_INSTANT = 300  # steps of one machine without time passing


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a task; a task may run more than once, and each run is another."""

    task: int
    number: int
    failed: bool


@dataclass(frozen=True, slots=True)
class Pack:
    """What a segment holds."""

    job: str
    runs: tuple[Run, ...]


@dataclass(slots=True)
class _Work:
    job: str
    claim: ClaimKey
    done: int
    stop: int
    first: int
    runs: list[Run] = field(default_factory=list)


@dataclass(slots=True)
class _Slot:
    work: _Work | None = None
    ending: str = ""  # "", "drain", "kill"
    epoch: int = 0  # what was planned before is void
    busy: bool = False


class SimulatedWorker:
    """One process with its slots. Everything it does goes through ``world``."""

    def __init__(self, world: World, *, wid: str, number: int | None, token: str, rng: Random) -> None:
        plan = world.plan
        self.wid, self.token = wid, token
        self.alive = True
        self.paused_until = 0.0
        self.born = world.clock.now
        self.left_at: float | None = None
        self.requests = 0
        self.beaten: list[float] = []  # virtual times of heartbeats that landed
        self.forbidden: dict[str, float] = {}  # jobs whose cancel it has read, and when; "" is the session
        self._world, self._rng = world, rng
        self._mono = rng.uniform(0, 1e5)
        self._skew = rng.uniform(-plan.skew, plan.skew)
        self._beats = 0
        self._claiming: set[str] = set()
        self._tick_at = float("inf")
        self._instant, self._steps = -1.0, 0
        self._slots = [_Slot() for _ in range(plan.slots)]
        self._works: dict[tuple[str, ClaimKey], _Work] = {}
        self._jobs: dict[str, Job] = {}
        self.machine = WorkerMachine(
            manifest=world.manifest,
            wid=wid,
            number=number,
            token=token,
            now=self.now,
            wall=self._wall,
            nonce=lambda: f"{rng.getrandbits(64):x}",
            chance=rng,
        )

    @property
    def now(self) -> float:
        """Its monotonic clock."""
        return self._world.clock.now + self._mono

    @property
    def _wall(self) -> float:
        return EPOCH + self._world.clock.now + self._skew

    # --- life ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The process is up."""
        for number in range(len(self._slots)):
            self._after(self._rng.uniform(0, self._world.plan.boot), partial(self._post, fx.SlotReady(number)))
        self._post(fx.Tick())

    def crash(self) -> None:
        """It is gone, at once and without a word."""
        self.alive = False
        self.left_at = self._world.clock.now
        self._world.tell(self.wid, "crashed")

    def terminate(self) -> None:
        """SIGTERM, and SIGKILL when the grace is over."""
        self._post(fx.Terminate())
        self._after(_GRACE, lambda: self.crash() if self.alive else None)

    def _after(self, seconds: float, call: Callable[[], object]) -> None:
        def if_alive() -> None:
            clock = self._world.clock
            if not self.alive:
                return
            if clock.now < self.paused_until:
                clock.at(self.paused_until, if_alive)
                return
            call()

        self._world.clock.at(self._world.clock.now + seconds, if_alive)

    # --- the machine -------------------------------------------------------------------------------------------

    def _post(self, event: fx.Event) -> None:
        self._after(0.0, lambda: self._step(event))

    def _step(self, event: fx.Event) -> None:
        if isinstance(event, fx.Got):
            self._note_read(event)
        self._count_steps()
        self._world.tell(self.wid, event)
        for effect in self.machine.step(event, self.now):
            self._do(effect)
        if not self.alive:
            return
        if isinstance(event, fx.Tick) and self.machine.wake <= self.now:
            self._world.broken(3, f"{self.wid} asks to be woken in the past, for ever")
        self._plan_tick()

    def _count_steps(self) -> None:
        clock = self._world.clock
        if clock.now != self._instant:
            self._instant, self._steps = clock.now, 0
        self._steps += 1
        if self._steps > _SAME_INSTANT:
            self._world.broken(6, f"{self.wid} goes round and round without time passing")

    def _plan_tick(self) -> None:
        due = self._world.clock.now + max(0.0, self.machine.wake - self.now) + 1e-6
        if due < self._tick_at:
            self._tick_at = due
            self._after(due - self._world.clock.now, lambda: self._tick(due))

    def _tick(self, due: float) -> None:
        if due == self._tick_at:
            self._tick_at = float("inf")
            if self.machine.wake <= self.now:
                self._step(fx.Tick())
            else:
                self._plan_tick()

    def _note_read(self, event: fx.Got) -> None:
        record = event.record
        if isinstance(record, Job):
            self._jobs[record.jid] = record
        elif isinstance(record, Control) and record.kind is ControlKind.CANCEL:
            self.forbidden.setdefault(record.job, self._world.clock.now)

    def _do(self, effect: fx.Effect) -> None:
        self._world.tell(self.wid, effect)
        if isinstance(effect, fx.List | fx.Read | fx.Create):
            self._check_first_try(effect)
            self._spawn(self._world.store.carry(effect))
        elif isinstance(effect, fx.Beat):
            self._spawn(self._beat(effect))
        elif isinstance(effect, fx.Publish):
            self._publish(effect)
        elif isinstance(effect, fx.Run):
            self._run(effect)
        elif isinstance(effect, fx.Truncate):
            self._truncate(effect)
        elif isinstance(effect, fx.Drain):
            self._drain(effect.slot)
        elif isinstance(effect, fx.Kill):
            self._kill(effect.slot)
        elif isinstance(effect, fx.Forget):
            self._forget(effect)
        elif isinstance(effect, fx.Exit):
            self._exit(effect.cause)

    def _check_first_try(self, effect: fx.List | fx.Read | fx.Create) -> None:
        if isinstance(effect, fx.Create) and "/claims/" in effect.key and effect.key not in self._claiming:
            self._claiming.add(effect.key)
            self._world.check_succession(self, effect.key)

    def _exit(self, cause: EndCause) -> None:
        if cause is EndCause.IDLE:
            self._world.check_leaving(self, self._jobs)
        self.alive = False
        self.left_at = self._world.clock.now
        self._world.tell(self.wid, f"left: {cause.value}")

    def _spawn(self, request: Waiting[fx.Event]) -> None:
        self.requests += 1

        def process() -> Process:
            event = yield from request
            self._post(event)

        self._world.clock.spawn(process())

    # --- the store ---------------------------------------------------------------------------------------------

    def _beat(self, effect: fx.Beat) -> Waiting[fx.Event]:
        self._beats += 1
        asked_at, before = self.now, self._wall
        views = tuple(SlotView(job=s.work.job, task=s.work.done) if s.work else SlotView() for s in self._slots)
        body = Heartbeat(worker=effect.worker, number=effect.number, at=before, token=self.token, slots=views)
        wrote = yield from self._world.store.putting(effect.key, body)
        if wrote is fx.Wrote.DONE:
            self.beaten.append(self._world.clock.now)
        if wrote is not fx.Wrote.DONE or self._beats % _SKEW_EVERY != 1:
            return fx.Beaten(wrote)
        offset = self._world.store.objects[effect.key].modified - asked_at
        return fx.Beaten(wrote, offset)

    def _publish(self, effect: fx.Publish) -> None:
        segment = effect.segment
        work = self._works.get((effect.job, segment.claim))
        runs = tuple(work.runs[segment.start - work.first : segment.stop - work.first]) if work else ()
        if [run.task for run in runs] != list(range(segment.start, segment.stop)):
            self._world.broken(2, f"{self.wid} publishes {segment} and holds {runs}", effect.job)
        if segment.failed != sum(run.failed for run in runs):
            self._world.broken(2, f"{self.wid} says {segment.failed} of {runs} failed", effect.job)
        self._world.check_publish(self, effect.job, segment)
        key = keys.SessionKeys(self._world.manifest.sid).job(effect.job).segment(segment)

        def request() -> Waiting[fx.Event]:
            wrote = yield from self._world.store.creating(key, Pack(effect.job, runs))
            return fx.Published(effect.job, segment, wrote)

        self._spawn(request())

    # --- slots -------------------------------------------------------------------------------------------------

    def _run(self, effect: fx.Run) -> None:
        slot = self._slots[effect.slot]
        if slot.work is not None or slot.ending:
            self._world.broken(3, f"{self.wid} gives slot {effect.slot} a range while it has one or ends", effect.job)
        self._check_allowed(effect.job)
        self._world.check_claim(self, effect.job, effect.claim)
        work = _Work(effect.job, effect.claim, effect.start, effect.stop, effect.start)
        self._works[effect.job, effect.claim] = slot.work = work
        fetch = self._rng.uniform(1, 3) * self._world.plan.weather.latency
        self._plan(effect.slot, fetch, lambda: self._start(effect.slot))

    def _check_allowed(self, job: str) -> None:
        if {"", job} & self.forbidden.keys():
            self._world.broken(5, f"{self.wid} starts a task of {job} after it read that it is cancelled", job)

    def _plan(self, number: int, seconds: float, call: Callable[[], object]) -> None:
        slot = self._slots[number]
        epoch = slot.epoch
        self._after(seconds, lambda: call() if slot.epoch == epoch else None)

    def _start(self, number: int) -> None:
        slot = self._slots[number]
        work = slot.work
        if work is None or work.done >= work.stop:
            slot.work = None
            return
        self._check_allowed(work.job)
        seconds, count = 0.0, 0
        while seconds < _BATCH and work.done + count < work.stop:
            seconds += self._world.duration(work.job, work.done + count)
            count += 1
        slot.busy = True
        self._plan(number, seconds, lambda: self._finish(number, count))

    def _finish(self, number: int, count: int) -> None:
        slot = self._slots[number]
        work, slot.busy = slot.work, False
        if work is None:
            return
        runs = [
            self._world.run(self.wid, work.job, task) for task in range(work.done, min(work.done + count, work.stop))
        ]
        work.runs += runs
        work.done += len(runs)
        told = min((at for where, at in self.forbidden.items() if where in {"", work.job}), default=float("inf"))
        if self._world.clock.now > max(told, self.paused_until) + _KILLED_IN:
            self._world.broken(5, f"{self.wid} lets a task of {work.job} run on after it read its cancel", work.job)
        failed = tuple(run.task for run in runs if run.failed)
        if runs:
            self._step(fx.Progress(number, work.job, work.claim, work.done, failed, 100 * len(work.runs)))
        if slot.ending == "drain":
            self._stopped(number)
        elif slot.ending == "":
            self._start(number)

    def _truncate(self, effect: fx.Truncate) -> None:
        if effect.slot >= 0 and (work := self._slots[effect.slot].work) is not None:
            work.stop = min(work.stop, effect.stop)

    def _drain(self, number: int) -> None:
        slot = self._slots[number]
        if not slot.ending:
            slot.ending = "drain"
            if not slot.busy:
                self._stopped(number)

    def _kill(self, number: int) -> None:
        slot = self._slots[number]
        if slot.ending != "kill":
            slot.ending, slot.busy = "kill", False
            slot.epoch += 1
            self._plan(number, self._rng.uniform(0, 0.1), lambda: self._killed(number))

    def _killed(self, number: int) -> None:
        self._stopped(number)
        self._plan(number, self._rng.uniform(0, self._world.plan.boot), lambda: self._step(fx.SlotReady(number)))

    def _stopped(self, number: int) -> None:
        slot = self._slots[number]
        work, slot.work, slot.ending = slot.work, None, ""
        if work is not None:
            work.stop = work.done
            self._step(fx.Stopped(number, work.job, work.claim, work.done))

    def _forget(self, effect: fx.Forget) -> None:
        work = self._works.get((effect.job, effect.claim))
        if work is not None:
            cut = max(0, effect.upto - work.first)
            del work.runs[:cut]
            work.first += cut
