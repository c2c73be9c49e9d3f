"""The report of a capture: one entry per name, and warnings."""

from __future__ import annotations

import ast
import importlib.util
import linecache
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from burst_magic.capture.closure import Captured, kind_of, used_by
from burst_magic.capture.mapping import count
from burst_magic.capture.names import CellNames, cell_names
from burst_magic.capture.nothing import gives_nothing
from burst_magic.capture.sensitive import find_secret, secret_lines
from burst_magic.payload import Packed, live

NO_ITEMS = "--map has no items: nothing to run"
_LONG_HEAD = 60  # characters of a loop that are repeated
LARGE = 10_000_000  # bytes of one captured value that trigger a warning
_COPIES = {"array", "astype", "copy", "deepcopy"}  # functions that give an array of its own
_FIXED = (int, float, complex, bool, str, bytes, tuple, frozenset, type(None), range, type, types.ModuleType,
          types.FunctionType, types.BuiltinFunctionType)  # fmt: skip


def mutated(changed: Iterable[str], packed: Packed, home: Mapping[str, object]) -> tuple[str, ...]:
    """The captured ones of these names whose objects can change in place."""
    captured = dict.fromkeys(name for name in changed if name in packed.sizes)
    return tuple(name for name in captured if not isinstance(home[name], _FIXED) and live.own(home[name]) is None)


def entries(packed: Packed, reads: Mapping[str, tuple[int, ...]], home: Mapping[str, object]) -> tuple[Captured, ...]:
    """One entry per captured name."""
    return tuple(
        Captured(
            name=name,
            kind=kind_of(home[name]),
            type=type(home[name]).__name__,
            size=packed.sizes[name],
            lines=reads.get(name, ()),
            why=used_by(name, reads, packed.why),
            secret=live.own(home[name]) is None and bool(find_secret(name, home[name])),
        )
        for name in packed.names
    )


def about_cell(tree: ast.Module, names: CellNames, home: Mapping[str, object], *, is_mapped: bool) -> list[str]:
    """Warnings from the cell's text."""
    found = []
    if is_mapped and not names.has_value:
        found.append("the cell does not end with an expression: every result will be None")
    found.extend(_about_loop(tree) if not is_mapped else ())
    call, line = gives_nothing(tree, home)
    if call:
        every = "every result" if is_mapped else "the result"
        found.append(
            f"line {line}: {call} returns None, and its changes stay on the worker: {every} will be None; "
            "end the cell with the value you want"
        )
    found.extend(
        f"line {line} contains what looks like a secret, and the cell's text is sent to workers"
        for line in secret_lines(tree)
    )
    for module, line in names.imports.items():
        if module not in names.optional and _is_missing(module):
            found.append(f"module {module!r} is not installed here (line {line})")
    return found


def _about_loop(tree: ast.Module) -> Iterator[str]:
    """A cell that ends in a loop is what somebody writes who has not met ``--map``."""
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.For):
        head = f"{ast.unparse(last.target)} in {ast.unparse(last.iter)}"
        said = f'"{head}"' if len(head) <= _LONG_HEAD else '"x in xs"'
        yield (
            f"line {last.lineno}: the loop runs in one task, and the result is None; "
            f"to run its body once per item on the workers: --map {said}, without the loop"
        )


def about_entries(found: Iterable[Captured], packed: Packed, home: Mapping[str, object]) -> list[str]:
    """Warnings about captured values."""
    texts = []
    for entry in found:
        if entry.secret:
            path = find_secret(entry.name, home[entry.name])
            texts.append(f"{path} looks like a secret and would be sent to workers ({entry.why}); use --setenv instead")
        if entry.name in packed.anew:
            texts.append(f"{entry.name}: each task gets a new {packed.anew[entry.name]}")
        if entry.size > LARGE:
            texts.append(f"{entry.name} is {entry.size / 1e6:,.0f} MB ({entry.why})")
    texts.extend(f"{name} has no effect on a worker and is ignored (used by {user})" for name, user in packed.omitted)
    return texts


