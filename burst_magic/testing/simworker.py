"""A worker of a simulated world: the production machine, and a stand-in for ``worker.supervisor``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Control, ControlKind, EndCause, Gone, Heartbeat, Job, SlotView
from burst_magic.protocol.worker.conduct import Conductor, Hand, asks_for_time, clock_offset
from burst_magic.protocol.worker.machine import WorkerMachine
from burst_magic.testing.clock import Process
from burst_magic.testing.simhost import SimulatedHost
from burst_magic.testing.simslots import SimulatedSlots
from burst_magic.testing.weather import Waiting

if TYPE_CHECKING:
    from burst_magic.testing.world import World

_GRACE = 30.0  # seconds between SIGTERM and SIGKILL


class SimulatedWorker(SimulatedHost):
    """One process with its slots. Everything it does goes through ``world``."""

    def __init__(
        self, world: World, *, wid: str, number: int | None, token: str, rng: Random, handle: str = ""
    ) -> None:
        plan = world.plan
        super().__init__(world, name=wid, rng=rng, skew=plan.skew)
        self.wid, self.token, self.handle = wid, token, handle
        self.up = False
        self.terminated = False
        self.slept = False  # with the laptop
        self.taken_back = False  # reclaimed by its cloud, which reports that
        self.mistaken = False  # its ``.gone`` was written while it lived
        self.cut_until = 0.0
        self.busy_at = self.billed_at = world.clock.now  # it costs before it is up
        self.left_at: float | None = None
        self.cause: EndCause | None = None
        self.writing = 0  # requests under way that may write
        self.beaten: list[float] = []  # virtual times of heartbeats that landed
        self.forbidden: dict[str, float] = {}  # when it read a job's cancel; "" is the session
        self.slots = SimulatedSlots(world, self, plan.slots)
        self._beats = 0
        self._claiming: set[str] = set()
        self._tick_at = float("inf")
        self._read: set[str] = set()  # jobs whose record it has
        self._opened: set[str] = set()
        self.machine = WorkerMachine(
            manifest=world.manifest,
            wid=wid,
            number=number,
            token=token,
            now=self.now,
            wall=self.wall,
            nonce=lambda: f"{rng.getrandbits(64):x}",
            chance=rng,
        )
        self._conductor = Conductor(self.machine, self._hands(), lambda: self.now)

    # --- life ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Start the process."""
        self.born, self.busy_at, self.up = self._world.clock.now, self._world.clock.now, True
        for number in range(self._world.plan.slots):
            self.after(self.rng.uniform(0, self._world.plan.boot), partial(self.post, fx.SlotReady(number)))
        self.post(fx.Tick())

    def crash(self, culprit: tuple[str, int] | None = None) -> None:
        """Die immediately, without ``.gone``; ``culprit`` is the task (job, index) that caused it."""
        self._world.tell(self.wid, "crashed")
        self._world.laws.check_loss(self)
        self._world.laws.note_end(self, culprit)
        self._end(EndCause.CRASH)

    def terminate(self) -> None:
        """Send SIGTERM, then SIGKILL after the grace period."""
        self.terminated = True
        self.post(fx.Terminate(_GRACE))
        self.after(_GRACE, lambda: self.crash() if self.alive else None)

    def nap(self, seconds: float, *, clock_too: bool) -> None:
        """Sleep with the laptop."""
        self.slept = True
        self.pause(seconds, clock_too=clock_too)

    def cut_off(self, seconds: float) -> None:
        """Cut it off from the store for a while."""
        self.line.down_until = self.cut_until = self._world.clock.now + seconds
        self._world.tell(self.wid, f"is cut off for {seconds:.1f} s")

    def _end(self, cause: EndCause) -> None:
        self.alive = False
        self.cause, self.left_at = cause, self._world.clock.now

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Schedule a call, made if it is alive then; postponed while it is paused."""

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

    def post(self, event: fx.Event) -> None:
        """Pass an event to the machine, outside any other step."""
        self.after(0.0, lambda: self.tell([event]))

    def tell(self, events: Iterable[fx.Event]) -> None:
        """Pass events to the machine, and carry out its effects."""
        self._conductor.tell(self._noted(event) for event in events)
        if self.alive and self._conductor.exit is not None:
            self._leave(self._conductor.exit)
        if self.alive:
            self._plan_tick()

    def _hands(self) -> dict[type, Hand]:
        hands: dict[type, Hand] = {
            fx.List: self._ask,
            fx.Read: self._ask,
            fx.Create: self._create,
            fx.Beat: self._beat,
            fx.Publish: self._publish,
            fx.Open: self._open,
            fx.LetGo: self._let_go,
            fx.Run: self._run,
            fx.Lose: self.slots.lose,
            fx.Adopt: self.slots.adopt,
            fx.Truncate: self.slots.truncate,
            fx.Pause: self.slots.pause,
            fx.Forget: self._forget,
            fx.Drain: self.slots.drain,
            fx.Kill: self.slots.kill,
        }
        return {kind: partial(self._carry_out, hand) for kind, hand in hands.items()}

    def _plan_tick(self) -> None:
        due = self._world.clock.now + max(0.0, self.machine.wake - self.now) + 1e-6
        if due < self._tick_at:
            self._tick_at = due
            self.after(due - self._world.clock.now, lambda: self._tick(due))

    def _tick(self, due: float) -> None:
        if due != self._tick_at:
            return
        self._tick_at = float("inf")
        if self.machine.wake > self.now:
            self._plan_tick()
            return
        self.tell([fx.Tick()])
        if self.alive and self.machine.wake <= self.now:
            self._world.broken(3, f"{self.wid} asks to be woken in the past, for ever")

    def _noted(self, event: fx.Event) -> fx.Event:
        """Record an event for the laws."""
        self._count_steps()
        self._world.tell(self.wid, event)
        record = event.record if isinstance(event, fx.Got) else None
        if isinstance(record, Control) and record.kind is ControlKind.CANCEL:
            self.forbidden.setdefault(record.job, self._world.clock.now)
        elif isinstance(record, Job):
            self._read.add(record.jid)
        return event

    def _carry_out(self, hand: Hand, effect: fx.Effect) -> Iterable[fx.Event]:
        self._world.tell(self.wid, effect)
        return [self._noted(event) for event in hand(effect) or ()]

    def _ask(self, effect: fx.List | fx.Read) -> None:
        self._spawn(self._world.store.carry(effect, self.line), writes=False)

    def _create(self, effect: fx.Create) -> None:
        self._check_first_try(effect)
        if isinstance(effect.record, Gone):
            self._world.laws.check_last_write(self)
        self._spawn(self._world.store.carry(effect, self.line), writes=True)

    def _open(self, effect: fx.Open) -> None:
        self._opened.add(effect.job.jid)

    def _let_go(self, effect: fx.LetGo) -> None:
        final = self._world.laws.keys.job(effect.job).final
        if effect.job not in self.forbidden and final not in self._world.store.objects:
            self._world.broken(3, f"{self.wid} lets go of job {effect.job}, which is not over", effect.job)

    def _run(self, effect: fx.Run) -> None:
        if effect.job not in self._opened:
            self._world.broken(3, f"{self.wid} runs tasks of job {effect.job}, which it never opened", effect.job)
        self.busy_at = self._world.clock.now
        self.slots.run(effect)

    def _forget(self, effect: fx.Forget) -> None:
        self.busy_at = self._world.clock.now
        self.slots.forget(effect)

    def _check_first_try(self, effect: fx.Create) -> None:
        if "/claims/" in effect.key and effect.key not in self._claiming:
            self._claiming.add(effect.key)
            self._world.laws.check_succession(self, effect.key)

    def _leave(self, end: fx.Exit) -> None:
        if end.unheard:
            self._world.tell(self.wid, "exits without .gone: cut off")
            self._world.laws.check_silence(self)
            self._world.laws.note_end(self, None)
        else:
            if end.cause is EndCause.IDLE:
                self._world.laws.check_leaving(self, self._read)
            self._world.laws.check_cause(self, end.cause)
            self._world.tell(self.wid, f"left: {end.cause.value}")
        self._end(end.cause)

    def _spawn(self, request: Waiting[fx.Event], *, writes: bool) -> None:
        self.requests += 1
        self.writing += writes

        def process() -> Process:
            event = yield from request
            self.writing -= writes
            self.post(event)

        self._world.clock.spawn(process())

    # --- the store ---------------------------------------------------------------------------------------------

    def _beat(self, effect: fx.Beat) -> None:
        self._beats += 1
        self._spawn(self._beating(effect), writes=True)

    def _beating(self, effect: fx.Beat) -> Waiting[fx.Event]:
        asked_at = self.now
        views = tuple(SlotView(job=job, task=task) for job, task in self.slots.shown)
        body = Heartbeat(
            worker=effect.worker,
            number=effect.number,
            at=effect.at,
            token=self.token,
            handle=self.handle,
            slots=views,
            idle_since=effect.idle_since,
        )
        wrote = yield from self._world.store.putting(effect.key, body, self.line)
        if wrote is not fx.Wrote.DONE:
            return fx.Beaten(wrote)
        self.beaten.append(self._world.clock.now)
        modified = self._world.store.objects[effect.key].modified if asks_for_time(self._beats) else None
        return fx.Beaten(wrote, clock_offset(asked_at, self.now, modified))

    def _publish(self, effect: fx.Publish) -> None:
        self._world.laws.check_publish(self, effect.job, effect.segment)
        pack = self.slots.pack(effect.job, effect.segment)
        key = keys.SessionKeys(self._world.manifest.sid).job(effect.job).segment(effect.segment)

        def request() -> Waiting[fx.Event]:
            wrote = yield from self._world.store.creating(key, pack, self.line)
            return fx.Published(effect.job, effect.segment, wrote)

        self._spawn(request(), writes=True)
