"""Starts a session's workers and looks after them while a client is attached."""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
import time
from collections.abc import Collection
from pathlib import Path

from burst_magic.config import changed_variables, environment
from burst_magic.errors import Denied, StoreError
from burst_magic.launchers import End, Handle, Launcher, Start
from burst_magic.protocol import effects as fx
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import EndCause, Gone, Manifest, Next
from burst_magic.session.deletion import is_there
from burst_magic.stores import Store
from burst_magic.stores.carry import Carrier
from burst_magic.stores.handed import HandedOn
from burst_magic.stores.retry import PERSON, slept

_DYING = 5.0  # seconds that a killed worker may take to end


class Fleet:
    """The workers of one session.

    Args:
        manifest: the session.
        secret: its key; None for somebody who may only look.
        store: where it lies.
        launcher: what starts workers.
        tends: lost workers are replaced; who only looks starts nobody.

    Attributes:
        environment: what this client's first workers were started with; None when it has started none.
    """

    def __init__(
        self, manifest: Manifest, secret: bytes | None, store: Store, launcher: Launcher, *, tends: bool = True
    ) -> None:
        self._manifest, self._secret, self._store, self._launcher = manifest, secret, store, launcher
        self.tends = tends
        self._keys = keys.SessionKeys(manifest.sid)
        self._carrier = Carrier(store, secret, slept, retry=PERSON)
        self._handles: dict[str, Handle] = {}
        self._ended: set[str] = set()
        self._awake: set[str] = set()
        self.environment: dict[str, str] | None = None
        self._handed: HandedOn | None = None  # credentials, for workers of this machine

    def start(self, count: int, *, first: int | None = None, begun: list[str] | None = None) -> None:
        """Starts workers; each start is written down before it is made.

        Args:
            count: how many.
            first: the number of the first one, so that each begins with a lane of its own; None: late joiners.
            begun: takes the token of each start before it is written down, for ``take_back``.
        """
        secret = self._secret
        if secret is None:
            return
        for place in range(count):
            number = None if first is None else first + place
            token = secrets.token_hex(8)
            if begun is not None:
                begun.append(token)
            key = self._keys.next(token)
            record = Next(token=token, launcher=self._manifest.launcher, number=number, at=time.time())
            self._carrier.insist(key, records.encode(record, secret=secret, key=key))
            self.start_announced(token, number=number)

    def start_announced(self, token: str, *, number: int | None = None) -> None:
        """Starts the worker whose ``.next`` lies there."""
        if self._secret is None:
            return
        changed_variables()  # what the worker is born with is remembered
        self.environment = self.environment or environment()
        start = Start(
            store=self._store.url,
            sid=self._manifest.sid,
            secret=self._secret.hex(),
            token=token,
            number=number,
            cwd=str(Path.cwd()),
            credentials=_credentials(self._store.url),
            handed=self._hand_on(),
        )
        handle = self._launcher.start(start)
        self._handles[handle.wid] = handle

    def _hand_on(self) -> int | None:
        """What this client has looked up need not be looked up by each worker: memory that they share holds it."""
        provider = getattr(self._store, "credentials", None)
        if provider is None:
            return None
        from burst_magic.aws.credentials import document

        self._handed = self._handed or HandedOn.empty()
        if self._handed is None:
            return None
        with contextlib.suppress(Denied), self._handed.alone():  # then their helper says why
            self._handed.write(json.dumps(document(provider)))
        return self._handed.fileno()

    def meet(self, handle: Handle) -> None:
        """A worker that was found in the log: it has beaten, so it is awake."""
        if handle.launcher == self._manifest.launcher:
            self._handles.setdefault(handle.wid, handle)
            self._awake.add(handle.wid)

    def look(self) -> bool:
        """Writes ``.gone`` for workers whose process has definitely ended; says whether there were any."""
        watched = [handle for wid, handle in self._known() if wid not in self._ended]
        ends = self._launcher.ended(watched)
        silent = self._secret is None or (bool(ends) and self._deleted())
        for wid, end in ends.items():
            if silent or self._say_gone(wid, end):
                self._ended.add(wid)
        return bool(ends)

    def _deleted(self) -> bool:
        with contextlib.suppress(StoreError):  # without an answer it is taken to be there
            return not is_there(self._store, self._keys)
        return False

    def _say_gone(self, wid: str, end: End) -> bool:
        """A refusal is fine: it has said so itself. Without an answer it is said again at the next look."""
        gone = Gone(
            worker=wid,
            cause=EndCause.CRASH,
            at=time.time(),
            token=self._handles[wid].token,
            exit_code=end.exit_code,
            detail=end.detail,
        )
        key = self._keys.gone(wid)
        return self._carrier.create(key, self._carrier.encode(gone, key)) is not fx.Wrote.UNKNOWN

    def poke(self) -> None:
        """There is news: workers of this machine need not wait for their next look."""
        for wid in self._awake.copy() - self._ended:
            self._launcher.poke(self._handles[wid])

    def stop(self, *, kill: bool) -> None:
        """Ends all workers that this client knows."""
        for wid, handle in self._known():
            if wid not in self._ended:
                self._launcher.stop(handle, kill=kill)

    def abandon(self) -> None:
        """Kills the workers of a session that comes to nothing, and waits until nothing writes any more."""
        self.stop(kill=True)
        self._outwait(self._known())

    def take_back(self, begun: Collection[str]) -> None:
        """Kills workers that were started for work that comes to nothing; they are nobody's loss, the others stay."""
        mine = [(wid, handle) for wid, handle in self._known() if handle.token in begun]
        self._ended.update(wid for wid, _ in mine)  # first: no look may take them for lost
        for _, handle in mine:
            self._launcher.stop(handle, kill=True)
        self._outwait(mine)
        for wid, handle in mine:
            gone = Gone(worker=wid, cause=EndCause.SCALE, at=time.time(), token=handle.token)
            key = self._keys.gone(wid)
            self._carrier.create(key, self._carrier.encode(gone, key))
        self._store.delete([self._keys.next(token) for token in begun])

    def _outwait(self, dying: list[tuple[str, Handle]]) -> None:
        handles, end = [handle for _, handle in dying], time.monotonic() + _DYING
        while len(ended := self._launcher.ended(handles)) < len(handles) and time.monotonic() < end:
            time.sleep(0.01)
        self._ended.update(ended)

    def logs(self) -> dict[str, str]:
        """What the workers' own processes printed."""
        return {wid: self._launcher.log(handle) for wid, handle in self._known()}

    @property
    def living(self) -> list[str]:
        """Workers whose end this client has not seen."""
        return [wid for wid, _ in self._known() if wid not in self._ended]

    def _known(self) -> list[tuple[str, Handle]]:
        """A copy: the driver's thread meets workers at any time."""
        return list(self._handles.items())


def _credentials(store: str) -> tuple[str, ...]:
    """The helper that a local worker asks for credentials; it may not import what finds them."""
    return (sys.executable, "-m", "burst_magic.aws.credentials") if store.startswith("s3://") else ()
