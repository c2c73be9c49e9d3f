"""Find methods that keep in their object what they are given: ``current.configure(rate=2)``."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from types import FunctionType

from burst_magic.payload.mentions import CHANGING


@functools.lru_cache(maxsize=1024)
def keeps_arguments(method: FunctionType) -> bool:
    """Whether a method's own text sets something in its object to what came of its arguments; false if unknown.

    One that returns anything but what it was given is asked for that, and may remember what it was asked.
    """
    try:
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(method))).body
    except (OSError, TypeError, ValueError, SyntaxError):
        return False
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    given = node.args
    more = [part for part in (given.vararg, given.kwarg) if part is not None]
    own, *names = [part.arg for part in (*given.posonlyargs, *given.args, *given.kwonlyargs, *more)] or [""]
    if any(_is_an_answer(part.value, {own, *names}) for part in ast.walk(node) if isinstance(part, ast.Return)):
        return False
    return any(_is_of(target, own) and _mentions(value, names) for target, value in _changes(node))


def _is_an_answer(value: ast.expr | None, given: set[str]) -> bool:
    """Whether a method returns something of its own making."""
    return not isinstance(value, (ast.Constant, type(None))) and getattr(value, "id", "") not in given


def _changes(function: ast.AST) -> Iterator[tuple[ast.expr, list[ast.expr]]]:
    """What is changed in place, and the expressions that it is changed by."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            yield from ((target, [node.value]) for target in node.targets)
        elif isinstance(node, (ast.AugAssign, ast.AnnAssign)) and node.value is not None:
            yield node.target, [node.value]
        elif isinstance(node, ast.Call):
            values = [*node.args, *(part.value for part in node.keywords)]
            if isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
                yield node.func, values
            elif isinstance(node.func, ast.Name) and node.func.id == "setattr" and values:
                yield ast.Attribute(value=values[0], attr=""), values[1:]


def _is_of(target: ast.expr, own: str) -> bool:
    """Whether this is a part of the method's object."""
    if not isinstance(target, (ast.Attribute, ast.Subscript)):
        return isinstance(target, (ast.Tuple, ast.List)) and any(_is_of(part, own) for part in target.elts)
    node: ast.expr = target
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return isinstance(node, ast.Name) and node.id == own


def _mentions(values: list[ast.expr], names: list[str]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in names for value in values for node in ast.walk(value))
