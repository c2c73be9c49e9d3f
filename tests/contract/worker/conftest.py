"""A template of real slots, a bench on which cells are run in them, and a whole worker in this process."""

from __future__ import annotations

import itertools
import select
import selectors
import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from burst_magic.launchers.local import process_birth
from burst_magic.payload import Envelope, pack, pack_value, unpack_value
from burst_magic.protocol import effects as fx
from burst_magic.protocol.ranges import cut_lanes
from burst_magic.protocol.wire import blocks, keys, records, sign
from burst_magic.protocol.wire.blocks import join_entries
from burst_magic.protocol.wire.model import (
    ClaimKey,
    Control,
    ControlKind,
    EndCause,
    Gone,
    Heartbeat,
    Job,
    Manifest,
    Outcome,
    OutcomeKind,
    SegmentKey,
)
from burst_magic.protocol.wire.records import unpack_outcome
from burst_magic.stores import open_store
from burst_magic.stores.store_driver import Carrier
from burst_magic.worker.birth import Birth
from burst_magic.worker.channel.board import JobCode
from burst_magic.worker.forkserver import Template
from burst_magic.worker.slots.pool import SlotPool
from burst_magic.worker.slots.slot import Died, Message, PackedOutcomes, Ready, Slot
from burst_magic.worker.stage import Staging
from burst_magic.worker.supervisor import join
from burst_magic.worker.supply.courier import Courier
from burst_magic.worker.supply.supply import Items, Opened, Supply

PATIENCE = 60  # seconds until a test gives up waiting
SECRET, SID, WID = bytes(range(32)), "20260101-000000-aaaaaaaa", "here-1-1"
CLAIM = ClaimKey(start=0, number=1)
_names = itertools.count()


class Bench:
    """Slots of one template, and what a test wants to do with them."""

    def __init__(self, template: Template) -> None:
        self.template = template
        self.numbers = itertools.count()
        self.slots: list[Slot] = []

    def slot(self, *, limit_mb: float | None = None) -> Slot:
        slot = self.template.slot(next(self.numbers), limit_mb=limit_mb)
        self.slots.append(slot)
        return slot

    def load(self, slot: Slot, source: str, *, captured: dict[str, Any] | None = None, **job: Any) -> str:
        """A job of this cell; returns its id."""
        packed = pack(captured or {}, home=captured or {})
        cell = {
            "filename": "<cell 7>",
            "target": "item",
            "has_value": True,
            "names": packed.names,
            **{name: job.pop(name) for name in ("target", "modules", "python", "has_value", "settings") if name in job},
        }
        jid = f"j{next(self.numbers)}"
        envelope = Envelope(source=source, stream=packed.stream, **cell)
        slot.load(JobCode(jid=jid, envelope=envelope.to_bytes(), **job))
        return jid

    def run(self, slot: Slot, jid: str, items: Iterable[Any] | None, first: int = 0, *, alone: bool = False) -> None:
        """Asks for tasks with these items."""
        if items is None:
            slot.run(jid, first, None, 1, alone=alone)
            return
        entries = [pack_value(item, home={}) for item in items]
        slot.run(jid, first, join_entries(entries), len(entries), alone=alone)

    def until(self, slot: Slot, kind: type) -> list[Message]:
        """All messages up to the first of a kind."""
        found: list[Message] = []
        self.wait(slot, lambda: any(isinstance(m, (kind, Died)) for m in found), found)
        assert any(isinstance(m, kind) for m in found), found[-1]
        return found

    def wait(
        self, slot: Slot, done: Callable[[], object], found: list[Message] | None = None, *, watch: bool = False
    ) -> None:
        """Reads the slot until something is so; ``watch``: limits are enforced meanwhile."""
        end = time.monotonic() + PATIENCE
        while True:
            if watch:
                slot.enforce(time.monotonic())
                slot.nudge(time.monotonic())
            messages = slot.read()
            if found is not None:
                found += messages
            if done():
                return
            assert time.monotonic() < end, f"waited too long; running: {slot.now_running()}"
            select.select([slot], [], [], 0.02)

    def perform(
        self, source: str, items: Iterable[Any] | None = (0,), *, slot: Slot | None = None, **job: Any
    ) -> list[Outcome]:
        """Runs a cell, in a new slot unless one is given."""
        slot = slot or self.slot()
        self.run(slot, self.load(slot, source, **job), items)
        return self.outcomes(slot)

    def outcomes(self, slot: Slot) -> list[Outcome]:
        """What a slot does until it is ready."""
        messages = self.until(slot, Ready)
        assert not any(isinstance(message, Died) for message in messages), messages
        return self.told(messages)

    def told(self, messages: Iterable[Message]) -> list[Outcome]:
        """The outcomes in messages."""
        runs = [message.run for message in messages if isinstance(message, PackedOutcomes)]
        return [
            unpack_outcome(run.part(task, task + 1).data)
            for run in runs
            for task in range(run.first, run.first + run.count)
        ]


