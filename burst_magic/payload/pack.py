"""Objects become bytes: one C pickler, and reducers for what it cannot carry.

The pickler asks Python only about objects that are not plain data (`reducer_override`), so numbers, text and
containers go at C's speed. One pickler packs a whole namespace, name after name, so that identity between values is
kept and each name's bytes are known.
"""

from __future__ import annotations

import copyreg
import functools
import io
import pickle
import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from burst_magic.errors import CaptureError
from burst_magic.payload import chance, classes, exceptions, oddities, rebuild, reducers
from burst_magic.payload.culprit import find_culprit, reason_of
from burst_magic.payload.notes import (
    OMITTED,
    OUT_OF_BAND,
    PROTOCOL,
    Changed,
    Mode,
    Needs,
    Notes,
    find_module,
    importable,
    is_within,
)
from burst_magic.payload.unpack import unpack_value
from burst_magic.payload.walk import VALUE, closure, rank

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_TABLE = {**reducers.TABLE, **oddities.TABLE}
ATOMS = frozenset({int, float, bool, str, bytes, complex, type(None)})
_PLAIN = ATOMS | {list, tuple, dict, set, frozenset}  # their own code needs nothing of the notebook


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A namespace as bytes.

    Attributes:
        stream: the in-band bytes.
        buffers: big buffers, views of the live objects: nothing is copied.
        names: all names that travel, also those that only functions mention.
        sizes: bytes per name, buffers included; shared objects count for the first name that needs them.
        why: for a name that nobody asked for, the name that uses it.
        modules: names of modules that loading will import.
        words: attribute and global names that the code mentions.
        omitted: (name, user): names that mean nothing elsewhere, and stay behind.
        files: file names of the code that travels.
        changes: globals whose objects this code plainly changes in place.
        anew: name -> type of a lock in it, of which every task gets a new one.
        runs_code: loading runs code of the user's, such as a ``__setstate__``.
        packer: what packed it, whose memo knows every object in it.
    """

    stream: bytes
    buffers: tuple[memoryview, ...] = ()
    names: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()
    omitted: tuple[tuple[str, str], ...] = ()
    files: frozenset[str] = frozenset()
    changes: frozenset[str] = frozenset()
    anew: Mapping[str, str] = field(default_factory=dict)
    runs_code: bool = False
    packer: Packer | None = field(default=None, repr=False, compare=False)


class Packer(pickle.Pickler):
    """The C pickler with reducers for functions, classes and what else a notebook defines."""

    def __init__(
        self,
        file: io.BytesIO,
        *,
        home: Mapping[str, object],
        mode: Mode,
        buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
    ) -> None:
        super().__init__(file, PROTOCOL, buffer_callback=buffer_callback)
        self.home = home
        self.mode = mode
        self.alone = False
        self.lenient = False
        self.last: tuple[str, ...] = ()  # names that are packed after all others, in this order

    @functools.cached_property
    def notes(self) -> Notes:
        """Made when first needed: most items are plain data."""
        return Notes()

    def reducer_override(self, obj: Any) -> Any:
        """Called for everything but plain data."""
        kind = type(obj)
        reduce = _TABLE.get(kind)
        if reduce is not None:
            return reduce(self, obj)
        if issubclass(kind, type):  # 3.10 takes list[int] for an instance of type
            return classes.reduce_class(self, obj)
        if (kind in _trusted and not is_within(kind.__module__, self.notes.local)) or kind in self.notes.plain:
            return NotImplemented
        way = self.notes.ways.get(kind)
        return _unusual(self, obj, kind) if way is None else way(obj)

    def claim(self, names: Mapping[str, str]) -> dict[str, object]:
        """The notebook's names that are needed and not yet under way, with all that they mention, in an order to load.

        Definitions come first, then values, each after those that its class's code mentions.

        Args:
            names: name -> who needs it.
        """
        notes = self.notes
        found = closure(names, self.home, skip=notes.sent, omit=OMITTED)
        notes.sent.update(found.names)
        notes.why.update(found.names)
        notes.words |= found.words
        notes.modules |= found.imports
        notes.files |= found.files
        notes.changes |= found.changes
        notes.omitted.update(found.omitted)
        definitions = sorted((name for name in found.names if rank(self.home[name]) < VALUE), key=self._rank)
        values = [name for name in found.names if rank(self.home[name]) == VALUE]
        order = [*definitions, *self._after_what_they_need(values)]
        if self.last:
            order = [name for name in order if name not in self.last] + [name for name in self.last if name in order]
        return {name: self.home[name] for name in order}

    def comes_back(self, error: BaseException) -> bool:
        """Whether an exception can be had on the other side, as far as can be seen from here."""
        file = io.BytesIO()
        packer = Packer(file, home=self.home, mode=self.mode)
        packer.alone, packer.lenient = True, self.lenient
        packer.notes.sent.update(self.home)
        try:
            packer.dump(error)
            if self.mode is not Mode.RESULT:
                return True
            back = unpack_value(file.getvalue(), home=dict(self.home))
        except Exception:  # noqa: BLE001 - a class of the user's
            return False
        return type(back).__name__ == type(error).__name__

    def _rank(self, name: str) -> int:
        return rank(self.home[name])

    def _after_what_they_need(self, names: list[str]) -> list[str]:
        order: dict[str, None] = {}
        met: set[str] = set()
        for name in names:
            self._visit(name, names, met, order)
        return list(order)

    def _visit(self, name: str, names: list[str], met: set[str], order: dict[str, None]) -> None:
        """No function in a function: one that calls itself would keep this packer, and all that it packed, alive."""
        if name not in met:
            met.add(name)
            for other in self._needed_by(name, names):
                self._visit(other, names, met, order)
            order[name] = None

    def _needed_by(self, name: str, names: list[str]) -> list[str]:
        if len(names) == 1 or type(self.home[name]) in _PLAIN:
            return []
        needed = closure({name: ""}, self.home, skip=frozenset(), omit=OMITTED).names
        return [other for other in names if other in needed]


# Importable types that pickle by themselves, remembered so that they are looked at once.
_trusted: set[type] = set()


def _unusual(packer: Packer, obj: Any, kind: type) -> Any:
    """Everything else: the type's own reduction, where it has one that works."""
    for find in (_of_a_family, _of_the_process):
        reduction = find(packer, obj, kind)
        if reduction is not None:
            return reduction
    if packer.notes.steady and _chooses_its_state(packer, kind):
        raise Reserved(f"{kind.__name__} says itself what of it travels, and may keep more")
    return _by_itself(packer, obj, kind) if _reduces_itself(kind) else _by_its_state(packer, obj, kind)


