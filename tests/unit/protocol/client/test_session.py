"""One client, told what happens step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.starts import STARTING, replacement_token
from burst_magic.protocol.log import make_final
from burst_magic.protocol.ranges import Cover
from burst_magic.protocol.snapshot import WaitCause
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ControlKind, EndCause, Final, Gone, Heartbeat, JobEnd, Manifest, SlotView
from burst_magic.protocol.worker.poison import DEATHS, SILENT

SESSION = keys.SessionKeys("20261121-093000-abcdefgh")
JOB_KEYS = SESSION.job("0")
JOINED = "0-add-job"
WALL = 1_800_000_000.0  # of the job's beginning
TOKEN = replacement_token(SESSION.sid, "w")  # of who replaces w
FIRST = "01800000000100.0000000000-0000000003.0.0-0"
SECOND = "01800000000200.0000000002-0000000004.1.2-0"


def final(*names) -> Final:
    cover = Cover(4)
    for name in names:
        cover.add(keys.parse_segment(name))
    return make_final("0", cover, 5.0, by="w1")


def begins(talk, *, workers=(), control=(JOINED,), results=(), gone=()):
    """It has looked at everything once; the job is not finished."""
    talk.tell(fx.Tick())
    talk.got(JOB_KEYS.final, None)
    talk.listed(JOB_KEYS.results_folder, *results)
    talk.listed(SESSION.control_folder, *control)
    talk.listed(SESSION.workers_folder, *workers)
    for each in gone:
        talk.got(SESSION.gone(each.worker), each)


def test_it_asks_for_final_on_attach_and_looks_at_everything_where_there_is_none(client):
    talk = client()
    talk.tell(fx.Tick())
    assert talk.reads() == [JOB_KEYS.final]
    talk.got(JOB_KEYS.final, None)
    assert set(talk.lists()) == {JOB_KEYS.results_folder, SESSION.workers_folder, SESSION.control_folder}


def test_a_finished_job_costs_one_read(client):
    talk = client()
    talk.tell(fx.Tick())
    assert talk.lists() == []
    talk.got(JOB_KEYS.final, final(FIRST, SECOND))
    assert talk.job.finished
    assert talk.asked == []
    assert talk.wait(100.0) == []


def test_final_decides_which_segment_a_task_is_read_from(client):
    talk = client()
    begins(talk, results=(FIRST, SECOND), workers=("w.0.0",))
    assert talk.job.cover.find(2) == keys.parse_segment(FIRST)
    talk.got(JOB_KEYS.final, final(SECOND, FIRST))
    assert talk.job.cover.find(2) == keys.parse_segment(SECOND)


@pytest.mark.parametrize("wrote", list(fx.Wrote))
def test_final_is_read_whatever_the_store_said_of_the_write(client, wrote):
    talk = client()
    begins(talk, results=(FIRST,), workers=("w.0.0",))
    talk.listed(JOB_KEYS.results_folder, FIRST, SECOND)
    assert [each.key for each in talk.of(fx.Create)] == [JOB_KEYS.final]
    talk.created(JOB_KEYS.final, wrote)
    assert talk.reads() == [JOB_KEYS.final]
    assert not talk.job.finished


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


def listed_from(talk, seconds: int, *there: str) -> list[str]:
    """Where the listings of results begin that it asks for in this time; they find what is there."""
    found = []
    for _ in range(10 * seconds):
        talk.wait(0.1)
        for after in [each.after for each in talk.of(fx.List) if each.folder == JOB_KEYS.results_folder]:
            found.append(after)
            talk.listed(JOB_KEYS.results_folder, *(name for name in there if name > after))
    return found


def test_a_name_that_is_ahead_of_the_stores_clock_hides_no_others(client):
    talk = client()
    ahead = keys.segment_name(keys.parse_segment(FIRST)._replace(at_ms=1_800_000_900_000))
    begins(talk, results=(ahead,), workers=("w.0.0",))
    assert set(listed_from(talk, 12, ahead)) == {"01799999942000", "01799999999000"}


def test_a_reader_goes_back_a_minute_now_and_then_and_a_few_seconds_in_between(client):
    talk = client()
    begins(talk, results=(FIRST,), workers=("w.0.0",))
    minute, seconds = "01799999940100", "01799999997100"
    begun = listed_from(talk, 30, FIRST)
    assert set(begun) == {minute, seconds}
    assert begun.count(seconds) > begun.count(minute) >= 5


def test_who_waits_for_a_look_has_the_whole_minute_listed(client):
    talk = client()
    begins(talk, results=(FIRST,), workers=("w.0.0",))
    listed_from(talk, 2, FIRST)
    talk.machine.look_now(talk.now)
    assert listed_from(talk, 1, FIRST)[0] == "01799999940100"


def test_a_segment_that_lands_long_after_its_key_was_named_is_found(client):
    talk = client()
    begins(talk, results=(SECOND,), workers=("w.0.0",))
    late = keys.segment_name(keys.parse_segment(FIRST)._replace(at_ms=1_799_999_960_000))
    listed_from(talk, 10, late, SECOND)
    assert talk.job.cover.whole


def test_after_a_quiet_minute_it_lists_everything(client):
    talk = client()
    begins(talk, results=(FIRST,), workers=("w.0.0",))
    afters = []
    for _ in range(40):
        talk.wait(2.0)
        afters += [each.after for each in talk.of(fx.List) if each.folder == JOB_KEYS.results_folder]
        talk.listed(JOB_KEYS.results_folder, FIRST)
    assert "" in afters


def ended(talk, cause, *, control=(JOINED,)):
    """The only worker has said goodbye, and all has been looked at again."""
    end = Gone(worker="w", cause=cause, at=0.0)
    begins(talk, workers=("w.0.0", "w.gone"), control=control, gone=(end,))


def answer(talk, *workers, control=(JOINED,)):
    """Whatever it asks for is answered, until it asks for nothing; what else it asked for meanwhile."""
    others = []
    for _ in range(9):
        asked, talk.asked = talk.asked, []
        folders = {each.folder for each in asked if isinstance(each, fx.List)}
        others += [each for each in asked if isinstance(each, fx.Replace | fx.Create)]
        found = {SESSION.workers_folder: workers, SESSION.control_folder: control}
        fresh = [effect for folder in folders for effect in talk.listed(folder, *found.get(folder, ()))]
        if fx.Read(SESSION.manifest, Manifest) in asked:
            fresh += talk.got(SESSION.manifest, talk.machine.manifest)
        talk.asked = fresh
    return others


def announces(talk, workers=("w.0.0", "w.gone")):
    """Which starts it announces once it has looked at everything again, and has asked for the time."""
    asked = list(talk.asked)
    asked += talk.listed(JOB_KEYS.results_folder)
    asked += talk.listed(SESSION.control_folder, JOINED)
    if any(isinstance(each, fx.Watch) for each in asked):  # what time is it?
        asked += talk.listed(SESSION.workers_folder, *workers)
    if fx.Read(SESSION.manifest, Manifest) in asked:  # is the session still there?
        asked += talk.got(SESSION.manifest, talk.machine.manifest)
    talk.asked = asked
    return [each.key for each in talk.of(fx.Create)]


def test_before_a_verdict_it_looks_at_all_results_once_more(client):
    talk = client()
    ended(talk, EndCause.CLOSE)
    assert talk.job.end is None
    assert fx.List(JOB_KEYS.results_folder) in talk.asked
    talk.listed(JOB_KEYS.results_folder, FIRST, SECOND)  # it had published them just before
    talk.listed(SESSION.control_folder, JOINED)
    assert talk.job.end is None
    assert talk.job.cover.whole


def test_a_verdict_waits_for_what_was_asked(client):
    """The entry is listed; until it is read nobody knows what it says."""
    talk = client()
    ended(talk, EndCause.CANCEL, control=(JOINED, "9x-cancel"))
    talk.listed(JOB_KEYS.results_folder)
    talk.listed(SESSION.control_folder, JOINED, "9x-cancel")
    assert talk.job.end is None
    talk.control(kind=ControlKind.CANCEL)
    talk.listed(JOB_KEYS.results_folder)
    talk.listed(SESSION.control_folder, JOINED, "9x-cancel")
    assert talk.job.end is JobEnd.CANCELLED


def test_lost_workers_are_replaced_and_nothing_is_said_before_their_starts_are_seen(client):
    talk = client()
    ended(talk, EndCause.CRASH)
    (key,) = announces(talk)
    talk.created(key, fx.Wrote.DONE)
    assert talk.of(fx.Replace) == [fx.Replace(TOKEN, "local")]
    assert talk.job.end is None
    talk.listed(SESSION.workers_folder, "w.0.0", "w.gone", f"{TOKEN}.next")
    assert talk.of(fx.Create) == talk.of(fx.Replace) == []
    assert talk.job.end is None


def test_two_clients_that_saw_one_loss_announce_one_start_and_the_refused_one_starts_nobody(client):
    one, other = client(me="one"), client(me="other")
    for talk in (one, other):
        ended(talk, EndCause.CRASH)
    (key,), (same,) = announces(one), announces(other)
    assert key == same
    (start,) = (each.record for each in one.of(fx.Create))
    other.created(key, fx.Wrote.REFUSED)
    assert other.reads() == [key]
    other.got(key, start)
    assert other.of(fx.Replace) == []
    assert other.lists() == [SESSION.workers_folder]


@pytest.mark.parametrize("wrote", [fx.Wrote.REFUSED, fx.Wrote.UNKNOWN])
def test_a_start_whose_reply_was_lost_is_made(client, wrote):
    talk = client()
    ended(talk, EndCause.CRASH)
    (key,) = announces(talk)
    (start,) = (each.record for each in talk.of(fx.Create))
    talk.created(key, wrote)
    assert talk.of(fx.Replace) == []
    talk.got(key, start)
    assert talk.of(fx.Replace) == [fx.Replace(TOKEN, "local")]


def test_a_start_that_was_not_written_is_announced_again(client):
    """S3 answers 409 to racers though nobody won."""
    talk = client()
    ended(talk, EndCause.CRASH)
    (key,) = announces(talk)
    talk.created(key, fx.Wrote.REFUSED)
    talk.got(key, None)
    talk.listed(SESSION.workers_folder, "w.0.0", "w.gone")
    talk.got(SESSION.manifest, talk.machine.manifest)
    assert [each.key for each in talk.of(fx.Create)] == [key]


def test_who_may_not_write_announces_a_start_some_times_and_then_says_that_nobody_lives(client):
    talk = client(workers=1)
    ended(talk, EndCause.CRASH)
    announced = announces(talk)
    while talk.of(fx.Create):
        assert len(announced) < 9
        talk.created(announced[-1], fx.Wrote.UNKNOWN)
        talk.got(announced[-1], None)
        talk.listed(SESSION.workers_folder, "w.0.0", "w.gone")
        announced += announces(talk)
    assert announced == 3 * [SESSION.next(TOKEN)]
    assert talk.job.end is JobEnd.NOBODY
    at = talk.machine.snapshot(talk.job, talk.now).finished_at
    assert (
        at == talk.machine.snapshot(talk.job, talk.now + 500.0).finished_at <= WALL + talk.now
    )  # its clock stands still


def test_nobody_is_started_in_a_session_that_was_deleted(client):
    """All went between two looks; the worker's end was written behind that."""
    talk = client()
    ended(talk, EndCause.CRASH)
    talk.listed(JOB_KEYS.results_folder)
    talk.listed(SESSION.control_folder, JOINED)
    assert talk.reads() == [SESSION.manifest]
    assert talk.got(SESSION.manifest, None) == []
    assert talk.job.end is JobEnd.DELETED
    assert talk.wait(100.0) == []


