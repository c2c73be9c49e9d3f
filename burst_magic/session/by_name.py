"""Find jobs by name in the store, for a name that this computer's own list doesn't have.

Only signed records count, so only sessions whose key this user has or may read. Keys in the store name their sessions:
one LIST finds up to 1,000 of them.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from burst_magic.errors import BurstError, Missing
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import ControlKind, Job
from burst_magic.session import keyring
from burst_magic.session.session_list import ListedJob
from burst_magic.stores.store_driver import believed, ours

if TYPE_CHECKING:
    from pathlib import Path

    from burst_magic.stores import Store

NEWEST = 100  # sessions that are looked at
_AT_ONCE = 16


def named_in_store(name: str, store: Store, keys_dir: Path) -> list[ListedJob]:
    """The jobs of that name in the newest sessions of the store, oldest first.

    Sessions whose key or records are damaged are left out.

    Raises:
        Denied: this user may not list the keys, and none of the jobs found has this name.
    """
    sids, denied = keyring.sessions(store, keys_dir)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="burst-name") as pool:
        jobs = [job for some in pool.map(lambda sid: _jobs(store, sid, keys_dir), sids[-NEWEST:]) for job in some]
    found = sorted((job for job in jobs if job.name == name), key=lambda job: job.created)
    if denied is not None and not found:
        raise denied
    return found


def _jobs(store: Store, sid: str, keys_dir: Path) -> list[ListedJob]:
    """A session's committed jobs, if their records can be verified."""
    try:
        secret = keyring.find(keys_dir, sid) or keyring.fetch(store, sid)
        if secret is None:
            return []
        controls = [keys.parse_control(entry.key) for entry in ours(store, keys.SessionKeys(sid).control_folder)]
        added = [control.ident for control in controls if control.kind is ControlKind.ADD_JOB]
        return [job for jid in added if (job := _job(store, sid, jid, secret)) is not None]
    except BurstError:
        return []


def _job(store: Store, sid: str, jid: str, secret: bytes) -> ListedJob | None:
    key = keys.SessionKeys(sid).job(jid).record
    try:
        job = believed(lambda: records.decode(Job, store.get(key), secret=secret, key=key))
    except Missing:  # announced, and never committed
        return None
    return ListedJob(id=sid, job=jid, store=store.url, created=job.created, name=job.name)
