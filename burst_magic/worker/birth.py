"""A worker's birth: through a pipe if its launcher runs on this machine, otherwise through its environment.

The environment names the store, the session, the start's token and the fingerprint of the session's key. The key is
an object in the store that the worker may read and not list. It is believed only if it has that fingerprint, so whoever
can merely write to the store cannot forge a session. The engine that runs the worker tells it its own name.
Only the standard library is used here: a template is forked before anything else is loaded.
"""

from __future__ import annotations

import json
import math
import os
import socket
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from burst_magic.dataclass import dataclass
from burst_magic.errors import Denied, KeyRefused, LaunchError, Missing
from burst_magic.protocol.wire import keys, sign
from burst_magic.protocol.wire.summons import Summons

_BYTES = 1 << 16  # received at a time
_METADATA = "ECS_CONTAINER_METADATA_URI_V4"
_PATIENCE = 10.0  # seconds that an engine may take to say what it calls us


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """Who a worker is.

    Attributes:
        secret: the session's key.
        token: names the start that it answers.
        wid: what its launcher calls it.
        number: its place in the fleet, where the launcher knows it.
        handle: the launcher's, as JSON: any client can look after the worker.
        grace: seconds that its engine leaves it after SIGTERM.
        billed_from: seconds since the epoch, as its engine says; 0: from now on.
    """

    store: str
    sid: str
    secret: bytes = field(repr=False)
    token: str
    wid: str
    number: int | None = None
    handle: str = ""
    grace: float = math.inf
    billed_from: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How a local worker gets at its store: a command that prints credentials, memory where they were put already."""

    command: tuple[str, ...] = ()
    handed: int | None = None


def hear(descriptor: int) -> tuple[Birth, Credentials]:
    """What the launcher says by an inherited socket or pipe; what it says beyond that is for newer workers."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        with open(descriptor, "rb", closefd=False) as pipe:
            return _understood(json.loads(pipe.read()), None)
    with socket.socket(fileno=os.dup(descriptor)) as line:
        data, descriptors, _, _ = socket.recv_fds(line, _BYTES, 1)
        while more := line.recv(_BYTES):
            data += more
    for each in descriptors:
        os.set_inheritable(each, False)  # noqa: FBT003 - what came by a socket is, other than the rest
    return _understood(json.loads(data), descriptors[0] if descriptors else None)


def _understood(words: dict[str, Any], handed: int | None) -> tuple[Birth, Credentials]:
    birth = Birth(
        store=words["store"],
        sid=words["sid"],
        secret=bytes.fromhex(words["secret"]),
        token=words["token"],
        wid=words["wid"],
        number=words.get("number"),
        handle=words.get("handle", ""),
    )
    return birth, Credentials(command=tuple(words.get("credentials", ())), handed=handed)


def answer(summons: Summons, fetch: Callable[[str], bytes], variables: Mapping[str, str]) -> Birth:
    """Reads the key that the environment names, and asks the engine for a name.

    Args:
        summons: what the environment says.
        fetch: the bytes of an object of the store.
        variables: of the process.

    Raises:
        KeyRefused: the object is not the session's key, or cannot be read.
        LaunchError: the engine does not answer.
    """
    secret = _key(summons, fetch)
    name = own_name(variables) or Name(wid=f"{summons.launcher}-{summons.token}")
    handle = {"launcher": summons.launcher, "wid": name.wid, "token": summons.token, "data": name.data}
    return Birth(
        store=summons.store,
        sid=summons.sid,
        secret=secret,
        token=summons.token,
        wid=name.wid,
        number=summons.number,
        handle=json.dumps(handle, separators=(",", ":")),
        grace=summons.grace,
        billed_from=name.billed_from,
    )


def _key(summons: Summons, fetch: Callable[[str], bytes]) -> bytes:
    """The session's key. No message contains its fingerprint, with which a task could read it."""
    where = f"keys/{summons.sid}.…"
    try:
        secret = fetch(keys.session_key(summons.sid, summons.fingerprint))
    except (Missing, Denied) as fault:
        # S3 denies an object that is not there to whoever may not list, as workers may not.
        why = "is not in the store" if isinstance(fault, Missing) else "may not be read, or is not there"
        raise KeyRefused(f"the key of this session {why}", context=where, way_out=fault.way_out) from None
    if sign.fingerprint(secret) != summons.fingerprint:
        raise KeyRefused("stored key doesn't match its fingerprint", context=where)
    return secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A worker as its engine knows it.

    Attributes:
        data: what its launcher needs to find it again.
        billed_from: seconds since the epoch; 0 where the engine does not say.
    """

    wid: str
    data: Mapping[str, str] = field(default_factory=dict)
    billed_from: float = 0.0


def own_name(variables: Mapping[str, str]) -> Name | None:
    """What the engine calls this worker; None where no engine is known.

    Another engine is another branch here: whatever its launcher calls a worker, the worker must call itself.
    """
    if metadata := variables.get(_METADATA):
        import urllib.request  # 20 ms, and a local worker has no use for it

        try:
            with urllib.request.urlopen(f"{metadata}/task", timeout=_PATIENCE) as answer:  # noqa: S310 - the agent's
                task = json.load(answer)
            arn = str(task["TaskARN"])
        except (OSError, ValueError, KeyError) as error:
            raise LaunchError(f"could not read the task ARN from ECS metadata: {error}") from error
        data = {"arn": arn, "definition": f"{task.get('Family', '')}:{task.get('Revision', '')}"}
        return Name(wid=arn.rpartition("/")[2], data=data, billed_from=_seconds(task.get("PullStartedAt", "")))
    return None


def _seconds(text: str) -> float:
    """Since the epoch, of a time as the agent writes it (UTC, nanoseconds); 0 where there is none."""
    import calendar  # 2 ms, and a local worker has no use for it

    try:
        return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    except ValueError:
        return 0.0