def test_where_nothing_is_asked_of_a_session_it_is_looked_whether_it_is_there(client):
    talk = client()
    begins(talk, workers=("w.0.0",))
    assert talk.listed(SESSION.control_folder) == [fx.Read(SESSION.manifest, Manifest)]
    talk.got(SESSION.manifest, None)
    assert talk.job.end is JobEnd.DELETED
    assert talk.wait(100.0) == []
    talk.machine.look_now(talk.now)
    assert [each.folder for each in talk.tell(fx.Tick())] == [SESSION.workers_folder]
    assert talk.listed(SESSION.workers_folder) == []
    assert talk.job.end is JobEnd.DELETED


def test_nobody_is_started_while_a_session_is_being_deleted(client):
    """A bucket's rule deletes in any order."""
    talk = client()
    end = Gone(worker="w", cause=EndCause.CRASH, at=0.0)
    begins(talk, workers=("w.0.0", "w.gone"), control=(), gone=(end,))
    talk.got(SESSION.manifest, talk.machine.manifest)
    talk.listed(JOB_KEYS.results_folder)
    talk.listed(SESSION.control_folder)
    assert talk.got(SESSION.manifest, talk.machine.manifest) == []
    assert talk.job.end is None


@pytest.mark.parametrize("facts", [{"replaces_lost_workers": False}, {"signed": False}])
def test_who_only_looks_starts_nobody(client, facts):
    talk = client(**facts)
    ended(talk, EndCause.CRASH)
    assert announces(talk) == []
    assert talk.job.end is JobEnd.NOBODY


