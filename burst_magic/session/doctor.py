"""``burst doctor``: checks everything that a burst needs, here and, where AWS is configured, in the account.

Checks run at the same time, each in a thread of its own: none can stop the others or make them wait.
"""

from __future__ import annotations

import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from burst_magic import folders, launchers
from burst_magic.config import IMAGE
from burst_magic.errors import BurstError
from burst_magic.plan.finding import Finding, bad, ok
from burst_magic.plan.shapes import choose

if TYPE_CHECKING:
    from burst_magic.config import Settings
    from burst_magic.launchers.base import Launcher

WITHIN = 60.0  # seconds; AWS is asked with shorter limits
_SKEW = 60.0  # seconds that a clock may be off: deadlines are kept by it, and AWS refuses requests five minutes off
Check = Callable[[], "list[Finding]"]


def examine(settings: Settings, *, within: float = WITHIN) -> list[Finding]:
    """Run all checks; a fault in one doesn't hide the next.

    Args:
        settings: the user's.
        within: seconds that all of them may take together.
    """
    return run({**_here(settings), **_account(settings)}, within=within)


def run(checks: Mapping[str, Check], *, within: float) -> list[Finding]:
    """Run checks at the same time; what has not answered in time is said to hang.

    Args:
        checks: by what they are about, in the order in which they are told.
        within: seconds.
    """
    answers: dict[str, list[Finding]] = {}
    threads = {
        what: threading.Thread(target=_answer, args=(answers, what, check), name=f"doctor: {what}", daemon=True)
        for what, check in checks.items()
    }
    end = time.monotonic() + within
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join(max(0.0, end - time.monotonic()))
    late = f"no answer within {within:.0f} s"
    silent = {what: [bad(what, late, "check the network and AWS_ENDPOINT_URL, then try again")] for what in checks}
    return [each for what in checks for each in answers.get(what, silent[what])]


def _answer(answers: dict[str, list[Finding]], what: str, check: Check) -> None:
    try:
        answers[what] = check()
    except BurstError as error:
        answers[what] = [bad(what, error.problem, error.way_out)]
    except Exception as error:  # noqa: BLE001 - a fault of ours must not hide what others have found
        answers[what] = [bad(what, f"the check itself failed: {error!r}", "report it, please")]


def _here(settings: Settings) -> dict[str, Check]:
    """What is checked for everybody. Workers are only started where that costs nothing."""
    place = _directories(settings)
    checks: dict[str, Check] = {
        "python": lambda: [ok("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")],
        "directories": lambda: [place],
    }
    if place.good or not settings.store.startswith(f"{settings.data_dir.as_uri()}/"):
        checks["store"] = lambda: _store(settings)
    if not place.good:  # all that follows would say the same
        return checks
    mine = [name for name in launchers.parse(settings.launcher) if not launchers.traits(name)[name].needs]
    if mine:
        checks["workers"] = lambda: [_workers(name, settings) for name in mine]
    return checks


def _account(settings: Settings) -> dict[str, Check]:
    """What is checked in the account; nothing where nothing of AWS is configured."""
    terms = launchers.traits(settings.launcher, fallback=settings.spot_fallback)
    missing = sorted({f"aws.{need}" for each in terms.values() for need in each.needs if not settings.aws.get(need)})
    if not settings.aws and not missing and not settings.store.startswith("s3:"):
        return {}
    from burst_magic.environment.image_check import about_image
    from burst_magic.launchers.checkup import CheckedFleet, Checkup

    fleet = CheckedFleet(
        options=settings.aws,
        store=settings.store,
        workers=settings.workers,
        cpu=choose(settings.cpu, settings.memory, slots=settings.slots).cpu,
        arch=settings.arch or "",
        image=settings.env.removeprefix(IMAGE) if settings.env.startswith(IMAGE) else "",
        python=".".join(platform.python_version_tuple()[:2]),
        syncs=settings.env == "sync" and all(each.syncs for each in terms.values()),
        quotas={name: each.quota for name, each in terms.items() if each.quota is not None},
    )

    def about(image: str, arch: str) -> tuple[str, ...]:
        return about_image(f"{IMAGE}{image}", python=platform.python_version(), arch=arch)

    found = Checkup(fleet, about_image=about).checks()
    if missing:
        lacks = bad("settings", f"{settings.launcher} is not set up: no {', '.join(missing)}", "burst setup")
        return {**found, "settings": lambda: [lacks]}
    return found


