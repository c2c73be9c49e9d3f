"""What workers printed, as a session's logs ask for it: seldom, each line once, and saying why there is nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from burst_magic.errors import Denied
from burst_magic.launchers.base import PrintedLine
from burst_magic.protocol.wire.model import EndCause, Gone
from burst_magic.session.printed import WorkersOutput

NOW = 1_800_000_000.0


class Fleet:
    """Keeps lines as CloudWatch does, and counts who asks."""

    def __init__(self, *lines, workers=("w1", "w2")):
        self.lines, self.workers, self.asked, self.fault = list(lines), set(workers), [], None

    def printed(self, workers, *, since):
        self.asked.append((frozenset(workers), since))
        if self.fault:
            raise self.fault
        return [line for line in self.lines if line.at >= since and line.worker in workers]


class Clock:
    now = NOW

    def __call__(self):
        return self.now


def line(worker, at, text):
    return PrintedLine(worker=worker, at=NOW + at, text=text)


def gone(worker, token, **more):
    return Gone(worker=worker, token=token, cause=EndCause.UNSTARTED, at=NOW - 5, **more)


def output(fleet, *, ends=(), created=-86400.0, worker=""):
    job = SimpleNamespace(
        ends=tuple(ends), created=NOW + created, snapshot=lambda: SimpleNamespace(workers=[SimpleNamespace(wid="w2~1")])
    )
    clock = Clock()
    return WorkersOutput(job, fleet, worker=worker, clock=clock), clock


def texts(lines):
    return [each.text for each in lines]


def test_a_few_lines_are_looked_for_in_the_last_minutes_only():
    fleet = Fleet(line("w1", -7200, "old"), line("w1", -60, "a"), line("w2", -30, "b"))
    found, _ = output(fleet)
    assert texts(found.last(2)) == ["a", "b"]
    assert fleet.asked == [(frozenset({"w1", "w2"}), NOW - 600)]


def test_older_ones_are_asked_for_in_growing_windows_until_there_are_enough():
    fleet = Fleet(line("w1", -7200, "old"), line("w1", -60, "a"))
    found, _ = output(fleet)
    assert texts(found.last(2)) == ["old", "a"]
    assert [NOW - since for _, since in fleet.asked] == [600, 3600, 6 * 3600]


def test_a_young_session_is_asked_about_once():
    fleet = Fleet(line("w1", -60, "a"))
    found, _ = output(fleet, created=-120.0)
    assert texts(found.last(100)) == ["a"]
    assert len(fleet.asked) == 1


def test_a_worker_that_died_before_its_first_heartbeat_is_asked_about_and_a_start_that_brought_none_is_not():
    fleet = Fleet(line("dead", -6, "no such key"), workers=())
    found, _ = output(
        fleet, ends=[gone("dead", "t1", detail="never", exit_code=77), gone("t2", "t2", detail="no room")]
    )
    assert texts(found.last(9)) == ["no such key", "unstarted: never (exit code 77)", "unstarted: no room"]
    assert fleet.asked[0][0] == {"dead", "w2"}


def test_one_worker_is_asked_about_alone():
    fleet = Fleet(line("w1", -60, "a"), line("w2", -30, "b"))
    found, _ = output(fleet, worker="w1", ends=[gone("w2", "t", detail="never")])
    assert texts(found.last(9)) == ["a"]
    assert fleet.asked[0][0] == {"w1"}


def test_what_follows_comes_once_though_it_may_arrive_late():
    fleet = Fleet(line("w1", -60, "a"))
    found, clock = output(fleet)
    found.last(9)
    fleet.lines += [line("w2", -62, "late"), line("w1", 1, "new")]
    clock.now += 20
    assert sorted(texts(found.fresh())) == ["late", "new"]
    clock.now += 20
    assert texts(found.fresh()) == []


def test_while_nothing_is_printed_the_pauses_grow_and_news_makes_them_short_again():
    fleet = Fleet()
    found, clock = output(fleet)
    found.last(9)
    asked = len(fleet.asked)
    for _ in range(600):
        clock.now += 1
        list(found.fresh())
    assert 35 < len(fleet.asked) - asked < 60
    fleet.lines.append(line("w1", 601, "news"))
    clock.now += 15
    assert texts(found.fresh()) == ["news"]
    assert found.pause == 2.0


def test_that_they_cannot_be_read_is_said_once_for_each_reason():
    fleet = Fleet(line("w1", -60, "a"))
    fleet.fault = Denied("you are not allowed to call logs:FilterLogEvents", way_out="ask the administrator")
    found, clock = output(fleet)
    (said,) = texts(found.last(9))
    assert "logs:FilterLogEvents; ask the administrator" in said
    clock.now += 20
    assert texts(found.fresh()) == []
    fleet.fault = None
    clock.now += 20
    assert texts(found.fresh()) == ["a"]


@pytest.mark.parametrize("n", [1, 3])
def test_no_more_lines_than_asked_for(n):
    fleet = Fleet(*(line("w1", -60 + place, f"{place}") for place in range(9)))
    found, _ = output(fleet)
    assert texts(found.last(n)) == [f"{place}" for place in range(9 - n, 9)]
