"""How a worker exits: idle, deadline, budget, cancel, close, SIGTERM, scale; and when it stays or rejoins.

a limit is reached --> slots drain or are killed --> the rest is published --> .gone --> one more look --> exit
                                                                                    --> new work: join again
"""

from __future__ import annotations

import math

from burst_magic.protocol import effects as fx
from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.log import DEAD_AFTER
from burst_magic.protocol.wire.model import EndCause, Gone
from burst_magic.protocol.worker.state import State

GRACE = 120.0  # seconds to finish and publish; then it kills its slots, and after as long again it exits silently
FINISH, PUBLISH = 0.6, 0.9  # of an engine's grace after SIGTERM: then it kills its slots, and then it exits
KEPT = 2  # idle workers that an unfinished job keeps
FAREWELL = 10.0  # seconds, at least, to write its ``.gone``
AT_ONCE = {EndCause.CANCEL, EndCause.DEADLINE, EndCause.BUDGET}  # running tasks are killed; otherwise they finish
_CODES = {EndCause.TERM: ExitCode.DRAINED, EndCause.VERSION: ExitCode.REFUSED}


def exit_code(cause: EndCause) -> ExitCode:
    """The exit code of a worker's process; zero tells an engine that no replacement is needed."""
    return _CODES.get(cause, ExitCode.FINISHED)


