"""What may be asked of a session: scale, cancel, extend, clean up; from this client or another."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace

import pytest

from burst_magic.errors import AttachError, BurstError, CaptureError, Denied, NotRun, OptionError
from burst_magic.launchers import open_launcher
from burst_magic.launchers.base import Handle, WorkerState
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import Control, Heartbeat, Next
from burst_magic.session import session_list

GATED = "import os, time\nwhile not os.path.exists({gate!r}): time.sleep(0.005)\nitem"


def behind(gate):
    return GATED.format(gate=str(gate))


def running(session, count):
    """So many ranges are claimed, and who claimed has said that it lives: whoever is killed from here on is known."""
    root = f"sessions/{session.id}"

    def beats():
        return [entry for entry in session.store.list(f"{root}/workers") if not entry.key.endswith((".next", ".gone"))]

    return lambda: beats() and len(session.store.list(f"{root}/jobs/{session.job}/claims")) >= count


def heartbeat_after(session, moment):
    """A worker has beaten since, so it has done all that it was asked well before."""
    return lambda: any(entry.modified > moment for entry in session.store.list(f"sessions/{session.id}/workers"))


# --- clean-up ------------------------------------------------------------------------------------------------------


def test_a_forced_clean_up_leaves_no_object_no_worker_no_key_and_no_line(world):
    session = world.burst("item", range(10), workers=2)
    assert len(list(session.results())) == 10
    assert session.cleanup(force=True).deleted > 5
    world.nothing_is_left()


def test_a_forced_clean_up_waits_for_workers_that_run_and_nothing_is_written_behind_it(world, gate, until):
    session = world.burst(behind(gate), range(10), workers=2)
    until(running(session, 2), "tasks to run")
    session.cleanup(force=True)
    assert world.objects() == []
    world.nothing_is_left()


def test_a_client_that_knows_no_handle_waits_for_the_workers_too(world, gate, until):
    """It has only just attached: all it can do is ask, and read the log."""
    session = world.burst(behind(gate), range(10), workers=2)
    until(running(session, 2), "tasks to run")
    session.detach()
    other = world.attach(session.id)
    other.fleet._handles.clear()
    other.detach()
    other.cleanup(force=True)
    world.nothing_is_left()


def test_a_forced_clean_up_kills_a_worker_that_does_not_hear(world, gate, until):
    session = world.burst(behind(gate), range(2))
    until(running(session, 1), "a task to run")
    (worker,) = session.status().workers
    pid = int(worker.wid.split("-")[-2])
    os.kill(pid, signal.SIGSTOP)
    session.cleanup(force=True, grace=0.5)
    world.nothing_is_left()


def foreign_beat(session, number, *, write=True):
    """A worker of another machine, as far as anybody here can tell."""
    key = session._keys.heartbeat("far-1-1", 1000, 0)
    handle = Handle(launcher="local", wid="far-1-1", token="far", data={"host": "far", "pid": 1, "born": "1"})
    beat = Heartbeat(worker="far-1-1", number=number, at=time.time(), token="far", handle=handle.to_json())
    session.store.put(key, records.encode(beat, secret=bytes.fromhex(session.key), key=key))


def test_a_worker_of_another_machine_that_beats_on_is_not_deleted_under(world):
    from threading import Event, Thread

    session = world.burst("item", [1])
    assert list(session.results()) == [1]
    over = Event()
    foreign_beat(session, 0)

    def beat():
        number = 0
        while not over.wait(0.02):
            number += 1
            foreign_beat(session, number)

    far = Thread(target=beat)
    far.start()
    try:
        with pytest.raises(BurstError, match="are still running; nothing was deleted") as caught:
            session.cleanup(force=True, grace=0.2)
        assert "far-1-1" in caught.value.context
        assert list(session.results()) == [1]
    finally:
        over.set()
        far.join()
    session.cleanup(force=True)  # silent for three intervals now
    world.nothing_is_left()


def test_a_start_that_nobody_answered_yet_is_waited_for_and_not_for_ever(world):
    session = world.burst("item", [1])
    assert list(session.results()) == [1]
    key = session._keys.next("0123")
    start = Next(token="0123", launcher="local", number=None, at=time.time())
    session.store.create(key, records.encode(start, secret=bytes.fromhex(session.key), key=key))
    began = time.monotonic()
    session.cleanup(force=True)
    assert 3 * 0.2 <= time.monotonic() - began < 10
    world.nothing_is_left()


def test_clean_up_without_force_lets_workers_end_and_keeps_results(world):
    session = world.burst("item", range(3))
    assert list(session.results()) == [0, 1, 2]
    done = session.cleanup()
    assert done.deleted is None
    assert "results are kept" in str(done)
    session.detach()
    assert list(world.attach(session.id).results()) == [0, 1, 2]


def test_clean_up_lets_a_running_task_finish(world, gate, until):
    here = gate.with_name("here")
    session = world.burst(f"open({str(here)!r}, 'w').close()\n" + behind(gate), range(4))
    until(here.exists, "a task to run")
    session.cleanup()
    until(heartbeat_after(session, time.time() + 2 * session.manifest.interval), "the worker to have heard of it")
    gate.touch()
    until(lambda: session.status().ended == "closed", "its end")
    done = session.results().collect(errors="skip")
    assert done == list(range(len(done)))
    assert 1 <= len(done) < 4


def test_without_the_key_a_session_cannot_be_told_to_end(world, gate):
    session = world.burst(behind(gate), range(2))
    stranger = world.attach(session.id, user="-other")
    with pytest.raises(AttachError, match="key is not on this machine"):
        stranger.cleanup()
    for ask in (stranger.cancel, stranger.close, lambda: stranger.scale(2), lambda: stranger.extend("1h")):
        with pytest.raises(BurstError, match="key is not on this machine"):
            ask()
    gate.touch()
    assert list(session.results()) == [0, 1]


def test_a_second_clean_up_finds_nothing(world):
    session = world.burst("item", [1])
    session.cleanup(force=True)
    assert session.cleanup(force=True).deleted <= 1  # its own request


# --- scale ---------------------------------------------------------------------------------------------------------


def test_fewer_workers_lose_no_work(world, until, tmp_path):
    """Those beyond the wanted finish, publish and go; the rest of their ranges is taken by who stays."""
    log = tmp_path / "ran"
    log.mkdir()
    cell = f"import os, time\nopen(os.path.join({str(log)!r}, f'{{item}}.{{os.getpid()}}'), 'w').close()\ntime.sleep(0.04)\nitem"
    session = world.burst(cell, range(60), workers=3)
    until(running(session, 3), "three to work")
    session.scale(1)
    assert list(session.results()) == list(range(60))
    claims = session.store.list(f"sessions/{session.id}/jobs/{session.job}/claims")
    assert len(list(log.iterdir())) - 60 <= len(claims) - 3  # nothing was lost: at most the task at a cut ran twice
    until(lambda: session.status().alive <= 1, "two to go")
    causes = [each.gone.cause.value for each in session.status().workers if each.gone]
    assert causes.count("scale") == 2
    assert len(session.status().workers) == 3  # and nobody replaced them


def test_more_workers_take_free_lanes_of_a_later_job(world, gate, until):
    session = world.burst(behind(gate), [0], workers=2)
    session.scale(3)
    until(lambda: session.status().alive == 3, "three workers")
    gate.touch()
    assert list(session.results()) == [0]


def test_scale_back_up_after_down_is_the_last_word(world, gate, until):
    session = world.burst(behind(gate), range(4), workers=2)
    until(running(session, 2), "two to work")
    session.scale(1)
    session.scale(2)
    controls = [
        records.decode(Control, session.store.get(entry), secret=None, key=entry)
        for entry in world.objects(f"sessions/{session.id}/control")
    ]
    assert sorted((each.revision, each.workers) for each in controls if each.workers) == [(1, 1), (2, 2)]
    gate.touch()
    assert list(session.results()) == [0, 1, 2, 3]


def test_a_job_can_be_cancelled_by_itself(world, gate):
    first = world.burst(behind(gate), range(3))
    second = world.burst("item", range(2), into=first)
    first.cancel(only_job=True)
    assert list(second.results()) == [0, 1]
    with pytest.raises(NotRun, match="cancelled"):
        list(first.results())
    assert second.status().alive == 1


def test_after_the_deadline_an_extension_and_new_workers_go_on(world, gate, until):
    """The old worker's process may still be closing when its end is read."""
    session = world.burst(behind(gate), [1], deadline=3)
    until(lambda: session.status().alive, "a worker")  # one that comes after the deadline is none
    with pytest.raises(NotRun, match="deadline"):
        list(session.results())
    with pytest.raises(OptionError, match="deadline"):
        session.scale(1)
    session.extend("1h")
    assert session.status().ended == "no workers"
    session.scale(1)
    gate.touch()
    assert session.results().collect(errors="return", timeout=20) == [1]


