"""S3 servers for whoever asks. They start once for the whole run and only if a test asks for them."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings

from burst_magic.testing.servers import Keys, moto, seaweedfs

settings.register_profile("shared machine", deadline=None)  # how long an example takes is the neighbours' doing
settings.load_profile("shared machine")
READER = Keys(access="reader", secret="may-read-only")


@pytest.fixture(autouse=True)
def _same_main():
    """A test that leaves another ``__main__`` behind breaks whichever test spawns processes next."""
    before = sys.modules["__main__"]
    yield
    assert sys.modules["__main__"] is before
    assert hasattr(before, "__spec__")


@pytest.fixture(scope="session")
def moto_server():
    with moto() as server:
        server.bucket("contract")
        yield server


@pytest.fixture(scope="session")
def seaweedfs_server():
    with seaweedfs((READER, ["Read", "List"])) as server:
        server.bucket("contract")
        yield server
