"""Randomness in tasks: all generators start from (session's seed, task), wherever and whenever the task runs.

This covers ``random``, ``numpy.random``, torch's own generator, generators created without a seed (``Random()``,
``default_rng()``), captured generators, and generators kept by modules: local ones at any depth, installed ones as
attributes. A module's generators are seeded when it is loaded, and again for each task.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from types import ModuleType
from typing import Any

from burst_magic.payload.chance import is_generator, is_global
from burst_magic.payload.fingerprint import generators_of
from burst_magic.worker.child.isolation.import_hook import ImportHook

Named = tuple[str, Any]  # a generator, and what its stream is called

_SPAWNS = 0x6275_7273  # in the key of a seed sequence: what follows is the task's
_HARMLESS = frozenset({"Random", "SystemRandom", "__class__", "__file__", "__loader__", "__name__", "__path__",
                       "__spec__"})  # fmt: skip # names of ``random`` that lead to no generator of the process
_LOADING = -1  # the task that what is loaded for all tasks draws as


class Seeder:
    """Seeds whatever generators the process has."""

    def __init__(self, import_hook: ImportHook) -> None:
        self._origin: tuple[int, object] = (0, _LOADING)  # seed, and the task or what else draws
        self._known = b""
        self._drawn = 0
        self._local = ""
        self._kept: dict[str, tuple[ModuleType, list[Named]]] = {}  # what modules hold, by module
        self._global: list[_Global] = []  # the generators of libraries that are loaded
        self._depth = 0  # modules that are being loaded, one for the other, with a stream of their own
        self._new: list[list[Named]] = []  # what modules hold that are being loaded
        for name, seeder in (("random", _random), ("numpy.random", _numpy), ("torch", _torch)):
            import_hook.of(name, functools.partial(self._meet, seeder))
        import_hook.of_any(self._look_into)
        import_hook.loading = self._loading

    def enter(self, bundle: str) -> None:
        """Another job's local modules are in this folder."""
        self._local = bundle
        self._kept = {name: kept for name, kept in self._kept.items() if sys.modules.get(name) is kept[0]}

    def seed(self, seed: int, task: int) -> None:
        """Sets the generators that are loaded by now; later ones as they come."""
        self._origin, self._known, self._drawn = (seed, task), b"", 0
        for generator in self._global:
            generator.again()
        if self._kept:
            for _, named in self._kept.values():
                self.seed_all(named)

    def seed_loading(self, seed: int) -> None:
        """The same, for what is loaded once for all tasks."""
        self.seed(seed, _LOADING)

    def seed_all(self, named: Iterable[Named]) -> None:
        """Sets generators, each by its name to a stream of its own."""
        for name, generator in named:
            reseed(generator, blake2b(self.digest + name.encode(), digest_size=16).digest())

    def _look_into(self, module: ModuleType) -> None:
        """What a module has made for itself when it was loaded."""
        name = module.__name__
        if name.partition(".")[0] in sys.stdlib_module_names:
            return
        deep = self._is_local(module)
        named = [
            (f"{name}:{path}", generator)
            for path, generator in (self._within(module) if deep else _at_hand(vars(module)))
            if not is_global(generator)
        ]
        if named:
            self._kept[name] = (module, named)
            self._new.append(named)

    def _within(self, module: ModuleType) -> Iterator[Named]:
        """Anywhere in a local module's values; each once, however many ways lead to it."""
        names = ((name, value) for name, value in list(vars(module).items()) if not isinstance(value, ModuleType))
        seen: set[int] = set()
        for path, generator in generators_of(names, local=frozenset({module.__name__.partition(".")[0]})):
            if id(generator) not in seen:
                seen.add(id(generator))
                yield path, generator

    def _is_local(self, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None) or ""
        return bool(self._local) and file.startswith(self._local)

    @property
    def digest(self) -> bytes:
        """What is the task's own: drawn when it is first needed."""
        if not self._known:
            self._known = blake2b("{}:{}".format(*self._origin).encode()).digest()
        return self._known

    def entropy(self, bits: int) -> int:
        """What is taken for a generator without a seed, instead of the system's entropy."""
        self._drawn += 1
        data = blake2b(self.digest + b"entropy %d" % self._drawn, digest_size=64).digest()
        return int.from_bytes(data, "little") % (1 << bits)

    @contextlib.contextmanager
    def _loading(self, name: str, module: ModuleType) -> Iterator[None]:
        """What a module draws when it is loaded depends on the seed alone, and moves no task's stream.

        An installed package is one: its modules draw from what the import that brought it began.
        """
        if self._depth and not self._is_local(module):
            yield
            return
        self._depth += 1
        before, states = (self._origin, self._known, self._drawn), [each.save() for each in self._global]
        self._origin, self._known, self._drawn = (self._origin[0], f"import {name}"), b"", 0
        for generator in self._global:
            generator.again()
        try:
            yield
        finally:
            self._origin, self._known, self._drawn = before
            for generator, state in zip(self._global, states, strict=False):  # others have come
                generator.restore(state)
            for generator in self._global[len(states) :]:
                generator.again()
            self._depth -= 1
            if not self._depth:
                for named in self._new:
                    self.seed_all(named)
                self._new.clear()

    def _meet(self, met: Callable[[Seeder, Any], _Global | None], module: ModuleType) -> None:
        """A library with a generator of its own is loaded."""
        found = met(self, module)
        if found is not None:
            self._global.append(found)
            found.again()


