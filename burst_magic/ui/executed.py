"""Pictures of jobs in notebooks that are executed without a browser (nbclient, papermill): what a panel leaves."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Protocol

from burst_magic.errors import BurstError
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.ui import text
from burst_magic.ui.drawing import frame_of
from burst_magic.ui.saved import bundle

_LOG = logging.getLogger(__name__)
_LOOK = 3.0  # seconds that a look at the store may take after a cell


class KnownSession(Protocol):
    """What is asked of a session."""

    def facts(self) -> Snapshot:
        """What is known, with failures counted, without asking the store for news."""

    def status(self, timeout: float) -> Snapshot:
        """The same, as it is in the store now, if it answers in time."""


class SavedPicture:
    """A bar while the cell waits, then the last state.

    Args:
        bar: the bar.
        picture: what replaces the line that names the session.
        shell: IPython's shell.
    """

    def __init__(self, bar: text.Bar, picture: KeptFresh, shell: Any) -> None:
        self._bar, self._picture, self._shell = bar, picture, shell

    def draw(self, snapshot: Snapshot) -> None:
        """Draw the bar."""
        self._bar.draw(snapshot)

    def release(self) -> bool:
        """The picture stays as it is then."""
        return False

    def close(self, snapshot: Snapshot | None) -> bool:
        """End the bar, and replace the line by the last state; later cells show what becomes of kept workers."""
        self._bar.close(snapshot)
        if snapshot is not None and self._picture.draw(snapshot):
            self._picture.after_each_cell_of(self._shell)
        return False


class KeptFresh:
    """What a cell leaves that doesn't wait: the state at the end of each later cell.

    Such programs take updates of earlier outputs while they execute a cell, and none in between.

    Args:
        session: what is shown.
        handle: of the display that names the session.
        metadata: of its output in the notebook file.
    """

    def __init__(self, session: KnownSession, handle: Any, metadata: Mapping[str, object]) -> None:
        self._session, self._handle, self._metadata = session, handle, metadata
        self._shown = ""
        self._events: Any = None

    def after_each_cell_of(self, shell: Any) -> None:
        """Begin; ends by itself after the job, once no worker is kept."""
        self._events = shell.events
        self._events.register("post_run_cell", self._refresh)

    def draw(self, snapshot: Snapshot) -> bool:
        """Show the state; return whether it may change."""
        frame = frame_of(snapshot)
        if frame.etag != self._shown:
            self._shown = frame.etag
            self._handle.update(bundle(frame), raw=True, metadata=self._metadata)
        return not frame.over or frame.money.kept is not None

    def _refresh(self, _result: object) -> None:
        if not self.draw(self._newest()):
            self._events.unregister("post_run_cell", self._refresh)

    def _newest(self) -> Snapshot:
        """What is known; after the job nobody else looks for what becomes of its workers."""
        known = self._session.facts()
        if known.ended is None:
            return known
        try:
            return self._session.status(_LOOK)
        except BurstError as fault:
            _LOG.warning("it is not known whether workers are kept: %s", fault)
            return known
