"""Find names in strings: those that ``eval``, ``df.query``, ``globals()[…]`` and similar calls look up at run time.

Strings count only if the cell or a captured function contains such a call. Which call gets which string is not tracked:
in that case all strings count, including those in captured containers.
"""

from __future__ import annotations

import ast
import functools
import re
import types
from collections import deque
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from enum import IntEnum
from itertools import islice
from typing import Any

from burst_magic.payload.declared import module_of


class Looks(IntEnum):
    """What code looks up in strings: nothing, names after an @ and SQL tables, or any name."""

    NOT = 0
    MARKED = 1
    ALL = 2


_FORMULAS = frozenset({
    "dmatrix", "dmatrices", "from_formula", "ols", "gls", "wls", "glsar", "glm", "gee", "mixedlm", "rlm", "logit",
    "probit", "mnlogit", "poisson", "negativebinomial", "quantreg", "phreg",
})  # fmt: skip
_MODULES = frozenset({"__main__", "duckdb", "numexpr", "pandasql", "patsy", "timeit"})
_NAMES = frozenset({"eval", "exec", "compile", "globals", "vars", "locals", "evaluate", "sqldf", "sql"})
_ATTRIBUTES = frozenset({"eval", "evaluate", "re_evaluate", "sql", "sqldf", "f_globals", "f_locals", "__globals__"})
IMPORTERS = frozenset(
    {"import_module", "__import__", "find_spec", "run_module"}
)  # these import modules named in strings
WAYS_TO_MAIN = IMPORTERS | {"modules"}  # together with the string "__main__"
# Without an argument the first three are the namespace, and the last (a model's) looks nothing up.
WITHOUT = frozenset({"globals", "vars", "locals"})
ASKED = frozenset({"eval"})

_WORDS = _FORMULAS | _MODULES | _NAMES | _ATTRIBUTES | WAYS_TO_MAIN | {"query", "getattr", "statsmodels.formula.api"}

_MODULE = re.compile(r"[^\W\d]\w*(?:\.\w+)*\.?")
_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*")
_MARKED = re.compile(r"@\s*([^\W\d]\w*)")
_SQL = re.compile(r"\b(?:from|join)\s", re.IGNORECASE)
_OTHERS = re.compile(r"_+|_i+|_i?\d+|_[dio]h|__\w+__")  # IPython's history, and what every module has
_CHARACTERS = 1_000_000  # characters of strings searched in one value
_PARTS = 100_000
_CALLS = frozenset({"eval", "exec"})
_PLAIN_HOMES = frozenset({"builtins", "collections", "__main__"})
_OBJECTS = frozenset({"__main__", "types"})  # containers to search
_DEPTH = 4


def by_name(name: str) -> Looks:
    """What using this global implies."""
    return Looks.ALL if name in _NAMES or name in _MODULES or name in _FORMULAS else Looks.NOT


def by_attribute(name: str) -> Looks:
    """What using this attribute implies."""
    if name == "query":
        return Looks.MARKED
    return Looks.ALL if name in _ATTRIBUTES or name in _FORMULAS else Looks.NOT


def by_module(name: str) -> Looks:
    """What importing this module implies."""
    return Looks.ALL if name.partition(".")[0] in _MODULES or name == "statsmodels.formula.api" else Looks.NOT


def may_look(words: Iterable[str]) -> bool:
    """Quick check whether code with these names, attributes and modules may look names up in strings."""
    return not _WORDS.isdisjoint(words)


def names_in(text: str, looks: Looks) -> set[str]:
    """The names that may be looked up in this string."""
    if looks is Looks.NOT:
        return set()
    marked = looks is Looks.MARKED and not _SQL.search(text)
    found = (_MARKED if marked else _NAME).findall(text)
    return {name for name in found if not _OTHERS.fullmatch(name)}


def imports_in(text: str) -> set[str]:
    """Modules that this string imports, if it is code."""
    if "import" not in text:
        return set()
    try:
        tree = ast.parse(text.strip())
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def modules_in(texts: Iterable[str], words: AbstractSet[str]) -> frozenset[str]:
    """Modules that code with these names and attributes may import by name: ``import_module("mine.tools")``."""
    if IMPORTERS.isdisjoint(words):
        return frozenset()
    return frozenset(text.rstrip(".") for text in texts if _MODULE.fullmatch(text))


def by_text(texts: AbstractSet[str], words: AbstractSet[str]) -> Looks:
    """What strings imply together with these words: ``sys.modules["__main__"]``, ``getattr(builtins, "eval")``."""
    return Looks.ALL if _is_main(texts, words) or ("getattr" in words and _CALLS & texts) else Looks.NOT


def reaches_main(texts: AbstractSet[str], words: AbstractSet[str], imports: Iterable[str]) -> bool:
    """Whether code accesses the main module, whose attributes are the notebook's names."""
    return "__main__" in imports or _is_main(texts, words)


def _is_main(texts: AbstractSet[str], words: AbstractSet[str]) -> bool:
    return bool(WAYS_TO_MAIN & words) and ("__main__" in texts or "__name__" in words)


def evaluates(value: object) -> bool:
    """Whether this function evaluates its string argument: `eval`, or a `partial` of it."""
    value = value.func if isinstance(value, functools.partial) else value
    return any(value is one for one in (eval, exec, compile))


def texts_of(value: object) -> Iterator[str]:
    """The strings in this value: itself, or in containers, objects of the notebook's classes, and code."""
    left = _CHARACTERS
    for text in _texts(value, _DEPTH):
        yield text[:left]
        left -= len(text) + 1
        if left <= 0:
            return


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth:
        for part in islice(_parts(value), _PARTS):
            yield from _texts(part, depth - 1)


def _parts(value: Any) -> Iterable[object]:
    if isinstance(value, dict):
        return (part for pair in list(dict.items(value)) for part in pair)
    if isinstance(value, (list, tuple, set, frozenset, deque)):
        return iter(list(value)) if module_of(type(value)) in _PLAIN_HOMES else ()
    if isinstance(value, functools.partial):
        return (*value.args, *value.keywords.values())
    if isinstance(value, types.CodeType):
        return (*value.co_names, *value.co_consts)
    return _attributes(value)


def _attributes(value: Any) -> Iterable[object]:
    if isinstance(value, type):
        return list(vars(value).values()) if module_of(value) == "__main__" else ()
    if module_of(type(value)) not in _OBJECTS or callable(value):
        return ()
    own = getattr(value, "__dict__", None)
    return (type(value), *(list(own.values()) if isinstance(own, dict) else ()))
