"""Evaluate module-level expressions of a local module without running the module.

Supports literals, arithmetic, containers, comprehensions, names evaluated before, constants of `math` and numpy, and
calls that only create a value: ``range(3)``, ``np.zeros(4)``, a dataclass of the same file. Anything else is unknown.
"""

from __future__ import annotations

import ast
import builtins
import collections
import itertools
import math
import operator
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from burst_magic.dataclass import dataclass
from burst_magic.payload.declared import module_of

LIMIT = 100_000  # elements of one value


class NotLiteral(Exception):
    """The expression is not supported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance of a class of the file, by its fields; unknown fields are omitted."""

    kind: str
    fields: Mapping[str, object]


@dataclass(slots=True)
class FileScope:
    """The meaning of names in the file.

    Attributes:
        values: constants found so far.
        modules: name -> imported module.
        classes: dataclasses of the file, name -> fields with defaults.
    """

    values: dict[str, object] = field(default_factory=dict)
    modules: dict[str, str] = field(default_factory=dict)
    classes: dict[str, Mapping[str, ast.expr | None]] = field(default_factory=dict)


_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.BitOr: operator.or_, ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor, ast.Pow: operator.pow, ast.LShift: operator.lshift, ast.RShift: operator.rshift,
}  # fmt: skip
_UNARY: dict[type, Callable[[Any], Any]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert, ast.Not: operator.not_,
}  # fmt: skip
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b, ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}  # fmt: skip
_CALLS = frozenset({
    "dict", "list", "set", "tuple", "frozenset", "range", "float", "int", "str", "bool", "complex", "bytes",
    "bytearray", "sum", "min", "max", "len", "sorted", "round", "abs", "zip", "enumerate", "reversed", "divmod", "ord",
    "chr",
})  # fmt: skip
_LIBRARY = {
    "math": frozenset(vars(math)) - {"factorial", "comb", "perm"},
    "collections": frozenset({"OrderedDict", "defaultdict", "Counter", "deque"}),
    "types": frozenset({"SimpleNamespace", "MappingProxyType"}),
    "numpy": frozenset({
        "array", "asarray", "zeros", "ones", "full", "eye", "identity", "arange", "linspace", "logspace", "geomspace",
        "diag", "pi", "e", "inf", "nan", "float64", "float32", "int64", "int32", "sqrt", "log", "exp", "bool_",
    }),
}  # fmt: skip
_SIMPLE = (bool, int, float, complex, str, bytes, type(None))


def evaluate(node: ast.expr, scope: FileScope) -> Any:
    """Evaluate an expression.

    Raises:
        NotLiteral: it is unknown, or evaluating it fails or is too expensive.
    """
    try:
        return _Evaluator(scope).of(node)
    except NotLiteral:
        raise
    except Exception as error:
        raise NotLiteral from error


class _Evaluator:
    def __init__(self, scope: FileScope) -> None:
        self.scope = scope
        self.steps = LIMIT

    def of(self, node: ast.expr) -> Any:
        self.steps -= 1
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None or self.steps < 0:
            raise NotLiteral
        value = method(node)
        if hasattr(value, "__len__") and len(value) > LIMIT:
            raise NotLiteral
        return value

    def _constant(self, node: ast.Constant) -> object:
        return node.value

    def _name(self, node: ast.Name) -> object:
        if node.id in self.scope.values:
            return self.scope.values[node.id]
        raise NotLiteral

    def _attribute(self, node: ast.Attribute) -> object:
        return self._of_library(node)

    def _unaryop(self, node: ast.UnaryOp) -> object:
        return _UNARY[type(node.op)](self.of(node.operand))

    def _binop(self, node: ast.BinOp) -> object:
        left, right = self.of(node.left), self.of(node.right)
        bounded = isinstance(right, (int, float)) and abs(right) < 1000
        if isinstance(node.op, (ast.Pow, ast.LShift)) and not (bounded and _size(left) < 1000):
            raise NotLiteral
        if isinstance(node.op, ast.Mult) and _size(left) * _size(right) > LIMIT:
            raise NotLiteral
        return _BINARY[type(node.op)](left, right)

    def _boolop(self, node: ast.BoolOp) -> object:
        values = [self.of(part) for part in node.values]
        stop = isinstance(node.op, ast.Or)
        return next((value for value in values if bool(value) is stop), values[-1])

    def _compare(self, node: ast.Compare) -> object:
        values = [self.of(node.left), *(self.of(part) for part in node.comparators)]
        return all(_COMPARE[type(op)](a, b) for op, a, b in zip(node.ops, values, values[1:], strict=False))

    def _ifexp(self, node: ast.IfExp) -> object:
        return self.of(node.body if self.of(node.test) else node.orelse)

    def _tuple(self, node: ast.Tuple) -> object:
        return tuple(self._elements(node.elts))

    def _list(self, node: ast.List) -> object:
        return list(self._elements(node.elts))

    def _set(self, node: ast.Set) -> object:
        return set(self._elements(node.elts))

    def _dict(self, node: ast.Dict) -> object:
        found: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            found.update(self.of(value) if key is None else {self.of(key): self.of(value)})
        return found

    def _elements(self, nodes: Iterable[ast.expr]) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                yield from self.of(node.value)
            else:
                yield self.of(node)

    def _subscript(self, node: ast.Subscript) -> object:
        return self.of(node.value)[self.of(node.slice)]

    def _slice(self, node: ast.Slice) -> object:
        return slice(*(None if part is None else self.of(part) for part in (node.lower, node.upper, node.step)))

    def _joinedstr(self, node: ast.JoinedStr) -> object:
        return "".join(str(self.of(part)) for part in node.values)

    def _formattedvalue(self, node: ast.FormattedValue) -> object:
        if node.conversion != -1:
            raise NotLiteral
        return format(self.of(node.value), str(self.of(node.format_spec)) if node.format_spec else "")

    # comprehensions

    def _listcomp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> object:
        return [self.of(node.elt) for _ in self._rounds(node.generators)]

    _generatorexp = _listcomp

    def _setcomp(self, node: ast.SetComp) -> object:
        return {self.of(node.elt) for _ in self._rounds(node.generators)}

    def _dictcomp(self, node: ast.DictComp) -> object:
        return {self.of(node.key): self.of(node.value) for _ in self._rounds(node.generators)}

    def _rounds(self, generators: list[ast.comprehension]) -> Iterator[None]:
        before = self.scope
        first, *rest = generators
        for value in self.of(first.iter):
            self.scope = FileScope(dict(before.values), before.modules, before.classes)
            self._bind(first.target, value)
            if all(self.of(test) for test in first.ifs):
                yield from self._rounds(rest) if rest else [None]
        self.scope = before

    def _bind(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.scope.values[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            for part, inner in zip(target.elts, value, strict=True):
                self._bind(part, inner)
        else:
            raise NotLiteral

    # calls

    def _call(self, node: ast.Call) -> object:
        if any(part.arg is None for part in node.keywords):
            raise NotLiteral
        if isinstance(node.func, ast.Name) and node.func.id in self.scope.classes:
            return self._instance(node, self.scope.classes[node.func.id])
        function = self._function(node.func)
        made_of = node.args[1:] if function is collections.defaultdict else node.args
        given = list(self._elements(made_of))
        named = {str(part.arg): self._named(part.value) for part in node.keywords}
        if any(_extent(value) > LIMIT for value in (*given, *named.values())):
            raise NotLiteral
        function = dict if function is collections.defaultdict else function
        value = function(*given, **named)
        if isinstance(value, (zip, enumerate, reversed)):
            return list(itertools.islice(value, LIMIT))
        return value

    def _named(self, node: ast.expr) -> object:
        """Evaluate an argument, which may be a type: ``dtype=float``."""
        if isinstance(node, ast.Name) and node.id in {"float", "int", "bool", "complex", "object"}:
            return getattr(builtins, node.id)
        return self.of(node)

    def _function(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name) and node.id in _CALLS and node.id not in self.scope.values:
            return getattr(builtins, node.id)
        return self._of_library(node)

    def _of_library(self, node: ast.expr) -> Any:
        """``math.pi``, ``np.zeros``, ``OrderedDict``."""
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = self.scope.modules.get(node.value.id, ""), node.attr
        elif isinstance(node, ast.Name):
            module, _, name = self.scope.modules.get(node.id, "").rpartition(".")
        else:
            raise NotLiteral
        if name not in _LIBRARY.get(module, ()) or module not in sys.modules:
            raise NotLiteral
        return getattr(sys.modules[module], name)

    def _instance(self, node: ast.Call, fields: Mapping[str, ast.expr | None]) -> Instance:
        given = dict(zip(fields, node.args, strict=False))
        given.update({str(part.arg): part.value for part in node.keywords})
        found = {}
        for name, default in fields.items():
            value = given.get(name, default)
            if value is not None:
                try:
                    found[name] = self.of(_made_by_field(value))
                except NotLiteral:
                    continue
        return Instance(kind=str(getattr(node.func, "id", "")), fields=found)


def _made_by_field(node: ast.expr) -> ast.expr:
    """``field(default_factory=list)`` is ``list()``."""
    if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "field":
        for part in node.keywords:
            if part.arg == "default":
                return part.value
            if part.arg == "default_factory":
                inner = part.value
                return inner.body if isinstance(inner, ast.Lambda) else ast.Call(func=inner, args=[], keywords=[])
    return node


def _size(value: object) -> int:
    if isinstance(value, (int, float)):
        return min(abs(int(value)), LIMIT + 1) if math.isfinite(value) else 1
    return len(value) if hasattr(value, "__len__") else 1


def _extent(value: object) -> float:
    """The number of elements that an argument may request: a number, or an array's shape."""
    if isinstance(value, (int, float)):
        return abs(value)
    return math.prod(_extent(part) for part in value) if isinstance(value, tuple) and len(value) < 10 else 0


def same(here: Any, there: Any, depth: int = 20) -> bool:
    """Whether a value equals that of an expression; true if unknown."""
    if depth == 0:
        return True
    if isinstance(there, Instance):
        return _same_instance(here, there, depth)
    if module_of(type(here)) == module_of(type(there)) == "numpy":
        return type(here) is type(there) and _same_array(here, there)
    if isinstance(here, collections.defaultdict):  # as `evaluate` gives it
        here = dict(here)
    return type(here) is type(there) and _same_parts(here, there, depth)


def _same_parts(here: Any, there: Any, depth: int) -> bool:
    if isinstance(there, types.SimpleNamespace):
        here, there = vars(here), vars(there)
    if isinstance(there, (dict, types.MappingProxyType)):
        return len(here) == len(there) and all(key in here and same(here[key], there[key], depth - 1) for key in there)
    if isinstance(there, (list, tuple, collections.deque)):
        pairs = zip(here, there, strict=False)
        return len(here) == len(there) and all(same(a, b, depth - 1) for a, b in pairs)
    if isinstance(there, float):
        return bool(here == there) or (math.isnan(here) and math.isnan(there))
    return not isinstance(there, (*_SIMPLE, set, frozenset, bytearray, range)) or bool(here == there)


def _same_instance(here: Any, there: Instance, depth: int) -> bool:
    if type(here).__name__ != there.kind:
        return False
    return all(same(getattr(here, name, None), value, depth - 1) for name, value in there.fields.items())


def _same_array(here: Any, there: Any) -> bool:
    numpy = sys.modules["numpy"]
    if here.dtype != there.dtype or here.shape != there.shape:
        return False
    numbers = here.dtype.kind in "fc"
    return bool(numpy.array_equal(here, there, equal_nan=numbers)) if here.dtype.kind in "biufcSU" else True
