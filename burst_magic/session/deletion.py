"""Delete a session whose workers or other clients may not have noticed its end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from burst_magic.dataclass import dataclass
from burst_magic.errors import BurstError, Missing, NoBucket, RecordError
from burst_magic.launchers import kept_logs
from burst_magic.protocol.wire import keys
from burst_magic.session import keyring, session_list

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.protocol.wire.model import Manifest
    from burst_magic.stores import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What ``session.cleanup()`` did.

    Attributes:
        session: the session's id.
        workers: number of workers that were told to end.
        deleted: number of objects that are gone; None if results were kept.
    """

    session: str
    workers: int
    deleted: int | None = None

    def __str__(self) -> str:
        """One line, as ``%burst_cleanup`` prints it."""
        if self.deleted is not None:
            return f"session {self.session}: deleted, {self.deleted} objects"
        ended = f"{self.workers} worker{'s' * (self.workers != 1)} will end" if self.workers else "no worker is running"
        return f"session {self.session}: {ended}; results are kept"

    __repr__ = __str__


_LOG = logging.getLogger(__name__)
_PASSES = 5  # for what an uninformed process may write meanwhile


def is_there(store: Store, session: keys.SessionKeys) -> bool:
    """Whether the session still exists; if not, nothing may be written there."""
    try:
        store.get(session.manifest, end=1)
    except (Missing, RecordError):
        return False
    return True


def objects(store: Store, session: keys.SessionKeys) -> list[str]:
    """The keys of all its objects; none without the bucket. What others put into its folder is not the session's."""
    try:
        return [entry.key for entry in store.list(session.root) if keys.is_ours(entry.key, session.sid)]
    except NoBucket:
        return []


def delete_ended(store: Store, manifest: Manifest, *, secret: bytes | None, settings: Settings) -> int:
    """Delete a session whose workers have ended, its key, and its lines in the user's list.

    What outlives it is kept: which packed environment its workers have signed.

    Returns:
        The number of objects that were deleted.

    Raises:
        BurstError: another process keeps writing.
    """
    from burst_magic.session import packs

    packs.learn(settings, store, manifest.sid, manifest.lock)
    deleted = delete_all(store, keys.SessionKeys(manifest.sid), secret=secret)
    forget(settings, manifest.sid)
    return deleted


def forget(settings: Settings, sid: str) -> None:
    """Delete what this machine keeps of a session that is deleted: its key, its workers' logs, its line in the list."""
    keyring.forget(settings.keys_dir, sid)
    kept_logs.forget(settings.logs_dir, sid)
    session_list.remove(settings.sessions_file, sid)


def delete_all(store: Store, session: keys.SessionKeys, *, secret: bytes | None = None) -> int:
    """Delete every object, the manifest first: a process that misses it stops writing. Return the number deleted.

    Args:
        store: where it lies.
        session: its keys.
        secret: the session's key, whose object a user who may not list keys could not find.

    Raises:
        BurstError: another process keeps writing.
    """
    try:
        found = objects(store, session) + keyring.published(store, session.sid, secret=secret)
    except NoBucket:
        return 0
    count = len(found)
    store.delete([session.manifest])
    for _ in range(_PASSES):
        store.delete(found)
        found = objects(store, session)
        if not found:
            break
    else:
        raise BurstError("another process is still writing to this session", context=session.root, way_out="try again")
    if session.sid in store.folders(keys.SESSIONS):
        _LOG.warning("what burst_magic did not write, or may not read, was left in %s/%s", store.url, session.root)
    return count
