"""What typing a magic of another version gets: one line. These magics are in no list, help or completion."""

from __future__ import annotations

from typing import Any

from burst_magic.errors import OptionError

NAMES = ("quota", "setup", "teardown", "retry", "debug")


def register(shell: Any) -> None:
    """IPython imports a lazy magic's extension when the magic is called, and lists it nowhere."""
    for name in NAMES:
        shell.magics_manager.register_lazy(f"burst_{name}", __name__)


def unregister(shell: Any) -> None:
    """Takes them away again."""
    for name in NAMES:
        shell.magics_manager.lazy_magics.pop(f"burst_{name}", None)


def load_ipython_extension(shell: Any) -> None:  # noqa: ARG001 - IPython's protocol
    """Called instead of the magic."""
    raise OptionError("this magic is not in this version", way_out="burst --help lists what is")
