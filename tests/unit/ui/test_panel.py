"""When, how often and where a session is drawn; what goes over the wire to a browser."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import comm
import pytest
from comm.base_comm import BaseComm
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from burst_magic.errors import Throttled
from burst_magic.protocol.failures import key_of
from burst_magic.protocol.snapshot import Span, WorkerView
from burst_magic.protocol.wire.model import JobEnd, Outcome, OutcomeKind
from burst_magic.protocol.wire.records import TaskSpan
from burst_magic.ui.frame import MIME
from burst_magic.ui.panel import META, Panel, Showing, frontend_cell, show, waited

WIDGET = "application/vnd.jupyter.widget-view+json"
PATIENCE = 20  # seconds until a thread that should have done something is given up


class Slate:
    """A screen that keeps what was drawn, and waits before each drawing until the test lets it."""

    def __init__(self, *, gated=False):
        self.drawn, self.closed = [], []
        self.drawing = threading.Semaphore(0)
        self.gate = threading.Semaphore(0) if gated else None

    def draw(self, snapshot):
        self.drawing.release()
        if self.gate:
            assert self.gate.acquire(timeout=PATIENCE)
        self.drawn.append(snapshot)

    def close(self, snapshot):
        self.closed.append(snapshot)


class Wire(BaseComm):
    """A comm that keeps its messages."""

    sent: list[tuple[str, dict]] = []  # noqa: RUF012  (one for all, emptied by the fixture)

    def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
        self.sent.append((msg_type, data))


@pytest.fixture
def wire(monkeypatch):
    monkeypatch.setattr(comm, "create_comm", Wire)
    Wire.sent.clear()
    return Wire.sent


@pytest.fixture
def shell(make_shell):
    """IPython's shell with a publisher that keeps what is displayed; __main__ stays pytest's."""
    shell = make_shell(InteractiveShell.instance, user_module=ModuleType("a_notebook"), user_ns={})
    shell.display_pub = CapturingDisplayPublisher()
    yield shell
    InteractiveShell.clear_instance()
    sys.modules.pop("a_notebook", None)


@pytest.fixture
def browser(shell):
    """The same, asked by a front end that names the cell."""
    shell.kernel = SimpleNamespace(get_parent=lambda: {"metadata": {"cellId": "c0ffee"}})
    return shell


def until(condition):
    """Wait for it."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def numbered(snapshot, count):
    return [
        snapshot(completed=done, failed=0, pending=92 - done, now=1000.0 + done, failures=()) for done in range(count)
    ]


def test_a_slow_screen_sees_the_newest_snapshot_and_not_every_one(session, snapshot, finished):
    slate = Slate(gated=True)
    showing = Showing(session, slate, interval=0.0).start()
    first, *between, last = numbered(snapshot, 50)

    session.publish(first)
    assert slate.drawing.acquire(timeout=PATIENCE)
    for one in (*between, last):
        session.publish(one)
    slate.gate.release()
    assert slate.drawing.acquire(timeout=PATIENCE)
    slate.gate.release()
    session.publish(finished())

    assert showing.join(PATIENCE)
    assert slate.drawn == [first, last]
    assert slate.closed == [finished()]


def test_between_two_frames_lies_the_interval(session, snapshot):
    slate = Slate()
    showing = Showing(session, slate, interval=3600.0).start()
    first, *others = numbered(snapshot, 20)

    session.publish(first)
    assert slate.drawing.acquire(timeout=PATIENCE)
    for one in others:
        session.publish(one)
    assert not slate.drawing.acquire(timeout=0.3)
    showing.stop(PATIENCE)

    assert slate.drawn == [first]
    assert slate.closed == [others[-1]]


def test_the_end_of_the_job_ends_the_view_and_its_subscription(session, finished):
    slate = Slate()
    showing = Showing(session, slate).start()

    session.publish(finished())

    assert showing.join(PATIENCE)
    assert (slate.drawn, slate.closed, session.listeners) == ([], [finished()], [])


