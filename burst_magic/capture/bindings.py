"""Names that statements, patterns and parameters bind in their own scope."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

_Function = (ast.FunctionDef, ast.AsyncFunctionDef)
_Comprehension = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def targets(node: ast.AST) -> set[str]:
    """Names that an assignment target binds."""
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def bindings(body: list[ast.stmt]) -> set[str]:
    """Names that these statements bind in their own scope."""
    names: set[str] = set()
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        names |= _bound_here(node)
        stack.extend(_same_scope(node))
    return names


def _bound_here(node: ast.AST) -> set[str]:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    if type(node).__name__ == "TypeAlias":  # 3.12
        return targets(node.name)  # type: ignore[attr-defined]
    name: str | None = None
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        name = node.id
    elif isinstance(node, (*_Function, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        name = node.name
    elif isinstance(node, ast.MatchMapping):
        name = node.rest
    return {name} if name else set()


def _same_scope(node: ast.AST) -> list[ast.AST]:
    """Children whose bindings belong to the same scope. A walrus in a comprehension binds outside it."""
    if isinstance(node, (*_Function, ast.Lambda)):
        return [*getattr(node, "decorator_list", ()), *defaults(node.args)]
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords]
    if isinstance(node, _Comprehension):
        return [part.target for part in _of_comprehension(node)]
    return list(ast.iter_child_nodes(node))


def _of_comprehension(node: ast.AST) -> Iterator[ast.NamedExpr]:
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.NamedExpr):
            yield part
        if not isinstance(part, ast.Lambda):
            yield from _of_comprehension(part)


def defaults(arguments: ast.arguments) -> list[ast.expr]:
    """Default values of parameters, evaluated where the function is defined."""
    return [*arguments.defaults, *(value for value in arguments.kw_defaults if value is not None)]


def unbound(body: Iterable[ast.AST]) -> set[str]:
    """Names that these statements may delete from their own scope, with ``del`` or at the end of ``except … as e``."""
    names: set[str] = set()
    stack = list(body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del):
            names.add(node.id)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            names.add(node.name)
        stack.extend(_same_scope(node))
    return names


def captures(pattern: ast.AST) -> set[str]:
    """Names that a ``case`` binds."""
    return set().union(*(_bound_here(part) for part in ast.walk(pattern)))


def parameters(arguments: ast.arguments) -> list[ast.arg]:
    """All of a function's parameters."""
    rest = [item for item in (arguments.vararg, arguments.kwarg) if item is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *rest]


def type_parameters(node: ast.AST) -> set[str]:
    """The names in the brackets of ``def f[T]``."""
    return {part.name for part in getattr(node, "type_params", ())}  # 3.12


def outer_names(body: list[ast.stmt]) -> set[str]:
    """Names declared global in a function's own body."""
    names: set[str] = set()
    stack: list[ast.AST] = list(body)
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Global):
            names.update(node.names)
        if not isinstance(node, (*_Function, ast.ClassDef, ast.Lambda)):
            stack.extend(ast.iter_child_nodes(node))
    return names


def global_names(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Top-level names that functions and classes bind, and that they delete, by a ``global`` statement."""
    bound: set[str] = set()
    deleted: set[str] = set()
    nodes = list(ast.walk(tree))
    if not any(type(node) is ast.Global for node in nodes):
        return bound, deleted
    for node in nodes:
        if isinstance(node, (*_Function, ast.ClassDef)):
            outer = outer_names(node.body)
            bound |= outer & bindings(node.body)
            deleted |= outer & unbound(node.body)
    return bound, deleted
