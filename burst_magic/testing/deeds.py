"""Faults of a simulated world's workers, clients and store, and requests of its users."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from burst_magic.protocol.wire.model import Control, ControlKind, EndCause, Gone
from burst_magic.testing.scenario import Act, Deed
from burst_magic.testing.weather import EPOCH

if TYPE_CHECKING:
    from burst_magic.testing.simclient import SimulatedClient
    from burst_magic.testing.simworker import SimulatedWorker
    from burst_magic.testing.world import World


def perform(world: World, act: Act) -> None:
    """Perform an act, if its target exists."""
    world.tell("world", act)
    _DEEDS[act.deed](world, act)


# --- to workers --------------------------------------------------------------------------------------------------


def _living(world: World) -> list[SimulatedWorker]:
    return [worker for worker in world.workers.values() if worker.alive]


def _chosen(world: World, act: Act) -> list[SimulatedWorker]:
    """One worker, or half of them."""
    living = _living(world)
    if act.deed in {Deed.WAVE, Deed.WAVE_AT_ONCE}:
        return living[act.target % 2 :: 2]
    return [living[act.target % len(living)]] if living else []


def _crash(world: World, act: Act) -> None:
    for worker in _chosen(world, act):
        worker.crash()


def _term(world: World, act: Act) -> None:
    for worker in _chosen(world, act):
        worker.terminate()


def _pause(world: World, act: Act) -> None:
    for worker in _chosen(world, act):
        worker.pause(act.size)


def _cut_off(world: World, act: Act) -> None:
    for worker in _chosen(world, act):
        worker.cut_off(act.size)


def _mistake(world: World, act: Act) -> None:
    for worker in _chosen(world, act):
        worker.mistaken = True
        wid, cause = worker.machine.wid, (EndCause.CRASH, EndCause.TERM)[act.target % 2]
        gone = Gone(worker=wid, cause=cause, at=EPOCH + world.clock.now, token=worker.token)
        world.store.create(world.laws.keys.gone(wid), gone)


def _spot(world: World, act: Act) -> None:
    """The machine is gone immediately: its worker's two minutes of notice are over, or it slept through them."""
    taken = [worker for worker in _living(world) if worker.slots.running] or _living(world)
    if taken:
        world.take_back(taken[act.target % len(taken)])


def _join(world: World, act: Act) -> None:
    if len(_living(world)) < world.plan.workers + 2:
        world.start_late_joiner()


# --- to clients, and to all ----------------------------------------------------------------------------------------


def _some_client(world: World, act: Act, *, signed: bool = False) -> SimulatedClient | None:
    alive = [client for client in world.clients if client.alive and (client.signed or not signed)]
    return alive[act.target % len(alive)] if alive else None


def _sleep(world: World, act: Act) -> None:
    if (client := _some_client(world, act)) is not None:
        client.pause(act.size)


def _kernel_dies(world: World, act: Act) -> None:
    if (client := _some_client(world, act)) is not None:
        client.crash()


def _laptop(world: World, act: Act) -> None:
    clock_too = act.target % 2 == 0
    since = max([world.clock.now, *(until for _, until in world.asleep)])
    world.asleep.append((since, max(since, world.clock.now + act.size)))
    for worker in _living(world):  # they wake one by one
        worker.nap(act.size + worker.rng.uniform(0, 0.3) * world.plan.interval, clock_too=clock_too)
    for client in world.clients:
        client.pause(act.size, clock_too=clock_too)


def _outage(world: World, act: Act) -> None:
    world.store.door.down_until = world.clock.now + act.size


def _attach(world: World, act: Act) -> None:
    jobs = list(world.jobs.values())
    world.attach(jobs[act.target % len(jobs)], signed=act.deed is Deed.ATTACH, stays=False)


# --- users' requests -----------------------------------------------------------------------------------------------


def _ask(world: World, act: Act) -> None:
    client = _some_client(world, act, signed=True)
    if client is None:
        return
    if act.deed is Deed.CANCEL:
        world.asked.add(ControlKind.CANCEL)
        client.ask(ControlKind.CANCEL)
    elif act.deed is Deed.CANCEL_JOB:
        world.cancelled.add(client.job.jid)
        client.ask(ControlKind.CANCEL, job=client.job.jid)
    elif act.deed is Deed.CLOSE:
        world.asked.add(ControlKind.CLOSE)
        client.ask(ControlKind.CLOSE)
    elif act.deed is Deed.EXTEND:
        _extend(world, client, act.size)
    else:
        _scale(world, client, int(act.size))


def _extend(world: World, client: SimulatedClient, seconds: float) -> None:
    world.deadline += seconds
    if world.plan.budget:
        world.budget += int(seconds * 1000)
    client.ask(ControlKind.EXTEND, deadline=world.deadline, budget=world.budget or None)


def _scale(world: World, client: SimulatedClient, wanted: int) -> None:
    revisions = [control.revision for control in _controls(world) if control.kind is ControlKind.SCALE]
    client.ask(ControlKind.SCALE, workers=wanted, revision=1 + max(revisions, default=0))
    for _ in range(max(0, wanted - len(_living(world)))):
        client.start_worker(None)


def _controls(world: World) -> list[Control]:
    folder = world.laws.keys.control_folder
    found = [world.store.get(f"{folder}/{name}") for name, _ in world.store.names(folder)]
    return [control for control in found if isinstance(control, Control)]


def _add(world: World, act: Act) -> None:
    if not world.asked:
        world.submit(int(act.size), first=None)


def _half_add(world: World, act: Act) -> None:
    world.announce("half")


_DEEDS: dict[Deed, Callable[[World, Act], None]] = {
    Deed.CRASH: _crash,
    Deed.TERM: _term,
    Deed.PAUSE: _pause,
    Deed.SLEEP: _sleep,
    Deed.KERNEL_DIES: _kernel_dies,
    Deed.ATTACH: _attach,
    Deed.LOOK: _attach,
    Deed.CANCEL: _ask,
    Deed.CANCEL_JOB: _ask,
    Deed.CLOSE: _ask,
    Deed.EXTEND: _ask,
    Deed.SCALE: _ask,
    Deed.ADD: _add,
    Deed.HALF_ADD: _half_add,
    Deed.WAVE: _term,
    Deed.WAVE_AT_ONCE: _crash,
    Deed.LAPTOP: _laptop,
    Deed.OUTAGE: _outage,
    Deed.CUT_OFF: _cut_off,
    Deed.MISTAKEN: _mistake,
    Deed.JOIN: _join,
    Deed.SPOT: _spot,
}
