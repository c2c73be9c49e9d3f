"""What a worker's machine says to its driver beside the work: jobs to open and to let go, the time, its last moment."""

from __future__ import annotations

from burst_magic.protocol import effects as fx
from burst_magic.protocol.ranges import cut_lanes
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Control, ControlKind, EndCause, Final, Job

WALL = 1_800_000_000.0
JOB_KEYS = keys.SessionKeys("20261121-093000-abcdefgh").job("0")


def job(tasks=4):
    return Job(jid="0", created=WALL, tasks=tasks, lanes=cut_lanes(tasks, 2), seed=0)


def test_a_job_is_opened_before_it_is_run_and_let_go_when_it_is_over(worker, cancel_job):
    talk = worker()
    record = job()
    talk.joins(record)
    assert talk.of(fx.Open) == [fx.Open(record)]
    talk.control(**cancel_job)
    assert talk.of(fx.LetGo) == [fx.LetGo("0")]
    talk.control(kind=ControlKind.CANCEL, job="0")
    assert talk.of(fx.LetGo) == []


def test_a_finished_job_is_let_go_whoever_wrote_its_final(worker):
    for answer in (
        fx.Created(JOB_KEYS.final, fx.Wrote.DONE),
        fx.Got(JOB_KEYS.final, Final(job="0", at=0, by="", parts=())),
    ):
        talk = worker()
        talk.joins()
        talk.tell(answer)
        assert talk.of(fx.LetGo) == [fx.LetGo("0")]


def test_a_job_that_was_cancelled_before_it_was_known_is_not_opened(worker, cancel_job):
    talk = worker()
    talk.tell(fx.Tick())
    folder = keys.SessionKeys(JOB_KEYS.sid).control_folder
    talk.listed(folder, "9x-cancel")
    talk.got(f"{folder}/9x-cancel", Control(at=WALL, **cancel_job))
    talk.listed(folder, "0-add-job", "9x-cancel")
    assert JOB_KEYS.record in talk.reads()
    talk.got(JOB_KEYS.record, job())
    assert talk.of(fx.Open) == talk.of(fx.LetGo) == []


def test_a_heartbeat_bears_the_stores_time(worker):
    talk = worker()
    talk.tell(fx.Tick())
    talk.tell(fx.Beaten(fx.Wrote.DONE, WALL + 100.0))
    (beat, *_) = [effect for effect in talk.wait(11) if isinstance(effect, fx.Beat)]
    assert beat.at == WALL + 100.0 + 10.0


def test_a_heartbeat_says_since_when_there_is_nothing_to_do(worker):
    talk = worker(idle=300.0)
    talk.tell(fx.Tick())
    talk.tell(fx.Beaten(fx.Wrote.DONE))
    (beat, *_) = [effect for effect in talk.wait(11) if isinstance(effect, fx.Beat)]
    assert (beat.at, beat.idle_since) == (WALL + 10.0, WALL)
    talk.tell(fx.Beaten(fx.Wrote.DONE))
    talk.joins(job(tasks=4))
    (beat, *_) = [effect for effect in talk.wait(11) if isinstance(effect, fx.Beat)]
    assert beat.idle_since is None  # it takes a range


def test_its_last_moment_comes_some_intervals_after_the_deadline_or_its_farewell(worker):
    talk = worker(idle=30.0)
    assert talk.machine.last_moment == 1000.0 + 30.0
    talk.joins(job(tasks=0))
    talk.control(kind=ControlKind.EXTEND, deadline=WALL + 2000)
    assert talk.machine.last_moment == 2000.0 + 30.0
    talk.control(kind=ControlKind.CLOSE)
    assert [key.rpartition("/")[2] for key in (effect.key for effect in talk.of(fx.Create))] == ["me.gone"]
    assert talk.machine.last_moment == talk.now + 30.0
    assert talk.wait(29.0) == []
    assert talk.wait(2.0) == [fx.Exit(EndCause.DEADLINE, unheard=True)]


def test_the_last_moment_goes_by_the_stores_clock_and_never_before_it_could_ask(worker):
    talk = worker(deadline=WALL - 500.0)
    assert talk.machine.last_moment == 30.0  # it comes late, and asks whether the deadline was moved
    talk = worker()
    talk.tell(fx.Tick())
    talk.tell(fx.Beaten(fx.Wrote.DONE, WALL + 100.0))
    assert talk.machine.last_moment == 900.0 + 30.0