def _of_a_family(packer: Packer, obj: Any, kind: type) -> Any:
    if issubclass(kind, BaseException):
        return exceptions.reduce_exception(packer, obj)
    if issubclass(kind, types.ModuleType):
        return reducers.reduce_module(packer, obj)
    return chance.reduce(packer, obj) if chance.is_generator(obj) else None


def _of_the_process(packer: Packer, obj: Any, kind: type) -> Any:
    """What each process has one of, and what the standard library cannot pickle by itself."""
    if kind.__module__ in oddities.MODULES:
        named = oddities.NAMED.get(f"{kind.__module__}.{kind.__qualname__}")
        if named is not None:
            return named(packer, obj)
        if getattr(sys, kind.__name__, None) is obj:  # sys.flags, sys.version_info
            return getattr, (sys, kind.__name__)
    if name := rebuild.stream_name(obj):
        return rebuild.stream, (name,)
    return None


def _by_itself(packer: Packer, obj: Any, kind: type) -> Any:
    known = importable(kind)
    if known and not _is_stream(kind):  # another of the same kind may be the kernel's stdout
        _trusted.add(kind)
    if known or kind in copyreg.dispatch_table:
        return NotImplemented
    packer.notes.runs_code = True
    way = _with_own_attributes if reducers.knows_no_attributes(kind) else _setting_state
    return _in_this_way(packer, way, obj)


def _by_its_state(packer: Packer, obj: Any, kind: type) -> Any:
    if reducers.sets_its_state(kind):
        packer.notes.runs_code = True
        return _in_this_way(packer, _setting_state, obj)
    try:
        obj.__reduce_ex__(PROTOCOL)
    except TypeError:
        return reducers.by_dill(obj)
    if getattr(kind, "__getstate__", None) is not getattr(object, "__getstate__", None):  # object has one since 3.11
        return _in_this_way(packer, _with_raw_state, obj)
    if not _is_stream(kind):  # as above
        packer.notes.plain.add(kind)
    return NotImplemented


