"""Names that stand in texts: what ``eval``, ``df.query``, ``globals()[…]`` and their like look up when they run.

A text counts only where such a call stands beside it, in the cell or in a function that travels: other texts say
nothing. Which call gets which text is not followed, so all texts count then, those in captured containers too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from itertools import islice
from typing import Any


class Looks(IntEnum):
    """What code does with texts: nothing, names after an @ and tables of SQL, or any name."""

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
WAYS_TO_MAIN = frozenset({"modules", "import_module", "__import__"})  # beside the text "__main__"
# Without an argument the first three are the namespace, and the last (a model's) looks nothing up.
WITHOUT = frozenset({"globals", "vars", "locals"})
ASKED = frozenset({"eval"})

_WORDS = _FORMULAS | _MODULES | _NAMES | _ATTRIBUTES | WAYS_TO_MAIN | {"query", "statsmodels.formula.api"}

_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*")
_MARKED = re.compile(r"@\s*([^\W\d]\w*)")
_SQL = re.compile(r"\b(?:from|join)\s", re.IGNORECASE)
_OTHERS = re.compile(r"_+|_i+|_i?\d+|_[dio]h|__\w+__")  # IPython's history, and what every module has
_CHARACTERS = 1_000_000  # of texts in one value that are looked at
_PARTS = 100_000
_DEPTH = 4


def by_name(name: str) -> Looks:
    """What mentioning this global means."""
    return Looks.ALL if name in _NAMES or name in _MODULES or name in _FORMULAS else Looks.NOT


def by_attribute(name: str) -> Looks:
    """What mentioning this attribute means."""
    if name == "query":
        return Looks.MARKED
    return Looks.ALL if name in _ATTRIBUTES or name in _FORMULAS else Looks.NOT


def by_module(name: str) -> Looks:
    """What importing this module means."""
    return Looks.ALL if name.partition(".")[0] in _MODULES or name == "statsmodels.formula.api" else Looks.NOT


def may_look(words: Iterable[str]) -> bool:
    """Whether code with these names, attributes and modules may look names up in texts: a quick no."""
    return not _WORDS.isdisjoint(words)


def names_in(text: str, looks: Looks) -> set[str]:
    """The names that may be looked up in this text."""
    if looks is Looks.NOT:
        return set()
    marked = looks is Looks.MARKED and not _SQL.search(text)
    found = (_MARKED if marked else _NAME).findall(text)
    return {name for name in found if not _OTHERS.fullmatch(name)}


def imports_in(text: str) -> set[str]:
    """Modules that this text imports, if it is code that does."""
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


def texts_of(value: object) -> Iterator[str]:
    """The texts that are this value or lie in its containers."""
    left = _CHARACTERS
    for text in _texts(value, _DEPTH):
        yield text[:left]
        left -= len(text) + 1
        if left <= 0:
            return


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, (list, tuple, set, frozenset, Mapping)) and type(value).__module__ == "builtins":
        parts: Iterable[Any] = value
        if isinstance(value, Mapping):
            parts = (part for pair in list(value.items()) for part in pair)
        for part in islice(parts, _PARTS):
            yield from _texts(part, depth - 1)
