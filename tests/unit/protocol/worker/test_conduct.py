"""Events go round one way: told, stepped, carried out; what is answered at once is told next."""

from __future__ import annotations

import pytest

from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire.model import EndCause
from burst_magic.protocol.worker.conduct import Conductor, asks_for_time, clock_offset


class Scripted:
    """A machine that asks for what a test wrote down, by event."""

    def __init__(self, script):
        self.script, self.heard, self.inside = script, [], False

    def step(self, event, now):
        assert not self.inside, "a step within a step"
        self.inside = True
        self.heard.append((event, now))
        self.inside = False
        return self.script.get(event, [])


def test_answers_are_told_after_all_that_was_told_before_them():
    look, poke = fx.List("folder"), fx.Poke()
    answer = fx.Listed("folder", "", ())
    machine = Scripted({fx.Tick(): [look, look]})
    Conductor(machine, {fx.List: lambda _: [answer]}, lambda: 7.0).tell([fx.Tick(), poke])
    assert machine.heard == [(fx.Tick(), 7.0), (poke, 7.0), (answer, 7.0), (answer, 7.0)]


def test_a_hand_may_answer_nothing_and_the_machines_end_ends_it():
    done = []
    machine = Scripted({fx.Tick(): [fx.Exit(EndCause.IDLE), fx.List("folder")]})
    conductor = Conductor(machine, {fx.List: done.append}, lambda: 0.0)
    conductor.tell([fx.Poke()])
    assert conductor.exit is None
    conductor.tell([fx.Tick(), fx.Poke()])
    assert conductor.exit == fx.Exit(EndCause.IDLE)
    assert (len(done), len(machine.heard)) == (1, 2)


def test_the_first_heartbeat_asks_for_the_time_and_then_few_do():
    assert [beat for beat in range(1, 50) if asks_for_time(beat)] == [1, 21, 41]


@pytest.mark.parametrize(
    ("ended", "modified", "offset"), [(10.5, 1000.0, 990.0), (11.5, 1000.0, None), (10.5, None, None)]
)
def test_only_a_heartbeat_that_was_taken_at_once_tells_the_time(ended, modified, offset):
    assert clock_offset(10.0, ended, modified) == offset
