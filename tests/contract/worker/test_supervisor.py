"""A whole worker in this process: the supervisor over a store in memory, slots forked by a real template.

It runs in the main thread, as it must for its signals; the session's other side is this test, by the store.
"""

from __future__ import annotations

import gc
import itertools
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import ClaimKey, ControlKind, EndCause, OutcomeKind
from burst_magic.worker.forkserver import Template
from burst_magic.worker.supply.courier import Broken
from burst_magic.worker.supply.files import JobFiles

SECRET, SID, WID = bytes(range(32)), "20260101-000000-aaaaaaaa", "here-1-1"
PATIENCE = 60.0
_names = itertools.count()


class Marker:
    """A pickle of this leaves a file behind where it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_worker_runs_a_job_to_its_final_and_ends_idle(session):
    session.open()
    session.add("item * factor", range(100), captured={"factor": 3}, lanes=1)
    assert session.work() is EndCause.IDLE
    assert session.values() == [item * 3 for item in range(100)]
    assert session.gone().cause is EndCause.IDLE
    assert session.store.list(session.job.root, after=f"{session.job.root}/fina", limit=1)[0].key == session.job.final


@pytest.fixture
def kept():
    """Of how many jobs the worker of this test keeps files, as the garbage collector tells."""

    def living():
        return [thing for thing in gc.get_objects() if type(thing) is JobFiles]

    earlier = living()
    return lambda: len(living()) - len(earlier)


def test_a_worker_keeps_nothing_of_a_job_that_was_cancelled(session, kept):
    session.open(idle=60.0)
    session.add("__import__('time').sleep(60 * item) or item", range(3))
    session.meanwhile(lambda: session.ask("1", ControlKind.CANCEL, job="0"), session.outcomes)
    ender = threading.Thread(target=lambda: end_when(session, lambda: is_cancelled(session) and not kept()))
    ender.start()
    assert session.work() is EndCause.CLOSE
    ender.join()
    assert session.values() == [0]


def is_cancelled(session):
    return session.store.list(session.keys.control_folder, after=f"{session.keys.control_folder}/1")


def test_an_idle_worker_keeps_nothing_of_a_job_that_is_over(session, kept, tmp_path):
    gate = tmp_path / "gate"
    session.open(idle=60.0)
    session.add(f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.005)\nitem", range(3))
    session.meanwhile(gate.touch, kept)
    ender = threading.Thread(target=lambda: end_when(session, lambda: gate.exists() and not kept()))
    ender.start()
    assert session.work() is EndCause.CLOSE
    ender.join()
    assert session.values() == [0, 1, 2]


def end_when(session, over):
    """Closes the session as soon as that holds, or cancels it."""
    end = time.monotonic() + PATIENCE
    while not over() and time.monotonic() < end:
        time.sleep(0.01)
    session.ask("1", ControlKind.CLOSE if over() else ControlKind.CANCEL)


def test_a_session_that_is_gone_is_no_error_and_nothing_is_written(session):
    assert session.work() is EndCause.EXPIRED
    assert session.store.list("sessions") == []


def test_items_over_many_blocks_come_to_their_own_tasks(session):
    session.open()
    session.add("len(item), item[:1]", [bytes([task]) * (300_000 + task) for task in range(20)])
    session.work()
    assert session.values() == [(300_000 + task, bytes([task])) for task in range(20)]


@pytest.mark.parametrize("slots", [1, 2])
def test_tasks_that_end_their_process_hurt_only_themselves(session, slots):
    """More of them in a row than slots may be still-born."""
    session.open(slots=slots)
    session.add("__import__('os')._exit(7) if 5 <= item < 30 else item", range(40), lanes=slots)
    session.work()
    outcomes = session.outcomes()
    assert [each.task for each in outcomes] == list(range(40))
    assert {each.task for each in outcomes if each.kind is OutcomeKind.CRASHED} == set(range(5, 30))
    assert "exit code 7" in outcomes[5].message
    assert session.counted_as_failed() == 25
    assert session.values() == [*range(5), *range(30, 40)]


def test_a_task_that_takes_too_long_is_ended_and_those_after_it_run(session):
    session.open()
    session.add("__import__('time').sleep(60 if item == 1 else 0) or item", range(4), timeout=0.3)
    session.work()
    kinds = [each.kind for each in session.outcomes()]
    assert kinds == [OutcomeKind.VALUE, OutcomeKind.TIMEOUT, OutcomeKind.VALUE, OutcomeKind.VALUE]


RUNAWAYS = {
    "a list": "import time\nkept = []\nwhile item == 3:\n    kept.append(b'x' * (1 << 20))\n    time.sleep(0.001)\nitem",
    "a recursion": """
import sys
sys.setrecursionlimit(1_000_000_000)
def down(steps):
    return down(steps + 1) if item == 3 else item
