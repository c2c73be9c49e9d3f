"""Check everything a burst needs: directories, store, workers."""

from __future__ import annotations

import os
import platform
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from burst_magic.errors import BurstError

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.launchers.base import Launcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check."""

    what: str
    good: bool
    detail: str
    way_out: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Run the checks one by one; a fault in one doesn't hide the next."""
    checks: list[tuple[str, Callable[[Settings], str]]] = [
        ("python", lambda _: f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("directories", _directories),
        ("store", _store),
        ("workers", _workers),
    ]
    return [_found(what, check, settings) for what, check in checks]


def _found(what: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(what=what, good=True, detail=check(settings))
    except (BurstError, OSError) as error:
        return Finding(what=what, good=False, detail=str(error), way_out=getattr(error, "way_out", ""))


def _directories(settings: Settings) -> str:
    for folder in (settings.config_dir, settings.data_dir):
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            way_out = "set BURST_CONFIG_DIR and BURST_DATA_DIR to writable folders"
            raise BurstError(f"{folder} is not writable", way_out=way_out)
    return f"{settings.config_dir}, {settings.data_dir}"


def _store(settings: Settings) -> str:
    """Try each store operation once, on a separate key."""
    from burst_magic.session.submit import open_own_store

    store = open_own_store(settings.store, settings)
    key, data = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(64)
    began = time.monotonic()
    store.put(key, data)
    try:
        if store.get(key) != data or [entry.key for entry in store.list("doctor", after=key[:-1], limit=1)] != [key]:
            raise BurstError("the store returned something other than what was put", context=settings.store)
    finally:
        store.delete([key])
    return f"{settings.store}, {1000 * (time.monotonic() - began):.0f} ms for put, get, list and delete"


def _workers(settings: Settings) -> str:
    """Start a real worker; it finds that its session doesn't exist, and exits."""
    from burst_magic.launchers import open_launcher, parse

    said = []
    for name in parse(settings.launcher):
        began = time.monotonic()
        _try_worker(open_launcher(name, logs=settings.logs_dir), settings)
        said.append(f"{name}: started one in {1000 * (time.monotonic() - began):.0f} ms")
    return "; ".join(said)


def _try_worker(launcher: Launcher, settings: Settings) -> None:
    from burst_magic.launchers.base import Refusal, Start, WorkerState
    from burst_magic.session.submit import new_session_id

    start = Start(
        store=(settings.data_dir / "doctor").as_uri() if launcher.traits.here else settings.store,
        sid=new_session_id(time.time()),
        secret=secrets.token_hex(32),
        token=secrets.token_hex(8),
        number=0,
    )
    (handle,) = launcher.start([start])
    if isinstance(handle, Refusal):
        raise BurstError(handle.problem, context=handle.context)
    end = time.monotonic() + launcher.traits.starting_within
    while (status := launcher.describe([handle])[handle.wid]).state is not WorkerState.ENDED:
        if time.monotonic() > end:
            launcher.stop(handle, kill=True)
            raise BurstError(
                f"a worker did not start within {launcher.traits.starting_within:.0f} s",
                context=launcher.log(handle)[-500:],
            )
        time.sleep(0.01)
    if status.exit_code:
        raise BurstError("a worker failed to start", context=launcher.log(handle)[-500:])
