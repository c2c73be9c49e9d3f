"""Bytes become objects again. Only for bytes whose signature has been checked: loading runs code."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING

from burst_magic.payload.rebuild import arrive, here

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def unpack(stream: bytes, buffers: Sequence[Any] = (), *, home: dict[str, object]) -> dict[str, object]:
    """Load a namespace into `home` and return it.

    Args:
        stream: `Packed.stream`.
        buffers: `Packed.buffers` or copies of them. Arrays are writable if these are.
        home: the globals that functions of the notebook get; the names are set there as they are loaded.
    """
    before, here.home = here.home, home
    try:
        return _load(pickle.Unpickler(io.BytesIO(stream), buffers=buffers).load, home)
    finally:
        here.home = before


def _load(load: Any, home: dict[str, object]) -> dict[str, object]:
    found: dict[str, object] = {}
    while type(segment := load()) is tuple:
        name, value = segment
        home[name] = found[name] = value
        if callable(value) or type(value).__module__ == "typing":
            arrive(value)
    return found


def unpack_value(data: bytes | memoryview, *, home: dict[str, object]) -> object:
    """Load one item or one result; names refer to `home`."""
    before, here.home = here.home, home
    try:
        return pickle.loads(data)
    finally:
        here.home = before