def test_stopping_the_view_cancels_nothing(session, snapshot):
    slate = Slate()
    showing = Showing(session, slate).start()
    session.publish(snapshot())

    showing.stop(PATIENCE)
    showing.stop(PATIENCE)

    assert slate.closed == [snapshot()]
    assert (session.listeners, session.cancelled.is_set()) == ([], False)


def test_finishing_asks_for_the_newest_state(session, finished):
    slate = Slate()
    showing = Showing(session, slate).start()
    session.last = finished()

    showing.finish(PATIENCE)

    assert slate.closed == [finished()]


def test_a_store_that_does_not_answer_leaves_what_was_seen_last(session, snapshot, caplog):
    slate = Slate()
    showing = Showing(session, slate).start()
    session.publish(snapshot())
    session.silence = Throttled("The store is busy.")

    showing.finish(PATIENCE)

    assert slate.closed == [snapshot()]
    assert "The store is busy." in caplog.text


def test_a_session_that_is_over_already_is_closed_at_once_and_let_go(session, finished):
    slate = Slate()
    session.last = finished()
    session.eager = True

    showing = Showing(session, slate).start()

    assert showing.join(PATIENCE)
    assert (slate.drawn, slate.closed, session.listeners) == ([], [finished()], [])


def test_another_job_of_the_session_is_not_drawn(session, snapshot, finished):
    slate = Slate()
    showing = Showing(session, slate).start()

    session.publish(snapshot(jid="j2", ended=JobEnd.FINISHED))
    assert not showing.join(0.3)
    session.publish(finished())

    assert showing.join(PATIENCE)
    assert slate.closed == [finished()]


def test_a_broken_screen_is_logged_and_lets_the_session_go(session, snapshot, caplog):
    class Broken(Slate):
        def draw(self, snapshot):
            raise OSError("the pipe is gone")

    showing = Showing(session, Broken()).start()
    session.publish(snapshot())

    assert showing.join(PATIENCE)
    assert "the session is still running" in caplog.text
    assert "the pipe is gone" in caplog.text
    assert session.listeners == []


