"""Steps a session's machine over its store in whatever thread calls it. Starts no thread and unpickles nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Protocol

from burst_magic.errors import StoreError
from burst_magic.protocol import effects as fx
from burst_magic.protocol.client.session import SessionMachine
from burst_magic.stores.store_driver import Carrier

_NONE: Mapping[str, tuple[str, float]] = MappingProxyType({})


class Deeds(Protocol):
    """A client's actions besides store requests."""

    def replace(self, starts: Sequence[fx.Replace]) -> None:
        """Start the workers announced under these tokens."""

    def answered(self, event: fx.Event) -> None:
        """Handle the store's answer before the machine gets it. May raise errors for waiting callers."""


class OnlyLooks:
    """The deeds of a client that starts no workers."""

    def replace(self, starts: Sequence[fx.Replace]) -> None:
        """Do nothing: its machine replaces no workers."""
        raise AssertionError(starts)

    def answered(self, event: fx.Event) -> None:
        """Do nothing."""


class Rounds:
    """Carries out a machine's effects and passes the answers back.

    A round is synchronous: ``play`` returns when all due requests are answered. To look once
    without a thread, play one round with ``looking`` and take a snapshot.

    Args:
        machine: the session's.
        carrier: its store.
        deeds: the client's other actions.
        lock: guards the machine; never held during a store call.
    """

    def __init__(
        self,
        machine: SessionMachine,
        carrier: Carrier,
        deeds: Deeds | None = None,
        *,
        lock: AbstractContextManager[object] | None = None,
    ) -> None:
        self._machine, self._carrier, self._deeds = machine, carrier, deeds or OnlyLooks()
        self._lock = lock or contextlib.nullcontext()
        self._over = False

    def abandon(self) -> None:
        """Ask nothing more and drop late answers. Call with the lock held."""
        self._over = True

    def play(self, *, looking: bool = False, coming: Mapping[str, tuple[str, float]] = _NONE) -> None:
        """Make all due requests, or list everything, and wait for the answers.

        Args:
            looking: list everything.
            coming: token -> (phase, seconds since the engine accepted it) of starts that launchers report as coming.
        """
        phases = tuple((token, *coming[token]) for token in sorted(coming))
        events: list[fx.Event] = [fx.Coming(phases), fx.Tick()] if phases else [fx.Tick()]
        announced: list[fx.Replace] = []
        while events:
            for effect in self._step(events.pop(0), looking=looking):
                if isinstance(effect, fx.Replace):
                    announced.append(effect)
                elif not self._over and (answer := self._carry_out(effect)) is not None:
                    events.append(answer)
            looking = False
            # Workers that are announced in one round are started in one call.
            if announced and not self._over and not any(isinstance(event, fx.Created) for event in events):
                self._deeds.replace(announced)
                announced = []

    def _step(self, event: fx.Event, *, looking: bool) -> list[fx.Effect]:
        with self._lock:
            if self._over:
                return []
            now = time.monotonic()
            if looking:
                self._machine.look_now(now)
            return self._machine.step(event, now)

    def _carry_out(self, effect: fx.Effect) -> fx.Event | None:
        if isinstance(effect, fx.Watch):
            try:
                self._carrier.store.put(effect.key, b"")
            except StoreError as fault:
                self._carrier.tell(fault)
        elif isinstance(effect, fx.List | fx.Read | fx.Create):
            event = self._carrier.carry(effect)
            if not self._over:
                self._deeds.answered(event)
            return event
        return None
