"""The connections between the supervisor and a slot's process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import sys
from typing import NamedTuple

from burst_magic.worker.channel.board import SHARED_BYTES, Shared, anonymous_file, nameless_file

F_SETPIPE_SZ = 1031  # Linux; missing in fcntl if Python was built with old headers
PIPE_BYTES = 1 << 20


class Wires(NamedTuple):
    """The supervisor's ends of the connections to a slot's process."""

    control: socket.socket
    notes: int
    shared: Shared
    output: int


def connect() -> tuple[Wires, tuple[int, int, int, int]]:
    """Return our ends, and the descriptors for the process: control, notes, memory, output."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)  # noqa: FBT003 - its name in the standard library
    notes_r, notes_w = os.pipe()
    os.set_blocking(notes_r, False)
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError):  # the user's quota for pipes is exceeded; the default size suffices
            fcntl.fcntl(notes_w, F_SETPIPE_SZ, PIPE_BYTES)
    memory, printed = anonymous_file(SHARED_BYTES), nameless_file()
    wires = Wires(ours, notes_r, Shared(memory), printed)
    return wires, (theirs.detach(), notes_w, memory, os.dup(printed))
