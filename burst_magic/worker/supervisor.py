"""The worker's driver: carries out what the pure machine decides, between the store and the slots.

One loop owns all state. Store calls run in a few threads and come back as events; slots are child processes
that talk through pipes. User code never runs here, and the session's key never leaves here.
"""

from __future__ import annotations

import logging
import random
import secrets
import select
import selectors
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from burst_magic.errors import StoreError
from burst_magic.protocol import effects as fx
from burst_magic.protocol.log import DEAD_AFTER
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Control, ControlKind, EndCause, Final, Gone, Heartbeat, Job, Manifest
from burst_magic.protocol.worker.machine import WorkerMachine
from burst_magic.protocol.worker.state import job_of
from burst_magic.stores.base import Store
from burst_magic.stores.carry import Carrier
from burst_magic.stores.retry import Retry, slept
from burst_magic.worker.forkserver import Template
from burst_magic.worker.slots.pool import Slots
from burst_magic.worker.slots.slot import NUDGE_AFTER
from burst_magic.worker.supply.courier import Courier, Lane
from burst_magic.worker.supply.supply import Items, Opened, Supply

_LOG = logging.getLogger(__name__)
_COALESCE = 0.002  # seconds: outcomes of tiny tasks are read together, not one wake-up each
_AT_ONCE = 1 << 20  # bytes of outcomes that are written to a folder without waiting for a thread
_UNBORN = Retry(within=120.0)  # its session must be found: without one it knows no deadline
_FAREWELL = 10.0  # seconds for its last words, at least
_TICK = 0.25  # seconds between looks at a busy slot, at most
_BROKEN = 1  # exit code of a worker that ends on what nobody foresaw


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """Who this worker is; ``launchers.Start`` as it came through the pipe."""

    store: str
    sid: str
    secret: bytes = field(repr=False)
    token: str
    wid: str
    number: int | None
    handle: str


