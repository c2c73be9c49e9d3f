"""A slot's work: known jobs, waiting runs, and the progress of the first run.

The slot's own process (`keeper`) and its fork that runs tasks (`runner`) have one each. The runner receives messages
and appends them to a log; after the runner has exited, the keeper reads the log to catch up.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
from array import array
from binascii import crc32
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from burst_magic.dataclass import dataclass
from burst_magic.errors import RecordError
from burst_magic.worker.channel.board import JobCode, PauseCode, PrepareCode, RunCode, StopCode, Word, anonymous_file
from burst_magic.worker.channel.mail import Code, Inbox
from burst_magic.worker.child.program import Program

_COPIED = 4 << 20  # bytes of items: up to that much is copied, since slices of bytes take half the time of views
_ENTRY = struct.Struct("<QI")  # bytes that follow, and their checksum: tasks could write there
_LEAST = 4 << 20  # bytes that a log may have before it is compacted


class TaskRun:
    """Consecutive tasks to run: those below ``end``, and for now only those below ``stop``.

    Args:
        code: the supervisor's order.
        body: their items as in an items block's body; None if the cell runs once.
        serial: number of runs ordered before.
    """

    __slots__ = ("alone", "at", "body", "end", "jid", "lengths", "serial", "stop", "task")

    def __init__(self, code: RunCode, body: memoryview | None, serial: int) -> None:
        self.jid, self.task, self.end = code.jid, code.first, code.first + code.count
        self.pause(code.pause)
        self.alone, self.serial = code.alone, serial
        self.lengths, self.at = array("I"), 0
        self.body: bytes | memoryview | None = body
        if body is not None:
            self.lengths = array("I", bytes(body[: 4 * code.count]))
            self.lengths.reverse()
            self.at = 4 * code.count
            if len(body) <= _COPIED:
                self.body = bytes(body)

    def pause(self, task: int | None) -> None:
        """Start no task from that one on for now; None: continue."""
        self.stop = self.end if task is None else min(self.end, task)

    @property
    def pauses(self) -> bool:
        """It has tasks left, but is paused."""
        return self.stop <= self.task < self.end

    def next(self) -> bytes | memoryview | None:
        """The bytes of the next task's item."""
        if self.body is None:
            return None
        begin = self.at
        self.at = begin + self.lengths.pop()
        return self.body[begin : self.at]

    def skip_to(self, task: int) -> None:
        """Skip the tasks before that one."""
        while self.task < task:
            self.next()
            self.task += 1

    def rest(self) -> Rest:
        """What is left of the run, for the process that continues it."""
        left = len(self.lengths) if self.body is not None else self.end - self.task
        code = RunCode(jid=self.jid, first=self.task, count=left, items=self.body is not None, alone=self.alone)
        body = None if self.body is None else bytes(self.lengths[::-1]) + bytes(self.body[self.at :])
        return Rest(code, body, self.serial, self.end, self.stop)


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a run: its tasks, and its current ``end`` and ``stop``."""

    code: RunCode
    body: bytes | None
    serial: int
    end: int
    stop: int

    def run(self) -> TaskRun:
        """The run to continue."""
        made = TaskRun(self.code, None if self.body is None else memoryview(self.body), self.serial)
        made.end, made.stop = self.end, self.stop
        return made


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue, without the code of jobs that the reader knows.

    Attributes:
        handled: number of messages received.
        met: number of jobs received.
        asked: number of runs received.
        jobs: number of each job, and its code unless the reader knows it.
        runs: what is left of each run.
    """

    handled: int
    met: int
    asked: int
    jobs: dict[str, tuple[int, JobCode | None]]
    runs: tuple[Rest, ...]


class MessageLog:
    """A runner's messages, in anonymous files shared with its keeper: the current one, and one for the next state.

    Args:
        words: the board's words; ``LOG`` is the current file.
    """

    def __init__(self, words: memoryview[int]) -> None:
        self._words, self._files = words, (anonymous_file(0), anonymous_file(0))
        self.size, self._least = 0, _LEAST

    @property
    def full(self) -> bool:
        """Most of its entries are obsolete: time to replace them by a state."""
        return self.size > self._least

    def add(self, entry: object) -> None:
        """Append an entry; it survives the runner's death."""
        self.size += _write(self._files[self._words[Word.LOG]], entry)

    def begin_with(self, state: QueueState) -> None:
        """Replace all entries by a state."""
        other = 1 - self._words[Word.LOG]
        _empty(self._files[other])
        self.size = _write(self._files[other], state)
        self._least = max(_LEAST, 2 * self.size)
        self._words[Word.LOG] = other

    def take(self) -> Iterator[object]:
        """Return the entries of the current file, and empty the log."""
        file = self._files[self._words[Word.LOG]]
        data, at = os.pread(file, os.lseek(file, 0, os.SEEK_END), 0), 0
        for each in self._files:
            _empty(each)
        while at + _ENTRY.size <= len(data):
            length, check = _ENTRY.unpack_from(data, at)
            begin, at = at + _ENTRY.size, at + _ENTRY.size + length
            if at > len(data):  # the runner died while writing
                return
            if crc32(data[begin:at]) != check:
                raise RecordError("a task wrote to a file descriptor that is not its own: into its process's messages")
            yield pickle.loads(memoryview(data)[begin:at])


