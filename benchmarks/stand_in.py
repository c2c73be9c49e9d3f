"""The stand-in cloud in a process of its own: what it costs is not the client's, and it notes who asked what and when.

Run as a module it is that process: it prints what to export, and answers ``calls`` and ``tasks``, a line each, until
its stdin ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.counted import kind_of

if TYPE_CHECKING:
    from burst_magic.testing.sandbox.aws_call import AwsCall

AGENT = ("provisioning", "pulling", "activating")  # what a task waits for before its container starts


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request.

    Attributes:
        kind: ``ecs RunTask``, ``s3 PUT claims``, ….
        at: seconds since the epoch at which it arrived.
    """

    kind: str
    at: float


class StandIn:
    """The client's side of it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def calls(self) -> list[Call]:
        """Requests since it was last asked, in order."""
        return sorted((Call(kind=kind, at=at) for kind, at in self._ask("calls")), key=lambda call: call.at)

    def tasks(self) -> list[dict[str, Any]]:
        """Times of all tasks so far, as the sandbox has them."""
        return list(self._ask("tasks"))

    def _ask(self, what: str) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def stand_in(
    *, reply: float = 0.0, cores: set[int] | None = None, empty: bool = False, **weather: float
) -> Iterator[StandIn]:
    """The cloud as AWS of this process.

    Args:
        empty: nothing is set up in it.
        reply: seconds that it takes for each answer to RunTask.
        cores: where it and its tasks run; None: anywhere.
        weather: changes to it.
    """
    home = Path(os.environ["BENCH_HOME"]) / "cloud"
    wanted = {"home": str(home), "reply": reply, "cores": sorted(cores or ()), "empty": empty, "weather": weather}
    command = [sys.executable, "-m", "benchmarks.stand_in", json.dumps(wanted)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        os.environ |= json.loads(process.stdout.readline())
        yield StandIn(process)
    finally:
        process.stdin.close()
        process.wait()


def main() -> None:
    """The process; ends with its stdin."""
    from dataclasses import asdict

    from burst_magic.testing.sandbox import Sandbox
    from burst_magic.testing.sandbox.weather import SandboxWeather

    wanted = json.loads(sys.argv[1])
    if wanted["cores"]:
        os.sched_setaffinity(0, wanted["cores"])
    calls: list[tuple[str, float]] = []

    def heard(call: AwsCall) -> None:
        calls.append((name_of(call), time.time()))
        if call.action == "RunTask":
            time.sleep(wanted["reply"])

    weather = SandboxWeather(**wanted["weather"])
    with Sandbox(home=Path(wanted["home"]), weather=weather, heard=heard, empty=wanted["empty"]) as cloud:
        print(json.dumps(cloud.environ()), flush=True)
        calls.clear()
        for line in sys.stdin:
            said: list[Any] = list(calls) if line.strip() == "calls" else [asdict(task.times) for task in cloud.tasks()]
            if line.strip() == "calls":
                del calls[: len(said)]
            print(json.dumps(said), flush=True)


def name_of(call: AwsCall) -> str:
    """What a request is, with its service."""
    if not call.service:
        return "agent metadata" if call.path.startswith("/v4/") else "agent credentials"
    if call.service != "s3":
        return f"{call.service} {call.action or call.method}"
    return f"s3 {kind_of(call.method, call.path, call.query)}"


if __name__ == "__main__":
    main()
