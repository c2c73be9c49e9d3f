"""What the check-up says where AWS cannot be asked at all."""

from __future__ import annotations

import os

from burst_magic.launchers.checkup import CheckedFleet, Checkup

OPTIONS = {
    "region": "eu-west-1", "stack": "burst", "cluster": "burst", "task_definition": "burst-worker", "subnets": "subnet-1",
    "security_groups": "sg-1",
}  # fmt: skip


def test_credentials_that_are_missing_are_said_once(monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    fleet = CheckedFleet(
        options=OPTIONS,
        store="s3://bucket",
        workers=1,
        cpu=1.0,
        arch="",
        image="",
        python="3.11",
        syncs=True,
        quotas={},
    )
    checks = Checkup(fleet, about_image=lambda *_: ()).checks()
    assert len(checks) == 10
    said = [(each.what, each.detail) for check in checks.values() for each in check()]
    assert said == [("credentials", "no AWS credentials found")]
