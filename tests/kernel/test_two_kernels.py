"""Two kernels of one notebook that run at once: without an ID, each means its own sessions."""

from __future__ import annotations

import pytest

CELL = '%%burst --workers 1 --map "range(2)" --out r --name {name}\n(who, item)'


@pytest.fixture
def two(start_kernel, tmp_path):
    """Two living kernels of one saved notebook; the first has run a burst."""
    path = tmp_path / "shared.ipynb"
    path.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    one, other = (start_kernel(JPY_SESSION_NAME=str(path)) for _ in range(2))
    one.run("who = 'one'")
    other.run("who = 'other'")
    session = one.run(CELL.format(name="theirs")).session
    assert one.value("list(r)") == [("one", 0), ("one", 1)]
    return one, other, session


def test_a_kernel_without_sessions_takes_none_of_a_living_kernel_and_is_offered_them(two):
    one, other, session = two
    for verb in ("attach", "status", "cancel", "cleanup", "cleanup --force --yes", "scale 2", "collect"):
        refused = other.fails(f"%burst_{verb}").text
        assert "this kernel hasn't started a session, but others have" in refused, verb
        assert f"{session}  theirs" in refused, verb
    assert other.run("'r' in globals()").value is False
    assert one.value("r.session.status().ended.value") == "finished"
    assert one.run(f"%burst_status {session}").stdout.startswith("theirs · ")


def test_a_kernel_with_sessions_takes_its_own_and_names_the_others(two):
    _, other, theirs = two
    mine = other.run(CELL.format(name="mine")).session
    assert other.value("list(r)") == [("other", 0), ("other", 1)]
    assert f"session {theirs} (theirs) is of another kernel that is running: %burst_attach {theirs}" in (
        other.run("del r\n%burst_attach").stdout
    )
    assert other.value("list(r)") == [("other", 0), ("other", 1)]
    assert f"session {mine}: deleted" in other.run("%burst_cleanup --force --yes").stdout
    assert theirs in other.run("%burst_sessions").stdout


def test_what_it_has_attached_to_is_its_own(two):
    _, other, session = two
    other.run(f"%burst_attach {session}")
    assert other.value("list(r)") == [("one", 0), ("one", 1)]
    assert session in other.run("%burst_cancel").stdout


def test_a_kernel_that_has_ended_leaves_its_sessions_to_the_notebook(two):
    one, other, session = two
    one.kill()
    assert f"of session {session}" in other.run("%burst_attach").stdout
    assert other.value("list(r)") == [("one", 0), ("one", 1)]
