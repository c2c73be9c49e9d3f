"""``burst inspect``: read a session's log and describe it in words (``story.py``).

Except for failures, it is read unverified: it shows the objects in the store, not who wrote them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from burst_magic.errors import BurstError, Missing, RecordError, SignatureError
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import ClaimBody, Control, ControlKind, Final, Gone, Outcome
from burst_magic.session.story import Log, Seen, Story, clock, ending
from burst_magic.stores.store_driver import ours, read_record
from burst_magic.units import format_duration, format_money

if TYPE_CHECKING:
    from burst_magic.session.session import Session
    from burst_magic.stores import Store


def tell(session: Session) -> Iterator[str]:
    """The log, one fact per line: the session, its requests and workers, the job's events, and one task's history."""
    now, unread = time.time(), list[str]()
    log = read(session, unread)
    manifest, job = session.manifest, session.description
    yield f"session {manifest.sid}"
    yield f"  by {manifest.user} on {manifest.host}, {clock(manifest.created, now)}, in {session.store.url}"
    fleet = f"{manifest.workers} {manifest.launcher} workers of {manifest.slots} slots"
    yield f"  {fleet}, until {clock(manifest.deadline, now)}"
    yield from (f"  {line}" for line in _asked(session, now, unread))
    yield from (f"  {line}" for line in _workers(log, now))
    yield f"job {f'{job.jid} {job.name}'.rstrip()}: {job.tasks} tasks in {len(job.lanes)} lanes, seed {job.seed}"
    story = Story(log, now)
    yield from (f"  {line}" for line in story.events())
    task = story.example()
    if task is not None:
        yield f"task {task}, from the cell to its result"
        yield from (f"  {line}" for line in story.way(task))
    yield from (f"not read: {problem}" for problem in dict.fromkeys(unread))


def read(session: Session, unread: list[str]) -> Log:
    """Read the objects of this session's job.

    Args:
        session: the job.
        unread: receives what could not be read, and why.
    """
    store, job_keys, tasks = session.store, keys.SessionKeys(session.id).job(session.job), session.description.tasks
    claims = {}
    for entry in ours(store, job_keys.claims_folder):
        claim, body = keys.parse_claim(entry.key), _record(ClaimBody, store, entry.key, unread)
        if body is not None and claim.start < max(1, tasks):
            claims[claim] = body
    found = [(keys.parse_segment(entry.key), entry.size) for entry in ours(store, job_keys.results_folder)]
    segments = tuple((segment, size) for segment, size in found if segment.start < segment.stop <= tasks)
    return Log(
        manifest=session.manifest,
        job=session.description,
        workers=_seen(session, unread),
        claims=claims,
        segments=segments,
        final=_final(session, job_keys, unread),
        failures=_failures(session) if any(segment.failed for segment, _ in segments) else {},
    )


def _record(kind: type[records.T], store: Store, key: str, unread: list[str]) -> records.T | None:
    """A record; None if it cannot be read, or is gone."""
    try:
        return read_record(kind, store, key, None)
    except Missing:
        return None
    except (SignatureError, RecordError) as problem:
        unread.append(f"{key}: {problem.problem}")
        return None


def _final(session: Session, job_keys: keys.JobKeys, unread: list[str]) -> Final | None:
    final = _record(Final, session.store, job_keys.final, unread)
    if final is None or all(keys.is_segment(name) for _, _, name in final.parts):
        return final
    unread.append(f"{job_keys.final}: it names what is no segment")
    return None


def _failures(session: Session) -> dict[int, Outcome]:
    """Failed tasks with their failures; without the key, only the counts of the segments are known."""
    try:
        session.status()
        return {outcome.task: outcome for outcome in session.errors}
    except BurstError:
        return {}


def _seen(session: Session, unread: list[str]) -> dict[str, Seen]:
    beats: dict[str, tuple[float, float]] = {}
    ends: dict[str, Gone] = {}
    for entry in ours(session.store, keys.SessionKeys(session.id).workers_folder):
        key = keys.parse_worker(entry.key)
        if key.kind == "beat":
            beats[key.ident] = (key.billed_from_ms / 1000, entry.modified)
        elif key.kind == "gone":
            gone = _record(Gone, session.store, entry.key, unread)
            ends |= {} if gone is None else {key.ident: gone}
    found = {}
    for wid in sorted({*beats, *ends}):
        started, beat = beats.get(wid, (0.0, None))
        found[wid] = Seen(started=started, beat=beat, gone=ends.get(wid))
    return found


def _asked(session: Session, now: float, unread: list[str]) -> Iterator[str]:
    for entry in ours(session.store, keys.SessionKeys(session.id).control_folder):
        key = keys.parse_control(entry.key)
        control = _record(Control, session.store, entry.key, unread)
        if control is not None:
            yield f"{clock(control.at, now)} asked: {_wish(key.kind, control, now)}"


def _wish(kind: ControlKind, control: Control, now: float) -> str:
    wishes = []
    if control.workers is not None:
        wishes.append(f"{control.workers} workers")
    if control.deadline is not None:
        wishes.append(f"until {clock(control.deadline, now)}")
    if control.budget is not None:
        wishes.append(f"at most {format_money(control.budget)}")
    if control.job or kind is ControlKind.CANCEL:
        wishes.append(f"job {control.job}" if control.job else "the session")
    return " ".join([kind.value, ", ".join(wishes)]).rstrip()


def _workers(log: Log, now: float) -> Iterator[str]:
    for wid, seen in log.workers.items():
        since = f"since {clock(seen.started, now)}" if seen.started else "no heartbeat ever"
        if seen.gone is not None:
            yield f"worker {wid}: {since}, ended {clock(seen.gone.at, now)}: {ending(seen.gone)}"
        elif seen.beat is not None:
            ago = format_duration(round(max(0.0, now - seen.beat)))
            yield f"worker {wid}: {since}, last heartbeat {clock(seen.beat, now)}, {ago} ago"
