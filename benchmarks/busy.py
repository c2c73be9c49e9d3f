"""What a fleet on ECS costs a notebook that computes meanwhile: a loop in a real kernel, with and without the panel.

The kernel has one core, the stand-in cloud and its workers have the others, so whatever the kernel's other threads use
is missing in the loop. Wall seconds of a pinned loop depend on whoever else uses that core; CPU seconds of the kernel's
threads don't. So what counts is the CPU of all threads but the loop's in a second of its wall time: the threads work by
the clock (requests, frames), however fast the loop gets on.
"""

from __future__ import annotations

import ast
import os
import time
from collections import Counter
from collections.abc import Mapping
from statistics import median
from typing import Any

from benchmarks.process import Figures, serve
from benchmarks.stand_in import stand_in

_PATIENCE = 300.0
_NAP = 5.0  # seconds of a task: short enough that some end between two frames; nothing is drawn while nothing changes
_BEGIN = """
import os, time
import burst_magic as burst
from burst_magic.ui.panel import show

os.sched_setaffinity(0, {core})

def nap(_):
    time.sleep({nap})

def busy(count):
    wall, mine, everyone, value = time.perf_counter(), time.thread_time(), time.process_time(), 0
    for number in range(count):
        value = (value * 31 + number) & 0xFFFF
    return time.perf_counter() - wall, time.thread_time() - mine, time.process_time() - everyone
"""
_START = """
session = burst.map(nap, range({tasks}), workers={workers}, launcher="fargate")
showing = show(session)
"""


class Kernel:
    """One IPython kernel, used as a browser uses it."""

    def __init__(self) -> None:
        from jupyter_client.manager import KernelManager

        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(env=dict(os.environ), extra_arguments=["--log-level=ERROR"])
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=_PATIENCE)
        self.messages: Counter[str] = Counter()  # by type, since the last cell began
        self.heard: list[dict[str, Any]] = []  # contents of comms' messages, until somebody takes them

    def run(self, code: str) -> Any:
        """The value of a cell, if it is a literal."""
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        request = self._client.session.msg("execute_request", content, metadata={"cellId": "cell"})
        self._client.shell_channel.send(request)
        self.messages, value = Counter(), None
        while True:
            said = self._client.get_iopub_msg(timeout=_PATIENCE)
            self.messages[said["msg_type"]] += 1
            if said["msg_type"] in {"comm_open", "comm_msg"}:
                self.heard.append(said["content"])
            if said["msg_type"] == "error":
                raise RuntimeError("\n".join(said["content"]["traceback"]))
            if said["parent_header"].get("msg_id") != request["header"]["msg_id"]:
                continue
            if said["msg_type"] == "execute_result":
                value = ast.literal_eval(said["content"]["data"]["text/plain"])
            if said["msg_type"] == "status" and said["content"]["execution_state"] == "idle":
                return value

    def tell(self, comm: str, data: Mapping[str, Any]) -> None:
        """Send to one of its comms, as a page does."""
        message = self._client.session.msg("comm_msg", {"comm_id": comm, "data": data})
        self._client.shell_channel.send(message)

    def close(self) -> None:
        """End it."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


def watched(*, workers: int, pairs: int, seconds: float) -> Figures:
    """A loop of so many seconds of CPU, alternately while nothing and while a running fleet is followed and shown."""
    cores = sorted(os.sched_getaffinity(0))
    with stand_in(cores=set(cores[1:]) or None):
        kernel = Kernel()
        try:
            kernel.run(_BEGIN.format(core={cores[0]}, nap=_NAP))
            count = int(seconds / kernel.run("busy(10**6)")[1] * 10**6)
            kernel.run(_START.format(tasks=1000 * workers, workers=workers))
            _await(lambda: kernel.run("session.status().running") == workers)
            found = [_pair(kernel, count) for _ in range(pairs)]
            kernel.run("session.cleanup(force=True, grace=0);")
        finally:
            kernel.close()
    return {name: median(each[name] for each in found) for name in found[0]}


def _pair(kernel: Kernel, count: int) -> Figures:
    kernel.run("session.detach()")
    alone = kernel.run(f"busy({count})")
    kernel.run("session.follow()")
    beside = kernel.run(f"busy({count})")
    frames = kernel.messages["comm_msg"]
    assert frames, "the panel drew nothing"
    return {
        "slower": 100 * (_others(*beside) - _others(*alone)),
        "wall": 100 * (beside[0] / alone[0] - 1),
        "seconds": beside[1],
        "frames": frames,
    }


def _others(wall: float, mine: float, everyone: float) -> float:
    """CPU of the kernel's other threads in a second."""
    return (everyone - mine) / wall


def _await(condition: Any) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.5)


if __name__ == "__main__":
    serve({"watched": watched})
