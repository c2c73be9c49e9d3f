"""What a front end gets of a burst: the output that it shows and saves, while it runs and when it stops."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

WIDGET = "application/vnd.jupyter.widget-view+json"
FRAME = "application/vnd.burst+json"
SLEEPY = "import os, time\nwhile not os.path.exists({gate!r}):\n    time.sleep(0.01)\nn * n"


class FrontEnd:
    """Names the cell with each request, as browsers do, and keeps outputs as a page does: by their display ids."""

    def __init__(self, kernel) -> None:
        self.kernel, self.outputs, self.states, self.idle = kernel, {}, [], set()
        self.comm, self.answers = "", []

    def send(self, kind: str, content: dict, subshell: str | None) -> str:
        """One message on the shell channel, to a subshell; its id."""
        message = self.kernel.client.session.msg(kind, content)
        message["header"]["subshell_id"] = subshell
        self.kernel.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def ask(self, kind: str, subshell: str | None) -> str:
        """A request of the view."""
        data = {"method": "custom", "content": {"kind": kind, "id": len(self.answers)}}
        return self.send("comm_msg", {"comm_id": self.comm, "data": data}, subshell)

    def control(self, kind: str, **content) -> dict:
        """A request on the control channel; the reply's content."""
        client = self.kernel.client
        message = client.session.msg(kind, content)
        client.control_channel.send(message)
        while True:
            reply = client.get_control_msg(timeout=100)
            if reply["parent_header"]["msg_id"] == message["header"]["msg_id"]:
                return reply["content"]

    def start(self, code: str, cell: str = "c0ffee") -> str:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = self.kernel.client.session.msg("execute_request", content, metadata={"cellId": cell})
        self.kernel.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def hear(self, seconds: float = 0.2) -> None:
        """One message, if there is one."""
        try:
            said = self.kernel.client.get_iopub_msg(timeout=seconds)
        except Exception:  # queue.Empty, or a channel that is closed
            return
        content, kind = said["content"], said["msg_type"]
        if kind in {"display_data", "update_display_data"} and "display_id" in content["transient"]:
            self.outputs[content["transient"]["display_id"]] = content["data"]
        elif kind == "comm_msg" and content["data"].get("method") == "update":
            self.states.append(content["data"]["state"])
        elif kind == "comm_msg" and content["data"].get("method") == "custom":
            self.answers.append(content["data"]["content"])
        elif kind == "comm_open" and "frame" in content["data"]["state"]:
            self.comm = content["comm_id"]
        elif kind == "status" and content["execution_state"] == "idle":
            self.idle.add(said["parent_header"].get("msg_id"))

    def until(self, condition, seconds: float = 100.0):
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, (list(self.output), self.states[-3:])
            self.hear()
        return found

    @property
    def output(self) -> dict:
        """What the page shows of the burst: all but words that belong to others."""
        return next((data for data in self.outputs.values() if FRAME in data), {})


@pytest.fixture
def front_end(start_kernel):
    return FrontEnd(start_kernel())


def burst(front_end, gate, options="--out squares"):
    message = front_end.start(f"%%burst --workers 1 --map 'n in range(3)' {options}\n{SLEEPY.format(gate=str(gate))}")
    front_end.until(lambda: WIDGET in front_end.output)
    return message


def test_a_kernel_that_is_shut_down_leaves_no_picture_that_looks_alive(front_end, start_kernel, tmp_path):
    gate = tmp_path / "gate"
    burst(front_end, gate)
    live = front_end.output
    assert {WIDGET, FRAME, "text/html", "text/plain"} <= set(live)
    assert "of 3" in live["text/plain"]

    front_end.kernel.client.shutdown()
    front_end.until(lambda: WIDGET not in front_end.output)
    left = front_end.output
    front_end.kernel.close()
    gate.touch()
    start_kernel()  # it cleans up

    assert "as seen" in left["text/plain"]
    assert f"%burst_attach {left[FRAME]['session']}" in left["text/plain"]
    assert "burst_attach" in left["text/html"]


def test_who_stops_a_waiting_cell_sees_the_session_go_on_to_its_end(front_end, tmp_path):
    gate = tmp_path / "gate"
    message = burst(front_end, gate, "--wait")

    front_end.kernel.interrupt()
    front_end.until(lambda: message in front_end.idle)
    host = json.loads(next(state["host"] for state in reversed(front_end.states) if "host" in state))
    assert {action["off"] for action in host["actions"]} == {""}
    assert WIDGET in front_end.output

    gate.touch()
    front_end.until(lambda: WIDGET not in front_end.output)
    assert front_end.output[FRAME]["phase"] == "finished"
    assert "3 of 3" in front_end.output["text/plain"]


