"""The last lines of a job's output, without fetching all its results (law 6)."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.wire import blocks, keys
from burst_magic.protocol.wire.model import ClaimKey, JobEnd, Outcome, OutcomeKind, SegmentKey
from burst_magic.protocol.wire.records import pack_origin, pack_outcome
from burst_magic.session.logs import read_logs
from burst_magic.session.segments import SegmentReader
from burst_magic.stores import open_store
from burst_magic.stores.store_driver import Carrier

SECRET = bytes(32)
JOB = keys.SessionKeys("20261121-093000-abcdefgh").job("0")
_names = itertools.count()


class Counting:
    """A store in memory, which segments are fetched ahead from, that knows which were."""

    def __init__(self):
        self.inner = open_store(f"memory://logs-{next(_names)}")
        self.read = []

    def get(self, key, *, start=0, end=None):
        self.read.append(keys.parse_segment(key.rpartition("/")[2]).start)
        return self.inner.get(key, start=start, end=end)

    def __getattr__(self, name):
        return getattr(self.inner, name)


class Job:
    """A job as its driver shows it; whoever waits sees the rest being published and then the end.

    Args:
        tasks: how many it has.
        tail: (task, output) that heartbeats told.
    """

    def __init__(self, tasks, tail=()):
        self.store, self.ended, self.backwards = Counting(), None, False
        self._cover, self._tasks, self._tail, self._rest = Cover(tasks), tasks, tail, []
        self.reader = SegmentReader(Carrier(self.store, SECRET, lambda _: False), JOB, "tour")

    def publish(self, *segments, later=False):
        """Each segment is a dict of its tasks' output; a worker that was quicker had the higher tasks."""
        for outputs in segments:
            start = min(outputs)
            claim = ClaimKey(start=0, number=0)
            segment = SegmentKey(
                at_ms=1_800_000_000_000 + (-start if self.backwards else start),
                start=start,
                stop=max(outputs) + 1,
                failed=0,
                claim=claim,
            )
            entries = [
                (task, pack_outcome(Outcome(task=task, kind=OutcomeKind.VALUE, value=b"value", output=output)))
                for task, output in outputs.items()
            ]
            key = JOB.segment(segment)
            self.store.put(key, b"".join(blocks.write_blocks(SECRET, key, entries, lengths=False, head=pack_origin())))
            self._rest.append(segment) if later else self._cover.add(segment)

    def logs(self, *, task=None, n=100, follow=False):
        lines = read_logs(self, self.reader, None, task=task, worker=None, n=n, follow=follow)
        return [(int(line.source), line.text) for line in lines]

    def snapshot(self):
        return SimpleNamespace(total=self._tasks, tail=self._tail)

    refresh = snapshot

    def find(self, task):
        return self._cover.find(task)

    @property
    def segments(self):
        return self._cover.parts

    @property
    def covered(self):
        return self._cover.covered

    def watch(self, viewer):
        return lambda: None

    def wait_for(self, ready, timeout=None):
        self._cover.add_all(self._rest)
        self.ended = JobEnd.FINISHED
        return ready()


@pytest.fixture
def told():
    """Fifty tasks, each published by itself, each with one line."""
    job = Job(50)
    job.publish(*({task: f"line {task}\n"} for task in range(50)))
    return job


@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_so_many_segments_are_read_as_it_takes_for_the_last_lines(told, n):
    assert told.logs(n=n) == [(task, f"line {task}") for task in range(50 - n, 50)]
    assert sorted(told.store.read) == list(range(50 - n, 50))


def test_a_segment_with_many_lines_is_enough():
    job = Job(20)
    job.publish(*({2 * k: "a\nb\n", 2 * k + 1: "c\nd\ne\n"} for k in range(10)))
    assert job.logs(n=4) == [(18, "b"), (19, "c"), (19, "d"), (19, "e")]
    assert job.store.read == [18]


def test_few_more_segments_are_read_than_it_takes():
    job = Job(200)
    job.publish(*({task: "x\n" * 10} for task in range(200)))
    assert len(job.logs(n=100)) == 100
    assert set(range(190, 200)) <= set(job.store.read)
    assert len(job.store.read) < 10 + 8


def test_tasks_that_print_nothing_are_passed_over_to_the_first():
    job = Job(40)
    job.publish({0: "first\n"}, *({task: ""} for task in range(1, 39)), {39: "last\n"})
    assert job.logs(n=5) == [(0, "first"), (39, "last")]
    assert sorted(job.store.read) == list(range(40))


def test_what_runs_comes_last_and_counts():
    job = Job(50, tail=[(40, "here\nI am\n"), (3, "it is over\n")])
    job.publish(*({task: f"line {task}\n"} for task in range(40)))
    assert job.logs(n=3) == [(39, "line 39"), (40, "here"), (40, "I am")]
    assert job.store.read == [39]
    assert job.logs(n=1) == [(40, "I am")]
    assert job.store.read == [39]


def test_of_one_task_only_its_segment_is_read(told):
    assert told.logs(task=7) == [(7, "line 7")]
    assert told.store.read == [7]


def test_of_one_task_only_its_lines_are_told():
    job = Job(4)
    job.publish({0: "a\n", 1: "b\nc\n", 2: "d\n"})
    assert job.logs(task=1, n=1) == [(1, "c")]
    assert job.logs(task=3) == []
    assert job.store.read == [0]


def test_who_follows_reads_what_comes_and_nothing_before_the_last_lines():
    job = Job(53)
    job.publish(*({task: f"line {task}\n"} for task in range(50)))
    job.publish({50: "new\n", 51: ""}, {52: "newer\n"}, later=True)
    assert job.logs(n=2, follow=True) == [(48, "line 48"), (49, "line 49"), (50, "new"), (52, "newer")]
    assert sorted(job.store.read) == [48, 49, 50, 52]


def test_the_last_lines_are_those_that_were_published_last():
    job = Job(50)
    job.backwards = True
    job.publish(*({task: f"line {task}\n"} for task in range(50)))
    assert job.logs(n=3) == [(2, "line 2"), (1, "line 1"), (0, "line 0")]
