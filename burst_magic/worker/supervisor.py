"""The worker's driver: carries out what the pure machine decides, between the store and the slots.

One loop owns all state. Store calls run in a few threads and return as events; slots are child processes that
communicate through pipes. User code never runs here, and the session's key never leaves this process.
"""

from __future__ import annotations

import json
import logging
import random
import secrets
import select
import selectors
import signal
import threading
import time
from dataclasses import replace

from burst_magic.config import __version__
from burst_magic.errors import Denied, Missing, RecordError, SignatureError, StoreError, VersionError
from burst_magic.protocol import effects as fx
from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import EndCause, Gone, Heartbeat, Manifest, Provenance
from burst_magic.protocol.worker.conduct import Conductor, Hand
from burst_magic.protocol.worker.machine import WorkerMachine
from burst_magic.stores.base import Store
from burst_magic.stores.retry import Retry, slept
from burst_magic.stores.store_driver import Carrier
from burst_magic.worker.birth import Birth
from burst_magic.worker.forkserver import Template
from burst_magic.worker.slots.pool import ForkServerLost, SlotPool
from burst_magic.worker.slots.slot import NUDGE_AFTER
from burst_magic.worker.stage import Staged, Staging
from burst_magic.worker.supply.courier import Courier, Errand
from burst_magic.worker.supply.supply import Items, Opened, Supply
from burst_magic.worker.watchdog import Leash

_LOG = logging.getLogger(__name__)
_COALESCE = 0.002  # seconds: outcomes of short tasks are read in batches, not with one wake-up each
_AT_ONCE = 1 << 20  # bytes of outcomes that are written to a folder without waiting for a thread
_UNBORN = Retry(within=120.0)  # without its session, a worker doesn't know its deadline
_TICK = 0.25  # seconds between looks at a busy slot, at most


def _rate(manifest: Manifest, birth: Birth) -> int:
    """Micro-dollars per hour of its launcher; a session may have two."""
    launcher = json.loads(birth.handle)["launcher"] if birth.handle else manifest.launcher
    return manifest.fallback_rate if launcher == manifest.fallback else manifest.rate


class _Unprepared(Exception):
    """What tasks need cannot be installed: another worker would fail in the same way, and is started after a pause."""


