"""A Jupyter server shows sessions that no kernel holds, to its own user only, and believes nobody."""

from __future__ import annotations

import itertools
import json
import shutil
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from burst_magic.session import keyring

SOME = "20270101-000000-aaaaaaaa"
FAILING = """
if item == 3:
    raise KeyError('nine')
item * 2
"""
WAITING = """
import os, time
while not os.path.exists(gate):
    time.sleep(0.01)
item
"""


@pytest.fixture
def finished(world, until):
    session = world.burst("item * 2", [1, 2, 3], name="settle", out="points")
    assert list(session.results()) == [2, 4, 6]
    session.detach()
    return session


@pytest.fixture
def waiting(world, gate):
    """A session whose tasks wait, and that no kernel follows."""
    world.home["gate"] = str(gate)
    session = world.burst(WAITING, range(4), out="points")
    session.detach()
    yield session
    gate.touch()


def path_of(session, rest="frame"):
    return f"sessions/{session.id}/{session.job}/{rest}"


def test_a_finished_job_is_shown_without_a_kernel(jupyter, finished):
    frame = jupyter.frame(finished)
    assert frame["session"], frame["job"] == (finished.id, finished.job)
    assert frame["phase"] == "finished"
    assert frame["counts"] == {**frame["counts"], "total": 3, "completed": 3, "failed": 0, "pending": 0}
    assert frame["attach"] == f"%burst_attach {finished.id}"
    assert frame["out"] == "points"


def test_a_running_job_is_followed_until_it_is_done(jupyter, waiting, gate, until):
    until(lambda: jupyter.frame(waiting)["phase"] == "running")
    gate.touch()
    until(lambda: jupyter.frame(waiting)["phase"] == "finished")


