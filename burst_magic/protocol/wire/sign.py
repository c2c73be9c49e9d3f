"""Signatures: everything executed or unpickled was signed with the session's key for that object.

A MAC covers the object's key as well as its bytes, so an object that was moved or replayed elsewhere does not verify.
JSON records are ``<hex mac>\\n<json>``: without the key they can be read (for status), but not verified.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from burst_magic.errors import SignatureError

MAC_BYTES = 32
SECRET_BYTES = 32
_HEX = MAC_BYTES * 2

Buffer = bytes | bytearray | memoryview


def fingerprint(secret: Buffer) -> str:
    """Tells a key from others without telling it; 32 hex digits."""
    return hashlib.sha256(secret).hexdigest()[:32]


def mac(secret: bytes, key: str, place: str, data: Buffer) -> bytes:
    """HMAC-SHA256 over (object key, place inside the object, bytes); 32 bytes."""
    if len(data) < 1 << 16:
        return hmac.digest(secret, b"%s\0%s\0%b" % (key.encode(), place.encode(), bytes(data)), "sha256")
    return mac_of_parts(secret, key, place, (data,))


def mac_of_parts(secret: bytes, key: str, place: str, parts: Iterable[Buffer]) -> bytes:
    """The same over bytes that come in parts."""
    signer = hmac.new(secret, b"%s\0%s\0" % (key.encode(), place.encode()), "sha256")
    for part in parts:
        signer.update(part)
    return signer.digest()


def check(secret: bytes, key: str, place: str, data: Buffer, signature: Buffer) -> None:
    """Raise ``SignatureError`` unless ``signature`` is the MAC of these bytes at this place."""
    if not hmac.compare_digest(mac(secret, key, place, data), bytes(signature)):
        problem = "an object in the store is not what this session signed; it was not read"
        raise SignatureError(problem, context=key, way_out="someone changed the store; run the cell again")


def seal(secret: bytes, key: str, body: bytes) -> bytes:
    """Seal a record for the store: its MAC in hex, a newline, the body."""
    return mac(secret, key, "", body).hex().encode() + b"\n" + body


def unseal(secret: bytes, key: str, data: bytes) -> bytes:
    """Return the verified body of a sealed record."""
    body = peek(key, data)
    try:
        signature = bytes.fromhex(data[:_HEX].decode("ascii"))
    except ValueError:
        signature = b""
    check(secret, key, "", body, signature)
    return body


def is_sealed(data: bytes) -> bool:
    """Whether it looks like a sealed record, from its first bytes."""
    return data[_HEX : _HEX + 1] == b"\n"


def peek(key: str, data: bytes) -> bytes:
    """Return the unverified body of a sealed record: for status only, never for anything that is executed."""
    if not is_sealed(data):
        raise SignatureError("an object in the store is not a signed record; it was not read", context=key)
    return data[_HEX + 1 :]
