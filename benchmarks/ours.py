"""What is measured of burst_magic. Each function is one case: ``python -m benchmarks.ours CASE '{"argument": 1}'``.

Heavy imports stand inside the cases: what an import costs is one of the figures.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks import uneven as times
from benchmarks.counted import count, counting
from benchmarks.process import Figures, forget_peak, memory, serve, timed

MB = 1_000_000


def same(item: int) -> int:
    """A task that does nothing."""
    return item


def nap(_: int) -> None:
    """A task of ten milliseconds."""
    time.sleep(0.01)


def load_ext() -> Figures:
    """``%load_ext burst_magic`` in an IPython that is up."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    figures: Figures = {}
    with timed(figures):
        shell.run_line_magic("load_ext", "burst_magic")
    return figures


def imported() -> Figures:
    """``import burst_magic`` and its ``map`` in a bare Python."""
    figures: Figures = {}
    with timed(figures):
        import burst_magic as burst
    began = time.perf_counter()
    assert burst.map
    figures["map"] = time.perf_counter() - began
    return figures


def ready() -> Figures:
    """From the record that precedes a worker's start to its first claim and heartbeat, by the store's own times."""
    import burst_magic as burst

    session = burst.map(same, range(1), workers=1)
    session.wait()
    figures = {"wall": 0.0}
    root = Path(os.environ["BENCH_HOME"]) / "data" / "store" / "sessions" / session.id
    born = next(root.glob("workers/*.next")).stat().st_mtime
    figures["wall"] = next(root.glob("jobs/*/claims/*")).stat().st_mtime - born
    figures["published"] = next(root.glob("jobs/*/results/*")).stat().st_mtime - born
    session.cleanup()
    return figures


def cold(*, imports: bool) -> Figures:
    """The first result of a new session of two workers; ``imports``: of the first in this process, all imports too."""
    if not imports:
        import burst_magic

        burst_magic.map(same, range(2), workers=2).wait().cleanup()
    figures: Figures = {}
    with timed(figures):
        import burst_magic as burst

        session = burst.map(same, range(2), workers=2)
        assert session.results()[0] == 0
    session.cleanup()
    return figures


def cold_s3(*, imports: bool) -> Figures:
    """The same on an S3 of this machine."""
    with counting():
        os.environ["BURST_STORE"] = "s3://bench/x"
        return cold(imports=imports)


def warm(*, n: int, workers: int, nap_ms: int = 0) -> Figures:
    """``n`` tasks on workers that have worked before, from the call to the list of results."""
    import burst_magic as burst

    task = nap if nap_ms else same
    session = burst.map(task, range(max(100, workers)), workers=workers).wait()
    _settle(session.fleet.living)
    figures: Figures = {"n": n, "ideal": n * nap_ms / 1000 / workers}
    with timed(figures):
        results = list(burst.map(task, range(n), session=session).results())
    assert len(results) == n
    if not nap_ms:
        assert results == list(range(n))
    session.cleanup()
    return figures


def _settle(living: list[str]) -> None:
    """A warm fleet is one that has started: all have beaten and nobody's start-up competes for the cores."""
    root = Path(os.environ["BENCH_HOME"]) / "data" / "store" / "sessions"
    end = time.monotonic() + 30
    while len(list(root.glob("*/workers/*.*.*"))) < len(living) and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)


def array(*, megabytes: int, workers: int) -> Figures:
    """An array that 16 tasks use, captured by their function; the workers have worked before."""
    import numpy as np

    import burst_magic as burst

    session = burst.map(same, range(workers), workers=workers).wait()
    _settle(session.fleet.living)
    figures: Figures = {}
    base = memory("VmRSS")
    forget_peak()
    big = np.arange(megabytes * MB // 8, dtype=np.float64)
    step = len(big) // 16

    def look(item: int) -> float:
        return float(big[item * step])

    with timed(figures):
        results = list(burst.map(look, range(16), session=session).results())
    assert results == [float(item * step) for item in range(16)]
    figures["peak_ratio"] = (memory("VmHWM") - base) / megabytes
    blobs = [path for path in Path(os.environ["BENCH_HOME"]).rglob("blobs/*") if path.stat().st_size >= MB]
    figures["stored"] = sum(path.stat().st_size for path in blobs) / (megabytes * MB)
    figures |= _plainly(memoryview(big).cast("B"))
    figures["again"] = _again(burst.map, look, session)
    session.cleanup()
    return figures


def _again(run, look, session) -> float:  # noqa: ANN001 - burst_magic's own, which is imported in the cases
    """Seconds of the next burst that uses the same array: it is there."""
    began = time.perf_counter()
    list(run(look, range(16), session=session).results())
    return time.perf_counter() - began


def _plainly(data: memoryview) -> Figures:
    """What the machine itself needs at this moment for the same bytes: one hash, one write into the same folder."""
    import hashlib

    began = time.perf_counter()
    hashlib.sha256(data).digest()
    hashed = time.perf_counter()
    with (Path(os.environ["BENCH_HOME"]) / "written").open("wb", buffering=0) as file:
        while data:
            data = data[file.write(data) :]
    return {"hashed": hashed - began, "written": time.perf_counter() - hashed}


def requests(*, n: int, workers: int, folders_rhythm: bool = False) -> Figures:
    """Requests to S3 of ``n`` tasks that do nothing; by verb and part of the log."""
    return count(same, range(n), workers=workers, folders_rhythm=folders_rhythm)


def uneven(*, shape: str, n: int, workers: int, draw: int) -> Figures:
    """``n`` naps of a shape on workers that have worked before, from the call to the list of results."""
    import burst_magic as burst

    seconds = times.naps(shape, n, draw, workers=workers)
    session = burst.map(same, range(workers), workers=workers).wait()
    _settle(session.fleet.living)
    figures: Figures = {"n": n, "ideal": times.ideal(seconds, workers), "queue": times.queue(seconds, workers)}
    with timed(figures):
        assert len(list(burst.map(times.nap, seconds, session=session).results())) == n
    session.cleanup()
    return figures


def uneven_requests(*, shape: str, n: int, workers: int, draw: int) -> Figures:
    """Requests to S3 of a whole session of ``n`` naps, and how long it took there, workers' start included."""
    seconds = times.naps(shape, n, draw, workers=workers)
    figures = count(times.nap, seconds, workers=workers, jobs=["cold"])
    return figures | {"wall": figures["cold_seconds"], "ideal": times.ideal(seconds, workers)}


def changed(*, size: int, n: int) -> Figures:
    """``n`` tasks on a warm worker; each changes a captured list of ``size`` numbers."""
    import heapq
    import pickle

    import burst_magic as burst

    session = burst.map(same, range(1), workers=1).wait()
    _settle(session.fleet.living)
    heap = list(range(size))
    data = pickle.dumps(heap, 5)
    began = time.perf_counter()
    pickle.loads(data)
    figures: Figures = {"load": time.perf_counter() - began}

    def smallest(_: int) -> int:
        return heapq.heappop(heap)

    with timed(figures):
        results = list(burst.map(smallest, range(n), session=session).results())
    assert results == [0] * n
    figures["each"] = figures["wall"] / n
    session.cleanup()
    return figures


if __name__ == "__main__":
    serve({
        "load_ext": load_ext, "imported": imported, "ready": ready, "cold": cold, "cold_s3": cold_s3, "warm": warm,
        "array": array, "changed": changed, "requests": requests, "uneven": uneven, "uneven_requests": uneven_requests,
    })  # fmt: skip
