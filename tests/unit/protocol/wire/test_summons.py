"""The environment of a worker that no pipe reaches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from burst_magic.errors import LaunchError
from burst_magic.protocol.wire.summons import Summons

SUMMONS = Summons(
    store="s3://b/x", sid="20260101-000000-aaaaaaaa", token="t1", fingerprint="0" * 32, launcher="fargate", number=3
)


@pytest.mark.parametrize(("number", "deadline"), [(None, 0.0), (0, 1790000000.125), (3, 1.0)])
def test_the_environment_that_a_launcher_makes_is_the_one_that_a_worker_reads(number, deadline):
    summons = replace(SUMMONS, number=number, deadline=deadline, grace=120.0)
    assert Summons.found({**summons.variables(), "PATH": "/bin"}) == summons
    assert all(name.startswith("BURST_BIRTH_") for name in summons.variables())


def test_an_environment_that_says_too_little_is_refused_by_what_is_missing():
    variables = SUMMONS.variables()
    del variables["BURST_BIRTH_TOKEN"]
    with pytest.raises(LaunchError, match="TOKEN"):
        Summons.found(variables)
