"""Find the globals and modules that a code object uses. Works on bytecode: source may be missing."""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterator, Sequence
from dataclasses import field

from burst_magic.dataclass import dataclass
from burst_magic.payload import texts
from burst_magic.payload.texts import Looks

# Methods that change their object in place, for types common in notebooks.
CHANGING = frozenset({
    "append", "extend", "insert", "update", "add", "pop", "popitem", "popleft", "appendleft", "remove", "discard",
    "clear", "setdefault", "sort", "reverse", "fill", "fit", "partial_fit",
})  # fmt: skip
_READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "DELETE_GLOBAL"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentions:
    """Names that code uses, nested code included.

    Attributes:
        names: read as globals.
        words: these and attribute names.
        imports: modules.
        changes: globals whose objects are visibly changed in place: ``x.append(…)``, ``x[k] = …``, ``x.a = …``.
        looks: how it uses strings.
        texts: its string constants.
    """

    names: frozenset[str]
    words: frozenset[str]
    imports: frozenset[str]
    changes: frozenset[str]
    looks: Looks = Looks.NOT
    texts: frozenset[str] = field(default=frozenset(), repr=False)


@functools.lru_cache(maxsize=4096)
def of_code(code: types.CodeType) -> Mentions:
    """The names that this code and its nested code use."""
    names: set[str] = set()
    words: set[str] = set()
    imports: set[str] = set()
    steps = list(dis.get_instructions(code))
    changes = _changes(steps)
    looks = max((_looks(steps, index) for index in range(len(steps))), default=Looks.NOT)
    spoken = set(_constants(code.co_consts))
    for step in steps:
        if step.opname in _READS:
            names.add(step.argval)
        elif step.opname in _ATTRIBUTES:
            words.add(step.argval)
        elif step.opname == "IMPORT_NAME":
            imports.add(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            inner = of_code(constant)
            names |= inner.names
            words |= inner.words
            imports |= inner.imports
            changes |= inner.changes
            spoken |= inner.texts
            looks = max(looks, inner.looks)
    imports |= texts.modules_in(spoken, words | names)
    looks = max(looks, texts.by_text(spoken, words | names))
    if texts.reaches_main(spoken, words | names, imports):
        spoken |= words
    if looks is Looks.ALL:
        for text in spoken:
            imports |= texts.imports_in(text)
            words |= texts.names_in(text.replace(".", " "), looks)
    return Mentions(
        names=frozenset(names),
        words=frozenset(words | names),
        imports=frozenset(imports),
        changes=frozenset(changes),
        looks=looks,
        texts=frozenset(spoken),
    )


@functools.lru_cache(maxsize=4096)
def set_by(code: types.CodeType) -> frozenset[str]:
    """Globals that this code and its nested code bind."""
    own = (step.argval for step in dis.get_instructions(code) if step.opname == "STORE_GLOBAL")
    inner = (set_by(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return frozenset(own).union(*inner)


def _constants(values: tuple[object, ...] | frozenset[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, (tuple, frozenset)):
            yield from _constants(value)


def _looks(steps: list[dis.Instruction], index: int) -> Looks:
    """How this instruction uses strings."""
    step = steps[index]
    name = str(step.argval)
    if step.opname in _READS:
        given = name not in texts.WITHOUT or is_called_with(steps, index, 0)
        return texts.by_name(name) if given else Looks.NOT
    if step.opname in _ATTRIBUTES:
        asked = name in texts.ASKED and is_called_with(steps, index, 0)
        return (
            Looks.NOT
            if asked
            else max(texts.by_attribute(name), texts.by_name(name) if step.opname == "IMPORT_FROM" else Looks.NOT)
        )
    return texts.by_module(name) if step.opname == "IMPORT_NAME" else Looks.NOT


def is_called_with(steps: Sequence[dis.Instruction], index: int, count: int) -> bool:
    """Whether a call with this many arguments follows directly."""
    for step in steps[index + 1 :]:
        if step.opname not in {"PRECALL", "PUSH_NULL", "CACHE"}:
            return step.opname.startswith("CALL") and step.arg == count
    return False


def _changes(steps: list[dis.Instruction]) -> set[str]:
    found: set[str] = set()
    last = ("", "", "")  # the globals on top of the stack after the last three instructions, or ""
    for step in steps:
        method = step.opname in {"LOAD_ATTR", "LOAD_METHOD"} and step.argval in CHANGING
        if method or step.opname == "STORE_ATTR":
            found.add(last[-1])
        elif step.opname in {"STORE_SUBSCR", "DELETE_SUBSCR"}:
            found.add(last[-2])  # the key came after the object
        last = (*last[1:], str(step.argval) if step.opname == "LOAD_GLOBAL" else "")
    return found - {""}