def test_how_many_were_replaced_is_read_from_the_log(client):
    """Three times the fleet, and what it takes to find a task that ends its workers, by whomever; a client that has
    only just come sees it too."""
    talk = client(workers=1)
    lost = ["w"]
    for _ in range(3 + SILENT + DEATHS):  # each ended like the one before
        lost.append(replacement_token(SESSION.sid, lost[-1]))
    names = [name for wid in lost for name in (f"{wid}.0.0", f"{wid}.gone")] + [f"{wid}.next" for wid in lost[1:]]
    gone = [Gone(worker=wid, cause=EndCause.CRASH, at=WALL + 1, token="" if wid == "w" else wid) for wid in lost]
    begins(talk, workers=names, gone=gone)
    assert announces(talk, names) == []
    assert talk.job.end is JobEnd.NOBODY


def test_what_was_lost_before_this_job_does_not_count(client):
    talk = client(workers=1)
    lost = [f"w{number}" for number in range(9)]
    names = [
        name for wid in lost for name in (f"{wid}.0.0", f"{wid}.gone", f"{replacement_token(SESSION.sid, wid)}.next")
    ]
    gone = [
        Gone(worker=wid, cause=EndCause.CRASH, at=WALL - 9, token=replacement_token(SESSION.sid, wid)) for wid in lost
    ]
    end = Gone(worker="w", cause=EndCause.CRASH, at=WALL + 1)
    names += ["w.0.0", "w.gone"]
    begins(talk, workers=names, gone=(*gone, end))
    assert announces(talk, names) == [SESSION.next(TOKEN)]


def silent(talk, lost, *, beat):
    """These and one more fall silent, these after a last heartbeat; for each of them somebody has announced a start."""
    heirs = [(f"{replacement_token(SESSION.sid, wid)}.next", WALL) for wid in lost]
    names = [*((f"{wid}.0.0", beat) for wid in lost), *heirs, ("w.0.0", WALL + 1)]
    begins(talk)
    for wid in (*lost, "w"):
        talk.got(f"{SESSION.workers_folder}/{wid}.0.0", Heartbeat(worker=wid, number=1, at=0.0))
    for wid in lost:  # and these have gone for want of work
        token = replacement_token(SESSION.sid, wid)
        talk.machine.crew.gone[f"{wid}x"] = Gone(worker=f"{wid}x", cause=EndCause.IDLE, at=0.0, token=token)
    for _ in range(5):
        talk.tell(fx.Listed(SESSION.workers_folder, "", tuple(names)), after=10.0)
    return talk.machine.starts.replacements_due(talk.now, set(), nobody_left=False, since=WALL)


def test_what_fell_silent_before_the_last_result_does_not_count(client):
    lost = [f"w{number}" for number in range(20)]  # more than are replaced without a result in between
    assert silent(client(workers=1), lost, beat=WALL - 9) == [TOKEN]
    assert silent(client(workers=1), lost, beat=WALL + 1) == []


def test_a_start_that_nobody_answered_is_made_again_once_with_its_token(client):
    """Whoever announced it died before he started anything."""
    talk = client(workers=1)
    begins(talk, workers=("abc.next",))
    talk.wait(STARTING - 1)
    answer(talk, "abc.next")
    assert talk.of(fx.Replace) == []
    talk.wait(1.0)
    assert answer(talk, "abc.next") == [fx.Replace("abc", "local")]
    talk.wait(STARTING - 1)
    assert answer(talk, "abc.next") == []
    assert talk.job.end is None
    talk.wait(20.0)
    (start,) = answer(talk, "abc.next")
    assert start.key == SESSION.next(replacement_token(SESSION.sid, "abc"))  # what was tried twice is lost


@pytest.mark.parametrize("seconds", [30.0, 900.0])
def test_a_start_is_given_the_patience_of_its_launcher(client, seconds):
    talk = client(workers=1, patience={"local": seconds})
    begins(talk, workers=("abc.next",))
    talk.wait(seconds - 1)
    assert answer(talk, "abc.next") == []
    talk.wait(1.0)
    assert answer(talk, "abc.next") == [fx.Replace("abc", "local")]


def test_a_start_whose_client_died_before_it_was_made_is_made_by_another_soon(client):
    talk = client(workers=2, patience={"local": 600.0}, orphaned_after={"local": 60.0}, deadline=WALL + 1e5)
    begins(talk, workers=("abc.next", "def.next"))
    made = []
    for _ in range(40):
        talk.tell(fx.Coming((("def", "provisioning", 0.0),)), after=10.0)
        made += [(talk.now, start) for start in answer(talk, "abc.next", "def.next")]
    assert made == [(60.0, fx.Replace("abc", "local"))]  # once; then it has the launcher's patience


def test_a_start_that_is_said_to_be_coming_is_no_failure_however_long_it_takes(client):
    talk = client(workers=1, patience={"local": 60.0}, deadline=WALL + 1e5)
    begins(talk, workers=("abc.next",))
    for _ in range(20):
        talk.tell(fx.Coming((("abc", "provisioning", 0.0),)), after=50.0)
        assert answer(talk, "abc.next") == []
    assert talk.job.end is None
    talk.wait(60.0)  # and then not a word
    assert answer(talk, "abc.next") == [fx.Replace("abc", "local")]


