"""The facts of a job, as ``session.status()`` gives them to people."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from burst_magic.protocol.snapshot import Snapshot


class JobStatus(Snapshot):
    """A Snapshot that prints as ``%burst_status`` shows it. Its attributes are the same."""

    __slots__ = ()

    def __str__(self) -> str:
        """All facts, on aligned lines."""
        from burst_magic.ui.text import status_text  # slow to import, and a session does not print its facts by itself

        return status_text(self)

    def __repr__(self) -> str:
        """One line; print it, or make it a cell's value, to see the rest."""
        from burst_magic.ui.text import one_line

        return f"<JobStatus {self.sid}/{self.jid}: {one_line(self)}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002, FBT001 - IPython's protocol
        printer.text(str(self))


def status_of(snapshot: Snapshot) -> JobStatus:
    """The same facts, printable."""
    return JobStatus(**{each.name: getattr(snapshot, each.name) for each in fields(snapshot)})
