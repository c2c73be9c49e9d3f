"""Files shared by a session's workers on one machine: one fetches, the others open.

The folder is private to the user. Each worker holds a shared lock on it while it lives, and the last one removes it:
locks end with their processes, however these end. The next worker removes what a killed one left.
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
    """A session's folder on this machine, made when something has to lie there.

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
        """A file or folder that is made once; of what could not be made whole nothing is left.

        Args:
            name: the same for the same content.
            make: makes it at the path that it is given.
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
                _remove(draft)  # of a worker that ended in the middle
                try:
                    make(draft)
                    draft.rename(place)
                except OSError as error:
                    error.filename = error.filename or str(draft)  # a write does not say where
                    raise
                finally:
                    _remove(draft)
        return place

    def remove(self) -> None:
        """Leaves the folder; nothing is left of it when nobody else holds it."""
        with self._lock:
            self._closed = True
            held, self._held = self._held, None
        if held is not None:
            fcntl.flock(held, fcntl.LOCK_UN)  # first, so that of two that leave at once one finds itself alone
            _remove_if_alone(self._path, held)

    def _sweep(self) -> None:
        """Removes what sessions left whose last worker here was killed."""
        for other in self._path.parent.glob(f"burst-{os.getuid()}-*"):
            if other != self._path:
                with contextlib.suppress(OSError):  # it has just gone, or is none of ours
                    _remove_if_alone(other, os.open(other, _FOLDER))

    def _join(self) -> int:
        """A descriptor that holds the folder."""
        self._path = Path(tempfile.gettempdir(), f"burst-{os.getuid()}-{self._session}")
        while True:
            self._path.mkdir(mode=0o700, exist_ok=True)
            try:
                held = os.open(self._path, _FOLDER)
            except FileNotFoundError:  # the last of others has just left
                continue
            fcntl.flock(held, fcntl.LOCK_SH)
            found = os.fstat(held)
            if found.st_uid != os.getuid() or found.st_mode & 0o077:
                os.close(held)
                self._path = Path(tempfile.mkdtemp(prefix="burst-"))  # somebody else has made it: one of its own
            elif _is_at(self._path, found):
                return held
            else:
                os.close(held)


def _remove_if_alone(path: Path, held: int) -> None:
    """Removes a folder that nobody else holds; lets go of it in any case."""
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_at(path, os.fstat(held)):  # not another that was made there after this one was removed
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
    """Alone among the processes of this machine."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