def test_what_starts_are_at_is_told_with_the_time_that_it_takes(client):
    talk = client(workers=3, patience={"local": 600.0}, deadline=WALL + 1e5)
    begins(talk, workers=("a.next", "b.next", "c.next"))
    talk.tell(fx.Coming((("a", "provisioning", 20.0), ("b", "provisioning", 0.0))), after=1.0)
    talk.tell(fx.Coming((("a", "provisioning", 50.0), ("b", "pulling the image", 30.0))), after=30.0)
    talk.wait(5.0)
    seen = talk.machine.snapshot(talk.job, talk.now)
    assert [(start.token, start.phase) for start in seen.coming] == [
        ("a", "provisioning"),
        ("b", "pulling the image"),
        ("c", "requested"),
    ]
    assert seen.waiting == "workers: 1 provisioning for 55 s, 1 pulling the image for 5 s"


def test_a_job_on_older_workers_costs_what_they_cost_while_it_ran(client):
    talk = client(workers=1)
    born = SESSION.heartbeat("w1", int((WALL - 3600.0) * 1000), 36_000).rpartition("/")[2]
    begins(talk, workers=(born,))
    talk.wait(10.0)
    seen = talk.machine.snapshot(talk.job, talk.now)
    assert (seen.spend, seen.job_spend) == (36_100, 100)  # an hour before it, ten seconds since


def kept_until(talk):
    return talk.machine.snapshot(talk.job, talk.now).kept_until


def test_workers_are_kept_after_the_last_job_until_they_were_idle_for_long_or_the_deadline(client):
    born = SESSION.heartbeat("w1", int((WALL - 60.0) * 1000), 36_000).rpartition("/")[2]
    ended = replace(final(FIRST, SECOND), at=WALL + 10.0)
    talk = client(idle=300.0, deadline=WALL + 1e5)
    begins(talk, workers=(born,))
    assert kept_until(talk) is None
    talk.got(JOB_KEYS.final, ended)
    assert kept_until(talk) == WALL + 310.0
    late = client(idle=300.0, deadline=WALL + 100.0)
    begins(late, workers=(born,))
    late.got(JOB_KEYS.final, ended)
    assert kept_until(late) == WALL + 100.0


def test_no_worker_is_kept_while_another_job_runs_or_after_all_were_told_to_end(client):
    born = SESSION.heartbeat("w1", int((WALL - 60.0) * 1000), 36_000).rpartition("/")[2]
    ended = replace(final(FIRST, SECOND), at=WALL + 10.0)
    busy, strange, closed, alone = (client(deadline=WALL + 1e5) for _ in range(4))
    for talk in (busy, strange, closed, alone):
        begins(talk, workers=() if talk is alone else (born,))
    slots = (SlotView(job="9", task=3),)
    strange.got(f"{SESSION.workers_folder}/{born}", Heartbeat(worker="w1", number=1, at=0.0, slots=slots))
    closed.control(kind=ControlKind.CLOSE)
    for talk in (busy, strange, closed, alone):
        talk.got(JOB_KEYS.final, ended)
    busy.machine.follow(replace(busy.job.job, jid="1"), busy.now)
    assert [kept_until(talk) for talk in (busy, strange, closed, alone)] == [None] * 4


def test_workers_that_ran_a_job_of_another_client_are_kept_from_when_they_say(client):
    born = SESSION.heartbeat("w1", int((WALL - 60.0) * 1000), 36_000).rpartition("/")[2]
    talk = client(idle=300.0, deadline=WALL + 1e5)
    begins(talk, workers=(born,))
    talk.got(JOB_KEYS.final, replace(final(FIRST, SECOND), at=WALL + 10.0))
    for since, kept in ((WALL + 5.0, WALL + 310.0), (None, WALL + 310.0), (WALL + 200.0, WALL + 500.0)):
        beat = Heartbeat(worker="w1", number=1, at=0.0, idle_since=since)
        talk.got(f"{SESSION.workers_folder}/{born}", beat)
        assert kept_until(talk) == kept


@pytest.mark.parametrize("told", ["deleted", "dismissed"])
def test_no_worker_is_kept_in_a_session_that_this_client_has_ended_or_that_was_deleted(client, told):
    born = SESSION.heartbeat("w1", int((WALL - 60.0) * 1000), 36_000).rpartition("/")[2]
    talk = client(deadline=WALL + 1e5)
    begins(talk, workers=(born,))
    talk.got(JOB_KEYS.final, replace(final(FIRST, SECOND), at=WALL + 10.0))
    assert kept_until(talk)
    if told == "dismissed":
        talk.machine.dismiss()
    else:
        talk.machine.look_now(talk.now)
        talk.tell(fx.Tick())
        talk.listed(SESSION.control_folder)
        talk.got(SESSION.manifest, None)
    assert kept_until(talk) is None


def test_what_failed_after_its_image_pull_began_is_billed_and_what_sent_a_heartbeat_is_billed_once(client):
    talk = client(workers=1, minimum=60.0, deadline=WALL + 1e5)
    born = SESSION.heartbeat("w1", int((WALL - 3600.0) * 1000), 36_000).rpartition("/")[2]
    ends = (
        Gone(worker="w1", cause=EndCause.SPOT, at=WALL, token="a", billed_from=WALL - 3600.0, rate=36_000),
        Gone(worker="w2", cause=EndCause.UNSTARTED, at=WALL, token="b", billed_from=WALL - 10.0, rate=60_000),
        Gone(worker="c", cause=EndCause.REFUSED, at=WALL, token="c"),
    )
    begins(talk, workers=(born, "w1.gone", "w2.gone", "c.gone"), gone=ends)
    seen = talk.machine.snapshot(talk.job, talk.now)
    assert [(life.rate, life.until - life.since) for life in seen.unheard] == [(60_000, 10.0)]
    assert seen.spend == 36_000 + 1_000  # an hour, and the minute that is billed at least


