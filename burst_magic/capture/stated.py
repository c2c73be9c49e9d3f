"""Analyse the file of a local module without running it.

Finds values of known expressions (`capture.literal`), functions, classes, and the names that the file binds.
"""

from __future__ import annotations

import ast
import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import CodeType

from burst_magic.capture.bindings import bindings, global_names, unbound
from burst_magic.capture.literal import FileScope, NotLiteral, evaluate
from burst_magic.dataclass import dataclass
from burst_magic.payload.mentions import CHANGING

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.ClassDef, ast.Lambda)
_HARMLESS = frozenset({
    "len", "sorted", "sum", "min", "max", "list", "tuple", "set", "dict", "frozenset", "range", "print", "enumerate",
    "zip", "isinstance", "any", "all", "str", "repr", "float", "int", "MappingProxyType",
})  # fmt: skip
_MARKS = frozenset({"property", "staticmethod", "classmethod"})
_SPACES = frozenset({"globals", "vars", "locals"})  # without arguments, they return a namespace that may be written to


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassText:
    """A class of the file: its methods with their first lines, and the values of its attributes.

    `plain` if no decorator or keyword changes it.
    """

    plain: bool
    methods: Mapping[str, int]
    values: Mapping[str, object]
    names: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileText:
    """The contents of a file.

    Attributes:
        codes: of all its functions.
        names: all names it may bind; None if unknown.
        outside: names that its functions bind.
        sure: names that surely exist at its end.
        values: names bound once, to a known value.
        imported: name -> module and name of origin.
        functions: undecorated functions bound once -> line.
        classes: classes bound once.
        stored: attributes that its code sets on anything but ``self``.
        restless: names and attributes whose objects its code changes in place, or passes on at import.
        kept: names that it reads at import, and decorated functions: what they name may be called by another name.
    """

    codes: frozenset[CodeType]
    names: frozenset[str] | None
    outside: frozenset[str]
    sure: frozenset[str]
    values: Mapping[str, object]
    imported: Mapping[str, tuple[str, str]]
    functions: Mapping[str, int]
    classes: Mapping[str, ClassText]
    stored: frozenset[str]
    restless: frozenset[str]
    kept: frozenset[str]


@functools.lru_cache(maxsize=1024)
def read(source: bytes, path: str) -> FileText:
    """Analyse this source.

    Raises:
        SyntaxError: it cannot be compiled.
        ValueError: the same, for a null byte.
    """
    tree = ast.parse(source)
    code = compile(source, path, "exec", dont_inherit=True)
    nodes = list(ast.walk(tree))
    times = Counter(_stored(tree))
    outside, deleted = global_names(tree)
    gone = deleted | unbound(tree.body)
    once = [node for node in tree.body if isinstance(node, (*_FUNCTIONS, ast.ClassDef)) and times[node.name] == 1]
    scope = _scope_of(nodes, once)
    restless = _restless(tree, nodes)
    return FileText(
        codes=frozenset(_codes(code)),
        names=None if any(_is_loose(node) for node in nodes) else frozenset(bindings(tree.body) | outside),
        outside=frozenset(outside),
        sure=frozenset(name for node in tree.body for name in _bound_by(node) if name not in gone),
        values=dict(_values(tree.body, times, scope, restless, outside)),
        imported=_imported(tree.body, times),
        functions={node.name: node.lineno for node in once if isinstance(node, _FUNCTIONS) and not node.decorator_list},
        classes={node.name: _class_text(node, scope, restless) for node in once if isinstance(node, ast.ClassDef)},
        stored=frozenset(
            node.attr for node in nodes if isinstance(node, ast.Attribute) and _is_set(node) and _root(node) != "self"
        ),
        restless=frozenset(restless),
        kept=frozenset(_kept(tree.body)),
    )


def _kept(body: Iterable[ast.AST]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.Name) and not _is_set(node):
            yield node.id
        elif isinstance(node, ast.If) and _asks_for_main(node.test):
            continue
        elif isinstance(node, _FUNCTIONS):
            if node.decorator_list:
                yield node.name
            yield from _kept([*node.decorator_list, node.args])
        elif not isinstance(node, ast.Lambda):
            yield from _kept(ast.iter_child_nodes(node))


def _asks_for_main(test: ast.expr) -> bool:
    """Whether this is ``__name__ == "__main__"``."""
    return any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(test))


def _is_loose(node: ast.AST) -> bool:
    """Whether this may bind any name."""
    if isinstance(node, ast.Call):
        name = getattr(node.func, "id", "")
        return name == "exec" or (name in _SPACES and not node.args)
    star = isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
    return star or (isinstance(node, ast.Attribute) and node.attr == "modules")


def _is_set(node: ast.Attribute | ast.Name) -> bool:
    return not isinstance(node.ctx, ast.Load)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield part
            yield from _codes(part)