def about_views(packed: Packed, home: Mapping[str, object], source: str, changed: Iterable[str]) -> list[str]:
    """Warnings about arrays that share memory here but not on a worker, if the cell changes one of them.

    Args:
        packed: the captured values.
        home: the notebook's globals.
        source: the cell.
        changed: captured names whose objects the syntax shows to be changed in place; ``x += 1`` may do so, too.
    """
    arrays = [name for name in packed.names if type(home[name]).__name__ == "ndarray"]
    owners: dict[int, list[str]] = {}
    for name in arrays:
        owners.setdefault(id(_owner(home[name])), []).append(name)
    groups = [names for names in owners.values() if len(names) > 1]
    if not groups:
        return []
    targets = _augmented(ast.parse(source))
    return [
        f"{' and '.join(names)} share memory in the notebook but are separate arrays on a worker: "
        "a change to one does not affect the other; create the view in the cell"
        for names in groups
        if not targets.isdisjoint(names) or not set(changed).isdisjoint(names)
    ]


def about_rows(items: object, target: str, packed: Packed, home: Mapping[str, object], source: str) -> list[str]:
    """A warning if the items are rows of a captured array and the cell changes them: on a worker they are no views.

    Args:
        items: what ``--map`` evaluated to.
        target: the name that an item gets.
        packed: the captured values.
        home: the notebook's globals.
        source: the cell.
    """
    if type(items).__name__ != "ndarray" or getattr(items, "ndim", 1) < 2:
        return []
    tree = ast.parse(source)
    if target not in {*cell_names(tree).changes, *_augmented(tree)}:
        return []
    return [
        f"{target} is part of {name} in the notebook but a separate array on a worker: "
        f"a change to it does not affect {name}"
        for name in packed.names
        if type(home[name]).__name__ == "ndarray" and _owner(home[name]) is _owner(items)
    ]


def _augmented(tree: ast.Module) -> set[str]:
    """Names for which ``x += 1`` may change an object that was there before the cell."""
    anew: dict[str, int] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and _makes_anew(node.value):
            for target in node.targets:
                anew.setdefault(getattr(target, "id", ""), node.lineno)
    augmented = [node for node in ast.walk(tree) if _augments_a_name(node)]
    return {node.target.id for node in augmented if node.lineno <= anew.get(node.target.id, node.lineno)}


def _makes_anew(value: ast.expr) -> bool:
    """Whether an array that this expression gives is surely no view of another."""
    if isinstance(value, ast.Subscript):
        return isinstance(value.slice, (ast.Compare, ast.List))
    called = getattr(value, "func", None)
    return isinstance(value, (ast.BinOp, ast.UnaryOp)) or getattr(called, "attr", getattr(called, "id", "")) in _COPIES


def _owner(array: Any) -> Any:
    while getattr(array, "base", None) is not None and type(array.base).__name__ == "ndarray":
        array = array.base
    return array


def _augments_a_name(node: ast.AST) -> TypeGuard[Any]:
    return isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)


def about_items(items: Iterable[object]) -> list[str]:
    """Warnings about the value of ``--map``."""
    if count(items) == 0:
        return [NO_ITEMS]
    if type(items).__name__ == "DataFrame":
        return ["iterating over a DataFrame gives its columns; for rows, use --map i, row in df.iterrows()"]
    return []


def sources_of(packed: Packed) -> tuple[tuple[str, str], ...]:
    """The text of cells whose functions are sent, unless a file contains it."""
    texts = ((name, "".join(linecache.getlines(name))) for name in sorted(packed.files))
    return tuple((name, text) for name, text in texts if text)


def _is_missing(module: str) -> bool:
    try:
        return importlib.util.find_spec(module.partition(".")[0]) is None
    except (ImportError, ValueError):  # ValueError: in sys.modules without a spec, so it exists
        return False
