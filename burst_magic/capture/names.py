"""The names a cell reads before it binds them, from its syntax tree alone: nothing is run, nothing is looked up.

Statements are followed in order: a name that is surely assigned before it is read is the cell's own. What a function
or class of the cell reads counts where its name is first mentioned, for that is the first time it can run.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from burst_magic.capture.bindings import bindings, captures, leaves, outer_names, parameters, targets, type_parameters
from burst_magic.payload.mentions import CHANGING

# Set by the interpreter in every module, function or class.
IMPLICIT = frozenset({
    "__name__", "__builtins__", "__doc__", "__file__", "__spec__", "__loader__", "__package__", "__annotations__",
    "__debug__", "__class__", "__module__", "__qualname__",
})  # fmt: skip


@dataclass(slots=True, kw_only=True)
class CellNames:
    """What a cell mentions.

    Attributes:
        reads: name -> lines where it may be read before the cell has bound it.
        bound: names the cell binds somewhere at its top level.
        words: names and attribute names, to find submodules.
        imports: module -> line; optional ones, inside ``try``, in `optional`.
        changes: name -> line where an object under this name is changed in place.
        star: it has a ``from x import *``.
        has_value: it ends in an expression.
    """

    reads: dict[str, tuple[int, ...]] = field(default_factory=dict)
    bound: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    imports: dict[str, int] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    changes: dict[str, int] = field(default_factory=dict)
    star: bool = False
    has_value: bool = False


def cell_names(tree: ast.Module, *, bound: frozenset[str] = frozenset()) -> CellNames:
    """Analyse a cell.

    Args:
        tree: the parsed cell.
        bound: names that exist before the first line, such as the target of ``--map``.
    """
    found = CellNames(bound=bindings(tree.body) | bound)
    _Visitor(found, set(bound)).run(tree)
    found.has_value = bool(tree.body) and isinstance(tree.body[-1], ast.Expr)
    return found


@dataclass(slots=True)
class _Scope:
    """A function (`names` are its locals), a comprehension, or a class body (`names` grows as it runs)."""

    names: set[str]
    outer: set[str] = field(default_factory=set)  # declared global
    is_class: bool = False


class _Visitor(ast.NodeVisitor):
    def __init__(self, found: CellNames, definite: set[str]) -> None:
        self.found = found
        self.definite = definite  # surely bound at the top level at this point
        self.scopes: list[_Scope] = []
        self.deferred: list[tuple[str, int]] | None = None  # reads of a definition that is being visited
        self.methods: list[tuple[str, int]] | None = None  # the same for the methods of a class
        self.pending: dict[str, list[tuple[str, int]]] = {}  # reads of definitions that have not been mentioned yet
        self.evaluated = True  # annotations are
        self.guarded = 0  # inside try

    def run(self, tree: ast.Module) -> None:
        for node in tree.body:
            self.visit(node)
        for name in list(self.pending):
            self._mention(name)

    # names

    def visit_Name(self, node: ast.Name) -> None:
        self.found.words.add(node.id)
        if isinstance(node.ctx, ast.Store):
            self._bind({node.id})
        else:
            self._read(node.id, node.lineno)
            if isinstance(node.ctx, ast.Del) and not self.scopes:
                self.definite.discard(node.id)

    def _bind(self, names: set[str]) -> None:
        if not self.scopes:
            self.definite |= names
        elif self.scopes[-1].is_class:
            self.scopes[-1].names |= names

    def _is_top(self, name: str) -> bool:
        """True when this name, read here, is looked up at the top level."""
        for depth, scope in enumerate(reversed(self.scopes)):
            if name in scope.outer:
                return True
            if name in scope.names and (depth == 0 or not scope.is_class):
                return False
        return True

    def _read(self, name: str, line: int) -> None:
        if name in IMPLICIT or not self._is_top(name):
            return
        if self.deferred is not None:
            self.deferred.append((name, line))
        else:
            self._read_top(name, line)

    def _read_top(self, name: str, line: int) -> None:
        if name in self.definite:
            self._mention(name)
        else:
            lines = self.found.reads.get(name, ())
            if line not in lines:
                self.found.reads[name] = (*lines, line)

    def _mention(self, name: str) -> None:
        for other, line in self.pending.pop(name, ()):
            self._read_top(other, line)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.found.words.add(node.attr)
        if not isinstance(node.ctx, ast.Load):
            self._change(node)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._change(node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
            self._change(node.func)
        self.generic_visit(node)

    def _change(self, node: ast.expr) -> None:
        root = node
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            root = root.value
        if isinstance(root, ast.Name) and self._is_top(root.id) and root.id not in self.definite:
            self.found.changes.setdefault(root.id, root.lineno)

    # statements

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self._change(node.target)
            self._read(node.target.id, node.lineno)
        self.visit(node.target)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        local = bool(self.scopes) and not self.scopes[-1].is_class
        if self.evaluated and not local:
            self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.visit(node.target)

    def visit_Global(self, node: ast.Global) -> None:
        if self.scopes:
            self.scopes[-1].outer.update(node.names)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._import(alias.name, node.lineno)
            self._bind({alias.asname or alias.name.partition(".")[0]})

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module == "__future__":
            self.evaluated = self.evaluated and all(alias.name != "annotations" for alias in node.names)
        if node.module and not node.level:
            self._import(node.module, node.lineno)
        self.found.star |= any(alias.name == "*" for alias in node.names)
        self._bind({alias.asname or alias.name for alias in node.names})

    def _import(self, module: str, line: int) -> None:
        self.found.words.update(module.split("."))
        self.found.imports.setdefault(module, line)
        if self.guarded:
            self.found.optional.add(module)

    # branches: bound after them is what every way through binds

    def _branch(self, *ways: list[ast.stmt]) -> None:
        before, ends = self.definite, []
        for way in ways:
            self.definite = set(before)
            for node in way:
                self.visit(node)
            if not leaves(way):
                ends.append(self.definite)
        self.definite = set.intersection(*ends) if ends else before

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._branch(node.body, node.orelse)

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._branch(node.body, node.orelse, [])

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        before = set(self.definite)
        self.visit(node.target)
        self._branch(node.body, [])
        self.definite &= before
        self._branch(node.orelse, [])

    visit_AsyncFor = visit_For  # noqa: N815 - the visitor's own spelling

    def visit_Try(self, node: ast.Try) -> None:
        before = set(self.definite)
        self.guarded += 1
        self._branch([*node.body, *node.orelse])
        self.guarded -= 1
        ends = [self.definite]
        for handler in node.handlers:
            self.definite = set(before)
            if handler.type is not None:
                self.visit(handler.type)
            self._bind({handler.name} if handler.name else set())
            for inner in handler.body:
                self.visit(inner)
            if not leaves(handler.body):
                ends.append(self.definite - {handler.name or ""})
        self.definite = set.intersection(*ends)
        for inner in node.finalbody:
            self.visit(inner)

    visit_TryStar = visit_Try  # noqa: N815

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        before = set(self.definite)
        for case in node.cases:
            self.definite = set(before)
            self._bind(captures(case.pattern))
            self.generic_visit(case)
        self.definite = before

    # scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in (*node.decorator_list, *node.args.defaults, *(item for item in node.args.kw_defaults if item)):
            self.visit(part)
        arguments = parameters(node.args)
        generic = type_parameters(node)
        self._bounds(node, generic)
        if self.evaluated:
            self.scopes.append(_Scope(generic))
            for annotation in (*(argument.annotation for argument in arguments), node.returns):
                if annotation is not None:
                    self.visit(annotation)
            self.scopes.pop()
        names = {argument.arg for argument in arguments} | bindings(node.body) | generic
        outer = outer_names(node.body)
        self._function(node, _Scope(names - outer, outer))

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        generic = type_parameters(node)
        for part in node.decorator_list:
            self.visit(part)
        self.scopes.append(_Scope(generic))
        self._bounds(node, generic)
        for part in (*node.bases, *(keyword.value for keyword in node.keywords)):
            self.visit(part)
        outermost = self.deferred is None and self.methods is None
        if outermost:
            self.methods = []
        definite = set(self.definite)
        self.scopes.append(_Scope(set(generic), is_class=True))
        for inner in node.body:
            self.visit(inner)
        self.scopes.pop()
        self.scopes.pop()
        self.definite = definite
        self._bind({node.name})
        if outermost:
            reads, self.methods = self.methods or [], None
            self._wait(node.name, reads, run_now=bool(node.decorator_list))

    def visit_TypeAlias(self, node: Any) -> None:  # 3.12
        generic = type_parameters(node)
        self._bounds(node, generic)
        self.scopes.append(_Scope(generic))
        self.visit(node.value)
        self.scopes.pop()
        self.visit(node.name)

    def _bounds(self, node: ast.AST, generic: set[str]) -> None:
        """Bounds and defaults in the brackets of ``def f[T: bound]``."""
        self.scopes.append(_Scope(generic))
        for part in getattr(node, "type_params", ()):
            self.generic_visit(part)
        self.scopes.pop()

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: _Scope) -> None:
        """A body that runs later: what it reads waits until the name, or its class's name, is mentioned."""
        sink: list[tuple[str, int]] = [] if self.methods is None else self.methods
        outermost = self.deferred is None
        if outermost:
            self.deferred = sink
        self.scopes.append(scope)
        for inner in node.body:
            self.visit(inner)
        self.scopes.pop()
        self._bind({node.name})
        if outermost:
            self.deferred = None
            if self.methods is None:
                self._wait(node.name, sink, run_now=bool(node.decorator_list) or bool(self.scopes))

    def _wait(self, name: str, reads: list[tuple[str, int]], *, run_now: bool) -> None:
        if run_now:
            for other, line in reads:
                self._read_top(other, line)
        else:
            self.pending[name] = [*self.pending.get(name, ()), *reads]

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for part in (*node.args.defaults, *(item for item in node.args.kw_defaults if item)):
            self.visit(part)
        self.scopes.append(_Scope({argument.arg for argument in parameters(node.args)}))
        self.visit(node.body)
        self.scopes.pop()

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.visit(node.generators[0].iter)
        names = set().union(*(targets(part.target) for part in node.generators))
        walrus = {part.target.id for part in ast.walk(node) if isinstance(part, ast.NamedExpr)}
        self.scopes.append(_Scope(names | walrus))
        for index, part in enumerate(node.generators):
            for inner in (*((part.iter,) if index else ()), *part.ifs):
                self.visit(inner)
        for inner in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(inner)
        self.scopes.pop()
        self._bind(walrus)

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension  # noqa: N815
