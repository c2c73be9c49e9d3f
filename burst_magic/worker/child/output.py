"""Capture a task's output at the level of file descriptors, with a size limit.

One file per slot receives stdout and stderr of the process and its children, including C code and subprocesses. A task
without output costs one ``fstat``. The supervisor reads the file while the task runs, and truncates it if it grows too
large.
"""

from __future__ import annotations

import fcntl
import io
import os
import sys
from collections.abc import Callable
from typing import Any

from burst_magic.protocol.terminal import as_seen
from burst_magic.worker.channel.board import HEAD_BYTES, KEPT_BYTES, TAIL_BYTES, Shared, Word

CUT_ABOVE = 4 << 20  # the supervisor truncates a file larger than this


class OutputCapture:
    """The slot's side: takes over the process's output and hands out what each task printed."""

    def __init__(self, descriptor: int, shared: Shared) -> None:
        self._file, self._shared = descriptor, shared
        self._inode = os.fstat(descriptor).st_ino
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)  # subprocesses and threads never overwrite
        self._open()
        self._doubt = False  # the file's own descriptor may be closed too
        self._flush_c: Callable[[Any], int] | None = None
        self._modules = 0

    def _open(self) -> None:
        for target in (1, 2):
            os.dup2(self._file, target)
        self._out, self._err = _stream(1), _stream(2)
        self._take_over()

    def _take_over(self) -> None:
        """Set sys.stdout and sys.stderr, also after a task replaced them."""
        sys.stdout = sys.__stdout__ = self._out  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self._err  # type: ignore[misc]

    def collect(self) -> str:
        """Return the output since the last call, truncated, and empty the file."""
        if sys.stdout is not self._out or sys.stderr is not self._err:
            self._take_over()
        try:
            self._out.flush()
            self._err.flush()
        except (ValueError, OSError):  # the task closed them
            self._open()
        if len(sys.modules) != self._modules:
            self._look_for_c()
        if self._flush_c is not None:
            self._flush_c(None)
        if not self._size() and not self._shared.words[Word.CUT]:
            return ""
        text = bounded(self._file, self._shared)
        os.ftruncate(self._file, 0)
        self._shared.words[Word.CUT] = 0
        return text

    def check(self) -> None:
        """Restore our descriptors after user code closed or redirected them."""
        self._doubt = True
        _nothing_to_read()
        try:
            if os.fstat(1).st_ino == self._inode == os.fstat(2).st_ino:
                return
        except OSError:
            pass
        self._open()

    def _size(self) -> int:
        """Bytes in the file. A seek costs a fifth of an ``fstat``, and fails if a descriptor is closed."""
        seek, end = os.lseek, os.SEEK_END
        try:
            size = seek(1, 0, end)
            if size == seek(2, 0, end):
                if not size and not self._doubt:
                    return 0
                if size == seek(self._file, 0, end):
                    self._doubt = False
                    return size
        except OSError:
            pass
        self.check()
        return seek(self._file, 0, end)

    def _look_for_c(self) -> None:
        """C code buffers its own stdout. Flush it once ctypes is loaded (numpy loads it)."""
        self._modules = len(sys.modules)
        if self._flush_c is None and "ctypes" in sys.modules:
            import ctypes

            self._flush_c = ctypes.CDLL(None).fflush


def _nothing_to_read() -> None:
    """Descriptor 0 is the null device: a task has no input."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing == 0:  # it was closed, and is the lowest free one
        os.set_inheritable(0, True)  # noqa: FBT003 - takes no keywords
        return
    if os.fstat(0).st_rdev != os.fstat(nothing).st_rdev:
        os.dup2(nothing, 0)
    os.close(nothing)


def _stream(descriptor: int) -> io.TextIOWrapper:
    raw = io.open(descriptor, "wb", closefd=False)  # noqa: SIM115, UP020 - lives as long as the process
    return io.TextIOWrapper(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)


def bounded(descriptor: int, shared: Shared) -> str:
    """The text in an output file as a terminal shows it: head and tail, with the omitted size in between."""
    size = os.fstat(descriptor).st_size
    words = shared.words
    cut = words[Word.CUT] if words[Word.CUT_TURN] == words[Word.TURN] else 0
    if cut:
        head, tail = bytes(shared.kept[:HEAD_BYTES]), os.pread(descriptor, TAIL_BYTES, max(0, size - TAIL_BYTES))
        return _joined(head, cut + size - HEAD_BYTES - len(tail), tail)
    if size <= 2 * CUT_ABOVE:
        data = os.pread(descriptor, size, 0)
        if b"\r" in data:  # of a progress bar that was drawn a thousand times, one line counts
            data = as_seen(_text(data)).encode()
        if len(data) <= KEPT_BYTES:
            return _text(data)
        return _joined(data[:HEAD_BYTES], len(data) - KEPT_BYTES, data[-TAIL_BYTES:])
    head, tail = os.pread(descriptor, HEAD_BYTES, 0), os.pread(descriptor, TAIL_BYTES, size - TAIL_BYTES)
    return _joined(head, size - len(head) - len(tail), tail)


def _joined(head: bytes, left_out: int, tail: bytes) -> str:
    return f"{as_seen(_text(head))}\n… {_size(left_out)} left out …\n{as_seen(_text(tail))}"


def cut_runaway(descriptor: int, shared: Shared) -> bool:
    """The supervisor's side: empty a file that grew too large, keeping its head; return whether it did.

    Output written between the check and the truncation is lost and not counted.
    """
    size = os.fstat(descriptor).st_size
    if size <= CUT_ABOVE:
        return False
    words, turn = shared.words, shared.words[Word.TURN]
    again = words[Word.CUT] and words[Word.CUT_TURN] == turn
    if not again:
        head = os.pread(descriptor, HEAD_BYTES, 0)
        shared.kept[: len(head)] = head
    words[Word.CUT_TURN] = turn
    words[Word.CUT] = (words[Word.CUT] if again else 0) + size
    os.ftruncate(descriptor, 0)
    return True


def tail(descriptor: int, limit: int) -> str:
    """The last ``limit`` bytes, as a terminal would show them."""
    size = os.fstat(descriptor).st_size
    return as_seen(_text(os.pread(descriptor, min(size, limit), max(0, size - limit))))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _size(count: int) -> str:
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"
