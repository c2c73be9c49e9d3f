"""A session as a client sees it, as a pure machine: ``step(event, now) -> effects``.

It follows what all jobs share (workers, requests, limits, replacements), once for all of them. Each job has its own
machine (``client.job``), which this one steps. It decides for each job whether anything will still run, by these rules:

* (3) Nothing is concluded while an answer is pending, nor before all results and requests were listed once more.
* (3) A job is not over while a worker has a heartbeat, or a start may still succeed.
* (5) No worker is started in a session that was deleted, ended or hit a limit; near the deadline, the client first
  reads the store's clock.
* (6) Workers and requests are listed only while some job is known to be unfinished, or on request.
"""

from __future__ import annotations

from collections.abc import Mapping

from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.clocks import StoreClock
from burst_magic.protocol.client.crew import Crew
from burst_magic.protocol.client.job import JobMachine, JobState
from burst_magic.protocol.client.questions import Questions
from burst_magic.protocol.client.snapshot import snapshot
from burst_magic.protocol.client.starts import Starts
from burst_magic.protocol.log import SKEW, Requested, WorkersLog, fold_control
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Control, ControlKind, EndCause, Gone, Heartbeat, Job, JobEnd, Manifest

_WATCH, _WATCH_EVERY = "~watch", 30.0
_LIVE = 2.0  # seconds between two listings of workers, at most, while a viewer watches


