"""One worker as a pure machine: ``step(event, now) -> effects``.

It joins, claims ranges, publishes what its slots finish, writes ``final``, and ends by itself. ``now`` is
a monotonic clock in seconds; the wall clock is that plus an offset, corrected by the store's own clock.

    control/ --> jobs --> a free lane, or a dead owner's range --> claim --> run
    run --> progress --> look (was my range cut or taken?) --> publish --> ... --> range done
    nothing to take --> list results --> all covered? --> final

A refused or unanswered write is read before it is believed (laws 1, 7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from burst_magic.protocol import effects as fx
from burst_magic.protocol import keys
from burst_magic.protocol.known import KnownJob
from burst_magic.protocol.log import Fleet, fold_control, make_final
from burst_magic.protocol.model import ClaimBody, ClaimKey, Control, ControlKind, EndCause, Final, Gone, Job, Manifest
from burst_magic.protocol.model import SegmentKey as Segment
from burst_magic.protocol.steal import cut

MAX_FLUSH = 30.0  # seconds
MAX_HELD = 32 << 20  # bytes of outcomes that are worth a segment of their own
SKEW = 2.0  # seconds that our clock may differ from the store's, which tells whole seconds
DEAD_AFTER = 3  # intervals without a new heartbeat
GRACE = 120.0  # seconds to finish and publish in; after that it kills, after as long again it goes without a word
KEPT = 2  # idle workers that an unfinished job keeps


class Chance(Protocol):
    """The only use of chance: spreading workers over free lanes, and thieves over victims."""

    def choice(self, seq: Sequence[int]) -> int:
        """One of ``seq``."""

    def choices(self, population: Sequence[int], weights: Sequence[float]) -> list[int]:
        """One of ``population``, weighted."""


@dataclass(slots=True)
class _Hold:
    """A range that this worker owns: tasks below ``published`` are in the store, below ``done`` have outcomes.

    ``slot`` is −1 once no slot runs it any more: its outcomes may still be on their way, the slot has moved on.
    """

    slot: int
    job: str
    claim: ClaimKey
    stop: int
    done: int
    published: int
    last_flush: float
    failed: list[int] = field(default_factory=list)
    held: int = 0
    busy: bool = False  # a look or a publish is under way
    stopping: str = ""  # "", "drain", "kill"
    retry_at: float = 0.0


class WorkerMachine:
    """One worker of one session.

    Args:
        manifest: the session.
        wid: the worker's id.
        number: its place in the fleet where the launcher knows it; its slots begin with these lanes.
        token: names the start that it answers.
        now: the monotonic clock at birth.
        wall: the wall clock at that instant, seconds since the epoch.
        nonce: a new word for each claim attempt.
        chance: picks among free lanes.
    """

    def __init__(
        self,
        *,
        manifest: Manifest,
        wid: str,
        number: int | None,
        token: str = "",
        now: float,
        wall: float,
        nonce: Callable[[], str],
        chance: Chance,
    ) -> None:
        self.manifest = manifest
        self.wid = wid
        self.wake = now
        self._base, self._incarnation = wid, 0
        self._number, self._nonce, self._chance, self._token = number, nonce, chance, token
        self._offset = wall - now
        self._keys = keys.SessionKeys(manifest.sid)
        self._billed_from = int(wall * 1000)
        self._beats = 0
        self._beat_at = self._control_at = now
        self._beating = self._listing_control = False
        self._jobs: dict[str, KnownJob] = {}
        self._controls: dict[str, Control | None] = {}
        self._asked = fold_control(())
        self._fleet = Fleet(manifest.interval)
        self._ready: set[int] = set()
        self._holds: dict[tuple[str, ClaimKey], _Hold] = {}
        self._trying: dict[str, tuple[int, str, ClaimKey, str]] = {}  # claim key -> slot, job, claim, nonce
        self._idle_since = now
        self._heard = now  # when the store answered last
        self._ending: EndCause | None = None
        self._ending_since = now
        self._terminated, self._gone_at = False, now
        self._leaving = ""  # "", "gone", "look", "left"
        self._stale_look = False
        self._last_ms = 0
        self._out: list[fx.Effect] = []

    # --- the one door ----------------------------------------------------------------------------------

    def step(self, event: fx.Event, now: float) -> list[fx.Effect]:
        """Takes one event, returns what is to be done. ``wake`` then says when a ``Tick`` is due."""
        self._out = []
        if isinstance(event, fx.Listed | fx.Got | fx.Created):
            self._heard = now
        if self._leaving != "left":
            _HANDLERS[type(event)](self, event, now)
            self._think(now)
        return self._out

    @property
    def left(self) -> bool:
        """It has ended and asks for nothing more."""
        return self._leaving == "left"

    @property
    def holds(self) -> tuple[tuple[int, str, int, int, int], ...]:
        """(slot, job, published, done, stop) of each range it owns; for the story of a failed run."""
        return tuple((h.slot, h.job, h.published, h.done, h.stop) for h in self._holds.values())

    def _wall(self, now: float) -> float:
        return now + self._offset

    # --- what happens ------------------------------------------------------------------------------------

    def _on_tick(self, event: fx.Tick, now: float) -> None:
        """Only time: ``_think`` does the rest."""

    def _on_slot_ready(self, event: fx.SlotReady, now: float) -> None:
        self._ready.add(event.slot)

    def _on_beaten(self, event: fx.Beaten, now: float) -> None:
        self._beating = False
        if event.offset is not None and abs(event.offset - self._offset) >= SKEW:
            self._offset = event.offset

    def _on_listed(self, event: fx.Listed, now: float) -> None:
        if event.folder == self._keys.control_folder:
            self._control_listed(event, now)
        elif event.folder == self._keys.workers_folder:
            self._fleet.listed(event.names, now)
            for job in self._jobs.values():
                job.asked.discard("workers")
                self._hunted(job, now)
        elif event.folder.endswith("/claims"):
            self._claims_listed(event, now)
        else:
            self._results_listed(event, now)

    def _control_listed(self, event: fx.Listed, now: float) -> None:
        self._listing_control = False
        if not event.names:  # cleaned up under us? is the session still there?
            self._ask(fx.Read(self._keys.manifest, Manifest))
        for name, _ in event.names:
            control = keys.parse_control(name)
            if control.kind is ControlKind.ADD_JOB:
                self._meet(control.ident, now)
            elif name not in self._controls:
                self._controls[name] = None
                self._ask(fx.Read(f"{event.folder}/{name}", Control))
        if self._leaving == "look" and self._stale_look:
            self._stale_look = False  # asked for before the end stood: it may not know of work that came since
        elif self._leaving == "look":
            self._leave_or_rejoin(now)

    def _meet(self, jid: str, now: float) -> None:
        """A job was announced; ``job.json`` commits it and may come a little later, or never."""
        job = self._jobs.get(jid)
        if job is None:
            job = self._jobs[jid] = KnownJob(keys=self._keys.job(jid), since=now)
        if job.record is None and not job.closed:
            job.reading += 1
            self._ask(fx.Read(job.keys.record, Job))

    def _on_got(self, event: fx.Got, now: float) -> None:
        record = event.record
        if event.key in self._trying:
            self._claim_read(event.key, cast("ClaimBody | None", record), now)
        elif event.key == self._keys.manifest:
            if record is None:
                self._leave(EndCause.EXPIRED)
        elif event.key.startswith(self._keys.control_folder):
            self._control_read(event.key, cast("Control | None", record), now)
        elif event.key.endswith("/job.json"):
            self._job_read(self._jobs[_job_of(event.key)], cast("Job | None", record), now)
        elif event.key.endswith("/final"):
            self._final_read(event.key, now, exists=record is not None)
        elif "/claims/" in event.key:
            self._owner_read(event.key, cast("ClaimBody | None", record), now)

    def _job_read(self, job: KnownJob, record: Job | None, now: float) -> None:
        job.reading -= 1
        if record is not None and job.record is None:
            job.commit(record, now)
            job.hunt_wait = self.manifest.floor / 4
            job.closed = record.jid in self._asked.cancelled
            self._idle_since = now
        if self._leaving == "look":
            self._leave_or_rejoin(now)

    def _control_read(self, key: str, record: Control | None, now: float) -> None:
        if record is None:  # not signed by this session: it asks for nothing
            return
        self._controls[key.rpartition("/")[2]] = record
        asked = self._asked = fold_control(c for c in self._controls.values() if c)
        for jid in asked.cancelled & set(self._jobs):
            self._jobs[jid].closed = True
            for hold in self._of(jid):
                self._stop(hold, kill=True)

    def _on_terminate(self, event: fx.Terminate, now: float) -> None:
        self._terminated = True

    def _on_poke(self, event: fx.Poke, now: float) -> None:
        self._control_at = now

    # --- claiming ------------------------------------------------------------------------------------------

    def _claims_listed(self, event: fx.Listed, now: float) -> None:
        if event.limit == 1:
            self._looked(event, now)
            return
        job = self._jobs[_job_of(event.folder)]
        job.learn_claims(event.names)
        job.asked.discard("claims")
        self._hunted(job, now)

    def _seek(self, slot: int, now: float) -> bool:
        """Takes a free lane for a slot, if any job has one; says whether it is trying."""
        if any(tried[0] == slot for tried in self._trying.values()):
            return True
        for jid, job in self._jobs.items():
            if job.closed or job.record is None:
                continue
            start = self._free_lane(slot, job)
            if start is not None:
                self._try(slot, jid, ClaimKey(start=start, number=0), now)
                return True
            if not job.claims_known:
                if "claims" not in job.asked:
                    job.asked.add("claims")
                    self._ask(fx.List(job.keys.claims_folder))
                return True
        return False

    def _free_lane(self, slot: int, job: KnownJob) -> int | None:
        lanes = job.record.lanes if job.record else ()
        trying = {claim.start for _, jid, claim, _ in self._trying.values() if jid == job.keys.jid}
        if self._number is not None and slot not in job.own_tried:
            job.own_tried.add(slot)
            place = self._number * self.manifest.slots + slot
            if place < len(lanes) and lanes[place] not in trying | {claim.start for claim in job.claims}:
                return lanes[place]
        if not job.claims_known:
            return None
        free = [start for start in job.free() if start not in trying]
        return self._chance.choice(free) if free else None

    def _try(self, slot: int, jid: str, claim: ClaimKey, now: float) -> None:
        nonce = self._nonce()
        key = self._jobs[jid].keys.claim(claim)
        self._trying[key] = (slot, jid, claim, nonce)
        self._create_claim(key, now)

    def _create_claim(self, key: str, now: float) -> None:
        slot, _, _, nonce = self._trying[key]
        self._ask(fx.Create(key, ClaimBody(worker=self.wid, slot=slot, nonce=nonce, at=self._wall(now))))

    def _on_created(self, event: fx.Created, now: float) -> None:
        done = event.wrote is fx.Wrote.DONE
        if event.key in self._trying:
            if done:
                self._won(event.key, now)
            else:
                self._ask(fx.Read(event.key, ClaimBody))
        elif event.key.endswith("/final"):
            if done:
                self._final_read(event.key, now, exists=True)
            else:
                self._ask(fx.Read(event.key, Final))
        elif event.key.endswith(".gone"):
            self._gone_written()

    def _claim_read(self, key: str, body: ClaimBody | None, now: float) -> None:
        """The read that decides a refused claim: mine, another's, or nobody's."""
        _, jid, claim, nonce = self._trying[key]
        if body is None:
            self._create_claim(key, now)
        elif body.nonce == nonce:
            self._won(key, now)
        else:
            del self._trying[key]
            job = self._jobs[jid]
            job.claims.setdefault(claim, body.at)
            job.owners[claim] = body.worker
            self._fleet.hear_of(body.worker)
            job.claims_known = False

    def _won(self, key: str, now: float) -> None:
        slot, jid, claim, _ = self._trying.pop(key)
        job = self._jobs[jid]
        job.claims[claim] = self._wall(now)
        job.owners[claim] = self.wid
        mine = job.range_of(claim)
        if self._ending or job.closed or not len(mine):
            return
        self._holds[jid, claim] = _Hold(
            slot=slot, job=jid, claim=claim, stop=mine.stop, done=mine.start, published=mine.start, last_flush=now
        )
        self._ask(fx.Run(slot, jid, claim, mine.start, mine.stop))

    # --- running and publishing ------------------------------------------------------------------------------

    def _on_progress(self, event: fx.Progress, now: float) -> None:
        hold = self._holds.get((event.job, event.claim))
        if hold is not None:
            hold.done = min(hold.stop, max(hold.done, event.upto))
            hold.failed.extend(event.failed_at)
            hold.held = event.held
            if hold.done >= hold.stop:
                hold.slot = -1

    def _on_stopped(self, event: fx.Stopped, now: float) -> None:
        hold = self._holds.get((event.job, event.claim))
        if hold is not None:
            hold.done = hold.stop = min(hold.stop, max(hold.done, event.upto))
            hold.slot = -1
            self._drop_if_published(hold, now)

    def _flush_every(self, job: KnownJob, now: float) -> float:
        floor = self.manifest.floor
        slots = max(1, self.manifest.workers)
        return min(MAX_FLUSH, max(floor, 0.02 * (now - job.since), floor * slots / 32))

    def _flush(self, hold: _Hold, now: float) -> None:
        """Looks, then publishes: the look is the fence against one who took or cut the range."""
        job = self._jobs[hold.job]
        if hold.busy or hold.done <= hold.published:
            return
        ended = hold.done >= hold.stop
        due = hold.last_flush + self._flush_every(job, now)
        at_once = ended or hold.stopping or not job.flushed or hold.held >= MAX_HELD
        if hold.retry_at > now or (not at_once and due > now):
            self._due(max(hold.retry_at, 0.0 if at_once else due))
            return
        hold.busy = job.flushed = True
        name = job.keys.claim(hold.claim).rpartition("/")[2]
        self._ask(fx.List(job.keys.claims_folder, name, 1))

    def _looked(self, event: fx.Listed, now: float) -> None:
        jid = _job_of(event.folder)
        claim = keys.parse_claim(event.after)
        hold = self._holds.get((jid, claim))
        if hold is None:
            return
        if event.names:
            found = keys.parse_claim(event.names[0][0])
            if found.start == claim.start:
                self._superseded(hold)
                return
            if found.start < hold.stop:
                self._cut_short(hold, found.start)
        if hold.done > hold.published:
            self._publish(hold, now)
        else:
            hold.busy = False
            self._drop_if_published(hold, now)

    def _cut_short(self, hold: _Hold, stop: int) -> None:
        """Somebody took the end of its range; what it runs beyond the cut is no longer its task."""
        hold.stop, hold.done = stop, min(hold.done, stop)
        if hold.slot < 0:
            return
        if hold.done >= stop:
            self._stop(hold, kill=True)
        else:
            self._ask(fx.Truncate(hold.slot, stop))

    def _superseded(self, hold: _Hold) -> None:
        """Another owns the range now: what is unpublished is his to do again."""
        del self._holds[hold.job, hold.claim]
        self._ask(fx.Forget(hold.job, hold.claim, hold.stop))
        self._stop(hold, kill=True)

    def _publish(self, hold: _Hold, now: float) -> None:
        failed = sum(1 for task in hold.failed if hold.published <= task < hold.done)
        self._last_ms = max(self._last_ms + 1, int(self._wall(now) * 1000))
        segment = Segment(at_ms=self._last_ms, start=hold.published, stop=hold.done, failed=failed, claim=hold.claim)
        hold.last_flush = now
        self._ask(fx.Publish(hold.job, segment))

    def _on_published(self, event: fx.Published, now: float) -> None:
        hold = self._holds.get((event.job, event.segment.claim))
        if hold is None:
            return
        hold.busy = False
        late = self._wall(now) - event.segment.at_ms / 1000 > MAX_FLUSH
        if event.wrote is not fx.Wrote.DONE or late:  # again under a fresh key: readers may have passed this one
            hold.retry_at = now + self.manifest.floor
            return
        hold.published = event.segment.stop
        hold.failed = [task for task in hold.failed if task >= hold.published]
        self._jobs[hold.job].learn_segments([event.segment])
        self._ask(fx.Forget(hold.job, hold.claim, hold.published))
        self._drop_if_published(hold, now)

    def _drop_if_published(self, hold: _Hold, now: float) -> None:
        if hold.published >= hold.stop and not hold.busy:
            self._holds.pop((hold.job, hold.claim), None)
            self._idle_since = now
            job = self._jobs[hold.job]
            job.hunt_at, job.hunt_wait = now, self.manifest.floor / 4

    # --- nothing left to take: is the job done, is an owner dead? ---------------------------------------------

    def _hunt(self, job: KnownJob, now: float) -> None:
        if job.closed or job.record is None or job.asked or not job.claims_known:
            return
        if any(hold.done >= hold.stop for hold in self._of(job.keys.jid)):  # its own last segment comes first
            return
        if job.hunt_at > now:
            self._due(job.hunt_at)
            return
        job.hunting, job.asked = True, {"results", "claims", "workers"}
        self._ask(fx.List(job.keys.results_folder, job.after))
        self._ask(fx.List(job.keys.claims_folder))
        self._ask(fx.List(self._keys.workers_folder))

    def _results_listed(self, event: fx.Listed, now: float) -> None:
        job = self._jobs[_job_of(event.folder)]
        job.learn_listed(event.names)
        job.asked.discard("results")
        self._hunted(job, now)

    def _hunted(self, job: KnownJob, now: float) -> None:
        if not job.hunting or job.asked or job.closed:
            return
        job.hunting = False
        if job.cover.whole:
            job.asked = {"final"}
            self._ask(fx.Create(job.keys.final, make_final(job.keys.jid, job.cover, self._wall(now))))
            return
        if not self._recover(job, now) and not self._steal(job, now):
            self._hunt_later(job, now)

    def _hunt_later(self, job: KnownJob, now: float) -> None:
        job.hunt_at = now + job.hunt_wait
        job.hunt_wait = min(2 * job.hunt_wait, 10 * self.manifest.floor)

    def _recover(self, job: KnownJob, now: float) -> bool:
        """Takes the range of a dead owner for a slot that has nothing to do."""
        slots = self._free_slots()
        for _, claim in job.unfinished():
            successor = ClaimKey(start=claim.start, number=claim.number + 1)
            if {job.keys.claim(claim), job.keys.claim(successor)} & set(self._trying):
                continue  # another slot of this worker is at it
            owner = job.owners.get(claim)
            patience = DEAD_AFTER * 2 ** min(claim.number, 4) * self.manifest.interval
            if owner is None:
                if self._fleet.gone or self._wall(now) - job.last_sign(claim) >= patience:
                    job.hunting = True
                    job.asked.add("owner")  # else nobody is suspected, and it need not be read (law 6)
                    self._ask(fx.Read(job.keys.claim(claim), ClaimBody))
                    return True
                continue
            if slots and not self._mine(owner) and self._fleet.dead(owner, patience):
                self._try(slots[0], job.keys.jid, successor, now)
                return True
        return False

    def _steal(self, job: KnownJob, now: float) -> bool:
        """Takes the end of a busy owner's range; he looks for that before he publishes."""
        slots = self._free_slots()
        if not slots:
            return False
        flush = self._flush_every(job, now)
        start = cut(job.preys(), now=self._wall(now), flush=flush, mean=job.mean(), dice=self._chance)
        if start is None or job.keys.claim(ClaimKey(start=start, number=0)) in self._trying:
            return False
        self._try(slots[0], job.keys.jid, ClaimKey(start=start, number=0), now)
        return True

    def _mine(self, owner: str) -> bool:
        """Its own, under this or an earlier name."""
        return owner == self._base or owner.startswith(f"{self._base}~")

    def _owner_read(self, key: str, body: ClaimBody | None, now: float) -> None:
        job = self._jobs[_job_of(key)]
        if body is not None:
            job.owners[keys.parse_claim(key)] = body.worker
            self._fleet.hear_of(body.worker)
        job.asked.discard("owner")
        self._hunted(job, now)

    def _final_read(self, key: str, now: float, *, exists: bool) -> None:
        job = self._jobs[_job_of(key)]
        job.asked.discard("final")
        job.closed = exists or job.closed
        self._hunt_later(job, now)  # refused, and nothing to read there: not at once

    # --- ends ------------------------------------------------------------------------------------------------

    def _end(self, cause: EndCause, now: float, *, kill: bool) -> None:
        if self._ending is None:
            self._ending, self._ending_since = cause, now
        for hold in list(self._holds.values()):
            self._stop(hold, kill=kill)

    def _stop(self, hold: _Hold, *, kill: bool) -> None:
        """Stops the slot that runs it, once; one that drains may still be killed."""
        if hold.slot >= 0 and hold.stopping not in {"kill", "kill" if kill else "drain"}:
            hold.stopping = "kill" if kill else "drain"
            self._ready.discard(hold.slot)
            self._ask(fx.Kill(hold.slot) if kill else fx.Drain(hold.slot))

    def _leave(self, cause: EndCause) -> None:
        self._leaving = "left"
        self._ask(fx.Exit(cause))

    def _gone_written(self) -> None:
        """Its end stands. Somebody may have added work in between: look once more (law 3)."""
        if self._leaving != "gone":
            return
        if self._ending is EndCause.IDLE:
            self._leaving, self._stale_look = "look", self._listing_control
            self._ask(fx.List(self._keys.control_folder))
        else:
            self._leave(self._ending or EndCause.IDLE)

    def _leave_or_rejoin(self, now: float) -> None:
        """Only a committed job that it did not know is new work: one that was announced may never come."""
        if any(job.reading for job in self._jobs.values()):
            return
        news = any(job.since >= self._gone_at for job in self._open_jobs())
        if not news or self._told_to_end():
            self._leave(EndCause.IDLE)
            return
        self._incarnation += 1
        self.wid = f"{self._base}~{self._incarnation}"
        self._leaving, self._ending = "", None
        self._billed_from = int(self._wall(now) * 1000)
        self._idle_since = self._beat_at = now

    # --- time ------------------------------------------------------------------------------------------------

    def _think(self, now: float) -> None:
        """Whatever is due at ``now``; sets ``wake`` to the next instant at which something will be."""
        self.wake = now + 3600.0
        if not self._leaving:
            self._limits(now)
        if self._ending and self._leaving != "left":
            self._overtime(now)
        if self._leaving:
            return
        self._beat(now)
        self._look_at_control(now)
        for hold in list(self._holds.values()):
            self._flush(hold, now)
        if self._ending:
            self._say_gone(now)
            return
        for slot in self._idle_slots():
            if not self._seek(slot, now):
                for job in self._jobs.values():
                    self._hunt(job, now)

    def _limits(self, now: float) -> None:
        """What ends a worker. It is looked at again each time: a cancel or the deadline outdoes a drain."""
        deadline = max(self.manifest.deadline, self._asked.deadline) - self._offset
        idle_at = self._idle_since + self.manifest.idle
        running = any(hold.slot >= 0 for hold in self._holds.values())
        busy = running or ((self._holds or self._trying) and now < self._cut_off_at())
        if self._asked.cancel_all:
            self._end(EndCause.CANCEL, now, kill=True)
        elif now >= deadline:
            self._end(EndCause.DEADLINE, now, kill=True)
        elif self._asked.closed:
            self._end(EndCause.CLOSE, now, kill=False)
        elif self._terminated:
            self._end(EndCause.TERM, now, kill=False)
        elif self._surplus():
            self._end(EndCause.SCALE, now, kill=False)
        elif not busy and now >= idle_at and not self._kept(now):
            self._end(EndCause.IDLE, now, kill=False)
        if now < deadline:
            self._due(deadline)
        for at in () if running else (idle_at, self._cut_off_at()):
            if at > now:
                self._due(at)

    def _overtime(self, now: float) -> None:
        """A task that does not finish, or a store that does not answer, keeps nobody for ever (law 5)."""
        if now >= self._ending_since + GRACE:
            for hold in list(self._holds.values()):
                self._stop(hold, kill=True)
        if now >= self._ending_since + 2 * GRACE:
            self._leave(self._ending or EndCause.IDLE)
        else:
            self._due(self._ending_since + (GRACE if now < self._ending_since + GRACE else 2 * GRACE))

    def _cut_off_at(self) -> float:
        """When the store will have been silent for as long as a worker may be idle."""
        return self._heard + max(self.manifest.idle, DEAD_AFTER * self.manifest.interval)

    def _told_to_end(self) -> bool:
        return self._terminated or self._asked.closed or self._asked.cancel_all

    def _surplus(self) -> bool:
        wanted = self._asked.wanted
        return wanted is not None and not self._blind() and self._rank() >= wanted

    def _kept(self, now: float) -> bool:
        """Two stay while a job is unfinished: who else would take over from its last owner?"""
        if now >= self._cut_off_at():
            return False
        return any(True for _ in self._open_jobs()) and (self._blind() or self._rank() < KEPT)

    def _blind(self) -> bool:
        """It has not watched for long enough to tell the living from the silent, and knows no rank."""
        return self._fleet.watched < (DEAD_AFTER + 1) * self.manifest.interval

    def _rank(self) -> int:
        return self._fleet.rank(self.wid, DEAD_AFTER * self.manifest.interval)

    def _beat(self, now: float) -> None:
        if not self._beating and now >= self._beat_at:
            self._beats += 1
            self._beat_at, self._beating = now + self.manifest.interval, True
            key = self._keys.heartbeat(self.wid, self._billed_from, self.manifest.rate)
            self._ask(fx.Beat(key, self.wid, self._beats))
            if self._asked.wanted is not None:
                self._ask(fx.List(self._keys.workers_folder))
        if not self._beating:  # the answer wakes it
            self._due(self._beat_at)

    def _look_at_control(self, now: float) -> None:
        if not self._listing_control and now >= self._control_at:
            idle = not self._holds
            self._control_at = now + (2 * self.manifest.floor if idle else self.manifest.interval)
            self._listing_control = True
            self._ask(fx.List(self._keys.control_folder))
        if not self._listing_control:  # the answer wakes it
            self._due(self._control_at)

    def _say_gone(self, now: float) -> None:
        if self._holds or self._trying or self._leaving:
            return
        self._leaving, self._gone_at = "gone", now
        cause = self._ending or EndCause.IDLE
        gone = Gone(worker=self.wid, cause=cause, at=self._wall(now), token=self._token, exit_code=0)
        self._ask(fx.Create(self._keys.gone(self.wid), gone))

    # --- small things ------------------------------------------------------------------------------------------

    def _ask(self, effect: fx.Effect) -> None:
        self._out.append(effect)

    def _due(self, at: float) -> None:
        self.wake = min(self.wake, at)

    def _of(self, jid: str) -> Iterator[_Hold]:
        return (hold for hold in list(self._holds.values()) if hold.job == jid)

    def _open_jobs(self) -> Iterator[KnownJob]:
        return (job for job in self._jobs.values() if job.record is not None and not job.closed)

    def _free_slots(self) -> list[int]:
        """Idle slots for which no claim is under way."""
        trying = {slot for slot, _, _, _ in self._trying.values()}
        return [slot for slot in self._idle_slots() if slot not in trying]

    def _idle_slots(self) -> list[int]:
        """Slots with nothing to run: a range whose last outcomes are being published keeps nobody busy."""
        running = {hold.slot for hold in self._holds.values()}
        return [slot for slot in sorted(self._ready) if slot not in running]


def _job_of(key: str) -> str:
    return key.split("/")[3]


_HANDLERS: dict[type, Callable[[WorkerMachine, Any, float], None]] = {
    fx.Tick: WorkerMachine._on_tick,
    fx.Listed: WorkerMachine._on_listed,
    fx.Got: WorkerMachine._on_got,
    fx.Created: WorkerMachine._on_created,
    fx.Beaten: WorkerMachine._on_beaten,
    fx.SlotReady: WorkerMachine._on_slot_ready,
    fx.Progress: WorkerMachine._on_progress,
    fx.Stopped: WorkerMachine._on_stopped,
    fx.Published: WorkerMachine._on_published,
    fx.Terminate: WorkerMachine._on_terminate,
    fx.Poke: WorkerMachine._on_poke,
}