class Supervisor:
    """One worker.

    Args:
        birth: its identity.
        slots: the template that forks its slots, or the stage that prepares one.
        store: the session's store.
        manifest: the session.
        leash: the watchdog's, which hears of later deadlines.
    """

    def __init__(self, birth: Birth, slots: Template | Staging, store: Store, manifest: Manifest, leash: Leash) -> None:
        self._birth, self._manifest, self._leash = birth, manifest, leash
        self._template = None if isinstance(slots, Staging) else slots
        self._stage = slots if isinstance(slots, Staging) else None
        self._stopping = threading.Event()
        self._carrier = Carrier(store, birth.secret, lambda seconds: not self._stopping.wait(seconds))
        self._at_hand = self._carrier.once() if store.path("manifest.json") else None
        self._machine = WorkerMachine(
            manifest=replace(manifest, rate=_rate(manifest, birth)),
            wid=birth.wid,
            number=birth.number,
            token=birth.token,
            now=time.monotonic(),
            wall=time.time(),
            nonce=lambda: secrets.token_hex(8),
            chance=random.Random(birth.wid),  # noqa: S311 - spreads workers, no secret
            installs=self._stage is not None,
        )
        if birth.billed_from:
            self._machine.bill_from(birth.billed_from)
        self._courier: Courier[fx.Event | Items | Opened | Staged] = Courier(self._carrier, self._stopping)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._courier.fileno(), selectors.EVENT_READ)
        self._supply = Supply(self._carrier, birth.sid, self._courier)
        self._slots = SlotPool(manifest, supply=self._supply, selector=self._selector)
        self._conductor = Conductor(self._machine, self._hands(), time.monotonic)
        self._tick = min(_TICK, max(0.01, manifest.floor / 2))
        self._watch_at = 0.0

    def _hands(self) -> dict[type, Hand]:
        return {
            fx.List: self._look,
            fx.Read: self._look,
            fx.Create: self._create,
            fx.Beat: self._beat,
            fx.Publish: self._publish,
            fx.Open: self._supply.meet,
            fx.LetGo: self._slots.let_go,
            fx.Run: self._slots.run,
            fx.Lose: self._slots.lose,
            fx.Adopt: self._slots.adopt,
            fx.Truncate: self._slots.truncate,
            fx.Pause: self._slots.pause,
            fx.Forget: self._slots.forget,
            fx.Drain: self._slots.drain,
            fx.Kill: self._slots.kill,
        }

    # --- the loop ----------------------------------------------------------------------------------------

    def run(self) -> EndCause:
        """Work until the machine exits."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: self._courier.post(fx.Terminate(self._birth.grace)))
        signal.signal(signal.SIGUSR1, lambda *_: self._courier.post(fx.Poke()))
        try:
            return self._work()
        except _Unprepared as fault:
            problem = fault.__cause__ or fault
            self._say_broken(" ".join(str(problem).split()), EndCause.UNSTARTED, ExitCode.REFUSED)
            raise problem from None
        except ForkServerLost as fault:  # a task may have killed it, and counts as having ended this worker
            self._say_broken(str(fault), EndCause.CRASH, ExitCode.BROKEN)
            raise
        except Exception as fault:
            self._say_broken(f"{type(fault).__name__}: {fault}", EndCause.BROKEN, ExitCode.BROKEN)
            raise
        finally:
            self._courier.close()
            if self._template is not None:
                self._template.close()  # and with it the slots, even if the template was lost
            self._supply.close()

    def _work(self) -> EndCause:
        if self._template is not None:
            self._slots.open(self._template)
        self._conductor.tell([fx.Tick()])
        if self._stage is not None:
            stage = self._stage
            self._courier.call(lambda: stage.run(self._manifest), errand=Errand.FILES)
        while (end := self._conductor.exit) is None:
            self._turn()
        if end.unheard:
            _LOG.warning("cannot reach the store: unpublished outcomes are lost")
        return end.cause

    def _say_broken(self, why: str, cause: EndCause, code: ExitCode) -> None:
        """Try once to record why it failed; otherwise others wait until its silence counts as death."""
        wid, now = self._machine.wid, self._machine.wall(time.monotonic())
        end = Gone(worker=wid, cause=cause, at=now, token=self._birth.token, exit_code=code, detail=why)
        self._carrier.once().carry(fx.Create(keys.SessionKeys(self._birth.sid).gone(wid), end))

    def _turn(self) -> None:
        """Wait for events, then step the machine."""
        wait = max(0.0, self._machine.wake - time.monotonic())
        if self._slots.busy:
            # Outcomes of tiny tasks wait in shared memory and wake no one.
            wait = min(wait, NUDGE_AFTER if self._slots.holding else self._tick)
        ready = {key.fd for key, _ in self._selector.select(wait)}
        if self._courier.fileno() in ready:
            for news in self._courier.events():
                self._conductor.tell(self._events(news))
        for slot in self._slots.numbers:
            self._conductor.tell(self._slots.read(slot))
        now = time.monotonic()
        self._slots.nudge(now)
        if now >= self._watch_at:
            self._watch_at = now + self._tick
            self._leash.announce(self._machine.deadline)
            self._slots.watch(now)
        if now >= self._machine.wake:
            self._conductor.tell([fx.Tick()])
        if ready - {self._courier.fileno()} and self._conductor.exit is None:
            select.select([self._courier.fileno()], [], [], _COALESCE)

    def _events(self, news: fx.Event | Items | Opened | Staged) -> list[fx.Event]:
        """Convert a thread's result to events for the machine."""
        if isinstance(news, Staged):
            if news.template is None:
                raise _Unprepared from news.problem
            self._template, self._stage = news.template, None
            self._slots.open(news.template)
            return []
        if isinstance(news, Items):
            return self._slots.feed(news)
        if isinstance(news, Opened):
            return [event for items in self._supply.opened(news) for event in self._slots.feed(items)]
        return [news]

    # --- effects on the store ------------------------------------------------------------------------------

    def _look(self, effect: fx.List | fx.Read) -> list[fx.Event]:
        """Read directly: a local folder answers faster than a thread. If it fails, use a thread, which retries."""
        if self._at_hand is not None:
            try:
                return [self._at_hand.carry(effect)]
            except StoreError as fault:
                self._carrier.tell(fault)
        self._courier.call(lambda: self._carrier.carry(effect))
        return []

    def _create(self, effect: fx.Create) -> None:
        self._courier.call(lambda: self._carrier.carry(effect))

    def _publish(self, effect: fx.Publish) -> list[fx.Event]:
        chosen = self._slots.outcomes(effect.job, effect.segment)
        by = Provenance(self._machine.wid, self._slots.slot_of(effect.job, effect.segment))
        if self._at_hand is not None and sum(map(len, chosen)) <= _AT_ONCE:
            return [self._courier.publish(self._manifest.sid, effect, chosen, by=by, carrier=self._at_hand)]
        self._courier.call(lambda: self._courier.publish(self._manifest.sid, effect, chosen, by=by))
        return []

    def _beat(self, effect: fx.Beat) -> None:
        body = Heartbeat(
            worker=effect.worker,
            number=effect.number,
            at=effect.at,
            token=self._birth.token,
            handle=self._birth.handle,
            slots=self._slots.views(self._machine.wall),
            refusals=self._carrier.refusals.count,
            refused=self._carrier.refusals.said,
            stage="" if self._stage is None else self._stage.doing(),
            idle_since=effect.idle_since,
        )
        self._courier.call(lambda: self._courier.beat(effect.key, body), errand=Errand.BEAT)


