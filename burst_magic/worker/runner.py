"""A fork of a slot's process that runs tasks one after the other, until something is left that the next must not see.

Outcomes are handed out when it is sure that no task saw what another one changed: at once where there is nothing to
change, else after a look at the captured values and the modules (`picture`), which is taken so seldom that it costs a
twentieth of the time. If something has changed, what the first task since the last look gave still counts; the others
are run again, each in a fork of its own.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from time import monotonic

from burst_magic.worker.board import READY, Word
from burst_magic.worker.desk import Desk, Ledger, Run
from burst_magic.worker.execute import Stage
from burst_magic.worker.notes import Notes
from burst_magic.worker.picture import Picture
from burst_magic.worker.program import Program

_SHARE = 20  # a look may cost that fraction of the time between two of them
_HELD = 0.5  # seconds that outcomes may wait for one
_LONGEST = 0.1  # seconds that a look may take; where it takes longer a fork for each task is the better way


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a runner tells its keeper when it ends.

    Attributes:
        modules: what its tasks loaded; None: the keeper had better not load it, nor the captured values.
        alone: each task needs a process of its own.
    """

    modules: tuple[str, ...] | None
    alone: bool


class Runner:
    """Runs the tasks of one program.

    Args:
        desk: what there is to do.
        stage: where it is done.
        program: the job that is on.
        notes: where outcomes go.
        ledger: what the keeper has to know afterwards.
    """

    def __init__(self, desk: Desk, stage: Stage, program: Program, notes: Notes, ledger: Ledger) -> None:
        self._desk, self._stage, self._program = desk, stage, program
        self._notes, self._ledger = notes, ledger
        self._words, self._reals = notes.shared.words, notes.shared.reals
        self._modules = frozenset(sys.modules)
        self._alone = program.alone
        self._picture: Picture | None = None
        self._held: list[tuple[int, bytes, bool]] = []  # task, outcome, failed
        self._looked = 0.0  # when values were seen to be unchanged
        self._number = 0

    def run(self) -> None:
        """Works until its keeper has to go on."""
        self._stage.become_runner()
        words, desk = self._words, self._desk
        words[Word.RUNNER] = os.getpid()
        if not self._alone:
            self._picture = self._stage.picture(self._program)
            if self._picture is not None and self._picture.seconds > _LONGEST:
                self._alone = True
        while True:
            if desk.runs and words[Word.SENT] <= desk.handled:
                if desk.jobs[desk.runs[0].jid][1] is not self._program or self._do(desk.runs[0]):
                    return self._leave()
                continue
            if not desk.runs:
                words[Word.TASK] = 0
                self._notes.tell(READY, length=desk.handled)
            if not desk.receive(self._ledger):
                self._ledger.add(None)
                return None

    def _do(self, run: Run) -> bool:
        """The tasks of a run, until it ends or a message comes; True when this process must not run any other."""
        words, reals, stage = self._words, self._reals, self._stage
        words[Word.JOB] = self._number = self._desk.jobs[run.jid][0]
        words[Word.SERIAL], words[Word.NEXT] = run.serial, run.task
        alone = self._alone or run.alone
        while run.task < run.stop:
            task = run.task
            words[Word.TURN] += 1
            reals[Word.SINCE] = monotonic()
            words[Word.TASK] = task + 1
            words[Word.TURN] += 1
            failed, record = stage.perform(task, run.next())
            reals[Word.ENDED] = stage.ended
            run.task = task + 1
            if self._picture is None or alone:
                self._tell(task, record, failed=failed)
                if alone or stage.spoiled:
                    return self._end(run)
            else:
                self._held.append((task, record, failed))
                due = stage.ended - self._looked >= min(_SHARE * self._picture.seconds, _HELD)
                if (due or stage.spoiled or words[Word.SENT] > self._desk.handled) and not self._release(run):
                    return self._end(run)
                if stage.spoiled:
                    return self._end(run)
            if words[Word.SENT] > self._desk.handled:
                return False
        if self._held and not self._release(run):
            return self._end(run)
        self._desk.runs.popleft()
        return False

    def _release(self, run: Run) -> bool:
        """Hands out what is held, or of it what is sure; False when values have changed."""
        held, self._held = self._held, []
        changed = self._picture is not None and self._stage.changed(self._program, self._picture)
        for task, record, failed in held[:1] if changed else held:
            self._tell(task, record, failed=failed)
        if changed:
            run.task = held[0][0] + 1
            self._alone = True
        self._looked = monotonic()
        return not changed

    def _tell(self, task: int, record: bytes, *, failed: bool) -> None:
        self._reals[Word.PEAK] = self._stage.peak_mb
        self._notes.publish(self._number, record, failed=failed, ended=self._stage.ended)
        self._words[Word.NEXT] = task + 1

    def _end(self, run: Run) -> bool:
        """No task runs here any more."""
        self._words[Word.TASK] = 0
        self._words[Word.SERIAL], self._words[Word.NEXT] = run.serial, run.task
        return True

    def _leave(self) -> None:
        """The keeper goes on from here."""
        modules = tuple(name for name in sys.modules if name not in self._modules)
        self._ledger.add(Learnt(modules if _may_be_forked() else None, alone=self._alone))


def _may_be_forked() -> bool:
    """Whether what this process has loaded starts no threads that a fork of it would miss.

    Those that have the process's own name are of linear algebra, which knows about forks.
    """
    import threading

    if threading.active_count() > 1:
        return False
    try:
        names = set()
        for thread in os.listdir("/proc/self/task"):
            with contextlib.suppress(OSError), open(f"/proc/self/task/{thread}/comm", "rb") as file:
                names.add(file.read())
    except OSError:
        return True
    return len(names) <= 1
