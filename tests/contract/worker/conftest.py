"""A template of real slots, and a bench on which cells are run in them."""

from __future__ import annotations

import itertools
import select
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from burst_magic.payload import Envelope, pack, pack_value
from burst_magic.protocol.wire.blocks import join_entries
from burst_magic.protocol.wire.model import Manifest, Outcome
from burst_magic.protocol.wire.records import unpack_outcome
from burst_magic.worker.channel.board import JobCode
from burst_magic.worker.forkserver import Template
from burst_magic.worker.slots.slot import Died, Message, PackedOutcome, Ready, Slot

PATIENCE = 30  # seconds until a test gives up waiting


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
        return [unpack_outcome(message.record) for message in messages if isinstance(message, PackedOutcome)]


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
