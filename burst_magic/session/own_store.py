"""Open a store as this user: with the user's credentials, after a probe. Loads no pickle."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from burst_magic.errors import OptionError, StoreError
from burst_magic.protocol.wire import keys
from burst_magic.session import session_list
from burst_magic.stores import open_store
from burst_magic.stores.folder import MARK

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.stores import Store

_FOLDERS = (keys.SESSIONS, "blobs", "envs")


def open_own_store(url: str, settings: Settings) -> Store:
    """Open a store with this user's credentials, and probe it.

    Raises:
        StoreError: it cannot be used; or a link stands for one of its folders, whose objects then look deleted.
    """
    from burst_magic.stores.patient import Patient
    from burst_magic.stores.probe import probe

    if url.startswith("memory:"):
        problem = "workers are other processes and cannot see a store in this process's memory"
        raise OptionError(problem, context=url, way_out="file:///dir or s3://bucket/prefix")
    credentials = None
    if url.startswith("s3://"):
        from burst_magic.aws.credentials import provider

        credentials = provider(otherwise=settings.aws.get("region", ""))
    store = open_store(url, credentials=credentials)
    for folder in _FOLDERS:
        place = store.path(folder)
        if place is not None and place.is_symlink():
            raise StoreError(
                f"the store's folder {folder} is a link, and links in a store are not followed",
                context=str(place),
                way_out="move the folder itself there; or move the whole store, which may be a link",
            )
    if url.startswith("s3://"):
        probe(store, remembered=settings.data_dir)
        store = Patient(store)
    return store


def settle(store: Store) -> None:
    """Make the folder of a store, if it is one, before this user's list names it: later, missing means away."""
    place = store.path(keys.SESSIONS)
    if place is not None:
        with contextlib.suppress(OSError):  # the first write will say why
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.mkdir(mode=0o775, exist_ok=True)


def open_known_store(url: str, settings: Settings) -> Store:
    """The same of a store that may have sessions: if it has some of this user's list, no other folder is taken for it.

    Raises:
        StoreError: its folder is not there, or an empty one is; or as above.
    """
    store = open_own_store(url, settings)
    place = store.path(keys.SESSIONS)
    if place is None or place.is_dir() or (place.parent / MARK).exists():
        return store
    if any(line.store == url for line in session_list.read(settings.sessions_file)):
        raise StoreError(
            "the folder of the store is not there now",
            context=str(place.parent),
            way_out=f"mount it again, or move it back; if it was deleted for good, mkdir -p {place} lets you clean up",
        )
    return store
