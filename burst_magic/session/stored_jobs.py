"""Sessions and their jobs as the store records them, and finding one by a name that this computer's list doesn't have.

A search believes signed records only, so only sessions whose key this user has or may read. Keys in the store name
their sessions: one LIST finds up to 1,000 of them.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from burst_magic.errors import AttachError, BurstError, Missing, RecordError, SignatureError, VersionError
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import ControlKind, Job, Manifest
from burst_magic.session import keyring
from burst_magic.session.deletion import objects
from burst_magic.session.session_list import ListedJob
from burst_magic.stores.store_driver import ours, read_record

if TYPE_CHECKING:
    from pathlib import Path

    from burst_magic.stores import Store

_LOG = logging.getLogger(__name__)
NEWEST = 100  # sessions that are looked at
_AT_ONCE = 16


def announced(store: Store, sid: str) -> list[str]:
    """Ids of all jobs that were announced in a session, committed or not."""
    controls = [keys.parse_control(entry.key) for entry in ours(store, keys.SessionKeys(sid).control_folder)]
    return [control.ident for control in controls if control.kind is ControlKind.ADD_JOB]


def read_job(store: Store, sid: str, jid: str, secret: bytes | None) -> Job:
    """A job's record; raises ``Missing`` if it was never committed. Without the key it is not verified."""
    return read_record(Job, store, keys.SessionKeys(sid).job(jid).record, secret)


def read_manifest(store: Store, sid: str, secret: bytes | None) -> Manifest:
    """A session's record. Without the key it is not verified.

    Raises:
        AttachError: the session doesn't exist, has expired, or its submission was interrupted.
    """
    session = keys.SessionKeys(sid)
    try:
        return read_record(Manifest, store, session.manifest, secret)
    except Missing:
        if objects(store, session):
            raise _cut_short(sid) from None
        problem = f"session {sid} is unknown or has expired"
        way_out = "%burst_sessions lists the sessions in the store"
        raise AttachError(problem, context=store.url, way_out=way_out, missing_from=store.url) from None


def latest_job(store: Store, sid: str, jid: str, secret: bytes | None) -> Job:
    """A job's record; without an id, the latest committed one's.

    Without an id, a job whose record is damaged is passed over with a warning: the session's other jobs, and whoever
    wants to stop it, need no more than one that can be read.

    Raises:
        AttachError: the session has no such job.
        RecordError, SignatureError: its record is damaged; without an id, those of all jobs are.
    """
    jobs: list[Job] = []
    damaged: list[BurstError] = []
    for each in [jid] if jid else announced(store, sid):
        try:
            jobs.append(read_job(store, sid, each, secret))
        except Missing:
            continue
        except VersionError:
            raise
        except (RecordError, SignatureError) as problem:
            damaged.append(problem)
    if not jobs and damaged:
        raise damaged[-1]
    for each_damaged in damaged:
        _LOG.warning("a job of session %s is passed over: %s", sid, each_damaged)
    if not jobs and not jid:
        raise _cut_short(sid)
    if not jobs:
        raise AttachError(f"session {sid} has no job {jid}", way_out=f"%burst_status {sid} shows its latest job")
    return max(jobs, key=lambda job: job.created)


def _cut_short(sid: str) -> AttachError:
    problem = f"the submission of session {sid} was interrupted or is still in progress"
    return AttachError(problem, way_out=f"to delete what was written: %burst_cleanup {sid} --force")


def named_in_store(name: str, store: Store, keys_dir: Path) -> tuple[list[ListedJob], list[BurstError]]:
    """The jobs of that name in the newest sessions of the store, oldest first.

    Returns:
        The jobs, and what kept sessions from being searched: ``Denied`` if this user may not list the keys, and the
        problems of sessions whose key or records cannot be believed.
    """
    sids, denied = keyring.sessions(store, keys_dir)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="burst-name") as pool:
        seen = list(pool.map(lambda sid: _jobs(store, sid, keys_dir), sids[-NEWEST:]))
    found = [job for jobs in seen if not isinstance(jobs, BurstError) for job in jobs if job.name == name]
    problems = [problem for problem in (denied, *seen) if isinstance(problem, BurstError)]
    return sorted(found, key=lambda job: job.created), problems


def _jobs(store: Store, sid: str, keys_dir: Path) -> list[ListedJob] | BurstError:
    """A session's committed jobs, or why their records cannot be verified."""
    try:
        secret = keyring.find(keys_dir, sid) or keyring.fetch(store, sid)
        if secret is None:
            return []
        jobs = [_job(store, sid, jid, secret) for jid in announced(store, sid)]
        return [job for job in jobs if job is not None]
    except BurstError as problem:
        return problem


def _job(store: Store, sid: str, jid: str, secret: bytes) -> ListedJob | None:
    try:
        job = read_job(store, sid, jid, secret)
    except Missing:  # announced, and never committed
        return None
    return ListedJob(id=sid, job=jid, store=store.url, created=job.created, name=job.name)
