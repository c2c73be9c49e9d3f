"""Deletes a session whose workers, or other clients, may not have heard that it is over."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from burst_magic.errors import BurstError, Missing

if TYPE_CHECKING:
    from burst_magic.protocol.wire import keys
    from burst_magic.stores import Store

_PASSES = 5  # over what somebody who did not hear yet may write meanwhile


def is_there(store: Store, session: keys.SessionKeys) -> bool:
    """Whether nobody has deleted the session: else nothing is written there any more."""
    try:
        store.get(session.manifest)
    except Missing:
        return False
    return True


def delete_all(store: Store, session: keys.SessionKeys) -> int:
    """Deletes every object, the manifest first: who misses it writes no more. Returns how many there were.

    Raises:
        BurstError: somebody writes on.
    """
    found = [entry.key for entry in store.list(session.root)]
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
    if folder is not None:  # what was being written when its writer died is no object, and yet takes room
        shutil.rmtree(folder, ignore_errors=True)
    return count
