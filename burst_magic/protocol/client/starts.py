"""Which workers a client starts in place of lost ones, and how it announces them.

A client that starts a worker first creates its ``.next``. The token of a replacement is derived from the lost worker's
name, so that two clients that see the same loss meet at one key. The log shows how many workers were replaced.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from burst_magic.dataclass import dataclass
from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.clocks import StoreClock
from burst_magic.protocol.client.crew import NOT_LOST, Crew
from burst_magic.protocol.client.questions import Questions
from burst_magic.protocol.client.refusals import NO_WORKER, PASSES, RefusedStarts, replacement_token
from burst_magic.protocol.snapshot import StartView
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import EndCause, Manifest, Next
from burst_magic.protocol.worker import poison

ASKED = "requested"  # the phase of a start before its launcher reports one
STARTING = 120.0  # seconds from ``.next`` to the first heartbeat, if the launcher doesn't set a limit
_ANNOUNCED_AT_MOST = 3  # times; a client that may not write must not try for ever
# Times the fleet, since the last result: workers that always exit at once are not restarted for ever, but even a fleet
# of one must find a task that kills its workers.
_REPLACED_AT_MOST = 3
_IN_VAIN = 2  # starts in a row that came to nothing: the next would, too, and each is billed for a minute at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Starts to be made now.

    Attributes:
        again: tokens of starts that another client announced without a worker appearing; each is repeated once.
        fresh: tokens of replacements that no client has announced.
    """

    again: tuple[str, ...]
    fresh: tuple[str, ...]


