"""A client whose clock is wrong goes by the store's, and says so."""

from __future__ import annotations

import time

import pytest

from burst_magic.session.sweep import sweep_blobs
from burst_magic.session.warm import prolong

DAY = 86400.0


@pytest.mark.parametrize("ahead", [DAY, -DAY, 100.0])
def test_a_session_is_dated_by_the_stores_clock(world, flaky, caplog, ahead):
    flaky.ahead = ahead
    before = time.time() + ahead
    session = world.burst("item", [1], deadline=3600)
    assert before - 5 < session.manifest.created < before + 60
    assert session.manifest.deadline == pytest.approx(session.manifest.created + 3600)
    assert before - 5 < session.description.created < before + 60
    assert session.check_open() is not None
    seen = session.status()
    assert 0 <= seen.now - seen.created < 60
    said = [record.message for record in caplog.records if "clock is" in record.message]
    assert [("slow" in each, "fast" in each) for each in said] == [(ahead > 0, ahead < 0)]
    later = world.burst("item", [2], into=session)
    assert before - 5 < later.description.created < before + 60
    session.cancel()


@pytest.mark.parametrize("ahead", [0.0, 1.0, -1.0, 30.0])
def test_small_differences_are_not_worth_a_word(world, flaky, caplog, ahead):
    flaky.ahead = ahead
    session = world.burst("item", [1])
    session.cancel()
    assert not [record for record in caplog.records if "clock is" in record.message]


@pytest.mark.parametrize("ahead", [DAY, -DAY])
def test_a_sweep_by_a_wrong_clock_takes_no_value_that_a_submission_under_way_relies_on(world, flaky, ahead):
    flaky.ahead = ahead
    flaky.put("blobs/" + "a" * 64, b"stored just now, and named by no payload yet")
    swept = sweep_blobs(world.settings())
    assert (swept.deleted, swept.young) == (0, 1)
    assert [entry.key for entry in flaky.list("")] == ["blobs/" + "a" * 64]


@pytest.mark.parametrize("ahead", [DAY, -DAY])
def test_a_later_deadline_is_counted_by_the_stores_clock(world, flaky, ahead):
    flaky.ahead = ahead
    session = world.burst("item", [1], deadline=3600)
    prolong(session, world.settings(deadline=3600))
    assert session.status().deadline == pytest.approx(session.manifest.deadline)  # an hour is left: nothing to move
    assert session.extend("1h") - session.now() == pytest.approx(7200, abs=60)
    session.cancel()
