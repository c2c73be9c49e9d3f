"""Find calls that are made for what they leave behind: ``current.configure(rate=2)``, ``shapes.register(mine)``.

Methods keep in their object what they are given, functions change globals of their module.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Iterator
from types import FunctionType, ModuleType

from burst_magic.payload.declared import module_of
from burst_magic.payload.mentions import CHANGING

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@functools.lru_cache(maxsize=1024)
def keeps_arguments(method: FunctionType) -> bool:
    """Whether a method's own text sets something in its object to what came of its arguments; false if unknown.

    One that returns anything but what it was given is asked for that, and may remember what it was asked.
    """
    node = _definition(method)
    if node is None:
        return False
    own, *names = _parameters(node) or [""]
    if any(_is_an_answer(part.value, {own, *names}) for part in ast.walk(node) if isinstance(part, ast.Return)):
        return False
    return any(_is_of(target, own) and _mentions(value, names) for target, value in _changes(node))


@functools.lru_cache(maxsize=1024)
def changed_globals(function: FunctionType) -> frozenset[str]:
    """Globals of its module that a function sets or changes in place, modules and the environment excepted.

    None if it returns anything but what it was given: it may only remember. A function that it defines and returns, as
    decorators with arguments do, counts as a part of it.
    """
    node = _definition(function)
    if node is None:
        return frozenset()
    inner = [part for part in ast.walk(node) if isinstance(part, _FUNCTIONS)]
    given = {name for part in inner for name in (part.name, *_parameters(part))}
    if any(_is_an_answer(part.value, given) for part in ast.walk(node) if isinstance(part, ast.Return)):
        return frozenset()
    declared = {name for part in ast.walk(node) if isinstance(part, ast.Global) for name in part.names}
    stored = {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    in_place = {_root(target) for target, _ in _changes(node) if isinstance(target, (ast.Attribute, ast.Subscript))}
    scope = function.__globals__
    own = {name for name in in_place - stored - given if name in scope and not _is_elsewhere(scope[name])}
    return frozenset((stored & declared) | own)


def _is_elsewhere(value: object) -> bool:
    """Whether what is set in it is no state of the module that has it under a name."""
    return isinstance(value, ModuleType) or module_of(type(value)) in {"os", "logging"}


def _definition(function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Its text, parsed; None if unknown."""
    try:
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, ValueError, SyntaxError):
        return None
    return node if isinstance(node, _FUNCTIONS) else None


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    given = node.args
    more = [part for part in (given.vararg, given.kwarg) if part is not None]
    return [part.arg for part in (*given.posonlyargs, *given.args, *given.kwonlyargs, *more)]


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


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
    return _root(target) == own


def _mentions(values: list[ast.expr], names: list[str]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in names for value in values for node in ast.walk(value))
