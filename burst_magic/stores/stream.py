"""Upload an iterator's chunks in parts, in constant memory.

obstore would run the iterator inside its own event loop: an iterator that uses a store would then panic ("cannot start
a runtime from within a runtime"), and Ctrl-C would wait for the whole upload. So the iterator runs in the caller's
thread and the upload in another, with a queue of a few blocks in between.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from burst_magic.stores import obstore_io

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_BLOCK = 1 << 20  # small chunks are joined to this: obstore pays for each of them
_WAITING = 4  # blocks between the two threads


Fault = Callable[[BaseException, str], Exception]  # tells what an error of obstore stands for


def upload(store: ObjectStore, key: str, chunks: Iterator[bytes], *, fault: Fault) -> None:
    """Write an object. Raises the store's fault, or the iterator's exception; then nothing is left behind."""
    source = iter(chunks)
    head, ended = _joined(source, obstore_io.PART)
    if ended:  # small: one request instead of the three of an upload in parts
        return _write(store, key, head, fault)
    parts = _StreamUpload(store, key, fault)
    try:
        parts.add(head)
        while not ended:
            block, ended = _joined(source, _BLOCK)
            parts.add(block)
    except BaseException:
        parts.abort()
        raise
    return parts.finish()


def _write(store: ObjectStore, key: str, data: bytes, fault: Fault) -> None:
    try:
        obstore_io.write(store, key, data, create=False)
    except Exception as error:
        raise fault(error, key) from None


def _joined(chunks: Iterator[bytes], size: int) -> tuple[bytes, bool]:
    """At least ``size`` bytes, or the rest and True."""
    block = bytearray()
    for chunk in chunks:
        block += chunk
        if len(block) >= size:
            return bytes(block), False
    return bytes(block), True


class _Aborted(Exception):
    """Makes obstore abort an upload and delete its parts."""


class _StreamUpload:
    """One upload in its own thread."""

    def __init__(self, store: ObjectStore, key: str, fault: Fault) -> None:
        self._blocks: queue.Queue[bytes | _Aborted | None] = queue.Queue(_WAITING)
        self._failure: Exception | None = None
        self._drained = False
        self._thread = threading.Thread(target=self._run, args=(store, key, fault), name="burst-upload", daemon=True)
        self._thread.start()

    def add(self, block: bytes) -> None:
        """Pass on a block; raises the upload's error."""
        if self._failure is not None:
            raise self._failure
        if block:
            self._blocks.put(block)

    def finish(self) -> None:
        """Wait until the object is written; raises the upload's error."""
        try:
            self._blocks.put(None)
            self._thread.join()
        except BaseException:  # Ctrl-C: the object may be written by now, as after any lost reply
            self.abort()
            raise
        if self._failure is not None:
            raise self._failure

    def abort(self) -> None:
        """Abort, and wait until nothing is left of it."""
        self._blocks.put(_Aborted())
        self._thread.join()

    def _run(self, store: ObjectStore, key: str, fault: Fault) -> None:
        blocks, at_a_time = self._pulled(), obstore_io.PARTS_AT_A_TIME
        try:
            store.put(key, blocks, use_multipart=True, chunk_size=obstore_io.PART, max_concurrency=at_a_time)
        except Exception as error:  # raised in the caller's thread
            self._failure = fault(error, key)
            self._failure.__context__, self._failure.__suppress_context__ = error, True  # as "raise … from None"
            self._drain()

    def _pulled(self) -> Iterator[bytes]:
        while (block := self._blocks.get()) is not None:
            if isinstance(block, _Aborted):
                self._drained = True
                raise block
            yield block
        self._drained = True

    def _drain(self) -> None:
        """Drain the queue, so that the caller never waits for a stopped reader."""
        while not self._drained:
            block = self._blocks.get()
            self._drained = block is None or isinstance(block, _Aborted)
