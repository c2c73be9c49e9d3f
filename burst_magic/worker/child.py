"""The process of one slot: takes tasks from the supervisor, runs them one after the other, gives outcomes back.

Between two short tasks it makes no system call for the supervisor's sake: what runs stands on the board, outcomes go
into the ring, and that there are new messages is a counter on the board.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import sys
import traceback
from array import array
from collections import deque
from dataclasses import replace
from time import monotonic

from burst_magic.payload import Envelope
from burst_magic.worker.board import (
    ENTRY,
    NOTE,
    READY,
    RECORD,
    RING_BYTES,
    SKIP,
    WAKE,
    JobCode,
    PauseCode,
    RunCode,
    Shared,
    StopCode,
    Word,
)
from burst_magic.worker.deaths import BROKEN
from burst_magic.worker.execute import Stage
from burst_magic.worker.mail import Code, Inbox
from burst_magic.worker.output import Capture
from burst_magic.worker.program import Program

WAKE_AFTER = 0.02  # seconds: outcomes of shorter tasks share one wake-up of the supervisor, which costs as much as ten
LARGEST_IN_RING = RING_BYTES // 4
_OOM_SCORE = "900"  # when memory runs out the kernel ends a task, not the supervisor


def warm_up() -> None:
    """Loads in the template what every slot needs."""
    envelope = Envelope(source="0", has_value=True, stream=b"")
    Program(JobCode(jid="", envelope=envelope.to_bytes()))


def main(control: socket.socket, notes: int, shared: Shared, output: int) -> None:
    """A slot's life. Never returns: below it lies a copy of the template's stack."""
    status = BROKEN
    try:
        _become_slot()
        _Child(control, notes, shared, Capture(output, shared)).run()
        status = 0
    except BaseException:  # noqa: BLE001 - told in the output, which the death carries
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _become_slot() -> None:
    os.setsid()  # a group of its own, so that all that a task starts can be ended with it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write(_OOM_SCORE)
    sys.argv = [""]
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # type: ignore[misc] # noqa: SIM115 - the null device


class _Run:
    """Consecutive tasks to do: those below ``end``, for now those below ``stop``."""

    __slots__ = ("at", "body", "end", "jid", "lengths", "stop", "task")

    def __init__(self, code: RunCode, body: memoryview | None) -> None:
        self.jid, self.task, self.end = code.jid, code.first, code.first + code.count
        self.pause(code.pause)
        self.lengths, self.body, self.at = array("I"), body, 0
        if body is not None:
            self.lengths = array("I", bytes(body[: 4 * code.count]))
            self.lengths.reverse()
            self.at = 4 * code.count

    def pause(self, task: int | None) -> None:
        """Nothing from that task on for now; None: go on."""
        self.stop = self.end if task is None else min(self.end, task)

    @property
    def pauses(self) -> bool:
        """There is more to do, and not now."""
        return self.stop <= self.task < self.end

    def next(self) -> memoryview | None:
        """The item's bytes of the next task."""
        if self.body is None:
            return None
        begin = self.at
        self.at = begin + self.lengths.pop()
        return self.body[begin : self.at]


