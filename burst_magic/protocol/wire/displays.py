"""What a task displays: bundles of representations by mime type, bounded. Plain JSON, which nobody unpickles. Pure.

A bundle is as in a notebook file: text is a string, images other than SVG are base64. A list of bundles keeps what fits
and says in its last bundle what it has left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from burst_magic.dataclass import dataclass

MOST = 20  # bundles that are kept of a task
ROOM = 1_000_000  # bytes that they may take
_SAID = 1000  # bytes of the last bundle, which says what was left out
_METADATA = 10_000  # bytes of a bundle's metadata
_DEEPEST = 50  # levels of JSON: whoever reads it may recurse less deeply than its writer
PLAIN = "text/plain"
TEXTS = (PLAIN, "text/html", "text/markdown", "text/latex", "image/svg+xml", "image/png", "image/jpeg")
_JSON = re.compile(r"application/(json|vnd\.[\w.+-]{1,100}\+json)")
_WIDGET = "application/vnd.jupyter.widget-view+json"  # the widget itself stays on the worker
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """One displayed object. A notebook that displays it shows it as the task did.

    Attributes:
        data: its representations by mime type.
        metadata: what the object says of them, such as an image's width.
    """

    data: Mapping[str, Any] = field(hash=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __repr__(self) -> str:
        """Its plain text."""
        return self.text

    @property
    def text(self) -> str:
        """Its plain text, or the types of what there is instead."""
        return str(self.data.get(PLAIN) or f"<{', '.join(self.data)}>")

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
        return dict(self.data), dict(self.metadata)


class DisplayList:
    """Collects what is displayed, within bounds.

    Args:
        most: bundles.
        room: bytes of them, as JSON.

    Attributes:
        filled: whether there may be something to take; looked at after each task, however short.
    """

    def __init__(self, *, most: int = MOST, room: int = ROOM) -> None:
        self._most, self._room = most, room
        self._ids = 0
        self._begin()

    def _begin(self) -> None:
        self.filled = False
        self._kept: list[tuple[str, Display, int]] = []  # id, bundle, bytes
        self._over = 0  # bundles that were left out
        self._large: dict[str, int] = {}  # representations that were left out, with the bytes of the largest
        self._unfit: dict[str, str] = {}  # and those that are not what they should be, with what is wrong
        self._due = False  # the next one replaces all others

    def new_id(self) -> str:
        """An id for a bundle that will be updated."""
        self._ids += 1
        return f"display-{self._ids}"

    def add(self, data: Mapping[str, Any], metadata: Mapping[str, Any] | None = None, *, ident: str = "") -> None:
        """Add a bundle, if it has room."""
        if self._due:
            self._begin()
        self.filled = True
        if len(self._kept) >= self._most:
            self._over += 1
            return
        self._put(len(self._kept), ident, data, metadata or {})

    def update(self, data: Mapping[str, Any], metadata: Mapping[str, Any] | None = None, *, ident: str) -> None:
        """Replace the bundles with that id."""
        for place, (each, _, _) in enumerate(self._kept):
            if each == ident:
                self._put(place, ident, data, metadata or {})

    def clear(self, *, wait: bool = False) -> None:
        """Drop all bundles, now or when the next one comes."""
        self._due = wait
        if not wait:
            self._begin()

    def take(self) -> tuple[Display, ...]:
        """The bundles, and what was left out; the list is empty afterwards."""
        found, said = [display for _, display, _ in self._kept], self._left_out()
        self._ids = 0
        self._begin()
        return (*found, Display(data={PLAIN: said})) if said else tuple(found)

    def _put(self, place: int, ident: str, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        free = self._room - sum(size for at, (_, _, size) in enumerate(self._kept) if at != place)
        kept, taken = {}, 0
        for mime in sorted(data, key=lambda mime: mime != PLAIN):  # the words, then as the object orders them
            value, size = _copied(mime, data[mime], free - taken)
            if isinstance(value, _Unfit):
                self._unfit[mime] = value.why
            elif value is not None:
                kept[mime] = value
                taken += size
            elif size:
                self._large[mime] = max(size, self._large.get(mime, 0))
        if kept:
            self._kept[place : place + 1] = [(ident, Display(data=kept, metadata=_sound(metadata)), taken)]

    def _left_out(self) -> str:
        parts = [f"{mime} of {size / 1e6:.1f} MB" for mime, size in self._large.items()]
        if self._over:
            parts.insert(0, f"{self._over} more")
        if parts:
            parts[-1] += f" (of a task, {self._most} displays and {self._room / 1e6:g} MB of them are kept)"
        parts += [f"{mime}, which {why}" for mime, why in self._unfit.items()]
        return f"… left out: {', '.join(parts)}"[:_SAID] if parts else ""


def restored(said: object) -> tuple[Display, ...]:
    """Displays from plain data, as ``plain`` makes it. What is none is left out: anyone may have written it."""
    found = DisplayList(most=MOST + 1, room=ROOM + 2 * _SAID)
    for one in said if isinstance(said, list) else ():
        data, metadata = (one.get("data"), one.get("metadata")) if isinstance(one, dict) else (None, None)
        if isinstance(data, dict):
            found.add(data, metadata if isinstance(metadata, dict) else {})
    return found.take()


def plain(displays: tuple[Display, ...]) -> list[dict[str, Any]]:
    """Displays as plain data."""
    return [{"data": dict(one.data), **({"metadata": dict(one.metadata)} if one.metadata else {})} for one in displays]


@dataclass(frozen=True, slots=True)
class _Unfit:
    """Stands for a value that is not the JSON that its object says it is."""

    why: str


def _copied(mime: object, value: object, room: int) -> tuple[Any, int]:
    """A representation as it is now, and its bytes as JSON. Without room: None and its bytes; of no known type: None
    and 0; unfit: why, and 0.
    """
    if mime in TEXTS:
        if not isinstance(value, str) or (mime in {"image/png", "image/jpeg"} and not _BASE64.fullmatch(value)):
            return None, 0
        size = len(value) if len(value) > room else len(json.dumps(value))
        return (value if size <= room else None), size
    if not isinstance(mime, str) or mime == _WIDGET or not _JSON.fullmatch(mime):
        return None, 0
    return _plain_copy(value, room)


def _plain_copy(value: object, room: int) -> tuple[Any, int]:
    """The same of plain data, which the task may change afterwards."""
    try:
        text = json.dumps(value)
        if len(text) > room:
            return None, len(text)
        copy = json.loads(text)
    except RecursionError:
        return _TOO_DEEP, 0
    except (TypeError, ValueError):
        return _NO_JSON, 0
    if copy is None:
        return None, 0
    return (copy, len(text)) if _is_flat(copy) else (_TOO_DEEP, 0)


_TOO_DEEP = _Unfit(f"is nested more than {_DEEPEST} levels deep")
_NO_JSON = _Unfit("is not JSON")


def _is_flat(value: object, levels: int = _DEEPEST) -> bool:
    if not isinstance(value, (dict, list)):
        return True
    parts = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_flat(part, levels - 1) for part in parts)


def _sound(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    copy, _ = _plain_copy(metadata, _METADATA)
    return copy if isinstance(copy, dict) else {}
