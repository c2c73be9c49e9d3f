"""One job of a session as its client sees it, as a pure machine: ``step(event, now) -> effects``.

It follows the log: new segments, heartbeats, ends, requests; reads ``final`` or writes it when all is
covered; says when nothing will run any more. It never touches a value.
"""

from __future__ import annotations

from collections.abc import Iterable

from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.clocks import StoreClock
from burst_magic.protocol.client.crew import Crew
from burst_magic.protocol.client.snapshot import snapshot
from burst_magic.protocol.client.spans import draw
from burst_magic.protocol.log import SKEW, Asked, Fleet, fold_control, make_final
from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import (
    Control,
    ControlKind,
    EndCause,
    Final,
    Gone,
    Heartbeat,
    Job,
    Manifest,
    Next,
    Snapshot,
    Span,
)
from burst_magic.protocol.worker import poison
from burst_magic.protocol.worker.known import WINDOW, newest_ms

_SLOWEST = 5.0  # seconds between two looks at the results, at most
_SOONEST = 0.1  # seconds between the first looks, where the floor is longer: the first result is published at once
_WATCH, _WATCH_EVERY = "~watch", 30.0
_LIVE = 2.0  # seconds between two looks at heartbeats while somebody watches, at most
# times the fleet since the last result: what always ends at once is not started for ever, but a task that ends its
# workers must be found by a fleet of one too
_REPLACED_AT_MOST = 3
_NOBODY = "no worker lives"


