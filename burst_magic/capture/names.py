"""Find the names that a cell reads before it binds them, from its syntax tree alone, without running anything.

Statements are visited in order (`capture.flow`): a name that is surely assigned before it is read belongs to the cell.
Names that a function or class of the cell reads count wherever that function or class is used, since it may run then;
names that lambdas and generator expressions read count where these appear. A function may be called before its
``global`` names are bound or after they are deleted, and a class may run its methods during its creation, so these
count as read.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import field
from typing import Any

from burst_magic.capture.bindings import (
    bindings,
    defaults,
    global_names,
    outer_names,
    parameters,
    targets,
    type_parameters,
    unbound,
)
from burst_magic.capture.flow import Flow, Key
from burst_magic.dataclass import dataclass
from burst_magic.payload import texts
from burst_magic.payload.mentions import CHANGING
from burst_magic.payload.texts import Looks

# Set by the interpreter in every module, function or class.
IMPLICIT = frozenset({
    "__name__", "__builtins__", "__doc__", "__file__", "__spec__", "__loader__", "__package__", "__annotations__",
    "__debug__", "__class__", "__module__", "__qualname__",
})  # fmt: skip

_CALM = frozenset({"property", "staticmethod", "classmethod"})  # decorators that don't call their argument


@dataclass(slots=True, kw_only=True)
class CellNames:
    """The names that a cell uses.

    Attributes:
        reads: name -> lines where it may be read before the cell has bound it.
        surely: those read somewhere where nothing can have bound them before.
        bound: names that the cell binds at its top level.
        words: names and attribute names, to find submodules.
        imports: module -> line; those inside ``try`` are also in `optional`.
        changes: name -> line where an object under this name is changed in place.
        spoken: name -> lines of strings that contain it; those after an @ or in SQL are also in `marked`.
        looks: how the cell uses strings.
        star: it may bind any name: ``from x import *``, ``exec``, ``globals()[…] = …``.
        has_value: it ends with an expression.
    """

    reads: dict[str, tuple[int, ...]] = field(default_factory=dict)
    surely: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    imports: dict[str, int] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    changes: dict[str, int] = field(default_factory=dict)
    spoken: dict[str, tuple[int, ...]] = field(default_factory=dict)
    marked: set[str] = field(default_factory=set)
    looks: Looks = Looks.NOT
    star: bool = False
    has_value: bool = False


Steady = Callable[[ast.expr, AbstractSet[str]], bool]


def _never(_manager: ast.expr, _local: AbstractSet[str]) -> bool:
    return False


def cell_names(
    tree: ast.Module,
    *,
    bound: frozenset[str] = frozenset(),
    steady: Steady = _never,
    main: frozenset[str] = frozenset(),
) -> CellNames:
    """Analyse a cell.

    Args:
        tree: the parsed cell.
        bound: names that exist before the first line, such as the target of ``--map``.
        steady: tells whether an expression's context manager surely lets exceptions through; gets the names that the
            cell binds.
        main: names whose value is the notebook itself, as a module.
    """
    outside, deleted = global_names(tree)
    found = CellNames(bound=bindings(tree.body) | outside | bound)
    visitor = _Visitor(found, set(bound), lambda manager: steady(manager, found.bound), deleted | unbound(tree.body))
    visitor.main = main
    visitor.run(tree)
    found.has_value = bool(tree.body) and isinstance(tree.body[-1], ast.Expr)
    return found


def bound_names(tree: ast.Module) -> set[str]:
    """Names that a cell binds at its top level."""
    return bindings(tree.body) | global_names(tree)[0]


@dataclass(slots=True, kw_only=True)
class _Scope:
    """The scope of a function or lambda, of a class body, or a transparent one: a comprehension, type parameters."""

    names: set[str]  # all names it binds
    outer: set[str] = field(default_factory=set)  # declared global
    methods: set[str] = field(default_factory=set)  # functions of a class body
    is_class: bool = False
    is_open: bool = False  # a walrus in it binds outside
    sees_class: bool = False  # the enclosing class body


@dataclass(frozen=True, slots=True)
class _Read:
    name: str
    line: int


class _Visitor(Flow):
    def __init__(
        self, found: CellNames, bound: set[str], steady: Callable[[ast.expr], bool], deleted: set[str]
    ) -> None:
        super().__init__(bound, steady)
        self.found = found
        self.main: frozenset[str] = frozenset()
        self.deleted = deleted
        self.possible = set(bound)  # names that may be bound so far
        self.scopes: list[_Scope] = []
        self.classes: list[_Scope] = []  # kept alive for their ids
        self.deferred: list[_Read] | None = None  # reads of a definition that is being visited
        self.methods: list[_Read] | None = None  # the same for the methods of a class
        self.eager = False  # the class uses its methods during its creation
        self.pending: dict[str, list[_Read]] = {}  # names that definitions read when they run
        self.visited: set[str] | None = None  # definitions reached from one use
        self.evaluated = True  # annotations are
        self.calm: set[ast.expr] = set()  # uses of functions that would look names up if called differently
        self.attributes: list[ast.Attribute] = []
        self.written: set[str] = set()  # all strings

    def run(self, tree: ast.Module) -> None:
        for node in tree.body:
            self.visit(node)
        for name in self.pending:
            self._mention(name)
        self._look(texts.by_text(self.written, self.found.words))
        if texts.reaches_main(self.written, self.found.words, self.found.imports):
            for attribute in self.attributes:
                self._speak(attribute.attr, attribute.lineno)

    # names

    def visit_Name(self, node: ast.Name) -> None:
        self.found.words.add(node.id)
        if isinstance(node.ctx, ast.Store):
            self.bind({node.id})
            return
        self._read(node.id, node.lineno)
        if node.id in self.main:
            self._import("__main__", node.lineno)
        if node not in self.calm:
            self._look(texts.by_name(node.id))
            self.found.star |= node.id == "exec"
        if isinstance(node.ctx, ast.Del):
            self.state.names -= self.keys({node.id})

    def _key(self, name: str) -> Key | None:
        """The state's key for a name bound here; None in a function."""
        for scope in reversed(self.scopes):
            if scope.is_open:
                if name in scope.names:
                    return None
            elif scope.is_class:
                return name if name in scope.outer else (id(scope), name)
            else:
                return None
        return name

    def keys(self, names: set[str]) -> set[Key]:
        return {key for name in names if (key := self._key(name)) is not None}

    def bind(self, names: set[str]) -> None:
        self.state.names |= self.keys(names)
        self.possible |= {name for name in names if self._is_top(name, bound=True)}

    def _is_top(self, name: str, *, bound: bool = False) -> bool:
        """True if this name, read (or `bound`) here, belongs to the top level."""
        inside = True  # only scopes that see a class's names in between
        for scope in reversed(self.scopes):
            if name in scope.outer:
                return True
            if name in scope.names and not scope.is_class:
                return False
            if name in scope.names and inside:  # a class body falls back to globals
                return not bound and (id(scope), name) not in self.state.names
            inside = inside and scope.sees_class
        return True

    def _read(self, name: str, line: int) -> None:
        if self.scopes and name in self.scopes[-1].methods:
            self.eager = True
        if name in IMPLICIT or not self._is_top(name):
            return
        if self.deferred is not None:
            self.deferred.append(_Read(name, line))
        else:
            self._read_top(_Read(name, line), later=any(not scope.is_class for scope in self.scopes))

    def _read_top(self, read: _Read, *, later: bool) -> None:
        name = read.name
        self._mention(name)
        if name in self.state.names and not (later and name in self.deleted):
            return
        if name not in self.possible and not self.found.star:
            self.found.surely.add(name)
        lines = self.found.reads.get(name, ())
        if read.line not in lines:
            self.found.reads[name] = (*lines, read.line)

    def _mention(self, name: str) -> None:
        if name not in self.pending:
            return
        first = self.visited is None
        visited = self.visited = self.visited or set()
        if name not in visited:
            visited.add(name)
            for read in self.pending[name]:
                self._read_top(read, later=True)
        if first:
            self.visited = None

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.found.words.add(node.attr)
        self.attributes.append(node)
        if node not in self.calm:
            self._look(texts.by_attribute(node.attr))
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
        given = bool(node.args or node.keywords)
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if (given and name in texts.WITHOUT) or (not given and name in texts.ASKED):
            self.calm.add(node.func)
        self.generic_visit(node)

    def _change(self, node: ast.expr) -> None:
        root = node
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            root = root.value
        if isinstance(root, ast.Call):
            self.found.star |= getattr(root.func, "id", "") in texts.WITHOUT
        if isinstance(root, ast.Name) and self._is_top(root.id) and root.id not in self.state.names:
            self.found.changes.setdefault(root.id, root.lineno)

    # strings

    def visit_Constant(self, node: ast.Constant) -> None:
        if not isinstance(node.value, str):
            return
        self.written.add(node.value)
        for name in texts.names_in(node.value, Looks.ALL):
            self._speak(name, node.lineno)
        self.found.marked |= texts.names_in(node.value, Looks.MARKED)

    def _speak(self, name: str, line: int) -> None:
        local = bool(self.scopes) and name in self.scopes[-1].names
        if not local and name not in self.state.names:
            self.found.spoken[name] = (*self.found.spoken.get(name, ()), line)

    def _look(self, looks: Looks) -> None:
        self.found.looks = max(self.found.looks, looks)

    # statements

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._change(node.target)
            self._read(node.target.id, node.lineno)
            self.visit(node.value)
            self.visit(node.target)
        else:
            self.visit(node.target)
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
            self.visit(node.target)
        elif not isinstance(node.target, ast.Name):
            for part in ast.iter_child_nodes(node.target):
                self.visit(part)
        local = bool(self.scopes) and not self.scopes[-1].is_class
        if self.evaluated and not local:
            self.visit(node.annotation)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.visit(node.target)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._import(alias.name, node.lineno)
            self.bind({alias.asname or alias.name.partition(".")[0]})

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module == "__future__":
            self.evaluated = self.evaluated and all(alias.name != "annotations" for alias in node.names)
        if node.module and not node.level:
            self._import(node.module, node.lineno)
        self.found.star |= any(alias.name == "*" for alias in node.names)
        for alias in node.names:
            self._look(texts.by_name(alias.name))
            if node.module == "__main__":
                self._speak(alias.name, node.lineno)
        self.bind({alias.asname or alias.name for alias in node.names})

    def _import(self, module: str, line: int) -> None:
        self.found.words.update(module.split("."))
        self.found.imports.setdefault(module, line)
        self._look(texts.by_module(module))
        if self.guarded:
            self.found.optional.add(module)

    # scopes

    def _within(self, scope: _Scope, nodes: Iterable[ast.AST | None]) -> None:
        self.scopes.append(scope)
        for node in nodes:
            if node is not None:
                self.visit(node)
        self.scopes.pop()

    def _later(self, scope: _Scope, nodes: Iterable[ast.AST | None]) -> None:
        """Visit code that runs at another time: it binds nothing here."""
        before, breaks = self.state.copy(), self.breaks
        self.breaks = []
        self._within(scope, nodes)
        self.state, self.breaks = before, breaks

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in (*node.decorator_list, *defaults(node.args)):
            self.visit(part)
        self.eager = self.eager or any(getattr(part, "id", "") not in _CALM for part in node.decorator_list)
        arguments = parameters(node.args)
        generic = type_parameters(node)
        self._bounds(node, generic)
        if self.evaluated:
            notes = [*(argument.annotation for argument in arguments), node.returns]
            self._within(_Scope(names=generic, is_open=True, sees_class=True), notes)
        outer = outer_names(node.body)
        names = {argument.arg for argument in arguments} | bindings(node.body) | generic
        self._function(node, _Scope(names=names - outer, outer=outer))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        generic = type_parameters(node)
        for part in node.decorator_list:
            self.visit(part)
        bracket = _Scope(names=generic, is_open=True, sees_class=True)
        self._bounds(node, generic)
        self._within(bracket, (*node.bases, *(keyword.value for keyword in node.keywords)))
        outermost = self.deferred is None and self.methods is None
        if outermost:
            self.methods, self.eager = [], bool(node.decorator_list or node.bases or node.keywords)
        outer = outer_names(node.body)
        names = bindings(node.body) - outer
        methods = {part.name for part in node.body if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef))}
        self.classes.append(_Scope(names=names, outer=outer, methods=methods, is_class=True))
        self.scopes.append(bracket)
        self._within(self.classes[-1], node.body)
        self.scopes.pop()
        self.bind({node.name})
        if outermost:
            reads, self.methods = self.methods or [], None
            self._wait(node.name, reads, run_now=self.eager)

    def visit_TypeAlias(self, node: Any) -> None:  # 3.12
        generic = type_parameters(node)
        self._bounds(node, generic)
        self._later(_Scope(names=generic, is_open=True, sees_class=True), [node.value])
        self.visit(node.name)

    def _bounds(self, node: ast.AST, generic: set[str]) -> None:
        """Bounds and defaults in the brackets of ``def f[T: bound]``."""
        parts = [child for part in getattr(node, "type_params", ()) for child in ast.iter_child_nodes(part)]
        self._later(_Scope(names=generic, is_open=True, sees_class=True), parts)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: _Scope) -> None:
        """Visit a body that runs later: the names it reads count when its name, or its class's name, is used."""
        sink: list[_Read] = [] if self.methods is None else self.methods
        outermost = self.deferred is None
        if outermost:
            self.deferred = sink
        self._later(scope, node.body)
        self.possible |= scope.outer & bindings(node.body)
        self.bind({node.name})
        if outermost:
            self.deferred = None
            if self.methods is None:
                self._wait(node.name, sink, run_now=bool(node.decorator_list) or bool(self.scopes))

    def _wait(self, name: str, reads: list[_Read], *, run_now: bool) -> None:
        self.pending[name] = [*self.pending.get(name, ()), *reads]
        if run_now:
            self._mention(name)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        for part in defaults(node.args):
            self.visit(part)
        names = {argument.arg for argument in parameters(node.args)} | bindings([ast.Expr(node.body)])
        self._later(_Scope(names=names), [node.body])

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.visit(node.generators[0].iter)
        before = self.state.copy()
        names = set().union(*(targets(part.target) for part in node.generators))
        self.scopes.append(_Scope(names=names, is_open=True))
        for index, part in enumerate(node.generators):
            if index:
                self.visit(part.iter)
            self.visit(part.target)
            for test in part.ifs:
                self.state = self.condition(test)[0]
        for inner in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(inner)
        self.scopes.pop()
        self.state = before  # it may not have run at all

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension
