"""Describe a task's failure. Safe against errors of user code in repr, str or reduce."""

from __future__ import annotations

import contextlib
import os
import reprlib
import traceback
from collections.abc import Iterator

from burst_magic.payload.exceptions import MESSAGE_CHARS, text_of, type_name

__all__ = ["MESSAGE_CHARS", "name_of", "short_repr", "text_of", "traceback_of", "type_name"]

TRACEBACK_CHARS = 40_000
REPR_CHARS = 200

_OURS = os.path.dirname(os.path.dirname(__file__)) + os.sep


def short_repr(value: object) -> str:
    """The value's repr, truncated."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = REPR_CHARS
    short.maxlist = short.maxtuple = short.maxdict = short.maxset = 20
    try:
        return short.repr(value)[:REPR_CHARS]
    except BaseException:  # noqa: BLE001 - a __repr__ is user code
        return "(its repr() failed)"


def name_of(error: BaseException) -> str:
    """The exception's type."""
    return type_name(type(error))


def traceback_of(error: BaseException, filename: str) -> str:
    """The traceback from the cell on, without frames of burst_magic, including chained exceptions."""
    text = ""
    with contextlib.suppress(BaseException):  # a __str__ or a __repr__ is user code
        shown = traceback.TracebackException(type(error), error, error.__traceback__)
        for part in _all(shown):
            part.stack[:] = _trimmed(part.stack, filename)
        text = "".join(shown.format())
    if len(text) > TRACEBACK_CHARS:
        half = TRACEBACK_CHARS // 2
        text = f"{text[:half]}\n  …\n{text[-half:]}"
    return text


def _all(shown: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """The exception, its chain, and the members of groups."""
    parts = [shown]
    for part in parts:  # grows while it runs
        yield part
        further = (part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ()))
        parts.extend(other for other in further if other is not None)


def _trimmed(frames: list[traceback.FrameSummary], filename: str) -> list[traceback.FrameSummary]:
    files = [frame.filename for frame in frames]
    first = files.index(filename) if filename in files else 0
    return [frame for frame in frames[first:] if not frame.filename.startswith(_OURS)]
