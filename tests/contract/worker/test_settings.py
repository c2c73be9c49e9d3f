"""The notebook's settings in real slots: made for each task, taken back for the next job, said where they cannot be."""

from __future__ import annotations

import pickle

import pytest

LOOK = """
import calendar, decimal, os, socket, time
(decimal.getcontext().prec, socket.getdefaulttimeout(), calendar.firstweekday(), os.environ.get("MODE"), time.timezone)
"""
SETTINGS = {
    "decimal": {"prec": 9},
    "socket": {"timeout": 2.5},
    "calendar": {"firstweekday": 6},
    "environment": {"MODE": "b", "TZ": "Asia/Kolkata"},
}


def values(outcomes):
    assert not [o for o in outcomes if o.failed], [(o.error, o.message, o.traceback) for o in outcomes if o.failed]
    return [pickle.loads(o.value) for o in outcomes]


def test_settings_hold_for_each_task_and_end_with_their_job(bench):
    slot = bench.slot()
    change = "socket.setdefaulttimeout(1.0)\ndecimal.getcontext().prec = 3\ncalendar.setfirstweekday(2)\nseen"
    plain, again = (28, None, 0, None, time_zone()), (9, 2.5, 6, "b", -19800)
    assert values(bench.perform(LOOK, [1], slot=slot)) == [plain]
    assert (
        values(
            bench.perform(f"{LOOK.replace('(dec', 'seen = (dec')}\n{change}", [1, 2, 3], slot=slot, settings=SETTINGS)
        )
        == [again] * 3
    )
    assert values(bench.perform(LOOK, [1], slot=slot)) == [plain]


def time_zone():
    import time

    return time.timezone


@pytest.mark.parametrize("name", ["HOME", "PATH"])
def test_a_variable_that_the_notebook_deleted_is_not_there(bench, name):
    slot = bench.slot()
    look = f"import os\n{name!r} in os.environ"
    assert values(bench.perform(look, [1, 2], slot=slot, settings={"environment": {name: None}})) == [False, False]
    assert values(bench.perform(look, [1], slot=slot)) == [True]


def test_a_setting_that_cannot_be_made_fails_each_task_with_its_name(bench):
    outcomes = bench.perform("import locale\nitem", [1, 2], settings={"locale": {"LC_TIME": "xx_NO.where"}})
    assert ["the notebook's locale settings could not be applied on the worker" in one.message for one in outcomes] == [
        True,
        True,
    ]


def test_settings_of_a_newer_version_are_passed_over(bench):
    assert values(bench.perform("item", [1], settings={"of the future": {"key": 1}})) == [1]


def test_a_task_may_ask_threads_of_its_own_for_the_settings_of_the_process(bench):
    source = """
import concurrent.futures, socket
with concurrent.futures.ThreadPoolExecutor(1) as pool:
    seen = pool.submit(socket.getdefaulttimeout).result()
seen
"""
    assert values(bench.perform(source, [1], settings=SETTINGS)) == [2.5]