def test_requests_arrive_although_a_subshell_of_a_page_that_was_reloaded_has_ended(front_end, tmp_path):
    gate = tmp_path / "gate"
    burst(front_end, gate)
    subshell = front_end.control("create_subshell_request")["subshell_id"]
    for kind in ("workers", "scale"):  # the second one's answer makes the panel speak while the subshell is current
        asked = front_end.ask(kind, subshell)
        front_end.until(lambda asked=asked: asked in front_end.idle)
    front_end.until(lambda: len(front_end.answers) == 2)
    front_end.control("delete_subshell_request", subshell_id=subshell)

    front_end.ask("cancel", None)

    front_end.until(lambda: len(front_end.answers) == 3)
    assert "finished results are kept" in front_end.answers[-1]["ok"]
    gate.touch()


def test_a_notebook_that_is_executed_without_a_browser_holds_the_last_state(front_end):
    message = front_end.start("%%burst --workers 1 --map 'n in range(3)' --wait\nn * n", cell="")
    front_end.until(lambda: message in front_end.idle)

    left = front_end.output
    assert left[FRAME]["phase"] == "finished"
    assert "3 of 3" in left["text/plain"]
    assert "3 of 3" in left["text/html"]


def test_a_cell_that_does_not_wait_holds_the_state_after_the_later_cells_of_an_executed_notebook(front_end, tmp_path):
    gate = tmp_path / "gate"
    code = f"%%burst --workers 1 --map 'n in range(3)' --out squares\n{SLEEPY.format(gate=str(gate))}"
    first = front_end.start(code, cell="")
    front_end.until(lambda: first in front_end.idle)
    assert front_end.output[FRAME]["counts"]["completed"] == 0
    assert "of 3" in front_end.output["text/html"]

    later = front_end.start(f"open({str(gate)!r}, 'w').close()\nlist(squares)", cell="")
    front_end.until(lambda: later in front_end.idle)
    assert front_end.output[FRAME]["phase"] == "finished"
    assert "3 of 3" in front_end.output["text/plain"]


DEAR = """
from burst_magic import launchers
from burst_magic.launchers.base import Traits
from burst_magic.launchers.local import LocalLauncher

class Dear(LocalLauncher):
    name = "dear"
    traits = Traits(starting_within=60.0, here=True, rate=lambda *_: 1_000_000)

forget = launchers.register("dear", Dear)
"""


def pictures(front_end):
    """What the page shows of each burst, oldest first."""
    return [data for data in front_end.outputs.values() if FRAME in data]


def keeps(front_end):
    """Whether each of them says that a worker is kept, in all its forms alike."""
    shown = pictures(front_end)
    said = [
        (
            each[FRAME]["money"].get("kept") is not None,
            *("1 kept" in each[f"text/{form}"] for form in ("html", "plain")),
        )
        for each in shown
    ]
    assert all(len(set(each)) == 1 for each in said), said
    return [WIDGET not in data and kept for data, (kept, *_) in zip(shown, said, strict=True)]


@pytest.mark.parametrize("end", ["%burst_cleanup", "another process", "the worker's own"])
def test_a_panel_says_that_workers_are_kept_until_they_join_another_job_or_end(front_end, tmp_path, end):
    gate = tmp_path / "gate"
    gate.touch()
    front_end.start(DEAR)
    burst = f"%%burst --launcher dear --workers 1 --map 'n in range(3)'\n{SLEEPY.format(gate=str(gate))}"
    front_end.start(burst)
    front_end.until(lambda: keeps(front_end) == [True])

    gate.unlink()
    front_end.start(burst)
    front_end.until(lambda: keeps(front_end) == [False, False])
    gate.touch()
    front_end.until(lambda: keeps(front_end)[1:] == [True])

    (sid,) = {each[FRAME]["session"] for each in pictures(front_end)}
    if end == "%burst_cleanup":
        front_end.start(f"%burst_cleanup {sid} --yes")
    elif end == "another process":
        ended = front_end.kernel.home.burst("cleanup", sid, "--force", "--yes")
        assert ended.returncode == 0, ended.stderr
    else:
        for pid in front_end.kernel.home.workers():
            os.kill(pid, signal.SIGTERM)
    front_end.until(lambda: keeps(front_end) == [False, False])


@pytest.mark.parametrize("flags", ["--wait", ""])
@pytest.mark.parametrize("end", ["another process", "the worker's own"])
def test_an_executed_notebook_says_after_a_later_cell_that_kept_workers_ended(front_end, end, flags):
    def executed(code):
        message = front_end.start(code, cell="")
        front_end.until(lambda: message in front_end.idle)
        return keeps(front_end)

    executed(DEAR)
    executed(f"%%burst --launcher dear --workers 1 --map 'n in range(3)' {flags}\nn * n")
    front_end.until(lambda: executed("1") == [True])
    if end == "another process":
        ended = front_end.kernel.home.burst("cleanup", front_end.output[FRAME]["session"], "--force", "--yes")
        assert ended.returncode == 0, ended.stderr
    else:
        for pid in front_end.kernel.home.workers():
            os.kill(pid, signal.SIGTERM)
    front_end.until(lambda: executed("1") == [False])
