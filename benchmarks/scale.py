"""A million tasks in one session, coming back to one, and a log of a hundred thousand segments."""

from __future__ import annotations

import time
from random import Random

from benchmarks.process import Figures, forget_peak, memory, serve, timed


def same(item: int) -> int:
    """A task that does nothing."""
    return item


def million(*, n: int, workers: int) -> Figures:
    """``n`` tasks from a generator: submitted, awaited, looked at, read one after the other, read into a list.

    Peaks are MB of the client over what it had before.
    """
    import burst_magic as burst

    session = burst.map(same, range(100), workers=workers).wait()
    time.sleep(0.5)
    figures: Figures = {"n": n}
    base = memory("VmRSS")
    forget_peak()
    with timed(figures):
        began = time.perf_counter()
        job = burst.map(same, (item for item in range(n)), session=session)
        figures["submit"] = time.perf_counter() - began
        job.wait()
    figures["working_peak"] = memory("VmHWM") - base
    job.detach()
    began = time.perf_counter()
    reader = burst.attach(f"{job.id}/{job.job}")
    seen = reader.status()
    figures["status"] = time.perf_counter() - began
    assert seen.completed == n
    forget_peak()
    base = memory("VmRSS")
    began = time.perf_counter()
    assert sum(value for _, value in reader.as_completed()) == n * (n - 1) // 2
    figures["read"] = time.perf_counter() - began
    figures["read_peak"] = memory("VmHWM") - base
    reader.detach()
    del reader
    lister = burst.attach(f"{job.id}/{job.job}")
    forget_peak()
    base = memory("VmRSS")
    began = time.perf_counter()
    values = lister.results().collect()
    figures["list"] = time.perf_counter() - began
    figures["list_peak"] = memory("VmHWM") - base
    assert values == list(range(n))
    session.cleanup()
    return figures


def attached(*, n: int) -> Figures:
    """Attach and status of a job of which ``n`` tasks are done and some are still running."""
    import burst_magic as burst

    def last_ones_take_long(task):  # noqa: ANN001, ANN202 - a cell's function
        if task >= n:
            time.sleep(600)
        return task

    session = burst.map(last_ones_take_long, range(n + 2), workers=2)
    while session.status().completed < n:
        time.sleep(0.05)
    session.detach()
    figures: Figures = {"n": n}
    with timed(figures):
        seen = burst.attach(f"{session.id}/{session.job}").status()
    assert seen.completed == n and seen.ended is None  # noqa: PT018
    session.cleanup(force=True)
    return figures


def long_log(*, n: int) -> Figures:
    """Attach and status of a job of which ``n`` tasks were published one by one, by 64 workers, and half are still to
    come; then the same of one that is finished. A worker lives meanwhile."""
    figures: Figures = {"n": n}
    for name, tasks in (("half", 2 * n), ("whole", n)):
        figures |= {f"{name}_{what}": value for what, value in _looked_at(n, tasks).items()}
    return figures


def _looked_at(n: int, tasks: int) -> Figures:
    import burst_magic as burst

    session = burst.map(same, range(1), workers=1).wait()
    ident = _write_log(session, n, tasks)
    base = memory("VmRSS")
    forget_peak()
    figures: Figures = {}
    with timed(figures):
        reader = burst.attach(ident)
        seen = reader.status()
    assert seen.completed == n
    figures["peak"] = memory("VmHWM") - base
    began = time.perf_counter()
    reader.status()
    figures["again"] = time.perf_counter() - began
    reader.cleanup(force=True)
    return figures


def _write_log(session, n: int, tasks: int) -> str:  # noqa: ANN001 - burst_magic's own, which is imported in the cases
    """A job as a long fleet would have left it: its record, lanes, claims and ``n`` segments of one task."""
    from burst_magic.payload import pack_value
    from burst_magic.protocol.log import make_final
    from burst_magic.protocol.ranges import Cover, cut_lanes
    from burst_magic.protocol.wire import blocks, keys, records
    from burst_magic.protocol.wire.model import ClaimBody, ClaimKey, Job, SegmentKey

    secret, store = bytes.fromhex(session.key), session.store
    job_keys = keys.SessionKeys(session.id).job("long")
    lanes = cut_lanes(tasks, 64)
    folder = store.path(job_keys.results_folder)
    folder.mkdir(parents=True)
    now, cover, rng = time.time(), Cover(tasks), Random(n)
    places = list(lanes)
    for number in range(n):  # each worker goes through its lane from the start
        lane = rng.randrange(len(lanes))
        while places[lane] == [*lanes, tasks][lane + 1]:
            lane = (lane + 1) % len(lanes)
        task, places[lane] = places[lane], places[lane] + 1
        at_ms = int((now - (n - number) / 100) * 1000)  # a hundred a second
        claim = ClaimKey(start=lanes[lane], number=0)
        segment = SegmentKey(at_ms=at_ms, start=task, stop=task + 1, failed=0, claim=claim)
        cover.add(segment)
        outcome = records.pack_value(task, pack_value(task, home={}), began=0.0, wall=0.0, cpu=0.0, peak_mb=0.0)
        pieces = blocks.write_blocks(
            secret, job_keys.segment(segment), [(task, outcome)], lengths=False, head=records.pack_origin()
        )
        (folder / keys.segment_name(segment)).write_bytes(b"".join(pieces))
    written: dict[str, object] = {
        job_keys.claim(ClaimKey(start=start, number=0)): ClaimBody(worker=f"w{place}", slot=0, nonce="", at=now)
        for place, start in enumerate(lanes)
    }
    written[job_keys.record] = Job(jid="long", created=now - n / 100, tasks=tasks, lanes=lanes, seed=1)
    if cover.whole:
        written[job_keys.final] = make_final("long", cover, now, by="w0")
    for key, record in written.items():
        store.put(key, records.encode(record, secret=secret, key=key))
    return f"{session.id}/long"


if __name__ == "__main__":
    serve({"million": million, "attached": attached, "long_log": long_log})