def test_a_cancelled_session_is_not_scaled(world):
    session = world.burst("item", [1])
    session.cancel()
    with pytest.raises(OptionError, match="cancelled"):
        session.scale(2)
    with pytest.raises(OptionError, match="at least 1"):
        session.scale(0)


# --- cancel, extend, ends ------------------------------------------------------------------------------------------


def test_cancel_kills_what_runs_and_keeps_what_is_done(world, gate, until):
    session = world.burst(behind(gate), range(3))
    until(running(session, 1), "a task to run")
    session.cancel()
    until(lambda: session.status().ended == "cancelled", "its end")
    assert [type(each).__name__ for each in session.results().collect(errors="return")] == ["NotRun"] * 3
    until(lambda: not world.workers(), "its workers to end")


def test_as_completed_after_cancel_gives_what_is_done_and_then_says_why_there_is_no_more(world, gate, until):
    cell = f"import os, time\nif item > 1:\n    while not os.path.exists({str(gate)!r}): time.sleep(0.005)\nitem * 10"
    session = world.burst(cell, range(6))
    arriving = session.as_completed()
    assert [next(arriving), next(arriving)] == [(0, 0), (1, 10)]
    session.cancel()
    with pytest.raises(NotRun, match="cancelled"):
        next(arriving)
    assert dict(session.as_completed(errors="skip")) == {0: 0, 1: 10}
    rest = dict(session.as_completed(errors="return"))
    assert sorted(rest) == list(range(6))
    assert all(isinstance(rest[task], NotRun) for task in range(2, 6))


