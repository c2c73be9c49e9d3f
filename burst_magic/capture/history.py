"""Read the cells that were run, without the bodies of functions that no cell has called.

Whether a function was called is not known; one whose name no cell mentions outside of such functions was not. Strings
mention names, too: IPython keeps ``%time f()`` as ``get_ipython().run_line_magic('time', 'f()')``.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_WORD = re.compile(r"\w+")


def cells_run(namespace: Mapping[str, object]) -> Iterator[tuple[int, str]]:
    """Number and text of all cells that were run.

    Args:
        namespace: the notebook's globals, with ``In`` where IPython keeps it.
    """
    history = namespace.get("In")
    if isinstance(history, list):
        yield from _run(tuple(text if isinstance(text, str) else "" for text in history))


@functools.lru_cache(maxsize=4)
def _run(texts: tuple[str, ...]) -> tuple[tuple[int, str], ...]:
    idle = _idle(texts)
    found: list[tuple[int, str]] = []
    for number, text in enumerate(texts):
        own = frozenset(name for name, _ in _mentions(text)[1] if name in idle) if text else frozenset[str]()
        found.append((number, _without(text, own) if own else text))
    return tuple(found)


def _idle(texts: Sequence[str]) -> frozenset[str]:
    """Functions that no cell mentions, but for each other."""
    seen = frozenset[str]().union(*(_mentions(text)[0] for text in texts))
    functions = [pair for text in texts for pair in _mentions(text)[1]]
    while met := [pair for pair in functions if pair[0] in seen]:
        seen = seen.union(*(names for _, names in met))
        functions = [pair for pair in functions if pair not in met]
    return frozenset(name for name, _ in functions)


@functools.lru_cache(maxsize=4096)
def _mentions(text: str) -> tuple[frozenset[str], tuple[tuple[str, frozenset[str]], ...]]:
    """Names and attributes outside of functions, and for each function its name, and those in it."""
    if not any(part in text for part in ("def ", "run_cell_magic", "\\")):
        return frozenset(_WORD.findall(text)), ()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # words will do
        return frozenset(_WORD.findall(text)), ()
    functions = list(_functions(tree))
    elsewhere = [body for node in ast.walk(tree) if (body := _burst_body(node)) is not None]
    inside = {id(part) for node in (*functions, *elsewhere) for part in ast.walk(node)}
    outside = frozenset(_names(part for part in ast.walk(tree) if id(part) not in inside))
    return outside, tuple((function.name, frozenset(_names(ast.walk(function)))) for function in functions)


def _burst_body(node: ast.AST) -> ast.expr | None:
    """The cell in ``get_ipython().run_cell_magic('burst', options, cell)``: it runs elsewhere."""
    if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") != "run_cell_magic" or len(node.args) != 3:
        return None
    name, _, body = node.args
    return body if isinstance(name, ast.Constant) and name.value == "burst" else None


def _names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _WORD.findall(node.value)


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Outermost functions that run only when somebody calls them by their names.

    Base classes, metaclasses and decorators may call methods: ``Thread`` calls ``run``.
    """
    stack: list[ast.AST] = [tree]
    while stack:
        for node in ast.iter_child_nodes(stack.pop()):
            if isinstance(node, ast.ClassDef) and (node.bases or node.keywords or node.decorator_list):
                continue
            if not isinstance(node, _FUNCTIONS):
                stack.append(node)
            elif not node.decorator_list and not node.name.startswith("__"):
                yield node


@functools.lru_cache(maxsize=4096)
def _without(text: str, names: frozenset[str]) -> str:
    """The text without the bodies of these functions."""
    tree = ast.parse(text)
    for function in list(_functions(tree)):
        if function.name in names:
            function.body = [ast.Pass()]
    return ast.unparse(ast.fix_missing_locations(tree))
