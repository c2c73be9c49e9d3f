"""The user's list of sessions: one JSON object a line, appended before anything is launched."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterLine:
    """One job that this user started from this machine.

    ``id`` is the session's, ``out`` the name its results were bound to."""

    id: str
    job: str
    store: str
    created: float
    name: str = ""
    notebook: str = ""
    out: str = ""


def append(path: Path, line: RosterLine) -> None:
    """Adds a line. A single write, so that two kernels do not mix theirs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(json.dumps(asdict(line)).encode() + b"\n")


def read(path: Path) -> list[RosterLine]:
    """All lines, oldest first; a torn or foreign line is passed over."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(RosterLine(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def remove(path: Path, sid: str) -> None:
    """Takes a session off the list."""
    kept = [line for line in read(path) if line.id != sid]
    draft = path.with_suffix(".new")
    draft.write_text("".join(json.dumps(asdict(line)) + "\n" for line in kept), encoding="utf-8")
    draft.replace(path)
