"""The supervisor's handle of a slot: takes work, returns packed outcomes and finally a death. Never blocks.

Small messages to the slot go through a socket, large bytes as descriptors of anonymous files. Outcomes arrive through
shared memory and a pipe (``board.py``). The template reports deaths.
"""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from burst_magic.errors import LaunchError, RecordError
from burst_magic.protocol.wire.records import PackedRun, places_of, read_task
from burst_magic.worker import family
from burst_magic.worker.channel.board import (
    ENTRY,
    FAILED,
    IMPORTED,
    IMPORTED_BYTES,
    MARK,
    NOTE,
    NUDGE,
    READY,
    RECORD,
    RING_BYTES,
    SKIP,
    TOLD,
    VALUE,
    WAKE,
    JobCode,
    PauseCode,
    PrepareCode,
    RunCode,
    StopCode,
    Word,
)
from burst_magic.worker.channel.mail import Code, Outbox
from burst_magic.worker.channel.spool import LARGE
from burst_magic.worker.channel.wires import Wires
from burst_magic.worker.child import output
from burst_magic.worker.slots import memory
from burst_magic.worker.slots.deaths import Died, death_outcome
from burst_magic.worker.slots.items import AskedTasks
from burst_magic.worker.slots.large import LargeOutcome

__all__ = ["Died", "JobCode", "Message", "PackedOutcomes", "Ready", "Slot", "death_outcome"]

READ_BYTES = 1 << 20
_MOST = 1 << 40  # bytes of one outcome
_MOST_IMPORTED = 1 << 14  # modules
_NONSENSE = (RecordError, ValueError, IndexError, struct.error)
_WEIGHED_EVERY = 0.1  # seconds between two looks at a slot's memory; a task allocates 200 MB meanwhile
NUDGE_AFTER = 0.005  # seconds that earlier outcomes may wait for the running task; later their range would seem stuck
MOST_AT_ONCE = 16 << 20  # of one large outcome per ``read``, so that other slots get their turn


class Ready(NamedTuple):
    """All requested tasks are done, and their outcomes were returned before."""


class PackedOutcomes(NamedTuple):
    """Outcomes of consecutive tasks, in execution order.

    Attributes:
        plain: they contain only values; otherwise it is the outcome of one task that printed or failed.
    """

    jid: str
    run: PackedRun
    plain: bool
    failed: bool


Message = Ready | PackedOutcomes | Died


class _Excess(NamedTuple):
    """Why the template was asked to kill a task; it does so only if that task still runs."""

    turn: int
    seconds: float | None = None
    limit_mb: float | None = None
    occupied_mb: float = 0.0


