"""Find the functions of local modules that a cell may call, directly or through each other, by their names.

Methods that Python itself calls (``__call__``) and what a module reads at import (decorators, tables of functions)
count as reached.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from types import CodeType, FunctionType
from typing import NamedTuple

from burst_magic.capture.drift import text_of

_BY_PYTHON = re.compile(r"__\w+__")
_PARTS = 100  # of a captured container that are looked at


class Reached(NamedTuple):
    """The code of these functions, and all names that lead to them or that they use."""

    codes: list[CodeType]
    names: set[str]


def reached(namespace: Mapping[str, object], words: Collection[str], local: Collection[str]) -> Reached:
    """Follow the names.

    Args:
        namespace: the notebook's globals.
        words: names and attributes that the captured code uses.
        local: top-level names of modules that are sent as source.
    """
    modules = [sys.modules[name] for name in sorted(sys.modules) if name.partition(".")[0] in local]
    own = [module for module in modules if str(getattr(module, "__file__", None)).endswith(".py")]
    texts = [text for module in own if (text := text_of(module)) is not None]
    names = {*words, *_own_names(namespace[word] for word in words if word in namespace)}
    names.update(*(text.kept for text in texts))
    left = [code for text in texts for code in text.codes]
    inner = {id(part) for code in left for part in _inner(code)}
    met = [code for code in left if _is_by_python(code) or (code.co_name[0] == "<" and id(code) not in inner)]
    found: list[CodeType] = []
    while met := [*met, *(code for code in left if code.co_name in names)]:
        left = [code for code in left if code.co_name not in names]
        met.extend([part for code in met for part in _all_inner(code)])
        names.update(*(code.co_names for code in met))
        found.extend(met)
        met = []
    return Reached(found, names)


def _is_by_python(code: CodeType) -> bool:
    return _BY_PYTHON.fullmatch(code.co_name) is not None


def _inner(code: CodeType) -> Iterator[CodeType]:
    return (part for part in code.co_consts if isinstance(part, CodeType))


def _all_inner(code: CodeType) -> Iterator[CodeType]:
    for part in _inner(code):
        yield part
        yield from _all_inner(part)


def _own_names(values: Iterable[object]) -> Iterator[str]:
    """Names that functions and classes have in their modules; the notebook may call them by others."""
    for value in values:
        for part in (value, *islice(_parts(value), _PARTS)):
            if isinstance(part, (FunctionType, type)):
                yield part.__name__


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, functools.partial):
        return (value.func, *value.args)
    if isinstance(value, dict):
        return iter(list(value.values()))
    return iter(list(value)) if isinstance(value, (list, tuple, set, frozenset)) else ()
