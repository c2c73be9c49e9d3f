"""``--env sync``: what a session's workers get installed, prepared before anything is billed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from burst_magic import config
from burst_magic.dataclass import dataclass
from burst_magic.environment import FOLDER, indexes
from burst_magic.environment.bundle import Archive, uv_tool, worker_bundle
from burst_magic.environment.installed import read
from burst_magic.environment.lock import Locker, Resolved
from burst_magic.environment.uv import Target
from burst_magic.protocol.wire import keys

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.stores import Store

ALWAYS = ("dill", "threadpoolctl")  # what slots import, whatever the cell does; in the worker's bundle, too
_IN_STORE = "envs"
_OLD = 7 * 86400.0  # seconds; a bucket deletes what is older than a month
_SHOWN = 8  # packages in a summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What workers get.

    Attributes:
        bundle: the worker itself.
        installer: uv for its platform.
        resolved: the packages.
    """

    bundle: Archive
    installer: Archive
    resolved: Resolved

    @property
    def _document(self) -> bytes:
        return self.resolved.lock.to_bytes()

    @property
    def installs(self) -> bool:
        """Workers need more than what they bring themselves."""
        return not {name for name, _ in self.resolved.lock.versions} <= set(ALWAYS)

    @property
    def lock(self) -> str:
        """Sha256 of the lock; "" if nothing is to be installed."""
        return hashlib.sha256(self._document).hexdigest() if self.installs else ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What workers don't get, and why."""
        left_out = self.resolved.left_out
        return (f"not on workers: {'; '.join(left_out)}",) if left_out else ()

    @property
    def summary(self) -> str:
        """One line for people."""
        lock = self.resolved.lock
        shown = ", ".join(f"{name} {version}" for name, version in lock.versions[:_SHOWN])
        more = f" and {len(lock.versions) - _SHOWN} more" if len(lock.versions) > _SHOWN else ""
        sent = f"; sent from here: {', '.join(name.split('-')[0] for name, _ in lock.wheels)}" if lock.wheels else ""
        return f"Python {lock.python} on Linux {lock.platform}: {shown or 'no packages'}{more}{sent}"

    def upload(self, store: Store) -> None:
        """Store what the store lacks."""
        archives = (self.bundle, self.installer, *self.resolved.wheels) if self.installs else (self.bundle,)
        for archive in archives:
            _store(store, archive.sha256, archive.path.stat().st_size, archive.path.read_bytes)
        if self.installs:
            _store(store, self.lock, len(self._document), lambda: self._document)


def prepare(
    settings: Settings,
    *,
    python: str,
    arch: str,
    imported: Collection[str] = (),
    setenv: Collection[str] = (),
    tell: Callable[[str], object] = lambda _: None,
) -> Synced:
    """Prepare what workers get; in milliseconds if it is what an earlier session got.

    Args:
        settings: for the directories.
        python: the kernel's version.
        arch: the workers' architecture.
        imported: top-level modules that the cell and its helpers import.
        setenv: names of the variables that workers get.
        tell: hears of what takes seconds, before it begins.

    Raises:
        PlanError: it cannot be prepared; says why, and what else would do.
    """
    folder = settings.data_dir / FOLDER
    target = Target(python=".".join(python.split(".")[:2]), arch=arch)
    found = indexes.find(config.environment(), setenv=setenv)
    installer = uv_tool(target, folder, environ=found.here)
    installed = read(target, folder)
    locker = Locker(
        target=target, installed=installed, indexes=found, folder=folder, installer=installer.sha256, tell=tell
    )
    resolved = locker.lock(*installed.wanted(imported, ALWAYS))
    return Synced(bundle=worker_bundle(target, folder, environ=found.here), installer=installer, resolved=resolved)


def _store(store: Store, sha256: str, size: int, read_bytes: Callable[[], bytes]) -> None:
    """Content-addressed, so whoever was first stored the same; an old one is renewed before its bucket expires it."""
    key = keys.env(sha256)
    there = next((entry for entry in store.list(_IN_STORE, after=key[:-1], limit=1) if entry.key == key), None)
    young = there is not None and abs(time.time() - there.modified) <= _OLD  # else old, or our clock is wrong
    if there is None or there.size != size or not young:
        store.put(key, read_bytes())