def test_nothing_is_sent_again_to_who_has_everything(jupyter, finished, until):
    until(lambda: jupyter.frame(finished)["workers"]["alive"] == 0)
    first = jupyter.get(path_of(finished))
    parts = "&".join(f"{part}={rev}" for part, rev in first.said["revisions"].items())
    known = jupyter.get(f"{path_of(finished)}?{parts}", **{"If-None-Match": first.headers["ETag"]})
    assert (known.status, known.body) == (304, b"")
    lean = jupyter.get(f"{path_of(finished)}?{parts}").said
    assert {"failures", "output"} & lean.keys() == set()
    again = jupyter.get(path_of(finished), **{"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.said.keys()) == (200, first.said.keys())  # it did not say that it has the parts


def test_failures_are_grouped_and_lead_to_the_traceback(jupyter, world):
    session = world.burst(FAILING, range(6))
    session.wait(errors="return")
    session.detach()
    (group,) = jupyter.frame(session)["failures"]["groups"]
    assert (group["type"], group["count"], group["first"], group["line"]) == ("KeyError", 1, 3, 3)
    page = jupyter.get(path_of(session, f"tasks?group={group['id']}")).said
    assert [row["task"] for row in page["rows"]] == [3]
    assert page["next"] is None
    task = jupyter.get(path_of(session, "tasks/3")).said
    assert "KeyError: 'nine'" in task["traceback"]
    assert (task["item"], task["kind"], task["displays"]) == ("3", "raised", [])
    assert jupyter.get(path_of(session, f"tasks?group={group['id']}&after=3")).said["rows"] == []


def test_a_task_with_a_value_says_what_it_displayed_and_nothing_of_the_value(jupyter, world):
    source = "from IPython.display import display\nclass Rich:\n    def _repr_html_(self): return '<b>bold</b>'\n\ndisplay(Rich())\nitem"
    session = world.burst(source, range(1))
    session.wait()
    session.detach()
    task = jupyter.get(path_of(session, "tasks/0")).said
    (shown,) = task["displays"]
    assert (shown["mime"], shown["data"]) == ("text/html", "<b>bold</b>")
    assert (task["kind"], task["type"], task["traceback"]) == (None, "", "")
    assert "Rich object" in task["output"]


def test_what_a_notebook_file_holds_is_new_without_a_kernel(jupyter, finished, until):
    bundle = jupyter.get(path_of(finished, "output")).said
    assert bundle["application/vnd.burst+json"]["phase"] == "finished"
    assert "settle" in bundle["text/html"]
    assert "<script" not in bundle["text/html"]
    assert "3 of 3" in bundle["text/plain"]


@pytest.mark.parametrize(
    ("rest", "status", "says"),
    [
        ("tasks/99", 409, "no task 99"),
        ("tasks?group=x&after=-1", 400, "not a number"),
        ("states?start=99999999999999", 400, "not a number"),
        ("nothing", 404, "no such route"),
    ],
)
def test_a_question_that_makes_no_sense_is_answered(jupyter, finished, rest, status, says):
    answer = jupyter.get(path_of(finished, rest))
    assert (answer.status, says in answer.said["problem"]) == (status, True), answer.said


def test_states_and_workers_are_there_on_demand(jupyter, finished):
    assert jupyter.get(path_of(finished, "states")).said == {"start": 0, "stop": 3, "tasks": {"size": 1, "cells": "c3"}}
    (worker,) = jupyter.get(path_of(finished, "workers")).said["workers"]
    assert worker["name"] == "worker 1"


def test_the_list_has_every_session_with_its_jobs(jupyter, finished, waiting, until):
    def listed():
        rows = jupyter.get("sessions").said["sessions"]
        return {row["session"]["id"]: row for row in rows}

    rows = until(lambda: len(found := listed()) == 2 and found)
    assert rows[finished.id]["jobs"][0]["out"] == "points"
    assert rows[finished.id]["jobs"][0]["title"] == "settle"
    assert rows[finished.id]["session"]["completed"] == 3
    assert rows[waiting.id]["session"]["state"] == "running"
    until(lambda: listed()[finished.id]["jobs"][0]["phase"] == "finished")


def test_a_session_that_is_asked_for_by_id_is_in_the_list(jupyter, finished):
    said = jupyter.get(f"sessions?ids={finished.id},20200101-000000-aaaaaaaa").said
    assert [row["session"]["id"] for row in said["sessions"]] == [finished.id]
    assert jupyter.get("sessions?ids=../..").status == 400


def test_the_list_is_not_sent_again_to_who_has_it(jupyter, finished, waiting, until):
    def first():
        answer = jupyter.get("sessions")
        tag = answer.headers["ETag"]
        return answer.status == 200 and jupyter.get("sessions", **{"If-None-Match": tag})

    same = until(lambda: (answer := first()) and answer.status == 304 and answer)
    assert same.body == b""
    assert jupyter.get("sessions", **{"If-None-Match": '"another"'}).said["sessions"]


def test_a_timeline_has_each_task_on_the_lane_of_its_worker(jupyter, finished):
    said = jupyter.get(path_of(finished, "timeline")).said
    tasks = [bar["task"] for lane in said["lanes"] for bar in lane["bars"]]
    assert (sorted(tasks), said["left_out"]) == (list(range(finished.description.tasks)), 0)
    assert all(said["start"] <= bar["began"] <= said["stop"] for lane in said["lanes"] for bar in lane["bars"])


# --- what may be asked, and by whom -------------------------------------------------------------------------


def test_cancel_without_a_kernel_says_what_becomes_of_the_job(jupyter, waiting, until):
    until(lambda: jupyter.frame(waiting)["phase"] == "running")
    answer = jupyter.post(path_of(waiting, "cancel"))
    assert (answer.status, "the session ends with it" in answer.said["notice"]) == (200, True)
    until(lambda: jupyter.frame(waiting)["end"] == "cancelled")
    again = jupyter.post(path_of(waiting, "cancel"))
    assert again.said["notice"] == "This job had ended already: cancelled."


def test_cancelling_a_job_leaves_its_siblings(jupyter, world, waiting, gate, until):
    other = world.burst(WAITING, range(2), into=waiting)
    other.detach()
    answer = jupyter.post(path_of(waiting, "cancel"))
    assert "other jobs continue" in answer.said["notice"]
    until(lambda: jupyter.frame(waiting)["end"] == "cancelled")
    gate.touch()
    until(lambda: jupyter.frame(other)["phase"] == "finished")


def test_cancelling_a_session_ends_all_its_jobs(jupyter, world, waiting, until):
    other = world.burst(WAITING, range(2), into=waiting)
    other.detach()
    assert jupyter.post(f"sessions/{waiting.id}/cancel").status == 200
    until(lambda: {jupyter.frame(each)["end"] for each in (waiting, other)} == {"cancelled"})


def test_a_session_is_cancelled_though_the_record_of_a_job_is_damaged(jupyter, world, waiting, until):
    until(lambda: jupyter.frame(waiting)["phase"] == "running")
    place = world.store.path(f"sessions/{waiting.id}/jobs/{waiting.job}/job.json")
    place.write_bytes(b"damaged")
    answer = jupyter.post(f"sessions/{waiting.id}/cancel")
    assert (answer.status, "workers end" in answer.said["notice"]) == (200, True), answer.said
    until(lambda: not world.workers(), "its worker to end")


def test_stopping_the_workers_keeps_results_and_ends_workers_that_are_kept_for_the_next_job(
    jupyter, world, finished, until
):
    until(world.workers, "its warm worker to be seen")
    answer = jupyter.post(f"sessions/{finished.id}/cleanup")
    assert (answer.status, "results are kept" in answer.said["notice"]) == (200, True), answer.said
    until(lambda: not world.workers(), "its worker to end")
    assert jupyter.frame(finished)["counts"]["completed"] > 0


def test_a_session_is_deleted_with_its_results_once_it_has_ended(jupyter, world, waiting, gate, until):
    refused = jupyter.post(f"sessions/{waiting.id}/delete")
    assert (refused.status, "still running" in refused.said["problem"]) == (409, True)
    assert world.objects(f"sessions/{waiting.id}")
    gate.touch()
    until(lambda: jupyter.frame(waiting)["phase"] == "finished")
    answer = jupyter.post(f"sessions/{waiting.id}/delete")
    assert (answer.status, "its results were deleted" in answer.said["notice"]) == (200, True), answer.said
    assert world.objects(f"sessions/{waiting.id}") == []
    assert keyring.find(world.settings().keys_dir, waiting.id) is None
    assert jupyter.get("sessions").said["sessions"] == []
    assert not world.workers()


def test_extending_moves_the_deadline(jupyter, waiting, until):
    before = jupyter.frame(waiting)["deadline"]
    answer = jupyter.post(f"sessions/{waiting.id}/extend", seconds=3600)
    assert answer.status == 200, answer.said
    until(lambda: jupyter.frame(waiting)["deadline"] >= before + 3599)


def test_workers_of_this_machine_are_started_by_a_kernel_only(jupyter, waiting, until):
    until(lambda: jupyter.frame(waiting)["workers"]["alive"] == 1)
    refused = jupyter.post(f"sessions/{waiting.id}/scale", workers=3)
    assert (refused.status, refused.said["way_out"]) == (409, f"%burst_scale 3 {waiting.id} in a notebook")
    assert jupyter.frame(waiting)["workers"]["wanted"] == 1


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("extend", b"{}"),
        ("extend", b'{"seconds": -1}'),
        ("extend", b'{"seconds": 1e999}'),
        ("extend", b'{"seconds": true}'),
        ("scale", b'{"workers": "many"}'),
        ("scale", b"[]"),
        ("scale", b"not json"),
        ("scale", b"[" * 9000),
        ("cancel", b" " * 20_000),
    ],
)
def test_a_body_that_makes_no_sense_is_refused_and_does_nothing(jupyter, world, waiting, route, body):
    before = world.objects(f"sessions/{waiting.id}/control")
    answer = jupyter.open(f"burst/api/sessions/{waiting.id}/{route}", data=body)
    assert (answer.status, bool(answer.said["problem"])) == (400, True)
    assert world.objects(f"sessions/{waiting.id}/control") == before


