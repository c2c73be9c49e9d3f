"""Show a session while it runs: a live panel in a browser, a tqdm bar everywhere else.

A separate thread draws the newest Snapshot, at most four times a second. An asyncio task would freeze while a cell
runs, and the session's driver must not wait for a slow screen.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Protocol, TextIO

from burst_magic.errors import BurstError, visible
from burst_magic.protocol.wire.model import Snapshot
from burst_magic.ui import html, text
from burst_magic.ui.model import frame, panel_model

logger = logging.getLogger(__name__)

INTERVAL = 0.25  # seconds between frames
META = "burst_magic"  # key of our output metadata in a saved notebook

Callback = Callable[[Snapshot], None]


class SessionLike(Protocol):
    """What a view needs from a session."""

    @property
    def id(self) -> str:
        """Id of the session."""

    @property
    def job(self) -> str:
        """Id of the job."""

    def subscribe(self, callback: Callback) -> Callable[[], object]:
        """Call back with each new Snapshot, from any thread; return a function that unsubscribes."""

    def status(self) -> Snapshot:
        """Return the newest Snapshot."""

    def cancel_job(self) -> bool:
        """Cancel the job, and the session if it has no other; return whether the session continues."""


class Screen(Protocol):
    """Something to draw on, used by one thread at a time."""

    def draw(self, snapshot: Snapshot) -> None:
        """Draw a snapshot."""

    def close(self, snapshot: Snapshot | None) -> None:
        """Leave the last state visible; nothing is drawn afterwards."""


class Showing:
    """Draws a session on a screen until it ends or ``stop`` or ``finish`` is called. Never ends the session itself.

    Args:
        session: the session to show; snapshots of its other jobs are ignored.
        screen: where to draw.
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
        """Start drawing."""
        self._unsubscribe = self._session.subscribe(self._hear)
        self._thread.start()  # last: an ended session calls back at once, which ends everything
        return self

    def stop(self, timeout: float = 5.0) -> None:
        """Stop the view with the last state it received."""
        self._stopping.set()
        self._news.set()
        self.join(timeout)

    def finish(self, timeout: float = 5.0) -> None:
        """Stop the view with the newest state, or the last one received if the store doesn't answer."""
        if self._thread.is_alive():
            try:
                self._hear(self._session.status())
            except BurstError as fault:
                logger.warning("session %s cannot be refreshed: %s", self._session.id, fault)
        self.stop(timeout)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the view has ended; return False on timeout."""
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
            logger.exception("stopped showing session %s; the session is still running", self._session.id)
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
    """The live panel: one widget with one synced string, replaced by static HTML once nothing will change.

    A widget dies with its kernel ("model not found" in a saved notebook); HTML does not.

    Args:
        session: the button calls its ``cancel_job``.
        metadata: saved with the output in the notebook file.
        buttons: "cancel" if the kernel is free to react.
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
        """Display the panel in the cell's output."""
        self.draw(snapshot)
        self._display = _ipython().display(self._widget, metadata=self._metadata, display_id=True)
        return self

    def draw(self, snapshot: Snapshot) -> None:
        """Send one frame if something has changed."""
        with self._lock:
            self._shown = snapshot
            shown = panel_model(snapshot)
            buttons = () if shown.over else self._buttons
            self._widget.fallback = html.panel_html(shown) if self._display is None else ""
            self._widget.state = frame(shown, buttons=buttons, notice=self._notice)

    def close(self, snapshot: Snapshot | None) -> None:
        """Replace the widget with static HTML.

        The widget itself stays open: a page that was closed meanwhile shows it when it is reopened, and requests its
        state.
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
            continues = self._session.cancel_job()
            rest = "the session's other jobs continue" if continues else "the session ends with it"
            notice = f"Cancelling this job: running tasks are stopped, finished results are kept; {rest}."
        except Exception as error:
            logger.exception("session %s was not cancelled", self._session.id)
            notice = f"Not cancelled: {error}"
        with self._lock:
            self._notice = notice
            if self._shown is not None:
                self.draw(self._shown)


@cache
def widget_class() -> type[Any]:
    """The widget class, created with the first panel: importing anywidget is slow."""
    import anywidget
    import traitlets

    folder = files("burst_magic.ui")

    class PanelWidget(anywidget.AnyWidget):
        _esm = folder.joinpath("panel.js").read_text(encoding="utf-8")
        _css = html.style()
        state = traitlets.Unicode("").tag(sync=True)
        fallback = ""  # for viewers without widgets, such as a code forge

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
    """Show a session in the user's frontend.

    In a browser: the live panel. Elsewhere: a line that names the session and, while a cell blocks, a tqdm bar (a bar
    in the background would be drawn over the next prompt).

    Args:
        session: what to show.
        out: the name of its results, saved with the output so that ``%burst_attach`` can bind it again.
        blocking: the cell blocks. The kernel cannot react to a button then, so there is none; Stop works.
        shell: IPython's shell; by default the running one.
        stream: where a bar is drawn; by default stderr.

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
    """The id of the cell that a browser is executing, or "" without a browser.

    JupyterLab, Notebook 7 and VS Code put the cell's id into the request's metadata; nbclient, papermill and consoles
    don't. An environment variable wouldn't help: kernels started by a notebook's cells inherit it.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return ""
    metadata = kernel.get_parent().get("metadata") or {}
    return str(metadata.get("cellId") or "")


def _announce(snapshot: Snapshot, metadata: Mapping[str, object], shell: object, stream: TextIO | None) -> None:
    line = visible(f"session {snapshot.sid}: {text.one_line(snapshot)}")
    if shell is None:  # stderr, like a bar: a command's stdout contains only its values
        print(line, file=stream or sys.stderr)
        return
    _ipython().display({"text/plain": f"{line}; see %burst_status"}, raw=True, metadata={META: dict(metadata)})


def _running_shell() -> object:
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()


def _ipython() -> Any:
    from IPython import display

    return display
