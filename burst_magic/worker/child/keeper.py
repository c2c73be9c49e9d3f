"""The process of one slot, forked by the template. It receives work and forks runners, which do it.

Leftovers of a task end with its runner. Every runner inherits this process's state unchanged: the job's modules and
captured values that are slow to load. It never runs a task itself. If a runner dies, this process dies in the same way,
so that the supervisor sees what happened to the task.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import resource
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

from burst_magic.payload import Envelope
from burst_magic.worker import family, prctl
from burst_magic.worker.channel.board import READY, JobCode, PrepareCode, Shared, Word
from burst_magic.worker.channel.slot_channel import SlotChannel
from burst_magic.worker.child.execute import Stage
from burst_magic.worker.child.isolation import registrations
from burst_magic.worker.child.output import OutputCapture
from burst_magic.worker.child.program import Program
from burst_magic.worker.child.queue import MessageLog, QueueState, SlotQueue, TaskRun
from burst_magic.worker.child.runner import Runner, RunnerReport
from burst_magic.worker.slots.deaths import BROKEN, RENEW

_OOM_SCORE = "900"  # when memory runs out, the system must kill a task, not the supervisor
_MIB_RSS = 1 / (1 << 20) if sys.platform == "darwin" else 1 / 1024


def warm_up() -> None:
    """Preload in the template what every slot needs."""
    envelope = Envelope(source="0", has_value=True, stream=b"")
    Program(JobCode(jid="", envelope=envelope.to_bytes()))
    registrations.lasting()  # it finds tables through the garbage collector, which does not see what is frozen


def main(control: socket.socket, notes: int, shared: Shared, output: int) -> None:
    """Main function of a slot. Never returns: below it is a copy of the template's stack."""
    status = BROKEN
    try:
        _become_slot()
        _Keeper(control, notes, shared, OutputCapture(output, shared)).run()
        status = 0
    except BaseException:  # noqa: BLE001 - printed in the output, which is part of the death
        traceback.print_exc()
    finally:
        _leave(status)


def _leave(status: int) -> NoReturn:
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def _become_slot() -> None:
    os.setsid()  # its own process group, so that everything a task starts can be killed with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write(_OOM_SCORE)
    sys.argv = [""]
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # type: ignore[misc] # noqa: SIM115 - the null device


