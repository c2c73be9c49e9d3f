"""Message formats and the memory shared by supervisor and slot.

    board   4 KiB    words of 8 bytes; each has one writer at a time (see ``Word``)
    kept    64 KiB   head and tail of an output that the supervisor had to cut (see ``output.py``)
    ring    1 MiB    packed outcomes on their way to the supervisor, without a system call each

The slot also has a pipe to the supervisor, for outcomes too large for the ring and short notes that wake the
supervisor. A note carries the ring's write position, which preserves the order of outcomes. The template loads this
first: it imports only the standard library and our errors.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import signal
import struct
import sys
from dataclasses import field
from enum import IntEnum

from burst_magic.dataclass import dataclass
from burst_magic.worker.supply.blobs import BlobFile

BOARD_BYTES = 4096
HEAD_BYTES = 16 * 1024
TAIL_BYTES = 48 * 1024
KEPT_BYTES = HEAD_BYTES + TAIL_BYTES
RING_BYTES = 1 << 20
RING_AT = BOARD_BYTES + KEPT_BYTES
SHARED_BYTES = RING_AT + RING_BYTES

# mark, kind, kind of outcomes, number of the job, tasks, ring position, bytes that follow
NOTE = struct.Struct("<IBBxxIIQQ")
MARK = 0x9D42B7E1  # each note begins with it: bytes that a task wrote into the pipe, or that moved a note, don't
WAKE, RECORD, READY, IMPORTED = range(4)
IMPORTED_BYTES = 1 << 18  # of one note with names of modules

ENTRY = struct.Struct("<IIII")  # number of the job, kind, tasks, bytes of the outcomes; the outcomes follow
VALUE, TOLD, FAILED = range(3)  # kinds of outcomes: only values, a value with output, no value
SKIP = 0xFFFFFFFF  # instead of a job's number: the ring continues at its beginning

NUDGE = signal.SIGURG  # to a runner; ignored by processes without a handler

REQUEST = struct.Struct("<IIQ")  # supervisor to template: verb, key of the slot, the TURN to end (0: any)
FORK, KILL = range(2)


_FUTURE_WRITE = 0x10  # F_SEAL_FUTURE_WRITE of Linux 5.1; fcntl doesn't have it before Python 3.13


class Word(IntEnum):
    """Positions of the words on the board, and their writers."""

    SENT = 0  # supervisor: messages sent to the slot
    TURN = 1  # slot: odd while TASK, SINCE and JOB change
    TASK = 2  # slot: 1 + the running task; 0: none
    SINCE = 3  # slot: when it started, time.monotonic(), a float
    JOB = 4  # slot: number of its job
    WRITTEN = 5  # slot: bytes written to the ring, ever
    CONSUMED = 6  # supervisor: bytes taken from the ring, ever
    PEAK = 7  # slot: MiB, a float
    PID = 8  # template: the slot's process
    DEAD = 9  # template: 1 once the process is reaped
    STATUS = 10  # template: its wait status
    FINAL_PEAK = 11  # template: MiB, a float
    CUT = 12  # supervisor: bytes of output it removed
    CUT_TURN = 13  # supervisor: the TURN of that output
    ENDED = 14  # slot: when the last task ended, a float; later than SINCE: the current task ended, its outcome is due
    LIMIT = 15  # supervisor: MiB that the slot may occupy, a float; 0: no limit
    SYSTEM = 16  # template: 1 the system had memory when the process died, 2 it was killing processes for lack of it
    RUNNER = 17  # slot: the process that runs its tasks, a fork of the slot's own; 0: none
    HANDED = 18  # runner: 1 when it has handed over everything before it exits, and the slot may continue
    SERIAL = 19  # runner: serial of its current run
    NEXT = 20  # runner: when it exits or holds outcomes, the first task of that run whose outcome was not sent
    HELD = 21  # runner: 1 while outcomes wait until they are known to be right
    LOG = 22  # runner: which of two files has its messages
    PAUSED = 23  # slot: 1 while it is paused
    PREPARED = 24  # slot: number of modules that it has imported in advance


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCode:
    """A job, as needed by a slot.

    Attributes:
        envelope: the payload's bytes; the supervisor has verified them.
        blobs: files of the out-of-band buffers, in order; a slot maps them privately.
        bundle: a folder with local modules, or "".
        seed: the session's seed.
        fresh: captured values load fast enough to be reloaded for each task, if tasks change them.
        timeout: seconds; the supervisor watches it (``Slot.overdue``).
        retries: number of retries after a user error.
        setenv: environment variables that tasks see.
    """

    jid: str
    envelope: bytes
    blobs: tuple[BlobFile, ...] = ()
    bundle: str = ""
    seed: int = 0
    fresh: bool = True
    timeout: float | None = None
    retries: int = 0
    setenv: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCode:
    """Tasks ``first`` … ``first + count`` − 1 of a job; the items are sent separately, unless the cell runs once.

    Attributes:
        alone: each in its own process, so that the death of one loses no other outcome.
        pause: see ``PauseCode``.
    """

    jid: str
    first: int
    count: int
    items: bool
    alone: bool = False
    pause: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCode:
    """Start no requested task of a job from ``task`` on."""

    jid: str
    task: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseCode:
    """For now, start no requested task of a job from ``task`` on; None: continue."""

    jid: str
    task: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareCode:
    """Import these modules in advance, for a job like the last one.

    Attributes:
        ground: what such a job's tasks find when they import: a job without a cell.
        modules: their names, each after those that it needs.
    """

    ground: JobCode
    modules: tuple[str, ...]


class Shared:
    """The memory, mapped."""

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, SHARED_BYTES)
        self.view = memoryview(self._map)
        board = self.view[:BOARD_BYTES]
        self.words = board.cast("Q")
        self.reals = board.cast("d")
        self.kept = self.view[BOARD_BYTES:RING_AT]
        self.ring = self.view[RING_AT:]

    @staticmethod
    def seal(descriptor: int) -> None:
        """Keep its file from being written to or truncated, other than through the mappings that there are.

        A mapping has a copy of the descriptor, which tasks have, too: stray bytes there would be believed by the
        supervisor, and a truncated file would end it with SIGBUS.
        """
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # an older kernel
                fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
                fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _FUTURE_WRITE)

    def close(self) -> None:
        """Unmap the memory."""
        for part in (self.words, self.reals, self.kept, self.ring, self.view):
            part.release()
        self._map.close()


def anonymous_file(size: int) -> int:
    """Descriptor of an anonymous file, in memory if the system supports it."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("burst", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        descriptor = nameless_file()
    if size:
        os.ftruncate(descriptor, size)
    return descriptor


def nameless_file() -> int:
    """Descriptor of an unnamed file on disk: runaway output must not exhaust the worker's memory."""
    try:
        path = f"/tmp/burst-{os.urandom(8).hex()}"  # noqa: S108 - exclusive and at once without a name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        import tempfile  # looks for a better place; 5 ms to import

        descriptor, path = tempfile.mkstemp(prefix="burst-")
    os.unlink(path)
    return descriptor
