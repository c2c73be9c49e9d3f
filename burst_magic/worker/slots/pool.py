"""All slots of a worker: they are fed, read, stopped and replaced here. The supervisor's loop calls; nothing blocks."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from burst_magic.errors import BurstError, LaunchError
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import blocks
from burst_magic.protocol.wire.model import ClaimKey, Manifest, Outcome, OutcomeKind, SegmentKey, SlotView
from burst_magic.protocol.wire.records import pack_outcome, says_something, unpack_outcome
from burst_magic.protocol.worker.publishing import MAX_HELD
from burst_magic.worker.forkserver import Template
from burst_magic.worker.slots.deaths import cause_of
from burst_magic.worker.slots.items import Asked
from burst_magic.worker.slots.mask import Mask
from burst_magic.worker.slots.slot import Died, Packed, Ready, Slot, death_outcome
from burst_magic.worker.slots.work import Work
from burst_magic.worker.supply.courier import Broken
from burst_magic.worker.supply.files import JobFiles
from burst_magic.worker.supply.supply import Items, Supply, no_room

_LIVE = 4096  # characters of output that a heartbeat carries for each slot
_AHEAD = 2  # items blocks kept ready for a slot
_MOST_HELD = 4 * MAX_HELD  # bytes of outcomes that wait for the store; above it slots wait too
_UNBORN = 3  # slots that may end while they load one job
_STILLBORN = 20  # deaths in a row without a word; tasks that end their process are told apart by what they did


@dataclass(slots=True)
class _State:
    slot: Slot
    work: Work | None = None
    loaded: set[str] = field(default_factory=set)
    ending: str = ""  # "", "drain", "kill"
    heeded: bool = True  # what it says is read
    heard: tuple[str, bytes] = ("", b"")  # job and last outcome that came with output


class Slots:
    """The slots of one worker.

    Args:
        template: forks them.
        manifest: the session.
        supply: what they need of the store.
        selector: waits for them, too.
        tell: takes what they do to the machine.
    """

    def __init__(
        self,
        template: Template,
        manifest: Manifest,
        *,
        supply: Supply,
        selector: selectors.BaseSelector,
        tell: Callable[[fx.Event], None],
    ) -> None:
        self._template, self._manifest, self._supply = template, manifest, supply
        self._selector, self._tell = selector, tell
        self._mask = Mask(manifest.setenv)
        self._states: dict[int, _State] = {}
        self._works: dict[tuple[str, ClaimKey], Work] = {}
        self._stillborn = 0

    def open(self) -> None:
        """Starts them all."""
        for number in range(self._manifest.slots):
            self._open(number)

    def _open(self, number: int) -> None:
        slot = self._template.slot(number, limit_mb=self._manifest.memory_limit_mb)
        self._states[number] = _State(slot=slot)
        self._selector.register(slot.fileno(), selectors.EVENT_READ)

    # --- what can be seen ----------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Some slot has something to do, or waits to be heard."""
        return any(state.work is not None or state.ending or not state.heeded for state in self._states.values())

    def outcomes(self, job: str, segment: SegmentKey) -> list[bytes]:
        """What a segment is to hold."""
        return self._works[job, segment.claim].chosen(segment.start, segment.stop)

    def views(self) -> tuple[SlotView, ...]:
        """What each slot does, for the heartbeat."""
        return tuple(self._view(state) for state in self._states.values())

    def _view(self, state: _State) -> SlotView:
        running = state.slot.now_running()
        if running is None:
            return SlotView(**self._said(state, "", None))
        job, task, since = running
        since_wall = time.time() - (time.monotonic() - since)
        memory = state.slot.memory_mb()
        return SlotView(task=task, since=since_wall, memory_mb=memory, **self._said(state, job, task))

    def _said(self, state: _State, job: str, task: int | None) -> dict[str, Any]:
        """The live output of a slot: the running task's, or while it is silent the last that was heard of its job."""
        output = self._mask.tail(state.slot.tail, _LIVE) if task is not None else ""
        heard_of, record = state.heard
        if not output and record and job in {"", heard_of}:
            last = unpack_outcome(record)
            job, task, output = heard_of, last.task, last.output[-_LIVE:]
        return {"job": job, "output": output, "printed_by": task} if output else {"job": job}

    # --- what the machine asks for ---------------------------------------------------------------------------

    def run(self, effect: fx.Run) -> None:
        """A range, or the next piece of one."""
        self._begin(effect.slot, effect.job, effect.claim, range(effect.start, effect.stop))

    def lose(self, effect: fx.Lose) -> None:
        """An outcome for a task that ended its workers, and is not run again."""
        only = range(effect.task, effect.task + 1)
        self._begin(effect.slot, effect.job, effect.claim, only, verdict=effect.message)

    def _begin(self, number: int, job: str, claim: ClaimKey, tasks: range, *, verdict: str = "") -> None:
        start = tasks.start
        work = Work(job=job, claim=claim, first=start, done=start, fed=start, stop=tasks.stop, verdict=verdict)
        self._works[job, claim] = self._states[number].work = work
        self._fetch_more(number, work)

    def adopt(self, effect: fx.Adopt) -> None:
        """A claim goes on as its heir, with all that is not yet published."""
        work = self._works.pop((effect.job, effect.claim), None)
        if work is not None:
            work.claim = effect.heir
            self._works[effect.job, effect.heir] = work

    def truncate(self, effect: fx.Truncate) -> None:
        """No task from there on."""
        state = self._states[effect.slot]
        if state.work is not None:
            work = state.work
            work.stop = min(work.stop, effect.stop)
            if work.pause is not None and work.pause >= work.stop:
                work.pause = None
            state.slot.stop_at(work.job, work.stop)

    def pause(self, effect: fx.Pause) -> None:
        """No task from there on for now, or go on."""
        state = self._states[effect.slot]
        work = self._works.get((effect.job, effect.claim))
        if work is not None and work is state.work and not work.finished and not state.ending:
            work.pause = effect.before
            if work.job in state.loaded:
                state.slot.pause_at(work.job, effect.before)

    def forget(self, effect: fx.Forget) -> None:
        """Outcomes that nobody needs here any more."""
        work = self._works.get((effect.job, effect.claim))
        if work is not None:
            work.forget(effect.upto)
            if work.first >= work.stop:
                del self._works[effect.job, effect.claim]

    def drain(self, effect: fx.Drain) -> None:
        """The running task and no other."""
        number, state = effect.slot, self._states[effect.slot]
        if state.ending:
            return
        state.ending = "drain"
        if state.work is None or state.work.job not in state.loaded:
            self._tell_stopped(number)
        else:
            state.slot.stop_at(state.work.job, 0)

    def kill(self, effect: fx.Kill) -> None:
        """Not even the running task; a new process takes the slot, unless it pauses and so runs nothing."""
        state = self._states[effect.slot]
        work = state.work
        if not state.ending and work is not None and work.paused and state.slot.pauses:
            state.slot.stop_at(work.job, 0)
            self._tell_stopped(effect.slot)
        elif state.ending != "kill":
            state.ending = "kill"
            state.slot.kill()

    def let_go(self, jid: str) -> None:
        """A job is over: nothing of it stays. Who runs it all the same is not disturbed, and lets go when ready."""
        self._supply.let_go(jid)
        for state in self._states.values():
            self._unload(state)

    def _unload(self, state: _State) -> None:
        running = None if state.work is None else state.work.job
        for jid in [jid for jid in state.loaded if jid != running and self._supply.is_over(jid)]:
            state.loaded.discard(jid)
            state.slot.unload(jid)

    # --- feeding ---------------------------------------------------------------------------------------------

    def _fetch_more(self, number: int, work: Work) -> None:
        if work.hungry:
            self._supply.order(number, work)

    def feed(self, items: Items) -> None:
        """What was ordered for a slot is here, or cannot be had."""
        number, work, state = items.slot, items.work, self._states[items.slot]
        work.fetching = False
        if state.work is not work or state.ending or work.fed >= work.stop:
            return
        here = 1 if items.entries is None else len(items.entries)
        if not items.first <= work.fed < items.first + here:  # the slot died meanwhile (law 2)
            self._fetch_more(number, work)
        elif work.verdict:
            self._give_up(items)
        elif items.files is None:
            work.problem = items.problem
            self._top_up(number, work)
        else:
            try:
                self._hand_over(state, items, items.files)
            except OSError as error:
                work.problem = no_room(error)
            self._top_up(number, work, here)

    def _hand_over(self, state: _State, items: Items, files: JobFiles) -> None:
        work = items.work
        if work.job not in state.loaded:
            state.slot.load(self._supply.code(work.job, files, self._manifest.setenv))
            state.loaded.add(work.job)
        if items.entries is None:
            state.slot.run(work.job, work.fed, None, work.stop - work.fed, alone=work.alone, pause=work.pause)
            work.fed = work.stop
            return
        end = min(work.stop, items.first + len(items.entries))
        chosen = items.entries[work.fed - items.first : end - items.first]
        entries = blocks.join_entries(chosen)
        state.slot.run(work.job, work.fed, entries, len(chosen), alone=work.alone, pause=work.pause)
        work.fed = end

    def _top_up(self, number: int, work: Work, block: int = 1) -> None:
        if work.problem is not None:
            if work.done >= work.fed:
                self._refuse(number, work, work.problem)
        elif not self._states[number].ending and work.fed - work.done < _AHEAD * block:
            self._fetch_more(number, work)

    def _refuse(self, number: int, work: Work, problem: BurstError) -> None:
        """The job's bytes cannot be believed or had: every task that is left says why, none is run."""
        refused = tuple(range(work.done, work.stop))
        for task in refused:
            kind, error = OutcomeKind.ERROR, type(problem).__name__
            self._take(number, task, pack_outcome(Outcome(task=task, kind=kind, error=error, message=str(problem))))
        self._tell_progress(number, refused)

    def _give_up(self, items: Items) -> None:
        """The one task of this work ended its workers: it is not run, only told, by its item where that is plain."""
        work, task, text = items.work, items.work.done, ""
        if items.entries is not None:
            entry = blocks.join_entries(items.entries[task - items.first :][:1])
            text = Asked(work.job, task, 1, entry).text(work.job, task)
        outcome = Outcome(task=task, kind=OutcomeKind.LOST, error="WorkerLost", message=work.verdict, item=text)
        self._take(items.slot, task, pack_outcome(outcome))
        self._tell_progress(items.slot, (task,))

    # --- what slots say ----------------------------------------------------------------------------------------

    def read(self) -> None:
        """Hears them all. While the store does not take what is here, those that go on wait in their pipes."""
        full = self._full()
        for number, state in list(self._states.items()):
            self._heed(state, not full or bool(state.ending) or state.slot.ended)
            if state.heeded and self._read(number):
                full = self._full()

    def _full(self) -> bool:
        """More outcomes wait for the store, and for nothing else, than memory is meant for.

        Ranges that wait for more to come must be heard. What was stopped does not count: its range may be another's
        by now, and then nobody ever publishes it.
        """
        return sum(work.held for work in self._works.values() if work.due and not work.stopped) > _MOST_HELD

    def _heed(self, state: _State, heeded: bool) -> None:  # noqa: FBT001 - a new value, not a mode
        """Who is not read must not wake the loop; its task's time does not run while it waits (``Slot.enforce``)."""
        if heeded and not state.heeded:
            self._selector.register(state.slot.fileno(), selectors.EVENT_READ)
        elif state.heeded and not heeded:
            self._selector.unregister(state.slot.fileno())
        state.heeded = heeded

    def _read(self, number: int) -> bool:
        """Hears one; whether it said anything."""
        state = self._states[number]
        messages = state.slot.read()
        failed: list[int] = []
        took = False
        for message in messages:
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
                self._ready(number)
            else:
                if took:
                    self._tell_progress(number, tuple(failed))
                self._died(number, message)
                return True
        if took:
            self._tell_progress(number, tuple(failed))
        return bool(messages)

    def _take(self, number: int, task: int, record: bytes) -> bool:
        """An outcome; anything but the next task of the range is not its business."""
        work = self._states[number].work
        if work is None or task != work.done or work.finished:
            return False
        record = self._mask.record(record)
        if says_something(record):
            self._states[number].heard = (work.job, record)
        work.take(record)
        return True

    def _tell_progress(self, number: int, failed: tuple[int, ...]) -> None:
        state = self._states[number]
        work = state.work
        if work is None:
            return
        self._tell(fx.Progress(number, work.job, work.claim, work.done, failed, work.held))
        if state.work is not work:  # the machine had more for it at once
            return
        if work.finished:
            state.work = None
        else:
            self._top_up(number, work)

    def _tell_stopped(self, number: int) -> None:
        state = self._states[number]
        work, state.work, state.ending = state.work, None, ""
        if work is not None:
            work.stop, work.stopped, work.files = work.done, True, None
            if not work.records:  # nobody will ask for it, nor say that it may go
                self._works.pop((work.job, work.claim), None)
            self._tell(fx.Stopped(number, work.job, work.claim, work.done))

    def _ready(self, number: int) -> None:
        """It has done all that it was asked."""
        self._stillborn = 0
        state = self._states[number]
        if state.ending == "kill":  # said before it heard of that: what it took now would die with it
            return
        if state.ending == "drain":
            self._tell_stopped(number)
        elif state.work is None:
            self._unload(state)
            self._tell(fx.SlotReady(number))
        else:
            self._fetch_more(number, state.work)

    def _died(self, number: int, died: Died) -> None:
        """The task that ran has an outcome; the rest of the range goes on in a new child."""
        self._stillborn += 1
        if self._stillborn > _STILLBORN:
            raise Broken(f"slots end before they can take work: {cause_of(died)[2]}")  # what it printed is no cause
        state = self._states[number]
        self._selector.unregister(state.slot.fileno())
        state.slot.close()
        work = state.work
        if died.culprit is not None and work is not None:
            if died.culprit == (work.job, work.done):
                self._take(number, work.done, pack_outcome(death_outcome(died)))
                self._tell_progress(number, (work.done - 1,))
            else:  # outcomes of tasks before it were held back, and went with it
                work.alone = True
        if state.ending:
            self._tell_stopped(number)
        work = state.work
        if work is not None:
            work.lose_slot()
            self._count_unborn(work, died)
        self._open(number)
        self._states[number].work = work
        if work is not None and work.problem is not None:
            self._top_up(number, work)

    def _count_unborn(self, work: Work, died: Died) -> None:
        """A job that ends every process that loads it is no task's fault, and would keep the slot busy for ever."""
        if died.culprit is not None or died.killed or died.exit_code == 0:  # 0: it made room for a clean one
            return
        work.unborn += 1
        if work.unborn >= _UNBORN:
            work.problem = LaunchError(f"no slot could load this job: {cause_of(died)[2]}")

    @property
    def holding(self) -> bool:
        """Some slot holds outcomes back."""
        return any(state.slot.holds for state in self._states.values())

    def nudge(self, now: float) -> None:
        """Asks slots whose task takes long for outcomes that they hold back; ``now`` by ``time.monotonic()``."""
        for state in self._states.values():
            state.slot.nudge(now)

    def watch(self, now: float) -> None:
        """Limits are enforced; ``now`` by ``time.monotonic()``."""
        if self._template.lost():
            raise Broken("the process that starts slots has died")
        for state in self._states.values():
            state.slot.enforce(now)
            state.slot.bound_output()