def test_a_frame_is_one_small_message(wire, browser, session, snapshot):
    panel = Panel(session, metadata={}).open(snapshot())
    wire.clear()

    states = ("completed", "running", "pending", "failed")
    frames = [
        snapshot(
            now=1000.0 + tick,
            total=10_000,
            spans=tuple(
                Span(start=at, stop=at + 50 + tick, state=states[(at // 100 + tick) % 4])
                for at in range(0, 10_000, 100)
            ),
        )
        for tick in range(10)
    ]
    for one in frames:
        panel.draw(one)

    assert [kind for kind, _ in wire] == ["comm_msg"] * 10
    assert [list(data["state"]) for _, data in wire] == [["frame"]] * 10
    assert max(len(json.dumps(data)) for _, data in wire) < 2_500


def test_a_frame_that_changes_nothing_is_not_sent(wire, browser, session, snapshot):
    panel = Panel(session, metadata={}).open(snapshot())
    wire.clear()

    panel.draw(snapshot())

    assert wire == []


def test_the_whole_state_is_in_the_model_for_a_page_that_comes_back(wire, browser, session, snapshot):
    panel = Panel(session, metadata={}).open(snapshot())
    panel.draw(snapshot(completed=41, running=7))

    frame = json.loads(panel._widget.get_state("frame")["frame"])

    assert (frame["counts"]["running"], frame["counts"]["completed"]) == (7, 41)


def test_nothing_is_sent_while_tasks_sleep(wire, browser, session, snapshot):
    panel = Panel(session, metadata={}).open(snapshot(tail=((3, "hello"),)))
    wire.clear()

    for tick in range(40):
        panel.draw(snapshot(now=1080.0 + tick, as_of=1079.0 + tick, tail=((3, "hello"),)))

    assert wire == []


def test_failures_and_output_are_sent_when_they_change_and_at_no_other_time(wire, browser, session, snapshot, group):
    panel = Panel(session, metadata={}).open(snapshot(tail=((3, "hello"),)))
    wire.clear()

    panel.draw(snapshot(completed=41, running=7, tail=((3, "hello"),)))
    panel.draw(snapshot(completed=41, running=7, tail=((3, "hello"), (4, "again"))))
    panel.draw(snapshot(completed=41, running=6, failed=3, failures=(group(3, "no"),), tail=((4, "again"),)))

    sent = [sorted(data["state"]) for _, data in wire]
    assert sent == [["frame"], ["frame"], ["output"], ["frame"], ["failures"], ["output"]]


def test_the_output_is_a_widget_that_carries_its_session(wire, browser, session, finished):
    showing = show(session, out="squares")
    session.publish(finished())
    assert showing.join(PATIENCE)

    shown, swapped = browser.display_pub.outputs
    mark = {META: {"session": session.id, "job": "j1", "out": "squares", "cell": "c0ffee", "created": 1000.0}}
    assert set(shown["data"]) == {WIDGET, MIME, "text/html", "text/plain"}
    assert shown["data"][MIME]["counts"]["completed"] == 40
    assert shown["data"][MIME]["failures"]["groups"][0]["line"] == 4
    assert "42" in shown["data"]["text/html"]
    assert "42 of 100" in shown["data"]["text/plain"]
    assert shown["metadata"] == swapped["metadata"] == mark
    assert swapped["update"] is True
    assert set(swapped["data"]) == {MIME, "text/html", "text/plain"}
    assert swapped["data"][MIME]["phase"] == "finished"
    assert "finished" in swapped["data"]["text/html"]
    assert "100 of 100" in swapped["data"]["text/plain"]
    assert swapped["transient"] == shown["transient"]


@pytest.mark.parametrize("others", [True, False])
@pytest.mark.usefixtures("wire", "browser")
def test_cancel_runs_in_a_thread_of_its_own_and_says_what_it_stops(session, snapshot, others):
    session.others = others
    panel = Panel(session, metadata={}).open(snapshot())

    message(panel, {"kind": "cancel", "id": 1})

    assert session.cancelled.wait(PATIENCE)
    wait_for_threads("burst-asked")
    notice = host(panel)["notice"]
    assert notice.startswith("Cancelling this job")
    assert ("other jobs continue" if others else "the session ends with it") in notice


def test_a_cancel_that_fails_says_why(wire, browser, session, snapshot, caplog):
    session.refusal = OSError("the store is away")
    panel = Panel(session, metadata={}).open(snapshot())

    message(panel, {"kind": "cancel", "id": 7})

    assert session.cancelled.wait(PATIENCE)
    wait_for_threads("burst-asked")
    assert host(panel)["notice"] == "Not done: OSError: the store is away"
    (reply,) = answers(wire)
    assert (reply["id"], reply["problem"]) == (7, "OSError: the store is away")


@pytest.mark.parametrize("content", [{"kind": "erase"}, {}, {"kind": ["cancel"]}, "cancel", None, ["cancel"]])
def test_other_messages_do_nothing(wire, browser, session, snapshot, content):
    panel = Panel(session, metadata={}).open(snapshot())

    message(panel, content)
    wait_for_threads("burst-asked")

    assert not session.cancelled.is_set()
    assert len(browser.display_pub.outputs) == 1


def test_while_the_cell_waits_actions_are_off_with_the_reason_and_none_is_done(wire, browser, session):
    showing = show(session, blocking=True)
    panel = showing._screen

    message(panel, {"kind": "cancel", "id": 1})
    wait_for_threads("burst-asked")
    said = host(panel)
    showing.stop(PATIENCE)

    assert {each["off"] for each in said["actions"]} == {"the cell is waiting for results: interrupt the kernel first"}
    assert not session.cancelled.is_set()


def test_who_interrupts_a_waiting_cell_keeps_a_living_panel_with_a_button(wire, browser, session, snapshot, finished):
    showing = show(session, blocking=True)

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        waited(showing, interrupted)

    assert {each["off"] for each in host(showing._screen)["actions"]} == {""}
    assert [output["update"] for output in browser.display_pub.outputs] == [False]
    session.publish(finished())
    assert showing.join(PATIENCE)
    assert browser.display_pub.outputs[-1]["data"][MIME]["phase"] == "finished"


class InterruptedOnce(CapturingDisplayPublisher):
    """The user interrupts just when the page has got the panel."""

    def publish(self, *args, **kwargs):
        super().publish(*args, **kwargs)
        if len(self.outputs) == 1:
            raise KeyboardInterrupt


def test_an_interrupt_while_the_panel_appears_leaves_one_that_lives_and_ends(wire, browser, session, finished):
    browser.display_pub = InterruptedOnce()

    with pytest.raises(KeyboardInterrupt):
        show(session, blocking=True)
    session.publish(finished())
    for thread in threading.enumerate():
        if thread.name.startswith("burst-view"):
            thread.join(PATIENCE)

    last = browser.display_pub.outputs[-1]
    assert (last["update"], last["data"][MIME]["phase"]) == (True, "finished")
    assert WIDGET not in last["data"]


def test_who_interrupts_a_waiting_terminal_gets_its_prompt_back(session, snapshot):
    stream = io.StringIO()
    showing = show(session, blocking=True, stream=stream)
    session.publish(snapshot())

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        waited(showing, interrupted)

    assert showing.join(PATIENCE)
    assert stream.getvalue().endswith("at line 4; first: task 40\n")


def test_a_view_that_stops_leaves_the_newest_state_and_the_way_to_go_on(wire, browser, session, snapshot):
    showing = show(session)
    session.publish(snapshot(completed=45, running=3))

    showing.stop(PATIENCE)

    left = browser.display_pub.outputs[-1]["data"]
    assert WIDGET not in left
    assert "as seen" in left["text/plain"]
    assert "%burst_attach" in left["text/plain"]
    assert left[MIME]["counts"]["completed"] == 45


def test_after_the_end_nothing_can_be_asked_of_the_job(wire, browser, session, finished):
    panel = Panel(session, metadata={}).open(finished())

    off = {each["action"]: each["off"] for each in host(panel)["actions"]}

    assert off["cancel"] == off["scale"] == off["extend"] == "the job is over: finished"
    assert off["cancel_session"] == off["cleanup"] == ""  # workers that are kept warm cost money


def test_tasks_of_a_failure_are_fetched_on_demand(wire, browser, session, snapshot):
    session.outcomes = [
        Outcome(task=task, kind=OutcomeKind.ERROR, error="KeyError", message=f"'{task}'", traceback="Traceback …")
        for task in range(3)
    ]
    ident = key_of(session.outcomes[0]).ident
    panel = Panel(session, metadata={}).open(snapshot())

    for number, asked in enumerate(
        [{"kind": "tasks", "group": ident, "after": 0}, {"kind": "task", "task": 2}, {"kind": "task", "task": 3}]
    ):
        message(panel, {"id": number, **asked})
        wait_for_threads("burst-asked")

    page, task, missing = answers(wire)
    assert [row["task"] for row in page["ok"]["rows"]] == [1, 2]
    assert (task["id"], task["ok"]["message"], task["ok"]["traceback"]) == (1, "'2'", "Traceback …")
    assert missing["problem"] == "task 3 has no outcome"


def test_a_kernel_tells_what_ran_when(wire, browser, session, snapshot):
    session.ran = [TaskSpan(3, 1010.0, 2.0, False, "w1", 0)]
    panel = Panel(session, metadata={}).open(snapshot())

    message(panel, {"id": 1, "kind": "timeline"})
    wait_for_threads("burst-asked")

    (lane,) = answers(wire)[-1]["ok"]["lanes"]
    assert lane["bars"] == [{"task": 3, "began": 1010, "wall": 2, "failed": False}]


@pytest.mark.parametrize(
    ("asked", "done", "notice"),
    [
        ({"kind": "scale", "workers": 9}, ("scale", 9), "9 workers wanted."),
        ({"kind": "extend", "seconds": 3600}, ("extend", 3600, None), "15 min 20 s until the session's deadline."),
        (
            {"kind": "extend", "budget": 9_000_000},
            ("extend", None, 9_000_000),
            "15 min 20 s until the session's deadline; it may cost $9.00.",
        ),
        ({"kind": "cancel_session"}, "cancel", "Cancelling the session"),
        ({"kind": "cleanup"}, "close", "Stopping the workers: running tasks finish first"),
    ],
)
@pytest.mark.usefixtures("browser")
def test_actions_are_done_and_told(wire, session, snapshot, asked, done, notice):  # noqa: PLR0917 - fixtures
    panel = Panel(session, metadata={}).open(snapshot())

    message(panel, {"id": 1, **asked})
    wait_for_threads("burst-asked")

    assert session.asked == [done]
    assert host(panel)["notice"].startswith(notice)
    assert answers(wire)[-1] == {"id": 1, "ok": host(panel)["notice"]}


@pytest.mark.parametrize(
    "asked", [{"kind": "scale"}, {"kind": "scale", "workers": True}, {"kind": "task", "task": "1"}]
)
def test_a_request_that_makes_no_sense_is_answered_with_what_is_wrong(wire, browser, session, snapshot, asked):
    panel = Panel(session, metadata={}).open(snapshot())

    message(panel, {"id": 1, **asked})
    wait_for_threads("burst-asked")

    assert "is no whole number" in answers(wire)[-1]["problem"]
    assert session.asked == []


def test_a_page_that_comes_back_after_the_end_gets_the_static_picture_again(wire, browser, session, finished):
    showing = show(session)
    session.publish(finished())
    assert showing.join(PATIENCE)

    message(showing._screen, {"kind": "shown"})

    assert [output["update"] for output in browser.display_pub.outputs] == [False, True, True]
    assert browser.display_pub.outputs[1] == browser.display_pub.outputs[2]


def kept(finished, **changes):
    """The job is over, and its worker, which costs money, is kept for the next one."""
    workers = (WorkerView(wid="w1", started=1000.0, seen=1200.0, rate=36_000),)
    facts = {"launcher": "fargate", "rate": 36_000, "now": 1200.0, "workers": workers, "kept_until": 1500.0}
    return finished(**(facts | changes))


def said_of_kept(shell):
    """What the pictures said of kept workers, one after the other."""
    return [MIME in one["data"] and one["data"][MIME]["money"].get("kept") for one in shell.display_pub.outputs]


@pytest.mark.parametrize("blocking", [True, False])
def test_a_panel_after_the_end_is_drawn_again_when_its_kept_workers_are_kept_no_more(
    wire, browser, session, finished, blocking
):
    showing = show(session, blocking=blocking)
    session.last = kept(finished)
    if blocking:
        showing.finish(PATIENCE)
    else:
        session.publish(session.last)
    until(lambda: len(browser.display_pub.outputs) == 2)
    session.publish(kept(finished, now=1300.0))  # nothing that a reader does not count by itself
    session.publish(kept(finished, now=1310.0, kept_until=None))

    assert showing.join(PATIENCE)
    assert said_of_kept(browser)[1:] == [{"count": 1, "hourly": 36_000, "until": 1500.0}, None]
    for mime in ("text/html", "text/plain"):
        assert ["1 kept" in one["data"][mime] for one in browser.display_pub.outputs] == [False, True, False]
    assert session.listeners == []


def test_a_panel_that_is_stopped_waits_for_no_kept_workers(wire, browser, session, finished):
    showing = show(session)
    session.publish(kept(finished))
    until(lambda: len(browser.display_pub.outputs) == 2)
    showing.stop(PATIENCE)
    assert session.listeners == []


@pytest.mark.parametrize("blocking", [True, False])
def test_a_picture_without_a_browser_says_after_later_cells_that_workers_are_kept_no_more(
    shell, session, finished, blocking
):
    shell.kernel = SimpleNamespace(get_parent=lambda: {"metadata": {}})
    showing = show(session, blocking=blocking, stream=io.StringIO())
    session.last = kept(finished)
    if blocking:
        showing.finish(PATIENCE)
    shell.run_cell("1")
    session.last = kept(finished, now=1310.0, kept_until=None)
    shell.run_cell("2")
    session.last = kept(finished)
    shell.run_cell("3")  # it has been told

    assert said_of_kept(shell)[1:] == [{"count": 1, "hourly": 36_000, "until": 1500.0}, None]


def test_a_picture_without_a_browser_looks_for_the_end_of_kept_workers_after_later_cells(shell, session, finished):
    shell.kernel = SimpleNamespace(get_parent=lambda: {"metadata": {}})
    showing = show(session, blocking=True, stream=io.StringIO())
    session.last = kept(finished)
    showing.finish(PATIENCE)
    session.unseen = kept(finished, now=1310.0, kept_until=None)  # nobody else looks
    session.silence = Throttled("SlowDown")
    shell.run_cell("1")
    assert said_of_kept(shell)[1:] == [{"count": 1, "hourly": 36_000, "until": 1500.0}]
    session.silence = None
    shell.run_cell("2")
    assert said_of_kept(shell)[2:] == [None]


def test_a_terminal_that_does_not_wait_gets_one_line_and_no_thread(session, capsys):
    show(session, stream=io.StringIO()).stop()

    line = capsys.readouterr().out
    assert line == f"session {session.id}: 42 of 100, 2 failed, ≈ 2 min left\n"
    assert session.listeners == []


def test_a_terminal_that_waits_gets_the_bar(session, finished):
    stream = io.StringIO()
    showing = show(session, blocking=True, stream=stream)

    session.publish(finished())

    assert showing.join(PATIENCE)
    assert "100 of 100" in stream.getvalue()


def test_a_notebook_that_is_executed_without_a_browser_keeps_the_last_state(shell, session, finished):
    shell.kernel = SimpleNamespace(get_parent=lambda: {"metadata": {}})
    stream = io.StringIO()
    showing = show(session, out="squares", blocking=True, stream=stream)
    session.publish(finished())
    assert showing.join(PATIENCE)

    named, left = shell.display_pub.outputs
    assert set(named["data"]) == {"text/plain"}
    assert session.id in named["data"]["text/plain"]
    assert named["metadata"][META]["out"] == left["metadata"][META]["out"] == "squares"
    assert (left["update"], left["transient"]) == (True, named["transient"])
    assert set(left["data"]) == {MIME, "text/html", "text/plain"}
    assert "100 of 100" in left["data"]["text/plain"]
    assert "100 of 100" in stream.getvalue()


def test_a_terminal_that_waits_is_told_once(shell, session, finished):
    showing = show(session, blocking=True, stream=io.StringIO())
    session.publish(finished())
    assert showing.join(PATIENCE)

    assert len(shell.display_pub.outputs) == 1


@pytest.mark.parametrize("parent", [{}, {"metadata": None}, {"metadata": {}}, {"metadata": {"cellId": None}}])
def test_a_request_that_names_no_cell_comes_from_no_browser(parent):
    assert frontend_cell(SimpleNamespace(kernel=SimpleNamespace(get_parent=lambda: parent))) == ""


def test_a_terminal_shell_has_no_kernel():
    assert frontend_cell(object()) == ""
    assert frontend_cell(None) == ""


def message(panel, content):
    """What the browser sends, by the road that ipywidgets takes."""
    panel._widget._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def host(panel):
    """What the panel says of itself."""
    return json.loads(panel._widget.host)


def answers(wire):
    """What was said to the browser beside the state."""
    return [data["content"] for _, data in wire if data and data.get("method") == "custom"]


def wait_for_threads(name):
    for thread in threading.enumerate():
        if thread.name.startswith(name):
            thread.join(PATIENCE)
