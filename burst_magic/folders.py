"""burst_magic's own files on this machine: private, and what the system says of them in plain words."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from burst_magic.errors import BurstError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
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
    return BurstError(
        f"burst_magic cannot use its own files: {reason}", context=where, way_out=f"{_ELSEWHERE} that you may write to"
    )


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
