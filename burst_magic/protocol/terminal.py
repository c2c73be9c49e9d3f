"""A text as a terminal shows it after the cursor has moved. Pure."""

from __future__ import annotations

import re

_MOVES = re.compile(r"(\n|\x1b\[\d{0,4}A|\x1b\[[012]?K)")  # down, up, erase the line


def as_seen(text: str) -> str:
    """Apply carriage returns, erased lines and moves upwards: of progress bars, nested ones too, the last state.

    What is written after a carriage return replaces its line as a whole, however short it is.
    """
    if "\x1b[" not in text:
        return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")) if "\r" in text else text
    lines: list[list[str]] = [[]]  # in parts, since a line may be long, and be written in many
    row, anew = 0, True  # anew: the cursor is at the beginning of its line
    for piece in _MOVES.split(text):
        if piece == "\n":
            row, anew = row + 1, True
            if row == len(lines):
                lines.append([])
        elif piece.startswith("\x1b[") and piece.endswith("A"):
            row = max(0, row - int(piece[2:-1] or 1))
        elif piece.startswith("\x1b[") and piece.endswith("K"):
            if anew or piece == "\x1b[2K":
                lines[row].clear()
        else:
            anew = _written(lines[row], piece, anew=anew)
    return "\n".join(map("".join, lines))


def _written(line: list[str], text: str, *, anew: bool) -> bool:
    """Write on a line; returns whether the cursor is at its beginning afterwards."""
    for number, part in enumerate(text.split("\r")):
        anew = anew or number > 0
        if part:
            if anew:
                line.clear()
            line.append(part)
            anew = False
    return anew
