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
from dataclasses import dataclass, field
from typing import Any

from burst_magic.errors import BurstError, StoreError
from burst_magic.protocol import blocks, keys
from burst_magic.protocol import effects as fx
from burst_magic.protocol.model import (
    ClaimKey,
    Control,
    EndCause,
    Gone,
    Heartbeat,
    Job,
    Manifest,
    Outcome,
    OutcomeKind,
    SlotView,
)
from burst_magic.protocol.log import DEAD_AFTER
from burst_magic.protocol.records import pack_outcome, says_something, unpack_outcome
from burst_magic.protocol.worker import WorkerMachine
from burst_magic.stores.base import Store
from burst_magic.stores.carry import Carrier
from burst_magic.worker.courier import Broken, Courier
from burst_magic.worker.job import JobFiles, Scratch
from burst_magic.worker.mask import Mask
from burst_magic.worker.slot import Died, JobCode, Packed, Ready, Slot, death_outcome
from burst_magic.worker.template import Template

_LOG = logging.getLogger(__name__)
_COALESCE = 0.002  # seconds: outcomes of tiny tasks are read together, not one wake-up each
_AT_ONCE = 1 << 20  # bytes of outcomes that are written to a folder without waiting for a thread
_LIVE = 4096  # characters of output that a heartbeat carries for each slot
_AHEAD = 2  # items blocks kept ready for a slot
_STILLBORN = 20  # deaths in a row without a word; tasks that end their process are told apart by what they did
_UNBORN = 120.0  # seconds in which its session must be found: without one it knows no deadline
_FAREWELL = 10.0  # seconds for its last words, at least
_TICK = 0.25  # seconds between looks at a busy slot, at most


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


@dataclass(slots=True)
class _Work:
    """A range while a slot runs it: which items it was given, which outcomes are not yet published."""

    job: str
    claim: ClaimKey
    done: int
    stop: int
    fed: int
    fetching: bool = False
    first: int = 0  # the task of records[0]
    records: list[bytes] = field(default_factory=list)
    held: int = 0


@dataclass(slots=True)
class _SlotState:
    slot: Slot
    work: _Work | None = None
    loaded: set[str] = field(default_factory=set)
    ending: str = ""  # "", "drain", "kill"
    heard: tuple[str, bytes] = ("", b"")  # job and last outcome that came with output


