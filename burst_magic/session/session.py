"""A running burst, for its user: one job of one session."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from burst_magic.errors import AttachError, BurstError, Denied
from burst_magic.payload.exceptions import attributes
from burst_magic.protocol.log import Requested
from burst_magic.protocol.snapshot import FailureGroup, Snapshot
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ControlKind, Job, JobEnd, Outcome
from burst_magic.protocol.wire.records import TaskSpan, unpack_outcome
from burst_magic.session.asking import Asking
from burst_magic.session.deletion import Cleaned, delete_ended, is_there
from burst_magic.session.driver import Driver
from burst_magic.session.ending import GRACE, await_end
from burst_magic.session.facts import JobStatus, status_of
from burst_magic.session.followed import Followed
from burst_magic.session.items import read_items
from burst_magic.session.logs import read_logs
from burst_magic.session.printed import LogLine
from burst_magic.session.results import Results
from burst_magic.session.segments import Failures, SegmentReader, Tally
from burst_magic.stores.retry import slept
from burst_magic.stores.store_driver import Carrier

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.session.views import Viewer

_LOG = logging.getLogger(__name__)
_LAST = 5.0  # seconds to wait for the driver
_RUNS = 1000  # segments that are read for what ran when


class Session:
    """One job of a session: its results, its state, and requests to it.

    Created by ``burst.map``, ``%%burst`` and ``burst.attach``. All its state is in the store: another kernel with the
    key can do the same.

    Args:
        driver: follows the session, for all its jobs in this kernel.
        job: the job's description.
        settings: the user's directories.
        home: the notebook's namespace, whose classes results are instances of.
    """

    def __init__(self, driver: Driver, job: Job, *, settings: Settings, home: dict[str, object]) -> None:
        self._driver, self._settings, self._home = driver, settings, home
        self.manifest, self.description = driver.manifest, job
        self.store, self.fleet, self._secret = driver.store, driver.fleet, driver.secret
        self._keys = keys.SessionKeys(self.manifest.sid)
        self._followed = Followed(driver, job)
        self._asking = Asking(
            self.store,
            self._secret,
            self.manifest,
            self.fleet,
            refresh=self._followed.refresh,
            now=self.now,
            dismissed=driver.dismissed,
            max_hourly_cost=settings.max_hourly_cost,
        )
        self._reads = Carrier(self.store, self._secret, slept, give_up=(Denied,))  # results are waited for
        self._reader = SegmentReader(self._reads, self._keys.job(job.jid), self.name or self.id)
        self._failures = Failures(self._reader)
        self._results = Results(self._followed, self._reader, self._failures, job.tasks, home, session=self)
        self._tally = Tally(self._failures)
        self._failed = self._exact = 0  # by the keys, and as read: a segment may count for only some of its tasks
        self._groups: tuple[FailureGroup, ...] = ()

    def beside(self, job: Job, *, home: dict[str, object] | None = None) -> Session:
        """Another job of the same session; one thread follows both."""
        return Session(self._driver, job, settings=self._settings, home=self._home if home is None else home)

    # --- identity -------------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The session's id."""
        return self.manifest.sid

    @property
    def job(self) -> str:
        """The job's id."""
        return self.description.jid

    @property
    def name(self) -> str:
        """The label given by ``--name``."""
        return self.description.name

    @property
    def secret(self) -> bytes | None:
        """The session's key, if this machine has it."""
        return self._secret

    @property
    def key(self) -> str:
        """The session's key in hex, for attaching from another machine."""
        if self._secret is None:
            raise AttachError("this session's key is not on this machine", context=self.id)
        return self._secret.hex()

    def __repr__(self) -> str:
        return f"<Session {self.id}/{self.job}: {repr(self._results)[10:-1]}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's protocol
        """What stays below a cell: nothing that will be outdated; the panel above it counts."""
        tasks = self.description.tasks
        printer.text(f"<Session {self.id}/{self.job} of {tasks} task{'s' * (tasks != 1)}>")

    # --- results --------------------------------------------------------------------------------------------

    def results(self) -> Results:
        """The results, in item order; blocks only when you access a value that isn't ready."""
        return self._results

    def items(self) -> list[object]:
        """The items of the tasks, read back from the store; None for one that cannot be loaded here.

        Raises:
            AttachError: the session's key is not on this machine.
        """
        index = self.description.items
        if index is None:
            return [None] * self.description.tasks
        secret = bytes.fromhex(self.key)
        return list(read_items(self._reads, self._keys.job(self.job).items, index, secret, self._home))

    def wait(self, timeout: float | None = None, *, errors: str = "raise") -> Session:
        """Block until the job ends.

        Args:
            timeout: seconds, then raises ``TimeoutError``.
            errors: "raise" the first failure, or "return" without checking.
        """
        if not self._results.wait(timeout):
            raise TimeoutError(f"{self.id}: {self._results!r}")
        if errors == "raise":
            self._raise_first()
        return self

    def _raise_first(self) -> None:
        failures = self._results.errors
        if failures:
            first = failures[0]
            try:
                self._results[first.task]
            except Exception as error:
                if len(failures) > 1:
                    note(error, f"{len(failures)} tasks failed; see {self._where_errors_are()}")
                raise
        if self._followed.covered < self.description.tasks:
            gap = next(task for task in range(self.description.tasks) if self._followed.find(task) is None)
            self._results[gap]

    def _where_errors_are(self) -> str:
        out = self.description.out
        return f"{out}.errors" if out else ".errors of the results"

    def as_completed(self, *, errors: str = "raise") -> Iterator[tuple[int, Any]]:
        """Yield (index, value) as tasks finish."""
        return self._results.as_completed(errors=errors)

    @property
    def errors(self) -> tuple[Outcome, ...]:
        """The failed tasks so far."""
        return self._results.errors

    def failed_tasks(self, *, after: int = -1) -> Iterator[Outcome]:
        """The failed tasks after one, ascending; reads no further than is asked for."""
        return self._failures.after(self._followed.failing, after)

    def outcome(self, task: int) -> Outcome | None:
        """How a task ended, its value not loaded; None if that is not known yet."""
        segment = self._followed.find(task)
        return None if segment is None else unpack_outcome(*self._reader.record(segment, task))

    def runs(self) -> Iterator[TaskSpan]:
        """When and where the tasks that have ended ran; of very many segments, some that are spread over all."""
        return self._reader.runs(self._followed.segments, most=_RUNS)

    # --- state ------------------------------------------------------------------------------------------------

    def status(self, timeout: float = 30.0) -> JobStatus:
        """All facts, as they are in the store now. Printed, they are what ``%burst_status`` shows.

        Args:
            timeout: seconds. If the store does not answer in time, the facts are older: see ``as_of``, ``age``, and
                ``trouble``, the store's error.
        """
        return status_of(self._told(self._followed.refresh(timeout)))

    def facts(self) -> Snapshot:
        """All facts as of the last look, with failures counted; reads nothing else."""
        return self._told(self._followed.snapshot())

    def ended(self) -> JobEnd | None:
        """How the job ended, or None. Asks the store only if no end is known yet."""
        return self.snapshot().ended or self.status().ended

    def snapshot(self) -> Snapshot:
        """All facts that are known, without asking the store."""
        return self._followed.snapshot()

    def subscribe(self, viewer: Viewer) -> Callable[[], None]:
        """Call ``viewer`` with snapshots from any thread, one at a time, each newer; returns how to stop."""
        return self._followed.watch(lambda snapshot: viewer(self._told(snapshot)))

    def _told(self, snapshot: Snapshot) -> Snapshot:
        """A snapshot with facts from outcomes and prices."""
        unread = ""
        if snapshot.failed != self._failed and self._secret is not None:
            try:
                self._exact, self._groups = self._tally.count(self._followed.failing)
                self._failed = snapshot.failed
            except BurstError as problem:  # only the counts in the keys are known
                self._exact, unread = snapshot.failed, problem.problem
        failed = snapshot.failed if self._secret is None else self._exact
        return replace(snapshot, failed=failed, completed=snapshot.done - failed, failures=self._groups, unread=unread)

    def follow(self) -> None:
        """Follow the log in the background from now on."""
        self._followed.start()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a session holds its key and cannot be pickled; its results() can")

    def detach(self) -> None:
        """Stop following this job; returns at once. The session continues."""
        self._followed.stop()

    def logs(
        self, *, task: int | None = None, worker: str | None = None, n: int = 100, follow: bool = False
    ) -> Iterator[LogLine]:
        """Lines of output of finished tasks, running tasks, and worker processes.

        Args:
            task: only this task.
            worker: only this worker's own process.
            n: number of last lines.
            follow: continue until the job ends.
        """
        return read_logs(self._followed, self._reader, self.fleet, task=task, worker=worker, n=n, follow=follow)

    # --- requests -----------------------------------------------------------------------------------------------

    def cancel(self, *, only_job: bool = False) -> None:
        """Cancel the session: running tasks are killed, finished results are kept, workers exit.

        Args:
            only_job: cancel only this job; the workers continue with the others.
        """
        self._asking.cancel(job=self.job if only_job else "")

    def cancel_job(self) -> bool:
        """Cancel only this job; if it is the session's only job, the session ends, so that no worker idles.

        Returns:
            Whether the session continues: it has other jobs, or one is being uploaded.
        """
        return self._asking.cancel_job(self.job)

    def close(self) -> None:
        """Let running tasks finish, then stop the workers."""
        self._asking.close()

    def extend(self, duration: float | str | None = None, *, budget: int | None = None) -> float:
        """Move the deadline, raise the budget, or both; return the deadline in seconds since the epoch.

        Args:
            duration: how much later, in seconds or text such as "1h".
            budget: the session's total budget in micro-dollars.

        Raises:
            BudgetExceeded: nobody knows what its workers cost, so that no budget can be kept.
        """
        return self._asking.extend(duration, budget=budget)

    def scale(self, workers: int) -> None:
        """Change the number of workers.

        Raises:
            BudgetExceeded: more workers than there are would cost more than ``max_hourly_cost``, or nobody knows.
        """
        self._asking.scale(workers)

    def fill(
        self, workers: int, *, begun: list[str] | None = None, instead_of: frozenset[str] | None = None
    ) -> frozenset[str]:
        """Start what is missing of so many workers. One that has said that it ends is missing, though it lives yet.

        Args:
            workers: number of workers.
            begun: receives the tokens of the starts.
            instead_of: start at most as many as have ended of these.

        Returns:
            The workers that lived before.
        """
        snapshot = self._followed.refresh()
        alive = frozenset(worker.wid for worker in snapshot.workers if worker.alive)
        missing = self._asking.missing(workers, snapshot)
        self.fleet.start(missing if instead_of is None else min(missing, len(instead_of - alive)), begun=begun)
        return alive

    def check_open(self, *, late: bool = False) -> Requested:
        """What was asked of the session, all of it; refuses when that was to end.

        Args:
            late: allow it after the deadline, too, which can be moved.

        Raises:
            AttachError: the session was deleted.
            OptionError: it accepts no more work and no more workers.
        """
        return self._asking.check_open(late=late)

    def cleanup(self, *, force: bool = False, grace: float = GRACE) -> Cleaned:
        """Stops the workers; with ``force`` also deletes every object of the session. Returns what was done, printable.

        Args:
            force: delete.
            grace: seconds that workers get to end by themselves before they are killed.
        """
        if not force and self._secret is None:
            raise AttachError("this session's key is not on this machine: cannot stop its workers", context=self.id)
        seen = self.snapshot()  # of workers that are told to end now: idle ones have ended a moment later
        if not force:
            self._asking.ask(ControlKind.CLOSE)
        elif self._secret is not None and is_there(self.store, self._keys):
            self._asking.ask(ControlKind.CANCEL)
        self.fleet.stop(kill=False)
        if not force:
            return Cleaned(session=self.id, workers=seen.alive + seen.starting)
        await_end(self.fleet, self.store, self.manifest, grace)
        self._driver.stop(patience=_LAST)  # nothing that it is writing may land behind the deletion
        deleted = delete_ended(self.store, self.manifest, secret=self._secret, settings=self._settings)
        return Cleaned(session=self.id, workers=seen.alive + seen.starting, deleted=deleted)

    def now(self) -> float:
        """The time by the store's clock, as far as it is known, in seconds since the epoch."""
        return self._driver.machine.clock.wall(time.monotonic())


def note(error: BaseException, text: str) -> None:
    """Like Python 3.11's ``add_note``, but also on 3.10, and visible without a traceback."""
    own = attributes(error)  # a class may refuse attributes
    notes = own.get("__notes__", [])
    if text in notes:  # the same exception is raised again and again
        return
    own["__notes__"] = [*notes, text]
    shown: Any = own.get("_render_traceback_")
    if shown is not None:
        shown.text += f"\n{text}"
    elif isinstance(error, BurstError):
        error.context = "; ".join(filter(None, (error.context, text)))
