"""A client of a simulated world: the production machine, and a stand-in for ``session.driver`` and its user."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from burst_magic.launchers.base import Handle, WorkerState
from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.session import SessionMachine
from burst_magic.protocol.log import unended
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Control, ControlKind, EndCause, Final, Gone, Heartbeat, Job, JobEnd
from burst_magic.testing.clock import Process
from burst_magic.testing.simhost import SimulatedHost
from burst_magic.testing.simslots import Pack, SimulatedRun
from burst_magic.testing.weather import Waiting

if TYPE_CHECKING:
    from burst_magic.testing.world import World


class SimulatedClient(SimulatedHost):
    """A kernel attached to one job. It makes one request at a time, like the driver's thread.

    Args:
        world: its world.
        name: its name in the trace.
        job: the job that it follows.
        signed: it has the key.
        stays: its user stays until the job is over, and starts workers when none lives.
        rng: its randomness.
    """

    def __init__(self, world: World, *, name: str, job: Job, signed: bool, stays: bool, rng: Random) -> None:
        super().__init__(world, name=name, rng=rng, skew=world.plan.client_skew, job=job.jid)
        self.job, self.signed, self.stays = job, signed, stays
        self.met: set[str] = set()
        self.ended_workers: set[str] = set()
        self.handed: dict[int, SimulatedRun] = {}
        self._listed_at: dict[str, float] = {}
        self.verdict: JobEnd | None = None
        self.workers_asked_at = world.clock.now  # when it requested its newest listing of workers
        self._fleet_at = 0.0
        self._controls: list[Control] = []
        self._keys = keys.SessionKeys(world.manifest.sid)
        self.handles: dict[str, Handle] = {}  # in a world with a cloud
        self._coming: tuple[tuple[str, str, float], ...] = ()
        self.machine = SessionMachine(
            manifest=world.manifest,
            signed=signed,
            now=self.now,
            wall=self.wall,
            me=name,
            patience=world.clouds.patience,
        )
        self.followed = self.machine.follow(job, self.now)

    @property
    def over(self) -> bool:
        """It is dead, or has seen the end of the job."""
        ended = self._nobody and (self._world.laws.spent_out or self._world.past_deadline)  # as its user knows
        said = self.verdict not in {None, JobEnd.FINISHED, JobEnd.NOBODY}
        return not self.alive or ended or self.followed.finished or said

    @property
    def _nobody(self) -> bool:
        return self.followed.end is JobEnd.NOBODY

    def listed_at(self, folder: str) -> float:
        """When it requested its newest listing of a folder."""
        return self._listed_at.get(folder, self.born)

    def crash(self) -> None:
        """The kernel is killed."""
        self.alive = False
        self._world.tell(self.name, "crashed")

    # --- the driver's thread -----------------------------------------------------------------------------------

    def life(self) -> Process:
        """Follow the log until the job is finished or the kernel dies."""
        yield from self._drive(fx.Tick())
        while self.alive and not self.followed.finished:
            pause = min(self.machine.wake, self._fleet_at) - self.now
            yield max(0.0, pause, self.paused_until - self._world.clock.now) + 1e-6
            yield from self._look_at_fleet()
            if self._coming:
                yield from self._drive(fx.Coming(self._coming))
            yield from self._drive(fx.Tick())
            self._touch()
            if self.machine.wake <= self.now - 1e-3 and not self.followed.finished:
                self._count_steps()
            yield from self._act_on_verdict()
        if self.alive and self.signed:
            self._touch_all()

    def _drive(self, event: fx.Event) -> Waiting[None]:
        events = [event]
        while events:
            self._count_steps()
            told = events.pop(0)
            self._world.tell(self.name, told)
            effects = self.machine.step(told, self.now)
            if isinstance(told, fx.Got) and isinstance(told.record, Control):
                self._controls.append(told.record)
                self._world.laws.check_asked(self, self._controls)
            if isinstance(told, fx.Listed) and told.folder.endswith("/results"):
                self._world.laws.check_reader(self, self._listed_at[told.folder])
            for effect in effects:
                answer = yield from self._do(effect)
                if not self.alive:
                    return
                if answer is not None:
                    events.append(answer)
            self._judge()

    def _do(self, effect: fx.Effect) -> Waiting[fx.Event | None]:
        self._world.tell(self.name, effect)
        self.requests += 1
        if isinstance(effect, fx.Replace):
            self._world.laws.check_replaced(self, effect.token)
            yield from self._replace(effect)
        elif isinstance(effect, fx.Watch):
            self._world.store.put(effect.key, None)
        elif isinstance(effect, fx.List | fx.Read | fx.Create):
            if isinstance(effect, fx.Create):
                self._world.laws.check_write(self, effect)
            asked_at = self._world.clock.now
            event = yield from self._world.store.carry(effect, self.line)
            if self._world.clock.now < self.paused_until:
                yield self.paused_until - self._world.clock.now
            if isinstance(event, fx.Listed):
                self._listed_at[event.folder] = asked_at
            if isinstance(event, fx.Listed) and event.folder == self._keys.workers_folder:
                self.workers_asked_at = asked_at
            if isinstance(event, fx.Got) and isinstance(event.record, Heartbeat):
                self.met.add(keys.base_of(event.record.worker))
                if event.record.handle:
                    handle = Handle.from_json(event.record.handle)
                    self.handles.setdefault(handle.wid, handle)
            return event
        return None

    # --- workers -------------------------------------------------------------------------------------------------

    def start_worker(self, number: int | None) -> None:
        """Start one more worker, as its user wishes."""
        if not self._world.clouds:
            self.met.add(self._world.start_worker(number))
            return
        gone = self._start_in_cloud(self._world.manifest.launcher, self._world.announce_start(number), number)
        if gone is not None:
            self._world.store.create(self._keys.gone(gone.worker), gone)

    def _replace(self, effect: fx.Replace) -> Waiting[None]:
        if not self._world.clouds:
            self.met.add(self._world.start_worker(None, token=effect.token))
            return
        gone = self._start_in_cloud(effect.launcher, effect.token, None)
        if gone is not None:
            yield from self._world.store.carry(fx.Create(self._keys.gone(gone.worker), gone), self.line)

    def _start_in_cloud(self, launcher: str, token: str, number: int | None) -> Gone | None:
        """Start a worker in a cloud; returns the ``.gone`` to write if the start was refused."""
        answer = self._world.clouds.start(launcher, token, number)
        if isinstance(answer, Handle):
            self.handles[answer.wid] = answer
        elif answer.end is not None:
            return Gone(worker=token, cause=answer.end, at=self.wall, token=token, detail=answer.problem)
        return None

    def _look_at_fleet(self) -> Waiting[None]:
        """Write ``.gone`` for ended processes that it can see."""
        if self.now < self._fleet_at:
            return
        self._fleet_at = self.now + min(self._world.manifest.interval, 5.0)
        if not (self._world.plan.reaps and self.signed):
            return
        ends = yield from (self._describe() if self._world.clouds else self._reap())
        if ends:
            self.machine.look_now(self.now)

    def _describe(self) -> Waiting[bool]:
        """Ask its clouds about their workers; returns whether any has ended."""
        self._coming, ended = (), False
        for name, cloud in self._world.clouds.by_name.items():
            mine = [
                each for wid, each in self.handles.items() if each.launcher == name and wid not in self.ended_workers
            ]
            for wid, status in cloud.describe(mine).items():
                token = self.handles[wid].token
                if status.state is WorkerState.COMING:
                    self._coming += ((token, status.phase, 0.0),)
                elif status.state is WorkerState.ENDED:
                    ended = True
                    self.ended_workers.add(wid)
                    code = status.exit_code if self._world.plan.tells_exit else None
                    gone = Gone(
                        worker=wid, cause=status.end, at=self.wall, token=token, exit_code=code, detail=status.reason
                    )
                    told = yield from self._world.store.carry(fx.Create(self._keys.gone(wid), gone), self.line)
                    if told == fx.Created(self._keys.gone(wid), fx.Wrote.REFUSED):
                        yield from self._end_again(gone)
        return ended

    def _reap(self) -> Waiting[bool]:
        """Look at the processes of this machine; returns whether any has ended."""
        ends = [w for w in sorted(self.met - self.ended_workers) if self._world.has_ended(w)]
        for wid in ends:
            self.ended_workers.add(wid)
            worker = self._world.workers[wid]
            code = -9 if worker.cause is EndCause.CRASH else 0
            gone = Gone(
                worker=wid,
                cause=EndCause.CRASH,
                at=self.wall,
                token=worker.token,
                exit_code=code if self._world.plan.tells_exit else None,
            )
            told = yield from self._world.store.carry(fx.Create(self._keys.gone(wid), gone), self.line)
            if told == fx.Created(self._keys.gone(wid), fx.Wrote.REFUSED):
                yield from self._end_again(gone)
        return bool(ends)

    def _end_again(self, gone: Gone) -> Waiting[None]:
        """Write ``.gone`` for the name of a later rejoin, if the first one exists; as in ``session.fleet``."""
        listed = yield from self._world.store.carry(fx.List(self._keys.workers_folder, gone.worker), self.line)
        names = [name for name, _ in listed.names] if isinstance(listed, fx.Listed) else []
        for name in unended(gone.worker, names):
            again = fx.Create(self._keys.gone(name), replace(gone, worker=name))
            yield from self._world.store.carry(again, self.line)

    # --- the user ------------------------------------------------------------------------------------------------

    def ask(self, kind: ControlKind, **wishes: object) -> None:
        """Write a control entry. Users' requests are not retried here, so the store has no faults for them."""
        at = self.wall
        ident = f"{int(at * 1000):014d}x{self.rng.getrandbits(32):x}"
        control = Control(kind=kind, at=at, **wishes)  # type: ignore[arg-type]
        self._world.store.create(self._keys.control(ident, kind), control)
        self._world.tell(self.name, control)

    def _judge(self) -> None:
        self.machine.validate()
        if self.followed.end is not self.verdict:
            self.verdict = self.followed.end
            self._world.tell(self.name, f"says: {self.verdict.value if self.verdict else 'it goes on'}")
            self._world.laws.check_verdict(self)

    def _act_on_verdict(self) -> Waiting[None]:
        if not (self.stays and self.signed and self._nobody and not self.over):
            return
        yield self._world.manifest.interval
        if self.alive and self._nobody:
            for _ in range(self.machine.snapshot(self.followed, self.now).wanted):
                self.start_worker(None)
            self.machine.look_now(self.now)

    def _touch(self) -> None:
        """Sometimes read a result or two."""
        for _ in range(2):
            if self.job.tasks and self.rng.random() < 0.2:
                self._hand_out(self.rng.randrange(self.job.tasks))

    def _touch_all(self) -> None:
        for task in range(self.job.tasks):
            self._hand_out(task)
        if len(self.handed) < self.job.tasks:
            self._world.broken(1, f"{self.name} has no result for every task of a finished job", self.job.jid)

    def _hand_out(self, task: int) -> None:
        """Hand out a result as ``session.results``: the one handed out before, or from the segment that counts."""
        segment = self.followed.cover.find(task)
        if task in self.handed or segment is None or not self.signed:
            return
        key = self._keys.job(self.job.jid).segment(segment)
        pack = self._world.store.get(key)
        runs = [run for run in pack.runs if run.task == task] if isinstance(pack, Pack) else []
        if len(runs) != 1:
            self._world.broken(
                2, f"{self.name} finds no result of task {task} in {key.rpartition('/')[2]}", self.job.jid
            )
        self.handed[task] = runs[0]
        final = self._world.store.get(self._keys.job(self.job.jid).final)
        if self.followed.final is not None and isinstance(final, Final):
            self._world.laws.check_agrees(self, final, task, runs[0])
