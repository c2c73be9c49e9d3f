"""Follow a session by looking only: no thread, no launcher, no pickle, and of all writes only ``final``.

A Jupyter server does this for sessions whose kernel may be gone. Whoever has an onlooker calls ``look`` from one thread
at a time; the rest may be called from any thread, and asks the store for nothing but failures.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from burst_magic.dataclass import dataclass
from burst_magic.errors import AttachError, BurstError, Denied, OptionError
from burst_magic.protocol.client.session import SessionMachine
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Job, Manifest, Outcome
from burst_magic.protocol.wire.records import TaskSpan, unpack_outcome
from burst_magic.session.rounds import Rounds
from burst_magic.session.segments import Failures, SegmentReader, Tally
from burst_magic.stores.retry import PERSON, Retry, slept
from burst_magic.stores.store_driver import Carrier

if TYPE_CHECKING:
    from burst_magic.protocol.client.job import JobMachine
    from burst_magic.protocol.ranges import Part
    from burst_magic.stores import Store

_KEPT = 4 << 20  # bytes of a job's failures and segments that are kept
KEY_WAY_OUT = "where it was started, run burst key show ID; then here: %burst_attach ID --key KEY"
_NO_KEY = "this session's key is not on this machine"


@dataclass(slots=True, eq=False)
class _Watched:
    """One job, and what was read of its failures."""

    job: Job
    machine: JobMachine
    reader: SegmentReader
    failures: Failures
    tally: Tally
    read: set[Part]


class Onlooker:
    """A session and some of its jobs, as a client sees them that only looks.

    Args:
        store: the session's store.
        manifest: the session.
        secret: its key. Without it nothing is verified, failures stay unread, and nothing at all is written.
        over: ends all waiting for the store.
        patience: launcher -> seconds that a start may take without any news.
        reading: how long reading an outcome is tried again: somebody waits for it, in a thread that others need, too.
    """

    def __init__(
        self,
        store: Store,
        manifest: Manifest,
        secret: bytes | None,
        *,
        over: threading.Event,
        patience: Mapping[str, float],
        reading: Retry = PERSON,
    ) -> None:
        self.manifest, self._secret = manifest, secret
        self._lock = threading.Lock()
        self._machine = SessionMachine(
            manifest=manifest,
            signed=secret is not None,
            now=time.monotonic(),
            wall=time.time(),
            me=secrets.token_hex(8),
            replaces_lost_workers=False,
            patience=patience,
        )
        self._carrier = Carrier(store, secret, slept, give_up=(Denied,)).until(over)
        self._reads = Carrier(store, secret, slept, retry=reading, give_up=(Denied,)).until(over)
        self._rounds = Rounds(self._machine, self._carrier, lock=self._lock)
        self._jobs: dict[str, _Watched] = {}

    # --- following ----------------------------------------------------------------------------------------

    def follow(self, job: Job) -> None:
        """Follow one more job of the session."""
        if job.jid in self._jobs:
            return
        with self._lock:
            machine = self._machine.follow(job, time.monotonic())
        name = job.name or self.manifest.sid
        reader = SegmentReader(self._reads, keys.SessionKeys(self.manifest.sid).job(job.jid), name, kept=_KEPT)
        failures = Failures(reader, kept=_KEPT)
        self._jobs[job.jid] = _Watched(job, machine, reader, failures, Tally(failures), set())

    @property
    def jobs(self) -> list[Job]:
        """The followed jobs, oldest first."""
        return sorted((watched.job for watched in self._jobs.copy().values()), key=lambda job: job.created)

    def look(self, *, everything: bool = False, segments: int | None = None) -> None:
        """Make all due requests, and read new failures.

        Args:
            everything: list all and read all heartbeats, due or not.
            segments: read the failures of at most so many; None: of all.

        Raises:
            StoreError: the store denies it, or an outcome could not be read for a while; any other fault is waited out.
        """
        try:
            self._rounds.play(looking=everything)
            for watched in self._jobs.copy().values():
                self._read(watched, segments)
        except BurstError:
            with self._lock:
                self._machine.resume(time.monotonic())  # it would wait for answers that never come
            raise

    def _read(self, watched: _Watched, most: int | None) -> None:
        unread = [part for part in self._failing(watched) if part not in watched.read][:most]
        if unread and self._secret is not None:
            watched.tally.count(unread)
            watched.read.update(unread)

    def _failing(self, watched: _Watched) -> list[Part]:
        with self._lock:
            return sorted(watched.machine.cover.failing)

    # --- facts --------------------------------------------------------------------------------------------

    @property
    def trouble(self) -> str:
        """What the store says instead of an answer, or ""."""
        return self._carrier.trouble

    def now(self) -> float:
        """The time by the store's clock, as far as it is known, in seconds since the epoch."""
        with self._lock:
            return self._machine.clock.wall(time.monotonic())

    @property
    def living(self) -> int:
        """Number of workers that are alive, as far as is known."""
        with self._lock:
            return len(self._machine.crew.living())

    @property
    def over(self) -> bool:
        """Whether nothing of the followed jobs will change, and no worker lives."""
        with self._lock:
            jobs = [watched.machine for watched in self._jobs.values()]
            return all(job.end and job.end.for_good for job in jobs) and not self._machine.crew.living()

    def facts(self, jid: str) -> Snapshot:
        """All that is known of a followed job. Failures that were not read count by the segments' names."""
        watched = self._jobs[jid]
        with self._lock:
            snapshot = self._machine.snapshot(watched.machine, time.monotonic())
        failing = self._failing(watched)
        failed, groups = watched.tally.count([part for part in failing if part in watched.read])
        unread = [part for part in failing if part not in watched.read]
        rest = sum(min(stop - start, segment.failed) for start, stop, segment in unread)
        why = _NO_KEY if self._secret is None else f"{rest} of the failures are not read yet"
        return replace(
            snapshot,
            failed=failed + rest,
            completed=snapshot.done - failed - rest,
            failures=groups,
            unread=why if rest else "",
            trouble=self.trouble,
        )

    # --- failures on demand -------------------------------------------------------------------------------

    def failed(self, jid: str, *, after: int, segments: int) -> tuple[Iterator[Outcome], int | None]:
        """Failed tasks of a job, ascending.

        Args:
            jid: the job.
            after: those behind this task.
            segments: of at most so many segments.

        Returns:
            The tasks, and the task to go on after, or None if these are all.

        Raises:
            AttachError: the session's key is not here.
            StoreError: the store does not answer for a while.
        """
        watched = self._jobs[jid]
        if self._secret is None:
            raise AttachError(_NO_KEY, context=self.manifest.sid, way_out=KEY_WAY_OUT)
        parts = [part for part in self._failing(watched) if part[1] > after + 1]
        found = watched.failures.within(parts[:segments])
        rest = parts[segments - 1][1] - 1 if len(parts) > segments else None
        return (outcome for _, failed in found for outcome in failed), rest

    def runs(self, jid: str, *, segments: int) -> Iterator[TaskSpan]:
        """When and where tasks of a job ran, of at most so many segments.

        Raises:
            AttachError: the session's key is not here.
            StoreError: the store does not answer for a while.
        """
        watched = self._jobs[jid]
        if self._secret is None:
            raise AttachError(_NO_KEY, context=self.manifest.sid, way_out=KEY_WAY_OUT)
        with self._lock:
            parts = watched.machine.cover.parts
        return watched.reader.runs(parts, most=segments)

    def outcome(self, jid: str, task: int) -> Outcome:
        """How a task ended.

        Raises:
            OptionError: there is no such task, or no outcome of it.
            StoreError: the store does not answer for a while.
        """
        watched = self._jobs[jid]
        if not 0 <= task < watched.job.tasks:
            raise OptionError(f"no task {task}: the job has {watched.job.tasks} tasks, numbered from 0")
        with self._lock:
            segment = watched.machine.cover.find(task)
        if segment is None:
            raise OptionError(f"task {task} has no outcome yet")
        return unpack_outcome(*watched.reader.record(segment, task))
