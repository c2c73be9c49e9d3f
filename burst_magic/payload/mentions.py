"""Which globals and modules a code object mentions. Works on bytecode: source may be missing."""

from __future__ import annotations

import dis
import functools
import types
from dataclasses import dataclass

_READS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "DELETE_GLOBAL"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Mentions:
    """Names read as globals, attribute names, and modules imported, nested code included."""

    names: frozenset[str]
    words: frozenset[str]
    imports: frozenset[str]


@functools.lru_cache(maxsize=4096)
def of_code(code: types.CodeType) -> Mentions:
    """What this code and the code inside it mention."""
    names: set[str] = set()
    words: set[str] = set()
    imports: set[str] = set()
    for step in dis.get_instructions(code):
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
    return Mentions(names=frozenset(names), words=frozenset(words | names), imports=frozenset(imports))
