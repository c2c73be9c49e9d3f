"""Chance in tasks: all random generators start from (session's seed, task), wherever and whenever the task runs.

Covered are ``random``, ``numpy.random`` (also ``default_rng()`` without a seed) and the generators among a task's
captured values. A generator module that the task itself imports is seeded the moment it is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class Chance:
    """Seeds whatever generators the process has."""

    def __init__(self) -> None:
        self._digest = bytes(64)
        self._drawn = 0
        self._seeders: dict[str, Callable[[ModuleType], None]] = {
            "random": self._seed_random,
            "numpy.random": self._seed_numpy,
        }
        sys.meta_path.insert(0, Watch(self._seeders))

    def seed(self, seed: int, task: int) -> None:
        """Sets the process-wide generators that are loaded by now; later ones as they come."""
        self._digest = blake2b(b"%d:%d" % (seed, task)).digest()
        self._drawn = 0
        modules = sys.modules
        if "random" in modules:
            self._seed_random(modules["random"])
        if "numpy.random" in modules:
            self._seed_numpy(modules["numpy.random"])

    def seed_captured(self, named: Iterable[tuple[str, Any]]) -> None:
        """Sets captured generators, each by its name to a stream of its own."""
        for name, generator in named:
            _reseed(generator, blake2b(self._digest + name.encode(), digest_size=16).digest())

    def _seed_random(self, module: ModuleType) -> None:
        if hasattr(module, "Random"):  # it is not a local module of that name
            module.seed(int.from_bytes(self._digest[:16], "little"))

    def _seed_numpy(self, module: ModuleType) -> None:
        seed = getattr(module, "seed", None)
        if seed is None:
            return  # another module of that name, or one that is half loaded
        seed(_words(self._digest[16:32]))
        source = sys.modules.get("numpy.random.bit_generator")
        if source is not None and hasattr(source, "randbits"):
            vars(source)["randbits"] = self._entropy

    def _entropy(self, bits: int) -> int:
        """What numpy takes for a generator without a seed, instead of the system's entropy."""
        self._drawn += 1
        data = blake2b(self._digest + b"entropy %d" % self._drawn, digest_size=64).digest()
        return int.from_bytes(data, "little") % (1 << bits)


def generators(namespace: dict[str, Any]) -> tuple[str, ...]:
    """The names of random generators among captured values, in a fixed order."""
    return tuple(sorted(name for name, value in namespace.items() if isinstance(value, _kinds())))


def _kinds() -> tuple[type, ...]:
    kinds: list[type] = []
    if "_random" in sys.modules:
        kinds.append(sys.modules["_random"].Random)
    if "numpy.random" in sys.modules:
        module = sys.modules["numpy.random"]
        kinds += [module.Generator, module.RandomState, module.BitGenerator]
    return tuple(kinds)


def _reseed(generator: Any, digest: bytes) -> None:
    if "_random" in sys.modules and isinstance(generator, sys.modules["_random"].Random):
        generator.seed(int.from_bytes(digest, "little"))
        return
    module: Any = sys.modules["numpy.random"]
    if isinstance(generator, module.RandomState):
        generator = generator._bit_generator  # noqa: SLF001 - the one way that works for every bit generator
    bits = generator if isinstance(generator, module.BitGenerator) else generator.bit_generator
    bits.state = type(bits)(module.SeedSequence(_words(digest))).state


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


class Watch:  # not an importlib.abc.MetaPathFinder: importing that takes 13 ms
    """Sees modules being imported, and tells of the watched ones, by their names, when they are loaded."""

    def __init__(self, listeners: dict[str, Callable[[ModuleType], None]]) -> None:
        self._listeners = listeners

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec, its loader wrapped; None for those that nobody watches."""
        listener = self._listeners.get(fullname)
        if listener is None:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Telling(spec.loader, listener)  # type: ignore[assignment] # a loader in all but name
                return spec
        return None


class _Telling:
    """A loader that tells of what it has loaded, and then leaves no trace of itself."""

    def __init__(self, loader: Any, listener: Callable[[ModuleType], None]) -> None:
        self._loader, self._listener = loader, listener

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._listener(module)
