"""Warn about strings that are built at run time and evaluated: the names in them are unknown in advance.

Covers ``eval``, ``exec`` and similar functions if the string is neither in the cell nor a captured value, and lookups
in namespaces with a name built at run time.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Callable, Iterator
from types import CodeType

from burst_magic.capture.bindings import targets
from burst_magic.payload.mentions import is_called_with

_CODE = frozenset({"eval", "exec"})
_METHODS = frozenset({"query", "eval", "evaluate", "sql"})
_SPACES = frozenset({"globals", "vars", "locals"})
_KEEPING = frozenset({"format", "strip", "replace", "split", "splitlines", "values", "items", "keys", "get", "copy"})
_TAKING = frozenset(
    {"compile", "parse", "list", "tuple", "sorted", "enumerate", "zip", "dedent"}
)  # their first argument
_ADVICE = "of a string built at run time: refer in the cell to every name it uses, or they are not sent"


def in_cell(tree: ast.Module, is_text: Callable[[str], bool]) -> Iterator[str]:
    """One sentence per such call in a cell.

    Args:
        tree: the parsed cell.
        is_text: tells whether a captured name is a string, or contains only strings.
    """
    written = _written(tree, is_text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = _evaluates(node)
            text = _text_of(node)
            if name and text is not None and not _is_seen(text, lambda name: name in written or is_text(name)):
                yield f"line {node.lineno}: {name}() {_ADVICE}"
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Call):
            space = getattr(node.value.func, "id", "")
            bare = space in _SPACES and not node.value.args
            if bare and not _is_seen(node.slice, lambda name: name in written or is_text(name)):
                yield f"line {node.lineno}: {space}()[…] {_ADVICE}"


def _evaluates(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name) and node.func.id in _CODE:
        own = len(node.args) > 1 and not (isinstance(node.args[1], ast.Call) and not node.args[1].args)
        return "" if own else node.func.id  # otherwise in its own namespace
    return node.func.attr if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS else ""


def _text_of(node: ast.Call) -> ast.expr | None:
    named = (part.value for part in node.keywords if part.arg in {"expr", "query", "ex"})
    return next(iter(node.args), None) or next(named, None)


def _is_seen(node: ast.expr, known: Callable[[str], bool]) -> bool:
    """Whether all names in this string are known; values interpolated in an f-string are not taken as names."""
    if isinstance(node, (ast.Name, ast.Subscript, ast.Attribute)):
        while isinstance(node, (ast.Subscript, ast.Attribute)):
            node = node.value
        return isinstance(node, ast.Name) and known(node.id)
    if isinstance(node, ast.JoinedStr):
        return _fills_in_values(node)
    if isinstance(node, ast.BinOp):
        return _is_seen(node.left, known) and (isinstance(node.op, ast.Mod) or _is_seen(node.right, known))
    if isinstance(node, ast.Call):
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        by_method = isinstance(node.func, ast.Attribute) and name not in _TAKING
        inner = (
            node.func.value if isinstance(node.func, ast.Attribute) and by_method else next(iter(node.args), node.func)
        )
        return name in _KEEPING | _TAKING and _is_seen(inner, known)
    parts = node.elts if isinstance(node, (ast.List, ast.Tuple)) else []
    return isinstance(node, ast.Constant) or (bool(parts) and all(_is_seen(part, known) for part in parts))


def _fills_in_values(node: ast.JoinedStr) -> bool:
    texts = [str(part.value) for part in node.values if isinstance(part, ast.Constant)]
    return bool(texts) and not any(text.rstrip().endswith("@") for text in texts)


def _written(tree: ast.Module, is_text: Callable[[str], bool]) -> set[str]:
    """Names that the cell binds only to its own or captured strings."""
    seen: dict[str, bool] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, (ast.For, ast.comprehension)):
            pairs = [(node.target, node.iter)]
        else:
            continue
        for target, value in pairs:
            good = _is_seen(value, lambda name: seen[name] if name in seen else is_text(name))
            for name in targets(target):
                seen[name] = seen.get(name, True) and good
    return {name for name, good in seen.items() if good}


def is_given_seen(tree: ast.Module, helper: str, is_text: Callable[[str], bool]) -> bool:
    """Whether the cell calls a helper, and always with known strings."""
    written = _written(tree, is_text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == helper]
    mentions = sum(isinstance(node, ast.Name) and node.id == helper for node in ast.walk(tree))
    given = [part for node in calls for part in (*node.args, *(word.value for word in node.keywords))]
    return mentions == len(calls) > 0 and all(
        _is_seen(part, lambda name: name in written or is_text(name)) for part in given
    )


def in_code(code: CodeType) -> Iterator[str]:
    """Find ``eval`` and ``exec`` of a function's own argument in its bytecode."""
    steps = [step for step in dis.get_instructions(code) if step.opname not in {"CACHE", "PRECALL", "PUSH_NULL"}]
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    for index, step in enumerate(steps[:-2]):
        given = steps[index + 1]
        evaluated = step.opname == "LOAD_GLOBAL" and step.argval in _CODE and given.argval in arguments
        if evaluated and is_called_with(steps, index + 1, 1):
            yield f"{step.argval}() {_ADVICE}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from in_code(constant)
