"""Prepares the slots' environment on a worker that installs: installs what tasks need, then starts the template there.

It takes minutes, so it runs in a thread while the worker beats and says that it installs. A worker that was started by
a pipe has no stage: its slots run in the kernel's own Python, which is there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError
from burst_magic.protocol.wire.model import Manifest
from burst_magic.worker.forkserver import Template

INSTALLING = "installing"

Install = Callable[[Manifest], str]  # installs what the session needs; returns the interpreter that tasks run in


def this_python(_: Manifest) -> str:
    """Nothing is to be installed."""
    return sys.executable


@dataclass(frozen=True, slots=True)
class Staged:
    """The template is there; slots can be opened. Or the problem."""

    template: Template | None
    problem: BurstError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """Installs, then starts the template.

    Attributes:
        cwd: where tasks run; None: where this worker runs.
        install: blocks until the environment is there.
        doing: what it is at, for people.
    """

    cwd: str | None = None
    install: Install = this_python
    doing: Callable[[], str] = lambda: INSTALLING

    def run(self, manifest: Manifest) -> Staged:
        """Blocks; the result says what keeps the environment from being installed."""
        try:
            return Staged(Template.start(self.cwd, python=self.install(manifest)))
        except BurstError as problem:
            return Staged(None, problem)
