"""The user's list of sessions: one JSON object per line, appended before anything is launched."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

from burst_magic import folders
from burst_magic.dataclass import dataclass
from burst_magic.protocol.wire.fitting import LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedJob:
    """One job that this user started from this machine.

    ``id`` is the session's, ``name`` the job's label, ``out`` the name its results were bound to; ``cell`` tells its
    cell from all others, ``process`` the kernel that started it."""

    id: str
    job: str
    store: str
    created: float
    name: str = ""
    notebook: str = ""
    out: str = ""
    cell: str = ""
    process: str = ""


_FIELDS = {each.name: (int, float) if each.name == "created" else (str,) for each in fields(ListedJob)}


def append(path: Path, line: ListedJob) -> None:
    """Append a line in a single write, so that lines of two kernels don't mix."""
    with folders.told(path), _alone(path), folders.opened(path, "ab") as file:
        file.write(json.dumps(asdict(line)).encode() + b"\n")


def read(path: Path) -> list[ListedJob]:
    """All lines, oldest first; damaged or foreign lines are skipped."""
    try:
        lines = folders.read(path).decode(errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise folders.refused(path, error) from None
    return [found for line in lines if (found := _parsed(line)) is not None]


def remove(path: Path, sid: str, *, job: str = "") -> None:
    """Remove a session from the list, or one job of it. Lines that this version cannot read are kept."""
    if not path.exists():
        return
    with folders.told(path), _alone(path):
        lines = folders.read(path).splitlines(keepends=True)
        kept = [line for line in lines if not _names(line.decode(errors="replace"), sid, job)]
        if len(kept) < len(lines):
            draft = path.with_suffix(".new")
            draft.write_bytes(b"".join(kept))
            draft.replace(path)


def _names(text: str, sid: str, job: str) -> bool:
    line = _parsed(text)
    return line is not None and line.id == sid and (not job or line.job == job)


def _parsed(text: str) -> ListedJob | None:
    """Ignores fields that a newer version has added; None if it is no line of ours."""
    try:
        said = {name: value for name, value in json.loads(text).items() if name in _FIELDS}
        line = ListedJob(**said)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
    fit = all(type(value) in _FIELDS[name] for name, value in said.items())
    return line if fit and -LATEST < line.created < LATEST else None


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Exclude other writers: a rewrite must not lose a line that another kernel appends."""
    folders.make(path.parent)
    with folders.opened(path.with_suffix(".lock"), "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
