"""Keep apart what only identity tells apart: ``np.nan in values``, ``x is np.nan``, a dict with the key NaN.

A NaN equals nothing, so these find an object, not a value. Pickles have floats by value; here each NaN refers to the
object that it is. That takes a call for every object packed, and so is done only for code that may ask for it.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable

_BY_VALUE = b"G\x7f\xf8\0\0\0\0\0\0"  # how a pickle has it
_HOMES = ("math", "numpy")
_WORDS = frozenset({"nan", "NaN", "NAN"})

Key = str | int


def may_matter(stream: bytes, words: Iterable[str], values: Iterable[object]) -> bool:
    """Whether code with these names and attributes may look for a NaN that is in this pickle.

    Args:
        stream: the pickle.
        words: names and attributes in the code.
        values: of its names.
    """
    return is_in(stream) and asks(words, values)


def is_in(stream: bytes) -> bool:
    """Whether there is one in this pickle, as far as its bytes tell."""
    return _BY_VALUE in stream


def asks(words: Iterable[str], values: Iterable[object]) -> bool:
    """Whether code with these names and attributes may look for a NaN."""
    return not _WORDS.isdisjoint(words) or any(is_nan(value) for value in values)


def is_nan(value: object) -> bool:
    """Whether it is a float that equals nothing."""
    return type(value) is float and value != value  # noqa: PLR0124 - that is how to tell


def home_of(value: object) -> str:
    """The module whose ``nan`` this is, or ""."""
    return next(
        (name for name in _HOMES if name in sys.modules and getattr(sys.modules[name], "nan", None) is value), ""
    )


class NanKeys:
    """Numbers the NaNs of a pickle; those of modules have names."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, object]] = {}

    def key(self, value: object) -> Key:
        """The same for the same object."""
        number, _ = self._known.setdefault(id(value), (len(self._known), value))  # kept alive for its id
        return home_of(value) or number


class NanUnpickler(pickle.Unpickler):
    """Gives each NaN back as one object."""

    def persistent_load(self, key: Key) -> object:
        """The object of a key."""
        module = sys.modules.get(key) if isinstance(key, str) else None  # one that code asks is loaded by then
        nans: dict[Key, float] = self.__dict__.setdefault("nans", {})
        return nans.setdefault(key, getattr(module, "nan", float("nan")))
