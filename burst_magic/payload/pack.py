"""Pickle objects with one C pickler, plus reducers for what it cannot handle.

The pickler calls Python only for objects that are not plain data (`reducer_override`), so numbers, strings and
containers run at C speed. One pickler packs a whole namespace, name after name, so that identity between values is
preserved and each name's bytes are known.
"""

from __future__ import annotations

import copyreg
import functools
import io
import pickle
import struct
import sys
import threading
import types
from dataclasses import field
from typing import TYPE_CHECKING, Any

from burst_magic.dataclass import dataclass
from burst_magic.errors import CaptureError
from burst_magic.payload import chance, classes, exceptions, live, nans, oddities, rebuild, reducers
from burst_magic.payload.culprit import find_culprit, reason_of
from burst_magic.payload.declared import module_of
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
_INT, _INT_ROOM = struct.Struct("<3sic"), 1 << 31  # pickles of protocol 5 with the opcodes BININT and BINFLOAT
_FLOAT = struct.Struct(">3sdc")
_PLAIN = ATOMS | {list, tuple, dict, set, frozenset}  # their own code needs nothing from the notebook


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A namespace as bytes.

    Attributes:
        stream: the in-band bytes.
        buffers: large buffers as views of the live objects, without copies.
        names: all names sent, including those that only functions use.
        sizes: bytes per name, buffers included; shared objects count for the first name that needs them.
        why: for an indirect name, the name that uses it.
        modules: names of modules that loading will import.
        words: attribute and global names in the code.
        omitted: (name, user): names that don't exist elsewhere and are not sent.
        files: file names of the code sent.
        changes: globals whose objects this code visibly changes in place.
        anew: name -> what in it every task gets a new one of, and what that means.
        runs_code: loading runs user code, such as a ``__setstate__``.
        packer: the packer, whose memo contains every object in it.
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
    """The C pickler with reducers for functions, classes and other objects that notebooks define."""

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
        self.last: tuple[str, ...] = ()  # names to pack after all others, in this order

    @functools.cached_property
    def notes(self) -> Notes:
        """Created on first use: most items are plain data."""
        return Notes()

    def reducer_override(self, obj: Any) -> Any:
        """Called for everything but plain data."""
        kind = type(obj)
        reduce = _TABLE.get(kind)
        if reduce is not None:
            return reduce(self, obj)
        if issubclass(kind, type):  # 3.10 considers list[int] an instance of type
            return classes.reduce_class(self, obj)
        if (kind in _trusted and not is_within(kind.__module__, self.notes.local)) or kind in self.notes.plain:
            return NotImplemented
        way = self.notes.ways.get(kind)
        return _unusual(self, obj, kind) if way is None else way(obj)

    def claim(self, names: Mapping[str, str]) -> dict[str, object]:
        """Claim the notebook's names that are needed and not yet packed, with their dependencies, in loading order.

        Definitions come first, then values, each after those that its class's code uses.

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
        """Whether an exception can be rebuilt on the other side, as far as known here."""
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
        """Not a nested function: a recursive one would keep this packer, and everything it packed, alive."""
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


# Importable types that pickle by themselves, cached so that each is checked once.
_trusted: set[type] = set()


def _unusual(packer: Packer, obj: Any, kind: type) -> Any:
    """Reduce everything else: by the type's own reduction, if it has one that works."""
    for find in (_of_a_family, _of_the_process):
        reduction = find(packer, obj, kind)
        if reduction is not None:
            return reduction
    if packer.notes.steady and _chooses_its_state(packer, kind):
        raise Reserved(f"{kind.__name__} defines how it is pickled, and may leave something out")
    return _by_itself(packer, obj, kind) if _reduces_itself(kind) else _by_its_state(packer, obj, kind)


def _of_a_family(packer: Packer, obj: Any, kind: type) -> Any:
    if issubclass(kind, BaseException):
        return exceptions.reduce_exception(packer, obj)
    if issubclass(kind, types.ModuleType):
        return reducers.reduce_module(packer, obj)
    if issubclass(kind, threading.local) and not _reduces_itself(kind):
        return oddities.of_a_thread(obj)
    return chance.reduce(packer, obj) if chance.is_generator(obj) else None


def _of_the_process(packer: Packer, obj: Any, kind: type) -> Any:
    """Reduce per-process singletons, and standard-library objects that cannot pickle themselves."""
    if module_of(kind) in oddities.MODULES:
        named = oddities.NAMED.get(f"{module_of(kind)}.{kind.__qualname__}")
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
    """Remember how to reduce this type."""
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
    """Whether a change of this value would go undetected."""


def _chooses_its_state(packer: Packer, kind: Any) -> bool:
    """True for a class that defines how it is pickled; methods written by a module's decorator count as complete."""
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
    """True if the type or `copyreg` defines its reduction."""
    return (
        kind.__reduce_ex__ is not object.__reduce_ex__
        or kind.__reduce__ is not object.__reduce__
        or kind in copyreg.dispatch_table
    )


