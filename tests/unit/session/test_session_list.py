"""The user's list of sessions: what a newer version has written, and what is damaged."""

from __future__ import annotations

import json

import pytest

from burst_magic.session import session_list
from burst_magic.session.session_list import ListedJob

LINE = ListedJob(id="s1", job="0", store="file:///tmp/store", created=1000.0, name="tour")
NEWER = {"id": "s2", "job": "0", "store": "s3://bucket", "created": 2000.0, "colour": "blue"}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "sessions"
    session_list.append(path, LINE)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(NEWER) + "\n")
    return path


def test_fields_that_a_newer_version_has_added_are_ignored(path):
    assert session_list.read(path) == [LINE, ListedJob(id="s2", job="0", store="s3://bucket", created=2000.0)]


def test_a_session_of_a_newer_version_can_be_removed_and_the_other_lines_stay_as_they_were(path):
    session_list.remove(path, "s1")
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == [NEWER]
    session_list.remove(path, "s2")
    assert path.read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("text", ["{", "[1]", "null", '"s1"', '{"id": "s3"}'])
def test_a_line_that_is_none_is_skipped_and_kept(path, text):
    with path.open("a", encoding="utf-8") as file:
        file.write(text + "\n")
    assert [line.id for line in session_list.read(path)] == ["s1", "s2"]
    session_list.remove(path, "s1")
    assert path.read_text(encoding="utf-8").splitlines()[-1] == text
