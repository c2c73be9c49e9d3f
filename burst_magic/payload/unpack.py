"""Bytes become objects again. Only for bytes whose signature has been checked: loading runs code."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING

from burst_magic.payload.rebuild import arrive, here

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


def unpack(
    stream: bytes,
    buffers: Sequence[Any] = (),
    *,
    home: dict[str, object],
    generators: list[tuple[str, Any]] | None = None,
) -> dict[str, object]:
    """Load a namespace into `home` and return it.

    Args:
        stream: `Packed.stream`.
        buffers: `Packed.buffers` or copies of them. Arrays are writable if these are.
        home: the globals that functions of the notebook get; the names are set there as they are loaded.
        generators: gets the random generators in it, each with the name of its stream.
    """
    before, here.home = here.home, home
    found: dict[str, object] = {}
    try:
        load = pickle.Unpickler(io.BytesIO(stream), buffers=buffers).load
        while type(segment := load()) is tuple:
            name, value = segment
            home[name] = found[name] = value
            if callable(value) or type(value).__module__ == "typing":
                arrive(value)
        if generators is not None:
            generators.extend(segment)
        return found
    finally:
        here.home = before


def unpack_value(data: bytes | memoryview, *, home: dict[str, object]) -> object:
    """Load one item or one result; names refer to `home`."""
    before, here.home = here.home, home
    try:
        return pickle.loads(data)
    finally:
        here.home = before
