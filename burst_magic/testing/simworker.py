"""A worker of a simulated world: the production machine, and a stand-in for ``worker.supervisor``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from burst_magic.protocol import effects as fx
from burst_magic.protocol.log import DEAD_AFTER
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Control, ControlKind, EndCause, Gone, Heartbeat, Job, SlotView
from burst_magic.protocol.worker.machine import WorkerMachine
from burst_magic.testing.clock import Process
from burst_magic.testing.simhost import SimulatedHost
from burst_magic.testing.simslots import SimulatedSlots
from burst_magic.testing.weather import EPOCH, Waiting

if TYPE_CHECKING:
    from burst_magic.testing.world import World

_GRACE = 30.0  # seconds between SIGTERM and SIGKILL
_CLOCK_EVERY = 20  # heartbeats between two looks at the store's clock
_PROMPT = 1.0  # seconds: a heartbeat that was written at once tells the store's time
_FAREWELL = 10.0  # seconds for the last words, at least


class SimulatedWorker(SimulatedHost):
    """One process with its slots. Everything it does goes through ``world``."""

    def __init__(self, world: World, *, wid: str, number: int | None, token: str, rng: Random) -> None:
        plan = world.plan
        super().__init__(world, name=wid, rng=rng, skew=plan.skew)
        self.wid, self.token = wid, token
        self.up = False
        self.terminated = False
        self.slept = False  # with the laptop
        self.mistaken = False  # somebody wrote its end while it lived
        self.cut_until = 0.0
        self.busy_at = self.billed_at = world.clock.now  # it costs before it is up
        self.left_at: float | None = None
        self.cause: EndCause | None = None
        self.writing = 0  # requests on their way that may write
        self.beaten: list[float] = []  # virtual times of heartbeats that landed
        self.forbidden: dict[str, float] = {}  # jobs whose cancel it has read, and when; "" is the session
        self.slots = SimulatedSlots(world, self, plan.slots)
        self._began = self.now
        self._offset = EPOCH + self._skew - self._mono
        self._deadline, self._farewell = world.manifest.deadline, float("inf")
        self._beats = 0
        self._claiming: set[str] = set()
        self._tick_at = float("inf")
        self._jobs: dict[str, Job] = {}
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

    # --- life ------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The process is up."""
        self.born, self.busy_at, self.up = self._world.clock.now, self._world.clock.now, True
        for number in range(self._world.plan.slots):
            self.after(self.rng.uniform(0, self._world.plan.boot), partial(self.post, fx.SlotReady(number)))
        self.post(fx.Tick())

    def crash(self, culprit: tuple[str, int] | None = None) -> None:
        """It is gone, at once and without a word; ``culprit`` is the task (job, index) that did it."""
        self._world.tell(self.wid, "crashed")
        self._world.laws.check_loss(self)
        self._world.laws.note_end(self, culprit)
        self._end(EndCause.CRASH)

    def terminate(self) -> None:
        """SIGTERM, and SIGKILL when the grace is over."""
        self.terminated = True
        self.post(fx.Terminate())
        self.after(_GRACE, lambda: self.crash() if self.alive else None)

    def nap(self, seconds: float, *, clock_too: bool) -> None:
        """The laptop sleeps."""
        self.slept = True
        self.pause(seconds, clock_too=clock_too)

    def cut_off(self, seconds: float) -> None:
        """The store does not answer it any more, for a while."""
        self.line.down_until = self.cut_until = self._world.clock.now + seconds
        self._world.tell(self.wid, f"is cut off for {seconds:.1f} s")

    def _end(self, cause: EndCause) -> None:
        self.alive = False
        self.cause, self.left_at = cause, self._world.clock.now

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Calls then, if it lives; later, if it stands still then."""

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
        """Tells the machine, not in the midst of another step."""
        self.after(0.0, lambda: self.step(event))

    def step(self, event: fx.Event) -> None:
        """Tells the machine, and does what it asks for."""
        self._note(event)
        self._count_steps()
        self._world.tell(self.wid, event)
        for effect in self.machine.step(event, self.now):
            self._do(effect)
        if not self.alive:
            return
        if isinstance(event, fx.Tick) and self.machine.wake <= self.now:
            self._world.broken(3, f"{self.wid} asks to be woken in the past, for ever")
        self._plan_tick()

    def _plan_tick(self) -> None:
        due = self._world.clock.now + max(0.0, min(self.machine.wake, self._last_moment()) - self.now) + 1e-6
        if due < self._tick_at:
            self._tick_at = due
            self.after(due - self._world.clock.now, lambda: self._tick(due))

    def _tick(self, due: float) -> None:
        if due != self._tick_at:
            return
        self._tick_at = float("inf")
        if self._last_moment() <= self.now:
            self._world.tell(self.wid, "goes without a word: cut off")
            self._world.laws.check_silence(self)
            self._world.laws.note_end(self, None)
            self._end(EndCause.DEADLINE)
        elif self.machine.wake <= self.now:
            self.step(fx.Tick())
        else:
            self._plan_tick()

    def _last_moment(self) -> float:
        """As the supervisor's: it goes although the store hears neither its results nor its farewell."""
        patience = DEAD_AFTER * self._world.manifest.interval
        over = max(self._deadline - self._offset, self._began)
        return min(self._farewell + max(patience, _FAREWELL), over + patience)

    def _note(self, event: fx.Event) -> None:
        if isinstance(event, fx.Beaten) and event.offset is not None:
            self._offset = event.offset
        if not isinstance(event, fx.Got):
            return
        record = event.record
        if isinstance(record, Job):
            self._jobs[record.jid] = record
        elif isinstance(record, Control):
            self._deadline = max(self._deadline, record.deadline or 0.0)
            if record.kind is ControlKind.CANCEL:
                self.forbidden.setdefault(record.job, self._world.clock.now)

    def _do(self, effect: fx.Effect) -> None:
        self._world.tell(self.wid, effect)
        if isinstance(effect, fx.List | fx.Read | fx.Create):
            self._check_first_try(effect)
            if isinstance(effect, fx.Create) and isinstance(effect.record, Gone):
                self._farewell = self.now
                self._world.laws.check_last_write(self)
            self._spawn(self._world.store.carry(effect, self.line), writes=isinstance(effect, fx.Create))
        elif isinstance(effect, fx.Beat):
            self._farewell = float("inf")
            self._spawn(self._beat(effect), writes=True)
        elif isinstance(effect, fx.Publish):
            self._publish(effect)
        elif isinstance(effect, fx.Exit):
            self._exit(effect.cause)
        else:
            self._tell_slots(effect)

    def _tell_slots(self, effect: fx.Effect) -> None:
        if isinstance(effect, fx.Run):
            self.busy_at = self._world.clock.now
            self.slots.run(effect)
        elif isinstance(effect, fx.Lose):
            self.slots.lose(effect)
        elif isinstance(effect, fx.Adopt):
            self.slots.adopt(effect)
        elif isinstance(effect, fx.Truncate):
            self.slots.truncate(effect)
        elif isinstance(effect, fx.Pause):
            self.slots.pause(effect)
        elif isinstance(effect, fx.Drain):
            self.slots.drain(effect.slot)
        elif isinstance(effect, fx.Kill):
            self.slots.kill(effect.slot)
        elif isinstance(effect, fx.Forget):
            self.busy_at = self._world.clock.now
            self.slots.forget(effect)

    def _check_first_try(self, effect: fx.List | fx.Read | fx.Create) -> None:
        if isinstance(effect, fx.Create) and "/claims/" in effect.key and effect.key not in self._claiming:
            self._claiming.add(effect.key)
            self._world.laws.check_succession(self, effect.key)

    def _exit(self, cause: EndCause) -> None:
        if cause is EndCause.IDLE:
            self._world.laws.check_leaving(self, self._jobs)
        self._world.laws.check_cause(self, cause)
        self._world.tell(self.wid, f"left: {cause.value}")
        self._end(cause)

    def _spawn(self, request: Waiting[fx.Event], *, writes: bool) -> None:
        self.requests += 1
        self.writing += writes

        def process() -> Process:
            event = yield from request
            self.writing -= writes
            self.post(event)

        self._world.clock.spawn(process())

    # --- the store ---------------------------------------------------------------------------------------------

    def _beat(self, effect: fx.Beat) -> Waiting[fx.Event]:
        self._beats += 1
        asked_at = self.now
        views = tuple(SlotView(job=job, task=task) for job, task in self.slots.shown)
        at = asked_at + self._offset
        body = Heartbeat(worker=effect.worker, number=effect.number, at=at, token=self.token, slots=views)
        wrote = yield from self._world.store.putting(effect.key, body, self.line)
        if wrote is fx.Wrote.DONE:
            self.beaten.append(self._world.clock.now)
        prompt = self.now - asked_at < _PROMPT
        if wrote is not fx.Wrote.DONE or not prompt or self._beats % _CLOCK_EVERY != 1:
            return fx.Beaten(wrote)
        return fx.Beaten(wrote, self._world.store.objects[effect.key].modified - asked_at)

    def _publish(self, effect: fx.Publish) -> None:
        self._world.laws.check_publish(self, effect.job, effect.segment)
        pack = self.slots.pack(effect.job, effect.segment)
        key = keys.SessionKeys(self._world.manifest.sid).job(effect.job).segment(effect.segment)

        def request() -> Waiting[fx.Event]:
            wrote = yield from self._world.store.creating(key, pack, self.line)
            return fx.Published(effect.job, effect.segment, wrote)

        self._spawn(request(), writes=True)
