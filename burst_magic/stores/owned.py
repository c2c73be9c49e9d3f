"""Folders of this user that he may not enter himself: a chmod, a umask or a restored backup took his rights away."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def are_closed(root: Path) -> bool:
    """Whether this user lacks rights to some of his own folders below one, itself included."""
    return any(True for _ in _closed(root))


def regain(root: Path) -> int:
    """Give this user the rights to his own folders below one, itself included. Others' are left; no link is followed.

    Returns:
        How many folders lacked them.
    """
    changed = 0
    for folder, mode in _closed(root):
        with contextlib.suppress(OSError):  # deleted meanwhile, or on a disk that takes no changes
            folder.chmod(mode | stat.S_IRWXU)
            changed += 1
    return changed


def _closed(root: Path) -> Iterator[tuple[Path, int]]:
    """Each closed folder with its mode, before what is in it: the caller may open it."""
    left = [os.fspath(root)]
    while left:
        folder = left.pop()
        try:
            found = os.lstat(folder)
            if not stat.S_ISDIR(found.st_mode):
                continue
            if found.st_uid == os.geteuid() and found.st_mode & stat.S_IRWXU != stat.S_IRWXU:
                yield Path(folder), stat.S_IMODE(found.st_mode)
            with os.scandir(folder) as inside:
                left += [item.path for item in inside if item.is_dir(follow_symlinks=False)]
        except OSError:  # another user's, or deleted meanwhile
            continue
