"""A worker on ECS believes the session's key only if it is the one it was told of: real tasks, policies enforced."""

from __future__ import annotations

import time

import pytest

from burst_magic.launchers.base import Cause
from burst_magic.launchers.ecs_task import status_of
from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.wire import keys, sign
from burst_magic.protocol.wire.summons import Summons

SID, SECRET = "20260101-000000-aaaaaaaa", bytes(range(32))
FINGERPRINT = sign.fingerprint(SECRET)


@pytest.fixture
def born(cloud, account):
    """Starts a worker's task and waits for its end: its status, and what its container printed."""
    written = []

    def start(*, secret=SECRET, fingerprint=FINGERPRINT, below="burst"):
        bucket = cloud.environ()["BURST_STORE"].split("/")[2]
        if secret is not None:
            name = f"{below}/{keys.session_key(SID, FINGERPRINT)}"
            account.client("s3").put_object(Bucket=bucket, Key=name, Body=secret, IfNoneMatch="*")
            written.append((bucket, name))
        summons = Summons(
            store=f"s3://{bucket}/{below}",
            sid=SID,
            token="t1",
            fingerprint=fingerprint,
            launcher="fargate",
            deadline=time.time() + 3600,
        )
        environment = [{"name": name, "value": value} for name, value in summons.variables().items()]
        overrides = {"containerOverrides": [{"name": "worker", "environment": environment}]}
        arn = account.start(overrides=overrides)
        status = status_of(account.finished(arn))
        return status, "\n".join(account.lines(arn))

    yield start
    for bucket, name in written:
        account.client("s3").delete_object(Bucket=bucket, Key=name)


def test_the_right_key_lets_a_worker_look_for_its_session(born):
    status, said = born()
    assert status.exit_code == ExitCode.FINISHED
    assert f"the session is gone: {SID}" in said


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"secret": bytes(32)}, "stored key doesn't match its fingerprint"),
        ({"secret": SECRET[:-1]}, "stored key doesn't match its fingerprint"),
        ({"secret": None}, "is not in the store"),
        ({"fingerprint": sign.fingerprint(bytes(32))}, "is not in the store"),
        ({"below": "elsewhere", "secret": None}, "may not be read"),
    ],
    ids=["swapped", "cut", "missing", "another fingerprint", "no right to read it"],
)
def test_a_key_that_is_not_the_sessions_ends_the_worker_with_the_reason(born, how, why):
    began = time.monotonic()
    status, said = born(**how)
    assert (status.exit_code, status.cause) == (ExitCode.UNTRUSTED, Cause.UNTRUSTED)
    assert why in said
    assert "could not read this session's key" in status.reason
    assert how.get("fingerprint", FINGERPRINT) not in said
    assert SECRET.hex() not in said
    assert time.monotonic() - began < 30  # it is not asked for again and again
