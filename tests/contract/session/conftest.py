"""Sessions on real local workers over a folder, quick heartbeats, and a store that fails when it is told to."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import types
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burst_magic import config
from burst_magic.capture.cell import capture_cell
from burst_magic.launchers import traits
from burst_magic.launchers.local import process_birth
from burst_magic.plan.planner import plan
from burst_magic.session.attach import attach
from burst_magic.session.session import Session
from burst_magic.session.submit import Labels, submit
from burst_magic.stores import TABLE, open_store

PATIENCE = 60.0
INTERVAL, FLOOR = 0.2, 0.02


def wait_until(condition, what="it"):
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)
    return value


def processes_naming(word: str) -> list[int]:
    """Living processes with this word in their command."""
    found = []
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if path.name.isdigit() and word.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return [pid for pid in found if process_birth(pid) is not None]


class World:
    """A user of this machine, and a notebook's namespace."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home: dict[str, Any] = {}
        self.store = open_store((root / "data" / "store").as_uri())
        self.sessions: list[Session] = []
        self.interval: float | None = INTERVAL

    def settings(self, *, user: str = "", **changes: Any) -> config.Settings:
        environ = {"BURST_STORE": self.store.url}
        folders = {"config_dir": self.root / f"config{user}", "data_dir": self.root / f"data{user}"}
        loaded = config.load({"workers": 1, **changes}, environ=environ, **folders)
        return replace(loaded, interval=self.interval, floor=FLOOR)

    def burst(
        self,
        source: str,
        items: Iterable[object] | None = None,
        *,
        into: Session | None = None,
        name: str = "",
        out: str = "out",
        **options: Any,
    ) -> Session:
        """What ``%%burst --map "item in items"`` does."""
        settings = self.settings(**options)
        namespace = self.home if items is None else {**self.home, "items": items}
        capture = capture_cell(source, namespace, map_expr="" if items is None else "items")
        tasks = None if items is None or not hasattr(items, "__len__") else len(items)
        made = plan(settings, traits(settings.launcher), tasks=tasks if items is not None else 1)
        session = submit(capture, made, settings, home=self.home, labels=Labels(name=name, out=out), into=into)
        self.sessions.append(session)
        return session

    def attach(self, ident: str, *, user: str = "", **words: Any) -> Session:
        session = attach(ident, settings=self.settings(user=user), home=self.home, **words)
        self.sessions.append(session)
        return session

    def objects(self, under: str = "sessions") -> list[str]:
        return [entry.key for entry in self.store.list(under)]

    def workers(self) -> list[int]:
        """Supervisors, templates and slots of this world."""
        return processes_naming(f"--cwd\0{self.root}\0")

    def keys_kept(self) -> list[str]:
        folder = self.settings().keys_dir
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def nothing_is_left(self) -> None:
        """Neither objects nor workers nor keys nor lines in the list."""
        wait_until(lambda: not self.workers(), "the workers to end")
        assert self.objects() == []
        assert self.keys_kept() == []
        roster = self.settings().sessions_file
        assert not roster.exists() or roster.read_text() == ""
        assert list(self.settings().logs_dir.glob("*")) == []

    def close(self) -> None:
        for session in self.sessions:
            if session.store.list(f"sessions/{session.id}"):
                session.cleanup(force=True)
            session.detach()


@pytest.fixture
def until():
    return wait_until


def _drivers(before):
    return [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("burst ")]


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # workers name it in their command
    before = set(threading.enumerate())
    world = World(tmp_path)
    yield world
    world.close()
    wait_until(lambda: not world.workers(), "the workers of this test to end")
    wait_until(lambda: not _drivers(before), "the drivers' threads to end")


@pytest.fixture
def gate(tmp_path):
    """A file that tasks wait for: ``behind`` in the cells."""
    return tmp_path / "gate"


class Flaky:
    """A folder that raises what ``weather`` says: called before each verb with its name and key."""

    def __init__(self, url: str) -> None:
        self.inner = open_store(url)
        self.weather: Callable[[str, str], None] = lambda verb, key: None
        self.calls: list[tuple[str, str]] = []
        self.has_files = True
        self.ahead = 0.0  # seconds that its clock is ahead of ours

    @property
    def url(self) -> str:
        return self.inner.url  # workers see the folder as it is

    def _verb(self, name: str, key: str) -> None:
        self.calls.append((name, key))
        self.weather(name, key)

    def create(self, key, data, *, whole=False):
        self._verb("create", key)
        self.inner.create(key, data, whole=whole)

    def put(self, key, data, *, whole=False):
        self._verb("put", key)
        self.inner.put(key, data, whole=whole)

    def get(self, key, *, start=0, end=None):
        self._verb("get", key)
        return self.inner.get(key, start=start, end=end)

    def list(self, prefix, *, after="", limit=None):
        self._verb("list", prefix)
        found = self.inner.list(prefix, after=after, limit=limit)
        return [entry._replace(modified=entry.modified + self.ahead) for entry in found]

    def folders(self, prefix):
        self._verb("folders", prefix)
        return self.inner.folders(prefix)

    def delete(self, keys):
        keys = list(keys)
        for key in keys:
            self._verb("delete", key)
        self.inner.delete(keys)

    def path(self, key):
        return self.inner.path(key) if self.has_files else None


@pytest.fixture
def flaky(world, monkeypatch):
    """The world's store, with faults; every session opened from here on goes through it."""
    store = Flaky(world.store.url)
    module = types.ModuleType("flaky_store_of_a_test")
    module.open_flaky = lambda url, **_: store
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(TABLE, "file", (module.__name__, "open_flaky"))  # the table is how stores are added
    yield store
    store.weather = lambda verb, key: None
    world.close()
