"""Open a session of the configured store: never of a URL that a notebook or a request names."""

from __future__ import annotations

import threading
from dataclasses import field
from typing import TYPE_CHECKING

from burst_magic import config
from burst_magic.dataclass import dataclass
from burst_magic.errors import AttachError
from burst_magic.protocol.wire import keys
from burst_magic.server.request_limit import Metered, RequestLimit
from burst_magic.session import keyring, session_list, stored_jobs
from burst_magic.session.engines import Engines
from burst_magic.session.onlooker import Onlooker
from burst_magic.session.own_store import open_known_store
from burst_magic.stores.patient import bare

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.protocol.wire.model import Manifest
    from burst_magic.stores import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSession:
    """A session of the configured store. Without its key, nothing of it is verified."""

    settings: Settings
    store: Store
    manifest: Manifest
    secret: bytes | None = field(repr=False)

    @property
    def here(self) -> bool:
        """Whether its objects are files of this machine, which cost nothing to read."""
        return self.store.path(keys.SessionKeys(self.manifest.sid).manifest) is not None

    def onlooker(self, over: threading.Event, limit: RequestLimit | None = None) -> Onlooker:
        """Look at it, with a limit on its requests if its store is remote.

        Args:
            over: ends all waiting for the store.
            limit: None: no limit.
        """
        store: Store = self.store if limit is None or self.here else Metered(bare(self.store), limit, over)
        patience = Engines(self.manifest, self.settings.logs_dir).patience
        return Onlooker(store, self.manifest, self.secret, over=over, patience=patience)


def open_session(sid: str) -> OpenedSession:
    """Find a session in the store that this user's settings name.

    Args:
        sid: its id.

    Raises:
        AttachError: it isn't there, or its key is not the one that signed it.
        StoreError: the store does not answer.
    """
    settings = config.load()
    return open_in(open_known_store(settings.store, settings), sid, settings)


def open_in(store: Store, sid: str, settings: Settings) -> OpenedSession:
    """The same in that store, which is open already; raises the same."""
    secret = keyring.find(settings.keys_dir, sid) or keyring.fetch(store, sid)
    try:
        manifest = stored_jobs.read_manifest(store, sid, secret)
    except AttachError as unknown:
        raise _elsewhere(sid, settings, unknown) from None
    return OpenedSession(settings=settings, store=store, manifest=manifest, secret=secret)


def _elsewhere(sid: str, settings: Settings, unknown: AttachError) -> AttachError:
    """The user's own list may name the store that has it."""
    stores = [line.store for line in session_list.read(settings.sessions_file) if line.id == sid]
    if not stores or stores[-1] == settings.store:
        return unknown
    return AttachError(
        f"session {sid} is in another store than the one this server shows",
        context=f"it is in {stores[-1]}; the settings name {settings.store}",
        way_out=f"%burst_attach {sid} in a notebook shows it; burst config store={stores[-1]} changes the setting",
    )
