"""Which globals and modules a code object mentions. Works on bytecode: source may be missing."""

from __future__ import annotations

import dis
import functools
import types
from dataclasses import dataclass

# Methods that change their object in place, of the types that people keep in notebooks.
CHANGING = frozenset({
    "append", "extend", "insert", "update", "add", "pop", "popitem", "popleft", "appendleft", "remove", "discard",
    "clear", "setdefault", "sort", "reverse", "fill", "fit", "partial_fit",
})  # fmt: skip
_READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "DELETE_GLOBAL"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentions:
    """What code mentions, nested code included.

    Attributes:
        names: read as globals.
        words: these and attribute names.
        imports: modules.
        changes: globals whose objects are plainly changed in place: ``x.append(…)``, ``x[k] = …``, ``x.a = …``.
    """

    names: frozenset[str]
    words: frozenset[str]
    imports: frozenset[str]
    changes: frozenset[str]


@functools.lru_cache(maxsize=4096)
def of_code(code: types.CodeType) -> Mentions:
    """What this code and the code inside it mention."""
    names: set[str] = set()
    words: set[str] = set()
    imports: set[str] = set()
    steps = list(dis.get_instructions(code))
    changes = _changes(steps)
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
    return Mentions(
        names=frozenset(names),
        words=frozenset(words | names),
        imports=frozenset(imports),
        changes=frozenset(changes),
    )


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
