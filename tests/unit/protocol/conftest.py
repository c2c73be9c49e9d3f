"""Conversations with one machine: the test is the store, the slots and the clock."""

from __future__ import annotations

from random import Random

import pytest

from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.session import SessionMachine
from burst_magic.protocol.ranges import cut_lanes
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ClaimBody, ClaimKey, Control, ControlKind, Job, Manifest
from burst_magic.protocol.worker.machine import WorkerMachine

WALL = 1_800_000_000.0
SESSION = keys.SessionKeys("20261121-093000-abcdefgh")
JOB_KEYS = SESSION.job("0")


def manifest(**changes) -> Manifest:
    facts = {
        "sid": SESSION.sid,
        "created": WALL,
        "launcher": "local",
        "workers": 2,
        "slots": 1,
        "cpu": 1.0,
        "memory_mb": 1024,
        "arch": "x86_64",
        "seed": 0,
        "deadline": WALL + 1000,
        "idle": 50.0,
        "interval": 10.0,
        "floor": 1.0,
    }
    return Manifest(**{**facts, **changes})


def job(tasks=4, lanes=2, jid="0") -> Job:
    return Job(jid=jid, created=WALL, tasks=tasks, lanes=cut_lanes(tasks, lanes), seed=0)


class Talk:
    """Tells a machine what happens and keeps what it asks for until the test takes it."""

    def __init__(self, machine, job=None) -> None:
        self.machine, self.job = machine, job
        self.now = 0.0
        self.ahead = 0.0  # the store's clock
        self.asked: list[fx.Effect] = []

    def tell(self, event: fx.Event, *, after: float = 0.0) -> list[fx.Effect]:
        self.now += after
        self.asked = self.machine.step(event, self.now)
        if self.job is not None:
            self.machine.validate()
        return self.asked

    def wait(self, seconds: float) -> list[fx.Effect]:
        """Time passes; the machine is woken when it asked to be."""
        end, found = self.now + seconds, []
        while self.machine.wake <= end and not getattr(self.machine, "left", False):
            self.now = max(self.now, self.machine.wake)
            found += self.tell(fx.Tick())
            assert self.machine.wake > self.now
        self.now = end
        self.asked = found
        return found

    def of(self, kind) -> list[fx.Effect]:
        """What it asked for last, of one kind."""
        return [effect for effect in self.asked if isinstance(effect, kind)]

    def lists(self) -> list[str]:
        return [effect.folder for effect in self.of(fx.List)]

    def reads(self) -> list[str]:
        return [effect.key for effect in self.of(fx.Read)]

    def listed(self, folder: str, *names: str, after: str = "", limit: int | None = None) -> list[fx.Effect]:
        return self.tell(fx.Listed(folder, after, tuple((name, WALL + self.ahead + self.now) for name in names), limit))

    def got(self, key: str, record) -> list[fx.Effect]:
        return self.tell(fx.Got(key, record))

    def created(self, key: str, wrote: fx.Wrote) -> list[fx.Effect]:
        return self.tell(fx.Created(key, wrote))

    def control(self, *, at=WALL, **wishes) -> list[fx.Effect]:
        """Somebody asked for something, and the machine reads it."""
        record = Control(at=at, **wishes)
        name = SESSION.control("9x", record.kind).rpartition("/")[2]
        self.listed(SESSION.control_folder, "0-add-job", name)
        return self.got(f"{SESSION.control_folder}/{name}", record)

    # --- a worker's usual beginnings

    def joins(self, record: Job | None = None) -> None:
        """It is up, knows the job, and tries the lane it was numbered for."""
        self.tell(fx.Tick())
        self.tell(fx.Beaten(fx.Wrote.DONE))
        self.tell(fx.SlotReady(0))
        self.listed(SESSION.control_folder, "0-add-job")
        self.got(JOB_KEYS.record, record or job())

    def runs(self, record: Job | None = None) -> ClaimKey:
        """It has claimed its lane and runs it."""
        self.joins(record)
        (create,) = self.of(fx.Create)
        self.created(create.key, fx.Wrote.DONE)
        (run,) = self.of(fx.Run)
        return run.claim

    def finishes(self, claim: ClaimKey, upto: int, *, jid="0") -> list[fx.Effect]:
        return self.tell(fx.Progress(0, jid, claim, upto, (), 10))

    def looks(self, claim: ClaimKey, *found: str) -> list[fx.Effect]:
        """The answer to its look before it publishes."""
        return self.listed(JOB_KEYS.claims_folder, *found, after=JOB_KEYS.claim(claim).rpartition("/")[2], limit=1)

    def publishes(self, claim: ClaimKey, upto: int) -> fx.Publish:
        """It finishes tasks, looks, and writes a segment."""
        self.finishes(claim, upto)
        self.looks(claim)
        (publish,) = self.of(fx.Publish)
        return publish


@pytest.fixture
def worker():
    """Makes a worker's conversation."""

    def make(*, number=0, **changes) -> Talk:
        nonces = iter(f"nonce{count}" for count in range(1000))
        return Talk(
            WorkerMachine(
                manifest=manifest(**changes),
                wid="me",
                number=number,
                now=0.0,
                wall=WALL,
                nonce=lambda: next(nonces),
                chance=Random(0),
            )
        )

    return make


@pytest.fixture
def client():
    """Makes a client's conversation."""

    def make(
        *, signed=True, replaces_lost_workers=True, me="me", record=None, patience=None, orphaned_after=None, **changes
    ) -> Talk:
        machine = SessionMachine(
            manifest=manifest(**changes),
            signed=signed,
            replaces_lost_workers=replaces_lost_workers,
            patience=patience,
            orphaned_after=orphaned_after,
            me=me,
            now=0.0,
            wall=WALL,
        )
        return Talk(machine, machine.follow(record or job(), 0.0))

    return make


@pytest.fixture
def claim_of():
    """The body of somebody's claim."""
    return lambda worker, nonce="another": ClaimBody(worker=worker, slot=0, nonce=nonce, at=WALL)


@pytest.fixture
def cancel_job():
    return {"kind": ControlKind.CANCEL, "job": "0"}