def _write(file: int, entry: object) -> int:
    data = pickle.dumps(entry, 5)
    rest = memoryview(_ENTRY.pack(len(data), crc32(data)) + data)
    while rest:
        rest = rest[os.write(file, rest) :]
    return len(data)


def _empty(file: int) -> None:
    os.ftruncate(file, 0)
    os.lseek(file, 0, os.SEEK_SET)


class SlotQueue:
    """The jobs and runs of a slot.

    Args:
        control: the supervisor's socket.
    """

    def __init__(self, control: socket.socket) -> None:
        self._inbox = Inbox(control)
        self.jobs: dict[str, tuple[int, Program]] = {}
        self.runs: deque[TaskRun] = deque()
        self.prepare: PrepareCode | None = None  # the order to import modules in advance, until it is done
        self.handled = 0  # messages
        self._met = 0  # jobs
        self._asked = 0  # runs
        self._shared: frozenset[str] = frozenset()  # jobs that the keeper knows

    def receive(self, log: MessageLog | None = None) -> bool:
        """Wait for complete messages and handle them; False if the supervisor closed the socket."""
        if log is not None and log.full:
            log.begin_with(self.state())
        while True:
            messages = self._inbox.wait()
            if messages is None:
                return False
            for code, data in messages:
                if log is not None:
                    log.add((code, None if data is None else bytes(data)))
                self.take(code, data)
            if self._inbox.empty:
                return True

    def take(self, code: Code, data: memoryview | None) -> None:
        """Handle one message."""
        self.handled += 1
        if isinstance(code, RunCode):
            self.runs.append(TaskRun(code, data if code.items else None, self._asked))
            self._asked += 1
        elif isinstance(code, StopCode):
            for run in self.runs:
                if run.jid == code.jid:
                    run.end = min(run.end, code.task)
                    run.stop = min(run.stop, run.end)
        elif isinstance(code, PauseCode):
            for run in self.runs:
                if run.jid == code.jid:
                    run.pause(code.task)
        elif isinstance(code, PrepareCode):
            self.prepare = code
        elif data is not None:
            self.jobs[code.jid] = (self._met, Program(replace(code, envelope=bytes(data))))
            self._met += 1

    def become_runners(self) -> None:
        """Note that the keeper knows all jobs received so far."""
        self._shared = frozenset(self.jobs)

    def state(self) -> QueueState:
        """The queue's state, with the code of jobs that the keeper doesn't know."""
        codes = {
            jid: (number, None if jid in self._shared else program.code) for jid, (number, program) in self.jobs.items()
        }
        return QueueState(self.handled, self._met, self._asked, codes, tuple(run.rest() for run in self.runs))

    def restore(self, state: QueueState) -> None:
        """Adopt the state of a runner's queue."""
        self.handled, self._met, self._asked = state.handled, state.met, state.asked
        self.jobs = {
            jid: (number, self.jobs[jid][1] if code is None else Program(code))
            for jid, (number, code) in state.jobs.items()
        }
        self.runs = deque(rest.run() for rest in state.runs)

    @property
    def pauses(self) -> bool:
        """The first run is paused."""
        return bool(self.runs) and self.runs[0].pauses

    @property
    def serial(self) -> int:
        """Serial of the first waiting run, or of the next one to come."""
        return self.runs[0].serial if self.runs else self._asked

    def skip_to(self, serial: int, task: int) -> None:
        """Skip the runs before that serial, and that run's tasks before ``task``."""
        while self.runs and self.runs[0].serial < serial:
            self.runs.popleft()
        if self.runs and self.runs[0].serial == serial:
            self.runs[0].skip_to(min(task, self.runs[0].end))
        self.drop_done()

    def drop_done(self) -> None:
        """Drop runs without tasks left."""
        while self.runs and self.runs[0].task >= self.runs[0].end:
            self.runs.popleft()