def _stored(node: ast.AST) -> Iterator[str]:
    """Names, as often as this scope binds them."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Name) and _is_set(child):
            yield child.id
        elif isinstance(child, (*_FUNCTIONS, ast.ClassDef)):
            yield child.name
        elif isinstance(child, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in child.names)
        if not isinstance(child, _SCOPES):
            yield from _stored(child)


def _assigned(body: list[ast.stmt], times: Mapping[str, int]) -> Iterator[tuple[str, ast.expr]]:
    """Names set once, with their expressions."""
    for node in body:
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value = [node.target], node.value
        else:
            continue
        for target in targets:
            yield from ((name, part) for name, part in _pairs(target, value) if times[name] == 1)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for part, inner in zip(target.elts, value.elts, strict=True):
            yield from _pairs(part, inner)


def _values(
    body: list[ast.stmt],
    times: Mapping[str, int],
    scope: FileScope,
    restless: AbstractSet[str],
    outside: AbstractSet[str] = frozenset(),
) -> Iterator[tuple[str, object]]:
    """Names with their values; values that the file may have changed by then are not used further."""
    for name, node in _assigned(body, times):
        try:
            value = evaluate(node, scope)
        except NotLiteral:
            continue
        if name in restless and not is_plain(value):
            continue
        if name not in outside:
            scope.values[name] = value
        yield name, value


def is_plain(value: object) -> bool:
    """Whether it can be replaced but not changed in place."""
    return isinstance(value, (type(None), bool, int, float, complex, str, bytes, tuple, frozenset))


def _scope_of(nodes: Iterable[ast.AST], once: Iterable[ast.stmt]) -> FileScope:
    scope = FileScope()
    for node in nodes:
        if isinstance(node, ast.Import):
            scope.modules.update({alias.asname or alias.name: alias.name for alias in node.names})
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            scope.modules.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    for node in once:
        if isinstance(node, ast.ClassDef) and _is_dataclass(node):
            fields = (
                part for part in node.body if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
            )
            scope.classes[node.name] = {getattr(part.target, "id", ""): part.value for part in fields}
    return scope


def _is_dataclass(node: ast.ClassDef) -> bool:
    """Whether its ``__init__`` only sets its fields."""
    own = {part.name for part in node.body if isinstance(part, _FUNCTIONS)} & {
        "__init__",
        "__post_init__",
        "__setattr__",
    }
    return not own and not node.bases and [_called(part) for part in node.decorator_list] == ["dataclass"]


def _called(node: ast.expr) -> str:
    node = node.func if isinstance(node, ast.Call) else node
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _imported(body: list[ast.stmt], times: Mapping[str, int]) -> dict[str, tuple[str, str]]:
    return {
        alias.asname or alias.name: ("." * node.level + (node.module or ""), alias.name)
        for node in body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if times[alias.asname or alias.name] == 1
    }


def _bound_by(node: ast.stmt) -> Iterator[str]:
    """Names that a statement binds in any case."""
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        yield node.name
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names if alias.name != "*")
    elif isinstance(node, ast.Assign) or (isinstance(node, ast.AnnAssign) and node.value is not None):
        marks = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (mark.id for mark in marks if isinstance(mark, ast.Name))


def _restless(tree: ast.Module, nodes: Iterable[ast.AST]) -> set[str]:
    """Names whose objects the file's own code changes in place, or passes on to code that may change them."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            found |= _chain(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
            found |= _chain(node.func)
        elif isinstance(node, ast.AugAssign):
            found |= _chain(node.target)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            found.update(part.id for part in _bare(node.value))
            marks = node.targets if isinstance(node, ast.Assign) else []
            found.update(mark.id for mark in marks if len(marks) > 1 and isinstance(mark, ast.Name))
    for node in tree.body:
        found |= _handed_on(node)
    return found


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return str(getattr(node, "id", ""))


def _chain(node: ast.expr) -> set[str]:
    """The names on the path to a changed object: `a` and `b` in ``a.b[0] = 1``; not the attribute that is set."""
    found = set()
    node = node.value if isinstance(node, (ast.Attribute, ast.Subscript)) else node
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        found |= {node.attr} if isinstance(node, ast.Attribute) else set()
        node = node.value
    return found | ({node.id} if isinstance(node, ast.Name) else set())


def _bare(node: ast.expr) -> Iterator[ast.Name]:
    """Objects that get a second name or go into a container."""
    if isinstance(node, ast.Name):
        yield node
    elif isinstance(node, (ast.Tuple, ast.List, ast.Dict)):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                yield from _bare(child)


def _handed_on(node: ast.AST) -> set[str]:
    """Arguments and receivers of calls that run during the module's import."""
    if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
        parts: list[ast.AST] = list(getattr(node, "decorator_list", ()))
    else:
        parts = list(ast.iter_child_nodes(node))
    found = set().union(*(_handed_on(part) for part in parts))
    if isinstance(node, ast.Call) and _called(node) not in _HARMLESS:
        given = (*node.args, *(part.value for part in node.keywords))
        found |= {part.id for part in given if isinstance(part, ast.Name)}
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute):
        found.add(_root(node.value.func))
    return found


def _mangled(name: str, owner: str) -> str:
    private = name.startswith("__") and not name.endswith("__")
    return f"_{owner.lstrip('_')}{name}" if private else name


def _class_text(node: ast.ClassDef, scope: FileScope, restless: AbstractSet[str]) -> ClassText:
    times = Counter(_stored(node))
    inner = FileScope(dict(scope.values), scope.modules, scope.classes)
    methods = {
        part.name: part.decorator_list[0].lineno if part.decorator_list else part.lineno
        for part in node.body
        if isinstance(part, _FUNCTIONS) and times[part.name] == 1
        if all(getattr(mark, "id", "") in _MARKS for mark in part.decorator_list)
    }
    plain = not node.keywords and all(_called(mark) == "dataclass" for mark in node.decorator_list)
    return ClassText(
        plain=plain,
        methods={_mangled(name, node.name): line for name, line in methods.items()},
        values={_mangled(name, node.name): value for name, value in _values(node.body, times, inner, restless)},
        names=frozenset(bindings(node.body)),
    )