class Leaving:
    """The part of a worker that ends it (law 5).

    Args:
        state: the worker's.
        token: token of the start that created it.
        now: the monotonic clock.
    """

    def __init__(self, state: State, token: str, now: float) -> None:
        self._state, self._token = state, token
        self._since = self._gone_at = self._born = now
        self._stale_look = False
        self._over, self._reckoned, self._reckon_at = False, (-1, -1), now  # a step is frequent, a fleet large
        self._place, self._placed = -1, (-1, "")
        self.told = False  # all control objects are read; they may have raised limits before it came
        self._terminated = (math.inf, math.inf)  # when SIGTERM came, and the seconds it leaves
        self.stage = ""  # "", "gone", "look", "left"

    @property
    def terminated(self) -> bool:
        """SIGTERM has come."""
        return self._terminated[0] < math.inf

    def terminate(self, now: float, within: float) -> None:
        """SIGTERM; only the first counts."""
        self._terminated = min(self._terminated, (now, within))

    @property
    def idle_since(self) -> float | None:
        """Since when there is nothing to do, by the store's clock; None while there is."""
        state = self._state
        busy = state.holds or state.trying or state.installing
        return None if busy else state.wall(state.idle_since)

    def limits(self, now: float) -> None:
        """Check all limits, also while it drains: a cancel or the deadline overrides a drain."""
        state, asked = self._state, self._state.asked
        deadline = self.deadline
        idle_at = state.idle_since + state.manifest.idle
        running = any(hold.slot >= 0 for hold in state.holds.values())
        sure_at = self._born if self.told else self._born + state.manifest.interval
        busy = running or state.installing or ((state.holds or state.trying) and now < self._cut_off_at())
        reached = (
            (EndCause.CANCEL, asked.cancel_all),
            (EndCause.DEADLINE, now >= max(deadline, sure_at)),
            (EndCause.BUDGET, now >= sure_at and self._spent(now)),
            (EndCause.CLOSE, asked.closed),
            (EndCause.TERM, self.terminated),
            (EndCause.SCALE, self._surplus()),
            (EndCause.IDLE, not busy and now >= idle_at and not self._kept(now)),
        )
        cause = next((cause for cause, holds in reached if holds), None)
        if cause is not None:
            self._end(cause, now, kill=cause in AT_ONCE)
        if now < max(deadline, sure_at):
            state.due(max(deadline, sure_at))
        for at in () if running else (idle_at, self._cut_off_at()):
            if at > now:
                state.due(at)

    def overtime(self, now: float) -> None:
        """A task that doesn't finish, or a store that doesn't answer, must not keep a worker for ever."""
        state = self._state
        if state.ending is None or self.stage == "left":
            return
        kill_at, leave_at = self._since + GRACE, self._since + 2 * GRACE
        if self.terminated:
            at, within = self._terminated
            kill_at, leave_at = min(kill_at, at + FINISH * within), min(leave_at, at + PUBLISH * within)
        if now >= kill_at:
            for hold in list(state.holds.values()):
                state.stop(hold, kill=True)
        if now >= leave_at:
            self.leave(state.ending)
        else:
            state.due(kill_at if now < kill_at else leave_at)

    @property
    def last_moment(self) -> float:
        """When it exits even if the store accepts neither its results nor its ``.gone``."""
        patience = DEAD_AFTER * self._state.manifest.interval
        over = max(self.deadline, self._born)  # a worker that starts late first checks whether the deadline moved
        farewell = self._gone_at if self.stage else math.inf
        return min(farewell + max(patience, FAREWELL), over + patience)

    def part(self, now: float) -> None:
        """Exit at its last moment, whatever requests are pending."""
        if self.stage == "left":
            return
        at = self.last_moment
        if now >= at:
            self.leave(EndCause.DEADLINE, unheard=True)
        else:
            self._state.due(at)

    def leave(self, cause: EndCause, *, unheard: bool = False) -> None:
        """Exit now."""
        self.stage = "left"
        self._state.ask(fx.Exit(cause, unheard=unheard))

    @property
    def deadline(self) -> float:
        """The session's, as far as it is known, by the monotonic clock."""
        return max(self._state.manifest.deadline, self._state.asked.deadline) - self._state.offset

    @property
    def done(self) -> bool:
        """It is ending, and has nothing left to publish."""
        state = self._state
        return state.ending is not None and not state.holds and not state.trying

    def say_gone(self, now: float) -> None:
        """Write ``.gone`` once everything is published. It is the last write; clean-up relies on that."""
        state = self._state
        if not self.done or state.writing or self.stage:
            return
        self.stage, self._gone_at = "gone", now
        cause = state.ending or EndCause.IDLE
        code = exit_code(cause)
        gone = Gone(worker=state.wid, cause=cause, at=state.wall(now), token=self._token, exit_code=code)
        state.ask(fx.Create(state.keys.gone(state.wid), gone))

    def gone_written(self, *, looking: bool) -> None:
        """Look once more after ``.gone`` is written, since work may have been added in between (law 3).

        Args:
            looking: a look is already under way; it may miss work added since.
        """
        if self.stage != "gone":
            return
        if self._state.ending is EndCause.IDLE:
            self.stage, self._stale_look = "look", looking
            self._state.ask(fx.List(self._state.keys.control_folder))
        else:
            self.leave(self._state.ending or EndCause.IDLE)

    def looked(self, now: float) -> None:
        """Handle a listing of the control folder."""
        if self.stage == "look" and self._stale_look:
            self._stale_look = False
        elif self.stage == "look":
            self.leave_or_rejoin(now)

    def leave_or_rejoin(self, now: float) -> None:
        """Rejoin for a committed job that is new to it; an announced job may never come."""
        state = self._state
        if self.stage != "look" or any(job.reading for job in state.jobs.values()):
            return
        news = any(job.since >= self._gone_at for job in state.open_jobs())
        if not news or self.terminated or state.asked.closed or state.asked.cancel_all:
            self.leave(EndCause.IDLE)
            return
        self.stage, state.ending = "", None
        state.rename(now)
        state.idle_since = now

    def _end(self, cause: EndCause, now: float, *, kill: bool) -> None:
        if self._state.ending is None:
            self._state.ending, self._since = cause, now
        for hold in list(self._state.holds.values()):
            self._state.stop(hold, kill=kill)

    def _cut_off_at(self) -> float:
        """When the store's silence counts as being cut off: as long as a worker may be idle."""
        manifest = self._state.manifest
        return self._state.heard + max(manifest.idle, DEAD_AFTER * manifest.interval)

    def _spent(self, now: float) -> bool:
        """The fleet would exceed the budget before the next heartbeat."""
        state = self._state
        budget, listed_at = state.budget, state.fleet.listed_at
        if budget is None or listed_at is None:
            return False
        state.due(now + state.manifest.interval)  # even without an answer
        known = (state.fleet.looks, budget)
        if self._reckoned != known or now >= self._reckon_at:
            spent = state.fleet.spend(
                state.wall(now), minimum=state.manifest.minimum, ahead=state.manifest.interval, unheard=now - listed_at
            )
            self._over, self._reckoned, self._reckon_at = spent >= budget, known, now + state.manifest.floor
        return self._over

    def _surplus(self) -> bool:
        wanted = self._state.asked.wanted
        return wanted is not None and not self._blind() and self._rank() >= wanted

    def _kept(self, now: float) -> bool:
        """Two workers stay while a job is unfinished, to take over if its last owner dies."""
        if now >= self._cut_off_at():
            return False
        return any(True for _ in self._state.open_jobs()) and (self._blind() or self._rank() < KEPT)

    def _blind(self) -> bool:
        """It has not watched long enough to tell live workers from silent ones, so it knows no rank."""
        return self._state.fleet.watched < (DEAD_AFTER + 1) * self._state.manifest.interval

    def _rank(self) -> int:
        fleet, wid = self._state.fleet, self._state.wid
        if self._placed != (fleet.looks, wid):
            self._placed = (fleet.looks, wid)
            self._place = fleet.rank(wid, DEAD_AFTER * self._state.manifest.interval)
        return self._place
