"""Checks the laws of ``protocol.model`` at every step of a simulated world. Each violation cites its number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.job import WIDE_EVERY
from burst_magic.protocol.log import DEAD_AFTER
from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import (
    ClaimBody,
    ClaimKey,
    Control,
    ControlKind,
    EndCause,
    Final,
    Gone,
    JobEnd,
    Next,
    SegmentKey,
)
from burst_magic.protocol.worker.state import MAX_FLUSH
from burst_magic.testing.simslots import Pack, SimulatedRun
from burst_magic.testing.weather import EPOCH, Stored, has_beaten

if TYPE_CHECKING:
    from burst_magic.testing.simclient import SimulatedClient
    from burst_magic.testing.simworker import SimulatedWorker
    from burst_magic.testing.world import World

_ROUNDED = 2.0  # seconds by which the store's times may be off: whole seconds, which may slip back by one
_DEATHS = 3  # deaths after which a task may be given up


class LawBroken(Exception):
    """A law was violated; ``job`` is the job in question, "" for the session."""

    def __init__(self, law: int, what: str, job: str) -> None:
        super().__init__(f"law {law}: {what}")
        self.law, self.what, self.job = law, what, job


class Laws:
    """Observes everything, changes nothing, and raises ``LawBroken``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.keys = keys.SessionKeys(world.manifest.sid)
        self.ended_by: Counter[tuple[str, int]] = Counter()  # (job, task): workers that ended while it ran
        self.replaced: set[str] = set()  # tokens of starts in place of lost workers
        self._spent_out = False
        self._published: set[tuple[str, int]] = set()  # (job, task)
        self.stored: set[int] = set()  # runs that are in some segment

    @property
    def spent_out(self) -> bool:
        """Some worker has left because the budget was spent."""
        return self._spent_out

    @property
    def _settled(self) -> float:
        """A worker that looked just now has seen everything that was written before this time."""
        weather = self.world.plan.weather
        return self.world.clock.now - 1.0 - 2 * weather.latency - 2 * weather.slowness

    # --- writes ----------------------------------------------------------------------------------------------

    def wrote(self, record: object) -> None:
        """Record a create that took effect."""
        if isinstance(record, Final):
            self._check_final(record)
        elif isinstance(record, Gone):
            self._spent_out = self._spent_out or record.cause is EndCause.BUDGET
        elif isinstance(record, Pack):
            self.stored.update(run.number for run in record.runs)
            self._published.update((record.job, run.task) for run in record.runs)

    def _check_final(self, final: Final) -> None:
        """Law 1: ``final`` names, once for every task, a stored segment that contains the task."""
        at, folder = 0, self.keys.job(final.job).results_folder
        for start, stop, name in final.parts:
            pack = self.world.store.get(f"{folder}/{name}")
            held = {run.task for run in pack.runs} if isinstance(pack, Pack) and pack.job == final.job else set()
            if start != at or not held.issuperset(range(start, stop)):
                self.world.broken(1, f"final says {(start, stop, name)}, where {sorted(held)} lie", final.job)
            at = stop
        if at != self.world.jobs[final.job].tasks:
            self.world.broken(1, f"final ends at {at}", final.job)

    # --- claims and segments -----------------------------------------------------------------------------------

    def check_claim(self, worker: SimulatedWorker, jid: str, claim: ClaimKey) -> None:
        """Law 7: the worker that runs a range has claimed it."""
        body = self.world.store.get(self.keys.job(jid).claim(claim))
        if not isinstance(body, ClaimBody) or keys.base_of(body.worker) != worker.wid:
            self.world.broken(7, f"{worker.wid} runs {claim}, which is {body}", jid)

    def check_succession(self, worker: SimulatedWorker, key: str) -> None:
        """Law 3: a live owner, one whose heartbeats land in time, is never superseded."""
        claim, jid = keys.parse_claim(key), key.split("/")[3]
        if not claim.number:
            return
        body = self.world.store.get(self.keys.job(jid).claim(replace(claim, number=claim.number - 1)))
        if not isinstance(body, ClaimBody) or self.keys.gone(body.worker) in self.world.store.objects:
            return
        owner, interval = self.world.workers[keys.base_of(body.worker)], self.world.plan.interval
        if worker.paused_until > self.world.clock.now - 4 * interval and not worker.slept:
            return  # between its look and its claim
        times = [*owner.beaten[-5:], self.world.clock.now]
        if worker.slept:  # the laptop's other workers slept too: that time is no silence
            times = [self.world.awake(at) for at in times]
        now = times.pop()
        beats = [at for at in times if now - at < 4 * interval]
        if owner is not worker and owner.alive and len(beats) >= 3 and now - beats[-1] < 1.2 * interval:
            self.world.broken(3, f"{worker.wid} takes {claim} from {owner.wid}, which beats", jid)

    def check_publish(self, worker: SimulatedWorker, jid: str, segment: SegmentKey) -> None:
        """Law 3: no worker publishes tasks that were taken from it before its last look."""
        settled = self._settled
        if worker.paused_until >= settled:
            return
        for claim, taken in self._claims(jid):
            fenced = claim.start == segment.claim.start and claim.number > segment.claim.number
            beyond = segment.claim.start < claim.start < segment.stop
            if (fenced or beyond) and taken.at < settled:
                self.world.broken(3, f"{worker.wid} publishes {segment}, but {claim} was taken from it", jid)

    def check_begun(self, worker: SimulatedWorker, jid: str, task: int, *, after: float) -> None:
        """Law 3: after a long task, no worker begins a task that was taken from it meanwhile."""
        plan, now = self.world.plan, self.world.clock.now
        flush = self._flush(jid)
        trouble = plan.weather.slow or plan.weather.upload or self.world.store.door.down_until or worker.cut_until
        if trouble or worker.paused_until or plan.stutter or flush < 6 * plan.weather.latency or after <= 2 * flush:
            return
        for claim, taken in self._claims(jid):
            if claim.start == task and now - after < taken.at < now - 4 * plan.weather.latency:
                body = self.world.store.get(self.keys.job(jid).claim(claim))
                if isinstance(body, ClaimBody) and keys.base_of(body.worker) != worker.wid:
                    what = f"{worker.wid} begins {task} after a long task, though {claim} took it meanwhile"
                    self.world.broken(3, what, jid)

    def _flush(self, jid: str) -> float:
        plan = self.world.plan
        elapsed = self.world.clock.now - self.world.store.objects[self.keys.job(jid).record].at
        return min(MAX_FLUSH, max(plan.floor, 0.02 * elapsed, plan.floor * plan.workers / 32))

    def _claims(self, jid: str) -> Iterator[tuple[ClaimKey, Stored]]:
        folder = self.keys.job(jid).claims_folder
        for name, _ in self.world.store.names(folder):
            yield keys.parse_claim(name), self.world.store.objects[f"{folder}/{name}"]

    # --- losses ------------------------------------------------------------------------------------------------

    def note_end(self, worker: SimulatedWorker, culprit: tuple[str, int] | None) -> None:
        """Record a worker's end. Unless a task caused it, every task that it ran or held may be suspected.

        An end that is known to come from outside makes no task suspect.
        """
        if worker.taken_back:
            return
        held = {(job, run.task) for job, run in worker.slots.unpublished if run.number not in self.stored}
        running = set(worker.slots.running)
        if culprit:  # of the other running tasks, only poison may be suspected too
            self.ended_by.update({culprit, *(task for task in running if self.world.is_poison(*task))})
        else:
            self.ended_by.update(running | held)

    def check_lost(self, worker: SimulatedWorker, effect: fx.Lose) -> None:
        """Law 4: only a task that killed three workers is given up."""
        deaths = self.ended_by[effect.job, effect.task]
        if deaths < _DEATHS:
            what = f"{worker.wid} gives up task {effect.task}, which killed {deaths} workers: {effect.message}"
            self.world.broken(4, what, effect.job)

    def check_loss(self, worker: SimulatedWorker) -> None:
        """Law 3: a worker's death loses at most one flush interval of finished work."""
        plan, now = self.world.plan, self.world.clock.now
        faults = plan.weather.slow or plan.weather.upload or self.world.store.door.down_until
        if faults or worker.cut_until or worker.paused_until or worker.mistaken or plan.stutter:
            return
        for jid, run in worker.slots.unpublished:
            if jid in self.world.cancelled or (jid, run.task) in self._published:
                continue
            if now - run.at > self._flush(jid) + 10 * plan.weather.latency + 0.1:
                self.world.broken(3, f"{worker.wid} dies with task {run.task}, done {now - run.at:.1f} s ago", jid)

    # --- exits and starts --------------------------------------------------------------------------------------

    def check_leaving(self, worker: SimulatedWorker, known: Collection[str]) -> None:
        """Law 3: a worker that had no ``.gone`` when a job was committed rejoins for that job."""
        gone = self.world.store.objects.get(self.keys.gone(worker.machine.wid))
        for jid in self.world.jobs:
            committed = self.world.store.objects[self.keys.job(jid).record].at
            open_still = self.keys.job(jid).final not in self.world.store.objects
            forced = worker.mistaken or worker.terminated
            if gone and not forced and committed < gone.at and jid not in known and open_still:
                what = f"{worker.wid} leaves, though job {jid} was committed before its end was written"
                self.world.broken(3, what, jid)

    def check_cause(self, worker: SimulatedWorker, cause: EndCause) -> None:
        """Law 5: no worker leaves without a reason."""
        now, plan, asked = self.world.clock.now, self.world.plan, self.world.asked
        early = self.world.manifest.deadline - EPOCH - now
        if cause is EndCause.DEADLINE and early > plan.skew + 5:
            self.world.broken(5, f"{worker.wid} leaves {early:.0f} s before the deadline")
        if (cause is EndCause.CANCEL and ControlKind.CANCEL not in asked) or (
            cause is EndCause.CLOSE and ControlKind.CLOSE not in asked
        ):
            self.world.broken(5, f"{worker.wid} leaves for a {cause.value} that was not requested")
        if cause is EndCause.BUDGET:
            late = plan.weather.lateness if plan.weather.late else 0.0  # a heartbeat may land long after its worker
            ahead = plan.skew + 5 + (2 * DEAD_AFTER + 2) * plan.interval + late
            dear = sum(
                plan.rate / 3600 * (min(now, (w.left_at or now)) - w.billed_at + ahead)
                for w in self.world.workers.values()
            )
            if dear < self.world.plan.budget:
                self.world.broken(5, f"{worker.wid} leaves for the budget, though at most {dear:.0f} are spent")

    def check_last_write(self, worker: SimulatedWorker) -> None:
        """Law 5: no write of a worker lands after its ``.gone``, when the session may be cleaned up."""
        if worker.writing:
            self.world.broken(5, f"{worker.wid} writes its end while it waits for {worker.writing} of its writes")

    def check_silence(self, worker: SimulatedWorker) -> None:
        """Law 5: only a worker that is cut off exits without ``.gone``."""
        plan = self.world.plan
        hindered = plan.weather.slow or plan.weather.upload or self.world.store.door.down_until
        hindered = hindered or worker.cut_until or worker.paused_until
        new = self.world.clock.now < worker.born + 2 * plan.interval  # it does not know the store's clock yet
        if not hindered and not new:
            self.world.broken(5, f"{worker.wid} does not end by itself at the deadline")

    def check_replaced(self, client: SimulatedClient, token: str) -> None:
        """Law 5: all clients together start one worker for each that was lost, or never announced."""
        if not self.world.was_started(token):
            self.replaced.add(token)
        workers = self.world.workers.values()
        doubtful = [w for w in workers if not w.alive or w.mistaken or w.paused_until or w.cut_until]
        faults = self.world.plan.weather.slow or self.world.store.door.down_until or self.world.plan.stutter
        replaced = len(self.replaced) - self.world.clouds.never_came - self.world.unannounced
        if replaced > len(doubtful) and not faults:
            what = f"{client.name} starts number {replaced} in place of {len(doubtful)} workers"
            self.world.broken(5, what, client.job.jid)

    def check_write(self, client: SimulatedClient, effect: fx.Create) -> None:
        """Law 2: a client without the key writes nothing. Law 5: see ``_check_announced``."""
        if not client.signed:
            self.world.broken(2, f"{client.name} writes without the key", client.job.jid)
        if isinstance(effect.record, Next):
            self._check_announced(client)

    def _check_announced(self, client: SimulatedClient) -> None:
        """Law 5: once two starts in a row came to nothing, a client that saw it starts no more: each would cost."""
        folder = self.keys.workers_folder
        ends, lived = [], 0.0
        for name, _ in self.world.store.names(folder):
            stored = self.world.store.objects[f"{folder}/{name}"]
            if isinstance(stored.record, Gone) and stored.record.cause is EndCause.UNSTARTED:
                ends.append(stored.at)
            elif keys.parse_worker(name).kind == "beat":
                lived = max(lived, stored.at)
        in_vain = [at for at in ends if lived + _ROUNDED < at < client.workers_asked_at - _ROUNDED]
        if len(in_vain) > 1:
            self.world.broken(5, f"{client.name} starts one more after {len(in_vain)} in vain", client.job.jid)

    # --- readers -----------------------------------------------------------------------------------------------

    def check_reader(self, client: SimulatedClient, asked_at: float) -> None:
        """Law 7: a segment that landed within the window of its name is in the next listing of the whole window."""
        folder = self.keys.job(client.job.jid).results_folder
        for name, _ in self.world.store.names(folder):
            segment, at = keys.parse_segment(name), self.world.store.objects[f"{folder}/{name}"].at
            prompt = EPOCH + at - segment.at_ms / 1000 < MAX_FLUSH
            missed = client.followed.final is None and name not in client.followed.seen
            if prompt and at < asked_at - WIDE_EVERY and missed:
                self.world.broken(7, f"{client.name} lists results but misses {name}", client.job.jid)

    def check_agrees(self, client: SimulatedClient, final: Final, task: int, run: SimulatedRun) -> None:
        """Law 1: a result first handed out after ``final`` was seen is the one that ``final`` names."""
        name = next(name for start, stop, name in final.parts if start <= task < stop)
        pack = self.world.store.get(f"{self.keys.job(final.job).results_folder}/{name}")
        if not isinstance(pack, Pack) or run not in pack.runs:
            self.world.broken(1, f"{client.name} hands out {run}, final says {name}", final.job)

    def check_asked(self, client: SimulatedClient, controls: Collection[Control]) -> None:
        """Law 5: the highest revision and the latest deadline count, whatever the clients' clocks."""
        seen = client.machine.snapshot(client.followed, client.now)
        scales = [control for control in controls if control.kind is ControlKind.SCALE]
        newest = max((scale.revision for scale in scales), default=0)
        wanted = {scale.workers for scale in scales if scale.revision == newest}
        if scales and seen.wanted not in wanted:
            self.world.broken(5, f"{client.name} believes that {seen.wanted} workers are wanted, not {wanted}")
        latest = max([self.world.manifest.deadline, *(control.deadline or 0.0 for control in controls)])
        if seen.deadline != latest:
            self.world.broken(5, f"{client.name} believes that the deadline is {seen.deadline}, not {latest}")

    def check_verdict(self, client: SimulatedClient) -> None:
        """Law 3: a client says that a job is over only if results are missing and no worker lives."""
        said, job, asked = client.verdict, client.job.jid, self.world.asked
        if said is JobEnd.FINISHED and client.followed.final != self.world.store.get(self.keys.job(job).final):
            self.world.broken(1, f"{client.name} believes a final that is not the store's", job)
        if said is JobEnd.CANCELLED and ControlKind.CANCEL not in asked and job not in self.world.cancelled:
            self.world.broken(3, f"{client.name} says cancelled, but no client cancelled", job)
        if said is JobEnd.CLOSED and ControlKind.CLOSE not in asked:
            self.world.broken(3, f"{client.name} says closed, but no client closed it", job)
        if said is JobEnd.DELETED and self.keys.manifest in self.world.store.objects:
            self.world.broken(3, f"{client.name} says deleted, but the manifest exists", job)
        early = self.world.manifest.deadline - EPOCH - self.world.clock.now
        if said is JobEnd.DEADLINE and early > 5:
            self.world.broken(3, f"{client.name} says deadline, {early:.0f} s before it", job)
        if said is JobEnd.BUDGET and not self.spent_out:
            self.world.broken(3, f"{client.name} says budget, but no worker left for it", job)
        if said not in {None, JobEnd.FINISHED}:
            self._check_stuck(client)

    def _check_stuck(self, client: SimulatedClient) -> None:
        said, job, asked_at = client.verdict, client.job.jid, client.workers_asked_at
        cover = Cover(client.job.tasks)
        folder = self.keys.job(job).results_folder
        # a single cancelled job: its results are listed last, and its workers go on
        looked_at = client.listed_at(folder) if job in self.world.cancelled else asked_at
        for name, _ in self.world.store.names(folder):
            if self.world.store.objects[f"{folder}/{name}"].at < looked_at:
                cover.add(keys.parse_segment(name))
        if cover.whole:
            self.world.broken(
                3, f"{client.name} says {said and said.value!r} while every task has an outcome in the store", job
            )
        workers = () if job in self.world.cancelled else self.world.workers.values()  # they continue with other jobs
        for worker in workers:
            beat = has_beaten(self.world.store, self.keys.workers_folder, worker.machine.wid) if worker.alive else None
            if beat and beat.at < asked_at and self.world.clock.now - beat.at < 2 * self.world.plan.interval:
                self.world.broken(3, f"{client.name} says {said and said.value!r} while {worker.wid} beats", job)
