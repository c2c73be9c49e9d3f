"""What the list of sessions says, as values. Nothing in it moves by itself: money is a line, times are instants."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from burst_magic.dataclass import dataclass
from burst_magic.session.session_rows import SessionRow, row_of
from burst_magic.ui.drawing import frame_of
from burst_magic.ui.frame import Frame, Money, to_json

if TYPE_CHECKING:
    from burst_magic.errors import BurstError
    from burst_magic.server.opening import OpenedSession
    from burst_magic.session.onlooker import Onlooker


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedJobState:
    """One job of a listed session. ``attach`` is the line that brings its results back in a kernel."""

    job: str
    title: str
    out: str
    state: str
    phase: str
    total: int
    done: int
    failed: int
    created: float
    ended: float | None
    attach: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedState:
    """A session and its jobs, oldest first.

    Attributes:
        money: what it costs; None if it cannot be read.
        workers: that live, also after its jobs: they are kept for the next cell, and cost money.
        mine: whether its key is on this machine, so that something may be asked of it.
        as_of: seconds since the epoch.
    """

    session: SessionRow
    jobs: tuple[ListedJobState, ...]
    money: Money | None
    workers: int
    mine: bool
    as_of: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSessionState:
    """A session that runs in the AWS account; ``spent`` micro-dollars at ``at``, None if a price is not known."""

    id: str
    owner: str
    workers: int
    launcher: str
    since: float
    at: float
    spent: int | None
    hourly: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountList:
    """What runs in the account's region, oldest first; ``problem``: why that is not known, or not of all clusters."""

    region: str
    sessions: tuple[AccountSessionState, ...]
    problem: str
    way_out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionList:
    """What the store has.

    Attributes:
        store: its URL.
        sessions: newest first.
        unread: sessions of these that were not looked at yet.
        more: sessions that are older.
        problem, context, way_out: why the list is not fresh, or "".
        account: what runs in the AWS account; None where none is set up.
    """

    store: str
    sessions: tuple[ListedState, ...]
    unread: int
    more: int
    problem: str
    context: str
    way_out: str
    account: AccountList | None

    def troubled(self, problem: BurstError) -> SessionList:
        """The same list, with the reason why there is no newer one."""
        return replace(self, problem=problem.problem, context=problem.context, way_out=problem.way_out)

    @property
    def etag(self) -> str:
        """Differs if anything does that a view shows; when it was seen, and what follows from the time, is not."""
        rows = [replace(row, as_of=0.0, session=_still(row.session)) for row in self.sessions]
        account = self.account and replace(self.account, sessions=tuple(map(_at_rest, self.account.sessions)))
        return hashlib.sha256(to_json(replace(self, sessions=tuple(rows), account=account)).encode()).hexdigest()[:16]


NOTHING = SessionList(store="", sessions=(), unread=0, more=0, problem="", context="", way_out="", account=None)


def _still(row: SessionRow) -> SessionRow:
    return replace(row, last_activity=0.0, cost=None, fargate=None)


def _at_rest(runs: AccountSessionState) -> AccountSessionState:
    return replace(runs, at=0.0, spent=None)


def state_of(opened: OpenedSession, onlooker: Onlooker) -> ListedState:
    """A session's row, from what is known of its jobs; there is one at least."""
    jobs = onlooker.jobs
    seen = [onlooker.facts(job.jid) for job in jobs]
    frames = [frame_of(each) for each in seen]
    estimates = [job.estimate for job in jobs if job.estimate is not None]
    estimate = sum(estimates) if len(estimates) == len(jobs) else None
    return ListedState(
        session=row_of(opened.manifest, seen[::-1], estimate=estimate),
        jobs=tuple(map(_job_state, frames)),
        money=frames[-1].money,
        workers=onlooker.living,
        mine=opened.secret is not None,
        as_of=onlooker.now(),
    )


def _job_state(frame: Frame) -> ListedJobState:
    return ListedJobState(
        job=frame.job,
        title=frame.title,
        out=frame.out,
        state=frame.state,
        phase=frame.phase.value,
        total=frame.counts.total,
        done=frame.counts.completed + frame.counts.failed,
        failed=frame.counts.failed,
        created=frame.created,
        ended=frame.ended,
        attach=frame.attach,
    )
