"""Detect changed values: a digest of their pickle, and the random generators among them."""

from __future__ import annotations

import contextlib
import functools
import io
import types
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from burst_magic.payload.declared import module_of
from burst_magic.payload.notes import Mode, is_within
from burst_magic.payload.pack import Packer, Packing, Reserved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


def fingerprint(
    values: Mapping[str, object], *, home: Mapping[str, object], elsewhere: Callable[[memoryview], bool]
) -> bytes:
    """A digest of values. It stays the same until they change; draws of their generators don't count.

    Args:
        values: values by name in `home`.
        home: the notebook's globals, or the worker's copy of them.
        elsewhere: tells whether a large buffer is watched by other means, so that its bytes don't count.

    Raises:
        Exception: whatever pickling one of them raises.
    """
    found = blake2b()
    if not values:
        return found.digest()
    packing = Packing(home)
    packing.packer.notes.steady = True
    for name, value in packing.packer.claim(dict.fromkeys(values, "")).items():
        packing.add(name, value)
    packed = packing.finish()
    found.update(packed.stream)
    for view in packed.buffers:
        found.update(b"watched %d" % view.nbytes if elsewhere(view) else view)
    return found.digest()


def fingerprint_each(named: Iterable[tuple[str, object]], *, local: frozenset[str]) -> bytes:
    """The same for values in modules.

    Unpicklable values, such as locks or files, don't count. Neither do a library's callables, which may record their
    calls. Empty if one of them hides whether it has changed.

    Args:
        named: values.
        local: packages whose functions and classes are inspected, not only named.
    """
    found = blake2b()
    for name, value in named:
        if callable(value) and not _is_looked_into(value, local):
            continue
        file = io.BytesIO()
        packer = Packer(file, home={}, mode=Mode.RESULT)
        packer.notes.steady, packer.notes.local = True, local
        try:
            packer.dump(value)
        except Reserved:
            return b""
        except Exception:  # noqa: BLE001, S112 - a __reduce__ is user code
            continue
        found.update(name.encode() + file.getvalue())
    return found.digest()


def generators_of(named: Iterable[tuple[str, object]], *, local: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Random generators anywhere in values of modules, each with the name of the value and its place in it.

    Args:
        named: values.
        local: packages whose functions and classes are inspected.
    """
    for name, value in named:
        packer = Packer(io.BytesIO(), home={}, mode=Mode.RESULT)
        packer.notes.steady, packer.notes.local = True, local
        with contextlib.suppress(Exception):  # earlier finds count
            packer.dump(value)
        yield from ((f"{name}.{place}", generator) for place, generator in enumerate(packer.notes.generators))


def _is_looked_into(value: Any, local: frozenset[str]) -> bool:
    return isinstance(value, _OPEN) or is_within(module_of(value if isinstance(value, type) else type(value)), local)


# A callable whose whole state is visible.
_OPEN = (
    types.FunctionType, types.MethodType, types.BuiltinMethodType, functools.partial, type(functools.cache(len)),
)  # fmt: skip