def _directories(settings: Settings) -> Finding:
    for folder in (settings.config_dir, settings.data_dir):
        try:
            folders.make(folder)
        except BurstError as error:
            return bad("directories", f"{error.problem} ({error.context})", error.way_out)
        if not os.access(folder, os.W_OK):
            problem = f"{folder} is not writable"
            return bad("directories", problem, "set BURST_CONFIG_DIR and BURST_DATA_DIR to writable folders")
    return ok("directories", f"{settings.config_dir}, {settings.data_dir}")


def _store(settings: Settings) -> list[Finding]:
    """Try each store operation once, on a separate key; look at the store's clock."""
    from burst_magic.session.own_store import open_own_store
    from burst_magic.stores.probe import keeps_the_first

    try:
        store = open_own_store(settings.store, settings)
        key, data = f"doctor/{secrets.token_hex(8)}", secrets.token_bytes(64)
        began, now = time.monotonic(), time.time()
        store.put(key, data)
        try:
            listed = store.list("doctor", after=key[:-1], limit=1)
            whole = store.get(key) == data and [entry.key for entry in listed] == [key]
        finally:
            store.delete([key])
        took = 1000 * (time.monotonic() - began)
        first = keeps_the_first(store)
    except OSError as error:
        return [bad("store", f"{settings.store}: {error}", "choose another folder: burst config store=file:///DIR")]
    except BurstError as error:
        return [bad("store", f"{settings.store}: {error.problem}", error.way_out or "check the store's URL")]
    if not whole:
        return [bad("store", f"{settings.store} returned something other than what was put", "use another store")]
    said = f"{settings.store}, {took:.0f} ms for put, get, list and delete"
    if not first:
        return [
            bad(
                "store",
                f"{said}; it ignores conditional writes (If-None-Match)",
                "update the server, or use another store",
            )
        ]
    return [ok("store", f"{said}; a second create is refused"), clock(listed[0].modified, now)]


def clock(there: float, here: float) -> Finding:
    """This machine's clock beside the store's; both in seconds since the epoch."""
    off = here - there
    if abs(off) > _SKEW:
        way_out = "set it: timedatectl set-ntp true, or the system's settings for date and time"
        return bad("clock", f"it is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the store's", way_out)
    return ok("clock", f"{abs(off):.0f} s from the store's")


def _workers(name: str, settings: Settings) -> Finding:
    """Start a real worker; it finds that its session doesn't exist, and exits."""
    began = time.monotonic()
    try:
        _try_worker(launchers.open_launcher(name, logs=settings.logs_dir), settings)
    except BurstError as error:
        where = f" ({error.context})" if error.context else ""
        return bad("workers", f"{name}: {error.problem}{where}", error.way_out or "see burst logs")
    return ok("workers", f"{name}: started one in {1000 * (time.monotonic() - began):.0f} ms")


def _try_worker(launcher: Launcher, settings: Settings) -> None:
    from burst_magic.launchers.base import Refusal, Start, WorkerState
    from burst_magic.session.submit import new_session_id
    from burst_magic.stores import open_store

    store = (settings.data_dir / "doctor").as_uri() if launcher.traits.here else settings.store
    if launcher.traits.here:  # a worker waits for a folder that is not there
        open_store(store).put("doctor", b"")
    start = Start(
        store=store,
        sid=new_session_id(time.time()),
        secret=secrets.token_hex(32),
        token=secrets.token_hex(8),
        number=0,
    )
    (handle,) = launcher.start([start])
    if isinstance(handle, Refusal):
        raise BurstError(handle.problem, context=handle.context)
    within = min(launcher.traits.starting_within, WITHIN / 2)  # it is stopped before the doctor gives up
    end = time.monotonic() + within
    while (status := launcher.describe([handle])[handle.wid]).state is not WorkerState.ENDED:
        if time.monotonic() > end:
            launcher.stop(handle, kill=True)
            raise BurstError(
                f"a worker did not start within {within:.0f} s",
                context=launcher.log(handle)[-500:],
            )
        time.sleep(0.01)
    if status.exit_code:
        raise BurstError("a worker failed to start", context=launcher.log(handle)[-500:])
