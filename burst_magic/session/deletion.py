"""Delete a session whose workers or other clients may not have noticed its end."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from burst_magic.errors import BurstError, Missing
from burst_magic.session.keyring import published

if TYPE_CHECKING:
    from burst_magic.protocol.wire import keys
    from burst_magic.stores import Store

_PASSES = 5  # for what an uninformed process may write meanwhile


def is_there(store: Store, session: keys.SessionKeys) -> bool:
    """Whether the session still exists; if not, nothing may be written there."""
    try:
        store.get(session.manifest)
    except Missing:
        return False
    return True


def delete_all(store: Store, session: keys.SessionKeys, *, secret: bytes | None = None) -> int:
    """Delete every object, the manifest first: a process that misses it stops writing. Return the number deleted.

    Args:
        store: where it lies.
        session: its keys.
        secret: the session's key, whose object a user who may not list keys could not find.

    Raises:
        BurstError: another process keeps writing.
    """
    found = [entry.key for entry in store.list(session.root)] + published(store, session.sid, secret=secret)
    count = len(found)
    store.delete([session.manifest])
    for _ in range(_PASSES):
        store.delete(found)
        found = [entry.key for entry in store.list(session.root)]
        if not found:
            break
    else:
        raise BurstError("another process is still writing to this session", context=session.root, way_out="try again")
    folder = store.path(session.root)
    if folder is not None:  # a partial file of a dead writer is not an object, but takes space
        shutil.rmtree(folder, ignore_errors=True)
    return count
