"""Files shared by a session's workers on one machine: one fetches, the others open.

The folder is private to the user. Each worker holds a shared lock on it while it lives, and the last one removes the
folder: locks end with their processes, however those end. The next worker removes what killed ones left.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Scratch:
    """A session's folder on this machine, created when first needed.

    Args:
        session: the session's id.
    """

    def __init__(self, session: str) -> None:
        self._session = session
        self._path = Path()
        self._held: int | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}

    def keep(self, name: str, make: Callable[[Path], None]) -> Path:
        """Return a file or folder that is created once; a failed attempt leaves nothing.

        Args:
            name: the same for the same content.
            make: creates it at the given path.
        """
        with self._lock:
            if self._closed:
                raise OSError(errno.ECANCELED, "the worker ends")
            if self._held is None:
                self._held = self._join()
                self._sweep()
            place = self._path / name
            alone = self._making.setdefault(name, threading.Lock())
        with alone, _locked(place.with_name(f"{name}.lock")):
            if not place.exists():
                draft = place.with_name(f"{name}.part")
                _remove(draft)  # left by a worker that died while creating it
                try:
                    make(draft)
                    draft.rename(place)
                except OSError as error:
                    error.filename = error.filename or str(draft)  # errors of a write don't name the file
                    raise
                finally:
                    _remove(draft)
        return place

    def remove(self) -> None:
        """Release the folder, and remove it if no other worker holds it."""
        with self._lock:
            self._closed = True
            held, self._held = self._held, None
        if held is not None:
            fcntl.flock(held, fcntl.LOCK_UN)  # first, so that if two leave at once, one finds itself alone
            _remove_if_alone(self._path, held)

    def _sweep(self) -> None:
        """Remove folders of sessions whose last worker here was killed."""
        for other in self._path.parent.glob(f"burst-{os.getuid()}-*"):
            if other != self._path:
                with contextlib.suppress(OSError):  # it is already gone, or another user's
                    _remove_if_alone(other, os.open(other, _FOLDER))

    def _join(self) -> int:
        """Create or open the folder; returns a descriptor that holds its lock."""
        self._path = Path(tempfile.gettempdir(), f"burst-{os.getuid()}-{self._session}")
        while True:
            self._path.mkdir(mode=0o700, exist_ok=True)
            try:
                held = os.open(self._path, _FOLDER)
            except FileNotFoundError:  # the last other worker has just removed it
                continue
            fcntl.flock(held, fcntl.LOCK_SH)
            found = os.fstat(held)
            if found.st_uid != os.getuid() or found.st_mode & 0o077:
                os.close(held)
                self._path = Path(tempfile.mkdtemp(prefix="burst-"))  # created by another user: use our own
            elif _is_at(self._path, found):
                return held
            else:
                os.close(held)


def _remove_if_alone(path: Path, held: int) -> None:
    """Remove a folder that no other process holds; releases it in any case."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(path, os.fstat(held)):  # not a new one, created there after this one was removed
            shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(held)


def _is_at(path: Path, found: os.stat_result) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file's lock, exclusive among the processes of this machine."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
