"""A client's view of a job at one instant: the machines' facts as a frozen ``Snapshot``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from burst_magic.protocol.client.clocks import DIFFER
from burst_magic.protocol.client.starts import in_words
from burst_magic.protocol.money import lived_until, spend
from burst_magic.protocol.snapshot import Snapshot, StartView, WaitCause, WaitReason, WorkerView
from burst_magic.protocol.wire.model import EndCause, Gone, JobEnd, SlotView

FARGATE_MINIMUM = 60.0  # seconds that are billed of a process at least (aws.amazon.com/fargate/pricing)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from burst_magic.protocol.client.crew import Crew
    from burst_magic.protocol.client.job import JobMachine
    from burst_magic.protocol.client.session import SessionMachine
    from burst_magic.protocol.wire.model import Job


def snapshot(session: SessionMachine, machine: JobMachine, now: float) -> Snapshot:
    """All facts of a job at this instant of the machines' own clock."""
    manifest, job, cover, crew = session.manifest, machine.job, machine.cover, session.crew
    wall = session.clock.wall(now)
    workers = tuple(_views(crew, wall, nobody=machine.end is JobEnd.NOBODY))
    coming = tuple(session.starts.coming(now))
    slots = [slot for worker in workers if worker.alive for slot in worker.slots]
    tasks = [] if machine.end else [slot.task for slot in slots if slot.job == job.jid and slot.task is not None]
    done, total, failed = cover.covered, job.tasks, cover.failed
    running = min(len(tasks), total - done)  # at their last heartbeats; by now each may run another task
    finished_at = _stood_still(session, machine, workers) if machine.end else None
    wait = None if machine.end else _why_waiting(session, workers, job, coming, started=done > 0)
    lives = crew.lives(wall if finished_at is None else min(wall, finished_at))
    return Snapshot(
        sid=manifest.sid,
        jid=job.jid,
        now=wall,
        as_of=session.clock.wall(session.looked_at),
        created=job.created,
        total=total,
        pending=total - done - running,
        running=running,
        completed=done - failed,
        failed=failed,
        name=job.name,
        title=job.title,
        out=job.out,
        launcher=manifest.launcher,
        rate=max(manifest.rate, manifest.fallback_rate),
        priced=manifest.priced,
        wanted=session.wanted,
        starting=session.starts.starting(now),
        coming=coming,
        refused=session.starts.refused(session.wanted),
        lost=session.starts.lost(),
        attended=session.replaces_lost_workers,
        started=len(crew.log.beats),
        workers=workers,
        spans=machine.spans({task for task in tasks if cover.find(task) is None}),
        ended=machine.end,
        end_detail=machine.detail,
        finished_at=finished_at,
        deadline=session.deadline,
        kept_until=_kept_until(session, machine, workers),
        forecast=None if machine.end or not done else job.created + (machine.newest - job.created) / done * total,
        budget=session.budget,
        estimate=job.estimate,
        minimum=manifest.minimum,
        fargate_rate=manifest.fargate_rate,
        spend=int(spend(crew.lives(wall), minimum=manifest.minimum)),
        unheard=tuple(crew.unheard_lives(wall)),
        job_spend=int(spend(replace(life, since=max(life.since, job.created)) for life in lives)),
        fargate_spend=round(spend(lives, rate=manifest.fargate_rate, minimum=FARGATE_MINIMUM)),
        wait=wait,
        waiting=_in_one_line(wait, coming, wall),
        tail=tuple(_tail([slot for worker in workers for slot in worker.slots], job.jid)),
    )


def _stood_still(session: SessionMachine, machine: JobMachine, workers: Sequence[WorkerView]) -> float:
    """When a job ended; after a cancel, its workers may continue with other jobs."""
    if machine.finished_at is not None:
        return machine.finished_at
    last_sign = max([machine.job.created, *(worker.seen for worker in workers)])
    cancelled = session.cancelled_at(machine.job.jid)
    return last_sign if cancelled is None else max(machine.newest, min(last_sign, cancelled))


def _kept_until(session: SessionMachine, machine: JobMachine, workers: Sequence[WorkerView]) -> float | None:
    """When workers end for which nothing is left to do; None if there are none.

    A worker is idle from its birth, from the last end or, after jobs that are not followed, from when it says.
    """
    alive = [worker for worker in workers if worker.alive]
    known = {each.job.jid: each for each in (machine, *session.jobs.values())}
    tasks = {slot.job for worker in alive for slot in worker.slots if slot.task is not None}
    if not alive or session.dismissed or tasks - set(known) or any(each.end is None for each in known.values()):
        return None
    ends = [_stood_still(session, each, workers) for each in known.values()]
    beats = [session.crew.beats[worker.wid] for worker in alive if worker.wid in session.crew.beats]
    said = [beat.idle_since for beat in beats if beat.idle_since is not None]
    idle_since = max([*ends, *said, *(worker.started for worker in alive)])
    return min(session.deadline, idle_since + session.manifest.idle)


