"""Submitting: what fails on the way leaves nothing behind, neither objects nor workers nor keys."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from burst_magic.errors import AttachError, BurstError, CaptureError, Denied, LaunchError, OptionError, Throttled
from burst_magic.launchers import register
from burst_magic.launchers.base import Again, Refusal
from burst_magic.launchers.local import LocalLauncher
from burst_magic.protocol.ranges import job_lanes
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import EndCause, Gone
from burst_magic.session import session_list
from burst_magic.stores import open_store


def test_a_submission_leaves_a_key_a_line_and_a_committed_job(world):
    session = world.burst("item + 1", [1, 2])
    assert list(session.results()) == [2, 3]
    assert world.keys_kept() == [session.id]
    (line,) = session_list.read(world.settings().sessions_file)
    assert (line.id, line.job, line.store, line.out) == (session.id, session.job, world.store.url, "out")
    assert {key.rpartition("/")[2] for key in world.objects(f"sessions/{session.id}/jobs/0")} >= {
        "items",
        "payload",
        "job.json",
    }


@pytest.mark.parametrize(
    "step", ["/items", "/payload", "/manifest.json", "-add-job", "/job.json", ".next"], ids=lambda step: step[1:]
)
@pytest.mark.parametrize("fault", [Denied("not yours"), KeyboardInterrupt()], ids=["denied", "interrupted"])
def test_a_submission_that_fails_at_any_step_leaves_nothing(world, flaky, step, fault):
    def weather(verb, key):
        if verb in {"put", "create"} and key.endswith(step):
            raise fault

    flaky.weather = weather
    with pytest.raises(type(fault)) as caught:
        world.burst("item + 1", [1, 2])
    assert caught.value is fault
    world.nothing_is_left()


def test_an_item_source_that_raises_half_way_leaves_nothing(world):
    def items():
        yield 1
        raise ValueError("no more")

    with pytest.raises(CaptureError, match="no more"):
        world.burst("item", items())
    world.nothing_is_left()


def test_an_interrupt_while_items_are_made_leaves_nothing(world):
    def items():
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.burst("item", items())
    world.nothing_is_left()


class Holder:
    def __init__(self, held):
        self.held = held


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ((n for n in []), "item 1: cannot pickle 'generator' object"),
        ([{"a": [0, (n for n in [])]}], "item 1: [0]['a'][1]: cannot pickle 'generator' object"),
        (Holder([(n for n in [])]), "item 1: .held[0]: cannot pickle 'generator' object"),
        ({(n for n in [])}, "item 1: element <generator object"),
    ],
)
def test_an_item_that_cannot_travel_is_named_with_its_path_and_nothing_is_left(world, item, said):
    with pytest.raises(CaptureError) as caught:
        world.burst("item", [1, item])
    assert caught.value.problem.startswith(said)
    world.nothing_is_left()


def test_a_store_in_a_folder_of_any_name_serves_its_workers(world, tmp_path):
    world.store = open_store(f"file://{tmp_path}/a#b c%3F?d=%2525")
    assert world.burst("item + 1", [1, 2]).results().collect() == [2, 3]
    assert (tmp_path / "a#b c??d=%25" / "sessions").is_dir()


class Limited(LocalLauncher):
    """Local workers, of which it starts no more than ``room``; what it says of the others is ``answer``."""

    room = 1

    def answer(self, token):
        return Refusal(token=token, problem="no more of them", again=Again.LATER)

    def _answer(self, start):
        self.room -= 1
        return super()._answer(start) if self.room >= 0 else self.answer(start.token)


@pytest.fixture
def limited():
    """Makes the launcher of this name one that has no more room."""
    undo = []

    def limit(*, room, answer=Limited.answer):
        launcher = type("Limited", (Limited,), {"room": room, "answer": answer, "name": "limited"})
        undo.append(register("limited", launcher))

    yield limit
    for forget in undo:
        forget()


def test_some_workers_are_enough_and_those_that_were_refused_are_said_and_made_up_for(world, limited, caplog):
    limited(room=2)
    session = world.burst("item + 1", range(8), workers=4, launcher="limited")
    assert list(session.results()) == list(range(1, 9))
    assert "2 of 4 limited workers were not started: no more of them" in caplog.text


def test_when_starting_workers_is_interrupted_none_stays_and_nothing_is_left(world, limited):
    def interrupted(self, token):
        raise KeyboardInterrupt

    limited(room=1, answer=interrupted)
    with pytest.raises(KeyboardInterrupt):
        world.burst("item + 1", [1, 2], workers=2, launcher="limited")
    world.nothing_is_left()


def test_when_all_are_refused_for_good_the_reason_is_said_and_nothing_is_left(world, limited):
    limited(room=0, answer=lambda self, token: Refusal(token=token, problem="no such cluster"))
    with pytest.raises(LaunchError, match="no such cluster"):
        world.burst("item + 1", [1, 2], workers=2, launcher="limited")
    world.nothing_is_left()


def test_an_interpreter_that_cannot_start_is_said_and_nothing_is_left(world, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    with pytest.raises(LaunchError):
        world.burst("item + 1", [1, 2])
    world.nothing_is_left()


def test_what_cannot_be_taken_back_is_said_beside_the_reason_and_the_rest_is(world, flaky):
    def weather(verb, key):
        if verb in {"list", "delete"} or key.endswith("/payload"):
            raise Denied(f"no {verb}")

    flaky.weather = weather
    with pytest.raises(Denied, match="no put") as caught:
        world.burst("item + 1", [1, 2])
    assert "undoing it failed" in caught.value.__notes__[0]
    assert "undoing it failed" in str(caught.value)
    assert world.keys_kept() == []
    assert session_list.read(world.settings().sessions_file) == []


def test_a_throttled_start_is_made_a_little_later(world, flaky):
    refused = []

    def weather(verb, key):
        if key.endswith(".next") and len(refused) < 3:
            refused.append(key)
            raise Throttled("slow down")

    flaky.weather = weather
    assert list(world.burst("item + 1", [1, 2]).results()) == [2, 3]
    assert len(set(refused)) == 1


def test_a_start_that_is_throttled_for_ever_ends_with_an_error_within_half_a_minute_and_leaves_nothing(world, flaky):
    def weather(verb, key):
        if verb == "create" and key.endswith(".next"):
            raise Throttled("slow down")

    flaky.weather, began = weather, time.monotonic()
    with pytest.raises(Throttled, match="slow down"):
        world.burst("item + 1", [1, 2])
    assert 20 <= time.monotonic() - began < 40  # on a machine that has other work to do
    world.nothing_is_left()


# --- into a living session --------------------------------------------------------------------------------------


def test_a_second_job_runs_on_the_warm_workers(world):
    first = world.burst("__import__('os').getppid()", [0])
    second = world.burst("__import__('os').getppid()", [0], into=first)
    assert list(first.results()) != list(second.results())  # a slot gets a new process for each job
    assert (second.id, second.job != first.job) == (first.id, True)
    assert world.attach(first.id).job == second.job  # a session's id means its latest job
    assert len([key for key in world.objects() if key.endswith(".next")]) == 1


def test_cancelling_the_first_job_leaves_the_workers_to_one_that_is_being_uploaded(world):
    first = world.burst("import time\ntime.sleep(60)", range(2))
    goes_on = []

    def items():
        yield 1
        goes_on.append(first.cancel_job())
        yield 2

    second = world.burst("item", items(), into=first)
    assert goes_on == [True]
    assert second.results().collect(timeout=30) == [1, 2]


def test_a_session_that_is_cancelled_during_an_upload_refuses_the_job(world):
    first = world.burst("item", [1])
    assert list(first.results()) == [1]
    before = [key for key in world.objects() if "/jobs/" in key]

    def items():
        yield 1
        first.cancel()
        yield 2

    with pytest.raises(OptionError, match="accepts no more work: cancelled"):
        world.burst("item", items(), into=first)
    assert [key for key in world.objects() if "/jobs/" in key] == before


def test_a_second_job_is_cut_for_the_workers_that_were_asked_for_since(world):
    first = world.burst("item", range(100), slots=1)
    first.scale(2)
    second = world.burst("item", range(100), into=first)
    assert first.description.lanes == job_lanes(100, 1)
    assert second.description.lanes == job_lanes(100, 2) != first.description.lanes
    assert list(second.results()) == list(range(100))


@pytest.mark.parametrize("when", ["/payload", "/job.json"], ids=lambda when: when[1:])
def test_a_second_job_makes_up_for_a_worker_that_has_just_said_that_it_ends(world, flaky, until, when):
    first = world.burst("item", range(4), workers=2, slots=1)
    assert list(first.results()) == [0, 1, 2, 3]
    until(lambda: first.status().alive == 2, "both workers")
    leaving = first.status().workers[0].wid

    def weather(verb, key):
        if verb == "put" and key.endswith(when):
            gone = keys.SessionKeys(first.id).gone(leaving)
            record = Gone(worker=leaving, cause=EndCause.IDLE, at=time.time())
            flaky.inner.put(gone, records.encode(record, secret=bytes.fromhex(first.key), key=gone))

    flaky.weather = weather
    second = world.burst("item", range(4), into=first)
    assert len([key for key in world.objects() if key.endswith(".next")]) == 3
    assert list(second.results()) == [0, 1, 2, 3]


def test_a_session_whose_workers_have_all_idled_out_gets_new_ones(world, until):
    first = world.burst("item", [1], idle=0.1)
    assert list(first.results()) == [1]
    until(lambda: not world.workers(), "idle workers to end")
    second = world.burst("item * 2", [1, 2], into=first)
    assert list(second.results()) == [2, 4]


def test_another_client_gives_work_to_a_session_whose_workers_have_idled_out(world, until):
    first = world.burst("item", [1], idle=0.1)
    assert list(first.results()) == [1]
    first.detach()
    until(lambda: not world.workers(), "idle workers to end")
    second = world.burst("item * 2", [1, 2], into=world.attach(first.id))
    assert list(second.results()) == [2, 4]


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_a_session_that_was_told_to_end_takes_no_more_work_even_when_its_job_is_finished(world, how):
    first = world.burst("item", [1])
    assert list(first.results()) == [1]
    getattr(first, how)()
    before = world.objects()
    with pytest.raises(OptionError, match="accepts no more work"):
        world.burst("item", [2], into=first)
    assert not [key for key in world.objects() if key not in before and "/jobs/" in key]
    assert len(session_list.read(world.settings().sessions_file)) == 1


@pytest.mark.parametrize("step", ["/items", "/payload", "-add-job", "/job.json"], ids=lambda step: step[1:])
def test_a_second_job_that_fails_on_the_way_leaves_the_first_as_it_was(world, flaky, step):
    first = world.burst("item", [1])
    assert list(first.results()) == [1]
    before = [key for key in world.objects() if "/workers/" not in key]

    def weather(verb, key):
        if verb in {"put", "create"} and key.endswith(step):
            raise Denied("not yours")

    flaky.weather = weather
    with pytest.raises(Denied):
        world.burst("item", [2], into=first)
    flaky.weather = lambda verb, key: None
    assert [key for key in world.objects() if "/workers/" not in key] == before
    assert [line.job for line in session_list.read(world.settings().sessions_file)] == [first.job]
    assert world.keys_kept() == [first.id]
    assert list(world.burst("item", [3], into=first).results()) == [3]


def gones(world, session):
    """What was written of workers that ended."""
    found = [key for key in world.objects() if key.endswith(".gone")]
    return [records.decode(Gone, world.store.get(key), secret=bytes.fromhex(session.key), key=key) for key in found]


@pytest.mark.parametrize("fault", [Denied("not yours"), KeyboardInterrupt()], ids=["denied", "interrupted"])
def test_a_second_job_that_is_not_committed_ends_the_workers_that_were_started_for_it(world, flaky, fault):
    first = world.burst("item", [1], workers=3)
    assert list(first.results()) == [1]
    before, living = [key for key in world.objects() if key.endswith(".next")], first.fleet.living
    started = []

    def weather(verb, key):
        if key.endswith("/job.json") and verb == "put":
            started.append(len(first.fleet.living))
            raise fault

    flaky.weather = weather
    with pytest.raises(type(fault)):
        world.burst("item", [1, 2, 3], into=first)
    flaky.weather = lambda verb, key: None
    assert started == [3]
    assert first.fleet.living == living
    assert [key for key in world.objects() if key.endswith(".next")] == before
    assert {gone.cause.value for gone in gones(world, first)} == {"scale"}  # wanted no more: nobody replaces them
    assert list(world.burst("item", [3], into=first).results()) == [3]


def test_a_second_job_for_which_no_worker_may_start_leaves_the_first_as_it_was(world, limited):
    limited(room=1, answer=lambda self, token: Refusal(token=token, problem="no more of them"))
    first = world.burst("item", [1], workers=3, launcher="limited")
    assert list(first.results()) == [1]
    before, living = [key for key in world.objects() if key.endswith(".next")], first.fleet.living
    before += [key for key in world.objects() if key.endswith(".gone")]
    with pytest.raises(LaunchError, match="no more of them"):
        world.burst("item", [1, 2, 3], into=first)
    assert first.fleet.living == living
    assert [key for key in world.objects() if key.endswith((".next", ".gone"))] == before


def test_what_a_failed_second_job_wrote_is_deleted_in_reverse_and_its_record_first(world, flaky):
    first = world.burst("item", [1])
    assert list(first.results()) == [1]

    def weather(verb, key):
        if key.endswith("/job.json") and verb == "put":
            flaky.inner.put(key, b"it may lie there though nothing was answered")
            raise Denied("not yours")

    flaky.weather = weather
    flaky.calls.clear()
    with pytest.raises(Denied):
        world.burst("item", [2], into=first)
    deleted = [key.rpartition("/")[2] for verb, key in flaky.calls if verb == "delete"]
    assert deleted[0] == "job.json"
    assert deleted[1].endswith("-add-job")
    assert deleted[2:] == ["payload", "items", "coming"]


def test_without_the_key_no_work_can_be_added(world):
    session = world.burst("item", [1])
    stranger = world.attach(session.id, user="-other")
    with pytest.raises(AttachError, match="key is not on this machine"):
        world.burst("item", [2], into=stranger)


def test_two_clients_may_add_at_once(world):
    first = world.burst("item", [0], workers=2)
    other = world.attach(first.id)
    found, errors = {}, []

    def add(into, base):
        try:
            found[base] = list(world.burst(f"item + {base}", range(20), into=into).results())
        except BurstError as error:
            errors.append(error)

    threads = [threading.Thread(target=add, args=words) for words in ((first, 100), (other, 200))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    assert found == {100: list(range(100, 120)), 200: list(range(200, 220))}


def test_ids_are_told_apart_and_have_their_form(world):
    from burst_magic.session.submit import new_session_id

    made = {new_session_id(0.0) for _ in range(100)}
    assert len(made) == 100
    assert all(keys.is_session_id(each) and each.startswith("19700101-000000-") for each in made)
