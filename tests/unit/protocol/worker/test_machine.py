"""One worker, told what happens step by step."""

from __future__ import annotations

import pytest

from burst_magic.protocol import effects as fx
from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ClaimBody, ClaimKey, ControlKind, EndCause, Final, Gone, Job, Manifest
from burst_magic.protocol.worker.known import WINDOW
from burst_magic.protocol.worker.leaving import GRACE

WALL = 1_800_000_000.0
SESSION = keys.SessionKeys("20261121-093000-abcdefgh")
JOB_KEYS = SESSION.job("0")
FIRST = ClaimKey(start=0, number=0)
FIRST_KEY = JOB_KEYS.claim(FIRST)
NOT_DONE = [fx.Wrote.REFUSED, fx.Wrote.UNKNOWN]


def test_a_numbered_worker_begins_with_its_lane_and_lists_nothing_for_it(worker):
    talk = worker(number=1)
    talk.joins()
    assert [effect.key for effect in talk.of(fx.Create)] == [JOB_KEYS.claim(ClaimKey(start=2, number=0))]


def test_a_worker_without_a_number_looks_for_a_free_lane(worker):
    talk = worker(number=None)
    talk.joins()
    assert talk.lists() == [JOB_KEYS.claims_folder]
    talk.listed(JOB_KEYS.claims_folder, "0000000000.000")
    assert [effect.key for effect in talk.of(fx.Create)] == [JOB_KEYS.claim(ClaimKey(start=2, number=0))]


NEXT_LANE = {0.1: [JOB_KEYS.claims_folder], 4.0: [JOB_KEYS.results_folder, JOB_KEYS.claims_folder]}


@pytest.mark.parametrize("after", NEXT_LANE)
def test_before_it_takes_its_next_lane_it_looks_whether_something_waits_behind_a_long_task(worker, after):
    """For a flush interval and a half nobody can be known to be in one; nobody's end is of interest yet."""
    talk = worker(number=0)
    claim = talk.runs(Job(jid="0", created=0.0, tasks=9, lanes=(0, 3, 6), seed=0))
    seen = talk.tell(fx.Progress(0, "0", claim, 3, (), 10), after=after)
    seen += talk.looks(claim)
    (publish,) = talk.of(fx.Publish)
    seen += talk.tell(fx.Published("0", publish.segment, fx.Wrote.DONE))
    asked = [one.folder for one in seen if isinstance(one, fx.List) and one.limit is None and "/jobs/" in one.folder]
    assert asked == NEXT_LANE[after]
    for folder in asked:
        talk.listed(folder, *(["0000000000.000"] if folder == JOB_KEYS.claims_folder else []))
    assert [effect.key for effect in talk.of(fx.Create)] == [
        JOB_KEYS.claim(ClaimKey(start=6, number=0))
    ]  # the other worker's comes last


@pytest.mark.parametrize("wrote", NOT_DONE)
def test_a_refused_claim_is_read_before_it_is_believed(worker, wrote):
    talk = worker()
    talk.joins()
    talk.created(FIRST_KEY, wrote)
    assert talk.asked == [fx.Read(FIRST_KEY, ClaimBody)]


@pytest.mark.parametrize("wrote", NOT_DONE)
def test_a_claim_that_carries_my_nonce_is_mine(worker, claim_of, wrote):
    talk = worker()
    talk.joins()
    talk.created(FIRST_KEY, wrote)
    talk.got(FIRST_KEY, claim_of("me", "nonce0"))
    assert [(run.start, run.stop) for run in talk.of(fx.Run)] == [(0, 2)]


def test_anothers_claim_is_lost_and_the_claims_are_listed_anew(worker, claim_of):
    talk = worker()
    talk.joins()
    talk.created(FIRST_KEY, fx.Wrote.REFUSED)
    talk.got(FIRST_KEY, claim_of("another"))
    assert talk.of(fx.Run) == []
    assert talk.lists() == [JOB_KEYS.claims_folder]


