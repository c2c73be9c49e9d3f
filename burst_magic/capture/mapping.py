"""Parse and evaluate ``--map``."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Mapping, Sized
from difflib import get_close_matches
from typing import Any

from burst_magic.capture.bindings import targets
from burst_magic.errors import CaptureError

ITEM = "item"  # the default target
# What `burst.map` binds in the task: names that no notebook uses, since they share a namespace with its globals.
CALL_ITEM = "__burst_item__"
CALL_FUNCTION = "__burst_function__"
_WAY_OUT = "use an expression such as range(10), or 'x in xs' as in a for loop"


def parse_map(text: str) -> tuple[str, str]:
    """Parse into (target, expression): ``xs`` binds "item", ``i, row in df.iterrows()`` binds "i, row".

    Raises:
        CaptureError: neither an expression nor ``target in expression``.
    """
    text = text.strip()
    try:
        loop = ast.parse(f"for {text}: pass").body[0]
    except SyntaxError:
        loop = None
    if isinstance(loop, ast.For):
        if any(isinstance(part, (ast.Attribute, ast.Subscript)) for part in ast.walk(loop.target)):
            raise CaptureError(f"--map {text}: items can be bound to names only", way_out=_WAY_OUT)
        target = ast.unparse(loop.target)
        return target[1:-1] if isinstance(loop.target, ast.Tuple) and target[0] == "(" else target, ast.unparse(
            loop.iter
        )
    try:
        return ITEM, ast.unparse(ast.parse(text, mode="eval").body)
    except SyntaxError as error:
        raise CaptureError(f"--map {text}: {error.msg}", way_out=_WAY_OUT) from None


def target_names(target: str) -> frozenset[str]:
    """Names that a target binds."""
    return frozenset(targets(ast.parse(f"{target} = None"))) if target else frozenset()


def evaluate(text: str, expression: str, namespace: Mapping[str, object]) -> Iterable[object]:
    """Evaluate the items in the notebook; a generator stays one.

    Raises:
        CaptureError: it raises, or is not iterable.
    """
    scope: Any = namespace if isinstance(namespace, dict) else dict(namespace)
    try:
        value = eval(compile(expression, "<--map>", "eval", dont_inherit=True), scope)  # noqa: S307 - the user's own text
    except Exception as error:
        near = get_close_matches(getattr(error, "name", None) or "", [*scope, *vars(builtins)], n=1, cutoff=0.8)
        hint = f"; did you mean {near[0]!r}?" if isinstance(error, NameError) and near else ""
        raise CaptureError(f"--map {text}: {type(error).__name__}: {error}{hint}") from error
    return iterable(value, f"--map {text}")


def iterable(value: Any, text: str) -> Iterable[object]:
    """Return the value, checked.

    Raises:
        CaptureError: it cannot be iterated.
    """
    if hasattr(type(value), "__iter__") or hasattr(type(value), "__getitem__"):
        found: Iterable[object] = value
        return found
    raise CaptureError(f"{text}: {type(value).__name__!r} object is not iterable", way_out=_WAY_OUT)


def count(items: Iterable[object]) -> int | None:
    """The number of items, if known without consuming them.

    A ``__len__`` that raises, as that of an array without dimensions does, refuses nothing: a loop never asks for it.
    """
    try:
        return len(items) if isinstance(items, Sized) else None
    except Exception:  # noqa: BLE001 - the user's own code
        return None
