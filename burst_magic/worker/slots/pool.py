"""All slots of a worker: feed, read, stop and replace them, and return events.

Called by the supervisor's loop; never blocks, never calls back.
"""

from __future__ import annotations

import contextlib
import selectors
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError, LaunchError
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire.model import Manifest, Outcome, OutcomeKind, SegmentKey, SlotView
from burst_magic.protocol.wire.records import PackedRun, pack_outcome, unpack_outcome, without_value
from burst_magic.protocol.worker.ledger import Ledger
from burst_magic.protocol.worker.publishing import MAX_HELD
from burst_magic.worker.channel.board import JobCode
from burst_magic.worker.forkserver import Template
from burst_magic.worker.slots.deaths import cause_of
from burst_magic.worker.slots.items import AskedTasks
from burst_magic.worker.slots.mask import Mask
from burst_magic.worker.slots.preparation import Ground, Plans, Preparation
from burst_magic.worker.slots.slot import Died, PackedOutcomes, Ready, Slot, death_outcome
from burst_magic.worker.supply.courier import Broken
from burst_magic.worker.supply.files import JobFiles
from burst_magic.worker.supply.supply import Items, JobWork, Supply, no_room

_LIVE = 4096  # characters of each slot's output in a heartbeat
_AHEAD = 2  # items blocks kept ready for a slot
_MOST_HELD = 4 * MAX_HELD  # bytes of outcomes waiting for the store; above it slots wait too
_UNBORN = 3  # slot processes that may die while they load one job
_LOST = "a task, or somebody else, killed the process that its own was forked from"
_STILLBORN = 20  # consecutive deaths before a slot was ready


class ForkServerLost(Broken):
    """The template is gone, and all slots with it: if it was a task's deed, that task ends workers."""


@contextlib.contextmanager
def _forked() -> Iterator[None]:
    """A template that takes no requests is gone; its slots may be seen to die first."""
    try:
        yield
    except LaunchError:
        raise ForkServerLost(_LOST) from None


@dataclass(slots=True)
class _Occupant:
    """The current process of a slot."""

    slot: Slot
    served: str = ""  # the only job that it loads
    ground: Ground | None = None  # of that job
    preparation: Preparation | None = None
    heeded: bool = True  # its messages are read
    heard: tuple[str, bytes] = ("", b"")  # job and record, without the value, of its last outcome with output


