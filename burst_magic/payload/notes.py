"""What the packer and the reducers share: what is being packed, what was learnt so far, what goes by import."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple, Protocol

from burst_magic.payload.rebuild import Scope

OUT_OF_BAND = 1 << 20  # bytes from which a buffer travels by itself: smaller ones cost more as objects than as bytes
PROTOCOL = 5

# The notebook's own machinery: it means nothing on a worker.
OMITTED = frozenset({"get_ipython", "In", "Out", "_ih", "_oh", "_dh", "exit", "quit"})


class Changed(dict[str, Any]):
    """Other contents in place of the notebook's globals; the notebook's functions are still those of the original.

    Which dict is the notebook cannot be told from its ``__name__``: generated and executed code calls its globals
    ``__main__`` too (attrs, runpy, ``exec``).

    Args:
        original: the notebook's globals, or contents in place of them.
        contents: names and values.
    """

    __slots__ = ("globals",)

    def __init__(self, original: Mapping[str, object], contents: Mapping[str, object]) -> None:
        super().__init__(contents)
        self.globals = globals_of(original)


def globals_of(home: Mapping[str, object]) -> Mapping[str, object]:
    """The very dict that the notebook's functions have as their globals."""
    return home.globals if isinstance(home, Changed) else home


class Mode(Enum):
    """What is being packed decides what may be named instead of sent."""

    NAMESPACE = 0  # everything of the notebook by value
    ITEM = 1  # client to worker: what the notebook names, by its name
    RESULT = 2  # worker to client: what the client brought, by its name; nothing may leak into the notebook


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What items refer to and the payload must bring: collected while they are packed.

    Attributes:
        names: of the notebook.
        modules: that loading will import.
        words: attribute and global names that their code mentions, to find submodules.
        files: file names of their code.
        omitted: name -> user: names that mean nothing elsewhere.
        parts: objects of captured values that items are, or have in them; items refer to them by number.
    """

    names: set[str] = field(default_factory=set)
    modules: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)
    omitted: dict[str, str] = field(default_factory=dict)
    parts: list[object] = field(default_factory=list)

    def add(self, notes: Notes) -> None:
        """What one more item needs."""
        self.names.update(notes.sent)
        self.modules.update(notes.modules)
        self.words.update(notes.words)
        self.files.update(notes.files)
        self.omitted.update(notes.omitted)


class Notes:
    """What a packer learns while it packs.

    Attributes:
        sent: names that travel, or, in items, that the other side must have.
        why: name -> who needs it.
        cells: cells that a function fills, by id; kept alive for their ids. So are the globals in `scopes`.
        plain: types that pickle does by itself.
        ways: how objects of a type are reduced, once that is known.
        anew: types of what the other side gets a new one of, instead of this one.
        generators: random generators, in the order in which they were met.
        places: where modules keep generators, once that was asked.
        steady: the bytes are to tell whether something changed: what a generator has drawn is no change.
        local: packages whose functions and classes go by value all the same, to see whether they changed.
        runs_code: loading runs code of the user's.
        parameters: type parameters of aliases that are being packed, by id: the alias and the place in it.
        links: exceptions that others hang on, by id: what travels for them.
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
        """Loading will import this module."""
        if name != "builtins" and not name.startswith("burst_magic"):
            self.modules.add(name)


class Link(NamedTuple):
    """An exception that another one hangs on: what travels for it, how deep it lies, and itself, kept for its id."""

    sent: BaseException
    depth: int
    link: BaseException


class PackerView(Protocol):
    """The pickler, as reducers see it.

    Attributes:
        home: the notebook's globals, or the worker's copy of them.
        mode: what may be named instead of sent.
        alone: an exception is packed without those that hang on it, to see whether it can be.
        lenient: of a group, members that cannot travel are replaced by what says which they were.
    """

    home: Mapping[str, object]
    mode: Mode
    alone: bool
    lenient: bool

    @property
    def notes(self) -> Notes:
        """What was learnt so far."""

    def claim(self, names: Mapping[str, str]) -> dict[str, object]:
        """The notebook's names that are needed and not yet under way, with all that they mention."""

    def comes_back(self, error: BaseException) -> bool:
        """Whether an exception can be had on the other side."""


def find_module(name: str) -> types.ModuleType | None:
    """A module that others can import too; not one that was made by hand, nor the notebook."""
    module = sys.modules.get(name)
    if module is None or name == "__main__":
        return None
    return None if getattr(module, "__spec__", None) is None and name not in sys.builtin_module_names else module


def importable(obj: Any) -> bool:
    """True when a module other than the notebook has this very object under its qualified name."""
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
    """True when this is to be had by import, and what it is like there is not the question."""
    return importable(obj) and not is_within(obj.__module__, packer.notes.local)


def is_within(module: object, packages: AbstractSet[str]) -> bool:
    """True for the name of a module of these packages; some types of the interpreter have something else there."""
    return bool(packages) and isinstance(module, str) and module.partition(".")[0] in packages
