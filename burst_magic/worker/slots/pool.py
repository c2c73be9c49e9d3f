"""All slots of a worker: feed, read, stop and replace them, and return events.

Called by the supervisor's loop; never blocks, never calls back.
"""

from __future__ import annotations

import selectors
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from burst_magic.errors import BurstError, LaunchError
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import blocks
from burst_magic.protocol.wire.model import Manifest, Outcome, OutcomeKind, SegmentKey, SlotView
from burst_magic.protocol.wire.records import pack_outcome, says_something, unpack_outcome
from burst_magic.protocol.worker.ledger import Ledger
from burst_magic.protocol.worker.publishing import MAX_HELD
from burst_magic.worker.forkserver import Template
from burst_magic.worker.slots.deaths import cause_of
from burst_magic.worker.slots.items import AskedTasks
from burst_magic.worker.slots.mask import Mask
from burst_magic.worker.slots.slot import Died, PackedOutcome, Ready, Slot, death_outcome
from burst_magic.worker.supply.courier import Broken
from burst_magic.worker.supply.files import JobFiles
from burst_magic.worker.supply.supply import Items, JobWork, Supply, no_room

_LIVE = 4096  # characters of output that a heartbeat carries for each slot
_AHEAD = 2  # items blocks kept ready for a slot
_MOST_HELD = 4 * MAX_HELD  # bytes of outcomes that wait for the store; above it slots wait too
_UNBORN = 3  # slots that may end while they load one job
_STILLBORN = 20  # deaths in a row without a word; tasks that end their process are told apart by what they did


@dataclass(slots=True)
class _Occupant:
    """The current process of a slot."""

    slot: Slot
    loaded: set[str] = field(default_factory=set)
    served: str = ""  # the only job whose tasks it runs
    heeded: bool = True  # what it says is read
    heard: tuple[str, bytes] = ("", b"")  # job and last outcome that came with output