def manifest(**changes: Any) -> Manifest:
    facts = {
        "sid": "20260101-000000-aaaaaaaa",
        "created": 0.0,
        "launcher": "local",
        "workers": 1,
        "slots": 1,
        "cpu": 1.0,
        "memory_mb": 2048,
        "arch": "x86_64",
        "seed": 1,
        "deadline": 1e12,
        "idle": 60.0,
        "interval": 1.0,
        "floor": 0.05,
    }
    return Manifest(**{**facts, **changes})


@pytest.fixture(scope="session")
def describe():
    """Makes a manifest: what slots and supervisors know of their session."""
    return manifest


@pytest.fixture(scope="session")
def template():
    started = Template.start()
    yield started
    started.close()


@pytest.fixture
def bench(template):
    bench = Bench(template)
    yield bench
    for slot in bench.slots:
        slot.close()


class ClientByHand:
    """The client's side of a session, and a worker in this process."""

    def __init__(self, describe) -> None:
        self.describe = describe
        self.store = open_store(f"memory://supervisor-{next(_names)}")
        self.keys = keys.SessionKeys(SID)
        self.job = self.keys.job("0")
        self.template: Template | None = None

    def put(self, key, record) -> None:
        self.store.put(key, records.encode(record, secret=SECRET, key=key))

    def open(self, *, idle=1.0, deadline=60.0, slots=1, **more) -> None:
        """``idle``: also how long the store may be silent, so no shorter than a crowded machine may stall."""
        now = time.time()
        facts = {
            "created": now,
            "deadline": now + deadline,
            "idle": idle,
            "slots": slots,
            "interval": 0.1,
            "floor": 0.02,
        }
        self.put(self.keys.manifest, self.describe(sid=SID, **{**facts, **more}))

    def add(self, source, items, *, captured=None, lanes=1, **more) -> None:
        writer = blocks.BlockWriter(SECRET, self.job.items, lengths=True)
        pieces = [writer.add(task, pack_value(item, home={})) for task, item in enumerate(items)]
        self.store.put(self.job.items, b"".join(pieces) + writer.finish())
        packed = pack(captured or {}, home={})
        envelope = Envelope(
            source=source, stream=packed.stream, names=packed.names, filename="<cell>", target="item", has_value=True
        )
        self.store.put(self.job.payload, sign.seal(SECRET, self.job.payload, envelope.to_bytes()))
        described = Job(
            jid="0",
            created=time.time(),
            tasks=len(items),
            lanes=cut_lanes(len(items), lanes),
            seed=1,
            items=writer.index,
            **more,
        )
        self.ask("0", ControlKind.ADD_JOB, job="0")
        self.put(self.job.record, described)

    def ask(self, ident, kind, **words) -> None:
        self.put(self.keys.control(ident, kind), Control(kind=kind, at=time.time(), **words))

    def work(self, slots: Template | Staging | None = None) -> EndCause:
        birth = Birth(store=self.store.url, sid=SID, secret=SECRET, token="t", wid=WID, number=0, handle="")
        if slots is None:
            slots = self.template = Template.start()
        return join(birth, self.store, slots)

    def meanwhile(self, act, when) -> None:
        """Does something from another thread as soon as a condition holds."""

        def wait():
            end = time.monotonic() + PATIENCE
            while not when() and time.monotonic() < end:
                time.sleep(0.005)
            act()

        self.thread = threading.Thread(target=wait)
        self.thread.start()

    def outcomes(self, *, twice=False):
        """All that was published, by task; each task once, unless what was stolen may have been on its way."""
        found, cover = {}, 0
        for entry in self.store.list(self.job.results_folder):
            data = self.store.get(entry.key)
            for block, body in blocks.open_object(SECRET, entry.key, data):
                origin, packed = records.read_origin(body)
                for begin, end in itertools.pairwise(records.places_of(packed, block.first, block.count)):
                    outcome = records.unpack_outcome(packed[begin:end], origin)
                    found[outcome.task] = outcome
                    cover += 1
        assert twice or cover == len(found)
        return [found[task] for task in sorted(found)]

    def counted_as_failed(self):
        return sum(keys.parse_segment(entry.key).failed for entry in self.store.list(self.job.results_folder))

    def values(self, *, twice=False):
        return [
            unpack_value(each.value, home={}) for each in self.outcomes(twice=twice) if each.kind is OutcomeKind.VALUE
        ]

    def heartbeat(self) -> Heartbeat | None:
        for entry in self.store.list(self.keys.workers_folder):
            if keys.parse_worker(entry.key).kind == "beat":
                return records.decode(Heartbeat, self.store.get(entry.key), secret=SECRET, key=entry.key)
        return None

    def gone(self) -> Gone:
        key = self.keys.gone(WID)
        return records.decode(Gone, self.store.get(key), secret=SECRET, key=key)


