"""Large values as files: the supervisor verifies them, and slots open exactly what was verified."""

from __future__ import annotations

import hashlib
import mmap
import os
import stat
from typing import NamedTuple

from burst_magic.errors import SignatureError

_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


class BlobFile(NamedTuple):
    """A file that contained these bytes when it was verified.

    Attributes:
        stamp: shows whether it may have been changed or replaced since.
    """

    path: str
    sha256: str
    stamp: tuple[int, ...]

    def open(self) -> tuple[int, int]:
        """(descriptor, bytes). Raises ``SignatureError`` if it has changed since."""
        descriptor = os.open(self.path, _FILE)
        found = os.fstat(descriptor)
        if _stamp(found) != self.stamp and not _holds(descriptor, found, self.sha256, self.stamp[2]):
            os.close(descriptor)
            raise SignatureError("a blob was changed after it was verified", context=self.path)
        return descriptor, found.st_size


def verified(path: str, sha256: str, size: int) -> BlobFile | None:
    """The file, if it has that size and its bytes match their hash."""
    descriptor = os.open(path, _FILE)
    try:
        found = os.fstat(descriptor)  # before reading, so that later changes show
        return BlobFile(path, sha256, _stamp(found)) if _holds(descriptor, found, sha256, size) else None
    finally:
        os.close(descriptor)


def _holds(descriptor: int, found: os.stat_result, sha256: str, size: int) -> bool:
    """Whether it is a file of that size and content. Others may have put a pipe or a hole of terabytes there."""
    return stat.S_ISREG(found.st_mode) and found.st_size == size and digest(descriptor) == sha256


def digest(descriptor: int) -> str:
    """SHA-256 of a file's bytes."""
    size = os.fstat(descriptor).st_size
    if not size:
        return hashlib.sha256().hexdigest()
    with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as view:
        return hashlib.sha256(view).hexdigest()


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