class Slot:
    """One child process. Created by ``Template.slot``.

    Args:
        number: the slot's number in its worker.
        kill: asks the template to kill it: only during this TURN, or (0) in any case.
        wires: the connections to the child.
        limit_mb: MiB that it may occupy, or None.
    """

    def __init__(
        self, number: int, *, kill: Callable[[int], None], wires: Wires, limit_mb: float | None = None
    ) -> None:
        self.number = number
        self.closed = False
        self._ask_kill = kill
        self._outbox = Outbox(wires.control)
        self._notes, self._shared, self._output = wires.notes, wires.shared, wires.output
        self._jobs: list[JobCode] = []
        self._numbers: dict[str, int] = {}
        self._buffer = bytearray()
        self._large: LargeOutcome | None = None
        self._consumed = 0
        self._last: tuple[str, int] | None = None
        self._killed = self._dead = False
        self._excess = _Excess(0)
        self._distrusted = False
        self._asked: deque[AskedTasks] = deque()
        self.imported: tuple[str, ...] = ()  # installed modules that tasks imported, each after those that it needs
        self._nudged = 0  # the last nudged TURN
        self._limit_mb = limit_mb
        self._weigh_at = 0.0  # time.monotonic() of the next look at its memory
        self._shared.reals[Word.LIMIT] = limit_mb or 0.0

    def fileno(self) -> int:
        """Readable when messages wait. Outcomes of very short tasks don't signal it: ``read`` on every tick."""
        return self._notes

    @property
    def ended(self) -> bool:
        """The child is gone, and all its messages are readable."""
        return self._dead or self.closed or bool(self._shared.words[Word.DEAD])

    @property
    def pid(self) -> int:
        """The child's process id; 0 until it is forked."""
        return self._shared.words[Word.PID]

    def load(self, job: JobCode) -> None:
        """Send a job, unless the child has it."""
        if job.jid in self._numbers:
            return
        self._send(job)
        self._numbers[job.jid] = len(self._jobs)
        self._jobs.append(replace(job, envelope=b""))

    def run(
        self,
        jid: str,
        first: int,
        entries: bytes | memoryview | None,
        count: int,
        *,
        alone: bool = False,
        pause: int | None = None,
    ) -> None:
        """Request the tasks ``first`` … ``first + count`` − 1, after all earlier requests.

        Args:
            jid: a loaded job.
            first: the first task.
            entries: their items as in an items block's body (``blocks.join_entries``); None if the cell runs once.
            count: number of tasks.
            alone: run each task in its own process, so that the death of one loses no other outcome.
            pause: start no task from that one on until ``pause_at`` resumes them.
        """
        if self._last is not None and self._last[0] == jid and first <= self._last[1] < first + count:
            self._last = None  # it runs again
        code = RunCode(jid=jid, first=first, count=count, items=entries is not None, alone=alone, pause=pause)
        self._send(code, entries)
        self._asked.append(AskedTasks(jid, first, count, entries))

    @property
    def prepared(self) -> int:
        """Number of modules that it has imported in advance, of those that it was asked for."""
        return 0 if self.closed else self._shared.words[Word.PREPARED]

    def prepare(self, code: PrepareCode) -> None:
        """Let it import modules in advance until it gets other orders; it exits with ``RENEW`` if it cannot."""
        self._send(code)

    def stop_at(self, jid: str, task: int) -> None:
        """Start no task of the requests so far from ``task`` on. A running task continues."""
        self._send(StopCode(jid=jid, task=task))

    def pause_at(self, jid: str, task: int | None) -> None:
        """Start no task of the requests so far from ``task`` on for now; None: resume."""
        self._send(PauseCode(jid=jid, task=task))

    @property
    def pauses(self) -> bool:
        """It is paused, and runs nothing."""
        return not self.closed and bool(self._shared.words[Word.PAUSED])

    def kill(self) -> None:
        """Kill the child and all processes that it started."""
        self._killed = True
        self._ask_kill(0)

    def enforce(self, now: float) -> None:
        """Kill the running task, and no other, if it exceeds a limit; ``now`` by ``time.monotonic()``.

        The template stops the process and checks once more that this task is running (``forkserver.py``): a task that
        has ended keeps its outcome, and the next task is never killed in its place.
        """
        running = self._running()
        if running is None or running[0] == self._excess.turn:
            return
        turn, job, _, since, ended = running
        if ended is not None:
            return
        seconds = self._jobs[job].timeout
        if seconds is not None and now - since > seconds:
            self._excess = _Excess(turn, seconds=seconds)
        elif occupied := self._occupied_beyond(now):
            self._excess = _Excess(turn, limit_mb=self._limit_mb, occupied_mb=occupied)
        else:
            return
        self._ask_kill(turn)

    def _occupied_beyond(self, now: float) -> float:
        """MiB if above the limit, else 0."""
        if self._limit_mb is None or now < self._weigh_at:
            return 0.0
        self._weigh_at = now + _WEIGHED_EVERY
        return memory.exceeds(self.pid, self._limit_mb)

    @property
    def holds(self) -> bool:
        """It holds outcomes until they are known to be right."""
        return not self.closed and bool(self._shared.words[Word.HELD])

    def nudge(self, now: float) -> None:
        """Ask a slot in a long task for the outcomes that it holds, once per task."""
        words = self._shared.words
        if (
            not words[Word.HELD]
            or words[Word.TURN] == self._nudged
            or now - self._shared.reals[Word.SINCE] < NUDGE_AFTER
        ):
            return
        self._nudged = words[Word.TURN]
        if runner := self._runner():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(runner, NUDGE)

    def kill_orphan(self) -> None:
        """Kill the child after the template has died."""
        if not self.closed and self.pid and not self._shared.words[Word.DEAD]:
            for end, pid in ((os.killpg, self.pid), (os.kill, self._runner())):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    if pid:
                        end(pid, signal.SIGKILL)

    def _runner(self) -> int:
        """The process that runs its tasks; 0 if there is none. User code can write there: no other is signalled."""
        runner = self._shared.words[Word.RUNNER]
        return runner if family.is_child(runner, self.pid) else 0

    def read(self) -> list[Message]:
        """Messages in order. Empty if there are none, and after the death was returned."""
        if self._dead or self.closed:
            return []
        self._send_waiting()
        dead = bool(self._shared.words[Word.DEAD])
        written = self._shared.words[Word.WRITTEN]
        end = self._fill(everything=dead)  # the system call after reading the counter makes the bytes visible
        messages: list[Message] = []
        self._believe(messages, written)
        if messages and self._last is not None:
            self._forget_asked(*self._last)
        if dead or end:
            messages.append(self._death())
        return messages

    def now_running(self) -> tuple[str, int, float] | None:
        """(job, task, since) of the running task; ``since`` by ``time.monotonic()``."""
        running = self._running()
        return None if running is None else (self._jobs[running[1]].jid, running[2], running[3])

    def _running(self) -> tuple[int, int, int, float, float | None] | None:
        """(turn, number of the job, task, since, when it ended if only its outcome is due)."""
        if self.closed:
            return None
        words, reals = self._shared.words, self._shared.reals
        for _ in range(100):
            turn = words[Word.TURN]
            task, since, job, ended = words[Word.TASK], reals[Word.SINCE], words[Word.JOB], reals[Word.ENDED]
            if turn % 2 == 0 and turn == words[Word.TURN]:
                if (
                    not task or job >= len(self._jobs) or not 0 <= since <= time.monotonic()
                ):  # user code can write there
                    return None
                return turn, job, task - 1, since, ended if ended > since else None
        return None  # it died, or was suspended, between two words

    def tail(self, limit: int = 4096) -> str:
        """The end of the running task's output so far."""
        return output.tail(self._output, limit)

    def bound_output(self) -> bool:
        """Truncate runaway output; call it on ticks."""
        return output.cut_runaway(self._output, self._shared)

    def memory_mb(self) -> float:
        """MiB that the child occupies now (on macOS: its peak so far)."""
        runner = self._shared.words[Word.RUNNER]
        return memory.resident_mb(runner or self.pid) or _megabytes(self._shared.reals[Word.PEAK])

    def close(self) -> None:
        """Free the handle's resources and kill a live child."""
        if self.closed:
            return
        if not self._dead:
            with contextlib.suppress(LaunchError):  # without a template no child is left
                self.kill()
        self.closed = True
        self._forget_large()
        self._outbox.close()
        for descriptor in (self._notes, self._output):
            os.close(descriptor)
        self._shared.close()

    def _send(self, code: Code, data: bytes | memoryview | None = None) -> None:
        if self.closed:  # its successor gets the message
            return
        self._outbox.put(code, data)
        self._send_waiting()

    def _send_waiting(self) -> None:
        self._outbox.send()
        self._shared.words[Word.SENT] = self._outbox.sent

    # -- from the slot

    def _fill(self, *, everything: bool) -> bool:
        """Read the pipe into the buffer; True at its end."""
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
            if len(data) < READ_BYTES and not everything:  # that was all for now
                return False
        return False

    def _believe(self, messages: list[Message], written: int) -> None:
        """Add what it says, unless that makes no sense: user code may have written into its pipe."""
        if self._distrusted:
            self._forget_large()
            return
        try:
            self._take_notes(messages)
            self._take_ring(messages, written)
        except _NONSENSE:
            self._distrusted = True
            self._forget_large()
            self._ask_kill(0)

    def _forget_large(self) -> None:
        """Drop what has come, and was not believed."""
        self._buffer.clear()
        if self._large is not None:
            self._large.spool.close()
            self._large = None

    def _take_notes(self, messages: list[Message]) -> None:
        buffer, at = self._buffer, self._take_large(messages, 0)
        while self._large is None and len(buffer) - at >= NOTE.size:
            _, kind, outcomes, job, count, position, length = note = NOTE.unpack_from(buffer, at)
            begin = at + NOTE.size
            if not self._makes_sense(note):
                raise RecordError("a slot sends what no slot sends")
            if kind == READY:
                self._take_ring(messages, position)
                if length == self._outbox.sent and self._outbox.empty:
                    messages.append(Ready())
                at = begin
                continue
            if kind == RECORD and length >= LARGE:
                self._large = LargeOutcome(job=job, outcomes=outcomes, count=count, position=position, missing=length)
                at = self._take_large(messages, begin)
                continue
            if len(buffer) - begin < length:
                break
            if kind == IMPORTED:
                names = bytes(memoryview(buffer)[begin : begin + length]).decode().split("\n")
                self.imported = tuple(dict.fromkeys((*self.imported, *names)))[:_MOST_IMPORTED]
            if kind == RECORD:
                self._take_ring(messages, position)
                data = bytes(memoryview(buffer)[begin : begin + length])
                places_of(data, read_task(data), count)
                self._hand_out(messages, job, outcomes, count, data)
            at = begin + length
        del buffer[:at]

    def _take_large(self, messages: list[Message], begin: int) -> int:
        """Put what has come of a large outcome aside; returns where the next note begins in the buffer."""
        large = self._large
        if large is None:
            return begin
        end = large.take(self._buffer, begin)
        if not large.missing:
            self._large = None
            self._take_ring(messages, large.position)
            data = large.spool.view()
            places_of(data, read_task(data), large.count)
            self._hand_out(messages, large.job, large.outcomes, large.count, data)
        return end

    def _makes_sense(self, note: tuple[int, int, int, int, int, int, int]) -> bool:
        mark, kind, outcomes, job, count, position, length = note
        if mark != MARK or position > self._shared.words[Word.WRITTEN]:
            return False
        if kind == RECORD:
            return outcomes in {VALUE, TOLD, FAILED} and job < len(self._jobs) and count > 0 and length < _MOST
        if kind == IMPORTED and length > IMPORTED_BYTES:
            return False
        return kind in {WAKE, READY, IMPORTED} and not outcomes and not job and not count

    def _take_ring(self, messages: list[Message], until: int) -> None:
        ring, at = self._shared.ring, self._consumed
        if at >= until:
            return
        if until - at > RING_BYTES:
            raise RecordError("a slot sends what no slot sends")
        values: list[memoryview] = []  # of the tasks ``first`` … ``following`` − 1 of a job
        of, first, following = SKIP, 0, 0
        while at < until:
            place = at % RING_BYTES
            job, kind, count, length = ENTRY.unpack_from(ring, place)
            if job == SKIP:
                at += RING_BYTES - place
                continue
            begin = place + ENTRY.size
            data, task = ring[begin : begin + length], read_task(ring, begin)
            if values and (kind, job, task) != (VALUE, of, following):
                self._hand_out(messages, of, VALUE, following - first, b"".join(values))
                values = []
            if kind != VALUE:
                self._hand_out(messages, job, kind, count, bytes(data))
            else:
                of, first, following = job, first if values else task, task + count
                values.append(data)
            at += -(-(ENTRY.size + length) // 16) * 16
        if values:
            self._hand_out(messages, of, VALUE, following - first, b"".join(values))
        self._consumed = at
        self._shared.words[Word.CONSUMED] = at

    def _hand_out(self, messages: list[Message], job: int, kind: int, count: int, data: bytes | memoryview) -> None:
        jid, first = self._jobs[job].jid, read_task(data)
        self._last = (jid, first + count - 1)
        run = PackedRun(first=first, count=count, data=data)
        messages.append(PackedOutcomes(jid, run, kind == VALUE, kind == FAILED))

    def _forget_asked(self, jid: str, task: int) -> None:
        """Forget the requests before that task; they are done or stopped."""
        if any(one.holds(jid, task) for one in self._asked):
            while not self._asked[0].holds(jid, task):
                self._asked.popleft()

    def _death(self) -> Died:
        self._dead = True
        words, reals = self._shared.words, self._shared.reals
        status = words[Word.STATUS] if words[Word.DEAD] and words[Word.STATUS] < 1 << 16 else None
        jid, task, wall, began, excess = None, None, 0.0, 0.0, _Excess(0)
        running = self._running()
        if running is not None and (self._jobs[running[1]].jid, running[2]) != self._last:
            turn, job, task, since, ended = running
            jid, wall = self._jobs[job].jid, (ended or time.monotonic()) - since
            began = time.time() - (time.monotonic() - since)
            if turn == self._excess.turn and status == signal.SIGKILL:
                excess = self._excess
        system = words[Word.SYSTEM]
        return Died(
            exit_code=os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None,
            signal=os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None,
            jid=jid,
            task=task,
            wall=wall,
            began=began,
            peak_mb=max(_megabytes(reals[Word.PEAK]), _megabytes(reals[Word.FINAL_PEAK]), excess.occupied_mb),
            output=output.bounded(self._output, self._shared),
            killed=self._killed,
            distrusted=self._distrusted,
            overdue=excess.seconds,
            over_mb=excess.limit_mb,
            system=system == 2 if system else None,
            item=self._item(jid, task),
        )

    def _item(self, jid: str | None, task: int | None) -> str:
        if jid is None or task is None:
            return ""
        return next((asked.text(jid, task) for asked in self._asked if asked.holds(jid, task)), "")


def _megabytes(said: float) -> float:
    """A plausible number from the board, or 0."""
    return said if 0 <= said < _MOST else 0.0