def _in_this_way(packer: Packer, way: Callable[[Any], Any], obj: Any) -> Any:
    """And the next of its kind at once."""
    if not _is_stream(type(obj)):
        packer.notes.ways[type(obj)] = way
    return way(obj)


def _setting_state(obj: Any) -> Any:
    return reducers.with_setter(obj.__reduce_ex__(PROTOCOL))


def _with_own_attributes(obj: Any) -> Any:
    return reducers.with_own_attributes(obj, obj.__reduce_ex__(PROTOCOL))


def _with_raw_state(obj: Any) -> Any:
    return reducers.with_raw_state(obj.__reduce_ex__(PROTOCOL))


class Reserved(pickle.PicklingError):
    """Nobody can tell whether this has changed."""


def _chooses_its_state(packer: Packer, kind: Any) -> bool:
    """True for a class that says itself how it is pickled; what a decorator of a module wrote is complete."""
    return any(
        isinstance(way := getattr(kind, name, None), types.FunctionType) and not _is_of_a_module(packer, way)
        for name in ("__getstate__", "__reduce__", "__reduce_ex__")
    )


def _is_of_a_module(packer: Packer, function: types.FunctionType) -> bool:
    module = find_module(str(function.__globals__.get("__name__")))
    if module is None or vars(module) is not function.__globals__:
        return False
    return not is_within(module.__name__, packer.notes.local)


def _is_stream(kind: type) -> bool:
    return hasattr(kind, "write") or hasattr(kind, "readline")


def _reduces_itself(kind: Any) -> bool:
    """True when the type, or `copyreg`, says how to reduce it."""
    return (
        kind.__reduce_ex__ is not object.__reduce_ex__
        or kind.__reduce__ is not object.__reduce__
        or kind in copyreg.dispatch_table
    )


