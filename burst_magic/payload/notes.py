"""State shared by the packer and the reducers: what is being packed, the findings so far, what is imported by name."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import field
from enum import Enum
from typing import Any, NamedTuple, Protocol

from burst_magic.dataclass import dataclass
from burst_magic.payload.rebuild import Scope

OUT_OF_BAND = 1 << 20  # bytes from which a buffer is sent separately: smaller ones cost more as objects than as bytes
PROTOCOL = 5

# The notebook's own machinery, which workers don't have.
OMITTED = frozenset({"get_ipython", "In", "Out", "_ih", "_oh", "_dh", "exit", "quit"})


class Changed(dict[str, Any]):
    """Replaces the contents of the notebook's globals; the notebook's functions still belong to the original.

    A dict's ``__name__`` doesn't identify the notebook: generated and executed code also calls its globals ``__main__``
    (attrs, runpy, ``exec``).

    Args:
        original: the notebook's globals, or their replacement.
        contents: names and values.
    """

    __slots__ = ("globals",)

    def __init__(self, original: Mapping[str, object], contents: Mapping[str, object]) -> None:
        super().__init__(contents)
        self.globals = globals_of(original)


def globals_of(home: Mapping[str, object]) -> Mapping[str, object]:
    """The dict that the notebook's functions have as their globals."""
    return home.globals if isinstance(home, Changed) else home


class Mode(Enum):
    """What is being packed; determines what may be named instead of sent."""

    NAMESPACE = 0  # everything from the notebook by value
    ITEM = 1  # client to worker: objects of the notebook by name
    RESULT = 2  # worker to client: objects from the client by name; nothing may leak into the notebook


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What items refer to and the payload must contain: collected while they are packed.

    Attributes:
        names: of the notebook.
        modules: modules that loading will import.
        words: attribute and global names in their code, to find submodules.
        files: file names of their code.
        omitted: name -> user: names that don't exist elsewhere.
        parts: captured objects that items are or contain; items refer to them by number.
    """

    names: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    omitted: dict[str, str] = field(default_factory=dict)
    parts: list[object] = field(default_factory=list)

    def add(self, notes: Notes) -> None:
        """Add the needs of one more item."""
        self.names.update(notes.sent)
        self.modules.update(notes.modules)
        self.words.update(notes.words)
        self.files.update(notes.files)
        self.omitted.update(notes.omitted)


class Notes:
    """The findings of a packer.

    Attributes:
        sent: names to send, or, in items, names that the other side must have.
        why: name -> who needs it.
        cells: cells that a function fills, by id; kept alive for their ids, like the globals in `scopes`.
        plain: types that pickle does by itself.
        ways: how objects of a type are reduced, once known.
        anew: what is replaced with a new one on the other side, and what that means.
        generators: random generators in order of discovery.
        places: where modules keep generators, once looked up.
        steady: the bytes serve to detect changes; draws of a generator don't count.
        local: packages whose functions and classes are packed by value, to detect changes.
        runs_code: loading runs user code.
        parameters: type parameters of aliases being packed, by id: the alias and the position in it.
        links: exceptions that others refer to, by id: what is sent for them.
    """

    __slots__ = (
        "anew", "cells", "changes", "files", "generators", "links", "local", "modules", "omitted", "parameters",
        "places", "plain", "runs_code", "scopes", "sent", "steady", "ways", "why", "words",
    )  # fmt: skip

    def __init__(self) -> None:
        self.sent: set[str] = set()
        self.why: dict[str, str] = {}
        self.modules: set[str] = set()
        self.words: set[str] = set()
        self.files: set[str] = set()
        self.changes: set[str] = set()
        self.omitted: dict[str, str] = {}
        self.cells: dict[int, types.CellType] = {}
        self.scopes: dict[int, tuple[Scope, object]] = {}
        self.plain: set[type] = set()
        self.ways: dict[type, Callable[[Any], Any]] = {}
        self.anew: set[str] = set()
        self.generators: list[object] = []
        self.places: dict[int, tuple[str, str]] | None = None
        self.steady = False
        self.local: frozenset[str] = frozenset()
        self.runs_code = False
        self.parameters: dict[int, tuple[object, int]] = {}
        self.links: dict[int, Link] = {}

    def module(self, name: str) -> None:
        """Record that loading will import this module."""
        if name != "builtins" and not name.startswith("burst_magic"):
            self.modules.add(name)


class Link(NamedTuple):
    """An exception that another refers to: what is sent for it, its depth, and itself, kept alive for its id."""

    sent: BaseException
    depth: int
    link: BaseException


class PackerView(Protocol):
    """The pickler, as reducers see it.

    Attributes:
        home: the notebook's globals, or the worker's copy of them.
        mode: what may be named instead of sent.
        alone: an exception is packed without the others, to see whether it can be.
        lenient: members of a group that cannot be pickled are replaced with stand-ins.
    """

    home: Mapping[str, object]
    mode: Mode
    alone: bool
    lenient: bool

    @property
    def notes(self) -> Notes:
        """The findings so far."""

    def claim(self, names: Mapping[str, str]) -> dict[str, object]:
        """Claim the notebook's names that are needed and not yet packed, with their dependencies."""

    def comes_back(self, error: BaseException) -> bool:
        """Whether an exception can be rebuilt on the other side."""


def find_module(name: str) -> types.ModuleType | None:
    """A module that other processes can import; not one created by hand, nor the notebook."""
    module = sys.modules.get(name)
    if module is None or name == "__main__":
        return None
    return None if getattr(module, "__spec__", None) is None and name not in sys.builtin_module_names else module


def importable(obj: Any) -> bool:
    """True if a module other than the notebook has this object under its qualified name."""
    name = getattr(obj, "__module__", None)
    found: Any = find_module(name) if isinstance(name, str) else None
    if found is None:
        return False
    path = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", "")
    for part in str(path).split("."):
        found = getattr(found, part, None)
        if found is None:
            return False
    return found is obj


def by_import(packer: PackerView, obj: Any) -> bool:
    """True if this can be imported and its content is not being compared."""
    return importable(obj) and not is_within(obj.__module__, packer.notes.local)


def is_within(module: object, packages: AbstractSet[str]) -> bool:
    """True for the name of a module in these packages; some interpreter types have a non-string there."""
    return bool(packages) and isinstance(module, str) and module.partition(".")[0] in packages
