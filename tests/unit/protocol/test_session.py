"""One client, told what happens step by step."""

from __future__ import annotations

import pytest

from burst_magic.protocol import effects as fx
from burst_magic.protocol import keys
from burst_magic.protocol.log import make_final
from burst_magic.protocol.model import ControlKind, EndCause, Final, Gone
from burst_magic.protocol.ranges import Cover

SESSION = keys.SessionKeys("20261121-093000-abcdefgh")
JOB_KEYS = SESSION.job("0")
FIRST = "01800000000100.0000000000-0000000003.0.0-0"
SECOND = "01800000000200.0000000002-0000000004.1.2-0"


def final(*names) -> Final:
    cover = Cover(4)
    for name in names:
        cover.add(keys.parse_segment(name))
    return make_final("0", cover, 5.0, by="w1")


def begins(talk, *, workers=(), control=(), results=(), gone=()):
    """It has looked at everything once; the job is not finished."""
    talk.tell(fx.Tick())
    talk.got(JOB_KEYS.final, None)
    talk.listed(JOB_KEYS.results_folder, *results)
    talk.listed(SESSION.control_folder, *control)
    talk.listed(SESSION.workers_folder, *workers)
    for each in gone:
        talk.got(SESSION.gone(each.worker), each)


def test_it_looks_at_everything_at_once_on_attach(client):
    talk = client()
    talk.tell(fx.Tick())
    assert set(talk.lists()) == {JOB_KEYS.results_folder, SESSION.workers_folder, SESSION.control_folder}
    assert talk.reads() == [JOB_KEYS.final]


def test_a_finished_job_costs_one_read(client):
    talk = client()
    talk.tell(fx.Tick())
    talk.got(JOB_KEYS.final, final(FIRST, SECOND))
    assert talk.machine.finished
    assert talk.asked == []
    assert talk.wait(100.0) == []


def test_final_decides_which_segment_a_task_is_read_from(client):
    talk = client()
    begins(talk, results=(FIRST, SECOND), workers=("w.0.0",))
    assert talk.machine.cover.find(2) == keys.parse_segment(FIRST)
    talk.got(JOB_KEYS.final, final(SECOND, FIRST))
    assert talk.machine.cover.find(2) == keys.parse_segment(SECOND)


@pytest.mark.parametrize("wrote", list(fx.Wrote))
def test_final_is_read_whatever_the_store_said_of_the_write(client, wrote):
    talk = client()
    begins(talk, results=(FIRST,), workers=("w.0.0",))
    talk.listed(JOB_KEYS.results_folder, FIRST, SECOND)
    assert [each.key for each in talk.of(fx.Create)] == [JOB_KEYS.final]
    talk.created(JOB_KEYS.final, wrote)
    assert talk.reads() == [JOB_KEYS.final]
    assert not talk.machine.finished


def test_a_final_that_cannot_be_read_is_not_tried_for_without_a_pause(client):
    talk = client()
    begins(talk, results=(FIRST, SECOND), workers=("w.0.0",))
    talk.created(JOB_KEYS.final, fx.Wrote.REFUSED)
    talk.got(JOB_KEYS.final, None)
    assert talk.of(fx.Create) == []


def test_without_the_key_it_writes_nothing_and_waits_for_final(client):
    talk = client(signed=False)
    begins(talk, workers=("w.0.0",))
    talk.listed(JOB_KEYS.results_folder, FIRST, SECOND)
    assert talk.of(fx.Create) == []
    assert talk.reads() == [JOB_KEYS.final]
    talk.got(JOB_KEYS.final, None)
    assert JOB_KEYS.final in [each.key for each in talk.wait(5.0) if isinstance(each, fx.Read)]


def test_a_reader_goes_back_a_minute(client):
    talk = client()
    begins(talk, results=(FIRST,), workers=("w.0.0",))
    talk.wait(6.0)
    assert [each.after for each in talk.of(fx.List) if each.folder == JOB_KEYS.results_folder][-1:] == [
        "01799999940100"
    ]


def test_after_a_quiet_minute_it_lists_everything(client):
    talk = client()
    begins(talk, results=(FIRST,), workers=("w.0.0",))
    afters = []
    for _ in range(40):
        talk.wait(2.0)
        afters += [each.after for each in talk.of(fx.List) if each.folder == JOB_KEYS.results_folder]
        talk.listed(JOB_KEYS.results_folder, FIRST)
    assert "" in afters


def ended(talk, cause, *, control=()):
    """The only worker has said goodbye, and all has been looked at again."""
    end = Gone(worker="w", cause=cause, at=0.0)
    begins(talk, workers=("w.0.0", "w.gone"), control=control, gone=(end,))


def test_before_a_verdict_it_looks_at_all_results_once_more(client):
    talk = client()
    ended(talk, EndCause.CLOSE)
    assert talk.machine.ended is None
    assert fx.List(JOB_KEYS.results_folder) in talk.asked
    talk.listed(JOB_KEYS.results_folder, FIRST, SECOND)  # it had published them just before
    talk.listed(SESSION.control_folder)
    assert talk.machine.ended is None
    assert talk.machine.cover.whole


def test_a_verdict_waits_for_what_was_asked(client):
    """The entry is listed; until it is read nobody knows what it says."""
    talk = client()
    ended(talk, EndCause.CANCEL, control=("9x-cancel",))
    talk.listed(JOB_KEYS.results_folder)
    talk.listed(SESSION.control_folder, "9x-cancel")
    assert talk.machine.ended is None
    talk.control(kind=ControlKind.CANCEL)
    talk.listed(JOB_KEYS.results_folder)
    talk.listed(SESSION.control_folder, "0-add-job", "9x-cancel")
    assert talk.machine.ended == "cancelled"


def test_lost_workers_are_replaced_and_nothing_is_said_before_their_starts_are_seen(client):
    talk = client()
    ended(talk, EndCause.CRASH)
    asked = list(talk.asked)
    talk.listed(JOB_KEYS.results_folder)
    asked += talk.asked
    talk.listed(SESSION.control_folder)
    asked += talk.asked
    assert [each.workers for each in asked if isinstance(each, fx.Replace)] == [1]
    assert talk.machine.ended is None


def test_one_who_closed_is_not_replaced(client):
    talk = client()
    ended(talk, EndCause.CLOSE)
    talk.listed(JOB_KEYS.results_folder)
    talk.listed(SESSION.control_folder)
    assert talk.of(fx.Replace) == []
    assert talk.machine.ended == "no worker lives"


def test_a_watcher_is_announced_and_heartbeats_are_read_while_he_looks(client):
    talk = client()
    begins(talk, workers=("w.0.0",))
    talk.machine.watch(talk.now, on=True)
    assert fx.Watch(SESSION.watch) in talk.wait(1.0)