@pytest.mark.parametrize("wrote", NOT_DONE)
def test_a_claim_that_nobody_has_is_written_again(worker, wrote):
    talk = worker()
    talk.joins()
    first = talk.of(fx.Create)[0]
    talk.created(FIRST_KEY, wrote)
    talk.got(FIRST_KEY, None)
    (again,) = talk.of(fx.Create)
    assert (again.key, again.record.nonce) == (FIRST_KEY, first.record.nonce)


def test_the_first_results_are_published_at_once_and_after_a_look(worker):
    talk = worker()
    claim = talk.runs()
    talk.finishes(claim, 1)
    assert talk.asked == [fx.List(JOB_KEYS.claims_folder, "0000000000.000", 1)]
    talk.looks(claim)
    (publish,) = talk.of(fx.Publish)
    assert (publish.segment.start, publish.segment.stop, publish.segment.claim) == (0, 1, claim)


def test_a_superseded_range_is_dropped_unpublished(worker):
    talk = worker()
    claim = talk.runs()
    talk.finishes(claim, 1)
    talk.looks(claim, "0000000000.001")
    assert talk.of(fx.Publish) == []
    assert talk.of(fx.Kill) == [fx.Kill(0)]
    assert talk.machine.holds == ()


def test_a_cut_range_ends_at_the_cut(worker):
    from burst_magic.protocol.wire.model import ClaimKey as Key

    talk = worker(workers=1)
    claim = talk.runs(Job(jid="0", created=0.0, tasks=9, lanes=(0,), seed=0))
    talk.finishes(claim, 2)
    talk.looks(claim, JOB_KEYS.claim(Key(start=5, number=0)).rpartition("/")[2])
    assert talk.of(fx.Truncate) == [fx.Truncate(0, 5)]
    assert [(each.segment.start, each.segment.stop) for each in talk.of(fx.Publish)] == [(0, 2)]


@pytest.mark.parametrize("wrote", NOT_DONE)
def test_a_segment_whose_write_is_not_known_is_published_under_a_fresh_key(worker, wrote):
    talk = worker()
    claim = talk.runs()
    first = talk.publishes(claim, 1)
    talk.tell(fx.Published("0", first.segment, wrote))
    assert talk.of(fx.Forget) == []
    talk.wait(1.0)
    talk.looks(claim)
    (again,) = talk.of(fx.Publish)
    assert again.segment.at_ms > first.segment.at_ms
    assert (again.segment.start, again.segment.stop) == (0, 1)


def test_a_segment_that_was_long_on_its_way_counts(worker):
    """A large one over a slow line; who has passed its name finds it when for long nothing new came."""
    talk = worker()
    claim = talk.runs()
    first = talk.publishes(claim, 1)
    talk.tell(fx.Published("0", first.segment, fx.Wrote.DONE), after=600.0)
    assert talk.of(fx.Forget) == [fx.Forget("0", claim, 1)]


def test_what_landed_long_after_its_name_is_found_when_for_long_nothing_new_came(worker, claim_of):
    talk = worker(idle=500.0)
    mine = talk.publishes(talk.runs(Job(jid="0", created=0.0, tasks=3, lanes=(0, 2), seed=0)), 2).segment
    talk.tell(fx.Published("0", mine, fx.Wrote.DONE))
    names = {
        JOB_KEYS.claims_folder: ["0000000000.000", "0000000002.000"],
        JOB_KEYS.results_folder: [keys.segment_name(mine)],
        SESSION.workers_folder: ["me.0.0", "you.0.0"],
        SESSION.control_folder: ["0-add-job"],
    }
    effects, written = talk.listed(JOB_KEYS.claims_folder, *names[JOB_KEYS.claims_folder]), []
    while not written and talk.now < WINDOW + 20:
        effects = effects or talk.wait(1.0)
        effect = effects.pop(0) if effects else None
        if isinstance(effect, fx.List):
            if effect.folder == JOB_KEYS.results_folder and effect.after:  # somebody else's lands, named long ago
                names[effect.folder] = ["01799999900000.0000000002-0000000003.0.2-0", keys.segment_name(mine)]
            there = [name for name in names[effect.folder] if name > effect.after]
            effects += talk.listed(effect.folder, *there, after=effect.after)
        elif isinstance(effect, fx.Read):
            effects += talk.got(effect.key, claim_of("you"))
        elif isinstance(effect, fx.Beat):
            effects += talk.tell(fx.Beaten(fx.Wrote.DONE))
        elif isinstance(effect, fx.Create):
            written.append(effect.key)
    assert written == [JOB_KEYS.final]


