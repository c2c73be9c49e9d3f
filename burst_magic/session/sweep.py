"""Delete content-addressed values that no session of the store uses any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from burst_magic.dataclass import dataclass
from burst_magic.errors import Missing, RecordError, SignatureError
from burst_magic.payload import Envelope
from burst_magic.protocol.wire import keys, sign
from burst_magic.session.attach import session_ids
from burst_magic.session.own_store import open_own_store
from burst_magic.session.values import FOLDER, find, is_old
from burst_magic.stores.probe import time_of

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.stores import Entry, Store

_ENVIRONMENTS = "envs"
_UNUSED = 30 * 86400.0  # seconds; buckets that ``burst setup`` has made delete what is older by themselves
_HEADER = 64 << 20  # bytes of a payload at most that tell its values


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What was deleted and kept.

    Attributes:
        deleted, bytes: values, and parts of environments.
        young: values that were kept because they are recent.
    """

    deleted: int
    bytes: int
    young: int


def sweep_blobs(settings: Settings) -> Swept:
    """Delete unused values except recent ones: a submission in progress has not written its payload yet."""
    store = open_own_store(settings.store, settings)
    needed = _Needed(store)
    idle = [entry for entry in store.list(FOLDER) if keys.is_blob(entry.key) and entry.key not in needed]
    needed.look()  # a submission that reuses an old value names it before it checks once more that it exists
    now = time_of(store)  # by a clock that runs fast, a value that was stored just now is old
    old = [entry for entry in idle if is_old(entry, now) and entry.key not in needed]
    deleted = size = 0
    for entry in old:
        found = find(store, entry.key)  # just before: a submission that reuses an old value refreshes it
        if found is not None and is_old(found, now):
            store.delete([entry.key])
            deleted, size = deleted + 1, size + entry.size
    environments = [entry for entry in store.list(_ENVIRONMENTS) if _is_left(entry, now)]
    store.delete([entry.key for entry in environments])
    count, size = deleted + len(environments), size + sum(entry.size for entry in environments)
    return Swept(deleted=count, bytes=size, young=len(idle) - deleted)


def _is_left(entry: Entry, now: float) -> bool:
    """Whether it is a part of an environment that no session uses: each renews parts of a week, and lives for three."""
    return keys.is_env(entry.key) and now - entry.modified > _UNUSED


class _Needed:
    """The values that the payloads of a store name. Reads only names, unverified; unpickles nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: set[str] = set()
        self._keys: set[str] = set()
        self.look()

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def look(self) -> None:
        """Read new payloads."""
        for sid in session_ids(self._store):
            session = keys.SessionKeys(sid)
            for jid in self._store.folders(session.jobs_folder):
                payload = f"{session.jobs_folder}/{jid}/payload"
                ours = keys.is_ours(payload, sid) and payload not in self._read
                if ours and (named := self._named_in(payload)) is not None:
                    self._read.add(payload)
                    self._keys.update(map(keys.blob, named))

    def _named_in(self, payload: str) -> list[str] | None:
        """None: it is not there. A folder that may not be read is said: what it needs is unknown."""
        try:
            envelope = Envelope.from_bytes(sign.peek(payload, self._store.get(payload, end=_HEADER)))
        except Missing:  # not yet, or not any more
            return None
        except SignatureError:  # no worker of any version uses it
            return []
        except RecordError as problem:  # a later version may
            way_out = "use a newer burst_magic, or delete that session first: burst cleanup ID --force"
            raise RecordError(problem.problem, context=payload, way_out=way_out) from None
        return [sha256 for sha256, _ in envelope.blobs] + [envelope.bundle] * bool(envelope.bundle)