@dataclass(frozen=True, slots=True)
class _Global:
    """A generator of the whole process: starts it for the task, tells its state, sets that again."""

    again: Callable[[], None]
    save: Callable[[], Any]
    restore: Callable[[Any], object]


def _random(seeder: Seeder, module: Any) -> _Global | None:
    """``Random()`` and ``seed()`` without a seed take what is the task's own."""
    if not hasattr(module, "Random"):
        return None  # a local module of that name
    original = module.Random.seed

    def seed(generator: Any, a: Any = None, version: int = 2) -> None:
        original(generator, seeder.entropy(128) if a is None else a, version)

    module.Random.seed = seed
    instance = module._inst  # noqa: SLF001 - whose methods are the functions of the module
    module.seed = instance.seed
    plain: Any = sys.modules["_random"].Random.seed  # type: ignore[attr-defined, unused-ignore]

    def start() -> None:
        plain(instance, int.from_bytes(seeder.digest[:16], "little"))
        instance.gauss_next = None

    return _once_touched(module, _Global(start, instance.getstate, instance.setstate))


def _once_touched(module: ModuleType, generator: _Global) -> _Global:
    """The same, but started only once something was taken of a module: a start costs as much as a short task.

    Many libraries import ``random`` and few draw from it. Whoever takes more of it than its classes finds the generator
    started for the task that runs; from then on it is started for each.
    """

    class Untouched(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            if name not in _HARMLESS and not touched():
                generator.again()
                module.__class__ = ModuleType
            return ModuleType.__getattribute__(self, name)

    def touched() -> bool:
        return type(module) is not Untouched

    def again() -> None:
        if touched():
            generator.again()

    def restore(state: Any) -> None:
        if state is None:
            again()
        else:
            generator.restore(state)

    if type(module) is ModuleType:
        module.__class__ = Untouched
    return _Global(again, lambda: generator.save() if touched() else None, restore)


def _numpy(seeder: Seeder, module: Any) -> _Global | None:
    """The legacy generator, and what ``default_rng()`` takes for entropy."""
    if not hasattr(module, "seed"):
        return None  # another module of that name, or one that is half loaded
    source = sys.modules.get("numpy.random.bit_generator")
    if source is not None and hasattr(source, "randbits"):
        vars(source)["randbits"] = seeder.entropy
    return _Global(lambda: module.seed(_words(seeder.digest[16:32])), module.get_state, module.set_state)


def _torch(seeder: Seeder, module: Any) -> _Global | None:
    if not hasattr(module, "manual_seed"):
        return None

    def again() -> None:
        module.manual_seed(int.from_bytes(seeder.digest[32:39], "little"))

    return _Global(again, module.get_rng_state, module.set_rng_state)


def reseed(generator: Any, digest: bytes) -> None:
    """Starts a generator's stream anew."""
    base = sys.modules.get("_random")
    if base is not None and isinstance(generator, base.Random):
        generator.seed(int.from_bytes(digest, "little"))
        return
    module: Any = sys.modules.get("numpy.random")
    if module is not None and isinstance(generator, module.SeedSequence):
        _set_children(generator, digest)
        return
    if module is None or not isinstance(generator, (module.Generator, module.RandomState, module.BitGenerator)):
        generator.manual_seed(int.from_bytes(digest[:7], "little"))  # torch's
        return
    legacy = isinstance(generator, module.RandomState)
    bits = generator
    if not isinstance(generator, module.BitGenerator):
        bits = generator._bit_generator if legacy else generator.bit_generator  # noqa: SLF001 - the one way for all of them
    source = module.SeedSequence(_words(digest))
    bits.state = type(bits)(source).state
    parent = getattr(bits, "seed_seq", None)  # of those that the generator spawns
    if isinstance(parent, module.SeedSequence):
        parent.__setstate__(_state_of(source))
    if legacy:  # it keeps half of a pair of normal draws
        state = generator.get_state(legacy=False)
        generator.set_state({**state, "has_gauss": 0, "gauss": 0.0})


def _set_children(sequence: Any, digest: bytes) -> None:
    """What a seed sequence spawns is the task's own; what it is made of and the state it generates stay."""
    entropy, _, *others, key = _state_of(sequence)
    if key[-len(digest) // 4 - 1 :][:1] == (_SPAWNS,):  # of the task before
        key = key[: -len(digest) // 4 - 1]
    sequence.__setstate__((entropy, 0, *others, (*key, _SPAWNS, *_words(digest))))


def _state_of(sequence: Any) -> Any:
    """Entropy, number of children, pool, its size and key, as pickle gets them."""
    _, arguments, *state = sequence.__reduce__()
    return state[0] if state else arguments[2]


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


def _at_hand(names: dict[str, Any]) -> Iterator[Named]:
    return ((name, value) for name, value in list(names.items()) if is_generator(value))
