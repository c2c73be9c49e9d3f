"""Writing into a folder that others read and write: whole objects only, and one winner for a name.

A draft lies beside its target. It is locked while it is written; one that is not locked was left by a dead writer.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator

from burst_magic.errors import Exists
from burst_magic.stores import beneath
from burst_magic.stores.base import Bytes
from burst_magic.stores.faults import fault
from burst_magic.stores.obstore_io import plain

_FILE = 0o664  # and the umask: the folder decides who gets that far
_ONE_CALL = 1 << 30  # Linux writes at most 2 GB at a time
_NAME = re.compile(r"#[0-9a-f]{16}").fullmatch


class Draft:
    """A file that is being written, in the folder where it will get its name.

    Args:
        parent: a descriptor of that folder, which is closed with the draft.
        key: the object.
    """

    def __init__(self, parent: int, key: str) -> None:
        self._parent, self._key = parent, key
        self._name = f"#{os.urandom(8).hex()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file = os.open(self._name, flags, _FILE, dir_fd=parent)
        except OSError:
            os.close(parent)
            raise
        with contextlib.suppress(OSError):  # some file systems have no locks
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._there = True

    def add(self, data: Bytes) -> None:
        """Write some bytes."""
        with told(self._key), memoryview(plain(data)) as view:
            at = 0
            while at < len(view):
                at += os.write(self._file, view[at : at + _ONE_CALL])

    def placed(self, name: str, *, create: bool, whole: bool) -> bool:
        """Give it its name; False if it was deleted meanwhile.

        Raises:
            Exists: the name is taken, if only by a pipe or a folder.
            StoreError: the system refuses.
        """
        with told(self._key):
            try:
                if whole:
                    os.fsync(self._file)
                if create:
                    os.link(self._name, name, src_dir_fd=self._parent, dst_dir_fd=self._parent, follow_symlinks=False)
                else:
                    os.replace(self._name, name, src_dir_fd=self._parent, dst_dir_fd=self._parent)
                    self._there = False
            except FileNotFoundError:
                return False
            except FileExistsError:
                raise Exists("the object already exists", context=self._key) from None
        return True

    def close(self) -> None:
        """Remove what is left of it."""
        try:
            if self._there:
                with contextlib.suppress(OSError):
                    os.unlink(self._name, dir_fd=self._parent)
        finally:
            os.close(self._file)
            os.close(self._parent)


@contextlib.contextmanager
def told(key: str) -> Iterator[None]:
    """The system's errors as faults."""
    try:
        yield
    except OSError as error:
        raise fault(error, key) from None


def removed(name: str, parent: int) -> bool:
    """Remove a folder that holds nothing but empty folders and the drafts of dead writers.

    Args:
        name: the folder.
        parent: a descriptor of the one that it is in.

    Returns:
        Whether it is gone: what is not ours stays, and so does its folder.
    """
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return True
    except OSError:
        try:
            if not _cleared(name, parent):
                return False
            os.rmdir(name, dir_fd=parent)
        except OSError:
            return False
    return True


def _cleared(name: str, parent: int) -> bool:
    descriptor = os.open(name, beneath.FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    try:
        with os.scandir(descriptor) as found:
            return all(_discarded(item, descriptor) for item in found)
    finally:
        os.close(descriptor)


def _discarded(item: os.DirEntry[str], parent: int) -> bool:
    """Remove a folder as above, or a draft unless its writer lives."""
    if item.is_dir(follow_symlinks=False):
        return removed(item.name, parent)
    if _NAME(item.name) is None:
        return False
    draft = os.open(item.name, beneath.FILE | os.O_NOFOLLOW, dir_fd=parent)
    try:
        fcntl.flock(draft, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(item.name, dir_fd=parent)
    finally:
        os.close(draft)
    return True
