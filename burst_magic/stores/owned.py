"""Folders of this user that he may not enter himself: a chmod, a umask or a restored backup took his rights away."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def regain(root: Path) -> int:
    """Give this user the rights to his own folders below one, itself included. Others' are left; no link is followed.

    Returns:
        How many folders lacked them.
    """
    changed, left = 0, [os.fspath(root)]
    while left:
        folder = left.pop()
        try:
            found = os.lstat(folder)
            if not stat.S_ISDIR(found.st_mode):
                continue
            if found.st_uid == os.geteuid() and found.st_mode & stat.S_IRWXU != stat.S_IRWXU:
                Path(folder).chmod(stat.S_IMODE(found.st_mode) | stat.S_IRWXU)
                changed += 1
            with os.scandir(folder) as inside:
                left += [item.path for item in inside if item.is_dir(follow_symlinks=False)]
        except OSError:  # another user's, or deleted meanwhile
            continue
    return changed
