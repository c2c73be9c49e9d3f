"""Randomness in tasks: all generators start from (session's seed, task), wherever and whenever the task runs.

This covers ``random``, ``numpy.random``, torch's own generator, generators created without a seed (``Random()``,
``default_rng()``), captured generators, and generators kept by modules: local ones at any depth, installed ones as
attributes. A module's generators are seeded when it is loaded, and again for each task.
"""

from __future__ import annotations

import contextlib
import functools
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from types import ModuleType
from typing import Any

from burst_magic.dataclass import dataclass
from burst_magic.payload.chance import is_generator, is_global
from burst_magic.payload.fingerprint import generators_of
from burst_magic.worker.child.isolation.import_hook import ImportHook

Named = tuple[str, Any]  # the name of a stream, and its generator

_SPAWNS = 0x6275_7273  # marks the task's part in the key of a seed sequence
_HARMLESS = frozenset({"Random", "SystemRandom", "__class__", "__file__", "__loader__", "__name__", "__path__",
                       "__spec__"})  # fmt: skip # names of ``random`` that lead to no generator of the process
_LOADING = -1  # stands for a task's number while values for all tasks are loaded


class Seeder:
    """Seeds all generators of the process."""

    def __init__(self, import_hook: ImportHook) -> None:
        self._origin: tuple[int, object] = (0, _LOADING)  # seed, and the task or the import that draws
        self._known = b""
        self._drawn = 0
        self._local = ""
        self._kept: dict[str, tuple[ModuleType, list[Named]]] = {}  # generators of modules, by module
        self._started: list[Callable[[], None]] = []  # seed process-wide generators that are in use
        self._global: list[_Global] = []  # global generators of loaded libraries
        self._depth = 0  # nested imports with their own stream
        self._new: list[list[Named]] = []  # generators of modules that are being loaded
        self.watched = self.drawn_by_import = False  # a module drew while it was loaded; found out only if watched
        for name, seeder in (("random", _random), ("numpy.random", _numpy), ("torch", _torch)):
            import_hook.of(name, functools.partial(self._meet, seeder))
        import_hook.of_any(self._look_into)
        import_hook.loading = self._loading

    def enter(self, bundle: str) -> None:
        """Set the folder of the active job's local modules."""
        self._local = bundle
        self._kept = {name: kept for name, kept in self._kept.items() if sys.modules.get(name) is kept[0]}

    def seed(self, seed: int, task: int) -> None:
        """Seed all generators for a task; those loaded later are seeded then."""
        self._origin, self._known, self._drawn = (seed, task), b"", 0
        for again in self._started:
            again()
        if self._kept:
            for _, named in self._kept.values():
                self.seed_all(named)

    def seed_loading(self, seed: int) -> None:
        """Seed all generators before values for all tasks are loaded."""
        self.seed(seed, _LOADING)

    def seed_all(self, named: Iterable[Named]) -> None:
        """Seed generators, each with its own stream according to its name."""
        for name, generator in named:
            reseed(generator, blake2b(self.digest + name.encode(), digest_size=16).digest())

    def _look_into(self, module: ModuleType) -> None:
        """Find the generators that a module created when it was loaded."""
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
        """All generators in a local module's values, each once, however many paths lead to it."""
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
        """The task's digest; computed when first needed."""
        if not self._known:
            self._known = blake2b("{}:{}".format(*self._origin).encode()).digest()
        return self._known

    def entropy(self, bits: int) -> int:
        """Entropy for a generator created without a seed, instead of the system's."""
        self._drawn += 1
        data = blake2b(self.digest + b"entropy %d" % self._drawn, digest_size=64).digest()
        return int.from_bytes(data, "little") % (1 << bits)

    @contextlib.contextmanager
    def _loading(self, name: str, module: ModuleType) -> Iterator[None]:
        """Give a module a stream that depends only on the seed while it is loaded, without moving a task's stream.

        An installed package is one unit: its modules share the stream of the import that loaded it.
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
            if self.watched and (self._drawn or self._new or any(map(_has_moved, self._global))):
                self.drawn_by_import = True
            self._origin, self._known, self._drawn = before
            for generator, state in zip(self._global, states, strict=False):  # the import may have added some
                generator.restore(state)
            for generator in self._global[len(states) :]:
                generator.again()
            self._depth -= 1
            if not self._depth:
                for named in self._new:
                    self.seed_all(named)
                self._new.clear()

    def _meet(self, met: Callable[[Seeder, Any], _Global | None], module: ModuleType) -> None:
        """Handle a loaded library that has a global generator."""
        found = met(self, module)
        if found is not None:
            self._global.append(found)
            if met is not _random:
                self.start(found.again)

    def start(self, again: Callable[[], None]) -> None:
        """Seed a process-wide generator now and for each task."""
        self._started.append(again)
        again()


@dataclass(frozen=True, slots=True)
class _Global:
    """A process-wide generator: functions to start it for the task, save its state and restore it."""

    again: Callable[[], None]
    save: Callable[[], Any]
    restore: Callable[[Any], object]


def _has_moved(generator: _Global) -> bool:
    """Whether it is no longer where its stream starts."""
    now = pickle.dumps(generator.save())
    generator.again()
    return now != pickle.dumps(generator.save())


def _random(seeder: Seeder, module: Any) -> _Global | None:
    """Let ``Random()`` and ``seed()`` without a seed use the task's entropy."""
    if not hasattr(module, "Random"):
        return None  # a local module of that name
    original = module.Random.seed

    def seed(generator: Any, a: Any = None, version: int = 2) -> None:
        original(generator, seeder.entropy(128) if a is None else a, version)

    module.Random.seed = seed
    instance = module._inst  # noqa: SLF001 - its methods are the module's functions
    module.seed = instance.seed
    plain: Any = sys.modules["_random"].Random.seed  # type: ignore[attr-defined, unused-ignore]

    def start() -> None:
        plain(instance, int.from_bytes(seeder.digest[:16], "little"))
        instance.gauss_next = None

    return _once_touched(seeder, module, _Global(start, instance.getstate, instance.setstate))


