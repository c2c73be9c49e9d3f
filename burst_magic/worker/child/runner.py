"""A fork of a slot's process that runs task after task, until one leaves state behind that the next must not see.

Outcomes are released once it is certain that no task saw another one's changes: at once if nothing can change,
otherwise after a comparison of captured values and modules (`changes`). Comparisons take at most a twentieth of the
time, or a sixth if values are large. If something has changed, the outcome of the first task since the last comparison
still counts; the others run again, each in its own fork.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

from burst_magic.dataclass import dataclass
from burst_magic.worker.channel.board import IMPORTED, READY, Word
from burst_magic.worker.channel.slot_channel import SlotChannel
from burst_magic.worker.child.execute import Stage
from burst_magic.worker.child.isolation.changes import ChangeDetector
from burst_magic.worker.child.isolation.descent import may_be_forked
from burst_magic.worker.child.program import Program
from burst_magic.worker.child.queue import MessageLog, SlotQueue, TaskRun

_SHARE = 20  # a comparison may take one part in so many of the time between two
_LONGEST_HELD = 0.5  # seconds that outcomes may wait for a comparison
_LONGEST = 0.1  # seconds that a comparison may take; above it, a fork per task is better

# Plain numbers: between two short tasks, looking up an enum member costs too much.
_SENT, _TURN, _TASK, _SINCE, _ENDED, _JOB = map(
    int, (Word.SENT, Word.TURN, Word.TASK, Word.SINCE, Word.ENDED, Word.JOB)
)
_SERIAL, _NEXT, _HELD, _PAUSED = map(int, (Word.SERIAL, Word.NEXT, Word.HELD, Word.PAUSED))


@dataclass(frozen=True, slots=True)
class RunnerReport:
    """A runner's report to its keeper when it exits.

    Attributes:
        jid: the active job.
        modules: modules that its tasks loaded; None if the keeper should not load them, nor the captured values.
        anew: captured values must be loaded for each task.
        alone: each task needs a process of its own.
    """

    jid: str
    modules: tuple[str, ...] | None
    anew: bool
    alone: bool


class Runner:
    """Runs tasks.

    Args:
        queue: the runs to do.
        stage: where tasks run.
        notes: takes the outcomes.
        log: messages and reports for the keeper.
    """

    def __init__(self, queue: SlotQueue, stage: Stage, notes: SlotChannel, log: MessageLog) -> None:
        self._queue, self._stage = queue, stage
        self._channel, self._log = notes, log
        self._words, self._reals = notes.shared.words, notes.shared.reals
        self._modules = frozenset(sys.modules)
        self._jid, self._number, self._pid = "", 0, 0
        self._program: Program | None = None
        self._detector: ChangeDetector | None = None
        self._held: list[tuple[int, bytes]] = []  # outcomes, each with its kind
        self._in_task = False
        self._looked = self._patience = 0.0  # time of the last comparison, and seconds until the next

    def run(self) -> None:
        """Work until the keeper must continue."""
        self._stage.become_runner(self._nudged)
        self._queue.become_runners()
        words, queue = self._words, self._queue
        words[Word.RUNNER] = self._pid = os.getpid()
        while True:
            if queue.runs and words[_SENT] <= queue.handled and not queue.pauses:
                if self._do(queue.runs[0]):
                    return self._leave()
                continue
            if not queue.runs:
                words[_TASK] = 0
                self._channel.tell(READY, length=queue.handled)
            elif queue.pauses:
                words[_TASK], words[_PAUSED] = 0, 1
            if not queue.receive(self._log):
                self._log.add(None)
                return None
            words[_PAUSED] = 0

    def _enter(self, run: TaskRun) -> Program:
        """Activate a run's job; its first task accounts for the time that takes, and for a death."""
        self._number, program = self._queue.jobs[run.jid]
        if program is not self._program and run.task < run.stop:
            self._begin(run.task)
            self._jid, self._program, self._detector, self._patience = run.jid, program, None, 0.0
            self._stage.enter(program)
            if not (program.alone or run.alone):
                self._detector = self._stage.detector(program)
                if self._detector is not None and self._detector.seconds > _LONGEST:
                    program.alone = True
        return program

    def _begin(self, task: int) -> None:
        """Start a task's time."""
        words, turn = self._words, self._words[_TURN]
        words[_TURN] = turn + 1
        self._reals[_SINCE] = monotonic()
        words[_JOB], words[_TASK] = self._number, task + 1
        words[_TURN] = turn + 2

    def _do(self, run: TaskRun) -> bool:
        """Run tasks until the run ends or a message comes; True if this process must not run another task."""
        words, reals, stage, handled = self._words, self._reals, self._stage, self._queue.handled
        imports = stage.imports
        program = self._enter(run)
        words[_SERIAL] = run.serial
        alone = program.alone or run.alone
        at_once = alone or self._detector is None
        turn, held = words[_TURN], self._held
        while run.task < run.stop:
            task = run.task
            words[_TURN] = turn + 1
            reals[_SINCE] = monotonic()
            words[_TASK] = task + 1
            words[_TURN] = turn = turn + 2
            self._in_task = True
            outcome = stage.perform(task, run.next())
            self._in_task = False
            reals[_ENDED] = stage.ended
            run.task = task + 1
            if imports.new:
                self._tell_imports()
            news = words[_SENT] > handled
            if at_once:
                self._channel.publish(self._number, (outcome,), ended=stage.ended)
            else:
                if not held:
                    words[_NEXT], words[_HELD] = task, 1
                held.append(outcome)
                due = news or stage.spoiled or stage.ended - self._looked >= self._patience
                if due and not self._release(program, run):
                    return True
            if alone or stage.spoiled:
                return True
            if news:
                return False
        if held and not self._release(program, run):
            return True
        if run.task >= run.end:
            self._queue.runs.popleft()
        return False

    def _tell_imports(self) -> None:
        """Before the outcome: its job may be over once that is read."""
        names = "\n".join(self._stage.imports.news()).encode()
        self._channel.tell(IMPORTED, length=len(names), record=names)

    def _release(self, program: Program, run: TaskRun) -> bool:
        """Send the held outcomes; if values have changed, only the first, and return False."""
        held, detector, words = self._held, self._detector, self._words
        changed = detector is not None and detector.changed()
        self._stage.pause()
        words[_HELD] = 0  # first: if this process dies within a message, no other may write after it
        self._channel.publish(self._number, held[:1] if changed else held, ended=self._stage.ended)
        held.clear()
        if changed:
            run.task = words[_NEXT] + 1
            _give_up(program)
        elif detector is not None:
            self._patience = min(_SHARE * detector.seconds, _LONGEST_HELD)
        self._looked = monotonic()
        return not changed

    def _nudged(self, *_: object) -> None:
        """Send the outcomes that wait behind a long task, if nothing has changed so far."""
        if not self._in_task or not self._held or os.getpid() != self._pid or self._detector is None:
            return
        self._in_task = False  # ignore another nudge meanwhile
        try:
            if not self._detector.changed():
                self._words[_HELD] = 0
                self._channel.publish(self._number, self._held, ended=monotonic())
                self._held.clear()
        finally:
            self._in_task = True

    def _leave(self) -> None:
        """Hand over to the keeper."""
        words, queue, program = self._words, self._queue, self._program
        words[_TASK] = 0
        words[_SERIAL], words[_NEXT] = queue.serial, queue.runs[0].task if queue.runs else 0
        if program is not None:
            modules = tuple(name for name in sys.modules if name not in self._modules)
            known = modules if may_be_forked() else None
            self._log.add(RunnerReport(self._jid, known, anew=program.anew, alone=program.alone))


def _give_up(program: Program) -> None:
    """Tasks can no longer share values: load them for each task, or fork for each task."""
    if program.job.fresh and not program.anew:
        program.anew = True
    else:
        program.alone = True
