"""A session's log in words: who claimed what, what was published, who is alive, what was asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from burst_magic.protocol import keys, records
from burst_magic.protocol.model import ClaimBody, ClaimKey, Final, Gone
from burst_magic.protocol.ranges import Cover, partition
from burst_magic.stores.carry import ours

if TYPE_CHECKING:
    from burst_magic.session.session import Session


def tell(session: Session) -> Iterator[str]:
    """The log, a line a fact, read without the key: a look at what lies there, not a proof of who wrote it."""
    manifest, job = session.manifest, session.description
    yield f"session {manifest.sid} {manifest.name}".rstrip()
    yield f"  by {manifest.user} on {manifest.host}, {_clock(manifest.created)}, in {session.store.url}"
    fleet = f"{manifest.workers} {manifest.launcher} workers of {manifest.slots} slots"
    yield f"  {fleet}, until {_clock(manifest.deadline)}"
    yield from _controls(session)
    yield from _workers(session)
    yield f"job {job.jid}: {job.tasks} tasks in {len(job.lanes)} lanes, seed {job.seed}"
    yield from _claims(session)
    yield from _segments(session)


def _controls(session: Session) -> Iterator[str]:
    folder = keys.SessionKeys(session.id).control_folder
    for entry in ours(session.store, folder):
        control = keys.parse_control(entry.key)
        yield f"  {_clock(entry.modified)} asked: {control.kind.value} ({control.ident})"


def _workers(session: Session) -> Iterator[str]:
    folder = keys.SessionKeys(session.id).workers_folder
    for entry in ours(session.store, folder):
        key = keys.parse_worker(entry.key)
        if key.kind == "beat":
            yield f"  {_clock(entry.modified)} worker {key.ident}: last heartbeat"
        elif key.kind == "gone":
            gone = records.decode(Gone, session.store.get(entry.key), secret=None, key=entry.key)
            yield f"  {_clock(gone.at)} worker {gone.worker}: ended, {gone.cause.value} {gone.detail}".rstrip()


def _claims(session: Session) -> Iterator[str]:
    job = session.description
    folder = keys.SessionKeys(session.id).job(job.jid).claims_folder
    entries = {keys.parse_claim(entry.key): entry for entry in ours(session.store, folder)}
    ranges = {piece.claim: piece.range for piece in partition(job.tasks, job.lanes, entries)}
    for claim, entry in entries.items():
        body = records.decode(ClaimBody, session.store.get(entry.key), secret=None, key=entry.key)
        held = ranges.get(claim)
        what = f"tasks {held.start}-{held.stop - 1}" if held else f"from task {claim.start}, since taken over"
        again = f" (take-over {claim.number})" if claim.number else ""
        yield f"  {_clock(body.at)} worker {body.worker} claimed {what}{again}"


def _segments(session: Session) -> Iterator[str]:
    job_keys = keys.SessionKeys(session.id).job(session.job)
    cover = Cover(session.description.tasks)
    for entry in ours(session.store, job_keys.results_folder):
        segment = keys.parse_segment(entry.key)
        counts = sum(len(gap) for gap in cover.add(segment))
        repeated = "" if counts == segment.stop - segment.start else f", {counts} of them new"
        failed = f", {segment.failed} failed" if segment.failed else ""
        yield (
            f"  {_clock(segment.at_ms / 1000)} published tasks {segment.start}-{segment.stop - 1}"
            f" under claim {_claim(segment.claim)}, {entry.size} bytes{failed}{repeated}"
        )
    for entry in session.store.list(job_keys.root, after=f"{job_keys.root}/fina", limit=1):
        if entry.key == job_keys.final:
            final = records.decode(Final, session.store.get(entry.key), secret=None, key=entry.key)
            yield f"  {_clock(final.at)} final: {len(final.parts)} parts"
            return
    yield f"  no final yet: {cover.covered} of {cover.tasks} tasks published"


def _claim(claim: ClaimKey) -> str:
    return f"{claim.start}.{claim.number}"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"
