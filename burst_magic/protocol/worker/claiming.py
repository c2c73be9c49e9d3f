"""What a worker claims: a free lane, a dead owner's range, the end of a busy owner's range; finally ``final``.

    free lane --> claim --> run
                   later, if a worker may be in a long task: list results, claims --> cut behind it, or a free lane
    nothing free --> list results, claims, workers --> all covered? --> final
                                                   --> a dead owner? --> claim <start>.<n+1> --> run in pieces
                                                   --> a busy one?   --> cut it (stealing.py)

After a refused or unanswered write, the worker reads the object before it believes either result (laws 1, 7).
"""

from __future__ import annotations

from dataclasses import replace

from burst_magic.protocol import effects as fx
from burst_magic.protocol.log import DEAD_AFTER, SKEW, make_final
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ClaimBody, ClaimKey, Gone, Range
from burst_magic.protocol.worker import poison
from burst_magic.protocol.worker.known import KnownJob
from burst_magic.protocol.worker.publishing import Publishing
from burst_magic.protocol.worker.state import Hold, State, Try, job_of
from burst_magic.protocol.worker.stealing import Cut, cut, next_look, silence

_REFUSALS = 3  # a claim that is refused so often, and is not there, has something else in its place


class Taking:
    """The part of a worker that claims.

    Args:
        state: the worker's.
        publishing: publishes its ranges.
        number: its place in the fleet, if the launcher knows it; its slots begin with the lanes of that number.
    """

    def __init__(self, state: State, publishing: Publishing, number: int | None) -> None:
        self._state, self._publishing, self._number = state, publishing, number
        self._ends: dict[str, Gone | None] = {}  # earlier owners of a suspected task

    # --- claiming ------------------------------------------------------------------------------------------

    def take(self, now: float) -> None:
        """Find work for every idle slot."""
        begun = [(hold.job, hold.claim) for hold in self._state.holds.values() if hold.slot >= 0]
        begun += [(one.job, one.claim) for one in self._state.trying.values()]
        if any(self._suspected(jid, claim) for jid, claim in begun):
            return  # nothing runs beside it
        for slot in self._state.idle_slots():
            if not self._seek(slot, now):
                for job in self._state.jobs.values():
                    self._hunt(job, now)

    def _seek(self, slot: int, now: float) -> bool:
        """Claim a free lane for a slot, unless earlier tasks may be waiting; returns whether a claim is under way."""
        if any(one.slot == slot for one in self._state.trying.values()):
            return True
        for jid, job in self._state.jobs.items():
            if job.closed or job.record is None:
                continue
            start, in_time = self._first_lane(slot, job), not self._one_may_be_stuck(job, now)
            if start is None and job.claims_known and in_time:
                start = self._next_lane(slot, job)
            if start is not None:
                self._try(slot, jid, ClaimKey(start=start, number=0), now)
                return True
            if not job.claims_known and in_time:
                if "claims" not in job.asked:
                    job.asked.add("claims")
                    self._state.ask(fx.List(job.keys.claims_folder))
                return True
        return False

    def _first_lane(self, slot: int, job: KnownJob) -> int | None:
        """The first lane for a slot of a numbered worker."""
        if self._number is None or slot in job.own_tried:
            return None
        job.own_tried.add(slot)
        own = job.lanes[self._place(slot) :][:1]
        return own[0] if own and own[0] in self._free(job) else None

    def _next_lane(self, slot: int, job: KnownJob) -> int | None:
        """A lane without a known claim. Numbered workers leave each other's lanes for the end."""
        free = self._free(job)
        if self._number is not None:
            manifest = self._state.manifest
            own = job.lanes[self._place(slot) :: manifest.workers * manifest.slots]
            free = [start for start in own if start in free][:1] or free
        return self._state.chance.choice(free) if free else None

    def _place(self, slot: int) -> int:
        return (self._number or 0) * self._state.manifest.slots + slot

    def _free(self, job: KnownJob) -> list[int]:
        trying = {one.claim.start for one in self._state.trying.values() if one.job == job.keys.jid}
        return [start for start in job.free() if start not in trying]

    def _one_may_be_stuck(self, job: KnownJob, now: float) -> bool:
        """A worker may have got stuck in a long task since the last look, with tasks waiting behind it."""
        return now - job.looked >= silence(self._state.flush_every(job, now))

    def _try(
        self, slot: int, jid: str, claim: ClaimKey, now: float, *, heir_of: ClaimKey | None = None, slow: bool = False
    ) -> None:
        key = self._state.jobs[jid].keys.claim(claim)
        self._state.trying[key] = Try(slot, jid, claim, self._state.wid, self._state.nonce(), heir_of, slow)
        self._create(key, now)

    def _create(self, key: str, now: float) -> None:
        one = self._state.trying[key]
        body = ClaimBody(worker=one.worker, slot=one.slot, nonce=one.nonce, at=self._state.wall(now))
        self._state.ask(fx.Create(key, body))

    def created(self, event: fx.Created, now: float) -> None:
        """Handle the store's answer for a claim."""
        if event.wrote is fx.Wrote.DONE:
            self._won(event.key, now)
        else:
            one = self._state.trying[event.key]
            self._state.trying[event.key] = replace(one, refused=one.refused + (event.wrote is fx.Wrote.REFUSED))
            self._state.ask(fx.Read(event.key, ClaimBody))

    def claim_read(self, key: str, body: ClaimBody | None, now: float) -> None:
        """Settle a refused claim by its content: ours, another worker's, or none.

        What is refused again and again, and cannot be read, may be no claim of a worker: somebody put a folder in its
        place. Or conflicts had no winner yet: whose it is, is asked before it is taken for that of one who has died.
        """
        one = self._state.trying[key]
        if body is None and one.refused >= _REFUSALS:
            body = ClaimBody(worker="", slot=0, nonce="", at=self._state.wall(now))
        if body is None:
            self._create(key, now)
        elif body.nonce == one.nonce:
            self._won(key, now)
        else:
            del self._state.trying[key]
            job = self._state.jobs[one.job]
            job.asked.discard("owner")  # this read answers that question too
            job.claims.setdefault(one.claim, body.at)
            if body.worker:
                job.owners[one.claim] = body.worker
                self._state.fleet.hear_of(body.worker)
            job.claims_known = False
            if one.heir_of is not None and (hold := self._state.holds.get((one.job, one.heir_of))) is not None:
                self._publishing.superseded(hold)

    def _won(self, key: str, now: float) -> None:
        one = self._state.trying.pop(key)
        job = self._state.jobs[one.job]
        job.claims[one.claim] = self._state.wall(now)
        job.owners[one.claim] = one.worker
        if one.heir_of is not None and (hold := self._state.holds.pop((one.job, one.heir_of), None)) is not None:
            self._adopt(hold, one)
            return
        mine = job.range_of(one.claim)
        if self._state.ending or job.closed or not len(mine):
            return
        slow = one.slow or (job.mean() or 0.0) >= self._state.flush_every(job, now)
        hold = self._state.holds[one.job, one.claim] = _begun(one, mine, now, slow=slow)
        hold.orphan = one.worker != self._state.wid
        if len(self._suspects(one.job, one.claim)) >= poison.DEATHS:
            self._inquire(hold)
        else:
            self._run(hold)

    def _run(self, hold: Hold) -> None:
        self._state.ask(fx.Run(hold.slot, hold.job, hold.claim, hold.published, hold.fed))

    # --- its own ranges under a new name -------------------------------------------------------------------

    def inherit(self, now: float) -> None:
        """Claim its ranges again whose old name has a ``.gone``: the first worker to do so owns them."""
        trying = {(one.job, one.heir_of) for one in self._state.trying.values()}
        for hold in list(self._state.holds.values()):
            if hold.orphan and not hold.busy and (hold.job, hold.claim) not in trying:
                heir = ClaimKey(start=hold.claim.start, number=hold.claim.number + 1)
                self._try(hold.slot, hold.job, heir, now, heir_of=hold.claim)

    def _adopt(self, hold: Hold, one: Try) -> None:
        """Continue the running task, then run the range in pieces, as every successor does."""
        self._state.ask(fx.Adopt(hold.job, hold.claim, one.claim))
        hold.claim, hold.orphan = one.claim, one.worker != self._state.wid
        hold.busy = False  # a pending look carries the old name, so its answer will match no hold
        self._state.holds[hold.job, hold.claim] = hold
        if hold.running and not hold.stopping and hold.done + 1 < hold.fed:
            hold.fed = hold.done + 1
            self._state.ask(fx.Truncate(hold.slot, hold.fed))
        self._publishing.feed(hold)

    # --- a task that ends its workers -------------------------------------------------------------------------

    def _suspects(self, jid: str, claim: ClaimKey) -> list[ClaimKey]:
        return list(poison.suspects(claim, self._state.jobs[jid].published))

    def _suspected(self, jid: str, claim: ClaimKey) -> bool:
        """Its first task may have killed a worker, so it runs alone."""
        passed = self._state.jobs[jid].published(claim)
        return claim.number >= poison.ALONE_FROM and not passed and bool(self._suspects(jid, claim))

    def _inquire(self, hold: Hold) -> None:
        """Read who the earlier owners were and how they ended, then decide."""
        job = self._state.jobs[hold.job]
        if job.keys.results_folder not in hold.read:  # the previous owner may have published more
            hold.asked = {job.keys.results_folder}
            self._state.ask(fx.List(job.keys.results_folder, job.after))
            return
        suspects = self._suspects(hold.job, hold.claim)
        if len(suspects) < poison.DEATHS:
            self._run(hold)
            return
        around = [*suspects, *(_next(claim) for claim in suspects)]
        unknown = {job.keys.claim(claim) for claim in around if claim not in job.owners} - hold.read
        if unknown:
            self._ask_for(hold, unknown, ClaimBody)
            return
        owners = [job.owners.get(claim, "") for claim in suspects]
        unknown = {self._state.keys.gone(owner) for owner in owners if owner} - hold.read
        if unknown:
            self._ask_for(hold, unknown, Gone)
            return
        heirs = [keys.base_of(job.owners.get(_next(claim), "")) for claim in suspects]
        ends = [  # a worker that succeeded itself did not end
            self._ends.get(one) for one, heir in zip(owners, heirs, strict=True) if keys.base_of(one) != heir
        ]
        if poison.guilty(ends):
            self._state.ask(fx.Lose(hold.slot, hold.job, hold.claim, hold.published, poison.verdict(ends)))
        else:
            self._run(hold)

    def _ask_for(self, hold: Hold, names: set[str], kind: type[ClaimBody | Gone]) -> None:
        hold.asked = names
        for key in sorted(names):
            self._state.ask(fx.Read(key, kind))

    def end_read(self, key: str, end: Gone | None) -> None:
        """Record how an owner ended; None if unobserved."""
        self._ends[keys.parse_worker(key.rpartition("/")[2]).ident] = end
        self._answered(key)

    def _answered(self, key: str) -> None:
        for hold in list(self._state.holds.values()):
            if key in hold.asked:
                hold.asked.discard(key)
                hold.read.add(key)
                if key == self._state.jobs[hold.job].keys.results_folder:
                    self._begin_anew(hold)
                if not hold.asked and hold.slot >= 0:
                    self._inquire(hold)

    def _begin_anew(self, hold: Hold) -> None:
        """Start at the first task that still has no outcome."""
        gaps = self._state.jobs[hold.job].cover.gaps(hold.published, hold.stop)
        hold.done = hold.published = gaps[0].start if gaps else hold.stop
        hold.fed = min(hold.stop, hold.done + poison.piece(0))
        if not gaps:
            self._state.stop(hold, kill=False)

    # --- nothing left to take: is the job done, is an owner dead? ---------------------------------------------

    def claims_listed(self, event: fx.Listed, now: float) -> None:
        """Handle a listing of all claims of a job."""
        job = self._state.jobs[job_of(event.folder)]
        job.learn_claims(event.names)
        job.asked.discard("claims")
        self._hunted(job, now)

    def workers_listed(self, now: float) -> None:
        """Handle a listing of the workers' folder."""
        for job in self._state.jobs.values():
            job.asked.discard("workers")
            self._hunted(job, now)

    def results_listed(self, event: fx.Listed, now: float) -> None:
        """Handle a listing of a job's new segments."""
        job = self._state.jobs[job_of(event.folder)]
        job.learn_listed(event.names)
        job.asked.discard("results")
        self._answered(event.folder)
        self._hunted(job, now)

    def owner_read(self, key: str, body: ClaimBody | None, now: float) -> None:
        """Record who owns a claim; None if no worker of this session wrote it."""
        job, claim = self._state.jobs[job_of(key)], keys.parse_claim(key)
        if body is not None or claim in job.claims:  # listed but missing: record no owner, and don't read it again
            job.owners[claim] = body.worker if body is not None else ""
            self._state.fleet.hear_of(job.owners[claim])
        self._answered(key)
        job.asked.discard("owner")
        self._hunted(job, now)

    def final_read(self, key: str, now: float, *, exists: bool) -> None:
        """Handle ``final`` after a write or a read."""
        job = self._state.jobs[job_of(key)]
        job.asked.discard("final")
        if exists:
            self._state.close(job)
        self._hunt_later(job, now)  # refused, yet nothing to read: wait before trying again

    def _hunt(self, job: KnownJob, now: float) -> None:
        if job.closed or job.record is None or job.asked:
            return
        if any(hold.done >= hold.stop for hold in self._state.of(job.keys.jid)):  # its own last segment comes first
            return
        if job.hunt_at > now:
            self._state.due(job.hunt_at)
            return
        job.hunting, job.asked = True, {"results", "claims"}
        self._state.ask(fx.List(job.keys.results_folder, job.ask_after(now)))
        self._state.ask(fx.List(job.keys.claims_folder))
        job.fleet_asked = not self._free(job)
        if job.fleet_asked:  # while lanes are free, dead owners don't matter
            job.asked.add("workers")
            self._state.ask(fx.List(self._state.keys.workers_folder))

    def _hunted(self, job: KnownJob, now: float) -> None:
        if not job.hunting or job.asked or job.closed:
            return
        job.hunting, job.looked = False, now
        if job.cover.whole:
            job.asked = {"final"}
            final = make_final(job.keys.jid, job.cover, self._state.wall(now), by=self._state.wid)
            self._state.ask(fx.Create(job.keys.final, final))
            return
        if not self._state.ending and not job.fleet_asked and not self._free(job):
            job.hunt_at = now  # others took the lanes meanwhile: look for dead owners
        elif self._state.ending or not ((job.fleet_asked and self._recover(job, now)) or self._take_next(job, now)):
            self._hunt_later(job, now)
            self._hunt_when_stuck(job, now)

    def _hunt_later(self, job: KnownJob, now: float) -> None:
        job.hunt_at = now + job.hunt_wait
        job.hunt_wait = min(2 * job.hunt_wait, 10 * self._state.manifest.floor)

    def _hunt_when_stuck(self, job: KnownJob, now: float) -> None:
        """Hunt earlier if tasks may be waiting behind a long one by then."""
        wall = self._state.wall(now)
        at = next_look(job.preys(), now=wall, flush=self._state.flush_every(job, now))
        if at is not None:
            job.hunt_at = min(job.hunt_at, now + at - wall)

    def _recover(self, job: KnownJob, now: float) -> bool:
        """Claim the range of a dead owner for an idle slot."""
        state, slots = self._state, self._state.free_slots()
        newest_end = max(state.fleet.gone.values(), default=0.0) + SKEW
        for _, claim in job.unfinished():
            successor = _next(claim)
            if {job.keys.claim(claim), job.keys.claim(successor)} & set(state.trying):
                continue  # another slot of this worker is claiming it
            owner = job.owners.get(claim)
            patience = DEAD_AFTER * 2 ** min(claim.number, 4) * state.manifest.interval
            if owner is None:
                if newest_end >= job.claims[claim] or state.wall(now) - job.last_sign(claim) >= patience:
                    job.hunting = True
                    job.asked.add("owner")  # no owner is suspected otherwise, and the read is saved (law 6)
                    state.ask(fx.Read(job.keys.claim(claim), ClaimBody))
                    return True
                continue
            own = owner == state.wid or (state.mine(owner) and (job.keys.jid, claim) in state.holds)
            if not slots or own or not state.fleet.dead(owner, patience):
                continue
            if self._suspected(job.keys.jid, successor) and not self._at_rest():
                continue
            self._try(slots[0], job.keys.jid, successor, now)
            return True
        return False

    def _at_rest(self) -> bool:
        """No slot is running or about to run."""
        return not self._state.trying and all(hold.slot < 0 for hold in self._state.holds.values())

    def _take_next(self, job: KnownJob, now: float) -> bool:
        """Claim whichever starts first: tasks waiting behind a long one, or a free lane.

        With no lane left, take the end of a busy owner's range; the owner checks for that before it publishes.
        """
        slots = self._state.free_slots()
        if not slots:
            return False
        lane, flush = self._next_lane(slots[0], job), self._state.flush_every(job, now)
        preys, wall, mean = job.preys(), self._state.wall(now), job.mean()
        found = cut(preys, now=wall, flush=flush, mean=mean, dice=self._state.chance, before=lane)
        if found is None and lane is not None:
            found = Cut(start=lane, slow=False)
        if found is None or job.keys.claim(ClaimKey(start=found.start, number=0)) in self._state.trying:
            return False
        self._try(slots[0], job.keys.jid, ClaimKey(start=found.start, number=0), now, slow=found.slow)
        return True


def _begun(one: Try, mine: Range, now: float, *, slow: bool) -> Hold:
    """A range that a slot begins; a recovered range runs in pieces (``poison.py``)."""
    fed = min(mine.stop, mine.start + poison.piece(0)) if one.claim.number else mine.stop
    return Hold(
        slot=one.slot,
        job=one.job,
        claim=one.claim,
        stop=mine.stop,
        done=mine.start,
        published=mine.start,
        fed=fed,
        last_flush=now,
        since=now,
        slow=slow,
    )


def _next(claim: ClaimKey) -> ClaimKey:
    return ClaimKey(start=claim.start, number=claim.number + 1)