def test_without_the_key_a_job_is_shown_and_nothing_is_asked_of_it(jupyter, world, waiting, until):
    secret = keyring.find(world.settings().keys_dir, waiting.id)
    keyring.forget(world.settings().keys_dir, waiting.id)
    try:
        until(lambda: jupyter.frame(waiting)["phase"] == "running")
        before = world.objects(f"sessions/{waiting.id}/control")
        refused = jupyter.post(path_of(waiting, "cancel"))
        assert refused.status == 403
        assert "key is not on this machine" in refused.said["problem"]
        assert "burst key show" in refused.said["way_out"]
        assert world.objects(f"sessions/{waiting.id}/control") == before
    finally:
        keyring.keep(world.settings().keys_dir, waiting.id, secret)


def test_with_a_wrong_key_nothing_is_believed(jupyter, world, finished):
    keyring.keep(world.settings().keys_dir, finished.id, b"x" * 32)
    answer = jupyter.get(path_of(finished))
    keyring.keep(world.settings().keys_dir, finished.id, finished.secret)
    assert answer.status == 409, answer.said


ROUTES = ["sessions", "sessions/{sid}/0/frame", "sessions/{sid}/0/tasks", "sessions/{sid}/0/tasks/3",
          "sessions/{sid}/0/states", "sessions/{sid}/0/workers", "anything"]  # fmt: skip