def join(birth: Birth, store: Store, slots: Template | Staging, leash: Leash | None = None) -> EndCause:
    """Join the session and work until the worker ends; a missing or unreadable session is not an error."""
    try:
        return Supervisor(birth, slots, store, _manifest(birth, store), leash or Leash()).run()
    except Missing:
        _LOG.warning("the session is gone: %s", birth.sid)
        cause = EndCause.EXPIRED
    except VersionError as refused:
        _refuse(birth, store, refused)
        cause = EndCause.VERSION
    except (SignatureError, RecordError) as fault:
        _LOG.warning("the session cannot be believed: %s", fault)
        cause = EndCause.EXPIRED
    if not isinstance(slots, Staging):
        slots.close()
    return cause


def _refuse(birth: Birth, store: Store, problem: VersionError) -> None:
    """Record why this worker does not join."""
    said = f"a worker of burst_magic {__version__} cannot join: its session was {problem.problem}"
    end = Gone(
        worker=birth.wid,
        cause=EndCause.VERSION,
        at=time.time(),
        token=birth.token,
        exit_code=ExitCode.REFUSED,
        detail=said,
    )
    _LOG.warning("%s", said)
    carrier = Carrier(store, birth.secret, slept, retry=_UNBORN)
    carrier.carry(fx.Create(keys.SessionKeys(birth.sid).gone(birth.wid), end))


def _manifest(birth: Birth, store: Store) -> Manifest:
    carrier, key = Carrier(store, birth.secret, slept, retry=_UNBORN), keys.SessionKeys(birth.sid).manifest
    return carrier.record(Manifest, key)


def fetch_key(store: Store, key: str) -> bytes:
    """Fetch the session's key, with retries while the store doesn't answer; a refusal is raised at once."""
    return Carrier(store, None, slept, retry=_UNBORN, give_up=(Denied,)).fetch(key)
