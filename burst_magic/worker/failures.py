"""What a task's failure looks like from outside. Safe against whatever user code does in repr, str or reduce."""

from __future__ import annotations

import contextlib
import os
import reprlib
import traceback
import types

MESSAGE_CHARS = 10_000
TRACEBACK_CHARS = 40_000
REPR_CHARS = 200

_OURS = tuple(os.path.join(os.path.dirname(os.path.dirname(__file__)), part) + os.sep for part in ("worker", "payload"))


def short_repr(value: object) -> str:
    """The value's repr, bounded."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = REPR_CHARS
    short.maxlist = short.maxtuple = short.maxdict = short.maxset = 20
    try:
        return short.repr(value)[:REPR_CHARS]
    except BaseException:  # noqa: BLE001 - a __repr__ is user code
        return "(its repr failed)"


def type_name(kind: type) -> str:
    """A type as people write it."""
    own = kind.__module__ in {"builtins", "__main__"}
    return kind.__qualname__ if own else f"{kind.__module__}.{kind.__qualname__}"


def name_of(error: BaseException) -> str:
    """The exception's type."""
    return type_name(type(error))


def text_of(error: BaseException) -> str:
    """The exception's text, bounded."""
    try:
        return str(error)[:MESSAGE_CHARS]
    except BaseException:  # noqa: BLE001 - a __str__ is user code
        return "(its text failed)"


def traceback_of(error: BaseException, filename: str) -> str:
    """The traceback from the cell on, with none of our frames."""
    text = ""
    with contextlib.suppress(BaseException):  # a __str__ or a __repr__ is user code
        text = "".join(traceback.format_exception(type(error), error, _trimmed(error.__traceback__, filename)))
    if len(text) > TRACEBACK_CHARS:
        half = TRACEBACK_CHARS // 2
        text = f"{text[:half]}\n  …\n{text[-half:]}"
    return text


def _trimmed(trace: types.TracebackType | None, filename: str) -> types.TracebackType | None:
    frames = []
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    files = [frame.tb_frame.f_code.co_filename for frame in frames]
    first = files.index(filename) if filename in files else 0
    kept = None
    for frame, file in zip(reversed(frames[first:]), reversed(files[first:]), strict=True):
        if not file.startswith(_OURS):
            kept = types.TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept
