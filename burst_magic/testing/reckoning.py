"""Checks of a simulated world at its end: laws 3, 5 and 6."""

from __future__ import annotations

from typing import TYPE_CHECKING

from burst_magic.protocol.log import DEAD_AFTER
from burst_magic.protocol.wire import keys
from burst_magic.protocol.worker.leaving import GRACE, KEPT
from burst_magic.testing.scenario import Deed
from burst_magic.testing.weather import EPOCH

if TYPE_CHECKING:
    from burst_magic.testing.simworker import SimulatedWorker
    from burst_magic.testing.world import World

_HARMLESS = {Deed.ATTACH, Deed.LOOK, Deed.KERNEL_DIES, Deed.SLEEP, Deed.EXTEND, Deed.ADD, Deed.HALF_ADD, Deed.JOIN}
_ANSWER = 35.0  # seconds within which a store that loses replies has answered


def reckon(world: World) -> None:
    """Check a world that is over; raises ``LawBroken``."""
    for job in world.jobs.values():
        excused = bool(world.asked) or job.jid in world.cancelled or world.plan.short or world.laws.spent_out
        if world.laws.keys.job(job.jid).final not in world.store.objects and not excused:
            world.broken(3, f"job {job.jid} was never finished", job.jid)
    _check_repeats(world)
    for worker in (each for each in world.workers.values() if each.up):
        _check_deadline(world, worker)
        _check_idle(world, worker)
        _check_requests(world, worker)
    if world.plan.budget:
        _check_budget(world)


def count_idle(world: World) -> None:
    """Law 5, checked from time to time: only the two workers that are kept stay idle for an unfinished job.

    Not checked if heartbeats get lost, since then workers disagree about who is alive.
    """
    plan, now = world.plan, world.clock.now
    patience = plan.idle + (3 * DEAD_AFTER + 2) * plan.interval + 30 * plan.floor
    patience += _ANSWER + 20 * plan.weather.slowness if plan.weather.slow else 0.0
    idle = [
        worker.wid
        for worker in world.workers.values()
        if worker.alive
        and worker.up
        and not worker.slots.running
        and not worker.slots.unpublished
        and now - max(worker.busy_at, _hindered(world, worker), *world.committed) > patience
    ]
    unclear = plan.stutter or plan.weather.lost or plan.weather.late
    if len(idle) > KEPT and not unclear:
        world.broken(5, f"{', '.join(idle)} stay though they have nothing to do")


def _check_repeats(world: World) -> None:
    """Law 3: without deaths, pauses, faults and cuts, every task runs once."""
    plan = world.plan
    if plan.weather.slow or plan.poison or plan.stutter or any(act.deed not in _HARMLESS for act in plan.acts):
        return
    for job in world.jobs.values():
        claims = [keys.parse_claim(name) for name, _ in world.store.names(world.laws.keys.job(job.jid).claims_folder)]
        if {claim.start for claim in claims} <= set(job.lanes):
            again = [task for (jid, task), count in world.ran.items() if jid == job.jid and count > 1]
            if again:
                world.broken(3, f"tasks {again} ran more than once without a cause", job.jid)


def _slack(world: World, worker: SimulatedWorker) -> float:
    """Seconds by which a worker may notice a limit late: the store's answer, and a clock set back by a sleep."""
    plan = world.plan
    slept = 25 * plan.interval if worker.slept else 0.0
    return 2 + plan.skew + slept + 10 * plan.weather.slowness + 20 * plan.weather.latency


def _check_deadline(world: World, worker: SimulatedWorker) -> None:
    until = worker.left_at or world.clock.now
    slack = _slack(world, worker) + DEAD_AFTER * world.plan.interval
    end = max(world.deadline - EPOCH, worker.paused_until, worker.born)
    if until > end + slack:
        world.broken(5, f"{worker.wid} lived {until - end:.0f} s past the deadline")


def _hindered(world: World, worker: SimulatedWorker) -> float:
    """Until when the worker, or the store for it, was stopped, including the time of late answers."""
    cut = max(worker.cut_until, world.store.door.down_until)
    return max(worker.paused_until, cut + _ANSWER if cut else 0.0)


def _check_idle(world: World, worker: SimulatedWorker) -> None:
    """With every job finished, no worker stays longer than the idle limit."""
    plan, objects = world.plan, world.store.objects
    finals = [world.laws.keys.job(jid).final for jid in world.jobs]
    if not all(final in objects for final in finals):
        return
    until = worker.left_at or world.clock.now
    since = max(worker.busy_at, worker.paused_until, worker.cut_until, *world.committed)
    since = max(since, world.store.door.down_until, *(objects[final].at for final in finals))
    slack = _slack(world, worker) + 10 * plan.interval + 30 * plan.floor
    slack += 2 * _ANSWER  # its last record, and a heartbeat under way
    slack += 2 * plan.weather.upload  # a segment under way keeps its worker, even if the job is finished meanwhile
    if until - since > plan.idle + slack and not plan.stutter:
        world.broken(5, f"{worker.wid} was idle for {until - since:.0f} s")


def _check_requests(world: World, worker: SimulatedWorker) -> None:
    """Law 6: requests grow with flushes, claims and intervals, not with tasks or idle loops."""
    plan = world.plan
    life = (worker.left_at or world.clock.now) - worker.born
    segments = sum(len(world.store.names(world.laws.keys.job(jid).results_folder)) for jid in world.jobs)
    allowed = 60 + 6 * segments + 8 * life / plan.interval + 3 * life / plan.floor
    if worker.requests > allowed:
        world.broken(6, f"{worker.wid} made {worker.requests} requests in {life:.1f} s; {allowed:.0f} are allowed")


def _check_budget(world: World) -> None:
    """Law 5: no worker lives longer than an interval after the budget was spent."""
    plan = world.plan
    spent_at = _spent_at(world)
    for worker in (each for each in world.workers.values() if each.up):
        until = worker.left_at or world.clock.now
        hindered = max(worker.paused_until, worker.cut_until, world.store.door.down_until)
        end = max(spent_at, worker.born, hindered) + 2 * plan.interval + _slack(world, worker)
        if plan.weather.slow or hindered:
            end += 2 * GRACE  # so long it tries to publish, however many answers are lost
        end += 2 * plan.weather.upload
        if until > end:
            world.broken(5, f"{worker.wid} lives {until - spent_at:.1f} s after the budget was spent")


def _spent_at(world: World) -> float:
    """When the fleet's true cost reached the budget."""
    lives = [(w.billed_at, w.left_at or world.clock.now) for w in world.workers.values() if w.up]
    spent, before, running = 0.0, 0.0, 0
    changes = sorted([(born, 1) for born, _ in lives] + [(left, -1) for _, left in lives])
    for at, change in changes:
        step = running * (at - before) * world.plan.rate / 3600
        if running and spent + step >= world.budget:
            return before + (world.budget - spent) * 3600 / world.plan.rate / running
        spent, before, running = spent + step, at, running + change
    return float("inf")
