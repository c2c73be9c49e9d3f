"""How workers start. Adding one is a file and a line in ``TABLE``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from burst_magic.errors import OptionError
from burst_magic.launchers.base import End, Handle, Launcher, Start
from burst_magic.launchers.local import LocalLauncher

TABLE: dict[str, Callable[[Path], Launcher]] = {"local": LocalLauncher}

__all__ = ["TABLE", "End", "Handle", "Launcher", "Start", "open_launcher"]


def open_launcher(name: str, *, logs: Path) -> Launcher:
    """The launcher of that name."""
    if name not in TABLE:
        raise OptionError(f"{name}: no such launcher in this version", way_out=f"have: {', '.join(TABLE)}")
    return TABLE[name](logs)