def test_workers_that_were_lost_are_counted_until_a_start_makes_up_for_them(client):
    talk = client(workers=2, deadline=WALL + 1e5)
    spot = Gone(worker="w1", cause=EndCause.SPOT, at=WALL, token="a")
    begins(talk, workers=("a.next", "w1.gone"), gone=(spot,))
    assert talk.machine.starts.lost() == 1
    made_up = f"{replacement_token(SESSION.sid, 'w1')}.next"
    talk.wait(30.0)
    answer(talk, "a.next", "w1.gone", made_up)
    assert talk.machine.starts.lost() == 0


def announced_in_time(talk, *known):
    """What it announces within a minute, and when."""
    begins(talk, workers=known)
    while talk.now < 60.0:
        made = [each for each in answer(talk, *known) if isinstance(each, fx.Create)]
        if made:
            return made, talk.now
        assert talk.job.end is None
        talk.wait(1.0)
    return [], talk.now


def test_workers_that_were_asked_for_and_announced_nowhere_are_started_once_nobody_can_still_announce_them(client):
    """The kernel was killed between ``job.json`` and its first ``.next``."""
    talk = client(workers=2, deadline=WALL + 1e5)
    made, at = announced_in_time(talk)
    assert at >= 30.0  # three intervals
    tokens = [each.record.token for each in made]
    for each in made:
        talk.created(each.key, fx.Wrote.DONE)
    assert len(set(tokens)) == 2
    assert talk.of(fx.Replace) == [fx.Replace(tokens[-1], "local")]
    same, _ = announced_in_time(client(workers=2, deadline=WALL + 1e5, me="another"))
    assert [each.key for each in same] == [each.key for each in made]


def test_where_some_were_announced_the_others_are_made_up_for_once_nobody_can_still_announce_them(client):
    """The kernel was killed between two of its first ``.next``."""

    def made(*known):
        talk = client(workers=3, deadline=WALL + 1e5)
        found, at = announced_in_time(talk, *known)
        assert at >= 30.0
        return [each.record.token for each in found]

    first, second, third = made()
    assert made("abc.next") == [second, third]
    assert made(f"{first}.next", "abc.next") == [third]
    assert made(f"{second}.next", "abc.next") == [third]
    assert made("abc.next", "def.next", "ghi.next") == []
    heir = replacement_token(SESSION.sid, "abc")  # it fills the place of abc
    assert made("abc.next", f"{heir}.next") == [second]  # both may still come: there is room for one


def test_a_start_that_was_just_announced_may_be_followed_by_others(client):
    """The client that submits announces one after the other, and may be slow."""
    talk, known, made = client(workers=9, deadline=WALL + 1e5), ["0.next"], []
    begins(talk, workers=known)
    for number in range(1, 5):
        for _ in range(25):
            talk.wait(1.0)
            made += [each for each in answer(talk, *known) if isinstance(each, fx.Create)]
        known.append(f"{number}.next")
    assert made == []


def test_a_job_that_was_just_submitted_may_get_its_workers_yet(client):
    talk = client(workers=2, deadline=WALL + 1e5)
    begins(talk, workers=["abc.next", "w.0.0"])
    for _ in range(40):
        talk.wait(1.0)
        answer(talk, "abc.next", "w.0.0")
    talk.machine.starts.expect(talk.now)
    assert not talk.machine.starts.sure_of_unannounced(talk.now + 29.0)
    assert talk.machine.starts.sure_of_unannounced(talk.now + 30.0)


def test_where_silence_shows_that_no_worker_lives_none_is_counted_as_alive(client):
    talk = client(workers=1, replaces_lost_workers=False, deadline=WALL + 1e5)
    begins(talk, workers=("w.0.0",))
    talk.got(f"{SESSION.workers_folder}/w.0.0", Heartbeat(worker="w", number=1, at=0.0))
    alive = []
    while talk.job.end is None:
        alive.append(talk.machine.snapshot(talk.job, talk.now).alive)
        assert len(alive) < 200
        talk.wait(1.0)
        talk.ahead = -talk.now  # its heartbeat stays as old as it is
        answer(talk, "w.0.0")
    assert set(alive) == {1}
    assert talk.job.end is JobEnd.NOBODY
    assert talk.machine.snapshot(talk.job, talk.now).alive == 0


def test_of_workers_that_were_announced_nowhere_no_more_are_started_than_there_are_tasks(client):
    made, _ = announced_in_time(client(workers=64, deadline=WALL + 1e5))
    assert len(made) == 4


def test_who_only_looks_says_how_workers_that_were_announced_nowhere_are_started(client):
    talk = client(workers=2, replaces_lost_workers=False)
    begins(talk)
    answer(talk)
    assert talk.job.end is JobEnd.NOBODY
    assert f"%burst_attach {SESSION.sid}" in talk.job.detail


def test_who_asks_about_a_finished_job_hears_what_was_asked_of_its_session_since(client):
    talk = client(workers=2)
    talk.tell(fx.Tick())
    talk.got(JOB_KEYS.final, final(FIRST, SECOND))
    assert talk.lists() == []
    talk.machine.look_now(talk.now)
    talk.tell(fx.Tick())
    assert SESSION.control_folder in talk.lists()
    talk.control(kind=ControlKind.SCALE, workers=5, revision=1)
    assert talk.machine.snapshot(talk.job, talk.now).wanted == 5


def refused(token, why="no capacity", cause=EndCause.REFUSED, *, name=""):
    return Gone(worker=name or token, cause=cause, at=WALL, token=token, detail=why)


def tries(talk, token, *causes, accepted=""):
    """Refuses whatever is started in place of ``token``, at once, or as a worker whose name begins with ``accepted``.

    Returns the seconds until each next try, and by which launcher; fewer if the job ends.
    """
    known, found = [f"{token}.next", f"{accepted}{token}.gone"], []
    begins(talk, workers=known, gone=(refused(token, cause=causes[0], name=accepted + token),))
    since = talk.now
    while len(found) < len(causes) and talk.job.end is None:
        asked = answer(talk, *known)
        created = [each for each in asked if isinstance(each, fx.Create)]
        if not created:
            talk.wait(1.0)
            continue
        (create,) = created
        token = create.record.token
        talk.created(create.key, fx.Wrote.DONE)
        found.append((round(talk.now - since), create.record.launcher))
        assert talk.of(fx.Replace) == [fx.Replace(token, create.record.launcher)]
        known += [f"{token}.next", f"{accepted}{token}.gone"]
        talk.listed(SESSION.workers_folder, *known)
        cause = [*causes, causes[-1]][len(found)]
        talk.got(SESSION.gone(accepted + token), refused(token, cause=cause, name=accepted + token))
        since = talk.now
    return found


