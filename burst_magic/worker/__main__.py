"""``python -m burst_magic.worker [--cwd FOLDER]``: hears its birth on stdin, joins, works, ends.

The template that forks slots starts first, before the key is read and before obstore brings threads.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import stat
import sys
from typing import Any

_BIRTH_BYTES = 1 << 16  # received at a time


def main() -> int:
    """One worker's life; returns the exit code."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # "there is news" is no reason to end before it can be heard
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})  # the launcher blocked it until here
    option, cwd = sys.argv[1:] or ("--cwd", "")  # argparse would take a tenth of the time until the first claim
    if option != "--cwd":
        raise SystemExit(__doc__)
    sys.path[:] = [place for place in sys.path if place not in {"", os.getcwd()}]

    from burst_magic.worker.forkserver import Template

    template = Template.start(cwd or None)
    words, handed = _hear()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)

    from burst_magic.stores import open_store
    from burst_magic.worker.supervisor import Birth, join

    birth = Birth(
        store=words["store"],
        sid=words["sid"],
        secret=bytes.fromhex(words["secret"]),
        token=words["token"],
        wid=words["wid"],
        number=words["number"],
        handle=words["handle"],
    )
    credentials = None
    if words["credentials"]:
        from burst_magic.stores.command import from_command
        from burst_magic.stores.handed import HandedOn

        credentials = from_command(words["credentials"], handed=None if handed is None else HandedOn(handed))
    cause = join(birth, open_store(birth.store, credentials=credentials), template)
    logging.getLogger(__name__).warning("ended: %s", cause.value)
    return 0


def _hear() -> tuple[dict[str, Any], int | None]:
    """What it is told by a socket or a pipe, and the descriptor that may come with it."""
    if not stat.S_ISSOCK(os.fstat(0).st_mode):
        return json.loads(sys.stdin.buffer.read()), None
    with socket.socket(fileno=os.dup(0)) as birth:
        data, descriptors, _, _ = socket.recv_fds(birth, _BIRTH_BYTES, 1)
        while more := birth.recv(_BIRTH_BYTES):
            data += more
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - what came by a socket is, other than the rest
    return json.loads(data), descriptors[0] if descriptors else None


if __name__ == "__main__":
    raise SystemExit(main())