@dataclass(frozen=True, slots=True)
class _Fetched:
    """Items for a slot are here (entries None: the cell runs once), or the job cannot be had."""

    slot: int
    work: _Work
    first: int
    entries: list[memoryview] | None
    problem: BurstError | None = None


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
        self._at_hand = Carrier(store, birth.secret, _not_now) if store.path("manifest.json") else None
        self._scratch = Scratch()
        self._mask = Mask(manifest.setenv)
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
        self._courier: Courier[fx.Event | _Fetched] = Courier(self._carrier, self._stopping)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._courier.fileno(), selectors.EVENT_READ)
        self._slots: dict[int, _SlotState] = {}
        self._works: dict[tuple[str, ClaimKey], _Work] = {}
        self._jobs: dict[str, Job] = {}
        self._files: dict[str, JobFiles] = {}
        self._files_lock = threading.Lock()
        self._exit: EndCause | None = None
        self._deadline, self._farewell = manifest.deadline, float("inf")
        self._offset = time.time() - time.monotonic()  # the store's wall clock minus our monotonic one
        self._stillborn = 0
        self._tick = min(_TICK, max(0.01, manifest.floor / 2))
        self._watch_at = 0.0
        self._told: deque[fx.Event] = deque()
        self._stepping = False

    # --- the loop ----------------------------------------------------------------------------------------

    def run(self) -> EndCause:
        """Works until the machine says that it is over."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: self._courier.post(fx.Terminate()))
        signal.signal(signal.SIGUSR1, lambda *_: self._courier.post(fx.Poke()))
        try:
            for number in range(self._manifest.slots):
                self._open_slot(number)
            self._step(fx.Tick())
            while self._exit is None:
                self._turn()
            return self._exit
        finally:
            self._courier.close()
            self._template.close()  # and with it the slots, also when it is the template that was lost
            self._scratch.remove()

    def _turn(self) -> None:
        """Waits for something, then tells the machine."""
        now = time.monotonic()
        if now >= self._last_moment():
            _LOG.warning("cut off from the store: what is not published stays so")
            self._exit = EndCause.DEADLINE
            return
        wait = max(0.0, min(self._machine.wake, self._last_moment()) - now)
        if any(state.work is not None or state.ending for state in self._slots.values()):
            wait = min(wait, self._tick)  # outcomes of tiny tasks lie in shared memory and wake nobody
        ready = {key.fd for key, _ in self._selector.select(wait)}
        if self._courier.fileno() in ready:
            self._hear_courier()
        for number in list(self._slots):
            self._read_slot(number)
        now = time.monotonic()
        if now >= self._watch_at:
            self._watch_at = now + self._tick
            self._watch_slots(now)
        if now >= self._machine.wake:
            self._step(fx.Tick())
        if ready - {self._courier.fileno()} and self._exit is None:
            select.select([self._courier.fileno()], [], [], _COALESCE)

    def _last_moment(self) -> float:
        """When it goes although the store hears neither its results nor its farewell (law 5)."""
        patience = DEAD_AFTER * self._manifest.interval
        return min(self._farewell + max(patience, _FAREWELL), self._deadline - self._offset + patience)

    def _note_time(self, event: fx.Event) -> None:
        if isinstance(event, fx.Beaten) and event.offset is not None:
            self._offset = event.offset
        elif isinstance(event, fx.Got) and isinstance(event.record, Control):
            self._deadline = max(self._deadline, event.record.deadline or 0.0)

    def _note_farewell(self, effect: fx.Effect) -> None:
        if isinstance(effect, fx.Create) and isinstance(effect.record, Gone):
            self._farewell = time.monotonic()
        elif isinstance(effect, fx.Beat):  # it has come back, if it had gone
            self._farewell = float("inf")

    def _hear_courier(self) -> None:
        for event in self._courier.events():
            if isinstance(event, _Fetched):
                self._feed(event)
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
                if isinstance(event, fx.Got) and isinstance(event.record, Job):
                    self._jobs[event.record.jid] = event.record
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
            self._courier.call(lambda: self._courier.beat(effect.key, body))
        elif isinstance(effect, fx.Run):
            self._run(effect)
        elif isinstance(effect, fx.Publish):
            self._publish(effect)
        elif isinstance(effect, fx.Truncate):
            self._truncate(effect)
        elif isinstance(effect, fx.Drain | fx.Kill):
            self._stop_slot(effect.slot, "drain" if isinstance(effect, fx.Drain) else "kill")
        elif isinstance(effect, fx.Forget):
            self._forget(effect)
        elif isinstance(effect, fx.Exit):
            self._exit = effect.cause

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
        work = self._works[effect.job, effect.segment.claim]
        begin, end = effect.segment.start - work.first, effect.segment.stop - work.first
        chosen = work.records[begin:end]
        if self._at_hand is not None and work.held <= _AT_ONCE:
            published = self._courier.publish(self._manifest.sid, effect, chosen, carrier=self._at_hand)
            self._told.append(published)
        else:
            self._courier.call(lambda: self._courier.publish(self._manifest.sid, effect, chosen))

    def _heartbeat(self, effect: fx.Beat) -> Heartbeat:
        views = []
        for state in self._slots.values():
            running = state.slot.now_running()
            if running is None:
                views.append(SlotView(**self._said(state, "", None)))
                continue
            job, task, since = running
            since_wall = time.time() - (time.monotonic() - since)
            memory = state.slot.memory_mb()
            views.append(SlotView(task=task, since=since_wall, memory_mb=memory, **self._said(state, job, task)))
        return Heartbeat(
            worker=effect.worker,
            number=effect.number,
            at=time.time(),
            token=self._birth.token,
            handle=self._birth.handle,
            slots=tuple(views),
        )

    def _said(self, state: _SlotState, job: str, task: int | None) -> dict[str, Any]:
        """The live output of a slot: the running task's, or while it is silent the last that was heard of its job."""
        output = self._mask.text(state.slot.tail()) if task is not None else ""
        heard_of, record = state.heard
        if not output and record and job in {"", heard_of}:
            last = unpack_outcome(record)
            job, task, output = heard_of, last.task, last.output[-_LIVE:]
        return {"job": job, "output": output, "printed_by": task} if output else {"job": job}

    # --- running -----------------------------------------------------------------------------------------

    def _open_slot(self, number: int) -> None:
        slot = self._template.slot(number, limit_mb=self._manifest.memory_limit_mb)
        self._slots[number] = _SlotState(slot=slot)
        self._selector.register(slot.fileno(), selectors.EVENT_READ)

    def _run(self, effect: fx.Run) -> None:
        work = _Work(
            job=effect.job,
            claim=effect.claim,
            done=effect.start,
            stop=effect.stop,
            fed=effect.start,
            first=effect.start,
        )
        self._works[effect.job, effect.claim] = work
        self._slots[effect.slot].work = work
        self._fetch_more(effect.slot, work)

    def _fetch_more(self, number: int, work: _Work) -> None:
        if work.fetching or work.fed >= work.stop:
            return
        work.fetching, task = True, work.fed
        self._courier.call(lambda: self._fetch(number, work, task))

    def _fetch(self, number: int, work: _Work, task: int) -> _Fetched:
        """The payload when the job is new here, and the next items."""
        job = self._jobs[work.job]
        try:
            with self._files_lock:
                if job.jid not in self._files:
                    self._files[job.jid] = JobFiles(self._carrier, self._manifest.sid, job, self._scratch)
            if job.items is None:
                return _Fetched(number, work, task, None)
            first, entries = self._files[job.jid].entries(task)
        except BurstError as problem:
            return _Fetched(number, work, task, None, problem)
        return _Fetched(number, work, first, entries)

    def _feed(self, fetched: _Fetched) -> None:
        work, state = fetched.work, self._slots[fetched.slot]
        work.fetching = False
        if state.work is not work or state.ending or work.fed >= work.stop:
            return
        here = 1 if fetched.entries is None else len(fetched.entries)
        if not fetched.first <= work.fed < fetched.first + here:  # the slot died meanwhile (law 2)
            self._fetch_more(fetched.slot, work)
            return
        if fetched.problem is not None:
            self._refuse(fetched)
            return
        if work.job not in state.loaded:
            state.slot.load(self._code(work.job))
            state.loaded.add(work.job)
        if fetched.entries is None:
            state.slot.run(work.job, work.fed, None, work.stop - work.fed)
            work.fed = work.stop
            return
        end = min(work.stop, fetched.first + len(fetched.entries))
        chosen = fetched.entries[work.fed - fetched.first : end - fetched.first]
        state.slot.run(work.job, work.fed, blocks.join_entries(chosen), len(chosen))
        work.fed = end
        self._top_up(fetched.slot, state, len(fetched.entries))

    def _top_up(self, number: int, state: _SlotState, block: int = 1) -> None:
        work = state.work
        if work is not None and not state.ending and work.fed - work.done < _AHEAD * max(1, block):
            self._fetch_more(number, work)

    def _refuse(self, fetched: _Fetched) -> None:
        """The job's bytes cannot be believed or had: every task of the range says why, none is run."""
        work = fetched.work
        for task in range(work.done, work.stop):
            outcome = Outcome(
                task=task,
                kind=OutcomeKind.ERROR,
                error=type(fetched.problem).__name__,
                message=str(fetched.problem),
            )
            self._take(fetched.slot, task, pack_outcome(outcome))
        self._tell_progress(fetched.slot, tuple(range(work.stop - len(work.records), work.stop)))

    def _code(self, jid: str) -> JobCode:
        job, files = self._jobs[jid], self._files[jid]
        return JobCode(
            jid=jid,
            envelope=files.envelope_bytes,
            blobs=files.blobs,
            bundle=files.bundle,
            seed=job.seed,
            fresh=job.fresh,
            timeout=job.timeout,
            retries=job.retries,
            setenv=self._manifest.setenv,
        )

    def _read_slot(self, number: int) -> None:
        state = self._slots[number]
        failed: list[int] = []
        took = False
        for message in state.slot.read():
            if isinstance(message, Packed):
                if state.work is not None and message.jid == state.work.job:
                    taken = self._take(number, message.task, message.record)
                    took = took or taken
                    if taken and message.failed:
                        failed.append(message.task)
            elif isinstance(message, Ready):
                if took:  # a drained slot forgets its range when it is ready: its failures are told first
                    self._tell_progress(number, tuple(failed))
                    took, failed = False, []
                self._slot_ready(number)
            else:
                if took:
                    self._tell_progress(number, tuple(failed))
                self._slot_died(number, message)
                return
        if took:
            self._tell_progress(number, tuple(failed))

    def _take(self, number: int, task: int, record: bytes) -> bool:
        """An outcome; anything but the next task of the range is not its business."""
        work = self._slots[number].work
        if work is None or task != work.done or task >= work.stop:
            return False
        record = self._mask.record(record)
        if says_something(record):
            self._slots[number].heard = (work.job, record)
        work.records.append(record)
        work.held += len(record)
        work.done += 1
        return True

    def _tell_progress(self, number: int, failed: tuple[int, ...]) -> None:
        state = self._slots[number]
        work = state.work
        if work is None:
            return
        self._step(fx.Progress(number, work.job, work.claim, work.done, failed, work.held))
        if state.work is work and work.done >= work.stop:
            state.work = None
        else:
            self._top_up(number, state)

    def _forget(self, effect: fx.Forget) -> None:
        work = self._works.get((effect.job, effect.claim))
        if work is None:
            return
        cut = max(0, effect.upto - work.first)
        work.held -= sum(map(len, work.records[:cut]))
        del work.records[:cut]
        work.first += cut
        if work.first >= work.stop:
            del self._works[effect.job, effect.claim]

    # --- stopping, limits and deaths ----------------------------------------------------------------------

    def _truncate(self, effect: fx.Truncate) -> None:
        if effect.slot in self._slots and (work := self._slots[effect.slot].work) is not None:
            work.stop = min(work.stop, effect.stop)
            self._slots[effect.slot].slot.stop_at(work.job, work.stop)

    def _stop_slot(self, number: int, how: str) -> None:
        state = self._slots[number]
        if state.ending in {"kill", how}:
            return
        state.ending = how
        if how == "kill":
            state.slot.kill()
        elif state.work is None or state.work.job not in state.loaded:
            self._tell_stopped(number)
        else:
            state.slot.stop_at(state.work.job, 0)

    def _watch_slots(self, now: float) -> None:
        if self._template.lost():
            raise Broken("the process that starts slots has died")
        for state in self._slots.values():
            state.slot.enforce(now)
            state.slot.bound_output()

    def _tell_stopped(self, number: int) -> None:
        state = self._slots[number]
        work, state.work, state.ending = state.work, None, ""
        if work is not None:
            work.stop = work.done
            self._step(fx.Stopped(number, work.job, work.claim, work.done))

    def _slot_ready(self, number: int) -> None:
        """It has done all that it was asked."""
        self._stillborn = 0
        state = self._slots[number]
        if state.ending == "drain":
            self._tell_stopped(number)
        elif state.work is None:
            self._step(fx.SlotReady(number))
        else:
            self._fetch_more(number, state.work)

    def _slot_died(self, number: int, died: Died) -> None:
        """The task that ran has an outcome; the rest of the range goes on in a new child."""
        self._stillborn += 1
        if self._stillborn > _STILLBORN:
            raise Broken(f"slots end before they can take work: {died}")
        state = self._slots[number]
        self._selector.unregister(state.slot.fileno())
        state.slot.close()
        if died.culprit is not None and state.work is not None and died.culprit == (state.work.job, state.work.done):
            self._take(number, state.work.done, pack_outcome(death_outcome(died)))
            self._tell_progress(number, (state.work.done - 1,))
        if state.ending:
            self._tell_stopped(number)
        if state.work is not None:
            state.work.fed = state.work.done
        self._open_slot(number)
        self._slots[number].work = state.work


def join(birth: Birth, store: Store, template: Template) -> EndCause:
    """Joins the session and works until it is over; a session that is gone is no error."""
    key = keys.SessionKeys(birth.sid).manifest
    end = time.monotonic() + _UNBORN

    def pause(seconds: float) -> bool:
        time.sleep(seconds)
        return time.monotonic() < end

    carrier = Carrier(store, birth.secret, pause)
    got = carrier.carry(fx.Read(key, Manifest))
    manifest = got.record if isinstance(got, fx.Got) else None
    if not isinstance(manifest, Manifest):
        _LOG.warning("the session is gone: %s", birth.sid)
        template.close()
        return EndCause.EXPIRED
    return Supervisor(birth, template, store, manifest).run()


def _not_now(_: float) -> bool:
    """The loop does not wait to try again."""
    return False