def test_what_is_published_is_forgotten_and_never_published_again(worker):
    talk = worker()
    claim = talk.runs()
    first = talk.publishes(claim, 1)
    talk.tell(fx.Published("0", first.segment, fx.Wrote.DONE))
    assert talk.of(fx.Forget) == [fx.Forget("0", claim, 1)]
    assert [(each.segment.start, each.segment.stop) for each in [talk.publishes(claim, 2)]] == [(1, 2)]


def covered(talk):
    """It has done its lane, another worker has done the other, and it lists."""
    claim = talk.runs()
    publish = talk.publishes(claim, 2)
    talk.tell(fx.Published("0", publish.segment, fx.Wrote.DONE))
    talk.listed(JOB_KEYS.claims_folder, "0000000000.000", "0000000002.000")
    mine = keys.segment_name(publish.segment)
    talk.listed(JOB_KEYS.claims_folder, "0000000000.000", "0000000002.000")
    talk.listed(SESSION.workers_folder, "me.0.0")
    talk.listed(JOB_KEYS.results_folder, mine, "01800000000900.0000000002-0000000004.0.2-0")
    return talk.of(fx.Create)


def test_who_finds_all_covered_writes_final(worker):
    (create,) = covered(worker())
    assert create.key == JOB_KEYS.final
    assert [(start, stop) for start, stop, _ in create.record.parts] == [(0, 2), (2, 4)]


@pytest.mark.parametrize("wrote", NOT_DONE)
def test_a_refused_final_is_read_and_then_left_as_it_is(worker, wrote):
    talk = worker()
    covered(talk)
    talk.created(JOB_KEYS.final, wrote)
    assert talk.asked == [fx.Read(JOB_KEYS.final, Final)]
    talk.got(JOB_KEYS.final, Final(job="0", at=0.0, by="w1", parts=()))
    assert not [each for each in talk.wait(5.0) if isinstance(each, fx.Create)]


def test_a_final_that_cannot_be_read_is_not_tried_for_without_a_pause(worker):
    talk = worker()
    covered(talk)
    talk.created(JOB_KEYS.final, fx.Wrote.REFUSED)
    talk.got(JOB_KEYS.final, None)
    assert talk.of(fx.Create) == talk.of(fx.List) == []


def test_a_cancelled_job_is_killed_and_what_is_done_is_published(worker, cancel_job):
    talk = worker()
    claim = talk.runs()
    talk.control(**cancel_job)
    assert talk.of(fx.Kill) == [fx.Kill(0)]
    talk.tell(fx.Stopped(0, "0", claim, 1))
    talk.looks(claim)
    assert [(each.segment.start, each.segment.stop) for each in talk.of(fx.Publish)] == [(0, 1)]


def test_cancelling_a_job_leaves_the_slot_alone_that_went_on_with_another(worker, cancel_job):
    talk = worker()
    claim = talk.runs(Job(jid="0", created=0.0, tasks=2, lanes=(0,), seed=0))
    talk.finishes(claim, 2)  # its last segment is not yet published, its slot is free
    talk.listed(JOB_KEYS.claims_folder, "0000000000.000")
    talk.listed(SESSION.control_folder, "0-add-job", "1-add-job")
    talk.got(SESSION.job("1").record, Job(jid="1", created=0.0, tasks=2, lanes=(0,), seed=0))
    talk.created(SESSION.job("1").claim(FIRST), fx.Wrote.DONE)
    assert [run.job for run in talk.of(fx.Run)] == ["1"]
    talk.control(**cancel_job)
    assert talk.of(fx.Kill) == []


@pytest.mark.parametrize("kind", [ControlKind.CLOSE, ControlKind.CANCEL])
def test_the_end_of_the_session_stops_slots_and_then_the_worker(worker, kind):
    talk = worker()
    claim = talk.runs()
    talk.control(kind=kind)
    assert talk.of(fx.Drain if kind is ControlKind.CLOSE else fx.Kill)
    talk.tell(fx.Stopped(0, "0", claim, 0))
    assert [each.key for each in talk.of(fx.Create)] == [SESSION.gone("me")]
    talk.created(SESSION.gone("me"), fx.Wrote.DONE)
    assert talk.of(fx.Exit) == [fx.Exit(EndCause(kind.value))]
    assert talk.machine.left


