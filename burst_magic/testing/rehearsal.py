"""A session in a folder to test one launcher: real workers join it, and their writes can be inspected."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from burst_magic.launchers.base import Again, Handle, Launcher, Start, Status, WorkerState
from burst_magic.payload import Envelope, pack, pack_value
from burst_magic.protocol.wire import blocks, keys, records, sign
from burst_magic.protocol.wire.model import Control, ControlKind, Gone, Heartbeat, Job, Manifest
from burst_magic.stores import open_store

T = TypeVar("T")
SID = "20260101-000000-aaaaaaaa"
_TRIES = 50  # starts that a launcher may refuse for now or leave unanswered


class ContractBroken(AssertionError):
    """A broken promise of the contract."""


def must(holds: object, what: str) -> None:
    """Raise ``ContractBroken`` unless the promise holds."""
    if not holds:
        raise ContractBroken(what)


class Rehearsal:
    """One session without work, its store, and a launcher whose workers join it.

    Args:
        launcher: creates the launcher; called with the folder for logs, and again for each other client.
        root: an empty folder.
        patience: seconds to wait for workers.
        options: the launcher's settings.
    """

    def __init__(
        self,
        launcher: Callable[[Path], Launcher],
        root: Path,
        *,
        patience: float = 60.0,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.root, self.patience, self._options = root, patience, dict(options or {})
        self.secret = secrets.token_bytes(sign.SECRET_BYTES)
        self.keys = keys.SessionKeys(SID)
        self.store = open_store((root / "store").as_uri())
        self.store.create(keys.session_key(SID, sign.fingerprint(self.secret)), self.secret)
        self._open = launcher
        self.launcher = self.another_client()
        self.handles: list[Handle] = []

    def another_client(self) -> Launcher:
        """The launcher as another process would create it."""
        return self._open(self.root / "logs")

    def until(self, condition: Callable[[], T | None], what: str) -> T:
        """Wait until the condition holds, describing workers meanwhile; returns the condition's value."""
        end = time.monotonic() + self.patience
        while not (value := condition()):
            must(time.monotonic() < end, f"waited {self.patience:.0f} s in vain for {what}")
            self.launcher.describe(self.handles)
            time.sleep(0.01)
        return value

    # --- workers ---------------------------------------------------------------------------------------------

    def words(self, **changes: Any) -> Start:
        """What a worker of this session is started with."""
        start = Start(
            store=self.store.url,
            sid=SID,
            secret=self.secret.hex(),
            token=secrets.token_hex(8),
            number=0,
            deadline=time.time() + 120,
            cwd=str(self.root) if self.launcher.traits.here else "",
            owner="a rehearsal",
            options=self._options,
        )
        return replace(start, **changes)

    def start(self, **changes: Any) -> Handle:
        """Starts a worker, however often that takes: what was not answered again, what was refused anew."""
        words = self.words(**changes)
        for _ in range(_TRIES):
            (answer,) = self.launcher.start([words])
            if isinstance(answer, Handle):
                self.handles.append(answer)
                return answer
            must(answer.again is not Again.NEVER, f"a worker was refused: {answer.problem}; {answer.context}")
            if answer.again in {Again.NO_ROOM, Again.LATER}:
                words = replace(words, token=secrets.token_hex(8))
        raise ContractBroken(f"{_TRIES} starts brought no worker")

    def joined(self) -> Handle:
        """Start a worker and wait for its heartbeat."""
        self.open_session()
        handle = self.start()
        self.until(self.beats, "a heartbeat")
        return handle

    def status(self, handle: Handle, *, of: Launcher | None = None) -> Status:
        """A worker's status, according to its launcher."""
        described = (of or self.launcher).describe([handle])
        must(described.keys() == {handle.wid}, f"asked for {handle.wid}, described {sorted(described)}")
        return described[handle.wid]

    def end_of(self, handle: Handle, *, of: Launcher | None = None) -> Status:
        """Wait until its launcher reports its end."""

        def ended() -> Status | None:
            status = self.status(handle, of=of)
            return status if status.state is WorkerState.ENDED else None

        return self.until(ended, f"the end of {handle.wid}")

    def close(self) -> None:
        """End all workers."""
        living = [each for each in self.handles if self.status(each).state is not WorkerState.ENDED]
        for handle in living:
            self.launcher.stop(handle, kill=True)
        for handle in living:
            self.end_of(handle)

    # --- the session -----------------------------------------------------------------------------------------

    def open_session(self, *, interval: float = 0.1, floor: float = 0.02) -> None:
        """Write the manifest, so that workers find their session."""
        manifest = Manifest(
            sid=SID,
            created=time.time(),
            launcher=self.launcher.name,
            workers=1,
            slots=1,
            cpu=1.0,
            memory_mb=2048,
            arch="x86_64",
            seed=1,
            deadline=time.time() + 120,
            idle=60.0,
            interval=interval,
            floor=floor,
        )
        self.put(self.keys.manifest, manifest)

    def put(self, key: str, record: Any) -> None:
        """Write a signed record."""
        self.store.put(key, records.encode(record, secret=self.secret, key=key))

    def add_job(self, source: str, item: object) -> None:
        """Add a job of one task."""
        job = self.keys.job("0")
        writer = blocks.BlockWriter(self.secret, job.items, lengths=True)
        self.store.put(job.items, writer.add(0, pack_value(item, home={})) + writer.finish())
        packed = pack({}, home={})
        envelope = Envelope(source=source, stream=packed.stream, filename="<cell>", target="item", has_value=True)
        self.store.put(job.payload, sign.seal(self.secret, job.payload, envelope.to_bytes()))
        self.put(self.keys.control("0", ControlKind.ADD_JOB), Control(kind=ControlKind.ADD_JOB, at=0.0, job="0"))
        self.put(job.record, Job(jid="0", created=time.time(), tasks=1, lanes=(0,), seed=1, items=writer.index))

    @property
    def published(self) -> bool:
        """Whether the task has an outcome."""
        return bool(self.store.list(self.keys.job("0").results_folder))

    def beats(self) -> list[Heartbeat]:
        """The workers' heartbeats."""
        return [
            records.decode(Heartbeat, self.store.get(entry.key), secret=self.secret, key=entry.key)
            for entry in self.store.list(self.keys.workers_folder)
            if keys.parse_worker(entry.key).kind == "beat"
        ]

    def gone(self, handle: Handle) -> Gone | None:
        """The end that a worker has written, if any."""
        key = self.keys.gone(handle.wid)
        found = [entry.key for entry in self.store.list(self.keys.workers_folder, after=key[:-1], limit=1)]
        return records.decode(Gone, self.store.get(key), secret=self.secret, key=key) if found == [key] else None


__all__ = ["SID", "ContractBroken", "Rehearsal", "must"]
