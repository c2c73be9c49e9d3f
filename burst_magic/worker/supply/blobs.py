"""Large values as files: the supervisor verifies them, and slots open exactly what was verified."""

from __future__ import annotations

import hashlib
import mmap
import os
from typing import NamedTuple

from burst_magic.errors import SignatureError


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
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(descriptor)
        if _stamp(found) != self.stamp and digest(descriptor) != self.sha256:
            os.close(descriptor)
            raise SignatureError("a blob was changed after it was verified", context=self.path)
        return descriptor, found.st_size


def verified(path: str, sha256: str) -> BlobFile | None:
    """The file, if its bytes match their hash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        stamp = _stamp(os.fstat(descriptor))  # before reading, so that later changes show
        return BlobFile(path, sha256, stamp) if digest(descriptor) == sha256 else None
    finally:
        os.close(descriptor)


def digest(descriptor: int) -> str:
    """SHA-256 of a file's bytes."""
    size = os.fstat(descriptor).st_size
    if not size:
        return hashlib.sha256().hexdigest()
    with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as view:
        return hashlib.sha256(view).hexdigest()


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