def _once_touched(seeder: Seeder, module: ModuleType, generator: _Global) -> _Global:
    """The same generator, started only once the module is used: a start costs as much as a short task.

    Many libraries import ``random``, but few draw from it. The first access to anything but its classes starts the
    generator for the running task; from then on it is started for each task.
    """

    class Untouched(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            if name not in _HARMLESS and not touched():
                seeder.start(generator.again)
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
    else:
        seeder.start(generator.again)
    return _Global(again, lambda: generator.save() if touched() else None, restore)


def _numpy(seeder: Seeder, module: Any) -> _Global | None:
    """The legacy generator; also replaces the entropy source of ``default_rng()``."""
    if not hasattr(module, "seed"):
        return None  # another module of that name, or a partly loaded one
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
    """Restart a generator's stream from a digest."""
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
        bits = generator._bit_generator if legacy else generator.bit_generator  # noqa: SLF001 - works for all of them
    source = module.SeedSequence(_words(digest))
    bits.state = type(bits)(source).state
    parent = getattr(bits, "seed_seq", None)  # seeds the generators that it spawns
    if isinstance(parent, module.SeedSequence):
        parent.__setstate__(_state_of(source))
    if legacy:  # it keeps half of a pair of normal draws
        state = generator.get_state(legacy=False)
        generator.set_state({**state, "has_gauss": 0, "gauss": 0.0})


def _set_children(sequence: Any, digest: bytes) -> None:
    """Make a seed sequence's children depend on the task; its entropy and the state it generates stay."""
    entropy, _, *others, key = _state_of(sequence)
    if key[-len(digest) // 4 - 1 :][:1] == (_SPAWNS,):  # of the previous task
        key = key[: -len(digest) // 4 - 1]
    sequence.__setstate__((entropy, 0, *others, (*key, _SPAWNS, *_words(digest))))


def _state_of(sequence: Any) -> Any:
    """Entropy, number of children, pool, its size and key, as in a pickle."""
    _, arguments, *state = sequence.__reduce__()
    return state[0] if state else arguments[2]


def _words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


def _at_hand(names: dict[str, Any]) -> Iterator[Named]:
    return ((name, value) for name, value in list(names.items()) if is_generator(value))