down(0)""",
}


@pytest.mark.parametrize("runaway", RUNAWAYS)
def test_a_task_above_the_sessions_memory_limit_is_out_of_memory_and_the_others_live(session, runaway):
    session.open(slots=2, memory_limit_mb=200)
    session.add(RUNAWAYS[runaway], range(8), lanes=2)
    session.work()
    outcomes = session.outcomes()
    assert [each.task for each in outcomes if each.kind is not OutcomeKind.VALUE] == [3]
    assert (outcomes[3].error, outcomes[3].item) == ("OutOfMemory", "3")
    assert outcomes[3].peak_mb > 200
    assert session.values() == [0, 1, 2, 4, 5, 6, 7]


def test_slots_that_are_replaced_after_every_task_finish_the_job(session):
    """More of them in a row than slots may be still-born; each was rid of something that cannot be put back."""
    session.open()
    session.add("__import__('os').nice(1), item", range(30))
    session.work()
    assert {first for first, _ in session.values()} == {os.nice(0) + 1}
    assert [item for _, item in session.values()] == list(range(30))


class Silent:
    """A store that does not answer to results until it has seen so many heartbeats meanwhile."""

    def __init__(self, store, beats, meanwhile):
        self._store, self._left, self._meanwhile = store, beats, meanwhile
        self.asked, self.answers = threading.Event(), threading.Event()

    def create(self, key, data, *, whole=False):
        if "/results/" in key:
            self.asked.set()
            assert self.answers.wait(PATIENCE)
        self._store.create(key, data, whole=whole)

    def put(self, key, data, *, whole=False):
        self._store.put(key, data, whole=whole)
        if "/workers/" in key and self.asked.is_set() and not self.answers.is_set():
            self._left -= 1
            if not self._left:
                self._meanwhile()
                self.answers.set()

    def __getattr__(self, name):
        return getattr(self._store, name)


def test_a_worker_whose_results_the_store_does_not_take_waits_beats_and_loses_nothing(session, tmp_path):
    """Neither do tasks run out of time meanwhile, nor do their outcomes fill the supervisor's memory."""
    size, begun = 8 << 20, []
    session.open(idle=60.0, slots=2)
    session.add(f"open(f'{tmp_path}/{{item}}', 'w').close()\nbytes([item]) * {size}", range(80), lanes=2, timeout=2.0)
    session.store = Silent(session.store, 40, lambda: begun.extend(tmp_path.iterdir()))
    ender = threading.Thread(target=lambda: end_when(session, lambda: is_final(session)))
    ender.start()
    assert session.work() is EndCause.CLOSE
    ender.join()
    assert session.values(twice=True) == [bytes([item]) * size for item in range(80)]
    assert 16 <= len(begun) < 40  # 128 MB, and what each slot has that is not yet worth a segment


def is_final(session):
    return any(entry.key == session.job.final for entry in session.store.list(session.job.root))


def claimed(session):
    return lambda: session.store.list(session.job.claims_folder)


def test_cancel_kills_what_runs_and_keeps_what_is_done(session):
    session.open(idle=60.0)
    session.add("__import__('time').sleep(60 if item == 2 else 0) or item", range(5))
    session.meanwhile(lambda: session.ask("1", ControlKind.CANCEL), lambda: session.values() == [0, 1])
    assert session.work() is EndCause.CANCEL
    assert session.values() == [0, 1]
    assert session.gone().cause is EndCause.CANCEL


def test_sigterm_lets_the_running_task_finish_and_publishes(session, tmp_path):
    gate = tmp_path / "gate"
    session.open(idle=60.0)
    session.add(
        f"import os, time\nopen({str(gate)!r} + '.here', 'w').close()\n"
        f"while not os.path.exists({str(gate)!r}): time.sleep(0.005)\ntime.sleep(0.1 * item)\nitem",
        range(50),
    )

    def terminate():
        os.kill(os.getpid(), signal.SIGTERM)
        gate.touch()

    session.meanwhile(terminate, (tmp_path / "gate.here").exists)
    assert session.work() is EndCause.TERM
    values = session.values()
    assert values == list(range(len(values)))
    assert 1 <= len(values) < 50
    assert session.gone().cause is EndCause.TERM


def test_the_deadline_ends_a_worker_in_the_middle_of_a_task(session):
    session.open(idle=60.0, deadline=3.0)
    session.add("__import__('time').sleep(60 * item) or item", range(3))
    assert session.work() is EndCause.DEADLINE
    assert session.values() == [0]


