"""Shows a session while it runs: a live panel where a browser listens, a tqdm bar everywhere else.

A thread of its own draws, at most four times a second and always the newest Snapshot: an asyncio task would
freeze while a cell runs, and the session's driver must not wait for a slow screen.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Protocol, TextIO

from burst_magic.errors import BurstError
from burst_magic.protocol.wire.model import Snapshot
from burst_magic.ui import html, text
from burst_magic.ui.model import frame, panel_model

logger = logging.getLogger(__name__)

INTERVAL = 0.25  # seconds between frames
META = "burst_magic"  # the key of our output metadata in a saved notebook

Callback = Callable[[Snapshot], None]


class SessionLike(Protocol):
    """What a view asks of a session."""

    @property
    def id(self) -> str:
        """The session."""

    @property
    def job(self) -> str:
        """The job that is shown."""

    def subscribe(self, callback: Callback) -> Callable[[], object]:
        """Calls back with each new Snapshot, from any thread; returns what ends it."""

    def status(self) -> Snapshot:
        """The newest Snapshot."""

    def cancel(self) -> object:
        """Stops the job."""


class Screen(Protocol):
    """Something that can be drawn on, by one thread at a time."""

    def draw(self, snapshot: Snapshot) -> None:
        """Shows a snapshot."""

    def close(self, snapshot: Snapshot | None) -> None:
        """Leaves the last state standing; no drawing follows."""


class Showing:
    """A session on a screen, until it ends or ``stop`` or ``finish`` is called. Nothing here ends the session.

    Args:
        session: what is shown; snapshots of its other jobs are ignored.
        screen: where.
        interval: seconds between two frames.
    """

    def __init__(self, session: SessionLike, screen: Screen, *, interval: float = INTERVAL) -> None:
        self._session, self._job = session, session.job
        self._screen = screen
        self._interval = interval
        self._latest: Snapshot | None = None
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"burst-view-{session.id}", daemon=True)
        self._unsubscribe: Callable[[], object] | None = None

    def start(self) -> Showing:
        """Draws from now on."""
        self._unsubscribe = self._session.subscribe(self._hear)
        self._thread.start()  # last: a session that is over calls back at once, and then all ends
        return self

    def stop(self, timeout: float = 5.0) -> None:
        """Ends the view on what it saw last."""
        self._stopping.set()
        self._news.set()
        self.join(timeout)

    def finish(self, timeout: float = 5.0) -> None:
        """Ends the view on the newest state, or on what it saw last when the store does not answer."""
        if self._thread.is_alive():
            try:
                self._hear(self._session.status())
            except BurstError as fault:
                logger.warning("session %s is shown as it was seen last: %s", self._session.id, fault)
        self.stop(timeout)

    def join(self, timeout: float | None = None) -> bool:
        """Waits until the view has ended; False when it has not in time."""
        if self._thread is not threading.current_thread() and self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _hear(self, snapshot: Snapshot) -> None:
        if snapshot.jid == self._job:
            self._latest = snapshot
            self._news.set()

    def _run(self) -> None:
        try:
            self._draw_until_over()
            self._screen.close(self._latest)
        except Exception:
            logger.exception("the view of session %s has ended; the session itself goes on", self._session.id)
        finally:
            if self._unsubscribe is not None:
                self._unsubscribe()

    def _draw_until_over(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            snapshot = self._latest
            if self._stopping.is_set() or (snapshot is not None and snapshot.ended):
                return
            if snapshot is not None:
                self._screen.draw(snapshot)
            self._stopping.wait(self._interval)


class Panel:
    """The live panel: one widget with one synced string, replaced by static HTML when nothing will change any more.

    A widget dies with its kernel ("model not found" in a saved notebook); HTML does not.

    Args:
        session: whose ``cancel`` the button calls.
        metadata: goes with the output into the notebook's file.
        buttons: "cancel", where the kernel is free to hear it.
    """

    def __init__(
        self, session: SessionLike, *, metadata: Mapping[str, object], buttons: tuple[str, ...] = ("cancel",)
    ) -> None:
        self._session = session
        self._metadata = {META: dict(metadata)}
        self._buttons = buttons
        self._notice = ""
        self._shown: Snapshot | None = None
        self._closed = False
        self._lock = threading.RLock()
        self._widget = widget_class()()
        self._widget.on_msg(self._on_message)
        self._display: Any = None

    def open(self, snapshot: Snapshot) -> Panel:
        """Puts the panel into the cell's output."""
        self.draw(snapshot)
        self._display = _ipython().display(self._widget, metadata=self._metadata, display_id=True)
        return self

    def draw(self, snapshot: Snapshot) -> None:
        """Sends one frame, unless nothing has changed."""
        with self._lock:
            self._shown = snapshot
            shown = panel_model(snapshot)
            buttons = () if shown.over else self._buttons
            self._widget.fallback = html.panel_html(shown) if self._display is None else ""
            self._widget.state = frame(shown, buttons=buttons, notice=self._notice)

    def close(self, snapshot: Snapshot | None) -> None:
        """Swaps the widget for static HTML.

        The widget itself stays open: a page that was closed meanwhile shows it when it comes back, and asks again.
        """
        with self._lock:
            self._closed = True
            self._buttons = ()
            if snapshot is not None:
                self.draw(snapshot)
            self._swap()

    def _swap(self) -> None:
        if self._shown is not None and self._display is not None:
            picture = _ipython().HTML(html.panel_html(panel_model(self._shown)))
            self._display.update(picture, metadata=self._metadata)

    def _on_message(self, _widget: object, content: object, _buffers: object) -> None:
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "cancel" and self._buttons:
            threading.Thread(target=self._cancel, name=f"burst-cancel-{self._session.id}", daemon=True).start()
        elif kind == "shown" and self._closed:
            self._swap()

    def _cancel(self) -> None:
        try:
            self._session.cancel()
            notice = "Cancelling: running tasks are stopped, results that are there stay."
        except Exception as error:
            logger.exception("session %s was not cancelled", self._session.id)
            notice = f"Not cancelled: {error}"
        with self._lock:
            self._notice = notice
            if self._shown is not None:
                self.draw(self._shown)


