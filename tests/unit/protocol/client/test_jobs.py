"""Several jobs of one session in one client: what is asked once, what for each, and what a pause loses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.job import JobState
from burst_magic.protocol.log import make_final
from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ControlKind, EndCause, Final, Gone, Heartbeat, JobEnd, Manifest

SESSION = keys.SessionKeys("20261121-093000-abcdefgh")
ONE, OTHER = SESSION.job("0"), SESSION.job("1")
JOINED = ("0-add-job", "1-add-job")
WHOLE = "01800000000100.0000000000-0000000004.0.0-0"


def joined_by_another(talk):
    """The client follows a second job, and nothing is outstanding."""
    other = talk.machine.follow(replace(talk.job.job, jid="1"), talk.now)
    talk.tell(fx.Tick())
    for job_keys in (ONE, OTHER):
        talk.got(job_keys.final, None)
    for folder in (ONE.results_folder, OTHER.results_folder):
        talk.listed(folder)
    talk.listed(SESSION.control_folder, *JOINED)
    talk.listed(SESSION.workers_folder, "w.0.0")
    talk.got(f"{SESSION.workers_folder}/w.0.0", Heartbeat(worker="w", number=1, at=0.0))
    return other


def final(jid):
    cover = Cover(4)
    cover.add(keys.parse_segment(WHOLE))
    return make_final(jid, cover, 5.0, by="w")


def test_workers_and_requests_are_listed_once_for_all_jobs(client):
    talk = client()
    joined_by_another(talk)
    talk.machine.look_now(talk.now)
    talk.tell(fx.Tick())
    folders = [SESSION.control_folder, SESSION.workers_folder, ONE.results_folder, OTHER.results_folder]
    assert sorted(talk.lists()) == sorted(folders)


def test_a_loss_is_made_up_for_once_whichever_job_waits(client):
    talk = client(workers=1)
    joined_by_another(talk)
    talk.listed(SESSION.workers_folder, "w.0.0", "w.gone")
    talk.got(SESSION.gone("w"), Gone(worker="w", cause=EndCause.CRASH, at=0.0))
    assert sorted(talk.lists()) == sorted([SESSION.control_folder, ONE.results_folder, OTHER.results_folder])
    for folder in (ONE.results_folder, OTHER.results_folder):
        talk.listed(folder)
    talk.listed(SESSION.control_folder, *JOINED)
    assert talk.reads() == [SESSION.manifest]
    talk.got(SESSION.manifest, talk.machine.manifest)
    assert len(talk.of(fx.Create)) == 1


def test_one_job_is_cancelled_and_the_other_goes_on(client):
    talk = client(workers=1)
    other = joined_by_another(talk)
    talk.control(kind=ControlKind.CANCEL, job="0")
    for _ in range(40):
        talk.ahead += 1
        asked = talk.wait(1.0)
        while asked:
            folder = asked.pop().folder
            found = {SESSION.workers_folder: ("w.0.0",), SESSION.control_folder: (*JOINED, "9x-cancel")}
            asked += talk.listed(folder, *found.get(folder, ()))
    assert talk.job.end is JobEnd.CANCELLED
    assert other.end is None


def test_the_clock_of_a_cancelled_job_stands_still_while_its_workers_go_on_with_another(client):
    talk = client(workers=1)
    joined_by_another(talk)
    talk.control(kind=ControlKind.CANCEL, job="0")
    seen = []
    for _ in range(60):
        talk.ahead += 1
        asked = talk.wait(1.0)
        while asked:
            folder = asked.pop().folder
            found = {SESSION.workers_folder: ("w.0.0",), SESSION.control_folder: (*JOINED, "9x-cancel")}
            asked += talk.listed(folder, *found.get(folder, ()))
        if talk.job.end is JobEnd.CANCELLED:
            seen.append(talk.machine.snapshot(talk.job, talk.now))
    assert seen[-1].workers[0].seen > seen[0].workers[0].seen + 10
    assert {each.finished_at for each in seen} == {talk.job.newest}
    assert len({each.fargate_spend for each in seen}) == 1


def test_of_a_finished_job_nothing_is_asked_while_another_is_followed(client):
    talk = client()
    other = joined_by_another(talk)
    talk.listed(ONE.results_folder, WHOLE)
    talk.created(ONE.final, fx.Wrote.DONE)
    talk.got(ONE.final, final("0"))
    assert talk.job.finished
    asked = talk.wait(5.0)
    assert OTHER.results_folder in [each.folder for each in asked if isinstance(each, fx.List)]
    assert ONE.results_folder not in [each.folder for each in asked if isinstance(each, fx.List)]
    assert other.state is JobState.FOLLOWING


def test_what_is_known_of_a_job_that_was_left_stays_and_is_added_to(client):
    talk = client()
    other = joined_by_another(talk)
    first = "01800000000100.0000000000-0000000003.0.0-0"
    talk.listed(ONE.results_folder, first)
    talk.machine.leave("0")
    talk.listed(ONE.results_folder, first, WHOLE)  # an answer that came late
    assert (talk.job.cover.covered, other.cover.covered) == (3, 0)
    assert ONE.results_folder not in [each.folder for each in talk.wait(5.0) if isinstance(each, fx.List)]
    talk.machine.take_up(talk.job, talk.now)
    talk.tell(fx.Tick())
    assert ONE.results_folder in talk.lists()


def test_answers_that_nobody_carries_any_more_are_asked_for_again(client):
    talk = client()
    talk.tell(fx.Tick())
    assert talk.asked == [fx.Read(ONE.final, Final)]
    talk.machine.resume(talk.now)
    assert talk.tell(fx.Tick()) == [fx.Read(ONE.final, Final)]
    talk.got(ONE.final, None)
    talk.listed(SESSION.control_folder, *JOINED, "9x-cancel")  # its reading is under way
    talk.machine.resume(talk.now)
    talk.tell(fx.Tick())
    assert sorted(talk.lists()) == sorted([ONE.results_folder, SESSION.workers_folder, SESSION.control_folder])
    talk.listed(SESSION.control_folder, *JOINED, "9x-cancel")
    assert talk.reads() == [f"{SESSION.control_folder}/9x-cancel"]


def test_a_start_that_was_being_announced_when_answers_were_dropped_is_announced_again(client):
    talk = client(workers=1)
    gone = Gone(worker="w", cause=EndCause.CRASH, at=0.0)

    def lost():
        talk.tell(fx.Tick())
        talk.got(ONE.final, None)
        for _ in range(2):
            talk.listed(ONE.results_folder)
            talk.listed(SESSION.control_folder, "0-add-job")
            talk.listed(SESSION.workers_folder, "w.0.0", "w.gone", "~watch")
            talk.got(SESSION.gone("w"), gone)
        talk.listed(SESSION.workers_folder, "w.0.0", "w.gone", "~watch")
        talk.got(SESSION.manifest, talk.machine.manifest)
        return [each.key for each in talk.of(fx.Create)]

    announced = lost()
    assert len(announced) == 1
    talk.machine.resume(talk.now)
    talk.machine.validate()
    assert lost() == announced


def test_a_session_that_is_deleted_ends_all_its_jobs(client):
    talk = client()
    other = joined_by_another(talk)
    talk.machine.look_now(talk.now)
    talk.tell(fx.Tick())
    assert fx.Read(SESSION.manifest, Manifest) in talk.listed(SESSION.control_folder)
    talk.got(SESSION.manifest, None)
    assert (talk.job.end, other.end) == (JobEnd.DELETED, JobEnd.DELETED)
    talk.machine.validate()


@pytest.mark.parametrize("pause", [0.0, 1.0, 5.0, 60.0])
def test_an_end_that_the_store_does_not_take_is_not_written_again_in_the_same_breath(client, pause):
    """Whoever carries it out pauses after a refusal; the round must end all the same, for somebody waits for it."""
    talk = client()
    joined_by_another(talk)
    talk.listed(ONE.results_folder, WHOLE)
    for _ in range(20):
        assert [create.key for create in talk.of(fx.Create)] == [ONE.final]
        talk.now += pause
        talk.created(ONE.final, fx.Wrote.UNKNOWN)
        assert talk.of(fx.Create) == []
        talk.got(ONE.final, None)
        assert talk.of(fx.Create) == []
        while not talk.of(fx.Create):
            talk.wait(1.0)
