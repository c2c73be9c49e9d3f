"""A list of many sessions, each with a long log."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

from benchmarks.process import Figures, serve, timed


def same(item: int) -> int:
    """A task that does nothing."""
    return item


def listed(*, n: int, segments: int, strays: int, finished: bool) -> Figures:
    """``sessions()`` of ``n`` sessions that are over, each with so many segments of one task, and of files beside them
    that are no sessions; then ``burst sessions --all`` (``command``).

    Args:
        n: sessions.
        segments: of each.
        strays: files beside them.
        finished: their jobs are; otherwise each was cancelled when one task was still to come.
    """
    import burst_magic as burst
    from burst_magic import config
    from burst_magic.session import keyring

    first = burst.map(same, range(1), workers=1).wait()
    store, secret, manifest = first.store, bytes.fromhex(first.key), first.manifest
    first.cleanup(force=True)
    for number in range(strays):
        store.put(f"sessions/stray{number}", b"")
    for number in range(n):
        sid = time.strftime("%Y%m%d-%H%M%S-", time.gmtime(1_700_000_000 + number)) + "abcdefgh"
        keyring.keep(config.load().keys_dir, sid, secret)
        _write_log(store, secret, replace(manifest, sid=sid), segments, finished=finished)
    figures: Figures = {"n": n}
    with timed(figures):
        found = burst.sessions()
    assert len(found) == n
    assert {(row.completed, row.state) for row in found} == {(segments, "finished" if finished else "cancelled")}
    began = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-m", "burst_magic", "sessions", "--all"], capture_output=True, text=True, check=True
    )
    figures["command"] = time.perf_counter() - began
    assert said.stdout.count("abcdefgh") == n
    return figures


def _write_log(store, secret: bytes, manifest, segments: int, *, finished: bool) -> None:  # noqa: ANN001 - burst_magic's own
    """A session as its one worker left it. Its segments are empty files: a list of sessions reads none."""
    from burst_magic.protocol.log import make_final
    from burst_magic.protocol.ranges import Cover, cut_lanes
    from burst_magic.protocol.wire import keys, records
    from burst_magic.protocol.wire.model import ClaimKey, Control, ControlKind, EndCause, Gone, Heartbeat, Job
    from burst_magic.protocol.wire.model import SegmentKey as Segment

    session, tasks, began = keys.SessionKeys(manifest.sid), segments + (not finished), manifest.created
    job, lanes, cover = session.job("0"), cut_lanes(tasks, 8), Cover(tasks)
    folder = store.path(job.results_folder)
    folder.mkdir(parents=True)
    for task in range(segments):
        claim = ClaimKey(start=max(lane for lane in lanes if lane <= task), number=0)
        segment = Segment(at_ms=int(began * 1000) + task, start=task, stop=task + 1, failed=0, claim=claim)
        cover.add(segment)
        (folder / keys.segment_name(segment)).touch()
    written: dict[str, object] = {
        session.manifest: manifest,
        session.control("0", ControlKind.ADD_JOB): Control(kind=ControlKind.ADD_JOB, at=began, job="0"),
        session.heartbeat("w", int(began * 1000), 0): Heartbeat(worker="w", number=1, at=began),
        session.gone("w"): Gone(worker="w", cause=EndCause.IDLE, at=began + 2),
        job.record: Job(jid="0", created=began, tasks=tasks, lanes=lanes, seed=1),
    }
    if finished:
        written[job.final] = make_final("0", cover, began + 1, by="w")
    else:
        written[session.control("1", ControlKind.CANCEL)] = Control(kind=ControlKind.CANCEL, at=began + 1)
    for key, record in written.items():
        store.put(key, records.encode(record, secret=secret, key=key))


if __name__ == "__main__":
    serve({"listed": listed})
