"""What a slot has to do: the jobs it was told, the runs that wait, and how far the first of them is.

The slot's own process (`keeper`) and the fork of it that runs tasks (`runner`) have one each. The runner hears what is
new and writes it into a ledger; the keeper reads that when the runner has ended, and is then at the same place.
"""

from __future__ import annotations

import os
import pickle
import socket
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from burst_magic.worker.board import RunCode, StopCode, anonymous_file
from burst_magic.worker.mail import Code, Inbox
from burst_magic.worker.program import Program


class Run:
    """Consecutive tasks to do."""

    __slots__ = ("alone", "at", "body", "jid", "lengths", "serial", "stop", "task")

    def __init__(self, code: RunCode, body: memoryview | None, serial: int) -> None:
        self.jid, self.task, self.stop = code.jid, code.first, code.first + code.count
        self.alone, self.serial = code.alone, serial
        self.lengths, self.body, self.at = array("I"), body, 0
        if body is not None:
            self.lengths = array("I", bytes(body[: 4 * code.count]))
            self.lengths.reverse()
            self.at = 4 * code.count

    def next(self) -> memoryview | None:
        """The item's bytes of the next task."""
        if self.body is None:
            return None
        begin = self.at
        self.at = begin + self.lengths.pop()
        return self.body[begin : self.at]

    def skip_to(self, task: int) -> None:
        """Tasks before that one are done."""
        while self.task < task:
            self.next()
            self.task += 1


class Ledger:
    """Messages that a runner has taken, in a nameless file that its keeper shares."""

    def __init__(self) -> None:
        self._file = anonymous_file(0)

    def add(self, entry: object) -> None:
        """Adds one; it is there although the runner may end at the next instant."""
        data = memoryview(pickle.dumps(entry, 5))
        for part in (memoryview(len(data).to_bytes(8, "little")), data):
            rest = part
            while rest:
                rest = rest[os.write(self._file, rest) :]

    def take(self) -> Iterator[object]:
        """All of them; then it is empty."""
        size = os.lseek(self._file, 0, os.SEEK_END)
        data, at = os.pread(self._file, size, 0), 0
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        while at + 8 <= len(data):
            end = at + 8 + int.from_bytes(data[at : at + 8], "little")
            if end > len(data):  # it ended while it wrote
                return
            yield pickle.loads(memoryview(data)[at + 8 : end])
            at = end


class Desk:
    """Jobs and runs.

    Args:
        control: the supervisor's socket.
    """

    def __init__(self, control: socket.socket) -> None:
        self._inbox = Inbox(control)
        self.jobs: dict[str, tuple[int, Program]] = {}
        self.runs: deque[Run] = deque()
        self.handled = 0  # messages
        self._met = 0  # jobs
        self._asked = 0  # runs

    def receive(self, ledger: Ledger | None = None) -> bool:
        """Waits for messages and takes them whole; False when the supervisor closed the socket."""
        while True:
            messages = self._inbox.wait()
            if messages is None:
                return False
            for code, data in messages:
                if ledger is not None:
                    ledger.add((code, None if data is None else bytes(data)))
                self.take(code, data)
            if self._inbox.empty:
                return True

    def take(self, code: Code, data: memoryview | None) -> None:
        """One message."""
        self.handled += 1
        if isinstance(code, RunCode):
            self.runs.append(Run(code, data if code.items else None, self._asked))
            self._asked += 1
        elif isinstance(code, StopCode):
            for run in self.runs:
                if run.jid == code.jid:
                    run.stop = min(run.stop, code.task)
            if code.over:
                self.runs = deque(run for run in self.runs if run.jid != code.jid)
                self.jobs.pop(code.jid)[1].close()
        elif data is not None:
            self.jobs[code.jid] = (self._met, Program(replace(code, envelope=bytes(data))))
            self._met += 1

    @property
    def serial(self) -> int:
        """Of the first run that waits, or of the next one to come."""
        return self.runs[0].serial if self.runs else self._asked

    def skip_to(self, serial: int, task: int) -> None:
        """Runs before that one are done, and of it the tasks before that one."""
        while self.runs and self.runs[0].serial < serial:
            self.runs.popleft()
        if self.runs and self.runs[0].serial == serial:
            self.runs[0].skip_to(min(task, self.runs[0].stop))
        self.drop_done()

    def drop_done(self) -> None:
        """Forgets runs that have nothing left."""
        while self.runs and self.runs[0].task >= self.runs[0].stop:
            self.runs.popleft()