def test_as_completed_gives_failures_as_asked(world):
    session = world.burst("1 // item", [1, 0, 1], workers=1)
    assert dict(session.as_completed(errors="skip")) == {0: 1, 2: 1}
    returned = dict(session.as_completed(errors="return"))
    assert isinstance(returned[1], ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        list(session.as_completed())
    with pytest.raises(OptionError):
        next(session.as_completed(errors="ignore"))


def test_the_deadline_ends_a_session_and_extend_moves_it(world, gate, until):
    session = world.burst(behind(gate), [1], deadline=3.0)
    before = session.status().deadline
    assert session.extend("1h") == pytest.approx(before + 3600, abs=1)
    assert session.status().deadline == pytest.approx(before + 3600, abs=1)
    until(lambda: time.time() > before + 0.3, "the old deadline to pass")
    gate.touch()
    assert list(session.results()) == [1]


def test_at_the_deadline_the_missing_say_so(world, gate, until):
    session = world.burst(behind(gate), [1], deadline=0.7)
    with pytest.raises(NotRun, match="deadline"):
        list(session.results())
    until(lambda: not world.workers(), "its workers to end")


def test_a_session_lasts_three_weeks_at_most(world):
    session = world.burst("item", [1])
    with pytest.raises(OptionError, match="at most 21d"):
        session.extend("22d")


# --- where tasks run -----------------------------------------------------------------------------------------------


def test_tasks_run_where_the_cell_was_whoever_starts_their_worker(world, gate, until, tmp_path, monkeypatch):
    here = f"{behind(gate)}\n__import__('os').getcwd()"
    session = world.burst(here, range(4))
    until(running(session, 1), "a task to run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    session.fleet.stop(kill=True)
    gate.touch()
    assert list(session.results()) == [str(tmp_path)] * 4
    later = world.burst(here, range(2), into=session)
    assert list(later.results()) == [str(tmp_path / "elsewhere")] * 2
    monkeypatch.chdir(tmp_path)
    session.scale(2)
    assert list(world.burst(here, range(4), into=session).results()) == [str(tmp_path)] * 4


# --- refresh -------------------------------------------------------------------------------------------------------


def test_a_status_of_a_finished_session_is_quick_and_leaves_no_thread(world, until):
    session = world.burst("item", [1, 2])
    assert list(session.results()) == [1, 2]
    for _ in range(3):
        began = time.monotonic()
        seen = session.status()
        assert time.monotonic() - began < 10  # some milliseconds; who waits for a thread that has ended waits 30 s
        assert (seen.completed, seen.pending, seen.running, seen.ended) == (2, 0, 0, "finished")
    until(lambda: not [t for t in threading.enumerate() if session.id in t.name], "the driver's thread to end")


def waiting(name):
    """How many threads of that name have asked what they had to ask and wait for the answer."""
    frames = sys._current_frames()
    mine = [frames.get(thread.ident) for thread in threading.enumerate() if thread.name.startswith(name)]
    return sum(frame is not None and frame.f_code is threading.Condition.wait.__code__ for frame in mine)


def test_a_status_asked_in_the_midst_of_a_look_tells_what_came_meanwhile(flaky, world, gate, until):
    from concurrent.futures import ThreadPoolExecutor
    from threading import Event

    session = world.burst(behind(gate), range(2))
    until(running(session, 1), "a task to run")
    session.detach()
    listed, asked = Event(), Event()

    def weather(verb, key):
        if verb == "list" and key.endswith("/workers") and not listed.is_set():  # the results have been listed just now
            listed.set()
            assert asked.wait(60)

    flaky.weather = weather
    with ThreadPoolExecutor(2, "asks") as pool:
        pool.submit(session.status)
        assert listed.wait(60)
        gate.touch()
        until(lambda: [key for key in world.objects() if "/results/" in key], "a result")
        status = pool.submit(session.status)
        until(lambda: waiting("asks") == 2, "the second to be asked")
        asked.set()
        assert status.result().completed > 0


def test_after_a_cancel_the_drivers_thread_ends_and_status_still_tells(world, gate, until):
    session = world.burst(behind(gate), [1])
    until(running(session, 1), "a task to run")
    session.cancel()
    with pytest.raises(NotRun):
        session.results()[0]
    until(lambda: not [t for t in threading.enumerate() if session.id in t.name], "the driver's thread to end")
    assert session.status().ended == "cancelled"


def test_status_after_all_workers_have_gone_says_so(world, gate, until):
    session = world.burst(behind(gate), [1])
    until(running(session, 1), "a task to run")
    session.fleet.stop(kill=True)
    gate.touch()
    assert list(session.results()) == [1]  # lost, replaced, done
    causes = [each.gone.cause.value for each in session.status().workers if each.gone]
    assert causes == ["crash"]


def test_the_first_status_of_another_client_tells_who_was_killed(world, gate, until):
    session = world.burst(behind(gate), [1])
    until(running(session, 1), "a task to run")
    session.detach()  # sees nothing of what follows
    session.fleet.stop(kill=True)
    launcher = open_launcher("local", logs=world.settings().logs_dir)
    (handle,) = launcher.find(session.id, {})
    until(lambda: launcher.describe([handle])[handle.wid].state is WorkerState.ENDED, "the worker to be dead")
    other = world.attach(session.id)
    assert [each.gone.cause.value for each in other.status().workers if each.gone] == ["crash"]
    gate.touch()
    assert list(other.results()) == [1]


def test_a_status_that_was_refused_is_asked_anew(flaky, world):
    session = world.burst("item", [1])
    assert list(session.results()) == [1]

    def refused(verb, key):
        if verb == "list":
            raise Denied("expired", context=key)

    flaky.weather = refused
    with pytest.raises(Denied):
        session.status()
    flaky.weather = lambda verb, key: None
    flaky.calls.clear()
    assert session.status().ended == "finished"
    assert ("list", f"sessions/{session.id}/workers") in flaky.calls


def test_a_status_for_which_no_thread_could_be_started_is_no_promise(world, monkeypatch):
    def no_room(thread):
        raise RuntimeError("can't start new thread")

    session = world.burst("item", [1])
    assert list(session.results()) == [1]
    session.detach()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_room)
        with pytest.raises(RuntimeError):
            session.status()
    assert session.status().ended == "finished"


def test_two_hands_on_one_job_agree(world, gate, until):
    session = world.burst(behind(gate), range(5), workers=2)
    other = world.attach(session.id)
    gate.touch()
    assert list(session.results()) == list(other.results()) == [0, 1, 2, 3, 4]
    assert session.status().completed == other.status().completed == 5
    until(lambda: len(session.status().workers) == 2, "the second worker to be seen, and no third")


def test_two_hands_on_one_job_replace_a_lost_worker_once(world, gate, until):
    session = world.burst(behind(gate), range(3))
    other = world.attach(session.id)
    until(running(session, 1), "a task to run")
    until(running(other, 1), "the other to see it")
    session.fleet.stop(kill=True)
    gate.touch()
    assert list(session.results()) == list(other.results()) == [0, 1, 2]
    assert len(session.status().workers) == 2


def test_logs_are_followed_line_by_line_while_a_task_runs(world, gate):
    """What it prints is there before it is over, and not there again when it is."""
    cell = f"print('one')\nprint('two', end='')\n{behind(gate)}"
    session = world.burst(cell.replace("\nitem", "\nprint(' three')"), [0])
    lines = session.logs(follow=True)
    assert next(lines).text == "one"
    assert f"sessions/{session.id}/workers/~watch" in world.objects()
    gate.touch()
    assert [line.text for line in lines] == ["two three"]
    assert [line.text for line in session.logs()] == ["one", "two three"]


def test_a_detached_session_is_followed_again_when_somebody_waits(world, gate):
    session = world.burst(behind(gate), [7])
    session.detach()
    gate.touch()
    assert session.results()[0] == 7


def test_a_view_that_fails_stops_nobody(world, gate, caplog):
    session = world.burst(behind(gate), [7])
    calls = []

    def broken(snapshot):
        calls.append(snapshot)
        raise ValueError("cannot draw")

    session.subscribe(broken)
    gate.touch()
    assert list(session.results()) == [7]
    assert len(calls) == 1
    assert "cannot draw" in caplog.text


def test_a_subscriber_hears_the_end_and_can_leave(world, gate, until):
    session = world.burst(behind(gate), range(3))
    heard, left = [], []
    session.subscribe(heard.append)
    leave = session.subscribe(left.append)
    leave()
    gate.touch()
    until(lambda: heard and heard[-1].ended == "finished", "the last snapshot")
    assert heard[-1].completed == 3
    assert len(left) <= 1


# --- the list of sessions, and attaching -----------------------------------------------------------------------------


def test_a_damaged_manifest_is_one_line_of_the_list_and_hides_nothing_else(world):
    from burst_magic.session.attach import sessions

    good, bad = world.burst("item", [1], name="good"), world.burst("item", [2], name="bad")
    assert list(good.results()) == [1]
    key = keys.SessionKeys(bad.id).manifest
    kept = world.store.get(key)
    for damage in (b"", b"nonsense", kept[:70], kept.replace(b'"workers":1', b'"workers":2')):
        world.store.put(key, damage)
        rows = {row.id: row for row in sessions(world.settings())}
        assert rows.keys() == {good.id, bad.id}
        assert (rows[good.id].completed, rows[good.id].problem) == (1, "")
        assert rows[bad.id].problem
        assert rows[bad.id].created == pytest.approx(bad.manifest.created, abs=2)
    world.store.put(key, kept)


def test_a_session_that_was_deleted_is_in_no_list(world):
    from burst_magic.session.attach import sessions

    session = world.burst("item", [1])
    line = session_list.read(world.settings().sessions_file)[0]
    session.cleanup(force=True)
    session_list.append(world.settings().sessions_file, line)
    assert sessions(world.settings()) == []


def test_another_machine_attaches_with_the_key_and_keeps_it(world):
    session = world.burst("item", [1, 2])
    stranger = world.attach(session.id, user="-other", key=session.key)
    assert list(stranger.results()) == [1, 2]
    assert list(world.attach(session.id, user="-other").results()) == [1, 2]
    other = world.settings(user="-other")
    assert (other.keys_dir / session.id).stat().st_mode & 0o777 == 0o600
    (other.keys_dir / session.id).unlink()


@pytest.mark.parametrize("key", ["", "zz", "00", "0" * 63])
def test_what_is_no_key_is_refused(world, key):
    session = world.burst("item", [1])
    if key:
        with pytest.raises(AttachError, match="not a session key"):
            world.attach(session.id, key=key)
    with pytest.raises(AttachError, match="not the key of session"):
        world.attach(session.id, key="0" * 64)


def test_what_does_not_exist_is_said_in_one_line(world):
    session = world.burst("item", [1], name="mine")
    for ident, words in {
        "20200101-000000-aaaaaaaa": "unknown or has expired",
        "yours": "no session 'yours'",
        f"{session.id}/99": "has no job 99",
    }.items():
        with pytest.raises(AttachError, match=words):
            world.attach(ident)
    assert world.attach("mine").id == session.id
    assert world.attach(f"{session.id}/0").job == "0"


def test_an_id_is_never_a_path(world):
    for ident in ("../../etc", "20200101-000000-aaaaaaaa/..", "20200101-000000-aaaaaaaa/../../x"):
        with pytest.raises(BurstError):
            world.attach(ident)


def test_a_keys_file_that_is_damaged_is_said(world):
    session = world.burst("item", [1])
    path = world.settings().keys_dir / session.id
    path.write_text("garbage")
    with pytest.raises(AttachError, match="not a session key"):
        world.attach(session.id)


def test_names_and_settings_are_kept_with_the_session(world):
    from burst_magic.session.attach import sessions

    session = world.burst("item", [1], name="fit", slots=2)
    again = world.attach("fit")
    assert replace(again.manifest, setenv=()) == replace(session.manifest, setenv=())
    assert (again.name, again.manifest.slots, again.description.out) == ("fit", 2, "out")
    world.burst("item", [1], into=session)
    assert [row.name for row in sessions(world.settings())] == ["fit"]  # the newest job has none
    world.burst("item", [1], name="refit", into=session)
    assert [row.name for row in sessions(world.settings())] == ["refit"]


def test_the_other_jobs_of_a_session_are_named_in_one_short_line(world):
    from burst_magic.magics.desk import other_jobs

    session = world.burst("1", [], name="longer than what is shown of it")
    second = world.burst("2", [], name="fit1", into=session)
    assert other_jobs(second) == "; its other jobs: longer than what is… (job 0)"
    ids = [world.burst("2", [], name=f"fit{number}", into=session).job for number in range(2, 5)]
    named = ", ".join(f"fit{number} (job {jid})" for number, jid in enumerate(ids, 2))
    assert other_jobs(session) == f"; its other jobs: {named} and 1 older"


def test_a_session_does_not_travel_and_its_results_do(world):
    world.home["session"] = session = world.burst("item", [1, 2])
    with pytest.raises(CaptureError, match=r"^session: .*a session holds its key and cannot be pickled"):
        world.burst("session.key", [1])
    world.home["results"] = session.results()
    assert list(world.burst("results[item]", [0, 1]).results()) == [1, 2]
