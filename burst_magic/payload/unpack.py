"""Unpickle objects. Only for bytes with a verified signature: loading runs code."""

from __future__ import annotations

import io
import pickle
import threading
from typing import TYPE_CHECKING

from burst_magic.payload.nans import NanUnpickler
from burst_magic.payload.rebuild import arrive, here, late, set_late_states

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

NAMES_NOTHING = 19  # bytes of a pickle of ours that are too few to name a function or a class


class Namespace(dict[str, object]):
    """The loaded names and their values.

    Attributes:
        generators: random generators in it, each with the name of its stream; except those in `parts`, which keep their
            state.
        parts: objects in it that items refer to, by number.
    """

    __slots__ = ("generators", "parts")

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[object] = []
        self.generators: list[tuple[str, Any]] = []


class _ReferringUnpickler(pickle.Unpickler):
    """Resolves the parts of captured values that an item refers to."""

    def __init__(self, data: bytes | memoryview, parts: Sequence[object]) -> None:
        super().__init__(io.BytesIO(data))
        self._parts = parts

    def persistent_load(self, number: int) -> object:
        return self._parts[number]


def unpack(stream: bytes, buffers: Sequence[Any] = (), *, home: dict[str, object]) -> Namespace:
    """Load a namespace into `home` and return it.

    Args:
        stream: `Packed.stream`.
        buffers: `Packed.buffers` or copies of them. Arrays are writable if these are.
        home: the globals that functions of the notebook get; the names are set there as they are loaded.
    """
    found = Namespace()
    load_into(found, stream, buffers, home=home)
    return found


def load_into(found: Namespace, stream: bytes, buffers: Sequence[Any] = (), *, home: dict[str, object]) -> None:
    """Like `unpack`; if loading raises, `found` contains the finished names."""
    load = NanUnpickler(io.BytesIO(stream), buffers=buffers).load
    _loaded(lambda: _load(load, home, found), home)


def unpack_value(data: bytes | memoryview, *, home: dict[str, object], parts: Sequence[object] = ()) -> object:
    """Load one item or one result; names refer to `home`, numbers of an item to `parts`."""
    if parts:
        return _loaded(_ReferringUnpickler(data, parts).load, home)
    if len(data) < NAMES_NOTHING:
        return pickle.loads(data)
    if here.home is not None:
        return _loaded(lambda: pickle.loads(data), home)
    here.home = home
    try:
        value = pickle.loads(data)
        if late:
            set_late_states()
    except BaseException:
        late.pop(threading.get_ident(), None)
        raise
    finally:
        here.home = None
    return value


def _loaded(load: Callable[[], object], home: dict[str, object]) -> object:
    """Load, possibly nested in another load."""
    before, here.home = here.home, home
    outer = late.pop(threading.get_ident(), None)
    try:
        value = load()
        set_late_states()
    finally:
        here.home = before
        late.pop(threading.get_ident(), None)
        if outer:
            late[threading.get_ident()] = outer
    return value


def _load(load: Any, home: dict[str, object], found: Namespace) -> None:
    while type(segment := load()) is tuple:
        name, value = segment
        home[name] = found[name] = value
        if callable(value) or type(value).__module__ == "typing":
            arrive(name, value)
    found.generators, found.parts = segment
