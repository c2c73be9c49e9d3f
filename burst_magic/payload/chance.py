"""Random generators among values: their types, where the global ones are, and how to pickle them.

Global generators are pickled by reference, never copied. Other generators are pickled as they are, and the stream lists
them, so that a worker can give each its own random stream for every task.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from burst_magic.payload import rebuild
from burst_magic.payload.notes import Mode, find_module

if TYPE_CHECKING:
    from burst_magic.payload.notes import PackerView

# Where libraries keep their global generator: module, then attributes.
_GLOBAL = (
    ("random", "_inst"),
    ("numpy.random.mtrand", "_rand"),
    ("numpy.random.mtrand", "_rand", "_bit_generator"),
    ("torch.random", "default_generator"),
)
_KINDS = (
    ("_random", "Random"),
    ("numpy.random", "Generator"),
    ("numpy.random", "RandomState"),
    ("numpy.random", "BitGenerator"),
    ("numpy.random", "SeedSequence"),
    ("torch", "Generator"),
)
_kinds: tuple[type, ...] = ()
_seen: tuple[int, ...] = ()


def kinds() -> tuple[type, ...]:
    """The types of generators whose libraries are loaded."""
    global _kinds, _seen  # noqa: PLW0603 - asked about each unusual value
    modules = [sys.modules.get(name) for name, _ in _KINDS]
    here = tuple(map(id, modules))
    if here != _seen:
        found = [getattr(module, kind, None) for module, (_, kind) in zip(modules, _KINDS, strict=True)]
        _kinds = tuple(kind for kind in found if isinstance(kind, type))
        half_loaded = len(_kinds) < sum(module is not None for module in modules)
        _seen = () if half_loaded else here
    return _kinds


def is_generator(value: object) -> bool:
    """True for a random generator; the system's entropy cannot be seeded and doesn't count."""
    kind = type(value)
    return issubclass(kind, kinds()) and kind.__name__ != "SystemRandom"


def is_global(generator: object) -> bool:
    """True for a global generator."""
    return any(_at(path) is generator for path in _GLOBAL)


def reduce(packer: PackerView, generator: Any) -> Any:
    """Reduce by reference if a module keeps it, else as its type does. Recorded, so that the stream lists it."""
    place = next((path for path in _GLOBAL if _at(path) is generator), None)
    if place is None and packer.mode is Mode.NAMESPACE and not packer.notes.steady:
        place = _places(packer).get(id(generator))
    if place is not None:
        packer.notes.module(place[0])
        return rebuild.attribute, place
    if packer.notes.steady or packer.mode is Mode.NAMESPACE:
        packer.notes.generators.append(generator)
    return (rebuild.attribute, ("builtins", "Ellipsis")) if packer.notes.steady else NotImplemented


def _places(packer: PackerView) -> dict[int, tuple[str, str]]:
    """Generators that modules keep under a name, by id; the notebook's own are pickled with it."""
    notes = packer.notes
    if notes.places is None:
        notes.places = {
            id(value): (name, attribute)
            for name, module in list(sys.modules.items())
            if name not in {"__main__", "__mp_main__"} and find_module(name) is module
            for attribute, value in list(vars(module).items())
            if is_generator(value)
        }
    return notes.places


def _at(path: tuple[str, ...]) -> object:
    found: Any = sys.modules.get(path[0])
    for part in path[1:]:
        found = getattr(found, part, None)
    return found
