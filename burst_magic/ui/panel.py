"""Show a session while it runs: a live panel in a browser, a tqdm bar everywhere else.

A separate thread draws the newest Snapshot, at most four times a second. An asyncio task would freeze while a cell
runs, and the session's driver must not wait for a slow screen.
"""

from __future__ import annotations

import atexit
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Protocol, TextIO, TypeVar

from burst_magic.errors import BurstError, visible
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.ui import text
from burst_magic.ui.details import OUTLIVE_JOBS, ActionState, HostState, PanelAction
from burst_magic.ui.drawing import frame_of
from burst_magic.ui.executed import KeptFresh, SavedPicture
from burst_magic.ui.frame import Frame, to_json
from burst_magic.ui.requests import AskedSession, action_of, answer
from burst_magic.ui.saved import bundle

logger = logging.getLogger(__name__)

INTERVAL = 0.25  # seconds between frames
_LEAVE = 1.0  # seconds
META = "burst_magic"  # key of our output metadata in a saved notebook

Callback = Callable[[Snapshot], None]
T = TypeVar("T")


class SessionLike(AskedSession, Protocol):
    """What a view needs from a session."""

    @property
    def id(self) -> str:
        """Id of the session."""

    @property
    def job(self) -> str:
        """Id of the job."""

    def subscribe(self, callback: Callback) -> Callable[[], object]:
        """Call back with each new Snapshot, from any thread; return a function that unsubscribes."""

    def status(self, timeout: float = ...) -> Snapshot:
        """Return the newest Snapshot; after this many seconds, an older one."""

    def facts(self) -> Snapshot:
        """Return what is known, with failures counted, without asking the store for news."""


class Screen(Protocol):
    """Something to draw on, used by one thread at a time."""

    def draw(self, snapshot: Snapshot) -> None:
        """Draw a snapshot."""

    def release(self) -> bool:
        """The cell does not block any more; return whether this is still to be drawn on."""

    def close(self, snapshot: Snapshot | None) -> bool:
        """Leave the last state visible; return whether it is to be closed again with what becomes of kept workers."""


