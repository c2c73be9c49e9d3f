"""A local folder as a store.

A write is staged as a draft beside its target and linked or renamed to its name (``draft.py``), so that a create has
one winner and no reader sees half an object. Files with a ``#`` in their name are not objects, and neither is anything
that is not a regular file.

Others may write here, too: no link below the folder is followed, and nothing that blocks is opened (``beneath.py``).
The folder may go away for a while, unmounted or moved. That is no object missing: the folder is recognized by its
device and inode or, mounted anew, by its mark, a file with a random id. Another folder in its place is not read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import cast
from urllib.parse import quote, unquote_to_bytes

from burst_magic.errors import Missing, RecordError, StoreError, Unknown
from burst_magic.stores import beneath
from burst_magic.stores.base import Bytes, Entry, checked, folder_of, is_part
from burst_magic.stores.draft import Draft, removed, told
from burst_magic.stores.faults import fault

MARK = "#store"  # holds the folder's random id
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV}  # the last two: a socket, a device
_UNREADABLE = {errno.EACCES, errno.EPERM}
_NO_FILE = {errno.ELOOP, errno.ENXIO, errno.ENODEV}  # a link, if it is the last part of a path; a socket, a device
_TRIES = 20  # a delete may remove an empty folder while a write is about to use it
_PAUSE = 0.001  # seconds that each try waits longer than the one before
_ONE_READ = 1 << 30  # Linux reads at most 2 GB at a time
_PRIVATE = 0o700  # a folder that we make
_FOLDER = 0o775  # and the umask: one that we make in it
_MARK_BYTES = 64


def open_folder(url: str, *, there: bool = False, **_: object) -> FolderStore:
    """Open ``file:///dir``. The first write creates the folder, private to the user, if it is missing.

    ``there``: it exists. If it is missing, it is away.
    """
    root = _folder_of(url)
    if root.exists() and not root.is_dir():
        raise StoreError("this is not a folder", context=url, way_out="choose another folder")
    return FolderStore(root, there=there)


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

    def __init__(self, root: Path, *, there: bool = False) -> None:
        self._root, self._there = root, there
        self._base = os.path.realpath(root)
        self._place: tuple[int, int] | None = None  # device and inode of the folder, once it was there
        self._id = ""  # its mark's

    @property
    def url(self) -> str:
        """The URL that opens the same store again, in this or another process."""
        return "file://" + quote(str(self._root))

    # --- writing -----------------------------------------------------------------------------------------

    def create(self, key: str, data: Bytes, *, whole: bool = False) -> None:
        """Writes an object that must not exist yet; raises ``Exists`` if it does."""
        self._write(checked(key), data, create=True, whole=whole)

    def put(self, key: str, data: Bytes | Iterator[bytes], *, whole: bool = False) -> None:
        """Writes or replaces an object; an iterator is written in constant memory."""
        self._write(checked(key), data, create=False, whole=whole)

    def _write(self, key: str, data: Bytes | Iterator[bytes], *, create: bool, whole: bool) -> None:
        folder, _, name = key.rpartition("/")
        once = [data] if isinstance(data, (bytes, bytearray, memoryview)) else None
        for _ in range(_TRIES):
            with self._draft(folder, key) as draft:
                for chunk in once or cast("Iterator[bytes]", data):
                    draft.add(chunk)
                if draft.placed(name, create=create, whole=whole):
                    return
            if once is None:  # a stream is gone once it is written
                break
        raise Unknown("its folder is deleted again and again", context=key, way_out="try again")

    @contextlib.contextmanager
    def _draft(self, folder: str, key: str) -> Iterator[Draft]:
        with told(key):
            draft = self._begun(folder, key)
        try:
            yield draft
        finally:
            draft.close()

    def _begun(self, folder: str, key: str) -> Draft:
        for number in range(_TRIES):
            try:
                return Draft(self._made(folder), key)
            except FileNotFoundError:  # a delete has just removed the empty folder
                if number == _TRIES - 1:
                    raise
                time.sleep(number * _PAUSE)  # the longer, the fewer are in each other's way
        raise AssertionError(folder)

    def _made(self, folder: str) -> int:
        """A descriptor of a folder below this one, which is created if it is missing."""
        if not self._id:
            self._join()
        try:
            return self._opened(folder, beneath.FOLDER)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
        inner = self._here()
        for part in folder.split("/"):
            outer = inner
            try:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, _FOLDER, dir_fd=outer)
                inner = os.open(part, beneath.FOLDER | os.O_NOFOLLOW, dir_fd=outer)
            finally:
                os.close(outer)
        return inner

    # --- whether it is there -----------------------------------------------------------------------------

    def _join(self) -> None:
        """Before the first write: create the folder and its mark. One that may not be marked is used as it is."""
        if self._place is None and not self._there:
            Path(self._base).mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        root = self._here()
        try:
            if not self._id:
                with contextlib.suppress(OSError, StoreError), contextlib.closing(Draft(os.dup(root), MARK)) as draft:
                    draft.add(f"{os.urandom(16).hex()}\n".encode())
                    draft.placed(MARK, create=True, whole=False)
                self._id = _mark_of(root)
        finally:
            os.close(root)

    def _opened(self, path: str, flags: int) -> int:
        """A descriptor of a file or folder below this one.

        Raises:
            OSError: there is none (``_ABSENT``), or it cannot be opened.
            Unknown: the whole store is away.
        """
        try:
            if path and self._place is not None:
                return beneath.open_at_once(f"{self._base}/{path}", flags)
        except OSError as error:
            if error.errno not in _ABSENT or (error.errno == errno.ENOENT and self._is_in_place()):
                raise
        root = self._here()
        try:
            return beneath.open_at(root, path, flags)
        finally:
            os.close(root)

    def _is_in_place(self) -> bool:
        try:
            return _place_of(os.stat(self._base)) == self._place  # noqa: PTH116  hot
        except OSError:
            return False

    def _here(self) -> int:
        """A descriptor of the folder itself. Remembers which folder this is; from then on no other will do.

        Raises:
            OSError: it was never there.
            Unknown: it is away.
        """
        try:
            root = os.open(self._base, beneath.FOLDER)
        except OSError as error:
            if error.errno not in _ABSENT or (self._place is None and not self._there):
                raise
            raise self._away() from None
        place = _place_of(os.fstat(root))
        if place != self._place or not self._id:
            mark = _mark_of(root)
            if self._place not in {None, place} and (not mark or mark != self._id):
                os.close(root)
                raise self._away()
            self._place, self._id = place, mark
        return root

    def _away(self) -> Unknown:
        way_out = "mount it again, or move it back: what runs there goes on"
        return Unknown("the folder of the store is not there now", context=str(self._root), way_out=way_out)

    # --- reading -----------------------------------------------------------------------------------------

    def get(self, key: str, *, start: int = 0, end: int | None = None) -> bytes:
        """The bytes ``start`` to ``end`` (exclusive) of an object.

        Raises:
            Missing: there is none.
            RecordError: this user may not read it, though its folder; or it is no file.
        """
        try:
            descriptor = self._opened(checked(key), beneath.FILE)
        except OSError as error:
            if error.errno in _NO_FILE | _UNREADABLE and self._is_taken(key):
                reason = os.strerror(error.errno) if error.errno in _UNREADABLE else "it is no file"
                raise _unreadable(reason, key) from None
            if error.errno in _ABSENT:
                raise Missing("no such object", context=key) from None
            raise fault(error, key) from None
        try:
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode):
                raise Missing("no such object", context=key)
            if not stat.S_ISREG(found.st_mode):
                raise _unreadable("it is no file", key)
            return _read(descriptor, start, found.st_size if end is None else min(end, found.st_size))
        except OSError as error:
            raise fault(error, key) from None
        finally:
            os.close(descriptor)

    def _is_taken(self, key: str) -> bool:
        """Whether something has the name of an object, in a folder that can be looked into."""
        folder, _, name = key.rpartition("/")
        try:
            with self._parent(folder) as parent:
                return parent is not None and bool(os.stat(name, dir_fd=parent, follow_symlinks=False))
        except (OSError, Unknown):
            return False

    def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[Entry]:
        """Objects below the folder ``prefix``, sorted by key, with keys > ``after``, at most ``limit``."""
        folder = folder_of(prefix)
        try:
            if limit is None:
                return sorted(self._all(folder, after))
            return [*islice(self._in_order(folder, after), limit)]
        except OSError as error:
            raise fault(error, prefix) from None

    def folders(self, prefix: str) -> Sequence[str]:
        """Names of the folders directly below the folder ``prefix``, sorted."""
        with told(prefix):
            found = self._scanned(folder_of(prefix))
            if found is None:
                return []
            descriptor, items = found
            try:
                return sorted(i.name for i in items if i.is_dir(follow_symlinks=False) and is_part(i.name))
            finally:
                os.close(descriptor)

    def _all(self, folder: str, after: str) -> Iterator[Entry]:
        """Unordered."""
        folders = [folder]
        while folders:
            inside = folders.pop()
            found = self._scanned(inside, inner=inside != folder)
            if found is None:
                continue
            descriptor, items = found
            try:
                for item in items:
                    key = inside + item.name
                    if item.is_file(follow_symlinks=False):
                        if key > after and is_part(item.name) and (entry := _entry(key, item.stat)):
                            yield entry
                    elif item.is_dir(follow_symlinks=False) and _may_hold(key, after) and is_part(item.name):
                        folders.append(key + "/")
            finally:
                os.close(descriptor)

    def _in_order(self, folder: str, after: str, *, inner: bool = False) -> Iterator[Entry]:
        """In order of keys, so that few of many are found without a look at the others."""
        found = self._scanned(folder, inner=inner)
        if found is None:
            return
        descriptor, items = found
        try:
            names = []
            for item in items:
                key = folder + item.name
                if item.is_file(follow_symlinks=False):
                    if key > after:
                        names.append(item.name)
                elif item.is_dir(follow_symlinks=False) and _may_hold(key, after):
                    names.append(item.name + "/")
            names.sort()
            for name in names:
                if not is_part(name.rstrip("/")):
                    continue
                if name[-1] == "/":
                    yield from self._in_order(folder + name, after, inner=True)
                elif entry := _entry(folder + name, partial(os.stat, name, dir_fd=descriptor)):
                    yield entry
        finally:
            os.close(descriptor)

    def _scanned(self, folder: str, *, inner: bool = False) -> tuple[int, Iterator[os.DirEntry[str]]] | None:
        """A folder's descriptor, to be closed, and what is in it; None if it is missing.

        By the descriptor, so that a long path is resolved once, not once per file. An inner one, which nobody has
        asked for by its name, may be private to another user: it must not stop those who list what is around it.
        """
        try:
            descriptor = self._opened(folder.rstrip("/"), beneath.FOLDER)
        except OSError as error:
            if error.errno in _ABSENT or (inner and error.errno in _UNREADABLE):
                return None
            raise
        return descriptor, os.scandir(descriptor)

    # --- deleting ----------------------------------------------------------------------------------------

    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects; missing ones are ignored. Also removes folders that become empty."""
        emptied: set[str] = set()
        for folder, some in groupby(keys, key=lambda key: checked(key).rpartition("/")[0]):
            with told(folder), self._parent(folder) as parent:
                emptied.add(folder)
                for key in some:
                    if parent is not None:
                        _unlink(key.rpartition("/")[2], parent)
        with told(""):
            self._prune(emptied)

    @contextlib.contextmanager
    def _parent(self, folder: str) -> Iterator[int | None]:
        """A descriptor of a folder, or None if it is missing."""
        try:
            descriptor = self._opened(folder, beneath.FOLDER)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
            yield None
            return
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _prune(self, folders: set[str]) -> None:
        for folder in sorted(folders, reverse=True):
            inner = folder
            while inner:
                outer, _, name = inner.rpartition("/")
                with self._parent(outer) as parent:
                    if parent is None or not removed(name, parent):
                        break
                inner = outer

    def path(self, key: str) -> Path | None:
        """The file of the object."""
        return self._root / checked(key)


