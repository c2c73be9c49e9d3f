"""What a launcher is: it starts workers, looks whether they live, and stops them. It knows no tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """A resumable receipt for one started worker: plain data, so that any client can look after it.

    Attributes:
        wid: the worker's id, as its launcher calls it.
        token: the start it answers.
        born: tells this process or task from a later one of the same name.
    """

    launcher: str
    wid: str
    token: str
    host: str = ""
    pid: int = 0
    born: str = ""

    def to_json(self) -> str:
        """As it lies in the heartbeat."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Handle:
        """The inverse of ``to_json``."""
        return Handle(**json.loads(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a worker is told at birth, by an inherited socket: never by argument or environment.

    Attributes:
        secret: the session's key, hex.
        number: the worker's place in the fleet.
        credentials: a command that prints credentials for the store, or empty.
        handed: descriptor of the memory that holds what was looked up already (``stores.handed``).
    """

    store: str
    sid: str
    secret: str
    token: str
    number: int | None
    cwd: str = ""
    credentials: tuple[str, ...] = ()
    handed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a worker's process ended, as far as its launcher can tell."""

    exit_code: int | None = None
    detail: str = ""


class Launcher(Protocol):
    """Starts workers."""

    def start(self, start: Start) -> Handle:
        """Starts one worker that outlives this process; raises ``LaunchError``."""

    def ended(self, handles: Sequence[Handle]) -> dict[str, End]:
        """Those of the workers that have definitely ended. Not knowing is no end."""

    def stop(self, handle: Handle, *, kill: bool = False) -> None:
        """Asks a worker to finish, or kills it and all its children."""

    def poke(self, handle: Handle) -> None:
        """Tells a worker that there is news, where that is cheap. Nothing depends on it."""

    def log(self, handle: Handle) -> str:
        """What the worker's own process has printed (not its tasks)."""
