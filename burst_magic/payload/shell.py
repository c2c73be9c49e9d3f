"""What a ``!`` line of a cell becomes on a worker. The cell calls these; nothing else does."""

from __future__ import annotations

import subprocess
import sys


def run(*parts: object) -> None:
    """``!command``: run it in a shell; its output joins the task's. As in IPython, its exit status raises nothing."""
    done = _done(parts)
    sys.stdout.write(done)
    sys.stdout.flush()


def lines(*parts: object) -> list[str]:
    """``x = !command``: the lines it writes."""
    return _done(parts).splitlines()


def _done(parts: tuple[object, ...]) -> str:
    command = "".join(map(str, parts))
    done = subprocess.run(  # noqa: S602 - the user's own command, from the user's own cell
        command, shell=True, check=False, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.stdout