def test_the_end_of_a_worker_is_its_last_write(worker):
    talk = worker()
    claim = talk.runs()
    assert [each for each in talk.wait(11.0) if isinstance(each, fx.Beat)]  # on its way
    talk.control(kind=ControlKind.CANCEL)
    talk.tell(fx.Stopped(0, "0", claim, 0))
    assert talk.of(fx.Create) == []
    talk.tell(fx.Beaten(fx.Wrote.UNKNOWN), after=30.0)  # the next is due long since
    assert [each.key for each in talk.of(fx.Create)] == [SESSION.gone("me")]
    assert talk.of(fx.Beat) == []


def test_a_draining_slot_is_killed_when_the_session_is_cancelled(worker):
    talk = worker()
    talk.runs()
    talk.tell(fx.Terminate())
    assert talk.of(fx.Drain) == [fx.Drain(0)]
    talk.control(kind=ControlKind.CANCEL)
    assert talk.of(fx.Kill) == [fx.Kill(0)]


def test_after_a_sigterm_with_a_grace_tasks_are_killed_in_time_to_publish_and_a_second_signal_changes_nothing(worker):
    talk = worker()
    claim = talk.runs()
    talk.tell(fx.Terminate(within=30.0))
    assert not [each for each in talk.wait(10.0) if isinstance(each, fx.Kill)]
    talk.tell(fx.Terminate(within=30.0))
    assert [each for each in talk.wait(9.0) if isinstance(each, fx.Kill)] == [fx.Kill(0)]
    talk.tell(fx.Beaten(fx.Wrote.DONE))
    talk.tell(fx.Stopped(0, "0", claim, 0))
    (create,) = talk.of(fx.Create)
    assert (create.record.cause, create.record.exit_code) == (EndCause.TERM, ExitCode.DRAINED)


def test_a_store_that_does_not_answer_keeps_no_worker_beyond_the_grace_of_a_sigterm(worker):
    talk = worker()
    talk.runs()
    talk.tell(fx.Terminate(within=30.0))
    assert [each for each in talk.wait(28.0) if isinstance(each, fx.Exit)] == [fx.Exit(EndCause.TERM)]


def test_the_deadline_kills_and_an_extension_moves_it(worker):
    talk = worker(deadline=1_800_000_100.0)
    talk.runs()
    talk.control(kind=ControlKind.EXTEND, deadline=1_800_000_200.0)
    assert not [each for each in talk.wait(150.0) if isinstance(each, fx.Kill)]
    assert [each for each in talk.wait(60.0) if isinstance(each, fx.Kill)] == [fx.Kill(0)]


def test_a_worker_that_comes_after_the_deadline_asks_first_whether_it_was_moved(worker):
    talk = worker(deadline=1_799_999_000.0)
    talk.tell(fx.Tick())
    assert talk.of(fx.Create) == []
    talk.control(kind=ControlKind.EXTEND, deadline=1_800_000_200.0)
    talk.joins()
    (create,) = talk.of(fx.Create)
    assert create.key.startswith(JOB_KEYS.claims_folder)


def test_a_worker_that_comes_after_the_deadline_goes_when_it_was_not_moved_or_nobody_answers(worker):
    for answers in (True, False):
        talk = worker(deadline=1_799_999_000.0)
        asked = talk.tell(fx.Tick())
        asked += talk.tell(fx.Beaten(fx.Wrote.DONE if answers else fx.Wrote.UNKNOWN))
        asked += talk.listed(SESSION.control_folder, "0-add-job") if answers else talk.wait(11.0)
        assert [each.record.cause for each in asked if isinstance(each, fx.Create)] == [EndCause.DEADLINE]


def test_a_worker_without_work_ends_idle_and_looks_once_more(worker):
    talk = worker()
    talk.tell(fx.Tick())
    talk.tell(fx.Beaten(fx.Wrote.DONE))
    talk.listed(SESSION.control_folder)
    talk.wait(55.0)
    talk.tell(fx.Beaten(fx.Wrote.DONE))
    assert [each.record.cause for each in talk.of(fx.Create)] == [EndCause.IDLE]
    talk.created(SESSION.gone("me"), fx.Wrote.DONE)
    assert talk.lists() == [SESSION.control_folder]
    talk.listed(SESSION.control_folder)  # the answer to a question from before its end stood
    assert talk.of(fx.Exit) == []
    talk.listed(SESSION.control_folder)
    assert talk.of(fx.Exit) == [fx.Exit(EndCause.IDLE)]


def leaving(talk):
    """Its end is written, and its last look finds a job that was announced."""
    talk.tell(fx.Tick())
    talk.tell(fx.SlotReady(0))
    talk.listed(SESSION.control_folder)
    talk.wait(55.0)
    talk.tell(fx.Beaten(fx.Wrote.DONE))
    talk.created(SESSION.gone("me"), fx.Wrote.DONE)
    talk.listed(SESSION.control_folder, "0-add-job")
    return talk


def test_work_that_came_while_it_left_is_taken_under_a_new_id(worker):
    talk = leaving(worker())
    talk.got(JOB_KEYS.record, Job(jid="0", created=0.0, tasks=1, lanes=(0,), seed=0))
    assert talk.machine.wid == "me~1"
    assert [each.worker for each in talk.of(fx.Beat)] == ["me~1"]


def test_a_job_that_was_announced_and_never_committed_keeps_nobody(worker):
    talk = leaving(worker())
    talk.got(JOB_KEYS.record, None)
    assert talk.of(fx.Exit) == [fx.Exit(EndCause.IDLE)]


def test_a_worker_that_finds_its_manifest_missing_ends_without_writing(worker):
    talk = worker()
    talk.tell(fx.Tick())
    talk.listed(SESSION.control_folder)
    assert talk.of(fx.Read) == [fx.Read(SESSION.manifest, Manifest)]
    talk.got(SESSION.manifest, None)
    assert talk.asked == [fx.Exit(EndCause.EXPIRED)]


def test_a_beat_that_is_not_answered_wakes_nobody(worker):
    talk = worker()
    talk.tell(fx.Tick())
    talk.wait(100.0)  # asserts that no wake lies in the past
    assert len([each for each in talk.asked if isinstance(each, fx.Beat)]) == 0


def test_a_worker_that_has_just_come_is_no_surplus(worker):
    """It cannot yet tell which of those with lower ids live."""
    talk = worker()
    talk.runs()
    talk.control(kind=ControlKind.SCALE, workers=1, revision=1)
    talk.listed(SESSION.workers_folder, "a.0.0", "b.0.0", "me.0.0")
    assert talk.of(fx.Drain) == []


def test_a_worker_cut_off_from_its_store_does_not_wait_for_ever(worker):
    talk = worker(idle=50.0)
    talk.runs()  # and from now on nobody answers
    talk.tell(fx.Progress(0, "0", ClaimKey(start=0, number=0), 2, (), 10))
    asked = talk.wait(50.0 + 2 * GRACE + 20.0)
    assert [each for each in asked if isinstance(each, fx.Exit)] == [fx.Exit(EndCause.IDLE)]


def test_a_task_that_does_not_finish_is_killed_some_time_after_close(worker):
    talk = worker()
    talk.runs()
    talk.control(kind=ControlKind.CLOSE)
    assert talk.of(fx.Drain) == [fx.Drain(0)]
    assert [each for each in talk.wait(GRACE - 1) if isinstance(each, fx.Kill)] == []
    assert [each for each in talk.wait(2.0) if isinstance(each, fx.Kill)] == [fx.Kill(0)]


# --- unheard of for a while -----------------------------------------------------------------------------------------


def sleeps(talk, claim, seconds=100.0):
    """It stands still and wakes in the middle of its range."""
    talk.finishes(claim, 1)
    talk.looks(claim)
    talk.tell(fx.Tick(), after=seconds)
    return talk


