"""A slot as the supervisor sees it: work goes in, packed outcomes and at last a death come out. Never blocks.

Small messages to the slot go by a socket, large bytes beside them as descriptors of nameless files. Outcomes come by
shared memory and a pipe (``board.py``). The template tells deaths.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from burst_magic.protocol.blocks import Block
from burst_magic.protocol.model import Outcome, OutcomeKind
from burst_magic.worker import output
from burst_magic.worker.board import (
    ENTRY,
    NOTE,
    READY,
    RECORD,
    RING_BYTES,
    SHARED_BYTES,
    SKIP,
    TASK,
    JobCode,
    RunCode,
    Shared,
    StopCode,
    Word,
    anonymous_file,
    nameless_file,
)

__all__ = ["Died", "JobCode", "Message", "Packed", "Ready", "Slot", "cut_entries", "death_outcome"]

PIPE_BYTES = 1 << 20
READ_BYTES = 1 << 20
MOST_AT_ONCE = 16 << 20  # of one large outcome per ``read``, so that other slots get their turn
INLINE_BYTES = 16 * 1024  # larger bytes travel as a file
_LENGTH = 4  # bytes of a message's length; its highest bit says that a file comes with it
_WITH_FILE = 1 << 31


class Ready(NamedTuple):
    """All that was asked is done, and its outcomes were handed out before."""


class Packed(NamedTuple):
    """The outcome of one task, in the order in which tasks ran."""

    jid: str
    task: int
    failed: bool
    record: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """The process is gone; nothing more comes from this slot.

    Attributes:
        exit_code, signal: how it ended; both None when nobody could see it.
        jid, task: what ran, or None.
        wall: seconds that it had run.
        peak_mb: MiB.
        output: what it had printed, bounded.
        killed: the supervisor wanted it dead.
        overdue: seconds of the time limit, when it was killed because this very task ran longer.
    """

    exit_code: int | None
    signal: int | None
    jid: str | None
    task: int | None
    wall: float = 0.0
    peak_mb: float = 0.0
    output: str = ""
    killed: bool = False
    overdue: float | None = None

    @property
    def culprit(self) -> tuple[str, int] | None:
        """The task whose outcome this death is. None: no task ran, or it ran while we killed for another reason."""
        if self.jid is None or self.task is None or (self.killed and self.overdue is None):
            return None
        return self.jid, self.task


Message = Ready | Packed | Died


class Slot:
    """One child process. Made by ``Template.slot``."""

    def __init__(self, number: int, *, kill: Callable[[], None], control: socket.socket, notes: int) -> None:
        self.number = number
        self.closed = False
        self._ask_kill = kill
        self._control, self._notes = control, notes
        self._backlog: deque[tuple[memoryview, int | None]] = deque()
        self._asked = 0
        self._jobs: list[JobCode] = []
        self._numbers: dict[str, int] = {}
        self._buffer = bytearray()
        self._consumed = 0
        self._last: tuple[str, int] | None = None
        self._killed = self._dead = False
        self._overdue: tuple[str, int, float] | None = None

    @classmethod
    def prepare(cls, number: int, *, kill: Callable[[], None]) -> tuple[Slot, tuple[int, int, int, int]]:
        """The handle, and the descriptors that its process needs: control, notes, memory, output."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        notes_r, notes_w = os.pipe()
        os.set_blocking(notes_r, False)
        if sys.platform == "linux":
            import fcntl

            with contextlib.suppress(PermissionError):  # above the user's pipe quota the system's default does
                fcntl.fcntl(notes_w, fcntl.F_SETPIPE_SZ, PIPE_BYTES)  # type: ignore[attr-defined, unused-ignore]
        slot = cls(number, kill=kill, control=ours, notes=notes_r)
        memory, slot._output = anonymous_file(SHARED_BYTES), nameless_file()
        slot._shared = Shared(memory)
        return slot, (theirs.detach(), notes_w, memory, os.dup(slot._output))

    def fileno(self) -> int:
        """Readable when messages wait. Outcomes of very short tasks may be there before: ``read`` on every tick."""
        return self._notes

    @property
    def pid(self) -> int:
        """The child's process id; 0 until it was forked."""
        return self._shared.words[Word.PID]

    def load(self, job: JobCode) -> None:
        """Makes a job known. Once per job and slot."""
        if job.jid in self._numbers:
            return
        self._numbers[job.jid] = len(self._jobs)
        self._jobs.append(job)
        self._send(job)

    def run(self, jid: str, first: int, entries: bytes | memoryview | None, count: int) -> None:
        """Asks for the tasks ``first`` … ``first + count`` − 1, after all that was asked before.

        Args:
            jid: a job that was loaded.
            first: the first task.
            entries: their items as in an items block's body (see ``cut_entries``); None when the cell runs once.
            count: how many.
        """
        self._send(RunCode(jid=jid, first=first, count=count, items=entries is not None), entries)

    def stop_at(self, jid: str, task: int) -> None:
        """Of what was asked so far, tasks from ``task`` on are not started. A running task goes on."""
        self._send(StopCode(jid=jid, task=task))

    def kill(self, *, overdue: tuple[str, int] | None = None) -> None:
        """Ends the child and what it started. ``overdue`` names the task that ran too long, if that is why."""
        self._killed = True
        if overdue is not None:
            jid, task = overdue
            self._overdue = (jid, task, self._jobs[self._numbers[jid]].timeout or 0.0)
        self._ask_kill()

    def kill_orphan(self) -> None:
        """Ends the child when there is no template any more to do it."""
        if not self.closed and self.pid and not self._shared.words[Word.DEAD]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def read(self) -> list[Message]:
        """What happened, in order. Empty when nothing did, and after the death was told."""
        if self._dead or self.closed:
            return []
        self._send_backlog()
        dead = bool(self._shared.words[Word.DEAD])
        written = self._shared.words[Word.WRITTEN]
        end = self._fill(everything=dead)  # a system call between counter and bytes: by then the bytes are there
        messages: list[Message] = []
        self._take_notes(messages)
        self._take_ring(messages, written)
        if dead or end:
            messages.append(self._death())
        return messages

    def now_running(self) -> tuple[str, int, float] | None:
        """(job, task, since) of the running task; ``since`` by ``time.monotonic()``."""
        words, reals = self._shared.words, self._shared.reals
        for _ in range(100):
            turn = words[Word.TURN]
            task, since, job = words[Word.TASK], reals[Word.SINCE], words[Word.JOB]
            if turn % 2 == 0 and turn == words[Word.TURN]:
                return (self._jobs[job].jid, task - 1, since) if task else None
        return None  # it died, or was suspended, between two words

    def overdue(self, now: float) -> tuple[str, int] | None:
        """The running task if it has run longer than its job's ``timeout``; ``now`` by ``time.monotonic()``."""
        running = self.now_running()
        if running is None:
            return None
        jid, task, since = running
        limit = self._jobs[self._numbers[jid]].timeout
        return (jid, task) if limit is not None and now - since > limit else None

    def tail(self, limit: int = 4096) -> str:
        """The end of what the running task printed so far."""
        return output.tail(self._output, limit)

    def bound_output(self) -> bool:
        """Cuts runaway output; to be called on ticks."""
        return output.cut_runaway(self._output, self._shared)

    def memory_mb(self) -> float:
        """MiB that the child occupies now (on macOS: at most so far)."""
        try:
            with open(f"/proc/{self.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
        except (OSError, IndexError):
            return self._shared.reals[Word.PEAK]

    def close(self) -> None:
        """Frees what the handle holds. Ends a living child."""
        if self.closed:
            return
        if not self._dead:
            with contextlib.suppress(Exception):
                self.kill()
        self.closed = True
        self._control.close()
        for descriptor in (self._notes, self._output):
            os.close(descriptor)
        self._shared.close()
        for _, file in self._backlog:
            if file is not None:
                os.close(file)

    # -- to the slot

    def _send(self, message: JobCode | RunCode | StopCode, data: bytes | memoryview | None = None) -> None:
        envelope = b""
        if isinstance(message, JobCode) and len(message.envelope) > INLINE_BYTES:
            data, message = message.envelope, _without_envelope(message)
        file = None
        if data is not None and len(data) > INLINE_BYTES:
            file, data = _file_with(data), None
        body = pickle.dumps((message, None if data is None else bytes(data)), 5)
        mark = len(body) | (_WITH_FILE if file is not None else 0)
        self._backlog.append((memoryview(mark.to_bytes(_LENGTH, "little") + body), file))
        self._send_backlog()

    def _send_backlog(self) -> None:
        """The child reads between tasks only; what does not fit now goes later."""
        while self._backlog:
            data, file = self._backlog[0]
            try:
                sent = self._send_some(data, file)
            except BlockingIOError:
                return
            except (BrokenPipeError, ConnectionResetError):
                return  # its death is on its way
            if file is not None:
                os.close(file)
            if sent < len(data):
                self._backlog[0] = (data[sent:], None)
                continue
            self._backlog.popleft()
            self._asked += 1
            self._shared.words[Word.SENT] = self._asked

    def _send_some(self, data: memoryview, file: int | None) -> int:
        if file is None:
            return self._control.send(data)
        return socket.send_fds(self._control, [data], [file])

    # -- from the slot

    def _fill(self, *, everything: bool) -> bool:
        """Reads the pipe into the buffer; True at its end."""
        taken = 0
        while everything or taken < MOST_AT_ONCE:
            try:
                data = os.read(self._notes, READ_BYTES)
            except BlockingIOError:
                return False
            if not data:
                return True
            self._buffer += data
            taken += len(data)
            if len(data) < READ_BYTES and not everything and taken < NOTE.size * 64:
                return False
        return False

    def _take_notes(self, messages: list[Message]) -> None:
        buffer, at = self._buffer, 0
        while len(buffer) - at >= NOTE.size:
            kind, failed, job, position, length = NOTE.unpack_from(buffer, at)
            begin = at + NOTE.size
            if kind == READY:
                self._take_ring(messages, position)
                if length == self._asked and not self._backlog:
                    messages.append(Ready())
                at = begin
                continue
            if len(buffer) - begin < length:
                break
            if kind == RECORD:
                self._take_ring(messages, position)
                self._hand_out(messages, job, failed, bytes(memoryview(buffer)[begin : begin + length]))
            at = begin + length
        del buffer[:at]

    def _take_ring(self, messages: list[Message], until: int) -> None:
        ring, at = self._shared.ring, self._consumed
        if at >= until:
            return
        while at < until:
            place = at % RING_BYTES
            job, failed, length = ENTRY.unpack_from(ring, place)
            if job == SKIP:
                at += RING_BYTES - place
                continue
            begin = place + ENTRY.size
            self._hand_out(messages, job, failed, bytes(ring[begin : begin + length]))
            at += -(-(ENTRY.size + length) // 16) * 16
        self._consumed = at
        self._shared.words[Word.CONSUMED] = at

    def _hand_out(self, messages: list[Message], job: int, failed: int, record: bytes) -> None:
        jid = self._jobs[job].jid
        task = TASK.unpack_from(record)[0]
        self._last = (jid, task)
        messages.append(Packed(jid, task, failed == 1, record))

    def _death(self) -> Died:
        self._dead = True
        words, reals = self._shared.words, self._shared.reals
        status = words[Word.STATUS] if words[Word.DEAD] else None
        jid, task, wall = None, None, 0.0
        running = self.now_running()
        if running is not None and running[:2] != self._last:
            jid, task, wall = running[0], running[1], time.monotonic() - running[2]
        late = self._overdue
        return Died(
            exit_code=os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None,
            signal=os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None,
            jid=jid,
            task=task,
            wall=wall,
            peak_mb=max(reals[Word.PEAK], reals[Word.FINAL_PEAK]),
            output=output.bounded(self._output, self._shared),
            killed=self._killed,
            overdue=late[2] if late is not None and late[:2] == (jid, task) else None,
        )


def cut_entries(block: Block, body: memoryview, start: int, stop: int) -> bytes:
    """Of an items block's body the part with the tasks ``start`` … ``stop`` − 1, in the same form."""
    lengths = array("I", bytes(body[: 4 * block.count]))
    first, last = start - block.first, stop - block.first
    begin = 4 * block.count + sum(lengths[:first])
    part = lengths[first:last]
    return part.tobytes() + bytes(body[begin : begin + sum(part)])


def death_outcome(died: Died) -> Outcome:
    """The outcome of the task that ran when its process ended (``died.culprit`` says whether there is one)."""
    if died.task is None:
        raise ValueError("no task ran when this slot died")
    kind, error, message = _cause(died)
    return Outcome(
        task=died.task,
        kind=kind,
        wall=died.wall,
        peak_mb=died.peak_mb,
        error=error,
        message=message,
        output=died.output,
    )


def _cause(died: Died) -> tuple[OutcomeKind, str, str]:
    if died.overdue is not None:
        return OutcomeKind.TIMEOUT, "TaskTimeout", f"ran longer than {died.overdue:g} s (--timeout)"
    if died.signal is not None:
        text = f"its process was ended by {_signal_name(died.signal)}"
        if died.signal == signal.SIGKILL:
            text += f", most likely out of memory (it had reached {died.peak_mb:,.0f} MB)"
        return OutcomeKind.CRASHED, "WorkerLost", text
    if died.exit_code is not None:
        text = f"it ended its process with exit code {died.exit_code} (os._exit, or exit() in C code)"
        return OutcomeKind.CRASHED, "WorkerLost", text
    return OutcomeKind.CRASHED, "WorkerLost", "its process ended and nobody saw how"


def _signal_name(number: int) -> str:
    try:
        return f"{signal.Signals(number).name} ({signal.strsignal(number)})"
    except ValueError:
        return f"signal {number}"


def _without_envelope(job: JobCode) -> JobCode:
    from dataclasses import replace

    return replace(job, envelope=b"")


def _file_with(data: bytes | memoryview) -> int:
    file = anonymous_file(0)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    return file
