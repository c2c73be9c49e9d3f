"""Large outcomes on their way through the supervisor lie in a nameless file, not in its memory.

Their pages are mapped while they are read, and let go of piece by piece: several large results at a time must not take
the memory that tasks need. Where the disk has no room for them, they stay in memory.
"""

from __future__ import annotations

import mmap
import os
import sys
from collections.abc import Iterable, Iterator

from burst_magic.protocol.wire.sign import Buffer
from burst_magic.worker.channel.board import nameless_file

LARGE = 16 << 20  # bytes from which on it is worth a file
_PIECE = 4 << 20  # a multiple of all page sizes
_DROP = getattr(mmap, "MADV_DONTNEED", None) if sys.platform == "linux" else None


class Spool:
    """Bytes that come one after the other."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._memory = bytearray()  # without room on the disk
        self._size = 0
        try:
            self._file = nameless_file()
        except OSError:  # not even a name
            return

    def __len__(self) -> int:
        """The number of bytes so far."""
        return self._size

    def add(self, data: Buffer) -> None:
        """Append bytes."""
        self._size += len(data)
        rest = memoryview(data)
        try:
            while rest and self._file is not None:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            self._fall_back()
        self._memory += rest

    def view(self) -> memoryview:
        """All bytes; nothing more can be added."""
        if self._file is None:
            return memoryview(self._memory)
        if not self._size:
            self.close()
            return memoryview(b"")
        try:
            return memoryview(mmap.mmap(self._file, self._size, access=mmap.ACCESS_READ))
        except OSError:  # too many mappings
            self._fall_back()
            return memoryview(self._memory)
        finally:
            self.close()

    def close(self) -> None:
        """Free the file; a view of it stays."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _fall_back(self) -> None:
        """Take what was written into memory."""
        file = self._file
        if file is not None:
            os.lseek(file, 0, os.SEEK_SET)
            with open(file, "rb", buffering=0, closefd=False) as whole:
                self._memory = bytearray(whole.readall())  # a single read ends at 2 GiB
            self.close()


def spooled(pieces: Iterable[Buffer]) -> memoryview:
    """All pieces together, on disk."""
    spool = Spool()
    for piece in pieces:
        for part in sliced(piece):
            spool.add(part)
    return spool.view()


def sliced(data: Buffer) -> Iterator[Buffer]:
    """Parts of large bytes; each is let go of when the next is taken, if it lies in a file."""
    if len(data) <= _PIECE:
        yield data
        return
    view = memoryview(data)
    for at in range(0, len(view), _PIECE):
        yield view[at : at + _PIECE]
        if _DROP is not None and isinstance(view.obj, mmap.mmap) and len(view.obj) == len(view):
            view.obj.madvise(_DROP, at, min(_PIECE, len(view) - at))
