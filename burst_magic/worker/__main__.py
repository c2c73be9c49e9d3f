"""``python -m burst_magic.worker [--cwd FOLDER]``: hears what it is for, joins, works, ends.

A worker whose stdin is a socket or a pipe is told there who it is: the template that forks slots starts first, before
the key is read and before obstore brings threads. Any other finds it in its environment: it joins, says that it is
installing, and starts the template when the slots' Python is there.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import stat
import sys
from typing import TYPE_CHECKING

from burst_magic.protocol.exits import ExitCode

if TYPE_CHECKING:
    from burst_magic.protocol.wire.model import EndCause


def main() -> int:
    """Run one worker; return the exit code."""
    gc.disable()  # what is imported stays: a tenth of the time to the first claim is spent looking for garbage in it
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # SIGUSR1 ("news") must not kill the process before it has a handler
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})  # the launcher blocked it until here
    option, cwd = sys.argv[1:] or ("--cwd", "")  # argparse would take a tenth of the time to the first claim
    if option != "--cwd":
        raise SystemExit(__doc__)
    sys.path[:] = [place for place in sys.path if place not in {"", os.getcwd()}]

    from burst_magic.errors import BurstError, KeyRefused
    from burst_magic.worker import family, prctl

    prctl.adopt_orphans()  # of a template that a task ended
    _dump_no_core()

    try:
        cause = _born(cwd or None) if _is_told() else _summoned(cwd or None)
    except BurstError as problem:
        sys.stderr.write(f"{problem}\n")
        return ExitCode.UNTRUSTED if isinstance(problem, KeyRefused) else ExitCode.REFUSED
    finally:
        family.end_descendants(os.getpid())
    logging.getLogger(__name__).warning("ended: %s", cause.value)

    from burst_magic.protocol.worker.leaving import exit_code

    return exit_code(cause)


def _dump_no_core() -> None:
    """A core of this process or of a task would hold the session's key, credentials, and the variables of ``--setenv``.

    One byte is the limit that the system also keeps where it hands cores to a program. A task may raise it for itself.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (1 if most else 0, most))


def _is_told() -> bool:
    mode = os.fstat(0).st_mode
    return stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode)


def _born(cwd: str | None) -> EndCause:
    """By a pipe: a process of the machine that its launcher runs on, with the kernel's own Python."""
    from burst_magic.worker import birth, prctl
    from burst_magic.worker.forkserver import Template

    template = Template.start(cwd)
    prctl.conceal()  # this process will hold the key and credentials; template and slots, which do not, can be traced
    born, credentials = birth.hear(0)
    _log()

    from burst_magic.stores import open_store
    from burst_magic.worker.supervisor import join

    provider = None
    if credentials.command:
        from burst_magic.stores.command import from_command
        from burst_magic.stores.handed import HandedOn

        handed = None if credentials.handed is None else HandedOn(credentials.handed)
        provider = from_command(list(credentials.command), handed=handed)
    store = open_store(born.store, credentials=provider, there=True)
    _collect_again()
    return join(born, store, template)


def _summoned(cwd: str | None) -> EndCause:
    """By its environment."""
    from burst_magic import config
    from burst_magic.protocol.wire.summons import PREFIX, Summons
    from burst_magic.worker import birth, prctl
    from burst_magic.worker.watchdog import Leash

    prctl.conceal()  # tasks must not read the key in this process's memory, nor its initial environment
    said = config.take_variables(PREFIX)  # no task inherits them
    leash, summons = Leash.found(said), Summons.found(said)
    _log()

    from burst_magic.stores import open_store
    from burst_magic.stores.retry import slept
    from burst_magic.stores.store_driver import Carrier
    from burst_magic.worker.install import Installer
    from burst_magic.worker.stage import Staging
    from burst_magic.worker.supervisor import fetch_key, join

    store = open_store(summons.store)
    born = birth.answer(summons, lambda key: fetch_key(store, key), config.environment())
    installer = Installer(carrier=Carrier(store, born.secret, slept), wid=born.wid, packs=not born.number)
    _collect_again()
    return join(born, store, Staging(cwd=cwd, install=installer.python, doing=lambda: installer.doing), leash)


def _collect_again() -> None:
    """All is imported: from now on there is garbage, and none of it among what is there already."""
    gc.freeze()
    gc.enable()


def _log() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
