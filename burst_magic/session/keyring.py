"""Session keys: one 0600 file each in the user's config directory. Printed only on request."""

from __future__ import annotations

import os
from pathlib import Path

from burst_magic.errors import AttachError
from burst_magic.protocol.wire.keys import is_session_id
from burst_magic.protocol.wire.sign import SECRET_BYTES


def keep(folder: Path, sid: str, secret: bytes) -> None:
    """Save a session's key, readable only by the user."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / sid, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(secret.hex())


def find(folder: Path, sid: str) -> bytes | None:
    """A session's key, or None if it is not on this machine."""
    if not is_session_id(sid):
        return None
    try:
        return parse((folder / sid).read_text(), where=sid)
    except FileNotFoundError:
        return None


def parse(text: str, *, where: str) -> bytes:
    """Parse a key as printed by ``burst key show``."""
    try:
        secret = bytes.fromhex(text.strip())
    except ValueError:
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise AttachError("this is not a session key", context=where, way_out="copy it from: burst key show ID")
    return secret


def forget(folder: Path, sid: str) -> None:
    """Delete a session's key."""
    (folder / sid).unlink(missing_ok=True)
