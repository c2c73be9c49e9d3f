"""Open what lies below a folder: no link on the way is followed, and nothing is waited for.

Others may write into a shared folder, so a name in it may be a link to somewhere else, or a pipe that nobody writes to.
Where the system has it (Linux: openat2, macOS: O_NOFOLLOW_ANY), one call opens a path; otherwise one for each part.
The folder itself may be a link, and may come and go: nothing of it is held open.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Callable

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe without a writer would be waited for

_OPENAT2 = 437  # the number of the system call, on every architecture
_RESOLVE_NO_SYMLINKS = 0x04
_NOFOLLOW_ANY = 0x20000000  # macOS 11
_HOW = struct.Struct("=QQQ")  # flags, mode, resolve
_HERE = -100  # AT_FDCWD
_UNAVAILABLE = {errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG}  # an old kernel, or a sandbox that forbids it


def open_at_once(path: str, flags: int) -> int:
    """Open an absolute path without links; returns a descriptor. Nothing is created.

    Raises:
        OSError: ELOOP or ENOTDIR if a part of the path is a link, or if this system cannot do it in one call.
    """
    return _open(_HERE, path, flags)


def open_at(held: int, path: str, flags: int) -> int:
    """Open a path below an open folder; returns a descriptor. Nothing is created.

    Args:
        held: the folder's descriptor.
        path: without ``.`` and ``..``; "" for the folder itself.
        flags: of ``open``.

    Raises:
        OSError: ELOOP or ENOTDIR if a part of the path is a link.
    """
    return _open(held, path, flags) if path else os.dup(held)


def is_file(descriptor: int) -> bool:
    """Whether it is a regular file."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def by_parts(held: int, path: str, flags: int) -> int:
    """One call for each part."""
    if held == _HERE:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    *parents, name = path.split("/")
    descriptor = os.dup(held)
    try:
        for part in parents:
            inner = os.open(part, FOLDER | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=descriptor)
    finally:
        os.close(descriptor)


def _by_openat2() -> Callable[[int, str, int], int] | None:
    """Linux's own call, if this kernel has it and allows it."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]

    def opened(held: int, path: str, flags: int) -> int:
        how, name = _HOW.pack(flags | os.O_CLOEXEC, 0, _RESOLVE_NO_SYMLINKS), os.fsencode(path)
        while True:
            descriptor: int = call(_OPENAT2, held, name, how, _HOW.size)
            if descriptor >= 0:
                return descriptor
            number = ctypes.get_errno()
            if number != errno.EINTR:
                raise OSError(number, os.strerror(number), path)

    try:
        os.close(opened(_HERE, "/", FOLDER))
    except OSError as error:
        if error.errno in _UNAVAILABLE:
            return None
        raise
    return opened


def _by_nofollow_any(held: int, path: str, flags: int) -> int:
    """The flag of macOS."""
    return os.open(path, flags | _NOFOLLOW_ANY, dir_fd=None if held == _HERE else held)


def _chosen() -> Callable[[int, str, int], int]:
    if sys.platform == "darwin":
        return _by_nofollow_any
    return _by_openat2() or by_parts


_open = _chosen()
