"""Workers of another version than their client: they finish its job, or say why they cannot. Real processes.

A version is a copy of the package on disk in which some text was replaced.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import burst_magic
from burst_magic.errors import NotRun
from burst_magic.protocol.exits import ExitCode
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import EndCause, Gone, Heartbeat

SCHEMA = f"SCHEMA = {records.SCHEMA}\n"
MODEL, RECORDS, CONFIG = "protocol/wire/model.py", "protocol/wire/records.py", "config.py"
WHERE = "import burst_magic\nitem * 10 if 'other' in burst_magic.__file__ else burst_magic.__file__"
OLDER = {  # it has never heard of some fields and causes
    CONFIG: ('__version__ = "0.1.0"', '__version__ = "0.0.9"'),
    MODEL: (
        '    stage: str = ""  # what it does before its slots can run: "installing"\n',
        "",
    ),
    "worker/supervisor.py": ('            stage="" if self._stage is None else self._stage.doing(),\n', ""),
}
NEWER = {  # it says more, and ends in a way that this version does not know
    CONFIG: ('__version__ = "0.1.0"', '__version__ = "9.0.0"'),
    MODEL: ('    EXPIRED = "expired"', '    RESTED = "rested"\n    EXPIRED = "expired"'),
    "protocol/worker/leaving.py": (
        "gone = Gone(worker=state.wid, cause=cause,",
        "gone = Gone(worker=state.wid, cause=EndCause.RESTED,",
    ),
    RECORDS: (
        '    body = {"schema": SCHEMA,',
        '    body = {"mood": {"deep": [1]}, "schema": SCHEMA,',
    ),
}


@pytest.fixture
def others(world, tmp_path, monkeypatch):
    """Has the next workers run a copy of the package with changes; gives a function that makes the copy."""

    def change(changes):
        package = tmp_path / "other" / "burst_magic"
        shutil.copytree(Path(burst_magic.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        for name, (old, new) in changes.items():
            text = (package / name).read_text()
            assert text.count(old) == 1, (name, old)
            (package / name).write_text(text.replace(old, new))
        monkeypatch.setenv("PYTHONPATH", str(package.parent))

    return change


def read(world, kind, key):
    return records.decode(kind, world.store.get(key), secret=None, key=key)


@pytest.mark.parametrize("changes", [OLDER, NEWER], ids=["older", "newer"])
def test_a_worker_of_another_version_finishes_the_job(world, others, until, changes):
    others(changes)
    session = world.burst(WHERE, range(5))
    assert list(session.results()) == [0, 10, 20, 30, 40]
    (beat,) = [
        key
        for key in world.objects(keys.SessionKeys(session.id).workers_folder)
        if keys.parse_worker(key).kind == "beat"
    ]
    assert read(world, Heartbeat, beat).worker == keys.parse_worker(beat).ident
    session.cleanup()
    gone = keys.SessionKeys(session.id).gone(keys.parse_worker(beat).ident)
    until(lambda: gone in world.objects(), "its end")
    end = read(world, Gone, gone)
    if changes is NEWER:
        assert (end.cause, end.other, end.why) == (EndCause.OTHER, "rested", "rested")
    assert session.status().ended == "finished"


@pytest.mark.parametrize("schema", [records.SCHEMA - 1, records.SCHEMA + 1], ids=["older", "newer"])
def test_a_worker_that_cannot_read_the_session_says_so_and_whoever_waits_hears_it(world, others, schema):
    others({RECORDS: (SCHEMA, f"SCHEMA = {schema}\n"), CONFIG: ('__version__ = "0.1.0"', '__version__ = "7.7.7"')})
    session = world.burst(WHERE, range(5))
    said = f"a worker of burst_magic 7.7.7 cannot join: its session was written as Manifest of schema {records.SCHEMA}"
    with pytest.raises(NotRun, match=said):
        list(session.results())
    assert said in session.status().end_detail
    names = [keys.parse_worker(key) for key in world.objects(keys.SessionKeys(session.id).workers_folder)]
    (ended,) = [name.ident for name in names if name.kind == "gone"]
    assert len([name for name in names if name.kind == "next"]) == 1, "one that would be refused too was started"
    end = read(world, Gone, keys.SessionKeys(session.id).gone(ended))
    assert (end.cause, end.exit_code) == (EndCause.VERSION, ExitCode.REFUSED)
