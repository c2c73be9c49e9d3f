"""Messages from the supervisor to a slot: small ones through a socket, large bytes as anonymous files.

A slot reads only between tasks, so the supervisor never waits for it: what doesn't fit is sent later.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from burst_magic.worker.channel.board import JobCode, PauseCode, PrepareCode, RunCode, StopCode, anonymous_file

INLINE_BYTES = 16 * 1024  # larger bytes travel as a file
_LENGTH = 4  # bytes of a message's length; its highest bit says that a file comes with it
_WITH_FILE = 1 << 31
_MOST_FILES = 16  # taken from the socket at a time

Code = JobCode | RunCode | StopCode | PauseCode | PrepareCode


class Outbox:
    """The supervisor's end.

    Args:
        control: the socket, non-blocking.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._waiting: deque[tuple[memoryview, int | None]] = deque()
        self.sent = 0

    @property
    def empty(self) -> bool:
        """True if everything was sent."""
        return not self._waiting

    def put(self, code: Code, data: bytes | memoryview | None = None) -> None:
        """Queue a message with its bytes."""
        if isinstance(code, JobCode):
            code, data = replace(code, envelope=b""), code.envelope
        file = None
        if data is not None and len(data) > INLINE_BYTES:
            file, data = _file_with(data), None
        body = pickle.dumps((code, None if data is None else bytes(data)), 5)
        mark = len(body) | (0 if file is None else _WITH_FILE)
        self._waiting.append((memoryview(mark.to_bytes(_LENGTH, "little") + body), file))

    def send(self) -> None:
        """Send what fits. Nothing fits for a dead slot: its death will be reported."""
        while self._waiting:
            data, file = self._waiting[0]
            try:
                sent = self._control.send(data) if file is None else socket.send_fds(self._control, [data], [file])
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                return
            if file is not None:
                os.close(file)
            if sent < len(data):
                self._waiting[0] = (data[sent:], None)
                continue
            self._waiting.popleft()
            self.sent += 1

    def close(self) -> None:
        """Drop unsent messages."""
        for _, file in self._waiting:
            if file is not None:
                os.close(file)
        self._waiting.clear()
        self._control.close()


class Inbox:
    """The slot's end.

    Args:
        control: the socket, blocking.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._buffer = bytearray()
        self._files: deque[int] = deque()

    @property
    def empty(self) -> bool:
        """True if no message is incomplete."""
        return not self._buffer

    def wait(self) -> Iterator[tuple[Code, memoryview | None]] | None:
        """Wait for bytes; return the complete messages, or None if the supervisor closed the socket."""
        data, files, _, _ = socket.recv_fds(self._control, 1 << 16, _MOST_FILES)
        if not data:
            return None
        self._buffer += data
        self._files.extend(files)
        return self._messages()

    def _messages(self) -> Iterator[tuple[Code, memoryview | None]]:
        while len(self._buffer) >= _LENGTH:
            mark = int.from_bytes(self._buffer[:_LENGTH], "little")
            end = _LENGTH + (mark & ~_WITH_FILE)
            if len(self._buffer) < end:
                return
            code, inline = pickle.loads(self._buffer[_LENGTH:end])
            del self._buffer[:end]
            data = _mapped(self._files.popleft()) if mark & _WITH_FILE else inline
            yield code, None if data is None else memoryview(data)


def _file_with(data: bytes | memoryview) -> int:
    file = anonymous_file(0)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
    return file


def _mapped(descriptor: int) -> mmap.mmap:
    """A file's bytes, freed with the last reference."""
    try:
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)
