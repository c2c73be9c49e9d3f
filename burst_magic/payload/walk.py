"""Find the dependencies of the notebook's values from definitions, before anything is packed."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any

from burst_magic.dataclass import dataclass
from burst_magic.payload.declared import module_of
from burst_magic.payload.mentions import of_code
from burst_magic.payload.notes import globals_of
from burst_magic.payload.texts import Looks, evaluates, names_in, texts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from collections.abc import Set as AbstractSet


@dataclass(slots=True, kw_only=True)
class Found:
    """Names breadth first -> who needs them; words, modules, files and changes of their code; omitted names.

    `looks` tells how the code uses strings, `by_attribute` whether attributes may be names too, `functions` where each
    function was found, `spoken` the names that appear only in strings.
    """

    names: dict[str, str]
    words: set[str]
    imports: set[str]
    files: set[str]
    changes: set[str]
    omitted: dict[str, str]
    functions: list[tuple[types.FunctionType, str]]
    spoken: set[str]
    looks: Looks = Looks.NOT
    by_attribute: bool = False


def closure(
    names: Mapping[str, str],
    home: Mapping[str, object],
    *,
    skip: AbstractSet[str],
    omit: AbstractSet[str],
    looks: Looks = Looks.NOT,
) -> Found:
    """All names of `home` that these names need, directly or indirectly, including names in strings.

    Args:
        names: name -> who needs it.
        home: the notebook's globals.
        skip: names already found.
        omit: names that code may use without getting them; an explicit request still gets them.
        looks: how the code that needs these names uses strings.
    """
    found = Found(
        names={}, words=set(), imports=set(), files=set(), changes=set(), omitted={}, functions=[], spoken=set()
    )
    found.looks = looks
    queue = [(name, user) for name, user in names.items() if name in home and name not in skip]
    while queue:
        _follow(found, queue, home, skip=skip, omit=omit)
        queue = [
            (name, user)
            for text, user in _texts(found, home).items()
            for name in sorted(names_in(text, found.looks))
            if name in home and name not in found.names and name not in skip and name not in omit
        ]
        found.spoken.update(name for name, _ in queue)
    return found


def _texts(found: Found, home: Mapping[str, object]) -> dict[str, str]:
    """Each string in code and captured values, with the name where it was found; none if nothing looks names up."""
    if found.looks is Looks.NOT:
        return {}
    of_values = ((text, name) for name in found.names for text in texts_of(home[name]))
    of_functions = (
        (text, name)
        for function, name in found.functions
        for text in _texts_of_function(function) | (of_code(function.__code__).words if found.by_attribute else set())
    )
    return dict((*of_functions, *of_values))


def _follow(
    found: Found,
    queue: list[tuple[str, str]],
    home: Mapping[str, object],
    *,
    skip: AbstractSet[str],
    omit: AbstractSet[str],
) -> None:
    for name, user in queue:  # grows during the loop
        if name in found.names:
            continue
        found.names[name] = user
        if is_notebook(home[name], home):
            found.by_attribute, found.looks = True, Looks.ALL
        if evaluates(home[name]):
            found.looks = Looks.ALL
        for function in functions_of(home[name], home):
            mentions = of_code(function.__code__)
            found.looks = max(found.looks, mentions.looks)
            found.functions.append((function, name))
            found.words.update(mentions.words)
            found.imports.update(mentions.imports)
            found.changes.update(mentions.changes)
            found.files.add(function.__code__.co_filename)
            found.omitted.update(dict.fromkeys(mentions.names & omit & home.keys(), name))
            queue.extend(
                (other, name) for other in sorted(mentions.names - omit) if other in home and other not in skip
            )


def _texts_of_function(function: types.FunctionType) -> set[str]:
    """Strings in its constants, closure and defaults."""
    kept = [part for part in _inside_function(function) if isinstance(part, (str, list, tuple, set, frozenset, dict))]
    return {*of_code(function.__code__).texts, *(text for part in kept for text in texts_of(part))}


def needed(function: types.FunctionType) -> frozenset[str]:
    """The globals that a function itself needs: those it uses, and those in strings where it looks names up."""
    mentions = of_code(function.__code__)
    if mentions.looks is Looks.NOT:
        return mentions.names
    scope = function.__globals__
    values = (text for name in mentions.names & scope.keys() for text in texts_of(scope[name]))
    texts = (*_texts_of_function(function), *values)
    return mentions.names.union(*(names_in(text, mentions.looks) for text in texts))


VALUE = 3


def rank(value: object) -> int:
    """Definitions first: a value's ``__setstate__`` or ``__hash__`` may need them while it is loaded."""
    if isinstance(value, types.ModuleType):
        return 0
    if isinstance(value, types.FunctionType):
        return 1
    return 2 if isinstance(value, type) else VALUE


def belongs(function: types.FunctionType, home: Mapping[str, object]) -> bool:
    """True for a function of the notebook."""
    return function.__globals__ is globals_of(home)


def is_notebook(value: object, home: Mapping[str, object]) -> bool:
    """True for the notebook itself as a module: its attributes are the notebook's names."""
    return isinstance(value, types.ModuleType) and vars(value) is globals_of(home)


def functions_of(value: object, home: Mapping[str, object]) -> Iterator[types.FunctionType]:
    """The notebook's functions inside a definition: methods, closures, defaults, decorated functions."""
    stack: list[Any] = [value]
    seen: set[int] = set()
    while stack:
        here = stack.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, types.FunctionType):
            if belongs(here, home):
                yield here
            stack.extend(_inside_function(here))
        elif isinstance(here, type):
            if module_of(here) == "__main__":
                stack.extend(vars(here).values())
                stack.extend((*here.__bases__, type(here)))
        else:
            stack.extend(_inside(here))


def _inside_function(function: types.FunctionType) -> list[object]:
    parts: list[object] = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    parts.extend(vars(function).values())
    for cell in function.__closure__ or ():
        try:
            parts.append(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    return parts


def _inside(value: Any) -> tuple[object, ...]:
    look = _LOOK.get(type(value))
    if look is not None:
        return look(value)
    return (type(value),) if module_of(type(value)) == "__main__" else ()


def _wrapped(value: Any) -> tuple[object, ...]:
    return (value.func,)


_LOOK: dict[type, Callable[[Any], tuple[object, ...]]] = {
    **dict.fromkeys((staticmethod, classmethod, types.MethodType), lambda value: (value.__func__,)),
    **dict.fromkeys((functools.cached_property, functools.partialmethod, functools.singledispatchmethod), _wrapped),
    property: lambda value: (value.fget, value.fset, value.fdel),
    functools.partial: lambda value: (value.func, *value.args, *value.keywords.values()),
    type(functools.lru_cache(len)): lambda value: (value.__wrapped__,),
}
