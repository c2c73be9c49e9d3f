"""Whole bursts on the stand-in cloud: workers are tasks of ECS, heartbeats are quick."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from burst_magic import config
from burst_magic.capture.cell import capture_cell
from burst_magic.errors import AttachError
from burst_magic.launchers import own_arch, traits
from burst_magic.plan.planner import plan
from burst_magic.session.attach import attach
from burst_magic.session.own_store import open_own_store
from burst_magic.session.session import Session
from burst_magic.session.submit import Labels, submit
from burst_magic.testing.sandbox import Sandbox, SandboxTask

PATIENCE = 60.0
INTERVAL, FLOOR = 0.5, 0.05


def wait_until(condition, what="it"):
    end = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)
    return value


def worker_of(task) -> int:
    """The only child of a task's watchdog."""
    [child] = Path(f"/proc/{task.pid}/task/{task.pid}/children").read_text().split()
    return int(child)


class Scientist:
    """Somebody with an account and a notebook."""

    def __init__(self, cloud: Sandbox, root: Path) -> None:
        self.cloud, self.root = cloud, root
        self.sessions: list[Session] = []
        self.before = len(cloud.tasks())
        self._store = open_own_store(self.settings().store, self.settings())
        self._old = {entry.key for entry in self._store.list("")}

    def settings(self, *, interval: float = INTERVAL, **changes) -> config.Settings:
        return replace(config.load({"launcher": "spot", **changes}), interval=interval, floor=FLOOR)

    def burst(
        self,
        source: str,
        items: Iterable[object],
        *,
        into: Session | None = None,
        name: str = "",
        values=None,
        **options,
    ) -> Session:
        """What ``%%burst --map "item in items"`` does."""
        settings = self.settings(**options)
        capture = capture_cell(
            source, {"items": items, "gate": str(self.root / "gate"), **(values or {})}, map_expr="items"
        )
        terms = traits(settings.launcher, fallback=settings.spot_fallback)
        made = plan(settings, terms, tasks=len(items), own_arch=own_arch(terms, settings.aws))
        session = submit(capture, made, settings, home={}, labels=Labels(name=name), into=into)
        self.sessions.append(session)
        return session

    def attach(self, session: Session | str) -> Session:
        found = attach(getattr(session, "id", session), settings=self.settings(), home={})
        self.sessions.append(found)
        return found

    def watch(self, sid: str) -> Session:
        """A session that another process has started; this one replaces no workers."""
        found = attach(sid, settings=self.settings(), home={}, replaces_lost_workers=False)
        self.sessions.append(found)
        return found

    @property
    def tasks(self) -> list[SandboxTask]:
        """What was started for this test, oldest first."""
        return self.cloud.tasks()[self.before :]

    @property
    def living(self) -> list[SandboxTask]:
        return [task for task in self.tasks if not task.is_over]

    def objects(self) -> set[str]:
        """Keys of the store that were written for this test."""
        return {entry.key for entry in self._store.list("")} - self._old

    def open_gate(self) -> None:
        (self.root / "gate").touch()

    def close(self) -> None:
        """Nothing runs at the end, whatever happened."""
        for session in self.sessions:
            with contextlib.suppress(AttachError):  # deleted by the test
                session.cleanup()
            session.detach()
        wait_until(lambda: not self.living, f"the end of {[task.state.value for task in self.living]}")


@pytest.fixture
def scientist(as_user, tmp_path):
    user = Scientist(as_user, tmp_path)
    yield user
    user.open_gate()
    user.close()


@pytest.fixture
def until():
    return wait_until