@pytest.mark.parametrize("what", ["payload", "items", "index"])
def test_of_a_job_that_was_tampered_with_every_task_says_why_and_nothing_is_unpickled(session, tmp_path, what):
    marker = tmp_path / "somebody-unpickled-me"
    session.open()
    session.add("item", [Marker(marker) for _ in range(5)], captured={"hidden": Marker(marker)})
    key = session.job.payload if what == "payload" else session.job.items
    data = bytearray(session.store.get(key))
    data[{"payload": -1, "items": 40, "index": -12}[what]] ^= 1
    session.store.put(key, bytes(data))
    session.work()
    outcomes = session.outcomes()
    assert [(each.task, each.kind, each.error) for each in outcomes] == [
        (task, OutcomeKind.ERROR, "SignatureError") for task in range(5)
    ]
    assert all(key in each.message for each in outcomes)
    assert session.counted_as_failed() == 5
    assert not marker.exists()


def test_when_a_later_block_of_items_is_bad_the_tasks_before_it_keep_their_values(session):
    """Those that run already count as they end, and only the others as failed."""
    session.open()
    session.add("__import__('time').sleep(0.02) or item[0]", [bytes([task]) * 400_000 for task in range(8)])
    data = bytearray(session.store.get(session.job.items))
    data[data.index(bytes([6]) * 100)] ^= 1
    session.store.put(session.job.items, bytes(data))
    session.work()
    assert session.values() == [0, 1, 2, 3, 4, 5]
    assert [each.error for each in session.outcomes()][6:] == ["SignatureError"] * 2
    assert session.counted_as_failed() == 2


def test_a_payload_that_is_missing_is_the_failure_of_each_task(session):
    session.open()
    session.add("item", range(3))
    session.store.delete([session.job.payload])
    session.work()
    assert [each.error for each in session.outcomes()] == ["Missing"] * 3


def test_a_job_that_the_session_did_not_sign_is_not_run(session):
    session.open()
    session.add("item", range(3))
    data = session.store.get(session.job.record)
    session.store.put(session.job.record, data.replace(b'"tasks":3', b'"tasks":2'))
    assert session.work() is EndCause.IDLE
    assert not session.store.list(session.job.claims_folder)


def test_a_worker_whose_template_is_lost_ends_loudly(session):
    session.open(idle=60.0)
    session.add("__import__('time').sleep(60)", range(2))
    session.meanwhile(lambda: os.kill(session.template.pid, signal.SIGKILL), claimed(session))
    with pytest.raises(Broken, match="the process that its own was forked from"):
        session.work()
    assert session.store.list(session.job.results_folder) == []  # nothing is made up for the tasks
    assert (session.gone().cause, session.gone().exit_code) == (EndCause.CRASH, 1)
    assert "was forked from" in session.gone().detail


class Stillborn:
    """A template whose slots die before they say a word."""

    def __init__(self, template):
        self._template = template

    def slot(self, number, **words):
        slot = self._template.slot(number, **words)
        while not slot.pid:
            time.sleep(0.001)
        os.kill(slot.pid, signal.SIGKILL)
        return slot

    def __getattr__(self, name):
        return getattr(self._template, name)


def test_a_worker_whose_slots_die_at_birth_ends_loudly(session):
    session.open(idle=60.0)
    session.add("item", range(2))
    session.template = Template.start()
    with pytest.raises(Broken, match="exit before they accept work: its process was killed by SIGKILL"):
        session.work(Stillborn(session.template))


def test_a_range_that_was_cut_is_finished_by_who_cut_it(session):
    """Another claims from the middle on: this worker stops there, and no task is published twice."""
    session.open(idle=2.0)
    session.add("__import__('time').sleep(0.02) or item", range(60))

    def steal():
        from burst_magic.protocol.wire.model import ClaimBody

        key = session.job.claim(ClaimKey(start=30, number=0))
        body = ClaimBody(worker="other-1-1", slot=0, nonce="n", at=time.time())
        session.store.create(key, records.encode(body, secret=SECRET, key=key))

    session.meanwhile(steal, lambda: session.store.list(session.job.results_folder))
    assert session.work() is EndCause.IDLE
    parts = Cover(60)
    for entry in session.store.list(session.job.results_folder):
        segment = keys.parse_segment(entry.key)
        parts.add(segment)
        assert segment.stop <= 30 or segment.claim.start >= 30  # what lies behind the cut is another claim's
    assert parts.covered >= 30


def test_nothing_is_left_in_the_folder_for_temporary_files(session, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    session.open()
    session.add("item", range(3))
    session.work()
    assert list(Path(tmp_path).iterdir()) == []


def test_a_worker_that_comes_after_a_deadline_that_was_moved_works(session):
    session.open(deadline=-100.0, interval=2.0)  # three of them to hear that it was moved
    session.add("item", range(4))
    session.ask("1x", ControlKind.EXTEND, deadline=time.time() + 60.0)
    assert session.work() is EndCause.IDLE
    assert session.values() == [0, 1, 2, 3]


def test_a_worker_that_comes_after_the_deadline_goes_and_says_so(session):
    session.open(deadline=-100.0)
    session.add("item", range(4))
    assert session.work() is EndCause.DEADLINE
    assert session.gone().cause is EndCause.DEADLINE