class SlotPool:
    """The slots of one worker.

    Args:
        manifest: the session.
        supply: what they need of the store.
        selector: waits for them, too.
    """

    def __init__(self, manifest: Manifest, *, supply: Supply, selector: selectors.BaseSelector) -> None:
        self._manifest, self._supply, self._selector = manifest, supply, selector
        self._template: Template | None = None
        self._mask = Mask(manifest.setenv)
        self._ledger = Ledger[bytes, JobFiles](manifest.slots)
        self._processes: dict[int, _Occupant] = {}
        self._stillborn = 0

    def open(self, template: Template) -> None:
        """Starts them all; ``template`` forks them."""
        self._template = template
        for number in range(self._manifest.slots):
            self._open(number, template)

    def _open(self, number: int, template: Template) -> None:
        slot = template.slot(number, limit_mb=self._manifest.memory_limit_mb)
        self._processes[number] = _Occupant(slot=slot)
        self._selector.register(slot.fileno(), selectors.EVENT_READ)

    # --- what can be seen ----------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Some slot has something to do, or waits to be heard."""
        return self._ledger.busy or not all(process.heeded for process in self._processes.values())

    def outcomes(self, job: str, segment: SegmentKey) -> list[bytes]:
        """What a segment is to hold."""
        return self._ledger.outcomes(job, segment)

    def slot_of(self, job: str, segment: SegmentKey) -> int:
        """Which slot made them."""
        return self._ledger.slot_of(job, segment)

    def views(self, wall: Callable[[float], float]) -> tuple[SlotView, ...]:
        """What each slot does, for the heartbeat; ``wall`` makes the store's time of our monotonic one."""
        return tuple(self._view(process, wall) for process in self._processes.values())

    def _view(self, process: _Occupant, wall: Callable[[float], float]) -> SlotView:
        running = process.slot.now_running()
        if running is None:
            return SlotView(**self._said(process, "", None))
        job, task, since = running
        memory = process.slot.memory_mb()
        return SlotView(task=task, since=wall(since), memory_mb=memory, **self._said(process, job, task))

    def _said(self, process: _Occupant, job: str, task: int | None) -> dict[str, Any]:
        """The live output of a slot: the running task's, or while it is silent the last that was heard of its job."""
        output = self._mask.tail(process.slot.tail, _LIVE) if task is not None else ""
        heard_of, record = process.heard
        if not output and record and job in {"", heard_of}:
            last = unpack_outcome(record)
            job, task, output = heard_of, last.task, last.output[-_LIVE:]
        return {"job": job, "output": output, "printed_by": task} if output else {"job": job}

    # --- what the machine asks for ---------------------------------------------------------------------------

    def run(self, effect: fx.Run) -> None:
        """A range, or the next piece of one."""
        tasks = range(effect.start, effect.stop)
        self._fetch_more(effect.slot, self._ledger.begin(effect.slot, effect.job, effect.claim, tasks))

    def lose(self, effect: fx.Lose) -> None:
        """An outcome for a task that ended its workers, and is not run again."""
        only = range(effect.task, effect.task + 1)
        work = self._ledger.begin(effect.slot, effect.job, effect.claim, only, verdict=effect.message)
        self._fetch_more(effect.slot, work)

    def adopt(self, effect: fx.Adopt) -> None:
        """Continue a claim as its heir, with everything unpublished."""
        self._ledger.adopt(effect)

    def truncate(self, effect: fx.Truncate) -> None:
        """No task from there on."""
        work = self._ledger.truncate(effect)
        if work is not None:
            self._processes[effect.slot].slot.stop_at(work.job, work.stop)

    def pause(self, effect: fx.Pause) -> None:
        """No task from there on for now, or go on."""
        work, process = self._ledger.pause(effect), self._processes[effect.slot]
        if work is not None and work.job in process.loaded:
            process.slot.pause_at(work.job, effect.before)

    def forget(self, effect: fx.Forget) -> None:
        """Drop outcomes that are no longer needed here."""
        self._ledger.forget(effect)

    def drain(self, effect: fx.Drain) -> list[fx.Event]:
        """The running task and no other."""
        work, process = self._ledger.seats[effect.slot].work, self._processes[effect.slot]
        told = self._ledger.drain(effect.slot, runs=work is not None and work.job in process.loaded)
        if told is None and work is not None:
            process.slot.stop_at(work.job, 0)
        return told or []

    def kill(self, effect: fx.Kill) -> list[fx.Event]:
        """Not even the running task; a new process takes the slot, unless it pauses and so runs nothing."""
        work, slot = self._ledger.seats[effect.slot].work, self._processes[effect.slot].slot
        told = self._ledger.kill(effect.slot, rests=slot.pauses)
        if told is None:
            slot.kill()
        elif told and work is not None:
            slot.stop_at(work.job, 0)
        return told or []

    def let_go(self, effect: fx.LetGo) -> None:
        """A job is over: nothing of it stays. Who runs it all the same is not disturbed, and lets go when ready."""
        self._supply.let_go(effect.job)
        for number in self._processes:
            self._unload(number)

    def _renew(self, number: int) -> None:
        """Replace the process: this job must not see what another job's tasks left in modules and libraries."""
        process = self._processes[number]
        self._heed(process, heeded=False)
        process.slot.close()
        if self._template is not None:
            self._open(number, self._template)
        self._processes[number].heard = process.heard

    def _unload(self, number: int) -> None:
        work, process = self._ledger.seats[number].work, self._processes[number]
        running = None if work is None else work.job
        for jid in [jid for jid in process.loaded if jid != running and self._supply.is_over(jid)]:
            process.loaded.discard(jid)
            process.slot.unload(jid)

    # --- feeding ---------------------------------------------------------------------------------------------

    def _fetch_more(self, number: int, work: JobWork) -> None:
        if work.hungry:
            self._supply.order(number, work)

    def feed(self, items: Items) -> list[fx.Event]:
        """What was ordered for a slot is here, or cannot be had."""
        number, work, seat = items.slot, items.work, self._ledger.seats[items.slot]
        work.fetching = False
        if seat.work is not work or seat.ending or work.fed >= work.stop:
            return []
        here = 1 if items.entries is None else len(items.entries)
        if not items.first <= work.fed < items.first + here:  # the slot died meanwhile (law 2)
            self._fetch_more(number, work)
            return []
        if work.verdict:
            return self._give_up(items)
        if items.files is None:
            work.problem = items.problem
        else:
            try:
                if self._processes[number].served not in {"", work.job}:
                    self._renew(number)
                self._hand_over(self._processes[number], items, items.files)
            except OSError as error:
                work.problem = no_room(error)
        return self._top_up(number, work, here)

    def _hand_over(self, process: _Occupant, items: Items, files: JobFiles) -> None:
        work = items.work
        process.served = work.job
        if work.job not in process.loaded:
            process.slot.load(self._supply.code(work.job, files, self._manifest.setenv))
            process.loaded.add(work.job)
        if items.entries is None:
            process.slot.run(work.job, work.fed, None, work.stop - work.fed, alone=work.alone, pause=work.pause)
            work.fed = work.stop
            return
        end = min(work.stop, items.first + len(items.entries))
        chosen = items.entries[work.fed - items.first : end - items.first]
        entries = blocks.join_entries(chosen)
        process.slot.run(work.job, work.fed, entries, len(chosen), alone=work.alone, pause=work.pause)
        work.fed = end

    def _top_up(self, number: int, work: JobWork, block: int = 1) -> list[fx.Event]:
        if work.problem is not None:
            return self._refuse(number, work, work.problem) if work.done >= work.fed else []
        if not self._ledger.seats[number].ending and work.fed - work.done < _AHEAD * block:
            self._fetch_more(number, work)
        return []

    def _refuse(self, number: int, work: JobWork, problem: BurstError) -> list[fx.Event]:
        """The job's bytes cannot be believed or had: every task that is left says why, none is run."""
        refused = tuple(range(work.done, work.stop))
        for task in refused:
            kind, error = OutcomeKind.ERROR, type(problem).__name__
            self._take(number, task, pack_outcome(Outcome(task=task, kind=kind, error=error, message=str(problem))))
        return self._ledger.progress(number, refused)

    def _give_up(self, items: Items) -> list[fx.Event]:
        """The one task of this work ended its workers: it is not run, only told, by its item where that is plain."""
        work, task, text = items.work, items.work.done, ""
        if items.entries is not None:
            entry = blocks.join_entries(items.entries[task - items.first :][:1])
            text = AskedTasks(work.job, task, 1, entry).text(work.job, task)
        outcome = Outcome(task=task, kind=OutcomeKind.LOST, error="WorkerLost", message=work.verdict, item=text)
        self._take(items.slot, task, pack_outcome(outcome))
        return self._ledger.progress(items.slot, (task,))

    # --- what slots say ----------------------------------------------------------------------------------------

    @property
    def numbers(self) -> tuple[int, ...]:
        """The slots, to be read one by one: what one says is told before the next is heard. None before they open."""
        return tuple(self._processes)

    def read(self, number: int) -> list[fx.Event]:
        """What a slot has said. While the store does not take what is here, those that go on wait in their pipes."""
        process, full = self._processes[number], self._ledger.waiting > _MOST_HELD
        self._heed(process, not full or bool(self._ledger.seats[number].ending) or process.slot.ended)
        return self._read(number) if process.heeded else []

    def _heed(self, process: _Occupant, heeded: bool) -> None:  # noqa: FBT001 - a new value, not a mode
        """Who is not read must not wake the loop; its task's time does not run while it waits (``Slot.enforce``)."""
        if heeded and not process.heeded:
            self._selector.register(process.slot.fileno(), selectors.EVENT_READ)
        elif process.heeded and not heeded:
            self._selector.unregister(process.slot.fileno())
        process.heeded = heeded

    def _read(self, number: int) -> list[fx.Event]:
        events: list[fx.Event] = []
        failed: list[int] = []
        took = False
        for message in self._processes[number].slot.read():
            if isinstance(message, PackedOutcome):
                work = self._ledger.seats[number].work
                if work is not None and message.jid == work.job and self._take(number, message.task, message.record):
                    took = True
                    if message.failed:
                        failed.append(message.task)
                continue
            if took:  # a drained slot forgets its range when it is ready: its failures are told first
                events += self._progress(number, tuple(failed))
                took, failed = False, []
            events += self._ready(number) if isinstance(message, Ready) else self._died(number, message)
        if took:
            events += self._progress(number, tuple(failed))
        return events

    def _take(self, number: int, task: int, record: bytes) -> bool:
        """An outcome; anything but the next task of the range is not its business."""
        work = self._ledger.seats[number].work
        if work is None:
            return False
        record = self._mask.record(record)
        taken = self._ledger.take(number, task, record)
        if taken and says_something(record):
            self._processes[number].heard = (work.job, record)
        return taken

    def _progress(self, number: int, failed: tuple[int, ...]) -> list[fx.Event]:
        work = self._ledger.seats[number].work
        events = self._ledger.progress(number, failed)
        if work is not None and not work.finished:
            events += self._top_up(number, work)
        return events

    def _ready(self, number: int) -> list[fx.Event]:
        """It has done all that it was asked."""
        self._stillborn = 0
        work, ending = self._ledger.seats[number].work, self._ledger.seats[number].ending
        if not ending and work is None:
            self._unload(number)
        elif not ending and work is not None:
            self._fetch_more(number, work)
        return self._ledger.ready(number)

    def _died(self, number: int, died: Died) -> list[fx.Event]:
        """The running task gets an outcome; a new child continues the range."""
        self._stillborn += 1
        if self._stillborn > _STILLBORN:
            raise Broken(f"slots exit before they accept work: {cause_of(died)[2]}")  # what it printed is no cause
        seat, slot, events = self._ledger.seats[number], self._processes[number].slot, list[fx.Event]()
        self._selector.unregister(slot.fileno())
        slot.close()
        work = seat.work
        if died.culprit is not None and work is not None:
            if died.culprit == (work.job, work.done):
                self._take(number, work.done, pack_outcome(death_outcome(died)))
                events += self._progress(number, (work.done - 1,))
            else:  # outcomes of tasks before it were held back, and went with it
                work.alone = True
        if seat.ending:
            events += self._ledger.stopped(number)
        work = seat.work
        if work is not None:
            work.lose_slot()
            self._count_unborn(work, died)
        if self._template is not None:
            self._open(number, self._template)
        if work is not None and work.problem is not None:
            events += self._top_up(number, work)
        return events

    def _count_unborn(self, work: JobWork, died: Died) -> None:
        """A job that ends every process that loads it is no task's fault, and would keep the slot busy for ever."""
        if died.culprit is not None or died.killed or died.exit_code == 0:  # 0: it made room for a clean one
            return
        work.unborn += 1
        if work.unborn >= _UNBORN:
            work.problem = LaunchError(f"no slot could load this job: {cause_of(died)[2]}")

    @property
    def holding(self) -> bool:
        """Some slot holds outcomes back."""
        return any(process.slot.holds for process in self._processes.values())

    def nudge(self, now: float) -> None:
        """Asks slots whose task takes long for outcomes that they hold back; ``now`` by ``time.monotonic()``."""
        for process in self._processes.values():
            process.slot.nudge(now)

    def watch(self, now: float) -> None:
        """Limits are enforced; ``now`` by ``time.monotonic()``."""
        if self._template is not None and self._template.lost():
            raise Broken("the fork server has died")
        for process in self._processes.values():
            process.slot.enforce(now)
            process.slot.bound_output()
