"""Checks run beside each other: none stops the others or makes them wait, and each says the way out."""

from __future__ import annotations

import threading

import pytest

from burst_magic import config
from burst_magic.errors import Denied
from burst_magic.plan.finding import Level, bad, note, ok
from burst_magic.session.doctor import clock, examine, run
from burst_magic.ui.text import findings_text


def test_a_check_that_hangs_or_fails_hides_none_of_the_others():
    gate = threading.Event()

    def hangs():
        gate.wait()
        return [ok("slow", "at last")]

    def refused():
        raise Denied("no credentials", way_out="aws configure")

    def broken():
        raise ZeroDivisionError("oops")

    checks = {"slow": hangs, "denied": refused, "broken": broken, "quick": lambda: [ok("quick", "fine")]}
    found = {each.what: each for each in run(checks, within=0.5)}
    gate.set()
    assert list(found) == ["slow", "denied", "broken", "quick"]
    assert found["slow"].detail == "no answer within 0 s"
    assert (found["denied"].detail, found["denied"].way_out) == ("no credentials", "aws configure")
    assert "oops" in found["broken"].detail
    assert [each.good for each in found.values()] == [False, False, False, True]


@pytest.mark.parametrize(("there", "level"), [(1000, Level.OK), (1059, Level.OK), (1301, Level.BAD), (700, Level.BAD)])
def test_a_clock_may_be_off_by_a_minute(there, level):
    assert clock(there, 1000.0).level is level


def test_each_finding_is_a_line_and_its_way_out_another():
    assert findings_text([ok("a", "fine"), note("b", "so so"), bad("c", "broken", "mend it")]).splitlines() == [
        "ok   a: fine",
        "note b: so so",
        "BAD  c: broken",
        "     try: mend it",
    ]


def settings(tmp_path, **environ):
    return config.load(environ=environ, config_dir=tmp_path / "config", data_dir=tmp_path / "data")


def test_without_anything_of_aws_nothing_of_it_is_looked_at(tmp_path):
    found = examine(settings(tmp_path))
    assert [each.what for each in found] == ["python", "directories", "store", "clock", "workers"]
    assert all(each.level is Level.OK for each in found)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "config").write_text("a file")
    found = {each.what: each for each in examine(settings(tmp_path, BURST_STORE="file:///proc/no-such-place"))}
    assert found["directories"].level is found["store"].level is Level.BAD
    assert "BURST_CONFIG_DIR" in found["directories"].way_out
    assert found["store"].way_out
    assert "workers" not in found  # they would say the same


def test_what_lies_in_a_folder_that_cannot_be_used_is_not_found_wrong_again(tmp_path):
    (tmp_path / "data").write_text("a file")
    assert [(each.what, each.good) for each in examine(settings(tmp_path))] == [
        ("python", True),
        ("directories", False),
    ]


def test_a_worker_that_cannot_start_here_says_why_and_where(tmp_path, monkeypatch):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    (workers,) = [each for each in examine(settings(tmp_path)) if each.what == "workers"]
    assert workers.detail == "local: the current folder does not exist any more (workers on this machine begin in it)"
