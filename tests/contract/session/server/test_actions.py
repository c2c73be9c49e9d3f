"""What is asked of a session without a kernel is asked with what the store says of it."""

from __future__ import annotations

import pytest

from burst_magic.server import actions
from burst_magic.server.opening import OpenedSession


@pytest.fixture
def opened(world):
    session = world.burst("item", [1, 2, 3])
    assert list(session.results()) == [1, 2, 3]
    session.detach()
    return OpenedSession(settings=world.settings(), store=world.store, manifest=session.manifest, secret=session.secret)


def test_workers_that_are_started_after_an_extension_live_until_the_new_deadline(opened):
    actions.extend(opened, "", {"seconds": 3600})
    errand = actions._Errand(opened, "")
    seen = errand.look()
    assert seen.deadline >= opened.manifest.deadline + 3599
    assert errand.fleet.deadline == seen.deadline
