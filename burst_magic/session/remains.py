"""What is left of a session that cannot be attached to: its submission was cut short, or its deletion was."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

from burst_magic.errors import Missing, RecordError, SignatureError
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import Manifest
from burst_magic.session import keyring, session_list
from burst_magic.session.deletion import delete_all, forget, objects
from burst_magic.session.ending import await_end
from burst_magic.session.fleet import Fleet
from burst_magic.session.own_store import open_known_store, open_own_store
from burst_magic.stores.owned import are_closed, regain
from burst_magic.stores.retry import slept
from burst_magic.stores.store_driver import Carrier

if TYPE_CHECKING:
    from pathlib import Path

    from burst_magic.config import Settings
    from burst_magic.stores import Store

_LOG = logging.getLogger(__name__)


def remove(ident: str, settings: Settings, *, damaged: bool = False) -> tuple[str, int] | None:
    """Deletes them, with the session's key and its line in the user's list.

    Args:
        ident: a session's id or name.
        settings: the user's directories and default store.
        damaged: it is all there, but cannot be read.

    Returns:
        The session's id and how many objects were deleted; None when nothing is known of such a session, or it is
        whole.

    Raises:
        BurstError: something still writes.
    """
    sid, url, listed = _meant(ident, settings)
    if not keys.is_session_id(sid):
        return None
    store = open_known_store(url, settings)
    session = keys.SessionKeys(sid)
    found = objects(store, session)
    if not damaged and _is_whole(session, found):
        return None
    secret = keyring.find(settings.keys_dir, sid)
    if not found and not listed and secret is None:
        return None
    _end_workers(store, session, secret, settings)
    deleted = delete_all(store, session, secret=secret)
    forget(settings, sid)
    return sid, deleted


def reopen(ident: str, settings: Settings) -> None:
    """Before a session is cleaned up: what lies in this user's own folders, he may enter and delete.

    Args:
        ident: a session's id or name, or one of its jobs; anything else is passed over.
        settings: the user's directories and default store.
    """
    _, root = _folder(ident, settings)
    if root is not None and regain(root):
        _LOG.warning("restored your access to %s", root)


def closed(ident: str, settings: Settings) -> str:
    """The id of the session whose folders ``reopen`` would open again; "" if there are none. Arguments as there."""
    sid, root = _folder(ident, settings)
    return sid if root is not None and are_closed(root) else ""


def _folder(ident: str, settings: Settings) -> tuple[str, Path | None]:
    """A session's id, and the folder that it is in if it is in one."""
    sid, url, _ = _meant(ident.partition("/")[0], settings)
    if not keys.is_session_id(sid) or not url.startswith("file:"):
        return sid, None
    return sid, open_own_store(url, settings).path(keys.SessionKeys(sid).root)


def _meant(ident: str, settings: Settings) -> tuple[str, str, bool]:
    """The id and the store's URL of a session, and whether it is in the user's list."""
    lines = [line for line in session_list.read(settings.sessions_file) if ident and ident in {line.id, line.name}]
    return (lines[-1].id, lines[-1].store, True) if lines else (ident, settings.store, False)


def _end_workers(store: Store, session: keys.SessionKeys, secret: bytes | None, settings: Settings) -> None:
    """Workers may have started before the first job was announced; they wait for it until they are idle for long."""
    try:
        manifest = Carrier(store, secret, slept).record(Manifest, session.manifest)
    except (Missing, SignatureError, RecordError):  # who misses it ends by itself
        return
    fleet = Fleet(manifest, secret, store, settings.logs_dir, replaces_lost_workers=False)
    fleet.stop(kill=False)
    await_end(fleet, store, manifest)


def _is_whole(session: keys.SessionKeys, found: Collection[str]) -> bool:
    """Whether some job was announced and committed."""
    announced = [key for key in found if key.startswith(f"{session.control_folder}/") and key.endswith("-add-job")]
    jobs = [session.job(keys.parse_control(key).ident) for key in announced]
    return session.manifest in found and any(job.record in found for job in jobs)