def _views(crew: Crew, wall: float, *, nobody: bool) -> list[WorkerView]:
    """A silent worker counts as alive until another one is heard of, or the job has ended since nobody lives."""
    views, living = [], set(crew.living())
    for wid, (modified, _) in sorted(crew.log.beats.items()):
        gone, beat = crew.gone.get(wid), crew.beats.get(wid)
        billed_ms, rate = crew.log.born[wid]
        unheard = (nobody or bool(living)) and wid not in living
        silent = gone is None and (unheard or wall - modified > DIFFER + crew.patience)
        if gone is None and wid in crew.log.gone:
            gone = Gone(worker=wid, cause=EndCause.CRASH, at=modified)
        views.append(
            WorkerView(
                wid=wid,
                started=billed_ms / 1000,
                seen=lived_until(modified, gone.at if gone else None, silence=crew.patience, now=wall),
                rate=rate,
                gone=gone,
                slots=beat.slots if beat and gone is None and not silent else (),
                stage=beat.stage if beat and gone is None and not silent else "",
                silent=silent,
            )
        )
    return views


def _why_waiting(
    session: SessionMachine, workers: tuple[WorkerView, ...], job: Job, coming: tuple[StartView, ...], *, started: bool
) -> WaitReason | None:
    crew = session.crew
    alive = [worker for worker in workers if worker.alive]
    refused = [crew.beats[worker.wid].refused for worker in alive if worker.wid in crew.beats]
    if any(refused):
        return WaitReason(cause=WaitCause.WRITES, words=f"the store refuses the workers' writes: {max(refused)}")
    silent = [worker.wid for worker in alive if crew.log.silent_for(worker.wid) > crew.patience]
    if silent and len(silent) == len(alive):
        heard = max(crew.log.beats[wid][0] for wid in silent)
        return WaitReason(cause=WaitCause.SILENT, words="no heartbeat", since=heard)
    runs = {worker.wid: {slot.job for slot in worker.slots if slot.task is not None} for worker in alive}
    if any(job.jid in jobs for jobs in runs.values()):
        return None
    # A heartbeat from before this job is outdated; if this job has a result, workers are running it.
    others = {other for wid, jobs in runs.items() if jobs and crew.beats[wid].at > job.created for other in jobs}
    if others and not started:
        names = ", ".join(sorted(others))
        return WaitReason(cause=WaitCause.BUSY, words=f"the workers are busy with job {names} of this session")
    return _why_none_is_up(session, workers, coming, started=started)


def _why_none_is_up(
    session: SessionMachine, workers: tuple[WorkerView, ...], coming: tuple[StartView, ...], *, started: bool
) -> WaitReason | None:
    crew, alive = session.crew, [worker for worker in workers if worker.alive]
    stages = {crew.beats[worker.wid].stage for worker in alive if worker.wid in crew.beats}
    if stages and all(stages) and not started:
        return WaitReason(cause=WaitCause.PREPARING, words=f"workers are {max(stages)}")
    refusals = "" if alive else session.starts.refused(session.wanted)
    if refusals:
        return WaitReason(cause=WaitCause.REFUSED, words=refusals)
    if in_words(coming) or not (workers or started):
        return WaitReason(cause=WaitCause.STARTING, words="workers are starting")
    return None


def _in_one_line(wait: WaitReason | None, coming: tuple[StartView, ...], wall: float) -> str:
    """Why nothing is running, with how long and with what the workers that are coming are at."""
    if wait is None:
        return ""
    if wait.since is not None:
        return f"{wait.words} for {wall - wait.since:.0f} s"
    words = in_words(coming) if wait.cause in {WaitCause.REFUSED, WaitCause.STARTING} else ""
    if wait.cause is WaitCause.STARTING and words:
        return f"workers: {words}"
    return f"{wait.words}; workers: {words}" if words else wait.words


def _tail(slots: list[SlotView], jid: str) -> list[tuple[int, str]]:
    return [(slot.printed_by, slot.output) for slot in slots if slot.printed_by is not None and slot.job == jid]