def test_the_time_that_a_worker_slept_is_not_time_that_it_was_idle(worker):
    talk = worker(idle=50.0)
    talk.tell(fx.Tick())
    talk.tell(fx.Beaten(fx.Wrote.DONE))
    talk.listed(SESSION.control_folder)
    talk.tell(fx.Tick(), after=500.0)
    talk.got(SESSION.gone("me"), None)
    talk.tell(fx.Beaten(fx.Wrote.DONE))
    assert [each for each in talk.wait(30.0) if isinstance(each, fx.Create)] == []
    talk.tell(fx.Beaten(fx.Wrote.DONE))
    talk.wait(30.0)
    talk.tell(fx.Beaten(fx.Wrote.DONE))
    assert [each.record.cause for each in talk.of(fx.Create)] == [EndCause.IDLE]


def test_a_worker_that_slept_looks_at_its_end_and_behind_its_claims_before_it_beats(worker):
    talk = worker(idle=500.0)
    sleeps(talk, talk.runs())
    assert fx.Read(SESSION.gone("me"), Gone) in talk.asked
    assert talk.of(fx.Beat) == []
    talk.got(SESSION.gone("me"), None)
    assert [each.worker for each in talk.of(fx.Beat)] == ["me"]


def test_a_worker_whose_end_was_written_by_mistake_keeps_its_running_task_under_a_new_name(worker):
    talk = worker(idle=500.0)
    claim = talk.runs()
    first = talk.publishes(claim, 1)
    talk.tell(fx.Published("0", first.segment, fx.Wrote.DONE))
    talk.tell(fx.Tick(), after=100.0)
    talk.looks(claim)
    talk.got(SESSION.gone("me"), Gone(worker="me", cause=EndCause.CRASH, at=0.0))
    assert talk.machine.wid == "me~1"
    assert [each.worker for each in talk.of(fx.Beat)] == ["me~1"]
    (create,) = talk.of(fx.Create)
    heir = ClaimKey(start=0, number=1)
    assert (create.key, create.record.worker) == (JOB_KEYS.claim(heir), "me~1")
    talk.created(create.key, fx.Wrote.DONE)
    assert talk.of(fx.Adopt) == [fx.Adopt("0", claim, heir)]
    assert talk.of(fx.Run) == talk.of(fx.Kill) == []
    assert talk.publishes(heir, 2).segment.claim == heir


def test_of_two_that_want_a_range_whose_owner_was_thought_dead_the_first_has_it(worker, claim_of):
    talk = worker(idle=500.0)
    claim = talk.runs()
    talk.listed(SESSION.workers_folder, "me.gone")  # it need not have slept to find it
    (create,) = talk.of(fx.Create)
    talk.created(create.key, fx.Wrote.REFUSED)
    talk.got(create.key, claim_of("another"))
    assert talk.of(fx.Kill) == [fx.Kill(0)]
    assert talk.of(fx.Forget) == [fx.Forget("0", claim, 2)]
    assert talk.machine.holds == ()


def test_a_doubting_worker_does_not_take_its_own_heir_for_another(worker):
    talk = worker(idle=500.0)
    claim = talk.runs()
    talk.listed(SESSION.workers_folder, "me.gone")
    (create,) = talk.of(fx.Create)
    talk.tell(fx.Tick(), after=100.0)  # the claim may stand by now, its answer is not here
    assert fx.Read(SESSION.gone("me~1"), Gone) in talk.asked
    assert [each for each in talk.asked if isinstance(each, fx.List) and each.limit == 1] == []
    talk.created(create.key, fx.Wrote.DONE)
    assert talk.of(fx.Adopt) == [fx.Adopt("0", claim, ClaimKey(start=0, number=1))]
    talk.finishes(ClaimKey(start=0, number=1), 2)
    assert [each.after for each in talk.of(fx.List) if each.limit == 1] == ["0000000000.001"]


# --- owners -----------------------------------------------------------------------------------------------------------