class _Child:
    def __init__(self, control: socket.socket, notes: int, shared: Shared, capture: Capture) -> None:
        self._inbox, self._notes, self._capture = Inbox(control), notes, capture
        faulthandler.enable(file=2)  # type: ignore[arg-type, unused-ignore] # a segfault tells its line in the output
        self._words, self._reals, self._ring = shared.words, shared.reals, shared.ring
        self._stage = Stage(capture, limit_mb=shared.reals[Word.LIMIT])
        self._jobs: dict[str, tuple[int, Program]] = {}
        self._met = 0  # jobs
        self._runs: deque[_Run] = deque()
        self._handled = 0
        self._written = 0
        self._woken = 0.0

    def run(self) -> None:
        """Works until the supervisor closes the socket."""
        self._capture.collect()
        while True:
            if self._stage.spoiled:
                self._words[Word.TASK] = 0
                return  # the next one is born clean
            if self._runs and self._words[Word.SENT] <= self._handled and not self._runs[0].pauses:
                self._do(self._runs[0])
                continue
            if self._runs and self._runs[0].pauses:
                self._words[Word.TASK], self._words[Word.PAUSED] = 0, 1
            if not self._runs:
                self._words[Word.TASK] = 0
                self._note(READY, length=self._handled)
            if not self._receive():
                return
            self._words[Word.PAUSED] = 0

    # -- tasks

    def _do(self, run: _Run) -> None:
        """The tasks of a run, until it ends or a message comes."""
        number, program = self._jobs[run.jid]
        self._stage.enter(program)
        words, reals, stage = self._words, self._reals, self._stage
        words[Word.JOB] = number
        while run.task < run.stop:
            task = run.task
            words[Word.TURN] += 1
            reals[Word.SINCE] = monotonic()
            words[Word.JOB] = number
            words[Word.TASK] = task + 1
            words[Word.TURN] += 1
            failed, record = stage.perform(task, run.next())
            reals[Word.ENDED] = stage.ended if program.problem is None else monotonic()  # then nothing was run
            self._publish(number, record, failed=failed)
            run.task = task + 1
            if words[Word.SENT] > self._handled or stage.spoiled:
                return
        if run.task >= run.end:
            self._runs.popleft()

    def _publish(self, job: int, record: bytes, *, failed: bool) -> None:
        length = len(record)
        need = -(-(ENTRY.size + length) // 16) * 16
        place = self._written % RING_BYTES
        skip = RING_BYTES - place if RING_BYTES - place < need else 0
        free = RING_BYTES - (self._written - self._words[Word.CONSUMED])
        if need > LARGEST_IN_RING or skip + need > free:
            self._note(RECORD, job=job, failed=failed, length=length, record=record)
            return
        if skip:
            ENTRY.pack_into(self._ring, place, SKIP, 0, 0)
            place = 0
        ENTRY.pack_into(self._ring, place, job, failed, length)
        begin = place + ENTRY.size
        self._ring[begin : begin + length] = record
        self._written += skip + need
        self._words[Word.WRITTEN] = self._written
        if self._stage.ended - self._woken > WAKE_AFTER:
            self._note(WAKE)

    def _note(self, kind: int, *, job: int = 0, failed: bool = False, length: int = 0, record: bytes = b"") -> None:
        """Blocks while the pipe is full."""
        self._woken = self._stage.ended
        self._reals[Word.PEAK] = self._stage.peak_mb
        rest = memoryview(NOTE.pack(kind, failed, job, self._written, length))
        for part in (rest, memoryview(record)):
            rest = part
            while rest:
                rest = rest[os.write(self._notes, rest) :]

    # -- messages

    def _receive(self) -> bool:
        """Waits for messages and takes them; False when the supervisor closed the socket."""
        messages = self._inbox.wait()
        if messages is None:
            return False
        for code, data in messages:
            self._take(code, data)
            self._handled += 1
        return True

    def _take(self, code: Code, data: memoryview | None) -> None:
        if isinstance(code, RunCode):
            self._runs.append(_Run(code, data if code.items else None))
        elif isinstance(code, StopCode):
            for run in self._runs:
                if run.jid == code.jid:
                    run.end = min(run.end, code.task)
                    run.stop = min(run.stop, run.end)
            if code.over:
                self._runs = deque(run for run in self._runs if run.jid != code.jid)
                self._jobs.pop(code.jid)[1].close()
        elif isinstance(code, PauseCode):
            for run in self._runs:
                if run.jid == code.jid:
                    run.pause(code.task)
        elif data is not None:
            self._jobs[code.jid] = (self._met, Program(replace(code, envelope=bytes(data))))
            self._met += 1
