"""Detect whether tasks have changed captured values or local modules.

Nothing is guessed from the code. Values are pickled again and the bytes compared, large arrays by the kernel's record
of written pages, modules by the objects their names refer to. Draws of a random generator don't count as changes: each
task reseeds it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any

from burst_magic.payload.fingerprint import fingerprint, fingerprint_each
from burst_magic.payload.mentions import of_code
from burst_magic.payload.walk import functions_of
from burst_magic.worker.child.isolation.surroundings import packages_in

_PAGE = os.sysconf("SC_PAGE_SIZE")
_ENTRY = 8  # bytes per page in /proc/self/pagemap
_PRESENT, _SWAPPED, _OF_FILE = 63, 62, 61  # bits of an entry
_DEFINITIONS = (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)

_OF_EACH_MODULE = frozenset({"__name__", "__doc__", "__package__", "__loader__", "__spec__", "__file__", "__cached__",
                             "__builtins__", "__path__"})  # fmt: skip
_names_of: Callable[[types.ModuleType], dict[str, Any]] = vars(types.ModuleType)["__dict__"].__get__
_SETTLES = {"tempfile": "gettempdir", "mimetypes": "init"}  # modules that set names of their own on first use

Names = Mapping[str, Any]


class ChangeDetector:
    """Compares values and modules with their state before the first task.

    Args:
        home: the notebook's names and values; copied, since the globals themselves are emptied after each task.
        values: the captured values.
        shared: all tasks share these objects.
        maps: the mappings of their large buffers.
        bundle: the folder of local modules, or "".
        imports: modules that the cell imports.
    """

    def __init__(
        self,
        home: dict[str, Any],
        values: Names,
        *,
        shared: bool,
        maps: Sequence[Any],
        bundle: str,
        imports: frozenset[str],
    ) -> None:
        self._values = values if shared else {}
        self._spans = [_span(one) for one in maps] if shared else []
        self._bundle = bundle + os.sep if bundle else ""
        self._own: list[tuple[_Shelf, bytes]] = []
        self._others: list[_Shelf] = []
        self._imports = imports | _imports_of(values.values(), home)
        self._seen: set[str] = set()
        self._local = frozenset(packages_in(bundle))
        self.seconds = float("inf")  # duration of a comparison
        for module in list(sys.modules.values()):
            self._note_local(module)
        for module in _mentioned(values.values(), (shelf.owner for shelf, _ in self._own)):
            self._note_other(module)
        for name in self._imports & sys.modules.keys():
            self._note_other(sys.modules[name])
        self._home = home if shared else {}
        self._digest = self._look()
        self.changed()

    @property
    def empty(self) -> bool:
        """True if tasks cannot change anything for the next task."""
        return not (self._values or self._own or self._others or self._bundle or self._imports)

    def arrived(self, module: types.ModuleType) -> None:
        """Record a module that a task has just loaded."""
        self._note_local(module)
        if module.__name__ in self._imports:
            self._note_other(module)

    def changed(self) -> bool:
        """Whether something has changed; unknown counts as changed."""
        begun = perf_counter()
        try:
            found = self._differs()
        except BaseException:  # noqa: BLE001 - unknown counts as changed
            found = True
        self.seconds = min(self.seconds, perf_counter() - begun)
        return found

    def _differs(self) -> bool:
        return (
            any(shelf.changed() for shelf in self._others)
            or any(shelf.changed() or not digest or self._look_into(shelf) != digest for shelf, digest in self._own)
            or not self._digest
            or self._look() != self._digest
            or any(map(_written, self._spans))
        )

    def _note_local(self, module: types.ModuleType) -> None:
        try:
            file = _names_of(module).get("__file__")  # not through the module: a lazy one would load itself
        except TypeError:  # sys.modules may contain None and other objects
            return
        if self._bundle and isinstance(file, str) and file.startswith(self._bundle):
            self._seen.add(module.__name__)
            shelf = _Shelf(module, own=True)
            self._own.append((shelf, self._look_into(shelf)))

    def _note_other(self, module: types.ModuleType) -> None:
        if module.__name__ not in self._seen and module.__name__ != "__main__":
            self._seen.add(module.__name__)
            settle = getattr(module, _SETTLES.get(module.__name__, ""), None)
            if settle is not None:
                settle()
            self._others.append(_Shelf(module, own=False))

    def _look(self) -> bytes:
        try:
            return fingerprint(self._values, home=self._home, elsewhere=self._in_maps)
        except Exception:  # noqa: BLE001 - a __reduce__ is user code, and may not work here
            return b""

    def _look_into(self, shelf: _Shelf) -> bytes:
        return fingerprint_each(shelf.data(), local=self._local)

    def _in_maps(self, view: memoryview) -> bool:
        try:
            begin = _address(view)
        except TypeError:  # read-only
            return False
        return any(start <= begin and begin + view.nbytes <= start + length for start, length in self._spans)


class _Shelf:
    """The names of a module, and the objects that they referred to.

    Args:
        owner: the module.
        own: whether it is the notebook's; only public names of a library count.
    """

    def __init__(self, owner: types.ModuleType, *, own: bool) -> None:
        self.owner, self._own = owner, own
        self._before = dict(vars(owner))

    def changed(self) -> bool:
        """Whether a name refers to another object; newly imported modules don't count."""
        now = vars(self.owner)
        if not self._own:
            with contextlib.suppress(Exception):  # an __eq__ may be user code, or return an array
                if now == self._before:
                    return False
        passing = types.ModuleType if self._own else _DEFINITIONS
        for name in [*self._before, *now]:
            known = name in self._before
            if known and name in now and now[name] is self._before[name]:
                continue
            if (self._own or not name.startswith("_")) and (known or not isinstance(now[name], passing)):
                return True
        self._before = dict(now)
        return False

    def data(self) -> Iterator[tuple[str, Any]]:
        """Names and values that can be changed in place."""
        for name, value in self._before.items():
            if name not in _OF_EACH_MODULE and not isinstance(value, types.ModuleType):
                yield name, value


def _mentioned(values: Iterable[Any], local: Iterable[types.ModuleType]) -> list[types.ModuleType]:
    """Modules that the notebook's code or a local module refers to by a name."""
    found = [value for value in values if isinstance(value, types.ModuleType)]
    for module in local:
        found.extend(value for value in vars(module).values() if isinstance(value, types.ModuleType))
    return found


def _imports_of(values: Iterable[Any], home: Names) -> frozenset[str]:
    """Modules that the notebook's functions import when called."""
    functions = (function for value in values for function in functions_of(value, home))
    return frozenset[str]().union(*(of_code(function.__code__).imports for function in functions))


def _address(buffer: Any) -> int:
    import ctypes

    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def _span(mapping: Any) -> tuple[int, int]:
    return _address(mapping), len(mapping)


def _written(span: tuple[int, int]) -> bool:
    """Whether any page of a private mapping was written, and so is no longer the file's."""
    begin, length = span
    first, last = begin // _PAGE, (begin + length - 1) // _PAGE
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            file.seek(first * _ENTRY)
            data = file.read((last - first + 1) * _ENTRY)
    except OSError:
        return True
    pages = int.from_bytes(data, sys.byteorder)
    each = int.from_bytes((1).to_bytes(_ENTRY, sys.byteorder) * (len(data) // _ENTRY), sys.byteorder)
    there = (pages >> _PRESENT) | (pages >> _SWAPPED)
    return bool(there & ~(pages >> _OF_FILE) & each)
