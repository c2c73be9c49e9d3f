"""The implementation of ``!`` lines on a worker. Called only by cells."""

from __future__ import annotations

import subprocess
import sys


def run(*parts: object) -> None:
    """``!command``: run it in a shell; its output joins the task's. As in IPython, its exit status is ignored."""
    done = _done(parts)
    sys.stdout.write(done)
    sys.stdout.flush()


def lines(*parts: object) -> list[str]:
    """``x = !command``: return the lines it prints."""
    return _done(parts).splitlines()


def _done(parts: tuple[object, ...]) -> str:
    command = "".join(map(str, parts))
    done = subprocess.run(  # noqa: S602 - the user's own command, from the user's own cell
        command, shell=True, check=False, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout
