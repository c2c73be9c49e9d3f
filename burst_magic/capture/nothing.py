"""Detect last lines that change something in place and return None: the result is None, the change stays on the worker.

Detected by the function called: a method of a container or array, a known function, ``inplace=True``, or a helper of
the notebook that returns nothing and changes globals. A call that only prints or writes files is fine.
"""

from __future__ import annotations

import array
import ast
import builtins
import collections
import dis
import random
import sys
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from burst_magic.payload.culprit import attributes_of
from burst_magic.payload.declared import module_of
from burst_magic.payload.mentions import CHANGING, of_code

_ITEMS = frozenset({"__setitem__", "__delitem__"})
_LIST = _ITEMS | {"append", "extend", "insert", "remove", "clear", "sort", "reverse"}
_DICT = _ITEMS | {"update", "clear"}
_SET = frozenset({
    "add", "discard", "remove", "update", "clear", "intersection_update", "difference_update",
    "symmetric_difference_update",
})  # fmt: skip
_METHODS: dict[str, frozenset[str]] = {
    "builtins.list": _LIST,
    "builtins.bytearray": _LIST - {"sort"},
    "builtins.dict": _DICT,
    "builtins.set": _SET,
    "collections.OrderedDict": _DICT | {"move_to_end"},
    "collections.Counter": _DICT | {"subtract"},
    "collections.deque": (_LIST - {"sort"}) | {"appendleft", "extendleft", "rotate"},
    "array.array": (_LIST - {"sort", "clear"}) | {"fromlist", "frombytes", "byteswap"},
    "random.Random": frozenset({"shuffle", "seed"}),
    "numpy.ndarray": _ITEMS | {"sort", "fill", "put", "partition", "setflags", "setfield"},
    "numpy.random._generator.Generator": frozenset({"shuffle"}),
    "numpy.random.mtrand.RandomState": frozenset({"shuffle", "seed"}),
    "pandas.DataFrame": frozenset({"insert", "update"}),
    "pandas.core.frame.DataFrame": frozenset({"insert", "update"}),
    "pandas.Series": frozenset({"update"}),
    "pandas.core.series.Series": frozenset({"update"}),
}
_MADE_BY: dict[str, type] = {
    "list": list, "dict": dict, "set": set, "bytearray": bytearray, "deque": collections.deque, "array": array.array,
    "Counter": collections.Counter, "OrderedDict": collections.OrderedDict, "defaultdict": collections.defaultdict,
    "Random": random.Random,
}  # fmt: skip
_OF_NUMPY = {
    **dict.fromkeys(("array", "arange", "zeros", "ones", "full", "empty", "linspace"), "ndarray"),
    "default_rng": "Generator",
    "RandomState": "RandomState",
}
_WRITTEN: dict[type, type] = {
    ast.List: list, ast.ListComp: list, ast.Dict: dict, ast.DictComp: dict, ast.Set: set, ast.SetComp: set,
}  # fmt: skip
_FUNCTIONS = {
    "builtins": frozenset({"setattr", "delattr"}),
    "random": frozenset({"shuffle", "seed"}),
    "numpy": frozenset({"seed", "shuffle", "copyto", "fill_diagonal", "put", "place", "putmask", "put_along_axis"}),
    "heapq": frozenset({"heappush", "heapify"}),
    "bisect": frozenset({"insort", "insort_left", "insort_right"}),
    "operator": frozenset({"setitem", "delitem"}),
}
_WORDS = frozenset().union(*_METHODS.values(), *_FUNCTIONS.values())
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_GENERATOR = 0x220  # inspect.CO_GENERATOR, CO_ASYNC_GENERATOR
_ANYWHERE = frozenset({"append", "appendleft", "update"})  # for objects that the cell creates in unknown ways


def gives_nothing(tree: ast.Module, home: Mapping[str, object]) -> tuple[str, int]:
    """The call in the last line that always returns None, and its line; ("", 0) if there is none.

    Args:
        tree: the parsed cell.
        home: the notebook's globals.
    """
    last = tree.body[-1] if tree.body else None
    call = _call_in(last.value) if isinstance(last, ast.Expr) else None
    if call is None or not _may(call, home) or not _returns_none(call, _CellScope(tree, home)):
        return "", 0
    return f"{ast.unparse(call.func)}(…)", call.lineno


def _may(call: ast.Call, home: Mapping[str, object]) -> bool:
    """Quick check that rules most cells out."""
    if isinstance(call.func, ast.Name):
        return call.func.id in home or call.func.id in _WORDS or not hasattr(builtins, call.func.id)
    method = getattr(call.func, "attr", "")
    return method in _WORDS or any(part.arg == "inplace" for part in call.keywords) or _is_homes(call.func, home)


def _is_homes(node: ast.expr, home: Mapping[str, object]) -> bool:
    """Whether it is, or may be, a method of an instance of the notebook's own classes."""
    root = node
    while isinstance(root, (ast.Attribute, ast.Subscript)):
        root = root.value
    value = home.get(root.id) if isinstance(root, ast.Name) else None
    return value is not None and not isinstance(value, ModuleType) and module_of(type(value)) != "builtins"


def _call_in(node: ast.expr) -> ast.Call | None:
    """The call that determines the value: ``c and x.append(1)``, ``[x.append(i) for i in xs]``."""
    while not isinstance(node, ast.Call):
        if isinstance(node, (ast.BoolOp, ast.IfExp)):
            ways = node.values if isinstance(node, ast.BoolOp) else [node.orelse, node.body]
            node = next((way for way in reversed(ways) if not isinstance(way, ast.Constant)), ways[0])
        elif isinstance(node, ast.Await):
            node = node.value
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            node = node.elt
        else:
            return None
    return node


class _CellScope:
    """The meaning of names in the cell, as far as known without running it."""

    def __init__(self, tree: ast.Module, home: Mapping[str, object]) -> None:
        self.home = home
        self.imports = dict(_imports(tree))
        self.functions = {node.name: node for node in tree.body if isinstance(node, _FUNCTION)}
        self.made: dict[str, type | None] = dict.fromkeys(self.functions)
        told = {mark: node.value for node in ast.walk(tree) if isinstance(node, ast.Assign) for mark in node.targets}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.made[node.id] = self._type_of(told.get(node))

    def _type_of(self, node: ast.expr | None) -> type | None:
        """The type of an object created in the cell."""
        if not isinstance(node, ast.Call):
            return _WRITTEN.get(type(node))
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        found = self.value(node.func)
        if isinstance(found, type):
            return found
        if name in _OF_NUMPY and "numpy" in sys.modules:
            numpy = sys.modules["numpy"]
            kind: type = getattr(numpy, _OF_NUMPY[name], None) or getattr(numpy.random, _OF_NUMPY[name])
            return kind
        return _MADE_BY.get(name)

    def kind(self, node: ast.expr) -> type | None:
        """The type of a value; None if unknown."""
        if isinstance(node, ast.Name):
            if node.id in self.made:
                return self.made[node.id]
            return type(self.home[node.id]) if node.id in self.home else None
        found = self.value(node)
        return None if found is None else type(found)

    def value(self, node: ast.expr) -> Any:
        """A value of the notebook, found without running user code."""
        if isinstance(node, ast.Name):
            return None if node.id in self.made or node.id in self.imports else self.home.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.value(node.value)
            return attributes_of(owner).get(node.attr)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            owner = self.value(node.value)
            with_key = type(owner) in {dict, collections.defaultdict, collections.OrderedDict}
            return owner.get(node.slice.value) if with_key else None
        return None

    def path(self, node: ast.expr) -> str:
        """A function's dotted origin; "" if unknown."""
        if isinstance(node, ast.Attribute):
            owner = self.path(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        if not isinstance(node, ast.Name) or node.id in self.made:
            return ""
        if node.id in self.imports:
            return self.imports[node.id]
        return _path_of(self.home.get(node.id, getattr(builtins, node.id, None)))


def _path_of(value: object) -> str:
    if isinstance(value, ModuleType):
        return value.__name__
    if not isinstance(value, (BuiltinFunctionType, FunctionType, MethodType)):
        return ""
    module = getattr(value, "__module__", None) or module_of(type(getattr(value, "__self__", None)))
    return f"{module}.{value.__name__}"


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield alias.asname or top, alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _returns_none(call: ast.Call, scope: _CellScope) -> bool:
    if any(word.arg == "inplace" and getattr(word.value, "value", False) is True for word in call.keywords):
        return True
    top, _, name = scope.path(call.func).rpartition(".")
    if name in _FUNCTIONS.get(top.partition(".")[0].lstrip("_"), ()):
        return True
    if isinstance(call.func, ast.Attribute) and not top:
        return _method_returns_none(call.func, scope)
    if isinstance(call.func, ast.Name) and call.func.id in scope.functions:
        return _only_changes(_compiled(scope.functions[call.func.id]))
    value = scope.value(call.func)
    owner = getattr(value, "__self__", None)
    if owner is not None and not isinstance(owner, ModuleType):  # push = results.append
        return _is_in_place(type(owner), getattr(value, "__name__", ""))
    return isinstance(value, FunctionType) and _only_changes(value.__code__)


def _method_returns_none(node: ast.Attribute, scope: _CellScope) -> bool:
    kind = scope.kind(node.value)
    return node.attr in _ANYWHERE if kind is None else _is_in_place(kind, node.attr)


def _is_in_place(kind: type, name: str) -> bool:
    for base in kind.__mro__:
        if name in vars(base):
            part = vars(base)[name]
            if module_of(base) == "__main__":
                return isinstance(part, FunctionType) and _only_changes(part.__code__)
            return name in _METHODS.get(f"{module_of(base)}.{base.__qualname__}", ())
    return False


def _compiled(node: ast.FunctionDef | ast.AsyncFunctionDef) -> CodeType:
    module = compile(ast.Module([node], []), "<cell>", "exec", dont_inherit=True)
    found = [part for part in module.co_consts if isinstance(part, CodeType) and part.co_name == node.name]
    return found[0]


def _only_changes(code: CodeType) -> bool:
    """Whether a helper or method changes globals or its object and never returns a value."""
    steps = list(dis.get_instructions(code))
    changes = of_code(code).changes or any(step.opname == "STORE_ATTR" for step in steps)
    changes = changes or (code.co_varnames[:1] == ("self",) and of_code(code).words & CHANGING)
    if code.co_flags & _GENERATOR or not changes:
        return False
    for before, step in zip([None, *steps], steps, strict=False):
        constant = step if step.opname == "RETURN_CONST" else before
        none = constant is not None and constant.opname in {"LOAD_CONST", "RETURN_CONST"} and constant.argval is None
        if step.opname in {"RETURN_VALUE", "RETURN_CONST"} and not none:
            return False
    return True
