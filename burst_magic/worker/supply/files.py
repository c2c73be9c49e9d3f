"""A job's files on a worker: the verified payload, its large buffers as files, and its items by range."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from burst_magic.errors import SignatureError
from burst_magic.payload import Envelope
from burst_magic.protocol.wire import blocks, keys, sign
from burst_magic.protocol.wire.model import Job
from burst_magic.stores.store_driver import Carrier
from burst_magic.worker.supply import blobs
from burst_magic.worker.supply.scratch import Scratch

_PART = 64 << 20  # bytes of a blob fetched at a time
_BUNDLE_BYTES = 1 << 30  # of code at most: what is larger does not match its name
_WRONG_BLOB = "a blob in the store does not match its name; it was not read"


class JobFiles:
    """One job on this machine. Everything is verified before it is passed on.

    Args:
        carrier: the store, with the session's key.
        sid: the session.
        job: its record.
        scratch: the session's folder on this machine.

    Attributes:
        modules: installed packages that it mentions.
        ground: settings and folder of its tasks: an envelope without a cell.
    """

    def __init__(self, carrier: Carrier, sid: str, job: Job, scratch: Scratch) -> None:
        self._carrier, self._scratch = carrier, scratch
        self._keys, self._payload = keys.SessionKeys(sid).job(job.jid), job.payload
        self._secret = carrier.secret or b""
        self.envelope_bytes = carrier.believed(self._envelope)
        envelope = Envelope.from_bytes(self.envelope_bytes)
        self.modules = frozenset(name for name, _ in envelope.modules)
        self.ground = Envelope(source="", stream=b"", settings=envelope.settings, folder=envelope.folder).to_bytes()
        self.blobs = tuple(self._blob(sha256, size) for sha256, size in envelope.blobs)
        self.bundle = str(self._unpacked(envelope.bundle)) if envelope.bundle else ""
        self._index: tuple[blocks.Block, ...] = ()
        if job.items is not None:
            offset, length = job.items
            self._index = carrier.believed(lambda: self._read_index(offset, length))

    def entries(self, task: int) -> tuple[int, blocks.Entries]:
        """The items of the block that contains ``task``: (first task, entries)."""
        block = blocks.find_block(self._index, task)
        return block.first, self._carrier.believed(lambda: self._read_block(block))

    def _envelope(self) -> bytes:
        return sign.unseal(self._secret, self._keys.payload, self._carrier.fetch(self._keys.payload, end=self._payload))

    def _read_index(self, offset: int, length: int) -> tuple[blocks.Block, ...]:
        data = self._carrier.fetch(self._keys.items, start=offset, end=offset + length)
        return blocks.read_index(self._secret, self._keys.items, data)

    def _read_block(self, block: blocks.Block) -> blocks.Entries:
        data = self._carrier.fetch(self._keys.items, start=block.offset, end=block.offset + block.length)
        return blocks.read_entries(block, blocks.open_block(self._secret, self._keys.items, block, data))

    def _unpacked(self, sha256: str) -> Path:
        """Local sources as a folder: packages read files beside their modules."""
        import zipfile

        def unpack(folder: Path) -> None:
            with zipfile.ZipFile(io.BytesIO(self._verified(sha256))) as bundle:
                bundle.extractall(folder)

        return self._scratch.keep(f"{sha256}.sources", unpack)

    def _verified(self, sha256: str) -> bytes:
        """The bytes of a blob with code; exactly those that were verified."""

        def read() -> bytes:
            data = self._carrier.fetch(keys.blob(sha256), end=_BUNDLE_BYTES)
            if hashlib.sha256(data).hexdigest() != sha256:
                raise SignatureError(_WRONG_BLOB, context=keys.blob(sha256))
            return data

        return self._carrier.believed(read)

    def _blob(self, sha256: str, size: int) -> blobs.BlobFile:
        """A blob as a file: the store's own in a local folder, otherwise fetched once for all workers here."""
        key = keys.blob(sha256)
        path = self._carrier.store.path(key)
        if path is None or not path.is_file():
            path = self._scratch.keep(
                sha256, lambda draft: self._carrier.believed(lambda: self._fetch(key, draft, size))
            )
        return _verified_file(path, sha256, key, size)

    def _fetch(self, key: str, draft: Path, size: int) -> None:
        with draft.open("wb") as file:
            for start in range(0, size, _PART):
                file.write(self._carrier.fetch(key, start=start, end=min(start + _PART, size)))
        _verified_file(draft, key.rpartition("/")[2], key, size)


def _verified_file(path: Path, sha256: str, key: str, size: int) -> blobs.BlobFile:
    found = blobs.verified(str(path), sha256, size)
    if found is None:
        raise SignatureError(_WRONG_BLOB, context=key)
    return found
