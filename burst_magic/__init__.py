"""Run a notebook cell on many workers with ``%%burst``, or a function with ``burst.map``.

Names load on first use, so importing the package is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from burst_magic.session.face import attach, map, sessions
    from burst_magic.session.results import PENDING, Results
    from burst_magic.session.session import Session

__all__ = ["PENDING", "Results", "Session", "attach", "load_ipython_extension", "map", "sessions"]

_HOMES = {
    "__version__": "burst_magic.config",
    "PENDING": "burst_magic.session.results",
    "Results": "burst_magic.session.results",
    "Session": "burst_magic.session.session",
    "attach": "burst_magic.session.face",
    "map": "burst_magic.session.face",
    "sessions": "burst_magic.session.face",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted({*__all__, *_HOMES})


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext burst_magic``."""
    from burst_magic.magics.burst import load

    load(shell)


def unload_ipython_extension(shell: Any) -> None:
    """``%unload_ext burst_magic``."""
    from burst_magic.magics.burst import unload

    unload(shell)