def hunts(talk, *, claims, ends):
    """Its own lane is another's; it looks who is dead."""
    talk.joins(Job(jid="0", created=0.0, tasks=9, lanes=(0,), seed=0))
    talk.created(FIRST_KEY, fx.Wrote.REFUSED)
    talk.got(FIRST_KEY, ClaimBody(worker="another", slot=0, nonce="another", at=0.0))
    talk.listed(JOB_KEYS.claims_folder, *claims)
    talk.wait(1.0)
    talk.listed(JOB_KEYS.results_folder)
    talk.listed(JOB_KEYS.claims_folder, *claims)
    talk.tell(fx.Listed(SESSION.workers_folder, "", tuple((f"{wid}.gone", at) for wid, at in ends.items())))
    return talk


def test_an_owner_that_cannot_be_read_is_asked_for_once(worker):
    talk = hunts(worker(workers=1), claims=["0000000000.000", "0000000000.001"], ends={"w0": WALL + 1})
    second = JOB_KEYS.claim(ClaimKey(start=0, number=1))
    assert talk.reads() == [second]
    talk.got(second, None)  # its session is being removed
    assert second not in talk.reads()


@pytest.mark.parametrize(("ended", "reads"), [(WALL - 100, 0), (WALL + 1, 1)])
def test_owners_are_read_where_somebody_ended_since_they_claimed(worker, ended, reads):
    talk = hunts(worker(workers=1), claims=["0000000000.000", "0000000005.000"], ends={"w9": ended})
    assert talk.reads().count(JOB_KEYS.claim(ClaimKey(start=5, number=0))) == reads


def test_a_claim_that_landed_while_it_left_is_its_own_to_take_over_when_it_is_back(worker):
    talk = worker(workers=1)
    talk.joins(Job(jid="0", created=0.0, tasks=9, lanes=(0,), seed=0))
    talk.wait(60.0)  # and nobody answers: it ends
    talk.tell(fx.Beaten(fx.Wrote.UNKNOWN))
    talk.created(FIRST_KEY, fx.Wrote.DONE)
    assert [each.record.cause for each in talk.of(fx.Create)] == [EndCause.IDLE]
    talk.created(SESSION.gone("me"), fx.Wrote.DONE)
    for _ in range(2):  # the first was asked before its end stood
        talk.listed(SESSION.control_folder, "0-add-job", "1-add-job")
    for _ in range(2):
        talk.got(SESSION.job("1").record, Job(jid="1", created=0.0, tasks=0, lanes=(), seed=0))
    assert talk.machine.wid == "me~1"
    talk.listed(JOB_KEYS.claims_folder, "0000000000.000")
    talk.listed(SESSION.job("1").claims_folder)
    talk.wait(1.0)
    talk.listed(JOB_KEYS.results_folder)
    talk.listed(JOB_KEYS.claims_folder, "0000000000.000")
    talk.listed(SESSION.workers_folder, "me.gone")
    assert JOB_KEYS.claim(ClaimKey(start=0, number=1)) in [each.key for each in talk.of(fx.Create)]


# --- the budget -------------------------------------------------------------------------------------------------------


def spending(talk, seconds):
    """A look at the fleet: itself and another, for so long at a million micro-dollars an hour."""
    began = int((WALL + talk.now - seconds) * 1000)
    beats = [SESSION.heartbeat(wid, began, 1_000_000).rpartition("/")[2] for wid in ("me", "you")]
    return talk.listed(SESSION.workers_folder, *beats)


def test_a_worker_ends_before_the_fleet_costs_more_than_the_session_may(worker):
    talk = worker(rate=1_000_000, budget=1_000_000)
    talk.runs()
    assert SESSION.workers_folder in [each.folder for each in talk.wait(10.0) if isinstance(each, fx.List)]
    spending(talk, 1780.0)
    assert talk.of(fx.Kill) == []
    spending(talk, 1791.0)  # until the next heartbeat it would be 1 801 s for each
    assert talk.of(fx.Kill) == [fx.Kill(0)]
    talk.tell(fx.Beaten(fx.Wrote.DONE))
    talk.tell(fx.Stopped(0, "0", FIRST, 0))
    (gone,) = [each.record for each in talk.of(fx.Create)]
    assert gone.cause is EndCause.BUDGET


