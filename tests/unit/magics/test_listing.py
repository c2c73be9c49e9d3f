"""What ``--json`` prints."""

from __future__ import annotations

import json

import numpy as np
import pytest

from burst_magic.magics.listing import sessions_json, status_json, values_json
from burst_magic.protocol.snapshot import FailureGroup, Snapshot
from burst_magic.protocol.wire.model import JobEnd, OutcomeKind
from burst_magic.session.attach import SessionRow
from burst_magic.session.results import PENDING

SID = "20261121-101828-5cj77ijt"
LOST_KEY = FailureGroup(
    ident="1", kind=OutcomeKind.ERROR, error="KeyError", line=None, message="'x'", count=1, messages=1, first=0
)


def test_the_facts_of_a_job_are_counts_dollars_seconds_and_times():
    seen = Snapshot(
        sid=SID, jid="0", now=1090.0, created=1000.0, total=4, pending=1, running=1, completed=1, failed=1,
        launcher="spot", rate=50_000, spend=1_250_000, forecast=1120.0, failures=(LOST_KEY,), deadline=87400.0,
    )  # fmt: skip
    said = json.loads(status_json(seen))
    assert said["tasks"] == {"total": 4, "pending": 1, "running": 1, "completed": 1, "failed": 1, "reused": 0}
    assert (said["cost"], said["on_fargate"], said["left"], said["elapsed"]) == (1.25, None, 30.0, 90.0)
    assert said["created"] == "1970-01-01T00:16:40+00:00"
    assert (said["over"], said["ended"]) == (False, None)
    assert said["errors"] == [{"count": 1, "text": "KeyError: 'x'"}]


def test_a_finished_job_has_an_end_and_nothing_left():
    seen = Snapshot(
        sid=SID, jid="0", now=1090.0, created=1000.0, total=1, pending=0, running=0, completed=1, failed=0,
        ended=JobEnd.FINISHED, finished_at=1010.0, fargate_spend=2_000, forecast=1095.0,
    )  # fmt: skip
    said = json.loads(status_json(seen))
    assert (said["state"], said["over"], said["left"]) == ("finished", True, None)
    assert (said["cost"], said["on_fargate"]) == (0.0, 0.002)


def test_rows_of_sessions_say_what_is_wrong_with_them_and_no_cost_that_is_not_known():
    rows = [
        SessionRow(id=SID, name="fit", created=0.0, last_activity=5.0, total=3, cost=None),
        SessionRow(id=SID, name="(unreadable)", created=0.0, last_activity=0.0, problem="damaged"),
    ]
    fit, damaged = json.loads(sessions_json(rows))
    assert (fit["name"], fit["total"], fit["cost"], fit["problem"]) == ("fit", 3, None, "")
    assert (damaged["cost"], damaged["problem"]) == (None, "damaged")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.5, 1.5),
        ("a\nb", "a\nb"),
        ((1, None), [1, None]),
        ({"k": [True]}, {"k": [True]}),
        (np.float64(2.5), 2.5),
        (np.arange(3), [0, 1, 2]),
        ({"x": np.int64(3)}, {"x": 3}),
        (float("nan"), "nan"),
        ([1.0, float("inf")], "[1.0, inf]"),
        ({1, 2}, "{1, 2}"),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        (ValueError("no"), "ValueError('no')"),
        (PENDING, "PENDING"),
    ],
)
def test_a_value_that_json_lacks_is_given_as_its_repr(value, said):
    assert json.loads(values_json([value])) == [said]


def test_values_are_one_a_line_and_none_are_an_empty_array():
    assert values_json([1, [2]]) == "[\n1,\n[2]\n]"
    assert values_json([]) == "[]"