DEEDS = ["sessions/{sid}/0/cancel", "sessions/{sid}/cancel", "sessions/{sid}/extend", "sessions/{sid}/scale"]


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_reads_anything_without_the_servers_token(jupyter, route):
    for opener, headers in ((urllib.request.build_opener(), {}), (None, {"Authorization": "token wrong"})):
        answer = jupyter.open(f"burst/api/{route.format(sid=SOME)}", opener=opener, **headers)
        assert (answer.status, answer.said["problem"]) == (403, "Forbidden")


def test_another_pages_request_does_nothing_though_the_browser_is_logged_in(jupyter, world, finished):
    visitor = jupyter.visitor()
    before = world.objects(f"sessions/{finished.id}/control")
    for route, headers in itertools.product(DEEDS, ({}, {"X-XSRFToken": "guessed"})):
        answer = jupyter.open(f"burst/api/{route.format(sid=finished.id)}", data=b"{}", opener=visitor, **headers)
        assert answer.status == 403, answer.said
        assert "xsrf" in answer.said["problem"].lower(), answer.said
    assert world.objects(f"sessions/{finished.id}/control") == before
    read = jupyter.open(f"burst/api/{path_of(finished)}", opener=visitor)
    assert read.status == 200  # the same browser may look


HOSTILE = [
    "sessions/../0/frame",
    "sessions/..%2f..%2fetc/0/frame",
    "sessions/{sid}/../frame",
    "sessions/{sid}/..%2f0/frame",
    "sessions/{sid}/%2e%2e/frame",
    "sessions/{sid}%00/0/frame",
    "sessions/{sid}/0%0a/frame",
    "sessions/{sid}/" + "0" * 10_000 + "/frame",
    "sessions/" + "9" * 10_000 + "/0/frame",
    "sessions/{sid}/0/tasks/../../../../etc/passwd",
    "sessions/{sid}/0/tasks/" + "9" * 40,
    "sessions/{upper}/0/frame",
    "sessions/%E2%80%AE{sid}/0/frame",
    "%2e%2e/%2e%2e/sessions",
    "sessions/file:%2f%2f%2ftmp/0/frame",
]


@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_ids_reach_no_store(jupyter, path):
    answer = jupyter.get(path.format(sid=SOME, upper=SOME.upper()))
    assert answer.status in {400, 404}
    assert b"Traceback" not in answer.body