def test_a_worker_that_is_cut_off_counts_on_for_all_that_lived_when_it_looked_last(worker):
    talk = worker(rate=1_000_000, budget=1_000_000, idle=500.0)
    talk.runs()
    spending(talk, 1700.0)
    assert [each for each in talk.wait(80.0) if isinstance(each, fx.Kill)] == []
    assert [each for each in talk.wait(20.0) if isinstance(each, fx.Kill)] == [fx.Kill(0)]


def test_a_worker_that_has_just_come_does_not_pay_for_those_that_fell_silent_long_ago(worker):
    talk = worker(rate=1_000_000, budget=1_000_000)
    talk.runs()
    began, mine = int((WALL - 36_000) * 1000), int(WALL * 1000)
    old, new = (SESSION.heartbeat(*who, 1_000_000).rpartition("/")[2] for who in (("old", began), ("me", mine)))
    talk.tell(fx.Listed(SESSION.workers_folder, "", ((new, WALL), (old, WALL - 35_000))))
    assert talk.of(fx.Kill) == []


def test_a_raised_budget_counts(worker):
    talk = worker(rate=1_000_000, budget=1_000_000)
    talk.runs()
    talk.control(kind=ControlKind.EXTEND, budget=2_000_000)
    spending(talk, 1800.0)
    assert talk.of(fx.Kill) == []


def test_what_costs_nothing_has_no_budget(worker):
    talk = worker(rate=0, budget=1)
    talk.runs()
    talk.listed(SESSION.workers_folder, SESSION.heartbeat("me", 0, 0).rpartition("/")[2])
    assert talk.of(fx.Kill) == []


# --- live output ------------------------------------------------------------------------------------------------------


def beats(talk, seconds):
    """How often it beats in that time, each heartbeat landing at once."""
    end, count = talk.now + seconds, 0
    while talk.now < end:
        if [each for each in talk.wait(0.5) if isinstance(each, fx.Beat)]:
            count += 1
            talk.tell(fx.Beaten(fx.Wrote.DONE))
    return count


def test_while_somebody_watches_a_worker_beats_every_two_seconds(worker):
    talk = worker(interval=20.0, idle=500.0)
    talk.runs()
    assert beats(talk, 40.0) == 2
    assert SESSION.workers_folder in [each.folder for each in talk.wait(20.0) if isinstance(each, fx.List)]
    talk.tell(fx.Beaten(fx.Wrote.DONE))
    talk.listed(SESSION.workers_folder, "~watch")
    assert beats(talk, 20.0) >= 9
    beats(talk, 60.0)  # nobody has looked for a minute
    assert beats(talk, 40.0) <= 3


def test_a_large_fleet_that_somebody_watches_beats_eight_times_a_second_together(worker):
    talk = worker(interval=20.0, idle=500.0)
    talk.runs()
    others = [f"other{number}.{'1':0>13}.40000" for number in range(63)]
    talk.listed(SESSION.workers_folder, "~watch", *others)
    assert 4 <= beats(talk, 40.0) <= 6  # 64 workers: each every eight seconds


def test_thousands_of_jobs_that_are_announced_and_never_committed_are_looked_for_less_and_less(worker):
    talk = worker()
    talk.joins()
    names = [f"{number}-add-job" for number in range(1, 3001)]
    reads = 0
    for _ in range(100):
        talk.now += 1.0
        talk.listed(SESSION.control_folder, "0-add-job", *names)
        reads += len(talk.reads())
        for key in talk.reads():
            talk.got(key, None)
    assert reads < 12 * len(names)


@pytest.mark.parametrize(("wrote", "tries"), [(fx.Wrote.REFUSED, 3), (fx.Wrote.UNKNOWN, 30)])
def test_a_claim_that_is_refused_and_never_there_is_left_to_its_dead_owner(worker, wrote, tries):
    """Somebody has put a folder in its place. A store that only fails to answer is tried as long as it takes."""
    talk = worker()
    talk.joins()
    claim = FIRST_KEY
    for _ in range(tries - 1):
        talk.created(claim, wrote)
        talk.got(claim, None)
        assert [each.key for each in talk.of(fx.Create)] == [claim]
    talk.created(claim, wrote)
    talk.got(claim, None)
    assert [each.key for each in talk.of(fx.Create)] == ([] if wrote is fx.Wrote.REFUSED else [claim])