@pytest.fixture
def session(describe):
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
    before = {each: signal.getsignal(each) for each in signals}
    session = ClientByHand(describe)
    yield session
    for each, handler in before.items():
        signal.signal(each, handler)
    if hasattr(session, "thread"):
        session.thread.join(PATIENCE)
    assert session.template is None or process_birth(session.template.pid) is None  # and with it all of its slots


class Gated:
    """A store in memory whose reads of some keys wait."""

    def __init__(self) -> None:
        self._inner = open_store(f"memory://slots-{next(_names)}")
        self.closed = ""  # reads of keys that end so wait
        self.open = threading.Event()
        self.got: list[str] = []

    def get(self, key, **part):
        self.got.append(key)
        if self.closed and key.endswith(self.closed):
            assert self.open.wait(PATIENCE)
        return self._inner.get(key, **part)

    def __getattr__(self, name):
        return getattr(self._inner, name)


class Hand:
    """The supervisor's loop without its machine."""

    claim = CLAIM

    def __init__(self, template, manifest) -> None:
        self.store, self.stopping, self.told = Gated(), threading.Event(), []
        self.answer = lambda event: None
        carrier = Carrier(self.store, SECRET, lambda seconds: not self.stopping.wait(seconds))
        self.courier = Courier(carrier, self.stopping)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.courier.fileno(), selectors.EVENT_READ)
        self.supply = Supply(carrier, SID, self.courier)
        self.slots = SlotPool(manifest, supply=self.supply, selector=self.selector)
        self.slots.open(template)

    def hear(self, events) -> None:
        for event in events:
            self.told.append(event)
            self.answer(event)

    def add(self, source, items, jid="0", captured=None, *, threads=0, **cell) -> None:
        job = keys.SessionKeys(SID).job(jid)
        writer = blocks.BlockWriter(SECRET, job.items, lengths=True)
        pieces = [writer.add(task, pack_value(item, home={})) for task, item in enumerate(items)]
        self.store.put(job.items, b"".join(pieces) + writer.finish())
        packed = pack(captured or {}, home={})
        cell = {"names": packed.names, "target": "item", "has_value": True, **cell}
        envelope = Envelope(source=source, stream=packed.stream, **cell)
        self.store.put(job.payload, sign.seal(SECRET, job.payload, envelope.to_bytes()))
        lanes = cut_lanes(len(items), 1)
        facts = {"threads": threads, "threads_asked": bool(threads)}
        job = Job(jid=jid, created=0.0, tasks=len(items), lanes=lanes, seed=1, items=writer.index, **facts)
        self.supply.meet(fx.Open(job))

    def until(self, done, *, deaf=False):
        """Goes round until that is so; ``deaf``: what slots say stays unread."""
        end = time.monotonic() + PATIENCE
        while not (value := done()):
            assert time.monotonic() < end, f"waited too long; told: {self.told}"
            self.selector.select(0.02)
            for event in self.courier.events():
                if isinstance(event, Items):
                    self.hear(self.slots.feed(event))
                else:
                    assert isinstance(event, Opened)
                    for items in self.supply.opened(event):
                        self.hear(self.slots.feed(items))
            if not deaf:
                for slot in self.slots.numbers:
                    self.hear(self.slots.read(slot))
            self.slots.watch(time.monotonic())
        return value

    def reach(self, upto, claim=CLAIM, job="0"):
        """Waits for the progress; all that was said to have failed on the way there."""
        self.until(lambda: [e for e in self.progress(claim, job) if e.upto >= upto])
        return [task for event in self.progress(claim, job) for task in event.failed_at]

    def progress(self, claim=CLAIM, job="0"):
        return [e for e in self.told if isinstance(e, fx.Progress) and (e.claim, e.job) == (claim, job)]

    def held(self):
        """Bytes of outcomes that wait to be published, as last told."""
        newest = {event.claim: event for event in self.told if isinstance(event, fx.Progress)}
        return sum(event.held for event in newest.values())

    def go_round(self, times=40):
        """Long enough for slots to say whatever they would."""
        turns = iter(range(times))
        self.until(lambda: next(turns, None) is None)

    def outcomes(self, start, stop, claim=CLAIM, job="0"):
        segment = SegmentKey(at_ms=1, start=start, stop=stop, failed=0, claim=claim)
        runs = self.slots.outcomes(job, segment)
        each = [run.part(task, task + 1) for run in runs for task in range(run.first, run.first + run.count)]
        return [unpack_outcome(one.data) for one in each]

    def values(self, *where, **claim):
        return [self.value_of(outcome) for outcome in self.outcomes(*where, **claim)]

    @staticmethod
    def value_of(outcome):
        return unpack_value(outcome.value, home={})


@pytest.fixture
def hand(template, request, describe):
    hand = Hand(template, describe(sid=SID, slots=getattr(request, "param", 1)))
    yield hand
    hand.store.open.set()
    for process in hand.slots._processes.values():
        process.slot.close()
    hand.courier.close()
    hand.supply.close()
