"""A worker that no pipe reaches: its environment and the store tell it who it is. Real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.wire import keys, records, sign
from burst_magic.protocol.wire.model import Heartbeat
from burst_magic.protocol.wire.summons import Summons

LOOK = "import os\n[name for name in os.environ if name.startswith('BURST_BIRTH_')] or item * 10"


@pytest.fixture
def alone(world, until):
    """A session whose first worker has gone; gives it and its key."""
    session = world.burst("item", range(1))
    assert list(session.results()) == [0]
    secret = bytes.fromhex(session.key)
    for pid in world.workers():
        with contextlib.suppress(ProcessLookupError):  # it went with one that was named before it
            os.kill(pid, signal.SIGTERM)
    until(lambda: not world.workers(), "the first worker to go")
    return session, secret


def start(world, session, secret, *, fingerprint=""):
    summons = Summons(
        store=world.store.url,
        sid=session.id,
        token="summoned",
        fingerprint=fingerprint or sign.fingerprint(secret),
        launcher="test",
        deadline=session.manifest.deadline,
    )
    return subprocess.Popen(
        [sys.executable, "-m", "burst_magic.worker", "--cwd", str(world.root)],
        env={**os.environ, **summons.variables()},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_a_worker_works_that_has_read_its_birth_in_its_environment(world, until, alone):
    session, secret = alone
    world.store.create(keys.session_key(session.id, sign.fingerprint(secret)), secret)
    with start(world, session, secret) as worker:
        folder = keys.SessionKeys(session.id).workers_folder
        found = until(lambda: [key for key in world.objects(folder) if "/test-summoned." in key], "its heartbeat")
        beat = records.decode(Heartbeat, world.store.get(found[0]), secret=secret, key=found[0])
        assert (beat.worker, beat.token) == ("test-summoned", "summoned")
        added = world.burst(LOOK, range(4), into=session)
        assert list(added.results()) == [0, 10, 20, 30]
        worker.terminate()
        assert worker.wait(60) == ExitCode.DRAINED
        assert secret.hex().encode() not in worker.stderr.read()


def test_a_key_that_somebody_else_has_put_there_starts_nothing(world, alone):
    session, secret = alone
    world.store.create(keys.session_key(session.id, sign.fingerprint(secret)), bytes(32))
    with start(world, session, secret) as worker:
        assert worker.wait(60) == ExitCode.UNTRUSTED
        assert b"stored key doesn't match its fingerprint" in worker.stderr.read()
    assert not [key for key in world.objects() if "summoned" in key]
