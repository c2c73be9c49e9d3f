"""What a session's workers install: exact versions with hashes, and wheels that are sent. Pure.

The store has the document under its sha256, which the signed manifest names, and the wheels under theirs, which the
document names.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields

from burst_magic.dataclass import dataclass
from burst_magic.errors import RecordError

_FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPack:
    """A worker has installed a lock and stored the result: the session's ``pack.json``, create-only and signed.

    Attributes:
        lock: sha256 of the lock.
        sha256: of the archive.
        by: the worker.
    """

    lock: str
    sha256: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The packages of an environment.

    Attributes:
        python: minor version; platform: architecture.
        requirements: lines for ``uv pip install --require-hashes``.
        wheels: (file name, sha256) of those that are in the store.
        indexes: uv's options for where the others come from; no credentials.
        installer: sha256 of the archive with uv.
        versions: (name, version) of everything, for people and for checks.
    """

    python: str
    platform: str
    requirements: str
    wheels: tuple[tuple[str, str], ...] = ()
    indexes: tuple[str, ...] = ()
    installer: str = ""
    versions: tuple[tuple[str, str], ...] = ()

    def to_bytes(self) -> bytes:
        """The same lock gives the same bytes."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Lock:
        """The inverse of ``to_bytes``; raises ``RecordError``."""
        try:
            said = json.loads(data)
            if said.pop("format") != _FORMAT:
                raise RecordError("the environment's lock was written by another version", context="envs/")
            known = {field.name for field in fields(cls)}
            return cls(
                **{
                    **{name: value for name, value in said.items() if name in known},
                    "wheels": tuple((name, sha256) for name, sha256 in said["wheels"]),
                    "indexes": tuple(said["indexes"]),
                    "versions": tuple((name, version) for name, version in said["versions"]),
                }
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RecordError("the environment's lock is damaged", context="envs/") from None
