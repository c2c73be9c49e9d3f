"""Fetch what slots need in threads: a job's files once, then its items block by block.

A job's files may be large and slow. Separate threads fetch them, one per job, and waiting slots are kept in a list, not
in threads, so that neither heartbeats nor other jobs are delayed.
"""

from __future__ import annotations

from typing import Any

from burst_magic.config import environment
from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError, StoreError
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire.blocks import Entries
from burst_magic.protocol.wire.model import Job
from burst_magic.protocol.wire.records import PackedRun
from burst_magic.protocol.worker.ledger import Work
from burst_magic.stores.store_driver import Carrier
from burst_magic.worker.channel.board import JobCode
from burst_magic.worker.child.threads import variables
from burst_magic.worker.supply.courier import Courier, Errand
from burst_magic.worker.supply.files import JobFiles
from burst_magic.worker.supply.scratch import Scratch

JobWork = Work[PackedRun, JobFiles]


@dataclass(frozen=True, slots=True)
class Items:
    """Fetched items for a slot's work (entries None: the cell runs once), or the problem."""

    slot: int
    work: JobWork
    first: int
    entries: Entries | None
    files: JobFiles | None = None
    problem: BurstError | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A job's fetched files, or the problem."""

    jid: str
    files: JobFiles | None
    problem: BurstError | None = None


class Supply:
    """Jobs of one session on this machine.

    Args:
        carrier: the store, with the session's key.
        sid: the session.
        courier: its threads; results come back as ``Items`` and ``Opened``.
    """

    def __init__(self, carrier: Carrier, sid: str, courier: Courier[Any]) -> None:
        self._carrier, self._sid, self._courier = carrier, sid, courier
        self._scratch = Scratch(sid)
        self._jobs: dict[str, Job] = {}
        self._files: dict[str, JobFiles] = {}
        self._waiting: dict[str, list[tuple[int, JobWork]]] = {}  # by job whose files are being fetched
        self._over: set[str] = set()

    def meet(self, effect: fx.Open) -> None:
        """Record a job that may be worked on."""
        self._jobs[effect.job.jid] = effect.job

    def order(self, slot: int, work: JobWork) -> None:
        """Fetch the next items of a slot's work; answered by ``Items``."""
        work.fetching = True
        files = work.files or self._files.get(work.job)
        if files is not None:
            self._order_items(slot, work, files)
        elif work.job in self._waiting:
            self._waiting[work.job].append((slot, work))
        else:
            self._waiting[work.job] = [(slot, work)]
            job = self._jobs[work.job]
            self._courier.call(lambda: self._open(job), errand=Errand.FILES)

    def opened(self, event: Opened) -> list[Items]:
        """Order items for all waiting slots; if the files could not be fetched, return their answers."""
        if event.files is not None and event.jid not in self._over:
            self._files[event.jid] = event.files
        waiting = self._waiting.pop(event.jid)
        if event.files is None:
            return [Items(slot, work, work.fed, None, problem=event.problem) for slot, work in waiting]
        for slot, work in waiting:
            self._order_items(slot, work, event.files)
        return []

    def let_go(self, jid: str) -> None:
        """Drop the files of a job that is over; work under way keeps them, and later work fetches them again."""
        self._over.add(jid)
        self._files.pop(jid, None)

    def is_over(self, jid: str) -> bool:
        """Whether the job is over, so that nothing of it need be kept."""
        return jid in self._over

    def code(self, jid: str, files: JobFiles, setenv: tuple[tuple[str, str], ...]) -> JobCode:
        """A job as sent to slots."""
        job, said = self._jobs[jid], {**environment(), **dict(setenv)}
        return JobCode(
            jid=jid,
            envelope=files.envelope_bytes,
            blobs=files.blobs,
            bundle=files.bundle,
            seed=job.seed,
            fresh=job.fresh,
            timeout=job.timeout,
            retries=job.retries,
            setenv=(*variables(job.threads, said, asked=job.threads_asked), *setenv),
        )

    def close(self) -> None:
        """Remove all files from the disk."""
        self._scratch.remove()

    def _open(self, job: Job) -> Opened:
        try:
            return Opened(job.jid, JobFiles(self._carrier, self._sid, job, self._scratch))
        except BurstError as problem:
            return Opened(job.jid, None, problem)
        except OSError as error:
            return Opened(job.jid, None, no_room(error))

    def _order_items(self, slot: int, work: JobWork, files: JobFiles) -> None:
        task, work.files = work.fed, files
        self._courier.call(lambda: self._items(slot, work, task, files))

    def _items(self, slot: int, work: JobWork, task: int, files: JobFiles) -> Items:
        if self._jobs[work.job].items is None:
            return Items(slot, work, task, None, files)
        try:
            first, entries = files.entries(task)
        except BurstError as problem:
            return Items(slot, work, task, None, problem=problem)
        return Items(slot, work, first, entries, files)


def no_room(error: OSError) -> StoreError:
    """The error of a job's tasks when this machine cannot store what they need."""
    return StoreError(
        f"the worker cannot store what this job needs: {error.strerror or error}",
        context=str(error.filename or "its memory"),
        way_out="free some space there, or set TMPDIR to another folder, then run it again",
    )
