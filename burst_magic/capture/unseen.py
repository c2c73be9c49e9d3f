"""Warn about strings that are built at run time and evaluated: the names in them are unknown in advance.

Covers ``eval``, ``exec`` and similar functions if the string is neither in the cell nor a captured value, lookups in
namespaces with a name built at run time, and code that goes through all names of a namespace.
"""

from __future__ import annotations

import ast
import dis
import re
from collections.abc import Callable, Iterator
from types import CodeType

from burst_magic.capture.bindings import targets
from burst_magic.payload.mentions import is_called_with

_CODE = frozenset({"eval", "exec"})
_METHODS = frozenset({"query", "eval", "evaluate", "sql"})
_SPACES = frozenset({"globals", "vars", "locals"})
_KEEPING = frozenset({"format", "strip", "replace", "split", "splitlines", "values", "items", "keys", "get", "copy"})
_GOING = frozenset({"values", "items", "keys", "copy"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_SCOPES = (*_FUNCTIONS, ast.Lambda, ast.ClassDef)
_TAKING = frozenset(
    {"compile", "parse", "list", "tuple", "sorted", "enumerate", "zip", "dedent"}
)  # their first argument
_ADVICE = "of a string built at run time: refer in the cell to every name it uses, or they are not sent"
_ALL = "has only the names that the cell and its functions refer to: refer to each name that it is to find"
_COLUMNS = frozenset({"query", "eval"})  # methods that find names of the notebook after an @ only
_TEXTLESS = (ast.List, ast.Tuple, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp, ast.GeneratorExp,
             ast.Lambda, ast.Compare)  # fmt: skip
_PART = re.compile(r"(?<![\w.])[^\W\d]\w*$")  # the beginning of a name
_AFTER = re.compile(r"@\s*\w*$")
_FILLED = "ˑ"  # stands for a value that is filled in; a letter to Python
_PLACE = re.compile(r"%[^\W\d]|\{\w*\}")  # where ``%`` or ``format`` fills in a value


def in_cell(
    tree: ast.Module,
    is_text: Callable[[str], bool],
    looks_up: Callable[[str], bool] = lambda _: True,
    exists: Callable[[str], bool] = lambda _: False,
) -> Iterator[str]:
    """One sentence per such call in a cell.

    Args:
        tree: the parsed cell.
        is_text: tells whether a captured name is a string, or contains only strings.
        looks_up: tells whether methods of a captured name may look up names in strings.
        exists: tells whether the notebook has a name: between two that exist stands an operator.
    """
    written = _written(tree, is_text)

    def known(name: str) -> bool:
        return name in written or is_text(name)

    grown = {id(node.target) for node in ast.walk(tree) if isinstance(node, ast.AugAssign)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name, text = _evaluates(node), _text_of(node)
            owner = node.func.value if isinstance(node.func, ast.Attribute) else None
            own = owner is not None and (
                isinstance(text, _TEXTLESS) or (isinstance(owner, ast.Name) and not looks_up(owner.id))
            )
            if name and text is not None and not own:
                made = _reads_made_names(text, name, exists) if owner is None else _makes_names(text, _ends_of(name))
                if not _is_seen(text, known) or made:
                    yield f"line {node.lineno}: {name}() {_ADVICE}"
        elif isinstance(node, ast.Subscript) and (space := _space(node.value)):
            if not isinstance(node.ctx, ast.Load) and id(node) not in grown:
                continue  # binds the name
            made = isinstance(node.slice, ast.JoinedStr) or _makes_names(node.slice, _PART)
            if made or not _is_seen(node.slice, known):
                yield f"line {node.lineno}: {space}()[…] {_ADVICE}"
    yield from (f"line {node.lineno}: {_space(node)}() {_ALL}" for node in _walked(tree))


def _space(node: ast.AST) -> str:
    """The function, if this is the namespace as a whole: ``globals()``."""
    name = getattr(node.func, "id", "") if isinstance(node, ast.Call) and not node.args else ""
    return name if name in _SPACES | {"dir"} else ""


def _walked(tree: ast.Module) -> Iterator[ast.Call]:
    """Namespaces of the cell that its code goes through: ``for name in globals()``, ``globals().items()``."""
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, _SCOPES) for part in ast.walk(node)}
    for node in ast.walk(tree):
        place: ast.AST | None = None
        if isinstance(node, (ast.For, ast.comprehension)):
            place = node.iter
        elif isinstance(node, ast.Attribute) and node.attr in _GOING:
            place = node.value
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in _TAKING and node.args:
            place = node.args[0]
        space = "" if place is None else _space(place)
        # A function's own names are all there.
        if isinstance(place, ast.Call) and (space == "globals" or (space and id(place) not in inner)):
            yield place


def _ends_of(method: str) -> re.Pattern[str]:
    return _AFTER if method in _COLUMNS else _PART


def _makes_names(node: ast.expr, ends: re.Pattern[str], quotes: str = "'") -> bool:
    """Whether values that are filled in become parts of names: ``f"model_{item}"``, but not in a string's quotes."""
    parts = _parts(node)
    preceding = (_FILLED.join(parts[:count]) for count in range(1, len(parts)))
    found = (ends.search(text.rstrip() if ends is _AFTER else text) for text in preceding if not _quoted(text, quotes))
    return any(each is not None and each.group().strip(_FILLED) for each in found)


def _reads_made_names(node: ast.expr, function: str, exists: Callable[[str], bool]) -> bool:
    """Whether Python code with values filled in reads such names, and doesn't bind them: ``f"result_{item} = 1"``."""
    parts = _parts(node)
    if len(parts) < 2:
        return False
    try:
        tree = ast.parse(_FILLED.join(parts).strip(), mode=function)
    except (SyntaxError, ValueError):
        return _makes_names(node, _PART, "'\"")
    names = [part for part in ast.walk(tree) if isinstance(part, ast.Name)]
    own = {part.id for part in names if not isinstance(part.ctx, ast.Load)}
    own.update(part.name for part in ast.walk(tree) if isinstance(part, (*_FUNCTIONS, ast.ClassDef)))
    own.update(part.arg for part in ast.walk(tree) if isinstance(part, ast.arg))
    pieces = [part.id.split(_FILLED) for part in names if part.id not in own]
    return any(any(each[:-1]) and not all(map(exists, each)) for each in pieces)


def _quoted(text: str, quotes: str) -> bool:
    """Whether a string is open at the end of this text."""
    inside = ""
    for char in text:
        if inside:
            inside = "" if char == inside else inside
        elif char in quotes:
            inside = char
    return bool(inside)


def _parts(node: ast.expr) -> list[str]:
    """What is in a string between its places for values; one part if it has none."""
    if isinstance(node, ast.JoinedStr):
        parts = [""]
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts[-1] += str(part.value)
            else:
                parts.append("")
        return parts
    text = node.left if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) else None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        text = node.func.value
    return _PLACE.split(text.value) if isinstance(text, ast.Constant) and isinstance(text.value, str) else []


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


def walks_in_code(code: CodeType) -> Iterator[str]:
    """Find code of a function that goes through the notebook's names."""
    steps = [step for step in dis.get_instructions(code) if step.opname not in {"CACHE", "PRECALL", "PUSH_NULL"}]
    for step, called, then in zip(steps, steps[1:], steps[2:], strict=False):
        whole = step.opname == "LOAD_GLOBAL" and step.argval == "globals" and called.opname.startswith("CALL")
        if whole and (then.opname == "GET_ITER" or then.argval in _GOING):
            yield f"{step.argval}() {_ALL}"
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from walks_in_code(constant)