def _buffer_for(kept: list[memoryview] | None) -> Callable[[pickle.PickleBuffer], bool]:
    """What the pickler asks of each buffer. No method of a packing: a circle would keep all that was packed alive."""

    def in_band(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < OUT_OF_BAND:
            return True
        if kept is not None:
            kept.append(raw)
        return False

    return in_band


class Packing:
    """A namespace while it is being packed, name after name."""

    def __init__(self, home: Mapping[str, object], *, hold: bool = True) -> None:
        self._file = io.BytesIO()
        self._buffers: list[memoryview] = []
        self._sizes: dict[str, int] = {}
        self._anew: dict[str, str] = {}
        self._generators: list[tuple[str, object]] = []
        self.current = ""  # the name that is being packed
        self.packer = Packer(
            self._file, home=home, mode=Mode.NAMESPACE, buffer_callback=_buffer_for(self._buffers if hold else None)
        )

    def add(self, name: str, value: object) -> None:
        """Pack one name. Raises whatever the object raises when it is pickled."""
        self.current = name
        start, first = self._file.tell(), len(self._buffers)
        if type(value) is bytes and len(value) >= OUT_OF_BAND:
            value = reducers.Raw(value)
        self.packer.dump((name, value))
        while self.packer.notes.anew:
            self._anew[name] = self.packer.notes.anew.pop()
        self._sizes[name] = self._file.tell() - start + sum(view.nbytes for view in self._buffers[first:])
        for number, generator in enumerate(self.packer.notes.generators[len(self._generators) :]):
            self._generators.append((f"{name}.{number}" if number else name, generator))

    def finish(self, parts: Sequence[object] = ()) -> Packed:
        """All of it. Names that came up while others were packed get their values at the end.

        Args:
            parts: objects that items refer to, by number.
        """
        notes = self.packer.notes
        while new := notes.sent - self._sizes.keys():
            for name in sorted(new):
                self.add(name, self.packer.home[name])
        own = set(map(id, generators_in(parts, self.packer.home))) if parts else set()  # items keep their own state
        generators = [(key, generator) for key, generator in self._generators if id(generator) not in own]
        self.packer.dump([generators, list(parts)])  # no tuple: it ends the names
        return Packed(
            stream=self._file.getvalue(),
            buffers=tuple(self._buffers),
            names=tuple(self._sizes),
            sizes=self._sizes,
            why=notes.why,
            modules=frozenset(notes.modules),
            words=frozenset(notes.words),
            omitted=tuple(notes.omitted.items()),
            files=frozenset(notes.files),
            changes=frozenset(notes.changes),
            anew=self._anew,
            runs_code=notes.runs_code,
            packer=self.packer,
        )


class _Watching(Packer):
    """Notes the random generators that it meets."""

    def reducer_override(self, obj: Any) -> Any:
        if chance.is_generator(obj):
            self.found.append(obj)
        return super().reducer_override(obj)

    @functools.cached_property
    def found(self) -> list[object]:
        """In the order in which they are met."""
        return []


def generators_in(parts: Sequence[object], home: Mapping[str, object]) -> list[object]:
    """Random generators in items keep their own state, also where they are part of a captured value."""
    packer = _Watching(io.BytesIO(), home=home, mode=Mode.ITEM, buffer_callback=lambda _: False)
    packer.dump(list(parts))
    return packer.found


def pack(namespace: Mapping[str, object], *, home: Mapping[str, object]) -> Packed:
    """Pack named values into one stream.

    Functions and classes of the notebook travel by value, with every global that they mention.

    Args:
        namespace: what to pack.
        home: the notebook's globals.

    Raises:
        CaptureError: a value cannot be pickled; says which.
    """
    same = all(name in home and home[name] is value for name, value in namespace.items())
    packing = Packing(home if same else Changed(home, {**home, **namespace}))
    for name, value in packing.packer.claim(dict.fromkeys(namespace, "")).items():
        try:
            packing.add(name, value)
        except Exception as error:
            raise CaptureError(f"{name}: {error}") from error
    return packing.finish()


def pack_part(value: object, home: Mapping[str, object]) -> bytes:
    """A part of a captured value by itself, in band; the names that it mentions have to be there."""
    file = io.BytesIO()
    packer = Packer(file, home=home, mode=Mode.NAMESPACE)
    packer.notes.sent.update(home)
    packer.dump(value)
    return file.getvalue()


def fails_to_pack(value: object, home: Mapping[str, object], mode: Mode) -> Exception | None:
    """How a part of something that cannot be packed fails by itself, if it does."""
    packer = Packer(io.BytesIO(), home=home, mode=mode, buffer_callback=lambda _: False)
    packer.notes.sent.update(home)  # other names are looked at under their own name
    try:
        packer.dump(value)
    except Exception as error:  # noqa: BLE001 - a user's __reduce__ may raise anything; that it failed is the answer
        return error
    return None


def culprit_of(
    value: object, error: BaseException, *, name: str = "", home: Mapping[str, object], mode: Mode
) -> tuple[str, str]:
    """The path of the innermost part that cannot be packed, from `name` on, and why it cannot."""
    path, found = find_culprit(name, value, error, lambda part: fails_to_pack(part, home, mode))
    return path.strip(), reason_of(found)


def pack_value(value: object, *, home: Mapping[str, object], needs: Needs | None = None) -> bytes:
    """Pack one item (client to worker: give `needs`) or one result (worker to client), all in band.

    Functions and classes that both sides know by name travel as that name, so instances come back as instances of
    the notebook's own class.

    Args:
        value: anything.
        home: the notebook's globals, or the worker's copy of them.
        needs: for items: collects what the item refers to and the payload must bring.
    """
    if type(value) in ATOMS:
        return pickle.dumps(value, PROTOCOL)
    file = io.BytesIO()
    packer = Packer(file, home=home, mode=Mode.RESULT if needs is None else Mode.ITEM)
    packer.dump(value)
    if needs is not None and "notes" in vars(packer):
        needs.add(packer.notes)
    return file.getvalue()


def pack_error(error: BaseException, *, home: Mapping[str, object]) -> bytes:
    """Pack what a task raised (worker to client), with what it was raised from.

    Where an exception cannot be had back, a `TaskFailed` that says which it was stands for it. Whatever is no
    `Exception` would end the kernel, and is stood for too.

    Args:
        error: the exception.
        home: the worker's copy of the notebook's globals.
    """
    file = io.BytesIO()
    packer = Packer(file, home=home, mode=Mode.RESULT)
    packer.lenient = True
    packer.dump(error if isinstance(error, Exception) and packer.comes_back(error) else exceptions.stand_in(error))
    return file.getvalue()
