"""Find the sessions that a saved notebook started.

The views put ``{"burst_magic": {"session", "job", "out", …}}`` into the metadata of their outputs; it survives
saving, a dead kernel and a copy to another machine. On saving, the lab extension gathers these marks in the notebook's
own metadata as ``{"burst_magic": {"sessions": […], "since": …}}``: they survive cleared outputs, too. What began before
``since`` was started by an earlier notebook of the same name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from burst_magic import folders
from burst_magic.errors import AttachError

META = "burst_magic"
SUFFIX = ".ipynb"
_LARGEST = 1 << 30  # bytes of a notebook that is read
_OURS = 4  # the major version of notebooks' format that may hold marks
_FORMATS = (2, 3, _OURS)  # the first one has no cells
NO_CELL = -1


class Started(NamedTuple):
    """One ``%%burst`` of a notebook.

    Attributes:
        session: its id.
        job: its id within the session, or "" if the notebook doesn't record it.
        out: the name its results were bound to, or "".
        cell: index of the cell in the notebook, or ``NO_CELL`` if its output was cleared.
    """

    session: str
    job: str
    out: str
    cell: int


def marks_of(path: Path | str) -> tuple[list[Started], float]:
    """The sessions that a saved notebook names, newest last, and since when others may be its own, too.

    Returns:
        The sessions, and the time in seconds since the epoch; 0.0 if it is not known.

    Raises:
        AttachError: the file is missing, damaged, not a notebook, or of a later format than 4.
    """
    notebook = _read(Path(path))
    found = [
        (_number(mark.get("created")), Started(mark["session"], _text(mark, "job"), _text(mark, "out"), index))
        for index, mark in _marks(notebook)
    ]
    newest: dict[tuple[str, str, str], tuple[float, Started]] = {}
    for created, started in sorted(found, key=lambda one: (one[0], one[1].session)):
        newest.pop(started[:3], None)
        newest[started[:3]] = (created, started)
    own = _mapping(_mapping(_mapping(notebook).get("metadata")).get(META))
    return [started for _, started in newest.values()], _number(own.get("since"))


def this_notebook(shell: object, hints: Mapping[str, str]) -> Path | None:
    """The running notebook's file, or None if unknown.

    VS Code sets it in the user's namespace, Jupyter servers in the kernel's environment (and IPython's
    ``__session__``); nbclient sets neither. The server's name is stale after a rename until a restart, and a kernel
    started from another kernel inherits it, so only an existing file counts.

    Args:
        shell: IPython's shell, or None.
        hints: the environment, as far as ``config`` hands it out (``JPY_SESSION_NAME``).
    """
    names: Mapping[str, Any] = getattr(shell, "user_ns", None) or {}
    for said in (names.get("__vsc_ipynb_file__"), names.get("__session__"), hints.get("JPY_SESSION_NAME")):
        if isinstance(said, str) and said.endswith(SUFFIX):
            path = Path(said)
            if path.is_file():
                return path.absolute()
    return None


def _read(path: Path) -> Mapping[str, object]:
    """The notebook as its JSON has it. Not validated: an older or newer version may have written it.

    nbformat's import takes a second or two where JupyterLab is installed, for a validation that isn't wanted here.
    Formats 2 and 3 are older than burst_magic and hold no marks. One later than 4 might hold them anywhere: refused.
    """
    if not path.is_file():
        raise AttachError("No such notebook.", context=str(path), way_out="save it first, or give the session's id")
    try:
        notebook = json.loads(folders.read(path, most=_LARGEST).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(notebook, dict) or not {"cells", "worksheets"} & notebook.keys():
        raise _unreadable(path, "it has no cells")
    version = notebook.get("nbformat", "missing")
    if version not in _FORMATS:
        raise _unreadable(path, f"its nbformat is {version}; 2, 3 and 4 can be read")
    if version == _OURS and not _has_cells(notebook):
        raise _unreadable(path, "its cells are damaged")
    return notebook


def _has_cells(notebook: Mapping[str, object]) -> bool:
    """Whether cells and outputs are lists of objects, so that no mark is missed in a damaged file."""
    cells = notebook.get("cells")
    if not _are_objects(cells):
        return False
    return all(_are_objects(cell.get("outputs", [])) for cell in cells)


def _are_objects(value: object) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(value, list) and all(isinstance(each, Mapping) for each in value)


def _unreadable(path: Path, why: str) -> AttachError:
    return AttachError(
        "This file cannot be read as a notebook.",
        context=f"{path}: {why[:200]}",
        way_out="give the session's id (%burst_sessions lists them)",
    )


def _marks(notebook: object) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """burst_magic's metadata of a notebook and of its cells' outputs; anything of another shape is ignored."""
    for mark in _list(_mapping(_mapping(notebook).get("metadata")).get(META), "sessions"):
        if _is_mark(mark):
            yield NO_CELL, mark
    for index, cell in enumerate(_list(notebook, "cells")):
        for output in _list(cell, "outputs"):
            mark = _mapping(_mapping(output).get("metadata")).get(META)
            if _is_mark(mark):
                yield index, mark


def _is_mark(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether this names a job that the notebook started; one that its user has refused was perhaps another's."""
    if not isinstance(value, Mapping) or not isinstance(value.get("session"), str):
        return False
    return bool(value["session"]) and value.get("refused") is not True


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object, key: str) -> list[Any]:
    found = _mapping(value).get(key)
    return found if isinstance(found, list) else []


def _text(mark: Mapping[str, Any], key: str) -> str:
    value = mark.get(key)
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