class Supervisor:
    """One worker.

    Args:
        birth: who it is.
        template: forks slots; started before any of this was known.
        store: the session's store.
        manifest: the session.
    """

    def __init__(self, birth: Birth, template: Template, store: Store, manifest: Manifest) -> None:
        self._birth, self._template, self._manifest = birth, template, manifest
        self._stopping = threading.Event()
        self._carrier = Carrier(store, birth.secret, lambda seconds: not self._stopping.wait(seconds))
        self._at_hand = self._carrier.once() if store.path("manifest.json") else None
        self._machine = WorkerMachine(
            manifest=manifest,
            wid=birth.wid,
            number=birth.number,
            token=birth.token,
            now=time.monotonic(),
            wall=time.time(),
            nonce=lambda: secrets.token_hex(8),
            chance=random.Random(birth.wid),  # noqa: S311 - spreads workers, no secret
        )
        self._courier: Courier[fx.Event | Items | Opened] = Courier(self._carrier, self._stopping)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._courier.fileno(), selectors.EVENT_READ)
        self._supply = Supply(self._carrier, birth.sid, self._courier)
        self._slots = Slots(template, manifest, supply=self._supply, selector=self._selector, tell=self._step)
        self._for_slots: dict[type, Callable[[Any], None]] = {
            fx.Run: self._slots.run,
            fx.Lose: self._slots.lose,
            fx.Adopt: self._slots.adopt,
            fx.Truncate: self._slots.truncate,
            fx.Pause: self._slots.pause,
            fx.Forget: self._slots.forget,
            fx.Drain: self._slots.drain,
            fx.Kill: self._slots.kill,
        }
        self._exit: EndCause | None = None
        self._deadline, self._farewell = manifest.deadline, float("inf")
        self._offset = time.time() - time.monotonic()  # the store's wall clock minus our monotonic one
        self._tick = min(_TICK, max(0.01, manifest.floor / 2))
        self._watch_at = 0.0
        self._began = time.monotonic()
        self._told: deque[fx.Event] = deque()
        self._stepping = False

    # --- the loop ----------------------------------------------------------------------------------------

    def run(self) -> EndCause:
        """Works until the machine says that it is over."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: self._courier.post(fx.Terminate()))
        signal.signal(signal.SIGUSR1, lambda *_: self._courier.post(fx.Poke()))
        try:
            return self._work()
        except Exception as fault:
            self._say_broken(fault)
            raise
        finally:
            self._courier.close()
            self._template.close()  # and with it the slots, also when it is the template that was lost
            self._supply.close()

    def _work(self) -> EndCause:
        self._slots.open()
        self._step(fx.Tick())
        while self._exit is None:
            self._turn()
        return self._exit

    def _say_broken(self, fault: Exception) -> None:
        """Its last words, tried once: without them others wait until it is silent for long enough."""
        wid, now = self._machine.wid, time.monotonic() + self._offset
        said = f"{type(fault).__name__}: {fault}"
        end = Gone(worker=wid, cause=EndCause.BROKEN, at=now, token=self._birth.token, exit_code=_BROKEN, detail=said)
        self._carrier.once().carry(fx.Create(keys.SessionKeys(self._birth.sid).gone(wid), end))

    def _turn(self) -> None:
        """Waits for something, then tells the machine."""
        now = time.monotonic()
        if now >= self._last_moment():
            _LOG.warning("cut off from the store: what is not published stays so")
            self._exit = EndCause.DEADLINE
            return
        wait = max(0.0, min(self._machine.wake, self._last_moment()) - now)
        if self._slots.busy:
            # Outcomes of tiny tasks lie in shared memory and wake nobody.
            wait = min(wait, NUDGE_AFTER if self._slots.holding else self._tick)
        ready = {key.fd for key, _ in self._selector.select(wait)}
        if self._courier.fileno() in ready:
            self._hear_courier()
        self._slots.read()
        now = time.monotonic()
        self._slots.nudge(now)
        if now >= self._watch_at:
            self._watch_at = now + self._tick
            self._slots.watch(now)
        if now >= self._machine.wake:
            self._step(fx.Tick())
        if ready - {self._courier.fileno()} and self._exit is None:
            select.select([self._courier.fileno()], [], [], _COALESCE)

    def _last_moment(self) -> float:
        """When it goes although the store hears neither its results nor its farewell (law 5)."""
        patience = DEAD_AFTER * self._manifest.interval
        over = max(self._deadline - self._offset, self._began)  # one that comes late asks first whether it was moved
        return min(self._farewell + max(patience, _FAREWELL), over + patience)

    def _note_time(self, event: fx.Event) -> None:
        if isinstance(event, fx.Beaten) and event.offset is not None:
            self._offset = event.offset
        elif isinstance(event, fx.Got) and isinstance(event.record, Control):
            self._deadline = max(self._deadline, event.record.deadline or 0.0)

    def _note_job(self, event: fx.Event) -> None:
        if isinstance(event, fx.Got) and isinstance(event.record, Job):
            self._supply.meet(event.record)
        elif isinstance(event, fx.Got) and isinstance(event.record, Final):
            self._slots.let_go(event.record.job)
        elif isinstance(event, fx.Got) and isinstance(event.record, Control):
            if event.record.kind is ControlKind.CANCEL and event.record.job:
                self._slots.let_go(event.record.job)
        elif isinstance(event, fx.Created) and event.key.endswith("/final") and event.wrote is fx.Wrote.DONE:
            self._slots.let_go(job_of(event.key))

    def _note_farewell(self, effect: fx.Effect) -> None:
        if isinstance(effect, fx.Create) and isinstance(effect.record, Gone):
            self._farewell = time.monotonic()
        elif isinstance(effect, fx.Beat):  # it has come back, if it had gone
            self._farewell = float("inf")

    def _hear_courier(self) -> None:
        for event in self._courier.events():
            if isinstance(event, Items):
                self._slots.feed(event)
            elif isinstance(event, Opened):
                self._supply.opened(event)
            else:
                self._step(event)

    def _step(self, event: fx.Event) -> None:
        """Tells the machine, does what it asks for, and tells it what was answered at once."""
        self._told.append(event)
        if self._stepping:
            return
        self._stepping = True
        try:
            while self._told:
                event = self._told.popleft()
                self._note_time(event)
                self._note_job(event)
                for effect in self._machine.step(event, time.monotonic()):
                    self._note_farewell(effect)
                    self._do(effect)
        finally:
            self._stepping = False

    def _do(self, effect: fx.Effect) -> None:
        if isinstance(effect, fx.List | fx.Read):
            self._look(effect)
        elif isinstance(effect, fx.Create):
            self._courier.call(lambda: self._carrier.carry(effect))
        elif isinstance(effect, fx.Beat):
            body = self._heartbeat(effect)
            self._courier.call(lambda: self._courier.beat(effect.key, body), lane=Lane.BEAT)
        elif isinstance(effect, fx.Publish):
            self._publish(effect)
        elif isinstance(effect, fx.Exit):
            self._exit = effect.cause
        else:
            self._for_slots[type(effect)](effect)

    def _look(self, effect: fx.List | fx.Read) -> None:
        """A folder of this machine answers sooner than a thread would; where it does not, threads are patient."""
        if self._at_hand is not None:
            try:
                self._told.append(self._at_hand.carry(effect))
            except StoreError as fault:
                self._carrier.tell(fault)
            else:
                return
        self._courier.call(lambda: self._carrier.carry(effect))

    def _publish(self, effect: fx.Publish) -> None:
        chosen = self._slots.outcomes(effect.job, effect.segment)
        if self._at_hand is not None and sum(map(len, chosen)) <= _AT_ONCE:
            published = self._courier.publish(self._manifest.sid, effect, chosen, carrier=self._at_hand)
            self._told.append(published)
        else:
            self._courier.call(lambda: self._courier.publish(self._manifest.sid, effect, chosen))

    def _heartbeat(self, effect: fx.Beat) -> Heartbeat:
        return Heartbeat(
            worker=effect.worker,
            number=effect.number,
            at=time.time(),
            token=self._birth.token,
            handle=self._birth.handle,
            slots=self._slots.views(),
            refusals=self._carrier.refusals.count,
            refused=self._carrier.refusals.said,
        )


def join(birth: Birth, store: Store, template: Template) -> EndCause:
    """Joins the session and works until it is over; a session that is gone is no error."""
    key = keys.SessionKeys(birth.sid).manifest
    carrier = Carrier(store, birth.secret, slept, retry=_UNBORN)
    got = carrier.carry(fx.Read(key, Manifest))
    manifest = got.record if isinstance(got, fx.Got) else None
    if not isinstance(manifest, Manifest):
        _LOG.warning("the session is gone: %s", birth.sid)
        template.close()
        return EndCause.EXPIRED
    return Supervisor(birth, template, store, manifest).run()