class Starts:
    """The starts of one session that one client sees and makes.

    Args:
        manifest: the session.
        me: distinguishes this client's announcements from other clients'.
        crew: the workers.
        clock: the store's.
        questions: takes its requests.
        patience: launcher -> seconds that a start may take without any news.
        orphaned_after: launcher -> seconds without any news after which a start that another client announced is made
            again; launchers that are not named here get their patience.

    Attributes:
        refusals: refused and failed starts.
        tried: token -> when this client started it, or repeated the start.
        failed_announcements: token -> number of announcements that were not found afterwards.
    """

    def __init__(
        self,
        *,
        manifest: Manifest,
        me: str,
        crew: Crew,
        clock: StoreClock,
        questions: Questions,
        patience: Mapping[str, float],
        orphaned_after: Mapping[str, float],
    ) -> None:
        self._manifest, self._me, self._crew = manifest, me, crew
        self._patience, self._orphaned_after = patience, orphaned_after
        self._coming: dict[str, float] = {}  # token -> when its launcher last reported that it is starting
        self._phases: dict[str, tuple[str, float]] = {}  # token -> the reported phase, and since when
        self.refusals = RefusedStarts(manifest, crew)
        self._clock, self._questions = clock, questions
        self._keys = keys.SessionKeys(manifest.sid)
        self._announcing: dict[str, str] = {}  # tokens, by key
        self._expected_at = 0.0  # when the newest of the jobs was first followed, or a scale read
        self.tried: dict[str, float] = {}
        self.failed_announcements: Counter[str] = Counter()

    @property
    def announcing(self) -> set[str]:
        """Keys of announcements that are under way."""
        return set(self._announcing)

    def expect(self, now: float) -> None:
        """A job is followed from now on, or a scale was read: whoever asked for it may be about to announce workers."""
        self._expected_at = now

    def resume(self) -> None:
        """Continue after answers were dropped: read announcements from the log, and retry failed ones."""
        self._announcing.clear()
        self.failed_announcements.clear()

    # --- policy -------------------------------------------------------------------------------------------

    def starting(self, now: float) -> int:
        """Number of starts without a heartbeat or end that may still succeed."""
        return len(self._unanswered()) - len(self._late(now))

    def heard_coming(self, phases: Iterable[tuple[str, str, float]], now: float) -> None:
        """Record that a launcher reports starts as coming: they are not silent, however long they take.

        The first phase that this client sees may have begun before it looked.
        """
        for token, phase, seconds in phases:
            self._coming[token] = now
            if token not in self._phases:
                self._phases[token] = phase, now - seconds
            elif self._phases[token][0] != phase:
                self._phases[token] = phase, now

    def coming(self, now: float) -> list[StartView]:
        """What each start without a worker is at, by token."""
        late, unanswered = set(self._late(now)), self._unanswered()
        asked = {token: self._phases.get(token, (ASKED, since)) for token, since in unanswered.items()}
        return [
            StartView(token=token, phase=phase, seconds=max(0.0, now - since))
            for token, (phase, since) in sorted(asked.items())
            if token not in late
        ]

    @property
    def given_up(self) -> bool:
        """Whether no more workers are started, because the last ones could not be brought up: each in the same way.

        A worker that comes to life after all, of those that are still coming or of a user's scale, ends this.
        """
        return len(self._crew.failed_in_a_row()) >= _IN_VAIN

    def in_vain(self, wanted: int) -> str:
        """Why no more workers are started, and the way out; "" while they are."""
        if not self.given_up:
            return ""
        reason = self._crew.failed_in_a_row()[-1].detail or "no worker could be brought up"
        return f"{reason}; %burst_scale {wanted} tries again"

    def refused(self, wanted: int) -> str:
        """The message about starts that failed, or an empty text."""
        return self.refusals.words(wanted, retried=not self.given_up)

    def lost(self) -> int:
        """Number of lost workers without a replacement so far."""
        announced, sid = self._crew.log.starting, self._manifest.sid
        return sum(replacement_token(sid, each) not in announced for each in self._crew.lost(NOT_LOST | NO_WORKER))

    def replaced(self) -> set[str]:
        """Silent workers, by their launchers' names, whose replacement is announced: nobody waits for them any more."""
        announced, sid, log = self._crew.log.starting, self._manifest.sid, self._crew.log
        silent = {keys.base_of(wid) for wid in log.living()} - {keys.base_of(wid) for wid in self._crew.living()}
        return {name for name in silent if replacement_token(sid, name) in announced}

    def due(self, now: float, *, wanted: int, running: int, useful: int, since: float) -> Due | None:
        """The starts that are due while some range waits; None if there are none, or nothing can be started.

        Args:
            now: the observer's clock.
            wanted: number of workers requested.
            running: number of workers alive or starting.
            useful: number of workers that the waiting tasks can occupy.
            since: time of the last result, or the job's start; earlier losses do not count towards the bound.
        """
        if self.given_up:
            return None
        room = max(0, wanted - running)
        late = self._late(now)
        again = sorted(token for token in late if token not in self.tried)[:room]
        again += self._orphans(now, set(late))
        early = self.refusals.put_off(now)
        fresh = self.replacements_due(now, early, nobody_left=not running, since=since)
        if self.sure_of_unannounced(now):
            fresh += self.unannounced(min(wanted, useful))
        fresh = fresh[: max(0, room - len(again))]
        return Due(again=tuple(again), fresh=tuple(fresh)) if again or fresh else None

    def postponed(self, now: float, *, wanted: int, running: int, since: float) -> bool:
        """Whether some start only waits for its pause after a failure, or for its announcement by the client that has
        submitted the job; arguments as for ``due``."""
        if self.given_up:
            return False
        if self.refusals.put_off(now) and self.replacements_due(now, set(), nobody_left=not running, since=since):
            return True
        return bool(self.unannounced(wanted)) and not self.sure_of_unannounced(now)

    def unannounced(self, wanted: int) -> list[str]:
        """Tokens of workers that were never announced: whoever wanted them died before it came to that.

        All clients that find such a session make the same tokens. Each start that was announced fills a place, whatever
        became of its worker; a replacement fills the place of whom it replaces.
        """
        announced, sid = self._crew.log.starting, self._manifest.sid
        tokens = [replacement_token(sid, f"unannounced {place}") for place in range(wanted)]
        free = [token for token in tokens if token not in announced]
        missing = free[len(self._asked_for(wanted)) :]
        return [token for token in missing if self.failed_announcements[token] < _ANNOUNCED_AT_MOST]

    def sure_of_unannounced(self, now: float) -> bool:
        """Whether this client has watched long enough that nobody can be about to announce them."""
        patience, announced = self._crew.patience, self._crew.log.starting
        if self._crew.log.watched < patience or now - self._expected_at < patience:
            return False
        return now - max((announced.get(token, 0.0) for token in self._asked_for(0)), default=0.0) >= patience

    def _asked_for(self, wanted: int) -> set[str]:
        """Tokens of starts that users asked for: no replacements, nor the first ``wanted`` that nobody announced."""
        sid, named = self._manifest.sid, self._crew.tokens
        tokens = {*self._crew.log.starting, *named.values()}
        replacements = {replacement_token(sid, name) for name in tokens | named.keys()}
        return tokens - replacements - {replacement_token(sid, f"unannounced {place}") for place in range(wanted)}

    def replacements_due(self, now: float, early: set[str], *, nobody_left: bool, since: float) -> list[str]:
        """Tokens of missing replacements; clients that see the same losses get the same list.

        A start of this client without a worker counts as lost, too. A refused start doesn't count towards the bound,
        since it cost nothing.

        Args:
            now: the observer's clock.
            early: failed starts whose retry is not due yet.
            nobody_left: no worker is left; then idle ends count as lost, too, since there is work after all.
            since: time of the last result, or the job's start; earlier losses do not count towards the bound.
        """
        bound = _REPLACED_AT_MOST * self._manifest.workers + poison.SILENT + poison.DEATHS
        announced, sid = self._crew.log.starting, self._manifest.sid
        kept = NOT_LOST - {EndCause.IDLE} if nobody_left else NOT_LOST
        failed = {token for token in self._late(now) if token in self.tried}
        lost = (self._crew.lost(kept) | failed) - early
        tokens = [replacement_token(sid, each) for each in sorted(lost)]
        since_then = failed | self._crew.lost(NOT_LOST - {EndCause.IDLE} | PASSES, since=since)
        replaced = sum(1 for lost in since_then if replacement_token(sid, lost) in announced)
        owed = [token for token in tokens if token not in announced]
        tries = self.failed_announcements
        return [token for token in owed if tries[token] < _ANNOUNCED_AT_MOST][: max(0, bound - replaced)]

    def _unanswered(self) -> dict[str, float]:
        """When each start without a worker was last seen to make progress, by token."""
        named = self._crew.named
        unnamed = {token: since for token, since in self._crew.log.starting.items() if token not in named}
        tried = {token: self.tried.get(token, since) for token, since in unnamed.items()}
        return {token: max(since, self._coming.get(token, since)) for token, since in tried.items()}

    def _orphans(self, now: float, late: set[str]) -> list[str]:
        """Starts that another client announced, and may have died before it made them: no launcher has heard of them.

        They count as running, so they need no room. The same token is the same worker, however often it is started.
        """
        silent = {token: since for token, since in self._unanswered().items() if token not in late}
        return sorted(
            token
            for token, since in silent.items()
            if token not in self.tried
            and token not in self._coming
            and now - since >= self._orphaned_after.get(self.refusals.launcher_of(token), math.inf)
        )

    def _late(self, now: float) -> list[str]:
        return [token for token, since in self._unanswered().items() if now - since >= self._patience_for(token)]

    def _patience_for(self, token: str) -> float:
        return self._patience.get(self.refusals.launcher_of(token), STARTING)

    # --- making a start -----------------------------------------------------------------------------------

    def make(self, due: Due, now: float) -> None:
        """Repeat the announced starts, and announce the new ones."""
        for token in due.again:
            self._start(token, now)
        for token in due.fresh:
            self._announce(token, now)

    def _announce(self, token: str, now: float) -> None:
        key = self._keys.next(token)
        at = self._clock.wall(now)
        self._announcing[key] = token
        record = Next(token=token, launcher=self.refusals.launcher_of(token), number=None, at=at, by=self._me)
        self._questions.create(key, record)

    def created(self, event: fx.Created, now: float) -> None:
        """Handle the store's answer to an announcement; unless it was done, read the object before deciding."""
        if event.key not in self._announcing:
            return
        if event.wrote is fx.Wrote.DONE:
            self._announced(event.key, now, mine=True)
        else:
            self._questions.read(event.key, Next)

    def got(self, event: fx.Got, now: float) -> None:
        """Handle the content of an announcement."""
        if event.key not in self._announcing:
            return
        record = event.record
        self.failed_announcements[self._announcing[event.key]] += record is None
        self._announced(event.key, now, mine=isinstance(record, Next) and record.by == self._me)

    def _announced(self, key: str, now: float, *, mine: bool) -> None:
        """Start a worker if the announcement is ours; a missing one is announced again, a few times."""
        token = self._announcing.pop(key)
        if mine:
            self._start(token, now)
        self._questions.list_folder(self._keys.workers_folder)

    def _start(self, token: str, now: float) -> None:
        self.tried[token] = now
        self._questions.tell(fx.Replace(token, self.refusals.launcher_of(token)))


def in_words(coming: Iterable[StartView]) -> str:
    """Starts by phase, each with the time of the longest: ``2 provisioning for 40 s``; "" where no launcher says."""
    seconds: dict[str, list[float]] = {}
    for start in coming:
        if start.phase != ASKED:
            seconds.setdefault(start.phase, []).append(start.seconds)
    return ", ".join(f"{len(times)} {phase} for {max(times):.0f} s" for phase, times in sorted(seconds.items()))