def test_a_store_that_a_request_names_is_not_opened(jupyter, world, finished, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    answer = jupyter.get(f"{path_of(finished)}?store={elsewhere.as_uri()}&url={elsewhere.as_uri()}")
    assert answer.status == 200
    assert not elsewhere.exists()


def test_a_session_of_another_store_is_not_shown_and_its_store_is_named(jupyter, world, finished, tmp_path):
    from burst_magic import config

    other = (tmp_path / "another").as_uri()
    config.save({"store": other}, config_dir=world.settings().config_dir)
    answer = jupyter.get(path_of(finished))
    assert answer.status == 404
    assert "another store" in answer.said["problem"]
    assert world.store.url in answer.said["context"]
    assert "missing_from" not in answer.said
    assert jupyter.post(path_of(finished, "cancel")).status == 404


def test_a_session_folder_that_is_a_link_shows_nothing_behind_it(jupyter, world, finished, tmp_path):
    planted = SOME
    outside = tmp_path / "outside"
    shutil.copytree(world.store.path(f"sessions/{finished.id}"), outside)  # its worker still writes there
    world.store.path(f"sessions/{planted}").symlink_to(outside)
    answer = jupyter.get(f"sessions/{planted}/{finished.job}/frame")
    world.store.path(f"sessions/{planted}").unlink()
    assert (answer.status, bool(answer.said["problem"])) == (404, True)


# --- when something is wrong --------------------------------------------------------------------------------


def test_a_session_that_never_was_is_said_to_be_unknown_to_the_store(jupyter, world):
    answer = jupyter.get("sessions/20200101-000000-aaaaaaaa/0/frame")
    assert (answer.status, "unknown or has expired" in answer.said["problem"]) == (404, True)
    assert answer.said["missing_from"] == world.store.url


def test_a_job_that_never_was_is_refused_and_the_others_are_shown(jupyter, finished):
    answer = jupyter.get(f"sessions/{finished.id}/nothing/frame")
    assert (answer.status, "has no job nothing" in answer.said["problem"]) == (404, True)
    assert jupyter.frame(finished)["phase"] == "finished"


def test_a_session_that_is_deleted_meanwhile_is_said_to_be(jupyter, world, waiting, until):
    until(lambda: jupyter.frame(waiting)["phase"] == "running")
    waiting.cleanup(force=True)
    until(lambda: jupyter.frame(waiting)["end"] == "deleted")


@pytest.mark.parametrize("what", ["manifest.json", "jobs/0/job.json"])
def test_a_damaged_record_is_an_answer_and_no_failure_of_the_server(jupyter, world, finished, what):
    place = world.store.path(f"sessions/{finished.id}/{what}")
    whole = place.read_bytes()
    place.write_bytes(whole[:-9] + b"damaged!}")
    answer = jupyter.get(path_of(finished))
    place.write_bytes(whole)
    assert (answer.status, bool(answer.said["problem"])) == (409, True), answer.said
    assert jupyter.get("sessions").status == 200


def test_damaged_results_are_counted_and_the_rest_is_shown(jupyter, world):
    session = world.burst(FAILING, range(6))
    session.wait(errors="return")
    session.detach()
    for key in world.objects(f"sessions/{session.id}/jobs/0/results"):
        place = world.store.path(key)
        place.write_bytes(place.read_bytes()[:-20])
    frame = jupyter.frame(session)
    assert frame["counts"]["total"] == 6
    assert jupyter.get(path_of(session, "tasks/3")).said["kind"] == "damaged"


def test_a_store_that_is_away_leaves_the_last_frame_with_its_age_and_why(jupyter, world, waiting, until):
    until(lambda: jupyter.frame(waiting)["phase"] == "running")
    folder = world.store.path("sessions").parent
    away = folder.with_name("away")
    folder.rename(away)
    folder.write_bytes(b"no folder")  # a file where it was
    try:
        frame = until(lambda: (found := jupyter.frame(waiting))["stale"] and found)
        assert frame["stale"]["since"] < time.time()
        assert frame["stale"]["why"]
        assert frame["counts"]["total"] == 4
        assert jupyter.get("sessions").status == 200
    finally:
        folder.unlink()
        away.rename(folder)
    until(lambda: not jupyter.frame(waiting)["stale"])


def test_a_hundred_who_ask_at_once_get_the_same_and_the_server_does_not_grow(jupyter, finished, until):
    until(lambda: jupyter.frame(finished)["workers"]["alive"] == 0)
    with ThreadPoolExecutor(100) as many:
        before_threads = jupyter.threads()
        answers = list(many.map(lambda _: jupyter.get(path_of(finished)), range(100)))
        assert {answer.status for answer in answers} == {200}
        assert len({answer.headers["ETag"] for answer in answers}) <= 2  # a look may lie between them
        assert jupyter.threads() <= before_threads + 10
        before = jupyter.memory()
        list(many.map(lambda _: jupyter.get(path_of(finished)), range(1000)))
    assert jupyter.memory() - before < 8 << 20


def test_polls_do_not_keep_an_idle_server_alive(jupyter, finished):
    def active():
        return json.loads(jupyter.open("api/status?no_track_activity=1").body)["last_activity"]

    jupyter.frame(finished)
    before = active()
    time.sleep(0.01)
    jupyter.frame(finished)
    assert active() == before