class SlotPool:
    """The slots of one worker.

    Args:
        manifest: the session.
        supply: fetches what they need from the store.
        selector: the supervisor's; waits for them too.
    """

    def __init__(self, manifest: Manifest, *, supply: Supply, selector: selectors.BaseSelector) -> None:
        self._manifest, self._supply, self._selector = manifest, supply, selector
        self._template: Template | None = None
        self._mask = Mask(manifest.setenv)
        self._ledger = Ledger[PackedRun, JobFiles](manifest.slots)
        self._processes: dict[int, _Occupant] = {}
        self._stillborn = 0
        self._plans = Plans()

    def open(self, template: Template) -> None:
        """Start all slots; ``template`` forks them."""
        self._template = template
        for number in range(self._manifest.slots):
            self._open(number, template)

    def _open(self, number: int, template: Template) -> None:
        with _forked():
            slot = template.slot(number, limit_mb=self._manifest.memory_limit_mb)
        self._processes[number] = _Occupant(slot=slot)
        self._selector.register(slot.fileno(), selectors.EVENT_READ)

    # --- what can be seen ----------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Some slot has work, or unread messages."""
        return self._ledger.busy or not all(process.heeded for process in self._processes.values())

    def outcomes(self, job: str, segment: SegmentKey) -> list[PackedRun]:
        """The outcomes of a segment."""
        return self._ledger.outcomes(job, segment)

    def slot_of(self, job: str, segment: SegmentKey) -> int:
        """The slot that ran a segment's tasks."""
        return self._ledger.slot_of(job, segment)

    def views(self, wall: Callable[[float], float]) -> tuple[SlotView, ...]:
        """The state of each slot, for the heartbeat; ``wall`` converts our monotonic time to the store's."""
        return tuple(self._view(process, wall) for process in self._processes.values())

    def _view(self, process: _Occupant, wall: Callable[[float], float]) -> SlotView:
        running = process.slot.now_running()
        if running is None:
            return SlotView(**self._said(process, "", None))
        job, task, since = running
        memory = process.slot.memory_mb()
        return SlotView(task=task, since=wall(since), memory_mb=memory, **self._said(process, job, task))

    def _said(self, process: _Occupant, job: str, task: int | None) -> dict[str, Any]:
        """Live output of a slot: the running task's, or if it has none, the latest of its job."""
        output = self._mask.tail(process.slot.tail, _LIVE) if task is not None else ""
        heard_of, record = process.heard
        if not output and record and job in {"", heard_of}:
            last = unpack_outcome(record, shown=False)
            job, task, output = heard_of, last.task, last.output[-_LIVE:]
        return {"job": job, "output": output, "printed_by": task} if output else {"job": job}

    # --- what the machine asks for ---------------------------------------------------------------------------

    def run(self, effect: fx.Run) -> None:
        """Run a range, or the next piece of one."""
        tasks = range(effect.start, effect.stop)
        self._fetch_more(effect.slot, self._ledger.begin(effect.slot, effect.job, effect.claim, tasks))

    def lose(self, effect: fx.Lose) -> None:
        """Report a task that killed its workers as lost; it is not run again."""
        only = range(effect.task, effect.task + 1)
        work = self._ledger.begin(effect.slot, effect.job, effect.claim, only, verdict=effect.message)
        self._fetch_more(effect.slot, work)

    def adopt(self, effect: fx.Adopt) -> None:
        """Continue a claim as its heir, with everything unpublished."""
        self._ledger.adopt(effect)

    def truncate(self, effect: fx.Truncate) -> None:
        """Start no task from there on."""
        work = self._ledger.truncate(effect)
        if work is not None:
            self._processes[effect.slot].slot.stop_at(work.job, work.stop)

    def pause(self, effect: fx.Pause) -> None:
        """Start no task from there on for now, or resume."""
        work, process = self._ledger.pause(effect), self._processes[effect.slot]
        if work is not None and work.job == process.served:
            process.slot.pause_at(work.job, effect.before)

    def forget(self, effect: fx.Forget) -> None:
        """Drop outcomes that are no longer needed here."""
        self._ledger.forget(effect)

    def drain(self, effect: fx.Drain) -> list[fx.Event]:
        """Finish the running task and start no other."""
        work, process = self._ledger.seats[effect.slot].work, self._processes[effect.slot]
        told = self._ledger.drain(effect.slot, runs=work is not None and work.job == process.served)
        if told is None and work is not None:
            process.slot.stop_at(work.job, 0)
        return told or []

    def kill(self, effect: fx.Kill) -> list[fx.Event]:
        """Abort even the running task and replace the process, unless it is paused and runs nothing."""
        work, slot = self._ledger.seats[effect.slot].work, self._processes[effect.slot].slot
        told = self._ledger.kill(effect.slot, rests=slot.pauses)
        if told is None:
            with _forked():
                slot.kill()
        elif told and work is not None:
            slot.stop_at(work.job, 0)
        return told or []

    def let_go(self, effect: fx.LetGo) -> None:
        """Drop a job that is over, and renew the slots that ran it; those that still run it, when they are ready."""
        self._supply.let_go(effect.job)
        for number in self._processes:
            self._leave(number)

    def _leave(self, number: int) -> None:
        """Renew an idle slot whose job is over: the next job finds a new process, and need not wait for it."""
        seat = self._ledger.seats[number]
        if seat.work is None and not seat.ending and self._supply.is_over(self._processes[number].served):
            ground, imported = self._processes[number].ground, self._processes[number].slot.imported
            self._renew(number)
            self._processes[number].preparation = self._plans.of(ground, imported)

    def _renew(self, number: int) -> None:
        """Replace the process: the next job must not see what this one's tasks left in modules and libraries."""
        process = self._processes[number]
        self._heed(process, heeded=False)
        process.slot.close()
        if self._template is not None:
            self._open(number, self._template)
        self._processes[number].heard = process.heard

    # --- feeding ---------------------------------------------------------------------------------------------

    def _fetch_more(self, number: int, work: JobWork) -> None:
        if work.hungry:
            self._supply.order(number, work)

    def feed(self, items: Items) -> list[fx.Event]:
        """Handle fetched items for a slot, or the failure to fetch them."""
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
                self._hand_over(self._loaded(number, work, items.files), items)
            except OSError as error:
                work.problem = no_room(error)
        return self._top_up(number, work, here)

    def _loaded(self, number: int, work: JobWork, files: JobFiles) -> _Occupant:
        """The slot's process, which has loaded the job; a new one if another job has left something in it."""
        process = self._processes[number]
        if process.served == work.job:
            return process
        code = self._supply.code(work.job, files, self._manifest.setenv)
        ground = Ground(JobCode(jid="", envelope=files.ground, setenv=code.setenv), files.modules)
        if process.served or (process.preparation is not None and not process.preparation.serves(ground)):
            self._renew(number)
            process = self._processes[number]
        process.slot.load(code)
        process.served, process.ground = work.job, ground
        return process

    def _hand_over(self, process: _Occupant, items: Items) -> None:
        work = items.work
        if items.entries is None:
            process.slot.run(work.job, work.fed, None, work.stop - work.fed, alone=work.alone, pause=work.pause)
            work.fed = work.stop
            return
        end = min(work.stop, items.first + len(items.entries))
        entries = items.entries.part(work.fed - items.first, end - items.first)
        process.slot.run(work.job, work.fed, entries, end - work.fed, alone=work.alone, pause=work.pause)
        work.fed = end

    def _top_up(self, number: int, work: JobWork, block: int = 1) -> list[fx.Event]:
        if work.problem is not None:
            return self._refuse(number, work, work.problem) if work.done >= work.fed else []
        if not self._ledger.seats[number].ending and work.fed - work.done < _AHEAD * block:
            self._fetch_more(number, work)
        return []

    def _refuse(self, number: int, work: JobWork, problem: BurstError) -> list[fx.Event]:
        """Fail all remaining tasks, because the job's bytes are missing or failed verification."""
        refused = tuple(range(work.done, work.stop))
        for task in refused:
            kind, error = OutcomeKind.ERROR, type(problem).__name__
            self._take_one(number, Outcome(task=task, kind=kind, error=error, message=str(problem)))
        return self._ledger.progress(number, refused)

    def _give_up(self, items: Items) -> list[fx.Event]:
        """Report the only task of this work as lost, with its item if that is plain."""
        work, task, text = items.work, items.work.done, ""
        if items.entries is not None:
            entry = items.entries.part(task - items.first, task - items.first + 1)
            text = AskedTasks(work.job, task, 1, entry).text(work.job, task)
        outcome = Outcome(task=task, kind=OutcomeKind.LOST, error="WorkerLost", message=work.verdict, item=text)
        self._take_one(items.slot, outcome)
        return self._ledger.progress(items.slot, (task,))

    # --- what slots say ----------------------------------------------------------------------------------------

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the slots; empty before ``open``. Pass on each slot's events before reading the next."""
        return tuple(self._processes)

    def read(self, number: int) -> list[fx.Event]:
        """Read a slot's messages. While too many outcomes wait for the store, only ending slots are read."""
        process, full = self._processes[number], self._ledger.waiting > _MOST_HELD
        self._heed(process, not full or bool(self._ledger.seats[number].ending) or process.slot.ended)
        return self._read(number) if process.heeded else []

    def _heed(self, process: _Occupant, heeded: bool) -> None:  # noqa: FBT001 - a new value, not a mode
        """A slot that is not read must not wake the loop; the time that its task waits doesn't count against it."""
        if heeded and not process.heeded:
            self._selector.register(process.slot.fileno(), selectors.EVENT_READ)
        elif process.heeded and not heeded:
            self._selector.unregister(process.slot.fileno())
        process.heeded = heeded

    def _read(self, number: int) -> list[fx.Event]:
        events: list[fx.Event] = []
        failed: list[int] = []
        took = False
        process = self._processes[number]
        with _forked():
            messages = process.slot.read()
        for message in messages:
            if self._processes[number] is not process:  # renewed when it was ready: the rest is of the old one
                break
            if isinstance(message, PackedOutcomes):
                work = self._ledger.seats[number].work
                if work is not None and message.jid == work.job and self._take(number, message.run, message.plain):
                    took = True
                    if message.failed:
                        failed.append(message.run.first)
                continue
            if took:  # a drained slot gives up its range when ready: report failures first
                events += self._progress(number, tuple(failed))
                took, failed = False, []
            events += self._ready(number) if isinstance(message, Ready) else self._died(number, message)
        if took:
            events += self._progress(number, tuple(failed))
        return events

    def _take(self, number: int, run: PackedRun, plain: bool) -> bool:  # noqa: FBT001 - a value, not a mode
        """Add the outcomes of its next tasks, and ignore others; returns False if there are none."""
        work = self._ledger.seats[number].work
        if work is None or plain:
            return self._ledger.take(number, run)
        run = replace(run, data=self._mask.record(run.data))
        taken = self._ledger.take(number, run)
        if taken:
            self._processes[number].heard = (work.job, without_value(run.data))
        return taken

    def _take_one(self, number: int, outcome: Outcome) -> None:
        """Add an outcome that no slot has reported."""
        self._take(number, PackedRun(first=outcome.task, count=1, data=pack_outcome(outcome)), plain=False)

    def _progress(self, number: int, failed: tuple[int, ...]) -> list[fx.Event]:
        work = self._ledger.seats[number].work
        events = self._ledger.progress(number, failed)
        if work is not None and not work.finished:
            events += self._top_up(number, work)
        return events

    def _ready(self, number: int) -> list[fx.Event]:
        """Handle a slot that has finished its orders."""
        self._stillborn = 0
        work, ending = self._ledger.seats[number].work, self._ledger.seats[number].ending
        if not ending and work is not None:
            self._fetch_more(number, work)
        events = self._ledger.ready(number)
        self._leave(number)
        self._prepare(number)
        return events

    def _prepare(self, number: int) -> None:
        """Let an idle slot import in advance, or note that it has."""
        seat, process = self._ledger.seats[number], self._processes[number]
        preparation = process.preparation
        if preparation is None or process.served or seat.work is not None:
            return
        preparation.ready = preparation.ordered
        if not preparation.ordered:
            preparation.ordered = True
            process.slot.prepare(preparation.code)

    def _died(self, number: int, died: Died) -> list[fx.Event]:
        """Give the running task an outcome, and continue the range in a new child."""
        made, done = self._processes[number].preparation, self._processes[number].slot.prepared
        unfit = self._plans.is_unfit(made, died, done)
        if not unfit:
            self._count_stillborn(died)
        seat, slot, events = self._ledger.seats[number], self._processes[number].slot, list[fx.Event]()
        self._selector.unregister(slot.fileno())
        slot.close()
        if seat.work is not None:
            events += self._blame(number, seat.work, died)
        if seat.ending:
            events += self._ledger.stopped(number)
        work = seat.work
        if work is not None:
            work.lose_slot()
            if not unfit:
                self._count_unborn(work, died)
        if self._template is not None:
            self._open(number, self._template)
            self._processes[number].preparation = self._plans.again(made) if unfit else None
        if work is not None and work.problem is not None:
            events += self._top_up(number, work)
        return events

    def _blame(self, number: int, work: JobWork, died: Died) -> list[fx.Event]:
        """Give the task that ended its process its outcome, or have each task watched by itself."""
        if died.distrusted:  # the task that did it may have ended
            outcome = death_outcome(replace(died, jid=work.job, task=work.done)) if work.alone else None
        else:
            outcome = death_outcome(died) if died.culprit == (work.job, work.done) else None
        if outcome is None:  # held outcomes of earlier tasks died with it
            work.alone = work.alone or died.distrusted or died.culprit is not None
            return []
        work.alone = work.alone or died.distrusted
        self._take_one(number, outcome)
        return self._progress(number, (work.done - 1,))

    def _count_stillborn(self, died: Died) -> None:
        self._stillborn = 0 if died.task is not None or died.distrusted else self._stillborn + 1
        if self._stillborn > _STILLBORN:
            raise Broken(f"slots exit before they accept work: {cause_of(died)[2]}")  # not its output

    def _count_unborn(self, work: JobWork, died: Died) -> None:
        """Give up a job that kills every process that loads it: no task is to blame, and it would never end."""
        if died.culprit is not None or died.killed or died.distrusted:
            return
        if died.exit_code == 0:  # it exited for a clean process
            return
        work.unborn += 1
        if work.unborn >= _UNBORN:
            work.problem = LaunchError(f"no slot could load this job: {cause_of(died)[2]}")

    @property
    def holding(self) -> bool:
        """Some slot is holding outcomes."""
        return any(process.slot.holds for process in self._processes.values())

    def nudge(self, now: float) -> None:
        """Ask slots in a long task for the outcomes that they hold; ``now`` by ``time.monotonic()``."""
        for process in self._processes.values():
            process.slot.nudge(now)

    def watch(self, now: float) -> None:
        """Enforce limits; ``now`` by ``time.monotonic()``."""
        if self._template is not None:
            if self._template.lost():
                raise ForkServerLost(_LOST)
            self._template.wake()
        for process in self._processes.values():
            with _forked():
                process.slot.enforce(now)
            process.slot.bound_output()
