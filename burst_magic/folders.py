"""burst_magic's own files on this machine: private, and what the system says of them in plain words."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from burst_magic.errors import BurstError

_MOST = 64 << 20  # bytes of a file that is read whole
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_FILE = {errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENXIO}  # something else has its name
_ELSEWHERE = "set BURST_CONFIG_DIR and BURST_DATA_DIR to folders"


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn a refusal of the system into an error for the user.

    Args:
        path: what is written or read, if the system does not name it.

    Raises:
        BurstError: the disk is full, the folder may not be written to, and the like.
    """
    try:
        yield
    except OSError as error:
        raise refused(path, error) from None


def refused(path: Path, error: OSError) -> BurstError:
    """The error for a file or folder of ours that cannot be used. It names both directories: one move mends all."""
    where = str(error.filename or path)
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        way_out = f"free some space, or {_ELSEWHERE} on another disk"
        return BurstError(f"the disk is full: {reason}", context=where, way_out=way_out)
    if error.errno in _NO_FILE:
        return BurstError(f"burst_magic cannot use its own files: {reason}", context=where, way_out="move it away")
    return BurstError(
        f"burst_magic cannot use its own files: {reason}", context=where, way_out=f"{_ELSEWHERE} that you may write to"
    )


def opened(path: Path, mode: str = "rb") -> IO[Any]:
    """Open a file, for text in UTF-8; a new one is this user's only. Waits for nobody at the other end of a pipe.

    Raises:
        OSError: it cannot be opened, or is no regular file: a pipe, a device, a folder.
    """
    file: IO[Any] = open(path, mode, encoding=None if "b" in mode else "utf-8", opener=_at_once)  # noqa: SIM115
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise OSError(errno.EINVAL, "it is not a regular file", str(path))


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK, 0o600)


def read(path: Path, *, most: int = _MOST) -> bytes:
    """A file's bytes.

    Raises:
        OSError: as ``opened``, or it has more than ``most`` bytes, which none of ours ever has.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        found: bytes = file.read(size + 1) if size <= most else b""  # Python allocates as much as it is asked for
    if max(size, len(found)) > most:
        raise OSError(errno.EINVAL, f"it is larger than {most >> 20} MB", str(path))
    return found


def read_end(path: Path, most: int) -> str:
    """The last ``most`` bytes of a file of any length, as text; raises ``OSError`` as ``opened``."""
    with opened(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - most))
        return str(file.read(most), "utf-8", "replace")


def make(folder: Path) -> None:
    """Create a folder, and those above it that are missing, for this user only; one that exists stays as it is.

    Raises:
        BurstError: it cannot be created.
    """
    with told(folder):
        for each in [*reversed(folder.parents), folder]:
            if not each.is_dir():
                with contextlib.suppress(FileExistsError):  # another process was quicker
                    each.mkdir(mode=0o700)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def current() -> Path:
    """The current folder.

    Raises:
        BurstError: it was removed.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise BurstError(
            "the current folder does not exist any more",
            context="workers on this machine begin in it",
            way_out="change to another (%cd, cd, os.chdir), then run it again",
        ) from None
