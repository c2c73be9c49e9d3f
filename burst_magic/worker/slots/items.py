"""Requested tasks of a slot, kept until they are done, to report the item of a task that killed its process.

No user code runs here: only plain items are loaded (numbers, strings, containers of them), none that refer to a class
or function.
"""

from __future__ import annotations

import io
import pickle
from array import array
from typing import Any, NoReturn

from burst_magic.worker.child.failures import short_repr

_LARGEST = 64 * 1024  # bytes; larger items are not shown
_KEPT = 4 << 20  # bytes; larger entries are not kept


class AskedTasks:
    """Consecutive tasks requested from a slot.

    Args:
        jid: their job.
        first: the first task.
        count: number of tasks.
        entries: their items as in an items block's body; None if the cell runs once.
    """

    __slots__ = ("_entries", "_first", "_jid", "_stop")

    def __init__(self, jid: str, first: int, count: int, entries: bytes | memoryview | None) -> None:
        self._jid, self._first, self._stop = jid, first, first + count
        self._entries = entries if entries is not None and len(entries) <= _KEPT else None

    def holds(self, jid: str, task: int) -> bool:
        """Whether that task is one of these."""
        return jid == self._jid and self._first <= task < self._stop

    def text(self, jid: str, task: int) -> str:
        """The repr of that task's item, or "" if it is not kept or not plain."""
        if self._entries is None or not self.holds(jid, task):
            return ""
        head = 4 * (self._stop - self._first)
        lengths = array("I", bytes(self._entries[:head]))
        begin = head + sum(lengths[: task - self._first])
        length = lengths[task - self._first]
        return _text(bytes(self._entries[begin : begin + length])) if length <= _LARGEST else ""


def _text(data: bytes) -> str:
    try:
        return short_repr(_Plain(io.BytesIO(data)).load())
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, MemoryError, RecursionError):
        return ""


class _Plain(pickle.Unpickler):
    """Refuses everything that could run code."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"{module}.{name} is not plain")

    def persistent_load(self, _: Any) -> _Part:
        return _Part()


class _Part:
    """Placeholder for a part of a captured value, which is not loaded here."""

    def __repr__(self) -> str:
        return "…"