class _Keeper:
    def __init__(self, control: socket.socket, notes: int, shared: Shared, capture: OutputCapture) -> None:
        faulthandler.enable(file=2)  # type: ignore[arg-type, unused-ignore] # a segfault shows its line in the output
        self._queue, self._shared, self._words, self._capture = SlotQueue(control), shared, shared.words, capture
        self._channel = SlotChannel(notes, shared)
        self._stage = Stage(capture, shared.reals, start_again=self._start_again)
        self._log = MessageLog(shared.words)
        self._on: Program | None = None

    def run(self) -> None:
        """Work until the supervisor closes the socket."""
        self._capture.collect()
        while True:
            if self._queue.prepare is not None:
                self._prepare(self._queue.prepare)
            if self._queue.runs and not self._queue.pauses:
                if not self._let_run(self._queue.runs[0]):
                    return
                continue
            self._words[Word.TASK], self._words[Word.PAUSED] = 0, self._queue.pauses
            if not self._queue.runs:
                self._channel.tell(READY, length=self._queue.handled)
            if not self._queue.receive():
                return
            self._words[Word.PAUSED] = 0

    def _prepare(self, code: PrepareCode) -> None:
        """Import modules in advance until a message comes; if a task might notice, make way for another process."""
        self._queue.prepare, words, handled = None, self._words, self._queue.handled
        if self._queue.jobs:  # it came with the order
            return

        def go_on(count: int) -> bool:
            words[Word.PREPARED] = count
            return words[Word.SENT] <= handled

        if not self._stage.prepare(Program(code.ground), code.modules, go_on):
            os._exit(RENEW)

    def _start_again(self) -> NoReturn:
        """Make way for a process that has imported nothing in advance; the running task starts again there."""
        self._words[Word.TASK] = self._words[Word.PREPARED] = 0
        os._exit(RENEW)

    def _let_run(self, run: TaskRun) -> bool:
        """Let a runner do the work; return False if the supervisor has closed the socket."""
        _, program = self._queue.jobs[run.jid]
        self._stage.enter(program)
        if self._on is not None and self._on is not program:
            gc.unfreeze()  # free the last job's reference cycles
            gc.collect()
        self._on = program
        if program.learnt is not None:
            self._stage.load(program)
        gc.freeze()  # the runner's collector must not visit, and so copy, these objects
        words = self._words
        words[Word.HANDED] = 0
        words[Word.SERIAL], words[Word.NEXT], words[Word.HELD] = run.serial, run.task, 0
        ours, pid = os.getpid(), os.fork()
        if pid == 0:
            prctl.die_with_parent()
            if os.getppid() != ours:
                os._exit(BROKEN)
            self._become_runner()
        words[Word.RUNNER] = pid
        if sys.platform == "linux":
            _outlive(pid)
            words[Word.RUNNER] = 0  # before its pid can be reused
        _, status, usage = os.wait4(pid, 0)
        words[Word.RUNNER] = 0
        family.end_descendants(os.getpid(), trackers=False)
        closed = self._catch_up()
        if words[Word.HANDED]:
            self._capture.collect()  # output of its threads after its last task belongs to no task
            return not closed
        if not self._lost_untold():
            peak = usage.ru_maxrss * _MIB_RSS
            self._shared.reals[Word.PEAK] = max(self._shared.reals[Word.PEAK], peak)
            _end_like(status)
        self._queue.jobs[self._queue.runs[0].jid][1].alone = True
        words[Word.TURN] += words[Word.TURN] % 2  # it may have died while writing
        words[Word.TASK] = 0
        self._capture.collect()  # output of the task that killed its process; it runs again
        return not closed

    def _become_runner(self) -> NoReturn:
        status = BROKEN
        try:
            Runner(self._queue, self._stage, self._channel, self._log).run()
            self._words[Word.HANDED] = 1
            status = 0
        except BaseException:  # noqa: BLE001 - printed in the output, which is part of the death
            traceback.print_exc()
        finally:
            _leave(status)

    def _catch_up(self) -> bool:
        """Catch up with the runner; return True if it saw the supervisor close the socket."""
        closed = False
        for entry in self._log.take():
            if entry is None:
                closed = True
            elif isinstance(entry, RunnerReport):
                self._learn(entry)
            elif isinstance(entry, QueueState):
                self._queue.restore(entry)
            else:
                self._take(entry)
        self._queue.skip_to(self._words[Word.SERIAL], self._words[Word.NEXT])
        return closed

    def _learn(self, learnt: RunnerReport) -> None:
        if learnt.jid in self._queue.jobs:
            program = self._queue.jobs[learnt.jid][1]
            program.learnt, program.anew, program.alone = learnt.modules, learnt.anew, learnt.alone
            if program.anew:
                program.forget()

    def _take(self, entry: Any) -> None:
        code, data = entry
        self._queue.take(code, None if data is None else memoryview(data))

    def _lost_untold(self) -> bool:
        """Whether unsent outcomes died with the runner; their tasks run again, each alone, and then this one."""
        words, reals = self._words, self._shared.reals
        if not self._queue.runs or not words[Word.HELD]:
            return False
        return words[Word.TASK] - 1 > words[Word.NEXT] or reals[Word.ENDED] > reals[Word.SINCE]


def _outlive(pid: int) -> None:
    """Wait for a child's end without reaping it; processes that tasks left, and that were adopted, are reaped."""
    while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)) is not None and ended.si_pid != pid:
        os.waitpid(ended.si_pid, 0)


def _end_like(status: int) -> NoReturn:
    """End this process in the same way as its runner."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the runner has dumped one already
        with contextlib.suppress(OSError, ValueError):  # SIGKILL has no handler
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))
