"""Read where a type was defined, without asking its metaclass: ``__module__`` may be missing, or no string."""

from __future__ import annotations

from typing import Any

_READ: Any = vars(type)


def module_of(kind: type) -> str:
    """The name of its module, or "" if it has none, as types that ``exec`` made may."""
    return _read(kind, "__module__")


def qualname_of(kind: type) -> str:
    """Its qualified name."""
    return _read(kind, "__qualname__")


def _read(kind: type, name: str) -> str:
    try:
        said = _READ[name].__get__(kind) if issubclass(type(kind), type) else getattr(kind, name)  # a weak proxy
    except AttributeError:
        return ""
    return said if isinstance(said, str) else ""
