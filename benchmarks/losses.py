"""What a lost worker costs: ``kill -9`` of one, with a client that looks on and without."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from benchmarks.process import Figures, serve

INTERVAL = 1.0  # seconds between heartbeats in a folder
_PATIENCE = 60.0


def hold(path: str) -> str:
    """The first to run this stays in it; whoever comes after him is through at once."""
    import time
    from pathlib import Path

    place = Path(path)
    if not place.exists():
        place.touch()
        time.sleep(3600)
    return path


def recovered(*, attached: bool) -> Figures:
    """Seconds from the kill of the worker that holds the last task until that task's result lies in the store.

    The other worker is idle. The killed one has beaten more than once: nobody suspects it yet.
    """
    import burst_magic as burst

    home = Path(os.environ["BENCH_HOME"])
    first, second = str(home / "held"), str(home / "free")
    Path(second).touch()
    session = burst.map(hold, [first, second], workers=2)
    _await(lambda: Path(first).exists() and session.snapshot().done == 1)
    time.sleep(3 * INTERVAL)
    job = home / "data" / "store" / "sessions" / session.id / "jobs" / session.job
    results = len(list(job.glob("results/*")))
    holder = _holder(session, job)
    if not attached:
        session.detach()
    began = time.time()
    os.kill(holder, signal.SIGKILL)
    _await(lambda: len(list(job.glob("results/*"))) > results)
    published = max(path.stat().st_mtime for path in job.glob("results/*"))
    figures = {"wall": published - began, "intervals": (published - began) / INTERVAL}
    claims = sorted(path.name for path in job.glob("claims/*"))
    assert claims[0].endswith(".000") and claims[1].endswith(".001"), claims  # noqa: PT018 - one fact: it was taken over
    session.wait()
    session.cleanup()
    return figures


def _holder(session, job: Path) -> int:  # noqa: ANN001 - burst_magic's own, which is imported in the cases
    """The process that claimed task 0."""
    from burst_magic.protocol.wire import records
    from burst_magic.protocol.wire.model import ClaimBody

    path = min(job.glob("claims/*"))
    key = str(path.relative_to(path.parents[5]))
    claim = records.decode(ClaimBody, path.read_bytes(), secret=bytes.fromhex(session.key), key=key)
    return int(claim.worker.rsplit("-", 2)[1])  # a local worker's id: host, pid, start time


def _await(ready) -> None:  # noqa: ANN001
    end = time.monotonic() + _PATIENCE
    while not ready():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


if __name__ == "__main__":
    serve({"recovered": recovered})