@cache
def widget_class() -> type[Any]:
    """The widget, made when the first panel is: importing anywidget takes a while."""
    import anywidget
    import traitlets

    folder = files("burst_magic.ui")

    class PanelWidget(anywidget.AnyWidget):
        _esm = folder.joinpath("panel.js").read_text(encoding="utf-8")
        _css = html.style()
        state = traitlets.Unicode("").tag(sync=True)
        fallback = ""  # what shows the output to readers that know no widgets, such as a code forge

        def _repr_mimebundle_(self, **kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
            bundle = super()._repr_mimebundle_(**kwargs)
            if bundle is not None and self.fallback:
                bundle[0]["text/html"] = self.fallback
            return bundle

    return PanelWidget


def show(
    session: SessionLike,
    *,
    out: str = "",
    blocking: bool = False,
    shell: object = None,
    stream: TextIO | None = None,
) -> Showing:
    """Shows a session where the user looks.

    In a browser: the live panel. Elsewhere: a line that names the session and, while a cell waits, a tqdm bar
    (a bar of a session in the background would be drawn over the next prompt).

    Args:
        session: what to show.
        out: the name its results are bound to; kept with the output, so that ``%burst_attach`` can bind it again.
        blocking: the cell waits. The kernel hears no button then, so there is none; Stop works.
        shell: IPython's shell; the running one unless told.
        stream: where a bar is drawn; stderr unless told.

    Returns:
        A handle with ``stop()`` and ``finish()``.
    """
    shell = _running_shell() if shell is None else shell
    snapshot = session.status()
    cell = frontend_cell(shell)
    metadata = {
        "session": session.id,
        "job": session.job,
        "out": out,
        "cell": cell,
        "created": snapshot.created,
    }
    if cell:
        panel = Panel(session, metadata=metadata, buttons=() if blocking else ("cancel",))
        showing = Showing(session, panel.open(snapshot))
    else:
        _announce(snapshot, metadata, shell, stream if blocking else sys.stdout)
        showing = Showing(session, text.Bar(stream))
        if not blocking:
            return showing
    return showing.start()


def frontend_cell(shell: object) -> str:
    """The id of the cell that a browser is executing, or "" where none listens.

    JupyterLab, Notebook 7 and VS Code name the cell in the metadata of the request; nbclient, papermill and consoles
    do not. An environment variable would not tell: kernels started by a notebook's own cells inherit it.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return ""
    metadata = kernel.get_parent().get("metadata") or {}
    return str(metadata.get("cellId") or "")


def _announce(snapshot: Snapshot, metadata: Mapping[str, object], shell: object, stream: TextIO | None) -> None:
    line = f"session {snapshot.sid}: {text.one_line(snapshot)}"
    if shell is None:  # beside a bar: what a command prints to stdout is its values alone
        print(line, file=stream or sys.stderr)
        return
    _ipython().display({"text/plain": f"{line}; %burst_status tells more"}, raw=True, metadata={META: dict(metadata)})


def _running_shell() -> object:
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()


def _ipython() -> Any:
    from IPython import display

    return display
