"""A session that plays the Snapshots a test gives it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from burst_magic.protocol.snapshot import FailureGroup, Snapshot, Span
from burst_magic.protocol.wire.model import JobEnd, Outcome, OutcomeKind
from burst_magic.protocol.wire.records import TaskSpan
from burst_magic.ui import frame
from burst_magic.ui.frame import to_json

SCHEMA = Path(frame.__file__).with_name("frame.schema.json")
SID = "20261121-091500-abcd2345"


def conforms(value):
    """Checks a value of the views' classes against the schema that the panel's types are made from."""
    import jsonschema  # two seconds where JupyterLab is installed: whoever only collects tests goes without

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(to_json(value)), {**schema, "$ref": f"#/$defs/{type(value).__name__}"})
    return value


def group(count, message, *, line=None, error="", first=0, messages=1, kind=OutcomeKind.ERROR):
    """Failed tasks of one kind."""
    facts = {"kind": kind, "error": error, "line": line, "message": message}
    return FailureGroup(ident=f"{error}-{line}-{message}"[:40], count=count, messages=messages, first=first, **facts)


def snapshot(**changes) -> Snapshot:
    """Forty-two of a hundred tasks are done, two of them failed."""
    facts = {
        "sid": SID,
        "jid": "j1",
        "now": 1080.0,
        "created": 1000.0,
        "total": 100,
        "pending": 50,
        "running": 8,
        "completed": 40,
        "failed": 2,
        "wanted": 4,
        "started": 4,
        "spans": (
            Span(start=0, stop=40, state="completed"),
            Span(start=40, stop=42, state="failed"),
            Span(start=42, stop=50, state="running"),
            Span(start=50, stop=100, state="pending"),
        ),
        "forecast": 1190.0,
        "fargate_spend": 4_200,
        "failures": (group(2, "'x'", error="KeyError", line=4, first=40),),
    }
    return Snapshot(**(facts | changes))


def finished(**changes) -> Snapshot:
    """All hundred tasks have values."""
    facts = {
        "pending": 0,
        "running": 0,
        "completed": 100,
        "failed": 0,
        "failures": (),
        "spans": (Span(start=0, stop=100, state="completed"),),
        "ended": JobEnd.FINISHED,
        "finished_at": 1200.0,
        "now": 9000.0,
        "forecast": None,
    }
    return snapshot(**(facts | changes))


@dataclass
class FakeSession:
    """Publishes when told to; counts who listens."""

    id: str = SID
    job: str = "j1"
    last: Snapshot = field(default_factory=snapshot)
    listeners: list[Callable[[Snapshot], None]] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    others: bool = False  # the session has other jobs
    refusal: Exception | None = None  # what cancel raises
    silence: Exception | None = None  # what status raises
    unseen: Snapshot | None = None  # what a look finds
    eager: bool = False  # calls back at once
    outcomes: list[Outcome] = field(default_factory=list)
    asked: list[object] = field(default_factory=list)
    ran: list[TaskSpan] = field(default_factory=list)

    def subscribe(self, callback):
        self.listeners.append(callback)
        if self.eager:
            callback(self.last)
        return lambda: self.listeners.remove(callback)

    def publish(self, snapshot):
        self.last = snapshot
        for listener in list(self.listeners):
            listener(snapshot)

    def status(self, timeout=30.0):
        if self.silence:
            raise self.silence
        self.last, self.unseen = self.unseen or self.last, None
        return self.last

    def snapshot(self):
        return self.last

    def facts(self):
        return self.last

    def failed_tasks(self, *, after=-1):
        return (outcome for outcome in self.outcomes if outcome.task > after)

    def outcome(self, task):
        return next((outcome for outcome in self.outcomes if outcome.task == task), None)

    def cancel_job(self):
        self.cancelled.set()
        if self.refusal:
            raise self.refusal
        return self.others

    def cancel(self):
        self.asked.append("cancel")

    def runs(self):
        return iter(self.ran)

    def close(self):
        self.asked.append("close")

    def scale(self, workers):
        self.asked.append(("scale", workers))

    def extend(self, duration=None, *, budget=None):
        self.asked.append(("extend", duration, budget))
        return 2000.0


@pytest.fixture(name="snapshot")
def snapshot_factory():
    return snapshot


@pytest.fixture(name="finished")
def finished_factory():
    return finished


@pytest.fixture(name="group")
def group_factory():
    return group


@pytest.fixture
def session():
    return FakeSession()