def _buffer_for(kept: list[memoryview] | None) -> Callable[[pickle.PickleBuffer], bool]:
    """The pickler's buffer callback. Not a method: a reference cycle would keep everything packed alive."""

    def in_band(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < OUT_OF_BAND:
            return True
        if kept is not None:
            kept.append(raw)
        return False

    return in_band


class _NanPacker(nans.ByIdentity, Packer):
    """Keeps the identity of NaNs."""


class Packing:
    """A namespace while it is being packed, name after name.

    Args:
        home: the notebook's globals.
        hold: keep large buffers.
        apart: keep the identity of NaNs (`nans`).
    """

    def __init__(self, home: Mapping[str, object], *, hold: bool = True, apart: bool = False) -> None:
        self._file = io.BytesIO()
        self._buffers: list[memoryview] = []
        self._sizes: dict[str, int] = {}
        self._anew: dict[str, str] = {}
        self._generators: list[tuple[str, object]] = []
        self.current = ""  # the name being packed
        self.packer = (_NanPacker if apart else Packer)(
            self._file, home=home, mode=Mode.NAMESPACE, buffer_callback=_buffer_for(self._buffers if hold else None)
        )

    def add(self, name: str, value: object) -> None:
        """Pack one name. Raises whatever pickling the object raises."""
        self.current = name
        start, first = self._file.tell(), len(self._buffers)
        if type(value) is bytes and len(value) >= OUT_OF_BAND:
            value = reducers.Raw(value)
        elif (own := live.own(value)) is not None:
            value = own
            self.packer.notes.module(own.module)
        self.packer.dump((name, value))
        while self.packer.notes.anew:
            self._anew[name] = self.packer.notes.anew.pop()
        self._sizes[name] = self._file.tell() - start + sum(view.nbytes for view in self._buffers[first:])
        for number, generator in enumerate(self.packer.notes.generators[len(self._generators) :]):
            self._generators.append((f"{name}.{number}" if number else name, generator))

    def finish(self, parts: Sequence[object] = ()) -> Packed:
        """Finish. Names discovered while packing others get their values at the end.

        Args:
            parts: objects that items refer to, by number.
        """
        notes = self.packer.notes
        while new := notes.sent - self._sizes.keys():
            for name in sorted(new):
                self.add(name, self.packer.home[name])
        own = set(map(id, generators_in(parts, self.packer.home))) if parts else set()  # items keep their own state
        generators = [(key, generator) for key, generator in self._generators if id(generator) not in own]
        self.packer.dump([generators, list(parts)])  # not a tuple: marks the end of the names
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
    """Records the random generators it encounters."""

    def reducer_override(self, obj: Any) -> Any:
        if chance.is_generator(obj):
            self.found.append(obj)
        return super().reducer_override(obj)

    @functools.cached_property
    def found(self) -> list[object]:
        """In order of discovery."""
        return []


def generators_in(parts: Sequence[object], home: Mapping[str, object]) -> list[object]:
    """Random generators in items keep their own state, even if they are part of a captured value."""
    packer = _Watching(io.BytesIO(), home=home, mode=Mode.ITEM, buffer_callback=lambda _: False)
    packer.dump(list(parts))
    return packer.found


def pack(namespace: Mapping[str, object], *, home: Mapping[str, object]) -> Packed:
    """Pack named values into one stream.

    Functions and classes of the notebook are packed by value, with every global they use.

    Args:
        namespace: what to pack.
        home: the notebook's globals.

    Raises:
        CaptureError: a value cannot be pickled; names it.
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
    """Pack a part of a captured value on its own, in band; its names must already exist."""
    file = io.BytesIO()
    packer = Packer(file, home=home, mode=Mode.NAMESPACE)
    packer.notes.sent.update(home)
    packer.dump(value)
    return file.getvalue()


def fails_to_pack(value: object, home: Mapping[str, object], mode: Mode) -> Exception | None:
    """Try to pack a part of an unpicklable value on its own; return its error, if any."""
    packer = Packer(io.BytesIO(), home=home, mode=mode, buffer_callback=lambda _: False)
    packer.notes.sent.update(home)  # other names are checked under their own name
    try:
        packer.dump(value)
    except Exception as error:  # noqa: BLE001 - a user's __reduce__ may raise anything; that it failed is the answer
        return error
    return None


def culprit_of(
    value: object, error: BaseException, *, name: str = "", home: Mapping[str, object], mode: Mode
) -> tuple[str, str]:
    """The path from `name` to the innermost part that cannot be packed, and the reason."""
    path, found = find_culprit(name, value, error, lambda part: fails_to_pack(part, home, mode))
    return path.strip(), reason_of(found)


def pack_atom(value: object) -> bytes:
    """Pickle a value of one of the types ``ATOMS``. Numbers take half the pickler's size, and a third of its time."""
    if type(value) is int and -_INT_ROOM <= value < _INT_ROOM:
        return _INT.pack(b"\x80\x05J", value, b".")
    if type(value) is float:
        return _FLOAT.pack(b"\x80\x05G", value, b".")
    return pickle.dumps(value, PROTOCOL)


def pack_value(value: object, *, home: Mapping[str, object], needs: Needs | None = None) -> bytes:
    """Pack one item (client to worker: give `needs`) or one result (worker to client), all in band.

    Functions and classes that both sides know by name are packed as that name, so instances are returned as instances
    of the notebook's own class.

    Args:
        value: anything.
        home: the notebook's globals, or the worker's copy of them.
        needs: for items: collects what the item refers to and the payload must contain.
    """
    if type(value) in ATOMS:
        return pack_atom(value)
    file = io.BytesIO()
    packer = Packer(file, home=home, mode=Mode.RESULT if needs is None else Mode.ITEM)
    packer.dump(value)
    if needs is not None and "notes" in vars(packer):
        needs.add(packer.notes)
    return file.getvalue()


def pack_error(error: BaseException, *, home: Mapping[str, object]) -> bytes:
    """Pack an exception of a task (worker to client), with the exceptions it was raised from.

    An exception that cannot be rebuilt is replaced with a `TaskFailed` that names it. So is a `BaseException` that is
    not an `Exception`, since it would end the kernel.

    Args:
        error: the exception.
        home: the worker's copy of the notebook's globals.
    """
    file = io.BytesIO()
    packer = Packer(file, home=home, mode=Mode.RESULT)
    packer.lenient = True
    packer.dump(error if isinstance(error, Exception) and packer.comes_back(error) else exceptions.stand_in(error))
    return file.getvalue()
