"""Large values: one array that every slot of a machine uses, a gigabyte of results, single large results and lines."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.counted import counting
from benchmarks.process import Figures, descendants, forget_peak, memory, serve, timed

MB = 1_000_000
AT_A_TIME = 8  # requests; what a reader of results does too
_BLOCK = 1 << 20


def same(item: int) -> int:
    """A task that does nothing."""
    return item


def with_numpy(item: int) -> int:
    """Its slot has numpy from here on."""
    import numpy as np

    time.sleep(0.2)  # so that no slot takes two of them
    return int(np.int64(item))


def filled(item: int) -> bytes:
    """A result of a megabyte, unlike the others."""
    return item.to_bytes(8, "little") * (1_000_000 // 8)


def shared(*, megabytes: int, slots: int) -> Figures:
    """An array that every slot of one worker reads to its end and holds: memory of the whole worker, in shares.

    ``pss`` counts a page once however many processes map it; ``one`` is what a slot has for itself alone after it
    wrote a single element.
    """
    import numpy as np

    import burst_magic as burst

    session = burst.map(with_numpy, range(slots), workers=1, slots=slots).wait()
    time.sleep(0.5)
    before = _memory_of(descendants())
    big = np.arange(megabytes * MB // 8, dtype=np.float64)
    meeting = str(Path(os.environ["BENCH_HOME"]) / "met")

    def meet(item: int) -> float:
        import time
        from pathlib import Path

        total = float(big.sum())
        big[item] = -1.0  # a copy of one page, and nobody else sees it
        Path(meeting, str(item)).touch()
        while len(list(Path(meeting).iterdir())) <= slots:  # until it was measured
            time.sleep(0.01)
        return total

    Path(meeting).mkdir()
    expected = float(big.sum())
    running = burst.map(meet, range(slots), session=session)
    end = time.monotonic() + 60
    while len(list(Path(meeting).iterdir())) < slots:
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    during = _memory_of(descendants())
    (Path(meeting) / "measured").touch()
    assert list(running.results()) == [expected] * slots, "a slot saw what another changed"
    session.cleanup()
    scale = megabytes * MB
    return {
        "pss": (sum(m["Pss"] for m in during.values()) - sum(m["Pss"] for m in before.values())) / scale,
        "rss": (sum(m["Rss"] for m in during.values()) - sum(m["Rss"] for m in before.values())) / scale,
        "one": (_most(during, "Private_Dirty") - _most(before, "Private_Dirty")) / MB,
    }


def _most(found: dict[int, dict[str, int]], kind: str) -> int:
    return max(memory[kind] for memory in found.values())


def _memory_of(pids: dict[int, Any]) -> dict[int, dict[str, int]]:
    """Bytes by kind, of each process: Rss, Pss, Private_Dirty and more."""
    found = {}
    for pid in pids:
        lines = (Path(f"/proc/{pid}") / "smaps_rollup").read_text().splitlines()[1:]
        found[pid] = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return found


def moved(*, megabytes: int, workers: int) -> Figures:
    """Bytes of the array that cross the wire to and from S3, with several workers on one machine."""
    import numpy as np

    import burst_magic as burst

    with counting() as counts:
        session = burst.map(same, range(workers), workers=workers, store="s3://bench/x").wait()
        counts()
        big = np.arange(megabytes * MB // 8, dtype=np.float64)
        step = len(big) // 16
        burst.map(lambda item: float(big[item * step]), range(16), session=session).wait()
        told = counts()
        session.cleanup()
    scale = megabytes * MB
    return {"up": told["bytes PUT blobs"] / scale, "down": told["bytes GET blobs"] / scale}


def collected(*, n: int, s3: bool) -> Figures:
    """``n`` results of a megabyte read by a client that has just attached, and the same bytes from the bare store."""
    import burst_magic as burst

    with _store(s3=s3) as url:
        session = burst.map(filled, range(n), workers=2, **url).wait()
        reader = burst.attach(session.id)
        reader.status()
        base = memory("VmRSS")
        forget_peak()
        figures: Figures = {"n": n}
        with timed(figures):
            results = reader.results().collect()
        assert len(results) == n
        assert results[-1] == filled(n - 1)
        figures["peak_ratio"] = (memory("VmHWM") - base) / n
        del results
        reader.detach()
        figures["raw"] = _raw(session.store, f"sessions/{session.id}/jobs/{session.job}/results")
        session.cleanup(force=True)
    return figures


def passed(*, megabytes: int) -> Figures:
    """A line of one and a half times so many MB without an end, then two results of so many each, on one worker.

    Returns:
        MB: by how much the line made the peak of its ``slot`` grow, and the supervisor's peaks during ``line`` and
        ``result``.
    """
    import burst_magic as burst

    def result(item: int) -> bytes:
        return item.to_bytes(8, "little") * (megabytes * MB // 8)

    def line(_: int) -> float:
        import sys
        from pathlib import Path

        def peak() -> float:
            said = Path("/proc/self/status").read_text()
            return int(said.partition("VmHWM:")[2].split()[0]) * 1024 / MB

        piece, before = "x" * MB, peak()
        for _ in range(megabytes * 3 // 2):
            sys.stdout.write(piece)
        return peak() - before

    session = burst.map(line, range(1), workers=1)
    figures: Figures = {"n": megabytes, "line": _supervisors_peak(session)}
    (figures["slot"],) = session.results()
    job = burst.map(result, range(2), session=session)
    figures["result"] = _supervisors_peak(job)
    assert [len(value) for value in job.results()] == [megabytes * MB // 8 * 8] * 2
    session.cleanup(force=True)
    return figures


def _supervisors_peak(job: Any) -> float:
    """MB of its own that the only worker's supervisor has at most until the job ends: pages of files are the system's,
    which takes them back when it needs them."""
    (pid,) = (pid for pid, (depth, _) in descendants().items() if depth == 1)
    peak = 0.0
    while job.snapshot().ended is None:
        peak = max(peak, memory("RssAnon", pid))
        time.sleep(0.002)
    return peak


@contextmanager
def _store(*, s3: bool) -> Iterator[dict[str, str]]:
    if not s3:
        yield {}
        return
    from burst_magic.testing.servers import seaweedfs

    with seaweedfs() as server:
        os.environ |= server.environ
        yield {"store": server.bucket("bench") + "/x"}


def _raw(store: Any, folder: str) -> float:
    """Seconds of as many ranged gets as it takes, so many at a time; what comes is kept, as results are."""
    pieces = [
        (entry.key, start, min(start + _BLOCK, entry.size))
        for entry in store.list(folder)
        for start in range(0, entry.size, _BLOCK)
    ]
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        kept = list(pool.map(lambda piece: store.get(piece[0], start=piece[1], end=piece[2]), pieces))
    seconds = time.perf_counter() - began
    assert sum(map(len, kept)) == sum(stop - start for _, start, stop in pieces)
    return seconds


if __name__ == "__main__":
    serve({"shared": shared, "moved": moved, "collected": collected, "passed": passed})
