"""``burst sandbox``: runs the stand-in cloud in this terminal until Ctrl-C, or a demonstration on it."""

from __future__ import annotations

import contextlib
import shlex
import signal
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from burst_magic.testing.sandbox import Sandbox

if TYPE_CHECKING:
    from types import FrameType

_HEAD = """\
# A stand-in for AWS listens on {endpoint}. Run this in the terminal that starts JupyterLab:
"""
_TAIL = """
# Then %%burst --launcher spot runs on it, without an account. Ctrl-C here ends it and all its tasks."""

_EMPTY = """
# Nothing is set up in this account. `burst setup` does it. Ctrl-C here ends the sandbox and all its tasks."""


def run(port: int, *, empty: bool = False) -> str:
    """Start it, print what to export, and wait for Ctrl-C or SIGTERM.

    Args:
        port: to listen on; 0 for any.
        empty: as an account in which nothing is set up.

    Returns:
        What to print at the end.
    """
    with tempfile.TemporaryDirectory(prefix="burst-sandbox-", ignore_cleanup_errors=True) as home:
        try:
            with Sandbox(home=Path(home), port=port, empty=empty) as cloud:
                for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts what it puts behind it deaf to SIGINT
                    signal.signal(number, _interrupt)
                print(exports(cloud), flush=True)
                threading.Event().wait()
        except KeyboardInterrupt:
            return "\nThe sandbox has ended, and its tasks with it."
    return ""


def demo(port: int) -> str:
    """Run the demonstration on a sandbox of its own.

    Args:
        port: to listen on; 0 for any.

    Returns:
        What came of it.
    """
    from burst_magic.testing.sandbox.demo import play

    out = Path("cloud-demo.ipynb").absolute()  # the user's folder, not the sandbox's
    with contextlib.ExitStack() as exits:
        folder = tempfile.TemporaryDirectory(prefix="burst-sandbox-", ignore_cleanup_errors=True)
        home = Path(exits.enter_context(folder))
        cloud = exits.enter_context(Sandbox(home=home, port=port))
        report = play(cloud, home=home, out=out, tell=lambda line: print(line, flush=True))
    return f"\n{report}\nexecuted notebook      {out}"


def exports(cloud: Sandbox) -> str:
    """What to export, as lines for a shell; everything else is a comment."""
    lines = [f"export {name}={shlex.quote(value)}" for name, value in cloud.environ().items()]
    tail = _TAIL if cloud.stack.store else _EMPTY
    return "\n".join([_HEAD.format(endpoint=cloud.endpoint), *lines, tail])


def _interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of every handler
    raise KeyboardInterrupt
