"""Whether a session's workers have other packages than a new session would get, for a cell that is added to it."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING

from burst_magic.errors import BurstError
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.lock import Lock

if TYPE_CHECKING:
    from burst_magic.capture.cell import Capture
    from burst_magic.config import Settings
    from burst_magic.session.session import Session

_SHOWN = 6  # packages in the message


def about_packages(session: Session, capture: Capture, settings: Settings) -> str:
    """The difference in words, or "": they are the same, or it brings no packages, or that cannot be told."""
    manifest = session.manifest
    if not manifest.bundle:
        return ""
    from burst_magic.environment.sync import prepare  # other sessions have no use for it

    imported = [name for name, _ in capture.modules]
    setenv = [name for name, _ in manifest.setenv]
    try:
        python = platform.python_version()
        here = prepare(settings, python=python, arch=manifest.arch, imported=imported, setenv=setenv)
        if here.lock == manifest.lock:
            return ""
        there = _read(session) if manifest.lock else {}
    except BurstError:
        return ""
    said = differences(dict(here.resolved.lock.versions), there)
    return f"workers of session {session.id} keep the packages that they have: {said}" if said else ""


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """Name -> version of either, compared: "numpy 2.1 (here 2.2), no pandas".

    >>> differences({"numpy": "2.2", "pandas": "3.0"}, {"numpy": "2.1"})
    'numpy 2.1 (here 2.2), no pandas'
    """
    said = []
    for name in sorted(here):
        if name not in there:
            said.append(f"no {name}")
        elif there[name] != here[name]:
            said.append(f"{name} {there[name]} (here {here[name]})")
    more = [f"and {len(said) - _SHOWN} more"] if len(said) > _SHOWN else []
    return ", ".join([*said[:_SHOWN], *more])


def _read(session: Session) -> dict[str, str]:
    """Of the session's lock, as its manifest names it."""
    data = session.store.get(keys.env(session.manifest.lock))
    matches = hashlib.sha256(data).hexdigest() == session.manifest.lock
    return dict(Lock.from_bytes(data).versions) if matches else {}
