"""The launchers of the account: the contract that each launcher keeps, run against the stand-in cloud."""

from __future__ import annotations

import pytest

from burst_magic.launchers import TABLE, open_launcher, traits
from burst_magic.testing import LAUNCHER_CHECKS, check_launcher

ELSEWHERE = [name for name in TABLE if not traits(name)[name].here]


@pytest.mark.parametrize("name", ELSEWHERE)
@pytest.mark.parametrize("check", LAUNCHER_CHECKS, ids=lambda check: check.__name__)
def test_every_launcher_of_the_account_keeps_the_contract(as_user, name, check):
    check_launcher(lambda logs: open_launcher(name, logs=logs), only=(check,), options=as_user.aws)