class SessionMachine:
    """A client's view of a session and of the jobs that it follows.

    Args:
        manifest: the session.
        signed: the client has the key and may write; without it the machine only looks.
        now: a monotonic clock; wall: the wall clock at that instant.
        me: distinguishes this client's starts from other clients'.
        replaces_lost_workers: without it, or the key, no worker is started.
        patience, orphaned_after: see ``Starts``.

    Attributes:
        jobs: the followed jobs.
        looked_at: when the requests of the last fully answered look were made; before the first, its start.
        wake: when the next step is due without an event.
    """

    def __init__(
        self,
        *,
        manifest: Manifest,
        signed: bool,
        now: float,
        wall: float,
        me: str,
        replaces_lost_workers: bool = True,
        patience: Mapping[str, float] | None = None,
        orphaned_after: Mapping[str, float] | None = None,
    ) -> None:
        self.manifest, self.signed = manifest, signed
        self.replaces_lost_workers = replaces_lost_workers and signed
        self.jobs: dict[str, JobMachine] = {}
        self.looked_at = now
        self.clock = StoreClock(wall - now)
        self.crew = Crew(WorkersLog(manifest.interval))
        self._keys = keys.SessionKeys(manifest.sid)
        self._questions = Questions()
        self.starts = Starts(
            manifest=manifest,
            me=me,
            crew=self.crew,
            clock=self.clock,
            questions=self._questions,
            patience=patience or {},
            orphaned_after=orphaned_after or {},
        )
        self._controls: dict[str, Control | None] = {}  # None: not read yet
        self._requested = Requested()
        self._cancelled_at: dict[str, float] = {}  # when a job's cancel was first seen
        self._watch_at: float | None = None
        self._looking = False  # a look was requested, and workers are not listed yet
        self._bare = self._there = False  # ``control`` was empty; the manifest was just found
        self._dismissed = False  # whatever the store has shown of it
        self._asked_since: float | None = None
        self.resume(now)

    def follow(self, job: Job, now: float) -> JobMachine:
        """Follow a job from now on."""
        if job.jid not in self.jobs:
            self.take_up(
                JobMachine(manifest=self.manifest, job=job, signed=self.signed, clock=self.clock, now=now), now
            )
        return self.jobs[job.jid]

    def take_up(self, job: JobMachine, now: float) -> None:
        """Follow a job again."""
        if job.job.jid not in self.jobs:
            job.resume(now)
            self.starts.expect(now)
            self.jobs[job.job.jid] = job
            self.wake = now

    def leave(self, jid: str) -> None:
        """Stop following a job; its machine keeps its state."""
        self.jobs.pop(jid, None)

    def resume(self, now: float) -> None:
        """Start, or continue after answers were dropped: pending requests are repeated."""
        self._questions.drop()
        self.starts.resume()
        self.crew.log.watch_anew()
        self._controls = {name: control for name, control in self._controls.items() if control is not None}
        self.clock.asked = self._there = False
        self.wake = self._workers_at = self._control_at = now
        self._watch_at = None if self._watch_at is None else now
        self._asked_since = None
        for job in self.jobs.values():
            job.resume(now)

    def step(self, event: fx.Event, now: float) -> list[fx.Effect]:
        """Take one event and return effects."""
        self._questions.answered(event)
        if isinstance(event, fx.Listed) and event.folder == self._keys.workers_folder:
            self._on_workers(event, now)
        elif isinstance(event, fx.Listed) and event.folder == self._keys.control_folder:
            self._on_control(event)
        elif isinstance(event, fx.Got):
            self._on_got(event, now)
        elif isinstance(event, fx.Created):
            self.starts.created(event, now)
        elif isinstance(event, fx.Coming):
            self.starts.heard_coming(event.phases, now)
        asked = [effect for job in self.jobs.values() for effect in job.step(event, now)]
        asked += self._think(now)
        self._note_look(now)
        return asked

    def watch(self, now: float, *, on: bool) -> None:
        """Note that a viewer shows live output, or no longer does."""
        self._watch_at = now if on else None
        if on:
            self._workers_at = min(self._workers_at, now + _LIVE)
            self.wake = now

    def dismiss(self) -> None:
        """Note that this client has told all workers to end, or that the session was deleted."""
        self._dismissed = True

    def look_now(self, now: float) -> None:
        """List everything at the next step, because a caller waits."""
        self.wake = self._workers_at = self._control_at = now
        self._looking = True
        for job in self.jobs.values():
            job.look_now(now)

    @property
    def wanted(self) -> int:
        """Number of workers requested."""
        return self.manifest.workers if self._requested.wanted is None else self._requested.wanted

    @property
    def budget(self) -> int | None:
        """What the session may cost at most, in micro-dollars; None: there is no limit."""
        limits = [limit for limit in (self.manifest.budget, self._requested.budget or None) if limit is not None]
        return max(limits, default=None)

    @property
    def deadline(self) -> float:
        """The session's end, by the wall clock."""
        return max(self.manifest.deadline, self._requested.deadline)

    @property
    def dismissed(self) -> bool:
        """Whether all workers were told to end, or the session was deleted."""
        return self._requested.cancel_all or self._requested.closed or self._dismissed

    def cancelled_at(self, jid: str) -> float | None:
        """When only this job was cancelled, by the requesting client's clock; None if it wasn't."""
        controls = [control for control in self._controls.values() if control is not None]
        return min((each.at for each in controls if each.kind is ControlKind.CANCEL and each.job == jid), default=None)

    def snapshot(self, job: JobMachine, now: float) -> Snapshot:
        """All facts of a job at this instant."""
        return snapshot(self, job, now)

    def validate(self) -> None:
        """Raise ``AssertionError`` if facts contradict each other."""
        for job in self.jobs.values():
            job.validate()
            assert self.jobs[job.job.jid] is job, self.jobs  # noqa: S101
        assert self.starts.announcing <= self._questions.outstanding, self.starts.announcing  # noqa: S101

    # --- events -----------------------------------------------------------------------------------------

    def _on_workers(self, event: fx.Listed, now: float) -> None:
        """Read each end once, and each heartbeat once for its token and again on request."""
        self.clock.heard(next((modified for name, modified in event.names if name == _WATCH), None), now)
        self.crew.log.listed(event.names, now)
        looking = self._looking or self._watch_at is not None
        for name, modified in event.names:
            key = keys.parse_worker(name)
            if key.kind == "gone" and key.ident not in self.crew.gone:
                self._questions.read(f"{event.folder}/{name}", Gone)
            elif key.kind == "beat" and key.ident not in self.crew.log.gone:
                beat = self.crew.beats.get(key.ident)
                if beat is None or (looking and modified > beat.at):
                    self._questions.read(f"{event.folder}/{name}", Heartbeat)
        self._looking = False

    def _on_control(self, event: fx.Listed) -> None:
        self._bare = not event.names  # a session that exists has at least one job
        if self._bare:
            self._questions.read(self._keys.manifest, Manifest)
        for name, _ in event.names:
            if keys.parse_control(name).kind is not ControlKind.ADD_JOB and name not in self._controls:
                self._controls[name] = None
                self._questions.read(f"{event.folder}/{name}", Control)

    def _on_got(self, event: fx.Got, now: float) -> None:
        record = event.record
        self.starts.got(event, now)
        if isinstance(record, Heartbeat):
            self.crew.heard(record)
        elif isinstance(record, Gone):
            self.crew.gone[record.worker] = record
        elif isinstance(record, Control):
            self._controls[event.key.rpartition("/")[2]] = record
            self._requested = fold_control(control for control in self._controls.values() if control)
            if record.kind is ControlKind.SCALE:
                self.starts.expect(now)
        elif event.key == self._keys.manifest:
            self._there = record is not None
            if not self._there:
                self.dismiss()
                for job in self._following:
                    job.conclude(JobEnd.DELETED)

    def _note_look(self, now: float) -> None:
        """Update ``looked_at``: facts are as old as the requests of the last fully answered look."""
        if not self._outstanding:
            self.looked_at = self.looked_at if self._asked_since is None else self._asked_since
            self._asked_since = None
        elif self._asked_since is None:
            self._asked_since = now

    @property
    def _outstanding(self) -> bool:
        return bool(self._questions.outstanding) or any(job.outstanding for job in self.jobs.values())

    @property
    def _following(self) -> list[JobMachine]:
        return [job for job in self.jobs.values() if job.state is JobState.FOLLOWING]

    # --- requests -----------------------------------------------------------------------------------------

    def _think(self, now: float) -> list[fx.Effect]:
        self.wake = now + 3600.0
        again: list[fx.Effect] = []
        if self._following:
            self._look(now)
            again = self._judge(now)
        elif self._looking and all(job.state is JobState.SETTLED for job in self.jobs.values()):
            # Results are final, but workers still cost money, and their number may have been changed.
            self._questions.list_folder(self._keys.workers_folder)
            if any(job.finished for job in self.jobs.values()):
                self._questions.list_folder(self._keys.control_folder)
            self._looking = False
        self.wake = min([self.wake, *(job.wake for job in self.jobs.values())])
        return [*again, *self._questions.take()]

    def _look(self, now: float) -> None:
        interval, floor = self.manifest.interval, self.manifest.floor
        if now >= self._workers_at:
            every = min(interval, _LIVE) if self._watch_at is not None else interval
            self._workers_at = now + (every if self.crew.log.living() else min(every, 4 * floor))
            self._questions.list_folder(self._keys.workers_folder)
        if now >= self._control_at:
            self._control_at = now + interval
            self._questions.list_folder(self._keys.control_folder)
        if self._watch_at is not None and now >= self._watch_at:
            self._watch_at = now + _WATCH_EVERY
            self._put_watch()
        self.wake = min(self._workers_at, self._control_at)
        if self._watch_at is not None:
            self.wake = min(self.wake, self._watch_at)

    def _put_watch(self) -> None:
        self.clock.put()
        self._questions.tell(fx.Watch(self._keys.watch))

    # --- whether anything will still run ------------------------------------------------------------------

    def _judge(self, now: float) -> list[fx.Effect]:
        """Decide for each job that lacks results whether it is over; returns the reads needed first."""
        lacking = [job for job in self.jobs.values() if job.lacks_results]
        if not lacking or self._outstanding:
            return []
        starting = 0 if self.clock.wall(now) >= self.deadline else self.starts.starting(now)  # too late to do anything
        living = len(self.crew.living()) + starting
        doubtful = [job for job in lacking if not living or self._was_cancelled(job, now)]
        for job in lacking:
            job.looked_again &= job in doubtful
        doubtful = [job for job in doubtful if not job.looked_again]
        if doubtful:
            self._questions.list_folder(self._keys.control_folder)
            return [effect for job in doubtful for effect in job.look_again()]
        self._conclude(lacking, living, now)
        return []

    def _conclude(self, lacking: list[JobMachine], living: int, now: float) -> None:
        ends = {job.job.jid: self._why_not(job, now) for job in lacking}
        if JobEnd.DEADLINE in ends.values() and self._limit_met() is not JobEnd.DEADLINE and self._ask_clock(now):
            return
        missed = [job for job in lacking if ends[job.job.jid] is JobEnd.NOBODY]
        replaced = bool(missed) and self.replaces_lost_workers and self._replace(missed, living, now)
        for job in lacking:
            end = ends[job.job.jid]
            if living and not self._was_cancelled(job, now):
                job.conclude(None)
            elif end is not JobEnd.NOBODY:
                job.conclude(end)
            elif not replaced:  # otherwise wait until the starts show
                job.conclude(end, self._why_nobody())

    def _why_nobody(self) -> str:
        return self.starts.in_vain(self.wanted) or self.crew.last_words() or self._never_asked()

    def _never_asked(self) -> str:
        """What to do about a job whose client died before it asked for workers, for a client that starts none."""
        if self.crew.log.starting or self.crew.log.beats or self.crew.log.gone or self.replaces_lost_workers:
            return ""
        return f"no worker was ever asked for; %burst_attach {self.manifest.sid} starts them"

    def _was_cancelled(self, job: JobMachine, now: float) -> bool:
        """Whether a job was cancelled long enough ago that workers have published its finished tasks."""
        if job.job.jid not in self._requested.cancelled:
            return False
        wait, asked = 3 * self.manifest.interval, self.cancelled_at(job.job.jid)
        if asked is not None and self.clock.wall(now) - asked >= wait + SKEW:  # a single look need not wait
            return True
        return now - self._cancelled_at.setdefault(job.job.jid, now) >= wait

    def _why_not(self, job: JobMachine, now: float) -> JobEnd:
        """Why nothing would run if no worker were alive."""
        limit = self._limit_met()
        if self._requested.cancel_all or job.job.jid in self._requested.cancelled:
            return JobEnd.CANCELLED
        if self._requested.closed and limit is not JobEnd.DEADLINE:
            return JobEnd.CLOSED
        past = self.clock.wall(now) >= self.deadline  # its own clock may be wrong
        return limit or (JobEnd.DEADLINE if past else JobEnd.NOBODY)

    def _limit_met(self) -> JobEnd | None:
        """The limit in the newest end, unless it was raised since."""
        last, at = self.crew.last_end()
        if last is EndCause.DEADLINE:
            return None if self.deadline > at + SKEW else JobEnd.DEADLINE
        controls = [control for control in self._controls.values() if control is not None]
        raised = any(control.budget and control.at > at for control in controls)
        return JobEnd.BUDGET if last is EndCause.BUDGET and not raised else None

    def _ask_clock(self, now: float) -> bool:
        """Near the deadline, read the store's clock once before concluding or starting anything."""
        if self.clock.asked or not self.clock.near(self.deadline, now):
            return False
        self.clock.asked = True
        self._put_watch()
        self._questions.list_folder(self._keys.workers_folder)
        return True

    def _replace(self, missed: list[JobMachine], living: int, now: float) -> bool:
        """Start missing workers for jobs with waiting ranges; returns whether any start is due or postponed."""
        since = max(job.newest for job in missed)
        useful = -(-sum(job.job.tasks - job.cover.covered for job in missed) // self.manifest.slots)
        due = self.starts.due(now, wanted=self.wanted, running=living, useful=useful, since=since)
        if due is None:
            return self.starts.postponed(now, wanted=min(self.wanted, useful), running=living, since=since)
        if self._bare or self._ask_clock(now):
            return True
        if not self._there:  # no worker is started in a deleted session
            self._questions.read(self._keys.manifest, Manifest)
            return True
        self._there = False
        self.starts.make(due, now)
        return True