class Showing:
    """Draws a session on a screen until it ends or ``stop`` or ``finish`` is called. Never ends the session itself.

    Workers that are kept after the end join other jobs, or end: a screen that can tell so is closed again with each
    change.

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
        self._finishing, self._stopping, self._closed = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"burst-view-{session.id}", daemon=True)
        self._unsubscribe: Callable[[], object] | None = None

    def start(self) -> Showing:
        """Start drawing, or go on where an interrupt came in between."""
        if self._unsubscribe is None:
            self._unsubscribe = self._session.subscribe(self._hear)
        if self._thread.ident is None:
            self._thread.start()  # last: an ended session calls back at once, which ends everything
        return self

    def stop(self, timeout: float = 5.0) -> None:
        """Stop the view with the last state it received."""
        self._stopping.set()
        self._news.set()
        self.join(timeout)

    def finish(self, timeout: float = 5.0) -> None:
        """Close the view with the newest state, or the last one received if the store doesn't answer."""
        if self._thread.is_alive():
            try:
                self._hear(self._session.status())
            except BurstError as fault:
                logger.warning("session %s cannot be refreshed: %s", self._session.id, fault)
            self._finishing.set()
            self._news.set()
            self._closed.wait(timeout)

    def release(self) -> None:
        """The cell stops waiting, and the session goes on: so does a panel; a bar ends."""
        if not self._screen.release():
            self.finish()

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
            while self._screen.close(self._latest) and not self._stopping.is_set():
                self._closed.set()
                self._stopping.wait(self._interval)
                self._news.wait()
                self._news.clear()
        except Exception:
            logger.exception("stopped showing session %s; the session is still running", self._session.id)
        finally:
            self._closed.set()
            if self._unsubscribe is not None:
                self._unsubscribe()

    def _draw_until_over(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            snapshot = self._latest
            leaving = self._stopping.is_set() or self._finishing.is_set()
            if leaving or (snapshot is not None and snapshot.ended):
                return
            if snapshot is not None:
                self._screen.draw(snapshot)
            self._stopping.wait(self._interval)


class Panel:
    """The live panel: a widget that holds the newest frame; docs/panel.md describes what it says to the view.

    The output holds the widget, the frame, HTML and words, each for readers that know nothing better. A widget dies
    with its kernel ("model not found" in a saved notebook), so it is taken out once nothing will change.

    Args:
        session: what its view's requests ask.
        metadata: saved with the output in the notebook file.
        blocking: the cell blocks, so that the kernel cannot react to a button.
    """

    def __init__(self, session: SessionLike, *, metadata: Mapping[str, object], blocking: bool = False) -> None:
        self._session = session
        self._metadata = {META: dict(metadata)}
        self._blocking = blocking
        self._notice = ""
        self._frame: Frame | None = None
        self._closed = False
        self._lock = threading.RLock()
        self._widget = widget_class()()
        _hear_all(self._widget.comm)
        self._widget.on_msg(self._on_message)
        self._display: Any = None

    def open(self, snapshot: Snapshot) -> Panel:
        """Display the panel in the cell's output."""
        self.draw(snapshot)
        with self._lock:
            self._widget.fallback = bundle(self._frame)
            atexit.register(self._leave)
            self._display = _ipython().DisplayHandle()  # before it shows: an interrupt may come in between
            self._display.display(self._widget, metadata=self._metadata)
            self._widget.fallback = {}
        return self

    def draw(self, snapshot: Snapshot) -> None:
        """Send what has changed, if anything has."""
        with self._lock:
            frame = frame_of(snapshot)
            if self._frame is None or frame.etag != self._frame.etag:
                self._widget.frame = to_json(frame.lean)
            self._widget.failures = to_json(frame.failures)
            self._widget.output = to_json(frame.output)
            self._frame = frame
            self._tell()

    def release(self) -> bool:
        """The cell does not block any more: the kernel reacts to buttons again, and the panel lives on."""
        with self._lock:
            self._blocking = False
            self._tell()
        return True

    def close(self, snapshot: Snapshot | None) -> bool:
        """Take the widget out of the output.

        The widget itself stays open: a page that was closed meanwhile shows it when it is reopened, and requests its
        state.
        """
        with self._lock:
            before = self._frame.etag if self._closed and self._frame is not None else ""
            self._closed = True
            atexit.unregister(self._leave)
            if snapshot is not None:
                self.draw(snapshot)
            if self._frame is None:
                return False
            if self._frame.etag != before:
                self._swap()
            return self._frame.money.kept is not None

    def _leave(self) -> None:
        """The kernel ends: what stays in the notebook must not look alive."""
        if _running_shell() is not None and self._lock.acquire(
            timeout=_LEAVE
        ):  # a kernel that ends waits for nobody for long
            try:
                self.close(None)
            finally:
                self._lock.release()

    def _tell(self) -> None:
        states = tuple(ActionState(action=action, off=self._off(action)) for action in PanelAction)
        self._widget.host = to_json(HostState(actions=states, notice=self._notice))

    def _off(self, action: PanelAction) -> str:
        """Why an action is not possible."""
        if self._frame is not None and self._frame.over and action not in OUTLIVE_JOBS:
            return f"the job is over: {self._frame.state}"
        return "the cell is waiting for results: interrupt the kernel first" if self._blocking else ""

    def _swap(self) -> None:
        if self._frame is not None and self._display is not None:
            self._display.update(bundle(self._frame), raw=True, metadata=self._metadata)

    def _on_message(self, _widget: object, content: object, _buffers: object) -> None:
        if not isinstance(content, dict):
            return
        if content.get("kind") == "shown":
            if self._closed:
                self._swap()
            return
        name = f"burst-asked-{self._session.id}"
        threading.Thread(target=self._answer, args=(content,), name=name, daemon=True).start()

    def _answer(self, message: dict[str, Any]) -> None:
        said = answer(self._session, message, off=self._off)
        if action_of(message) is not None:
            with self._lock:
                self._notice = said["ok"] if "ok" in said else f"Not done: {said['problem']}"
                self._tell()
        self._widget.send(said)


@cache
def widget_class() -> type[Any]:
    """The widget class, created with the first panel: importing anywidget is slow."""
    import anywidget
    import traitlets

    folder = files("burst_magic.ui")

    class PanelWidget(anywidget.AnyWidget):
        _esm = folder.joinpath("view.js").read_text(encoding="utf-8")
        _css = folder.joinpath("view.css").read_text(encoding="utf-8")
        frame = traitlets.Unicode("").tag(sync=True)
        failures = traitlets.Unicode("").tag(sync=True)
        output = traitlets.Unicode("").tag(sync=True)
        host = traitlets.Unicode("").tag(sync=True)
        fallback: dict[str, Any] = {}  # noqa: RUF012 - what the output holds beside the widget

        def _repr_mimebundle_(self, **kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
            found = super()._repr_mimebundle_(**kwargs)
            if found is not None:
                found[0].update(self.fallback)
            return found

    return PanelWidget


def _hear_all(comm: Any) -> None:
    """Let a page's messages go to the subshell that the page names.

    ipykernel 7.4 sends them to the one whose request was the newest when the comm last spoke. For a comm that speaks
    from a thread this is a chance one: after a reload often one that has ended, and the request is lost.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, named: named  # noqa: SLF001 - there is no public way


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
        panel = Panel(session, metadata=metadata, blocking=blocking)
        showing = Showing(session, panel)
        try:
            panel.open(snapshot)
            return showing.start()
        except KeyboardInterrupt:  # the page may show the panel already
            showing.start().release()
            raise
    announced = _announce(snapshot, metadata, shell, stream if blocking else sys.stdout)
    bar = text.Bar(stream)
    saved = announced is not None and getattr(shell, "kernel", None) is not None
    picture = KeptFresh(session, announced, {META: metadata}) if saved else None
    if blocking:
        return Showing(session, bar if picture is None else SavedPicture(bar, picture, shell)).start()
    if picture is not None:
        picture.after_each_cell_of(shell)
    return Showing(session, bar)


def waited(showing: Showing, wait: Callable[[], T]) -> T:
    """Block beside a view, and end it; if the user interrupts, a panel lives on, since the session does.

    Returns:
        What ``wait`` returns.
    """
    try:
        found = wait()
    except KeyboardInterrupt:
        showing.release()
        raise
    except BaseException:
        showing.finish()
        raise
    showing.finish()
    return found


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


def _announce(snapshot: Snapshot, metadata: Mapping[str, object], shell: object, stream: TextIO | None) -> Any:
    """Name the session in a line; return the display's handle, if it is one."""
    line = visible(f"session {snapshot.sid}: {text.one_line(snapshot)}")
    if shell is None:  # stderr, like a bar: a command's stdout contains only its values
        print(line, file=stream or sys.stderr)
        return None
    handle = _ipython().DisplayHandle()
    handle.display({"text/plain": f"{line}; see %burst_status"}, raw=True, metadata={META: dict(metadata)})
    return handle


def _running_shell() -> object:
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()


def _ipython() -> Any:
    from IPython import display

    return display
