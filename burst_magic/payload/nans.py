"""Keep apart what only identity tells apart: ``np.nan in values``, ``x is np.nan``, a dict with the key NaN.

A NaN equals nothing, so these find an object, not a value. Pickles have floats by value; here each NaN refers to the
object that it is. That takes a call for every object packed, and so is done only for code that may ask for it.
"""

from __future__ import annotations

import functools
import importlib
import pickle
import re
import sys
from collections.abc import Iterable

_BY_VALUE = b"G\x7f\xf8\0\0\0\0\0\0"  # how a pickle has it
_HOMES = ("math", "numpy")
_WORDS = frozenset({"nan", "NaN", "NAN"})
_NAMED = re.compile(rb"(?:\.|\bimport\b[^\n]*\b|\bimport\s*\([^)]*\b)(nan|NaN|NAN)\b")

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


def named_in(source: bytes) -> str:
    """How this source of modules names one, or ""."""
    found = _NAMED.search(source)
    return found[1].decode() if found else ""


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

    def __contains__(self, value: object) -> bool:
        return id(value) in self._known


class ByIdentity:
    """Makes a pickler keep the identity of NaNs."""

    def persistent_id(self, obj: object) -> Key | None:
        """Called for every object."""
        return self.nans.key(obj) if is_nan(obj) else None

    @functools.cached_property
    def nans(self) -> NanKeys:
        """By object."""
        return NanKeys()


class NanUnpickler(pickle.Unpickler):
    """Gives each NaN back as one object."""

    def persistent_load(self, key: Key) -> object:
        """The object of a key."""
        nans: dict[Key, object] = self.__dict__.setdefault("nans", {})
        if key not in nans:
            nans[key] = _of_module(key) if key in _HOMES else float("nan")
        return nans[key]


def _of_module(name: Key) -> object:
    """The module's NaN; code that compares with it may import the module later."""
    try:
        return importlib.import_module(str(name)).nan
    except Exception:  # noqa: BLE001 - not installed or broken here: no code will find its NaN
        return float("nan")
