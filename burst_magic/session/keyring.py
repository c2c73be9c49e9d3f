"""The sessions' keys: 0600 files in the user's config directory, printed only on request.

For workers on other machines, the key is also an object in the store: they may read it if they know its name, and only
the user may list the names. So the user's other computers need no copy.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from burst_magic import folders
from burst_magic.errors import AttachError, Denied
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.keys import is_session_id
from burst_magic.protocol.wire.sign import SECRET_BYTES, fingerprint

if TYPE_CHECKING:
    from burst_magic.stores import Store


def keep(folder: Path, sid: str, secret: bytes) -> None:
    """Save a session's key, readable only by the user."""
    folders.make(folder)
    with folders.told(folder / sid), folders.opened(folder / sid, "w") as file:
        file.write(secret.hex())


def find(folder: Path, sid: str) -> bytes | None:
    """A session's key, or None if it is not on this machine."""
    if not is_session_id(sid):
        return None
    file = folder / sid
    try:
        text = folders.read(file).decode(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise folders.refused(file, error) from None
    return parse(text, where=str(file))


def parse(text: str, *, where: str) -> bytes:
    """Parse a key as printed by ``burst key show``."""
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise AttachError("this is not a session key", context=where, way_out="copy it from: burst key show ID")
    return secret


def publish(store: Store, sid: str, secret: bytes) -> None:
    """Write a session's key to the store, for workers of other machines."""
    store.create(keys.session_key(sid, fingerprint(secret)), secret)


def published(store: Store, sid: str, *, secret: bytes | None = None) -> list[str]:
    """Names of the objects that hold a session's key: one, or none.

    A user who may not list them gets the name that follows from the key, or none.
    """
    try:
        found = store.list(keys.SESSION_KEYS, after=keys.before_session_key(sid), limit=2)
    except Denied:
        return [] if secret is None else [keys.session_key(sid, fingerprint(secret))]
    return [entry.key for entry in found if keys.fingerprint_in(entry.key, sid)]


def sessions(store: Store, folder: Path) -> tuple[list[str], Denied | None]:
    """Ids of the sessions whose key is in the store or on this machine, oldest first.

    Returns:
        The ids, and the store's refusal if this user may not list its keys.
    """
    here = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    found, denied = {sid for sid in here if is_session_id(sid)}, None
    if not _is_folder(store):
        try:
            names = [keys.session_of_key(entry.key) for entry in store.list(keys.SESSION_KEYS)]
            found.update(filter(is_session_id, names))
        except Denied as refusal:
            denied = refusal
    return sorted(found), denied


def _is_folder(store: Store) -> bool:
    """A folder holds no keys: whoever can write a session into it could write its key there, too."""
    return store.url.startswith("file:")


def fetch(store: Store, sid: str) -> bytes | None:
    """A session's key from the store, or None if it isn't there or this user may not read it.

    Raises:
        AttachError: there are several, or its content does not match its name.
    """
    if _is_folder(store):
        return None
    names = published(store, sid)
    if len(names) > 1:
        problem, way_out = (
            f"session {sid} has several keys",
            "--key KEY; burst key show ID prints it where it was started",
        )
        raise AttachError(problem, context=", ".join(names), way_out=way_out)
    try:
        secret = store.get(names[0]) if names else None
    except Denied:
        return None
    if secret is not None and fingerprint(secret) != keys.fingerprint_in(names[0], sid):
        raise AttachError("the stored key does not match its name", context=names[0])
    return secret


def forget(folder: Path, sid: str) -> None:
    """Delete a session's key."""
    try:
        (folder / sid).unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise folders.refused(folder / sid, error) from None
