"""The folder of what local workers print: the newest sessions' files are kept, older ones are deleted."""

from __future__ import annotations

import contextlib
import fcntl
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from burst_magic import folders
from burst_magic.errors import RecordError
from burst_magic.launchers.base import Handle
from burst_magic.protocol.wire.keys import is_session_id

KEPT = 500  # sessions
_OURS = (".log", ".handle")


def make_room(folder: Path, lives: Callable[[Handle], bool], *, kept: int = KEPT) -> int:
    """Delete the files of all but the newest sessions, unless a worker lives; returns the number of files.

    Args:
        folder: with ``<session>.<token>.log`` and ``.handle``; other files are left alone.
        lives: whether a worker does.
        kept: number of sessions.
    """
    sessions: dict[str, list[Path]] = defaultdict(list)
    for path in folder.iterdir():
        sid = path.name.partition(".")[0]
        if path.suffix in _OURS and is_session_id(sid):
            sessions[sid].append(path)
    deleted = 0
    for sid in sorted(sessions)[:-kept]:  # ids begin with their time
        if not any(_is_needed(path, lives) for path in sessions[sid] if path.suffix == ".handle"):
            for path in sessions[sid]:
                with contextlib.suppress(OSError):
                    path.unlink()
                    deleted += 1
    return deleted


def forget(folder: Path, sid: str) -> None:
    """Delete the files of one session, whose workers have ended."""
    for path in folder.glob(f"{sid}.*") if is_session_id(sid) else ():
        if path.suffix in _OURS:
            with contextlib.suppress(OSError):
                path.unlink()


def _is_needed(path: Path, lives: Callable[[Handle], bool]) -> bool:
    """Whether a worker lives, or is just being started."""
    try:
        with folders.opened(path, "r") as record:
            fcntl.flock(record, fcntl.LOCK_SH | fcntl.LOCK_NB)
            text = record.read()
        return bool(text) and lives(Handle.from_json(text))
    except (FileNotFoundError, RecordError):
        return False
    except OSError:  # another process is at it
        return True
