"""A local folder as a store.

Writes go through obstore: it stages a file next to its target and links or renames it, so that a create has one winner
and no reader sees half an object. Reads and listings use the operating system directly: measured here, a ranged read
takes 3 µs instead of 70, a listing of 2 000 keys with a limit 1 ms instead of 11, and 200 MB 0.1 s instead of 1.4.
Files with a ``#`` in their name are being written and are not objects.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from burst_magic.errors import Exists, Missing, StoreError
from burst_magic.stores import obstore_io
from burst_magic.stores.base import Bytes, Entry, checked, folder_of
from burst_magic.stores.faults import fault, os_error
from burst_magic.stores.stream import upload

if TYPE_CHECKING:
    from obstore.store import LocalStore

_GONE = (FileNotFoundError, NotADirectoryError)
# A delete may remove an empty folder while a write is about to use or create it.
_FOLDER_RACE = {errno.ENOENT, errno.EEXIST}
_TRIES = 20
_ONE_READ = 1 << 30  # Linux reads at most 2 GB at a time


def open_folder(url: str, **_: object) -> FolderStore:
    """Open ``file:///dir``, creating the folder if necessary."""
    root = _folder_of(url)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise fault(error, url) from error
    from obstore.store import LocalStore  # paid for when a store is opened

    return FolderStore(root, LocalStore(root))


def _folder_of(url: str) -> Path:
    """The folder of a URL: ``%20`` is a space; ``?`` and ``#`` are part of the name, as in a path."""
    host, slash, path = url.partition("://")[2].partition("/")
    if host not in {"", "localhost"} or not slash:
        raise StoreError("a folder URL needs an absolute path", context=url, way_out="file:///home/me/store")
    if path.startswith("~"):
        raise StoreError(
            "~ is not expanded in a URL", context=url, way_out="write the full path: file:///home/me/store"
        )
    try:
        named = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise StoreError(
            "this folder's name is not valid UTF-8", context=url, way_out="choose another folder"
        ) from None
    if "\0" in named:
        raise StoreError("a folder name cannot contain a null byte", context=url, way_out="choose another folder")
    return Path("/" + named)


class FolderStore:
    """The store operations on a folder."""

    def __init__(self, root: Path, backend: LocalStore) -> None:
        self._root = root
        self._base = str(root).rstrip("/") + "/"
        self._backend = backend

    @property
    def url(self) -> str:
        """The URL that opens the same store again, in this or another process."""
        return "file://" + quote(str(self._root))

    def create(self, key: str, data: Bytes) -> None:
        """Writes an object that must not exist yet; raises ``Exists`` if it does."""
        self._write(checked(key), data, create=True)

    def put(self, key: str, data: Bytes | Iterator[bytes]) -> None:
        """Writes or replaces an object; an iterator is staged in constant memory."""
        checked(key)
        if isinstance(data, (bytes, bytearray, memoryview)):
            self._write(key, data, create=False)
        else:
            upload(self._backend, key, data, fault=fault)

    def _write(self, key: str, data: Bytes, *, create: bool) -> None:
        for attempt in range(_TRIES):
            try:
                return obstore_io.write(self._backend, key, data, create=create)
            except Exception as error:
                told = fault(error, key)
                if isinstance(told, Exists) or os_error(error) not in _FOLDER_RACE or attempt == _TRIES - 1:
                    raise told from error
        return None

    def get(self, key: str, *, start: int = 0, end: int | None = None) -> bytes:
        """The bytes ``start`` to ``end`` (exclusive) of an object; raises ``Missing``."""
        try:
            descriptor = os.open(self._base + checked(key), os.O_RDONLY | os.O_CLOEXEC)
        except _GONE as error:
            raise Missing("no such object", context=key) from error
        except OSError as error:
            raise fault(error, key) from error
        try:
            stop = os.fstat(descriptor).st_size if end is None else end
            return _read(descriptor, start, stop)
        except IsADirectoryError as error:
            raise Missing("no such object", context=key) from error
        except OSError as error:
            raise fault(error, key) from error
        finally:
            os.close(descriptor)

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """Objects below the folder ``prefix``, sorted by key, with keys > ``after``, at most ``limit``."""
        files = self._files(folder_of(prefix), after)
        try:
            if limit is None:
                return sorted(_entries((key, item.stat) for key, item in files))
            keys = sorted(key for key, _ in files)  # few of many files are requested
            return list(islice(_entries((key, partial(os.stat, self._base + key)) for key in keys), limit))
        except OSError as error:
            raise fault(error, prefix) from error

    def _files(self, folder: str, after: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Keys with a stat function that is valid until the next key; unordered."""
        folders = [folder]
        while folders:
            inside = folders.pop()
            try:
                descriptor = os.open(self._base + inside, os.O_RDONLY | os.O_DIRECTORY)
            except _GONE:
                continue
            try:  # by its descriptor, so that a long path is resolved once, not once per file
                with os.scandir(descriptor) as found:
                    for item in found:
                        key = inside + item.name
                        if "#" in item.name:
                            continue
                        if item.is_file(follow_symlinks=False):
                            if key > after:
                                yield key, item
                        elif item.is_dir(follow_symlinks=False) and (key + "/" > after or after.startswith(key + "/")):
                            folders.append(key + "/")
            finally:
                os.close(descriptor)

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects; missing ones are ignored. Also removes folders that become empty."""
        parents: set[str] = set()
        for key in keys:
            try:
                os.unlink(self._base + checked(key))  # noqa: PTH108  hot, as above
            except _GONE:
                continue
            except OSError as error:
                raise fault(error, key) from error
            parents.add(key.rpartition("/")[0])
        self._prune(parents)

    def _prune(self, folders: set[str]) -> None:
        for folder in sorted(folders, reverse=True):
            inner = folder
            while inner and _rmdir(self._base + inner):
                inner = inner.rpartition("/")[0]

    def path(self, key: str) -> Path | None:
        """The file of the object."""
        return self._root / checked(key)


def _entries(files: Iterable[tuple[str, Callable[[], os.stat_result]]]) -> Iterator[Entry]:
    for key, look in files:
        try:
            found = look()
        except _GONE:  # deleted while we were listing
            continue
        yield Entry(key, found.st_size, found.st_mtime)


def _rmdir(folder: str) -> bool:
    try:
        os.rmdir(folder)  # noqa: PTH106  hot, as above
    except FileNotFoundError:
        return True
    except OSError:  # not empty, or not ours: it stays
        return False
    return True


def _read(descriptor: int, start: int, stop: int) -> bytes:
    first = os.pread(descriptor, max(0, min(stop - start, _ONE_READ)), start)
    if len(first) < _ONE_READ or start + len(first) >= stop:
        return first
    blocks = [first]
    at = start + len(first)
    while at < stop and (block := os.pread(descriptor, min(stop - at, _ONE_READ), at)):
        blocks.append(block)
        at += len(block)
    return b"".join(blocks)