def test_a_refused_start_is_made_again_later_and_later_under_new_tokens(client):
    found = tries(client(workers=1, deadline=WALL + 1e5), "abc", *[EndCause.REFUSED] * 8)
    assert [launcher for _, launcher in found] == ["local"] * 8
    waits = [seconds for seconds, _ in found]
    assert waits == sorted(waits)
    assert 9 <= waits[0] <= 21
    assert 300 <= waits[-1] <= 321


@pytest.mark.parametrize("accepted", ["", "task-"])
def test_a_start_that_came_to_nothing_is_made_again_once_after_a_pause_and_then_said_to_be_in_vain(client, accepted):
    talk = client(workers=1, deadline=WALL + 1e5)
    found = tries(talk, "abc", *[EndCause.UNSTARTED] * 4, accepted=accepted)
    assert [seconds // 5 for seconds, _ in found] == [2]
    answer(talk)
    assert talk.job.end is JobEnd.NOBODY
    assert talk.job.detail == "no capacity; %burst_scale 1 tries again"


def fails(talk, *ends, beats=(), more=()):
    """These starts have ended, in this order, and these workers have beaten: (name, seconds since the beginning)."""
    begins(talk)
    names = [(f"{name}.next", WALL) for name, _ in ends]
    names += [(f"{gone.worker}.gone", WALL + at) for at, (_, gone) in enumerate(ends)]
    names += [(f"{name}.0.0", WALL + at) for name, at in beats]
    talk.tell(fx.Listed(SESSION.workers_folder, "", tuple(names)))
    for name, _ in beats:
        talk.got(f"{SESSION.workers_folder}/{name}.0.0", Heartbeat(worker=name, number=1, at=0.0, token=f"t{name}"))
    for _, gone in ends:
        talk.got(SESSION.gone(gone.worker), gone)
    return talk.machine.starts.given_up


def came_to(cause, *names):
    return [(name, refused(name, "for this reason", cause)) for name in names]


NOTHING = [EndCause.UNSTARTED, EndCause.CRASH, EndCause.BROKEN, EndCause.MEMORY]


@pytest.mark.parametrize("cause", EndCause)
def test_no_more_workers_are_started_once_two_in_a_row_could_not_be_brought_up_for_a_reason_that_stays(client, cause):
    assert fails(client(), *came_to(cause, "a", "b")) == (cause in NOTHING)
    assert not fails(client(), *came_to(cause, "a"))


@pytest.mark.parametrize("between", [EndCause.REFUSED, EndCause.DELAYED, EndCause.SPOT, EndCause.STOPPED])
def test_what_passes_by_itself_is_no_sign_that_the_next_worker_will_start(client, between):
    ends = (*came_to(EndCause.UNSTARTED, "a"), *came_to(between, "b"), *came_to(EndCause.UNSTARTED, "c"))
    assert fails(client(), *ends)


def test_a_sign_of_life_of_any_worker_shows_that_workers_can_start(client):
    ends = came_to(EndCause.UNSTARTED, "a", "b")
    assert fails(client(), *ends, beats=[("w", -1)])
    assert not fails(client(), *ends, beats=[("w", 1)])
    assert not fails(client(), *came_to(EndCause.UNSTARTED, "a", "b", "c"), beats=[("w", 1)])
    assert fails(client(), *came_to(EndCause.UNSTARTED, "a", "b", "c", "d"), beats=[("w", 1)])


def test_a_worker_that_lived_while_it_installed_in_vain_is_no_sign_that_others_can(client):
    """Its heartbeats say "installing"; its end says that it could not."""
    assert fails(client(), *came_to(EndCause.UNSTARTED, "a", "b"), beats=[("a", 9), ("b", 9)])


def test_a_worker_that_lived_and_crashed_is_replaced_however_often(client):
    """A task may have ended it, and is to be found."""
    assert not fails(client(), *came_to(EndCause.CRASH, "a", "b", "c"), beats=[("a", 0), ("b", 0), ("c", 0)])


def test_while_others_are_coming_their_fate_is_waited_for_and_status_says_that_no_more_are_tried(client):
    talk = client(workers=3)
    names = ("a.next", "b.next", "c.next", "a.gone", "b.gone")
    ends = [refused(name, "no such image", EndCause.UNSTARTED) for name in ("a", "b")]
    begins(talk, workers=names, gone=ends)
    talk.wait(STARTING - 1)
    assert answer(talk, *names) == []
    assert talk.job.end is None
    seen = talk.machine.snapshot(talk.job, talk.now)
    assert seen.waiting == "2 of 3 workers could not start, and no more are tried: no such image"


def test_once_a_worker_lives_those_that_could_not_be_brought_up_are_made_up_for(client):
    """Somebody has asked for a worker, and what was missing was there this time."""
    talk = client(workers=2, deadline=WALL + 1e5)
    ends = [refused(name, "no such image", EndCause.UNSTARTED) for name in ("a", "b")]
    known = ["a.next", "b.next", "a.gone", "b.gone"]
    begins(talk, workers=known, gone=ends)
    answer(talk, *known)
    assert talk.job.end is JobEnd.NOBODY
    known += ["c.next", "w.0.0"]
    talk.wait(10.0)
    answer(talk, *known)
    talk.got(f"{SESSION.workers_folder}/w.0.0", Heartbeat(worker="w", number=1, at=0.0, token="c"))
    talk.wait(10.0)
    made = answer(talk, *known)
    assert talk.job.end is None
    assert len(made) == 1


@pytest.mark.parametrize("accepted", ["", "task-"])
def test_a_fallback_is_asked_at_once_and_the_first_launcher_again_later(client, accepted):
    talk = client(workers=1, deadline=WALL + 1e5, launcher="spot", fallback="fargate")
    found = tries(talk, "abc", *[EndCause.REFUSED] * 4, accepted=accepted)
    assert [launcher for _, launcher in found] == ["fargate", "spot", "fargate", "spot"]
    assert found[0][0] <= 2
    assert found[1][0] >= 9
    assert found[2][0] <= 2


@pytest.mark.parametrize("accepted", ["", "task-"])
@pytest.mark.parametrize(("cause", "pauses"), [(EndCause.DELAYED, [2, 4, 8, 16]), (EndCause.UNSTARTED, [2])])
def test_what_the_fallback_would_meet_too_waits_for_the_first_launcher(client, cause, pauses, accepted):
    """A throttle and a missing image are no lack of room, and the fallback costs more."""
    talk = client(workers=1, deadline=WALL + 1e5, launcher="spot", fallback="fargate")
    found = tries(talk, "abc", *[cause] * 4, accepted=accepted)
    assert {launcher for _, launcher in found} == {"spot"}
    assert [seconds // 5 for seconds, _ in found] == pauses


def test_a_fallback_that_is_throttled_waits_and_the_first_launcher_is_asked_for_room_first(client):
    talk = client(workers=1, deadline=WALL + 1e5, launcher="spot", fallback="fargate")
    causes = (EndCause.DELAYED, EndCause.REFUSED, EndCause.DELAYED, EndCause.REFUSED)
    found = tries(talk, "abc", *causes)
    assert [launcher for _, launcher in found] == ["spot", "fargate", "spot", "fargate"]
    assert [seconds // 5 for seconds, _ in found] == [2, 0, 4, 0]


def test_no_more_starts_are_said_to_be_refused_than_workers_are_missing(client):
    talk = client(workers=1)
    tokens = ("a", "b", "c")
    born = SESSION.heartbeat("w1", int(WALL * 1000), 0).rpartition("/")[2]
    known = [*(f"{token}.{kind}" for token in tokens for kind in ("next", "gone")), "w.next"]
    begins(talk, workers=known, gone=[refused(token) for token in tokens])
    assert talk.machine.starts.refusals.words(1).startswith("1 of 1 workers could not start")
    talk.wait(30.0)
    answer(talk, *known, born)
    assert talk.machine.starts.refusals.words(1) == ""


def test_while_a_refused_start_waits_for_its_time_nobody_says_that_all_is_over(client):
    talk = client(workers=2)
    begins(talk, workers=("abc.next", "abc.gone"), gone=(refused("abc"),))
    answer(talk, "abc.next", "abc.gone")
    assert talk.job.end is None
    snapshot = talk.machine.snapshot(talk.job, talk.now)
    assert snapshot.refused == snapshot.waiting == "1 of 2 workers could not start; retrying: no capacity"


def test_what_could_not_be_brought_up_is_not_started_for_ever(client):
    talk = client(workers=1)
    tokens = ["t0"]
    for _ in range(50):
        tokens.append(replacement_token(SESSION.sid, tokens[-1]))
    known = [f"{token}.{kind}" for token in tokens for kind in ("next", "gone")]
    begins(talk, workers=known, gone=[refused(token, "no such image", EndCause.UNSTARTED) for token in tokens])
    answer(talk, *known)
    assert talk.job.end is JobEnd.NOBODY
    assert "no such image" in talk.job.detail


def test_a_worker_that_found_another_key_is_not_replaced_and_its_reason_is_said(client):
    talk = client(workers=1)
    end = Gone(worker="w", cause=EndCause.UNTRUSTED, at=0.0, token="t", exit_code=77, detail="another key")
    begins(talk, workers=("t.next", "w.gone"), gone=(end,))
    assert announces(talk, ("t.next", "w.gone")) == []
    assert (talk.job.end, talk.job.detail) == (JobEnd.NOBODY, "another key")


def test_a_process_that_goes_on_under_another_name_is_not_lost(client):
    talk = client(workers=1)
    end = Gone(worker="w", cause=EndCause.CRASH, at=0.0)
    names = ("w.0.0", "w.gone", "w~1.0.0")
    begins(talk, workers=names, gone=(end,))
    assert announces(talk, names) == []


@pytest.mark.parametrize("cause", [EndCause.BUDGET, EndCause.DEADLINE])
def test_a_limit_that_the_last_worker_met_is_said_whatever_our_own_clock_tells(client, cause):
    talk = client(deadline=WALL + 1000)
    talk.ahead = 1000.0
    ended(talk, cause)
    assert announces(talk) == []
    assert talk.job.end == cause.value


@pytest.mark.parametrize(
    ("cause", "more"), [(EndCause.BUDGET, {"budget": 5_000_000}), (EndCause.DEADLINE, {"deadline": WALL + 9000})]
)
def test_a_limit_that_was_raised_since_is_not_what_is_missing(client, cause, more):
    talk = client(workers=1, deadline=WALL + 1000)
    talk.ahead = -1.0
    ended(talk, cause)
    talk.control(kind=ControlKind.EXTEND, **more)
    talk.listed(JOB_KEYS.results_folder)
    assert talk.job.end is JobEnd.NOBODY


def test_before_it_says_deadline_it_asks_the_store_what_time_it_is(client):
    """Its own clock may be minutes ahead, and the workers' may be right."""
    talk = client(deadline=WALL - 300)
    ended(talk, EndCause.TERM)
    talk.asked += [*talk.listed(JOB_KEYS.results_folder), *talk.listed(SESSION.control_folder, JOINED)]
    assert fx.Watch(SESSION.watch) in talk.asked
    assert talk.job.end is None
    names = (("w.0.0", WALL), ("w.gone", WALL), ("~watch", WALL - 400))
    talk.tell(fx.Listed(SESSION.workers_folder, "", names))
    assert talk.job.end is None
    talk.got(SESSION.manifest, talk.machine.manifest)
    assert [each.key for each in talk.of(fx.Create)] == [SESSION.next(TOKEN)]


def test_a_worker_that_is_still_coming_at_the_deadline_keeps_no_job_open(client):
    talk = client(deadline=WALL + 30, patience={"local": 3600.0})
    begins(talk, workers=("a.next",))
    while talk.now < 60.0 and talk.job.end is None:
        answer(talk, "a.next", "~watch")
        talk.tell(fx.Coming((("a", "provisioning", 1.0),)))
        talk.wait(1.0)
    assert talk.job.end is JobEnd.DEADLINE
    assert talk.now >= 30.0


def test_a_deadline_long_gone_is_said_without_a_write(client):
    """Who lists old sessions leaves nothing in them."""
    talk = client(deadline=WALL - 3600)
    ended(talk, EndCause.TERM)
    announces(talk)
    assert talk.of(fx.Watch) == []
    assert talk.job.end is JobEnd.DEADLINE


def test_a_deadline_that_the_store_confirms_is_said(client):
    talk = client(deadline=WALL - 300)
    ended(talk, EndCause.TERM)
    announces(talk)
    talk.listed(SESSION.workers_folder, "w.0.0", "w.gone", "~watch")
    assert talk.job.end is JobEnd.DEADLINE


def test_heartbeats_are_looked_at_more_often_while_somebody_watches(client):
    talk = client()
    begins(talk, workers=("w.0.0",))
    talk.machine.watch(talk.now, on=True)
    talk.wait(0.1)
    answer(talk, "w.0.0")
    assert SESSION.workers_folder not in talk.lists()
    assert SESSION.workers_folder in [each.folder for each in talk.wait(2.0) if isinstance(each, fx.List)]


def test_a_cancelled_job_ends_while_its_workers_go_on_with_another(client, cancel_job):
    talk = client()
    begins(talk, workers=("w.0.0",))
    talk.got(f"{SESSION.workers_folder}/w.0.0", Heartbeat(worker="w", number=1, at=0.0))
    talk.control(**cancel_job)
    for seconds in (0.0, 9.9, 9.9, 9.9):
        talk.ahead += 1  # the worker beats on
        talk.asked += talk.wait(seconds)
        answer(talk, "w.0.0", control=(JOINED, "9x-cancel"))
        assert talk.job.end is None  # what was done may still be on its way
    talk.wait(5.0)
    answer(talk, "w.0.0", control=(JOINED, "9x-cancel"))
    assert talk.job.end is JobEnd.CANCELLED


def test_who_looks_long_after_a_job_was_cancelled_hears_it_at_once(client, cancel_job):
    talk = client()
    begins(talk, workers=("w.0.0",))
    talk.got(f"{SESSION.workers_folder}/w.0.0", Heartbeat(worker="w", number=1, at=0.0))
    talk.control(at=WALL - 60, **cancel_job)
    answer(talk, "w.0.0", control=(JOINED, "9x-cancel"))
    assert talk.job.end is JobEnd.CANCELLED


def busy_with(talk, *jobs, results=()):
    """What it says it waits for, when its worker's newest heartbeat tells of these jobs."""
    slots = tuple(SlotView(job=job, task=3) for job in jobs)
    begins(talk, workers=("w.0.0",), results=results)
    talk.got(f"{SESSION.workers_folder}/w.0.0", Heartbeat(worker="w", number=1, at=0.0, slots=slots))
    return talk.machine.snapshot(talk.job, talk.now).waiting


def test_a_silent_worker_counts_as_alive_until_another_is_heard_of(client):
    talk = client(workers=2)
    begins(talk, workers=("a.0.0", "b.0.0"))
    for wid, task in (("a", 0), ("b", 1)):
        beat = Heartbeat(worker=wid, number=1, at=0.0, slots=(SlotView(job="0", task=task),))
        talk.got(f"{SESSION.workers_folder}/{wid}.0.0", beat)

    def seen():
        snapshot = talk.machine.snapshot(talk.job, talk.now)
        return snapshot.alive, snapshot.running, snapshot.wait and snapshot.wait.cause

    def listed(**beats):
        names = tuple((f"{wid}.0.0", WALL + at) for wid, at in beats.items())
        talk.tell(fx.Listed(SESSION.workers_folder, "", names), after=10.0)

    assert seen() == (2, 2, None)
    for _ in range(5):
        listed(a=0, b=0)
    assert seen() == (2, 2, WaitCause.SILENT)
    listed(a=0, b=0, c=60)
    assert seen() == (1, 0, None)
    listed(a=70, b=70, c=70)  # a laptop that slept
    assert seen()[0] == 3


def test_a_job_that_waits_for_another_of_its_session_says_so(client):
    talk = client()
    talk.ahead = 1.0
    assert busy_with(talk, "first") == "the workers are busy with job first of this session"


def test_a_job_that_runs_or_has_results_waits_for_no_other(client):
    running, begun = client(), client()
    running.ahead = begun.ahead = 1.0
    assert busy_with(running, "first", "0") == ""
    assert busy_with(begun, "first", results=(FIRST,)) == ""


def test_a_heartbeat_from_before_a_job_does_not_tell_what_it_waits_for(client):
    talk = client()
    talk.ahead = -1.0
    assert busy_with(talk, "first") == ""


def test_one_who_closed_is_not_replaced(client):
    talk = client(workers=1)
    ended(talk, EndCause.CLOSE)
    talk.listed(JOB_KEYS.results_folder)
    talk.listed(SESSION.control_folder, JOINED)
    assert talk.of(fx.Replace) == []
    assert talk.job.end is JobEnd.NOBODY


def test_a_watcher_is_announced_and_heartbeats_are_read_while_he_looks(client):
    talk = client()
    begins(talk, workers=("w.0.0",))
    talk.machine.watch(talk.now, on=True)
    assert fx.Watch(SESSION.watch) in talk.wait(1.0)


def test_a_client_that_was_cut_off_watches_anew_and_takes_back_what_it_concluded(client):
    talk = client(workers=1)
    begins(talk, workers=("w.0.0",))
    talk.got(f"{SESSION.workers_folder}/w.0.0", Heartbeat(worker="w", number=1, at=0.0))
    talk.machine.replaces_lost_workers = False
    for _ in range(8):
        talk.asked += talk.wait(10.0)
        talk.ahead = -talk.now  # the same heartbeat each time
        answer(talk, "w.0.0")
    assert talk.job.end is JobEnd.NOBODY
    talk.machine.starts.failed_announcements[TOKEN] = 3
    talk.machine.resume(talk.now)
    assert talk.job.end is None
    assert talk.machine.starts.failed_announcements.total() == 0
    answer(talk, "w.0.0")
    assert talk.machine.crew.living() == ["w"]
    assert talk.job.end is None
