"""Carry out store calls in a few threads and return their events to the supervisor's loop.

Each thread has one kind of errand: slow calls (a job's files) never delay short ones, and nothing delays the heartbeat.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Generic, TypeVar

from burst_magic.errors import StoreError
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import blocks, keys
from burst_magic.protocol.wire.model import Heartbeat, Provenance, SegmentKey
from burst_magic.protocol.wire.records import PackedRun, pack_origin
from burst_magic.protocol.wire.sign import Buffer
from burst_magic.protocol.worker.conduct import asks_for_time, clock_offset
from burst_magic.stores.store_driver import Carrier
from burst_magic.worker.channel.spool import LARGE, sliced, spooled

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


class Errand(Enum):
    """The purpose of a thread."""

    BEAT = "beat"
    CALLS = "calls"
    FILES = "files"


_THREADS = {Errand.BEAT: 1, Errand.CALLS: 4, Errand.FILES: 2}


class Broken(Exception):
    """A call failed unexpectedly; the worker must not continue as if nothing had happened."""


def _pieces(writer: blocks.BlockWriter, segment: SegmentKey, runs: Sequence[PackedRun]) -> Iterator[Buffer]:
    """A segment: all its outcomes and no others (law 2)."""
    task = segment.start
    for run in runs:
        if run.first == task:
            yield from writer.add_pieces(task, run.data, run.count)
            task += run.count
    if task != segment.stop:
        raise ValueError(f"outcomes up to task {task} for {segment}")
    yield from writer.finish_pieces()


class Courier(Generic[T]):
    """A few threads for store calls.

    Args:
        carrier: the store, with the session's key.
        stopping: set when the worker ends; calls waiting to be retried then give up.
    """

    def __init__(self, carrier: Carrier, stopping: threading.Event) -> None:
        self._carrier, self._stopping = carrier, stopping
        self._calls: dict[Errand, queue.SimpleQueue[Callable[[], T | None] | None]] = {}
        self._events: queue.SimpleQueue[T | Broken] = queue.SimpleQueue()
        self._wake_out, self._wake_in = os.pipe()
        for descriptor in (self._wake_out, self._wake_in):
            os.set_blocking(descriptor, False)
        self._beats = 0
        for errand, threads in _THREADS.items():
            self._calls[errand] = queue.SimpleQueue()
            for _ in range(threads):
                threading.Thread(target=self._serve, args=(self._calls[errand],), daemon=True).start()

    def fileno(self) -> int:
        """Readable when events wait."""
        return self._wake_out

    def call(self, call: Callable[[], T | None], *, errand: Errand = Errand.CALLS) -> None:
        """Run a call in a thread; its result becomes an event."""
        self._calls[errand].put(call)

    def post(self, event: T | Broken) -> None:
        """Add an event; safe in threads and signal handlers."""
        self._events.put(event)
        try:
            os.write(self._wake_in, b"!")
        except BlockingIOError:  # the pipe is full of wake-ups already
            return

    def events(self) -> Iterator[T]:
        """All waiting events. Raises ``Broken`` if a call failed unexpectedly."""
        self._forget_wakes()
        while not self._events.empty():
            event = self._events.get()
            if isinstance(event, Broken):
                raise event
            yield event

    def close(self) -> None:
        """Let each thread end after its current call."""
        self._stopping.set()
        for errand, threads in _THREADS.items():
            for _ in range(threads):
                self._calls[errand].put(None)

    def publish(
        self,
        sid: str,
        effect: fx.Publish,
        chosen: Sequence[PackedRun],
        *,
        by: Provenance,
        carrier: Carrier | None = None,
    ) -> fx.Published:
        """Write a segment of packed outcomes, once; returns the store's answer.

        Args:
            sid: the session.
            effect: names the segment.
            chosen: its outcomes.
            by: worker and slot that ran them.
            carrier: used instead of the courier's own.
        """
        carrier = carrier or self._carrier
        key = keys.SessionKeys(sid).job(effect.job).segment(effect.segment)
        writer = blocks.BlockWriter(carrier.secret or b"", key, lengths=False, head=pack_origin(by), sliced=sliced)
        pieces = _pieces(writer, effect.segment, chosen)
        data = b"".join(pieces) if sum(map(len, chosen)) < LARGE else spooled(pieces)
        return fx.Published(effect.job, effect.segment, carrier.create(key, data, whole=True))

    def beat(self, key: str, body: Heartbeat) -> fx.Beaten:
        """Put the heartbeat; now and then, read the store's clock from it."""
        before = time.monotonic()
        try:
            self._carrier.store.put(key, self._carrier.encode(body, key))
            self._beats += 1
            after = time.monotonic()
            if not asks_for_time(self._beats):
                return fx.Beaten(fx.Wrote.DONE)
            listed = self._carrier.store.list(key.rpartition("/")[0], after=key[:-1], limit=1)
        except StoreError as fault:
            self._carrier.tell(fault)
            return fx.Beaten(fx.Wrote.UNKNOWN)
        modified = listed[0].modified if listed and listed[0].key == key else None
        return fx.Beaten(fx.Wrote.DONE, clock_offset(before, after, modified))

    def _serve(self, calls: queue.SimpleQueue[Callable[[], T | None] | None]) -> None:
        while (call := calls.get()) is not None:
            self._perform(call)
            del call  # frees what it holds, such as a job's files, while the thread waits

    def _perform(self, call: Callable[[], T | None]) -> None:
        try:
            event = call()
        except Exception as error:  # noqa: BLE001 - passed to the loop, which stops on it
            if not self._stopping.is_set():
                _LOG.exception("a call failed")
                self.post(Broken(f"{type(error).__name__}: {error}"))
        else:
            if event is not None:
                self.post(event)

    def _forget_wakes(self) -> None:
        try:
            while os.read(self._wake_out, 4096):
                pass
        except BlockingIOError:
            return
