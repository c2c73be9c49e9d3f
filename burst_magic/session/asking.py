"""Ask something of a running session: cancel, close, extend, scale. Any client with the key may; loads no pickle."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from burst_magic.config import DEADLINE_MAX
from burst_magic.errors import (
    AttachError,
    BudgetExceeded,
    Denied,
    Missing,
    OptionError,
    RecordError,
    SignatureError,
    VersionError,
)
from burst_magic.plan.cost import UNPRICED
from burst_magic.plan.planner import check_hourly
from burst_magic.protocol.log import Requested, fold_control
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Control, ControlKind, Manifest
from burst_magic.session.deletion import is_there
from burst_magic.stores.retry import PERSON, slept
from burst_magic.stores.store_driver import Carrier, ours, read_record
from burst_magic.units import format_duration, parse_duration

if TYPE_CHECKING:
    from burst_magic.session.fleet import Fleet
    from burst_magic.stores import Store

_LOG = logging.getLogger(__name__)
_LAST = {ControlKind.CANCEL, ControlKind.CLOSE}  # of a session: its workers end


class Asking:
    """What a client asks of a session.

    Args:
        store, secret: the session's store and key.
        manifest: the session.
        fleet: its workers.
        refresh: what the store says now.
        now: the time by the store's clock, in seconds since the epoch.
        max_hourly_cost: micro-dollars that the session's workers may cost in an hour, or None.
        dismissed: called when all workers were told to end.
    """

    def __init__(
        self,
        store: Store,
        secret: bytes | None,
        manifest: Manifest,
        fleet: Fleet,
        *,
        refresh: Callable[[], Snapshot],
        now: Callable[[], float],
        max_hourly_cost: int | None,
        dismissed: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._secret, self._manifest, self._fleet = store, secret, manifest, fleet
        self._refresh, self._now, self._dismissed = refresh, now, dismissed
        self._max_hourly_cost = max_hourly_cost
        self._keys = keys.SessionKeys(manifest.sid)
        self._carrier = Carrier(store, secret, slept, retry=PERSON, give_up=(Denied,))

    def cancel(self, *, job: str = "") -> None:
        """Cancel the session: running tasks are killed, finished results are kept, workers exit.

        Args:
            job: cancel only this job; the workers continue with the others.
        """
        self.ask(ControlKind.CANCEL, job=job)
        if not job:
            self._fleet.stop_coming()

    def cancel_job(self, job: str) -> bool:
        """Cancel a job; if it is the session's only one, the session ends, so that no worker idles.

        Returns:
            Whether the session continues: it has other jobs, or one is being uploaded.
        """
        others = self._may_have_others(job)
        self.cancel(job=job if others else "")
        return others

    def _may_have_others(self, job: str) -> bool:
        """Whether any object of another job was written."""
        folder, mine = self._keys.jobs_folder, self._keys.job(job).root
        found = [*self._store.list(folder, limit=1), *self._store.list(folder, after=f"{mine}0", limit=1)]
        return any(not entry.key.startswith(f"{mine}/") for entry in found)  # "0" is the character after "/"

    def close(self) -> None:
        """Let running tasks finish, then stop the workers."""
        self.ask(ControlKind.CLOSE)
        self._fleet.stop_coming()

    def extend(self, duration: float | str | None = None, *, budget: int | None = None) -> float:
        """Move the deadline, raise the budget, or both; return the deadline in seconds since the epoch.

        Args:
            duration: how much later, in seconds or text such as "1h".
            budget: the session's total budget in micro-dollars.

        Raises:
            BudgetExceeded: nobody knows what its workers cost, so that no budget can be kept.
        """
        if budget is not None and not self._manifest.priced:
            raise BudgetExceeded(f"session {self._manifest.sid}: {UNPRICED}, so a budget cannot be kept")
        seconds = parse_duration(duration) if isinstance(duration, str) else float(duration or 0)
        self.check_open(late=True)
        deadline = max(self._now(), self._refresh().deadline) + seconds
        if deadline > self._manifest.created + DEADLINE_MAX:
            raise OptionError(f"a session lasts at most {format_duration(DEADLINE_MAX)}", context=f"extend {duration}")
        self.ask(ControlKind.EXTEND, deadline=deadline, budget=budget)
        self._refresh()
        return deadline

    def scale(self, workers: int) -> None:
        """Change the number of workers.

        Raises:
            BudgetExceeded: more workers than there are would cost more than ``max_hourly_cost``, or nobody knows.
        """
        if workers < 1:
            raise OptionError(f"{workers} workers: at least 1", way_out="to stop it, use cancel")
        snapshot = self._refresh()
        if workers > snapshot.wanted:
            if self._max_hourly_cost is not None and not self._manifest.priced:
                raise BudgetExceeded(f"session {self._manifest.sid}: {UNPRICED}, so max_hourly_cost cannot be kept")
            check_hourly(workers * max(snapshot.rate, self._manifest.ceiling), self._max_hourly_cost)
        asked = self.check_open()
        self.ask(ControlKind.SCALE, workers=workers, revision=asked.revision + 1)
        surplus = snapshot.alive + snapshot.starting - workers
        if surplus > 0:
            self._fleet.stop_coming(surplus)
        self._fleet.start(self.missing(workers, snapshot))
        self._refresh()  # the next waiting caller must not see the old state

    def missing(self, workers: int, snapshot: Snapshot) -> int:
        """How many workers are to be started, so that there are so many."""
        gone = {worker.wid for worker in snapshot.workers if not worker.alive}
        return max(0, workers - max(snapshot.alive + snapshot.starting, len(set(self._fleet.living) - gone)))

    def check_open(self, *, late: bool = False) -> Requested:
        """What was asked of the session, all of it; refuses when that was to end.

        Args:
            late: allow it after the deadline, too, which can be moved.

        Raises:
            AttachError: the session was deleted.
            OptionError: it accepts no more work and no more workers.
        """
        self._must_be_there()
        asked = fold_control(self._controls())
        over = {
            "cancelled": asked.cancel_all,
            "closed": asked.closed,
            "deadline": not late and self._now() >= max(self._manifest.deadline, asked.deadline),
        }
        for reason, holds in over.items():
            if holds:
                problem = f"session {self._manifest.sid} accepts no more work: {reason}"
                raise OptionError(problem, way_out="a burst without --session starts a new one")
        return asked

    def _controls(self) -> list[Control]:
        found = [entry.key for entry in ours(self._store, self._keys.control_folder)]
        asked = [key for key in found if keys.parse_control(key).kind is not ControlKind.ADD_JOB]
        return [control for key in asked if (control := self._control(key)) is not None]

    def _control(self, key: str) -> Control | None:
        """A request; None if it is none of this session's, whoever wrote it, or gone."""
        try:
            return read_record(Control, self._store, key, self._secret)
        except VersionError:
            raise
        except (Missing, SignatureError, RecordError) as problem:
            _LOG.warning("%s", problem)
            return None

    def _must_be_there(self) -> None:
        if not is_there(self._store, self._keys):
            raise AttachError(f"session {self._manifest.sid} was deleted")

    def ask(self, kind: ControlKind, *, job: str = "", **wishes: Any) -> None:
        """Write one request, of one job or all, and wake the workers that can be.

        Raises:
            AttachError: the session was deleted.
            SignatureError: the session's key is not on this machine.
        """
        self._must_be_there()
        key = self._keys.control(f"{int(time.time() * 1000):014d}x{secrets.token_hex(4)}", kind)
        self._carrier.insist(key, self._carrier.encode(Control(kind=kind, at=time.time(), job=job, **wishes), key))
        self._fleet.poke()
        if kind in _LAST and not job:
            self._dismissed()
