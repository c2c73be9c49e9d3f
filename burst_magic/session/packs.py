"""Which packed environments of earlier sessions this user believes.

Workers of every session may write below ``envs/``, so a name there proves nothing. A pack is believed if a worker of an
earlier session of this user has signed its sha256 with that session's key. The sha256 is kept in the user's data
directory, and the manifests of later sessions with the same lock name it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from burst_magic import folders
from burst_magic.dataclass import dataclass
from burst_magic.environment import FOLDER
from burst_magic.errors import BurstError
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.lock import InstalledPack
from burst_magic.session import keyring
from burst_magic.stores.store_driver import read_record

if TYPE_CHECKING:
    from pathlib import Path

    from burst_magic.config import Settings
    from burst_magic.protocol.wire.model import Manifest
    from burst_magic.stores import Store

_FILE = "packs.jsonl"
_LOOKED_AT = 3  # of the sessions with the same lock, the newest so many
_KEPT = 200  # lines


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPack:
    """A session's lock, and the pack of it once that is known.

    Attributes:
        store: the URL that the session is in.
        pack: sha256, or "".
    """

    lock: str
    store: str
    sid: str
    pack: str = ""


def note(settings: Settings, store: Store, manifest: Manifest) -> None:
    """Remember that a session installs this lock, or has this pack of it."""
    if manifest.lock:
        _append(settings, KnownPack(lock=manifest.lock, store=store.url, sid=manifest.sid, pack=manifest.pack))


def known(settings: Settings, store: Store, lock: str) -> str:
    """The sha256 of a pack of this lock that is in the store, or ""."""
    if not lock:
        return ""
    mine = [each for each in _read(settings) if (each.lock, each.store) == (lock, store.url)]
    found = next((each.pack for each in reversed(mine) if each.pack), "")
    for each in reversed(mine[-_LOOKED_AT:]):
        if not found:
            found = learn(settings, store, each.sid, lock)
    key = keys.env(found) if found else ""
    there = store.list(key.rpartition("/")[0], after=key[:-1], limit=1) if key else []
    return found if any(entry.key == key for entry in there) else ""


def learn(settings: Settings, store: Store, sid: str, lock: str) -> str:
    """What a session's worker has signed: the sha256 of its pack, which is remembered; or "".

    Only of sessions that this user has started: whoever shares the key of another one can sign anything with it.
    """
    if not lock or not any((each.sid, each.store) == (sid, store.url) for each in _read(settings)):
        return ""
    try:
        secret = keyring.find(settings.keys_dir, sid)
        record = secret and read_record(InstalledPack, store, keys.SessionKeys(sid).pack, secret)
    except BurstError:  # none yet, deleted, or not signed by it; or a damaged key
        return ""
    if not record or record.lock != lock:
        return ""
    _append(settings, KnownPack(lock=lock, store=store.url, sid=sid, pack=record.sha256))
    return record.sha256


def _path(settings: Settings) -> Path:
    return settings.data_dir / FOLDER / _FILE


def _read(settings: Settings) -> list[KnownPack]:
    try:
        lines = folders.read(_path(settings)).decode(errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines[-_KEPT:]:
        try:
            found.append(KnownPack(**json.loads(line)))
        except (ValueError, TypeError):  # half a line of a process that was killed, or a newer version's
            continue
    return found


def _append(settings: Settings, line: KnownPack) -> None:
    path = _path(settings)
    folders.make(path.parent)
    text = json.dumps(asdict(line)) + "\n"
    with folders.told(path), folders.opened(path, "a") as file:
        file.write(text)
