"""The launchers of one session: its own and the fallback, and others that handles of its workers name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from burst_magic.errors import OptionError
from burst_magic.launchers import open_launcher
from burst_magic.launchers.base import Handle, Launcher, Traits
from burst_magic.protocol.log import DEAD_AFTER
from burst_magic.protocol.wire.model import Manifest


class Engines:
    """Opens launchers when they are first needed.

    Args:
        manifest: the session.
        logs: folder for what launchers keep of their workers on this machine.
    """

    def __init__(self, manifest: Manifest, logs: Path) -> None:
        self._manifest, self._logs = manifest, logs
        self._opened: dict[str, Launcher | None] = {}

    def open(self, name: str) -> Launcher | None:
        """None if this installation lacks the launcher: its workers are visible in the store, but cannot be
        controlled."""
        if name not in self._opened:
            try:
                self._opened[name] = open_launcher(name, logs=self._logs)
            except OptionError:
                self._opened[name] = None
        return self._opened[name]

    @property
    def traits(self) -> dict[str, Traits]:
        """Traits of the session's launcher and of the fallback, by name, as far as they are installed."""
        names = filter(None, (self._manifest.launcher, self._manifest.fallback))
        return {name: launcher.traits for name in names if (launcher := self.open(name)) is not None}

    @property
    def here(self) -> bool:
        """Whether the session's workers share this machine."""
        traits = self.traits.get(self._manifest.launcher)
        return traits is not None and traits.here

    @property
    def keep_fleet(self) -> bool:
        """Whether lost workers are replaced without a client, or cannot be replaced from this installation."""
        traits = self.traits.get(self._manifest.launcher)
        return traits is None or traits.keeps_fleet

    @property
    def patience(self) -> dict[str, float]:
        """Launcher -> seconds that a start may take without any news."""
        return {name: traits.starting_within for name, traits in self.traits.items()}

    @property
    def orphaned_after(self) -> dict[str, float]:
        """Launcher -> seconds after which an announced start that its engine doesn't know was never made.

        Not for workers of this machine: that of another one cannot be asked.
        """
        after = DEAD_AFTER * self._manifest.interval
        return {name: min(after, each.starting_within) for name, each in self.traits.items() if not each.here}

    def of(self, handles: Iterable[Handle]) -> list[tuple[Launcher, list[Handle]]]:
        """Handles by launcher, without unknown launchers."""
        by_name: dict[str, list[Handle]] = {}
        for handle in handles:
            by_name.setdefault(handle.launcher, []).append(handle)
        return [(launcher, mine) for name, mine in by_name.items() if (launcher := self.open(name)) is not None]
