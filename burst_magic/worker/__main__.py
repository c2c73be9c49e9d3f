"""``python -m burst_magic.worker [--cwd FOLDER]``: reads its birth from stdin (an inherited pipe), joins, works, ends.

The template that forks slots starts first, before the key is read and before obstore brings threads.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys


def main() -> int:
    """One worker's life; returns the exit code."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # "there is news" is no reason to end before it can be heard
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})  # the launcher blocked it until here
    option, cwd = sys.argv[1:] or ("--cwd", "")  # argparse would take a tenth of the time until the first claim
    if option != "--cwd":
        raise SystemExit(__doc__)
    sys.path[:] = [place for place in sys.path if place not in {"", os.getcwd()}]

    from burst_magic.worker.template import Template

    template = Template.start(cwd or None)
    words = json.loads(sys.stdin.buffer.read())
    sys.stdin.close()
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

        credentials = from_command(words["credentials"])
    cause = join(birth, open_store(birth.store, credentials=credentials), template)
    logging.getLogger(__name__).warning("ended: %s", cause.value)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