def _place_of(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _mark_of(root: int) -> str:
    """The id of the folder that a descriptor is of; "" if it has none."""
    try:
        descriptor = os.open(MARK, beneath.FILE | os.O_NOFOLLOW, dir_fd=root)
    except OSError:
        return ""
    try:
        return (
            os.read(descriptor, _MARK_BYTES).decode("ascii", "replace").strip() if beneath.is_file(descriptor) else ""
        )
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _unreadable(reason: str, key: str) -> RecordError:
    """An object that this user may not read, or another thing that has its name, is as good as a damaged object.

    It stops nobody who reads many. If it were missing, those who want to create it would try without end.
    """
    return RecordError(f"an object in the store cannot be read: {reason}", context=key, way_out="delete it")


def _may_hold(folder: str, after: str) -> bool:
    """Whether a folder may hold keys behind this one."""
    return folder + "/" > after or after.startswith(folder + "/")


def _entry(key: str, look: Callable[..., os.stat_result]) -> Entry | None:
    """None: deleted while we were listing."""
    try:
        found = look(follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Entry(key, found.st_size, found.st_mtime)


def _unlink(name: str, parent: int) -> None:
    """Remove a file if it is there, and never what a link names. A folder is no object."""
    try:
        os.unlink(name, dir_fd=parent)
    except (FileNotFoundError, IsADirectoryError):
        return
    except PermissionError:  # so macOS refuses to unlink a folder
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise


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