class SessionMachine:
    """A client's view of one job.

    Args:
        manifest, job: the two immutable descriptions.
        signed: the client has the key and may write ``final``; without it the machine only looks.
        now: a monotonic clock; wall: the wall clock at that instant.
        me: tells this client's starts from another's.
        tends: it replaces lost workers; without it, or the key, nobody is started.
    """

    def __init__(
        self, *, manifest: Manifest, job: Job, signed: bool, now: float, wall: float, me: str, tends: bool = True
    ) -> None:
        self.manifest, self.job, self.signed = manifest, job, signed
        self.tends = tends and signed
        self._me = me
        self.wake = now
        self.cover = Cover(job.tasks)
        self.final: Final | None = None
        self.seen: set[str] = set()  # names of segments
        self.ended: str | None = None
        self._keys = keys.SessionKeys(manifest.sid)
        self._job_keys = self._keys.job(job.jid)
        self.clock, self._born = StoreClock(wall - now), now
        self.crew = Crew(sid=manifest.sid, fleet=Fleet(manifest.interval))
        self._controls: dict[str, Control | None] = {}
        self._asked = Asked()
        self._after = ""
        self._waiting = {self._job_keys.final}  # what it waits for before it may decide
        self._results_at = self._workers_at = self._control_at = now
        self._listed_at = now  # when the results were asked for last
        self._watch_at: float | None = None
        self._news_at = now
        self._newest = job.created  # when the last result was published, by the store's clock
        self.finished_at: float | None = None
        self._starts: dict[str, str] = {}  # tokens that it announces, by key
        self._asked_to_look = self._looked_again = False
        self._bare = self._there = False  # nothing was found in ``control``; its manifest was, just now
        self._final_at = self._cancelled_at = now
        self._asked_final = False  # whether there was a final when it began
        self._drawn: tuple[int, bool, frozenset[int]] | None = None  # of what ``_drawing`` is
        self._drawing: tuple[Span, ...] = ()
        self._out: list[fx.Effect] = [fx.Read(self._job_keys.final, Final)]

    def step(self, event: fx.Event, now: float) -> list[fx.Effect]:
        """Takes one event, returns what is to be done."""
        if isinstance(event, fx.Listed):
            self._on_listed(event, now)
        elif isinstance(event, fx.Got):
            self._on_got(event, now)
        elif isinstance(event, fx.Created):
            self._on_created(event, now)
        self._think(now)
        out, self._out = self._out, []
        return out

    def watch(self, now: float, *, on: bool) -> None:
        """Somebody looks at live output (or no longer does)."""
        self._watch_at = now if on else None
        if on:
            self._workers_at = min(self._workers_at, now + _LIVE)
            self.wake = now

    def look_now(self, now: float) -> None:
        """Somebody waits: look at everything at the next step."""
        self._results_at = self._workers_at = self._control_at = now
        self._asked_to_look = True
        self.wake = now

    @property
    def wanted(self) -> int:
        """So many workers are asked for."""
        return self.manifest.workers if self._asked.wanted is None else self._asked.wanted

    @property
    def deadline(self) -> float:
        """The session's end, by the wall clock."""
        return max(self.manifest.deadline, self._asked.deadline)

    @property
    def finished(self) -> bool:
        """All tasks have outcomes and ``final`` says which."""
        return self.ended == "finished"

    # --- what is told -----------------------------------------------------------------------------------

    def _on_listed(self, event: fx.Listed, now: float) -> None:
        self._waiting.discard(event.folder)
        if event.folder == self._job_keys.results_folder:
            self._learn(event.names, now)
            self._results_at = max(self._results_at, 2 * now - self._listed_at)  # at most half its time
        elif event.folder == self._keys.workers_folder:
            self.clock.heard(next((modified for name, modified in event.names if name == _WATCH), None), now)
            self.crew.fleet.listed(event.names, now)
            self._read_workers(event)
        else:
            self._bare = not event.names  # a living session holds a job at least
            if self._bare:
                self._read(self._keys.manifest, Manifest)
            for name, _ in event.names:
                if keys.parse_control(name).kind is not ControlKind.ADD_JOB and name not in self._controls:
                    self._controls[name] = None
                    self._read(f"{event.folder}/{name}", Control)

    def _learn(self, listed: Iterable[tuple[str, float]], now: float) -> None:
        fresh = [each for each in listed if each[0] not in self.seen]  # a long log is quick to take
        if fresh:
            self.seen.update(name for name, _ in fresh)
            self._news_at = now
            newest = newest_ms(fresh)
            self._newest = max(self._newest, newest / 1000)
            self._after = max(self._after, keys.results_after(newest - int(WINDOW * 1000)))
            self.cover.add_all(keys.parse_segment(name) for name, _ in fresh)

    def _read_workers(self, event: fx.Listed) -> None:
        for name, modified in event.names:
            key = keys.parse_worker(name)
            path = f"{event.folder}/{name}"
            if key.kind == "gone" and key.ident not in self.crew.gone:
                self._read(path, Gone)
            elif key.kind == "beat" and key.ident not in self.crew.fleet.gone:
                beat = self.crew.beats.get(key.ident)  # read once for its token, and again when somebody looks
                looking = self._asked_to_look or self._watch_at is not None
                if beat is None or (looking and modified > beat.at):
                    self._read(path, Heartbeat)
        self._asked_to_look = False

    def _on_got(self, event: fx.Got, now: float) -> None:
        self._waiting.discard(event.key)
        self._asked_final |= event.key == self._job_keys.final
        record = event.record
        if isinstance(record, Final):
            self._adopt(record, now)
        elif isinstance(record, Heartbeat):
            self.crew.heard(record)
        elif isinstance(record, Gone):
            self.crew.gone[record.worker] = record
        elif event.key == self._keys.manifest:
            self._there = record is not None
            self.ended = self.ended if self._there else "deleted"
        elif event.key in self._starts:
            self.crew.in_vain[self._starts[event.key]] += record is None
            self._announced(event.key, now, mine=isinstance(record, Next) and record.by == self._me)
        elif isinstance(record, Control):
            self._controls[event.key.rpartition("/")[2]] = record
            self._asked = fold_control(c for c in self._controls.values() if c)

    def _adopt(self, final: Final, now: float) -> None:
        """``final`` decides; what was covered before only served to count."""
        self.final = final
        parts = [(start, stop, keys.parse_segment(name)) for start, stop, name in final.parts]
        self.cover = Cover.of(self.job.tasks, parts)
        self.seen = {name for _, _, name in final.parts}
        self.ended, self.finished_at = "finished", final.at

    def _on_created(self, event: fx.Created, now: float) -> None:
        self._waiting.discard(event.key)
        if event.key == self._job_keys.final:  # done or refused: what lies there is what counts
            self._read(event.key, Final)
        elif event.wrote is fx.Wrote.DONE:
            self._announced(event.key, now, mine=True)
        else:
            self._read(event.key, Next)

    # --- what is due --------------------------------------------------------------------------------------

    def _think(self, now: float) -> None:
        self.wake = now + 3600.0
        if self.ended in {"finished", "deleted"}:
            if self._asked_to_look:  # results stand, but workers and their cost go on
                self._list(self._keys.workers_folder)
            self._asked_to_look = False
            return
        if not self._asked_final:  # a finished job costs this one read (law 6)
            return
        if self.cover.whole:
            self._settle(now)
        self._look(now)
        self._judge(now)

    def _settle(self, now: float) -> None:
        """All is covered: ``final`` is written, or read when somebody else has to write it."""
        if now >= self._final_at and self._job_keys.final not in self._waiting:
            self._final_at = now + max(self.manifest.floor, min(_SLOWEST, now - self._born))
            if self.signed:
                self._write_final(now)
            else:
                self._read(self._job_keys.final, Final)

    def _look(self, now: float) -> None:
        interval, floor = self.manifest.interval, self.manifest.floor
        if now >= self._results_at:
            quiet = now - self._news_at >= WINDOW
            age = now - self._born
            every = max(min(floor / 4, max(_SOONEST, age / 4)), min(_SLOWEST, 0.02 * age))
            self._results_at, self._listed_at = now + every, now
            self._list(self._job_keys.results_folder, "" if quiet else self._after)
            if quiet:
                self._news_at = now
        if now >= self._workers_at:
            every = min(interval, _LIVE) if self._watch_at is not None else interval
            self._workers_at = now + (every if self.crew.fleet.living() else min(every, 4 * floor))
            self._list(self._keys.workers_folder)
        if now >= self._control_at:
            self._control_at = now + interval
            self._list(self._keys.control_folder)
        if self._watch_at is not None and now >= self._watch_at:
            self._watch_at = now + _WATCH_EVERY
            self._put_watch()
        dues = [self._results_at, self._workers_at, self._control_at]
        if self._watch_at is not None:
            dues.append(self._watch_at)
        if self.cover.whole and self._job_keys.final not in self._waiting:
            dues.append(self._final_at)
        self.wake = min(dues)

    def _put_watch(self) -> None:
        self.clock.put()
        self._ask(fx.Watch(self._keys.watch))

    def _list(self, folder: str, after: str = "") -> None:
        if folder not in self._waiting:
            self._waiting.add(folder)
            self._ask(fx.List(folder, after))

    def _read(self, key: str, kind: type[fx.Record]) -> None:
        """Reads what a verdict depends on: why a worker ended, which start it answers, what was asked."""
        if key not in self._waiting:
            self._waiting.add(key)
            self._ask(fx.Read(key, kind))

    def _judge(self, now: float) -> None:
        """Whether anything can still run. Nothing is decided while an answer is outstanding."""
        if self._waiting or self.cover.whole:
            return
        running = 0 if self._heard_of_cancel(now) else len(self.crew.living()) + self.crew.starting(now)
        if running:
            self._looked_again = False
        elif not self._looked_again:  # what they did last may have come after our last look, and out of our window
            self._looked_again = True
            self._list(self._job_keys.results_folder)
            self._list(self._keys.control_folder)
            return
        reason = self._end_reason(now)
        if reason == "deadline" and not self._limit_met() and self._ask_clock(now):
            return
        if reason == _NOBODY and self.tends and self._replace(running, now):
            return  # nothing is decided before their starts are seen
        self.ended = None if running else self._last_words() if reason == _NOBODY else reason

    def _heard_of_cancel(self, now: float) -> bool:
        """This job was cancelled so long ago that workers, which may go on with others, have published what is done."""
        if self.job.jid not in self._asked.cancelled:
            self._cancelled_at = now
        return now - self._cancelled_at >= 3 * self.manifest.interval

    def _end_reason(self, now: float) -> str:
        limit = self._limit_met()
        if self._asked.cancel_all or self.job.jid in self._asked.cancelled:
            return "cancelled"
        if self._asked.closed and limit != "deadline":
            return "closed"
        return limit or ("deadline" if self._past_deadline(now) else _NOBODY)  # its own clock may be wrong

    def _limit_met(self) -> str:
        """The limit that the newest end names, unless it was raised since."""
        last, at = self.crew.last_end()
        if last is EndCause.DEADLINE:
            return "" if self.deadline > at + SKEW else "deadline"
        raised = any(asked.budget and asked.at > at for asked in self._controls.values() if asked is not None)
        return "budget" if last is EndCause.BUDGET and not raised else ""

    def _ask_clock(self, now: float) -> bool:
        """Near the deadline the store is asked for the time, once, before that is said or anybody started."""
        if self.clock.asked or not self.clock.near(self.deadline, now):
            return False
        self.clock.asked = True
        self._put_watch()
        self._list(self._keys.workers_folder)
        return True

    def _past_deadline(self, now: float) -> bool:
        return self.clock.wall(now) >= self.deadline

    def _last_words(self) -> str:
        """Why nobody is left, as far as the last lost worker tells."""
        words = self.crew.last_words()
        return f"{_NOBODY}; the last one said: {words}" if words else _NOBODY

    # --- lost workers -------------------------------------------------------------------------------------

    def _replace(self, running: int, now: float) -> bool:
        """Starts what is missing while some range waits, whoever lost it; says whether there was anything."""
        room = max(0, self.wanted - running)
        again = self.crew.unanswered(now)[:room]
        owed = self.crew.heirless(
            now,
            nobody_left=not running,
            since=self._newest,
            bound=_REPLACED_AT_MOST * self.manifest.workers + poison.SILENT + poison.DEATHS,
        )[: room - len(again)]
        if not again and not owed:
            return False
        if self._bare or self._ask_clock(now):
            return True
        if not self._there:  # nobody is started in a session that somebody has deleted
            self._read(self._keys.manifest, Manifest)
            return True
        self._there = False
        for token in again:
            self._start(token, now)
        for token in owed:
            self._announce(token, now)
        return True

    def _announce(self, token: str, now: float) -> None:
        key = self._keys.next(token)
        start = Next(token=token, launcher=self.manifest.launcher, number=None, at=self.clock.wall(now), by=self._me)
        self._starts[key] = token
        self._waiting.add(key)
        self._ask(fx.Create(key, start))

    def _announced(self, key: str, now: float, *, mine: bool) -> None:
        """Another's is started by him; what is not there was not written, and is announced again, some times."""
        token = self._starts.pop(key)
        if mine:
            self._start(token, now)
        self._list(self._keys.workers_folder)

    def _start(self, token: str, now: float) -> None:
        self.crew.tried[token] = now
        self._ask(fx.Replace(token))

    def _write_final(self, now: float) -> None:
        self._waiting.add(self._job_keys.final)
        final = make_final(self.job.jid, self.cover, self.clock.wall(now), by="client")
        self._ask(fx.Create(self._job_keys.final, final))

    def _ask(self, effect: fx.Effect) -> None:
        self._out.append(effect)

    # --- what is seen -------------------------------------------------------------------------------------

    def snapshot(self, now: float) -> Snapshot:
        """All facts at this instant."""
        return snapshot(self, now)

    def spans(self, running: set[int]) -> tuple[Span, ...]:
        """The tasks' states. Drawn again only when something changed: a long log is looked at often."""
        drawn = (self.cover.covered, self.final is not None, frozenset(running))
        if drawn != self._drawn:
            self._drawn, self._drawing = drawn, draw(self.cover, running)
        return self._drawing
