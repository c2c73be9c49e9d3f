"""A task that S3 has refused something is told what allows it; nobody else is."""

from __future__ import annotations

import pytest

from burst_magic.protocol.wire.model import Outcome, OutcomeKind
from burst_magic.session.outcomes import story, way_to_data

TASK = "0123456789abcdef0123456789abcdef"
NAMED = (
    "An error occurred (AccessDenied) when calling the GetObject operation: User: arn:aws:sts::1:assumed-role/burst-task"
    '/x is not authorized to perform: s3:GetObject on resource: "arn:aws:s3:::my-data/a" because no identity-based'
)


def failed(message: str, *, worker: str = TASK, traceback: str = "") -> Outcome:
    return Outcome(
        task=0, kind=OutcomeKind.ERROR, error="ClientError", message=message, traceback=traceback, worker=worker
    )


@pytest.mark.parametrize(
    ("message", "traceback", "said"),
    [
        (NAMED, "", "--allow-read s3://my-data "),
        (NAMED.replace("GetObject", "PutObject"), "", "--allow-write s3://my-data "),
        ("An error occurred (403) when calling the HeadObject operation: Forbidden", "", "--allow-read s3://… "),
        ("Access Denied", "pandas.read_parquet('s3://lake/x')\ns3fs.errors", "--allow-read s3://lake "),
    ],
)
def test_a_refusal_of_s3_names_the_command(message, traceback, said):
    outcome = failed(message, traceback=traceback)
    assert said in way_to_data(outcome)
    assert f"  try:   {way_to_data(outcome)}" in story(outcome)


@pytest.mark.parametrize(
    "outcome",
    [
        failed(NAMED, worker="laptop-12-345"),
        failed("division by zero"),
        failed("Access Denied", traceback="open('/etc/shadow')"),
        failed("NoSuchKey: the S3 object does not exist"),
    ],
)
def test_other_failures_are_not_told_so(outcome):
    assert way_to_data(outcome) == ""
    assert "burst setup" not in story(outcome)
