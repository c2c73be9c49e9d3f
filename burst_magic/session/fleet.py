"""Start a session's workers and monitor them while a client is attached.

First starts, replacements and scale-ups share one path: record the start (``.next``), then launch. A refusal is
recorded, too (``.gone``), so that every client sees it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from burst_magic import folders
from burst_magic.config import changed_variables, environment
from burst_magic.errors import Denied, LaunchError, StoreError
from burst_magic.launchers.base import Again, Handle, Launcher, PrintedLine, Refusal, Start, Status, Traits, WorkerState
from burst_magic.protocol import effects as fx
from burst_magic.protocol.log import DEAD_AFTER, unended
from burst_magic.protocol.wire import keys, records
from burst_magic.protocol.wire.model import EndCause, Gone, Manifest, Next
from burst_magic.session.deletion import is_there
from burst_magic.session.engines import Engines
from burst_magic.session.inherited import Inherited, inherited
from burst_magic.session.start_warnings import StartWarnings
from burst_magic.stores import Store
from burst_magic.stores.handed import HandedOn
from burst_magic.stores.retry import PERSON, slept
from burst_magic.stores.store_driver import Carrier

_LOG = logging.getLogger(__name__)
_STOPPED_AT_ONCE = 16
_DYING = 5.0  # seconds that a killed worker may take to end
_ASKED_AGAIN = (0.5, 1.0, 2.0)  # seconds before retries of a start whose answer was lost, with the same token


class Fleet:
    """The workers of one session.

    Args:
        manifest: the session.
        secret: its key; None for a client that may only look.
        store: its store.
        logs: folder for what launchers keep of their workers on this machine.
        replaces_lost_workers: replace lost workers; a client that only looks starts none.

    Attributes:
        engines: its launchers.
        environment: the environment of this client's first workers; None if it has started none.
        deadline: the session's end as its driver knows it, extensions included; 0 before the first look.
        coming: token -> (phase, seconds since the engine accepted it) of the starts that were coming at the last look.
    """

    def __init__(
        self, manifest: Manifest, secret: bytes | None, store: Store, logs: Path, *, replaces_lost_workers: bool = True
    ) -> None:
        self._manifest, self._secret, self._store = manifest, secret, store
        self.engines = Engines(manifest, logs)
        self._replaces_lost_workers = replaces_lost_workers
        self._keys = keys.SessionKeys(manifest.sid)
        self._carrier = Carrier(store, secret, slept, retry=PERSON)
        self._handles: dict[str, Handle] = {}
        self._ended: set[str] = set()
        self._awake: set[str] = set()
        self._given_up: set[str] = set()  # silent, replaced, and told to stop
        self._missing: dict[str, float] = {}  # wid -> since when its engine says that it doesn't know it
        self._forgotten: set[str] = set()  # missing for so long that nothing more will be heard of their ends
        self.environment: dict[str, str] | None = None
        self.deadline = 0.0
        self.coming: dict[str, tuple[str, float]] = {}
        self._searched = False  # for workers that have not been heard of, by those who did not start them
        self._inherited: dict[str, Inherited] = {}  # by token, of the workers that this process has started
        self._handed: HandedOn | None = None  # credentials, for workers of this machine
        self._warnings = StartWarnings()
        self._unsure: dict[str, tuple[str, int | None]] = {}  # token -> launcher, number; every reply was lost
        self._settled_at = 0.0

    @property
    def traits(self) -> dict[str, Traits]:
        """Traits of its launcher and of the fallback, by name, as far as they are installed."""
        return self.engines.traits

    @property
    def here(self) -> bool:
        """Whether its workers share this machine."""
        return self.engines.here

    @property
    def replaces_lost_workers(self) -> bool:
        """Whether this client replaces lost workers; an engine may do that by itself."""
        return self._replaces_lost_workers and not self.engines.keep_fleet

    # --- starting --------------------------------------------------------------------------------------------

    def start(self, count: int, *, first: int | None = None, begun: list[str] | None = None) -> None:
        """Start workers. A partial success is enough: refused starts are retried later.

        Args:
            count: number of workers.
            first: number of the first one, so that each begins with its own lane; None for late joiners.
            begun: receives the token of each start before it is recorded, for ``take_back``.

        Raises:
            LaunchError: all were refused permanently.
        """
        secret, stem = self._secret, secrets.token_hex(6)
        if secret is None or not count:
            return
        numbers = {f"{stem}{place:04x}": None if first is None else first + place for place in range(count)}
        for token, number in numbers.items():
            if begun is not None:
                begun.append(token)
            key = self._keys.next(token)
            record = Next(token=token, launcher=self._manifest.launcher, number=number, at=time.time())
            self._carrier.insist(key, records.encode(record, secret=secret, key=key))
        refused = self._launch(self._manifest.launcher, numbers)
        if len(refused) == count and all(each.again is Again.NEVER for each in refused):
            raise LaunchError(refused[0].problem, context=refused[0].context)

    def start_announced(self, tokens: Iterable[str], *, launcher: str) -> None:
        """Start the workers whose ``.next`` exist, with one launcher."""
        if self._secret is not None:
            self._launch(launcher, dict.fromkeys(tokens))

    def _launch(
        self, name: str, numbers: dict[str, int | None], *, pauses: tuple[float, ...] = _ASKED_AGAIN
    ) -> list[Refusal]:
        """Start a worker per token; report and record refusals.

        Args:
            name: of the launcher.
            numbers: token -> the worker's place in the fleet.
            pauses: before retries of a start whose answer was lost.
        """
        changed_variables()  # what the workers are born with is remembered
        self.environment = self.environment or environment()
        self._inherited.update(dict.fromkeys(numbers, inherited()))
        launcher = self.engines.open(name)
        if launcher is None:
            problem = f"this installation has no launcher called {name}"
            refused = [Refusal(token=token, problem=problem) for token in numbers]
        else:
            refused = self._ask(launcher, [self._start_of(launcher, *each) for each in numbers.items()], pauses)
        self._unsure.update((each.token, (name, numbers[each.token])) for each in refused if each.end is None)
        self._record_refused(refused)
        self._warnings.warn(name, refused, of=len(numbers))
        return refused

    def _ask(self, launcher: Launcher, starts: Sequence[Start], pauses: tuple[float, ...]) -> list[Refusal]:
        """Retry starts with lost answers, with the same tokens."""
        refused: list[Refusal] = []
        for pause in (*pauses, None):
            answers = launcher.start(starts)
            self._handles.update((each.wid, each) for each in answers if isinstance(each, Handle))
            unsure = [each for each in answers if isinstance(each, Refusal) and each.again is Again.SAME_TOKEN]
            refused += [each for each in answers if isinstance(each, Refusal) and each not in unsure]
            if not unsure or pause is None:
                return [*refused, *unsure]
            tokens = {each.token for each in unsure}
            starts = [start for start in starts if start.token in tokens]
            time.sleep(pause)
        raise AssertionError(launcher)

    def _start_of(self, launcher: Launcher, token: str, number: int | None) -> Start:
        manifest, secret = self._manifest, self._secret or b""
        here = launcher.traits.here
        syncs = bool(manifest.bundle) and launcher.traits.syncs
        command: tuple[str, ...] = ()
        if syncs:
            from burst_magic.environment.bundle import stage0_command  # local fleets have no use for it

            command = stage0_command()
        return Start(
            store=self._store.url,
            sid=manifest.sid,
            secret=secret.hex(),
            token=token,
            number=number,
            cpu=manifest.cpu,
            memory_mb=manifest.memory_mb,
            arch=manifest.arch,
            gpus=manifest.gpus,
            instance_type=manifest.instance_type,
            env=manifest.environment,
            python=".".join(manifest.python.split(".")[:2]),
            command=command,
            bundle=manifest.bundle if syncs else "",
            deadline=max(manifest.deadline, self.deadline),
            rate=self._rate_of(launcher.name),
            cwd=str(folders.current()) if here else "",
            credentials=self._credentials() if here else (),
            handed=self._hand_on() if here else None,
            owner=manifest.user,
            options=dict(manifest.options),
        )

    def _credentials(self) -> tuple[str, ...]:
        """The credential helper of local workers, which may not import boto3; told the store's region."""
        provider = getattr(self._store, "credentials", None)
        if provider is None:
            return ()
        region = provider.config.get("region", "")
        return (sys.executable, "-m", "burst_magic.aws.credentials", *filter(None, (region,)))

    def _record_refused(self, refused: list[Refusal]) -> None:
        """Record a refused start as a worker that has ended; one without an answer may still come."""
        for each in refused:
            if each.end is not None:
                self._write_gone(each.token, each.end, token=each.token, detail=each.problem)

    def _hand_on(self) -> int | None:
        """Share this client's credentials with its workers through common memory."""
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

    # --- monitoring --------------------------------------------------------------------------------------------

    def meet(self, handle: Handle) -> None:
        """Add a worker found in the log by its heartbeat."""
        self._handles.setdefault(handle.wid, handle)
        self._awake.add(handle.wid)

    def look(self) -> bool:
        """Write ``.gone`` for workers that have definitely ended; returns whether there were any."""
        self._search()
        self._settle()
        described = self._describe([each for wid, each in self._known() if wid not in self._ended | self._forgotten])
        self._forget(described)
        self.coming = {
            self._handles[wid].token: (status.phase, time.time() - status.created if status.created else 0.0)
            for wid, status in described.items()
            if status.state is WorkerState.COMING
        }
        ends = {wid: status for wid, status in described.items() if status.state is WorkerState.ENDED}
        silent = self._secret is None or (bool(ends) and self._deleted())
        for wid, status in ends.items():
            if silent or self._say_gone(wid, status):
                self._ended.add(wid)
        return bool(ends)

    def _forget(self, described: Mapping[str, Status]) -> None:
        """Describe no more what its engine has not known for a while: it ended long ago, and nobody will hear how."""
        now, patience = time.monotonic(), DEAD_AFTER * self._manifest.interval
        self._missing = {wid: self._missing.get(wid, now) for wid, status in described.items() if status.missing}
        self._forgotten.update(wid for wid, since in self._missing.items() if now - since >= patience)

    def _search(self) -> None:
        """Ask the engines once for workers without a heartbeat, since the client that started them may be gone."""
        if not self._searched:
            self._searched = True
            self._find()

    def _settle(self) -> None:
        """Look for the workers of starts whose every reply was lost, once an interval; repeat those that no engine
        knows, under their tokens: the same token is the same worker."""
        now = time.monotonic()
        if not self._unsure or now - self._settled_at < self._manifest.interval:
            return
        self._settled_at = now
        self._find()
        found = {handle.token for _, handle in self._known()}
        unsure, self._unsure = self._unsure, {}
        for name in {launcher for launcher, _ in unsure.values()}:
            numbers = {token: each[1] for token, each in unsure.items() if each[0] == name and token not in found}
            if numbers:
                self._launch(name, numbers, pauses=())

    def _find(self) -> set[str]:
        """Ask the engines for the session's workers; returns those that have not stopped."""
        found: set[str] = set()
        for launcher in filter(None, map(self.engines.open, self.traits)):
            for handle in launcher.find(self._manifest.sid, dict(self._manifest.options)):
                self._handles.setdefault(handle.wid, handle)
                found.add(handle.wid)
        return found

    def _describe(self, handles: list[Handle]) -> dict[str, Status]:
        known = self.engines.of(handles)
        return {wid: status for launcher, mine in known for wid, status in launcher.describe(mine).items()}

    def _deleted(self) -> bool:
        with contextlib.suppress(StoreError):  # without an answer it is taken to be there
            return not is_there(self._store, self._keys)
        return False

    def _say_gone(self, wid: str, status: Status) -> bool:
        """Write a worker's ``.gone``; returns whether its end is recorded. Without an answer, the next look retries.

        A refusal means that the worker wrote it itself, or has rejoined since: then the new name ends now.
        """
        token, code, bill = self._handles[wid].token, status.exit_code, self._bill(wid, status)

        def write(name: str) -> fx.Wrote:
            return self._write_gone(
                name, status.end, token=token, exit_code=code, detail=status.reason, at=status.ended, billed=bill
            )

        wrote = write(wid)
        if wrote is not fx.Wrote.REFUSED:
            return wrote is fx.Wrote.DONE
        listed = self._carrier.carry(fx.List(self._keys.workers_folder, wid))
        names = [name for name, _ in listed.names] if isinstance(listed, fx.Listed) else []
        return fx.Wrote.UNKNOWN not in [write(name) for name in unended(wid, names)]

    def _bill(self, wid: str, status: Status) -> tuple[float, int]:
        """Since when a worker is billed, if that is known, and its rate."""
        rate = self._rate_of(self._handles[wid].launcher)
        return (status.billed_from or 0.0, rate) if rate else (0.0, 0)

    def _rate_of(self, launcher: str) -> int:
        return self._manifest.fallback_rate if launcher == self._manifest.fallback else self._manifest.rate

    def _write_gone(
        self,
        wid: str,
        cause: EndCause,
        *,
        token: str,
        exit_code: int | None = None,
        detail: str = "",
        at: float | None = None,
        billed: tuple[float, int] = (0.0, 0),
    ) -> fx.Wrote:
        at = time.time() if at is None else at
        since, rate = billed
        gone = Gone(
            worker=wid,
            cause=cause,
            at=at,
            token=token,
            exit_code=exit_code,
            detail=detail,
            billed_from=since,
            rate=rate,
        )
        key = self._keys.gone(wid)
        return self._carrier.create(key, self._carrier.encode(gone, key))

    def poke(self) -> None:
        """Notify workers, so that those that can be poked react at once."""
        awake = [self._handles[wid] for wid in self._awake.copy() - self._ended]
        for launcher, handles in self.engines.of(awake):
            if launcher.traits.can_be_poked:
                for handle in handles:
                    launcher.poke(handle)

    def stop(self, *, kill: bool) -> None:
        """Stop all workers that this client or an engine knows, those that have not been heard of included."""
        self._unsure.clear()
        found = self._find()  # whatever is recorded of them
        self._stop([handle for wid, handle in self._known() if wid in found or wid not in self._ended], kill=kill)

    def end_here(self) -> None:
        """Kill what still runs on this machine: workers, stopped ones too, and what tasks have left."""
        self._find()
        self._stop([each for _, each in self._known() if self._is_here(each)], kill=True)

    def _is_here(self, handle: Handle) -> bool:
        return handle.launcher in self.traits and self.traits[handle.launcher].here

    def stop_coming(self, most: int | None = None) -> None:
        """Stop workers that an engine is still bringing up and nobody wants any more: they would cost a minute each.

        Args:
            most: at most so many, the youngest first; None: all.
        """
        self._unsure.clear()
        self._find()
        unheard = [handle for wid, handle in self._known() if wid not in self._awake | self._ended]
        described = self._describe(unheard)
        states = {wid: status.state for wid, status in described.items()}
        coming = [handle for handle in unheard if states.get(handle.wid) is WorkerState.COMING]
        coming.sort(key=lambda handle: described[handle.wid].created or 0.0, reverse=True)
        for handle in self._stop(coming[:most], kill=False):
            bill = self._bill(handle.wid, described[handle.wid])
            wrote = self._write_gone(handle.wid, EndCause.SCALE, token=handle.token, billed=bill)
            if wrote is not fx.Wrote.UNKNOWN:
                self._ended.add(handle.wid)

    def stop_replaced(self, names: Collection[str]) -> None:
        """Stop silent workers whose replacement is announced, once each: one that hangs would cost until its deadline.

        Workers of this machine cost nothing, and one that was paused may go on.
        """
        mine = [handle for wid, handle in self._known() if wid in names and wid not in self._ended | self._given_up]
        away = [handle for handle in mine if handle.launcher in self.traits and not self.traits[handle.launcher].here]
        self._given_up.update(handle.wid for handle in self._stop(away, kill=True))

    def _stop(self, handles: list[Handle], *, kill: bool) -> list[Handle]:
        """Stop many at a time, since an engine takes a moment for each; returns those whose engine was asked."""
        asked: list[Handle] = []
        for launcher, mine in self.engines.of(handles):
            with ThreadPoolExecutor(_STOPPED_AT_ONCE) as pool:
                answers = [(handle, pool.submit(launcher.stop, handle, kill=kill)) for handle in mine]
                asked += [handle for handle, answer in answers if answer.result() is not False]
        return asked

    def abandon(self) -> None:
        """Kill the workers of an abandoned session, and wait until none writes any more."""
        self.stop(kill=True)
        self._outwait([handle for _, handle in self._known()])

    def take_back(self, begun: Collection[str]) -> None:
        """Kill workers that were started for an abandoned job; they are not replaced, and the others stay."""
        self._find()  # a start whose reply was lost has a worker, too
        self._unsure = {token: each for token, each in self._unsure.items() if token not in begun}
        mine = [handle for _, handle in self._known() if handle.token in begun]
        self._ended.update(handle.wid for handle in mine)  # first: no look may take them for lost
        stopped = self._stop(mine, kill=True)
        self._outwait(mine)
        for handle in stopped:
            self._write_gone(handle.wid, EndCause.SCALE, token=handle.token)
        self._store.delete([key(token) for token in begun for key in (self._keys.next, self._keys.gone)])

    def _outwait(self, dying: list[Handle]) -> None:
        end = time.monotonic() + _DYING
        while time.monotonic() < end:
            described = self._describe(dying)
            ended = {wid for wid, status in described.items() if status.state is WorkerState.ENDED}
            if len(ended) == len(dying):
                break
            time.sleep(0.01)
        self._ended.update(handle.wid for handle in dying)

    def logs(self, worker: str = "") -> dict[str, str]:
        """The logs of the worker processes whose ids begin with ``worker``."""
        known = self.engines.of([handle for wid, handle in self._known() if wid.startswith(worker)])
        return {handle.wid: launcher.log(handle) for launcher, handles in known for handle in handles}

    @property
    def workers(self) -> set[str]:
        """All workers that this client has heard of."""
        return {wid for wid, _ in self._known()}

    def printed(self, workers: Iterable[str], *, since: float) -> list[PrintedLine]:
        """What these workers' own processes printed, in order of time; nothing where its launcher keeps no times.

        Raises:
            BurstError: it cannot be read; says why.
        """
        by_launcher: dict[str, set[str]] = {}
        for wid in workers:
            known = self._handles.get(wid)
            by_launcher.setdefault(known.launcher if known else self._manifest.launcher, set()).add(wid)
        options = dict(self._manifest.options)
        asked = [(launcher, wids) for name, wids in by_launcher.items() if (launcher := self.engines.open(name))]
        lines = [line for launcher, wids in asked for line in launcher.printed(wids, options, since=since)]
        return sorted(lines, key=lambda line: line.at)

    @property
    def living(self) -> list[str]:
        """Workers without a known end."""
        return [wid for wid, _ in self._known() if wid not in self._ended]

    def is_as_new(self) -> bool:
        """Whether this process has started every living worker, and would start each as it is now."""
        handles = [handle for wid, handle in self._known() if wid not in self._ended]
        if not handles or any(handle.token not in self._inherited for handle in handles):
            return False
        launchers = dict(self.engines.of(handles))
        inheriting = [each.token for launcher, some in launchers.items() if launcher.traits.inherits for each in some]
        now = inherited() if inheriting else None
        return all(self._inherited[token] == now for token in inheriting)

    def _known(self) -> list[tuple[str, Handle]]:
        """A copy, since the driver's thread adds workers at any time."""
        return list(self._handles.items())
