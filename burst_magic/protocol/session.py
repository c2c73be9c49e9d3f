"""One job of a session as its client sees it, as a pure machine: ``step(event, now) -> effects``.

It follows the log: new segments, heartbeats, ends, requests; reads ``final`` or writes it when all is
covered; says when nothing will run any more. It never touches a value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter

from burst_magic.protocol import effects as fx
from burst_magic.protocol import keys
from burst_magic.protocol.known import WINDOW
from burst_magic.protocol.log import DEAD_AFTER, Asked, Fleet, fold_control, make_final
from burst_magic.protocol.model import (
    Control,
    ControlKind,
    EndCause,
    Final,
    Gone,
    Heartbeat,
    Job,
    Manifest,
    SegmentKey,
    Snapshot,
    Span,
    WorkerView,
)
from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.spans import draw

STARTING = 120.0  # seconds that a worker may take from ``.next`` to its first heartbeat
_SLOWEST = 5.0  # seconds between two looks at the results, at most
_WATCH_EVERY = 30.0
_REPLACED_AT_MOST = 3  # times the fleet: what always ends at once is not started for ever
_by_start = attrgetter("start")
_NOBODY = "no worker lives"
_NOT_LOST = {
    EndCause.IDLE,
    EndCause.SCALE,
    EndCause.CANCEL,
    EndCause.CLOSE,
    EndCause.DEADLINE,
    EndCause.BUDGET,
}


class SessionMachine:
    """A client's view of one job.

    Args:
        manifest, job: the two immutable descriptions.
        signed: the client has the key and may write ``final``; without it the machine only looks.
        now: a monotonic clock; wall: the wall clock at that instant.
    """

    def __init__(self, *, manifest: Manifest, job: Job, signed: bool, now: float, wall: float) -> None:
        self.manifest, self.job, self.signed = manifest, job, signed
        self.wake = now
        self.cover = Cover(job.tasks)
        self.final: Final | None = None
        self.names: dict[SegmentKey, None] = {}  # every segment seen, for counting failures once each
        self.ended: str | None = None
        self._keys = keys.SessionKeys(manifest.sid)
        self._job_keys = self._keys.job(job.jid)
        self._offset, self._born = wall - now, now
        self._fleet = Fleet(manifest.interval)
        self._beats: dict[str, Heartbeat] = {}
        self._gone: dict[str, Gone] = {}
        self._controls: dict[str, Control | None] = {}
        self._asked = Asked()
        self._after = ""
        self._waiting = {self._job_keys.final}  # what it waits for before it may decide
        self._results_at = self._workers_at = self._control_at = now
        self._listed_at = now  # when the results were asked for last
        self._watch_at: float | None = None
        self._news_at = now
        self._finished_at: float | None = None
        self._replaced = 0
        self._asked_to_look = self._looked_again = False
        self._final_at = now
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
            self._on_created(event)
        self._think(now)
        out, self._out = self._out, []
        return out

    def watch(self, now: float, *, on: bool) -> None:
        """Somebody looks at live output (or no longer does)."""
        self._watch_at = now if on else None
        self.wake = now if on else self.wake

    def look_now(self, now: float) -> None:
        """Somebody waits: look at everything at the next step."""
        self._results_at = self._workers_at = self._control_at = now
        self._asked_to_look = True
        self.wake = now

    @property
    def finished(self) -> bool:
        """All tasks have outcomes and ``final`` says which."""
        return self.ended == "finished"

    # --- what is told -----------------------------------------------------------------------------------

    def _on_listed(self, event: fx.Listed, now: float) -> None:
        self._waiting.discard(event.folder)
        if event.folder == self._job_keys.results_folder:
            self._learn([keys.parse_segment(name) for name, _ in event.names], now)
            self._results_at = max(self._results_at, 2 * now - self._listed_at)  # at most half its time
        elif event.folder == self._keys.workers_folder:
            self._fleet.listed(event.names, now)
            self._read_workers(event)
        else:
            for name, _ in event.names:
                if keys.parse_control(name).kind is not ControlKind.ADD_JOB and name not in self._controls:
                    self._controls[name] = None
                    self._read(f"{event.folder}/{name}", Control)

    def _learn(self, listed: Iterable[SegmentKey], now: float) -> None:
        fresh = [segment for segment in listed if segment not in self.names]
        if fresh:
            self._news_at = now
            newest = max(segment.at_ms for segment in fresh)
            self._after = max(self._after, keys.results_after(newest - int(WINDOW * 1000)))
        for segment in sorted(fresh, key=_by_start):  # a long log is quick to take in this order
            self.names[segment] = None
            self.cover.add(segment)

    def _read_workers(self, event: fx.Listed) -> None:
        for name, modified in event.names:
            key = keys.parse_worker(name)
            path = f"{event.folder}/{name}"
            if key.kind == "gone" and key.ident not in self._gone:
                self._read(path, Gone)
            elif key.kind == "beat" and key.ident not in self._fleet.gone:
                beat = self._beats.get(key.ident)  # read once for its token, and again when somebody looks
                looking = self._asked_to_look or self._watch_at is not None
                if beat is None or (looking and modified > beat.at):
                    self._read(path, Heartbeat)
        self._asked_to_look = False

    def _on_got(self, event: fx.Got, now: float) -> None:
        self._waiting.discard(event.key)
        record = event.record
        if isinstance(record, Final):
            self._adopt(record, now)
        elif isinstance(record, Heartbeat):
            modified = self._fleet.beats.get(record.worker, (record.at, 0.0))[0]
            self._beats[record.worker] = replace(record, at=modified)
        elif isinstance(record, Gone):
            self._gone[record.worker] = record
        elif isinstance(record, Control):
            self._controls[event.key.rpartition("/")[2]] = record
            self._asked = fold_control(c for c in self._controls.values() if c)

    def _adopt(self, final: Final, now: float) -> None:
        """``final`` decides; what was covered before only served to count."""
        self.final = final
        parts = [(start, stop, keys.parse_segment(name)) for start, stop, name in final.parts]
        self.cover = Cover.of(self.job.tasks, parts)
        self.names = {segment: None for _, _, segment in parts}
        self.ended, self._finished_at = "finished", final.at

    def _on_created(self, event: fx.Created) -> None:
        if event.key == self._job_keys.final:  # done or refused: what lies there is what counts
            self._waiting.discard(event.key)
            self._read(event.key, Final)

    # --- what is due --------------------------------------------------------------------------------------

    def _think(self, now: float) -> None:
        self.wake = now + 3600.0
        if self.ended == "finished":
            if self._asked_to_look:  # results stand, but workers and their cost go on
                self._list(self._keys.workers_folder)
            self._asked_to_look = False
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
            every = max(floor / 4, min(_SLOWEST, 0.02 * (now - self._born)))
            self._results_at, self._listed_at = now + every, now
            self._list(self._job_keys.results_folder, "" if quiet else self._after)
            if quiet:
                self._news_at = now
        if now >= self._workers_at:
            self._workers_at = now + (interval if self._fleet.living() else min(interval, 4 * floor))
            self._list(self._keys.workers_folder)
        if now >= self._control_at:
            self._control_at = now + interval
            self._list(self._keys.control_folder)
        if self._watch_at is not None and now >= self._watch_at:
            self._watch_at = now + _WATCH_EVERY
            self._ask(fx.Watch(self._keys.watch))
        dues = [self._results_at, self._workers_at, self._control_at]
        if self._watch_at is not None:
            dues.append(self._watch_at)
        if self.cover.whole and self._job_keys.final not in self._waiting:
            dues.append(self._final_at)
        self.wake = min(dues)

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
        running = self._living(now) + self._starting(now)
        if running:
            self._looked_again = False
        elif not self._looked_again:  # what they did last may have come after our last look, and out of our window
            self._looked_again = True
            self._list(self._job_keys.results_folder)
            self._list(self._keys.control_folder)
            return
        reason = self._end_reason(now)
        missing = self._missing(running, now) if reason == _NOBODY and self.signed else 0
        if missing > 0:
            self._replaced += missing
            self._ask(fx.Replace(missing))
            self._list(self._keys.workers_folder)  # nothing is decided before their starts are seen
        else:
            self.ended = None if running else self._last_words() if reason == _NOBODY else reason

    def _missing(self, running: int, now: float) -> int:
        """How many lost workers to replace now: never more than were lost, nor for ever.

        One that went for want of work is missed only when nobody is left and there is work after all.
        """
        kept = _NOT_LOST if running else _NOT_LOST - {EndCause.IDLE}
        lost = sum(1 for gone in self._gone.values() if gone.cause not in kept) + self._silent()
        bound = min(lost, _REPLACED_AT_MOST * self.manifest.workers) - self._replaced
        return min(bound, self._wanted() - running)

    def _wanted(self) -> int:
        return self.manifest.workers if self._asked.wanted is None else self._asked.wanted

    def _living(self, now: float) -> int:
        return len(self._fleet.living()) - self._silent()

    def _silent(self) -> int:
        patience = DEAD_AFTER * self.manifest.interval
        return sum(1 for wid in self._fleet.living() if self._fleet.dead(wid, patience))

    def _starting(self, now: float) -> int:
        """Starts that no heartbeat and no end has named yet."""
        answered = {beat.token for beat in self._beats.values()} | {gone.token for gone in self._gone.values()}
        since = [at for token, at in self._fleet.starting.items() if token not in answered]
        return sum(1 for at in since if now - at < STARTING)

    def _end_reason(self, now: float) -> str:
        if self._asked.cancel_all or self.job.jid in self._asked.cancelled:
            return "cancelled"
        if now + self._offset >= max(self.manifest.deadline, self._asked.deadline):
            return "deadline"
        if self._asked.closed:
            return "closed"
        return _NOBODY

    def _last_words(self) -> str:
        """Why nobody is left, as far as the last lost worker tells."""
        lost = [gone for gone in self._gone.values() if gone.detail and gone.cause not in _NOT_LOST]
        newest = max(lost, key=lambda gone: gone.at, default=None)
        return f"{_NOBODY}; the last one said: {newest.detail}" if newest else _NOBODY

    def _write_final(self, now: float) -> None:
        self._waiting.add(self._job_keys.final)
        final = make_final(self.job.jid, self.cover, now + self._offset, by="client")
        self._ask(fx.Create(self._job_keys.final, final))

    def _ask(self, effect: fx.Effect) -> None:
        self._out.append(effect)

    # --- what is seen -------------------------------------------------------------------------------------

    def snapshot(self, now: float) -> Snapshot:
        """All facts at this instant."""
        wall = now + self._offset
        workers = tuple(self._views(wall))
        running = {
            slot.task
            for worker in workers
            if worker.alive
            for slot in worker.slots
            if slot.job == self.job.jid and slot.task is not None
        }
        running = {task for task in running if self.cover.find(task) is None} if self.ended is None else set()
        done, total = self.cover.covered, self.job.tasks
        busy = min(self._busy(workers), total - done) if self.ended is None else 0
        failed = self.cover.failed
        return Snapshot(
            sid=self.manifest.sid,
            jid=self.job.jid,
            now=wall,
            created=self.job.created,
            total=total,
            pending=total - done - busy,
            running=busy,
            completed=done - failed,
            failed=failed,
            name=self.manifest.name,
            title=self.job.title,
            launcher=self.manifest.launcher,
            wanted=self._wanted(),
            starting=self._starting(now),
            started=len(self._fleet.beats),
            workers=workers,
            spans=self._spans(running),
            ended=self.ended,
            finished_at=self._finished_at,
            deadline=max(self.manifest.deadline, self._asked.deadline),
            eta=self._eta(done, total, wall),
            spend=int(self._fleet.spend(wall)),
            waiting=self._why_waiting(now, workers, done),
            tail=tuple(
                (slot.printed_by, slot.output)
                for worker in workers
                for slot in worker.slots
                if slot.printed_by is not None and slot.job == self.job.jid
            ),
        )

    def _busy(self, workers: tuple[WorkerView, ...]) -> int:
        """Slots that ran something of this job when they were heard of last; by now it may be another task."""
        slots = (slot for worker in workers if worker.alive for slot in worker.slots)
        return sum(1 for slot in slots if slot.job == self.job.jid and slot.task is not None)

    def _views(self, wall: float) -> list[WorkerView]:
        views = []
        for wid, (modified, _) in sorted(self._fleet.beats.items()):
            gone, beat = self._gone.get(wid), self._beats.get(wid)
            billed_ms, rate = self._fleet.born[wid]
            if gone is None and wid in self._fleet.gone:
                gone = Gone(worker=wid, cause=EndCause.CRASH, at=modified)
            views.append(
                WorkerView(
                    wid=wid,
                    started=billed_ms / 1000,
                    seen=gone.at if gone else min(wall, modified + DEAD_AFTER * self.manifest.interval),
                    rate=rate,
                    gone=gone,
                    slots=beat.slots if beat and gone is None else (),
                )
            )
        return views

    def _spans(self, running: set[int]) -> tuple[Span, ...]:
        """Drawn again only when something changed: a long log is looked at often."""
        drawn = (self.cover.covered, self.final is not None, frozenset(running))
        if drawn != self._drawn:
            self._drawn, self._drawing = drawn, draw(self.cover, running)
        return self._drawing

    def _eta(self, done: int, total: int, wall: float) -> float | None:
        if self.ended or not done:
            return None
        return (wall - self.job.created) / done * (total - done)

    def _why_waiting(self, now: float, workers: tuple[WorkerView, ...], done: int) -> str:
        if self.ended or any(slot.task is not None for worker in workers if worker.alive for slot in worker.slots):
            return ""
        silent = [self._fleet.silent_for(worker.wid) for worker in workers if worker.alive]
        if silent and min(silent) > DEAD_AFTER * self.manifest.interval:
            return f"no heartbeat for {min(silent):.0f} s"
        return "" if workers or done else "workers are starting"
