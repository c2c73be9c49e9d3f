"""A cell, or a function and its items, becomes a Capture: what has to travel so that it runs elsewhere.

Everything that can be refused is refused here, before anything is stored or started.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import time
import types
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burst_magic.capture import bundle as sources
from burst_magic.capture.closure import Captured, kind_of, pack_names, used_by
from burst_magic.capture.names import CellNames, cell_names, targets
from burst_magic.errors import CaptureError
from burst_magic.payload import Packed, unpack
from burst_magic.payload.pack import OMITTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LARGE = 10_000_000  # bytes of one captured value that are worth a warning
_FIXED = (int, float, complex, bool, str, bytes, tuple, frozenset, type(None), range)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Everything a burst needs to know about its cell.

    Attributes:
        source: Python, to be compiled on the worker under `filename`.
        target: what each item is bound to; "" when the cell runs once.
        items: what ``--map`` evaluated to, or None.
        packed: the captured values.
        modules: (name, version) of modules that workers must have.
        bundle: zip of local sources to be unpacked onto ``sys.path``, or b"".
        entries: one per captured name.
        mutated: captured names whose objects the cell changes.
        has_value: the cell ends in an expression.
        sources: (file name, text) of other cells whose functions travel, for tracebacks.
    """

    source: str
    filename: str
    target: str
    items: Iterable[object] | None
    packed: Packed
    modules: tuple[tuple[str, str], ...] = ()
    bundle: bytes = b""
    entries: tuple[Captured, ...] = ()
    warnings: tuple[str, ...] = ()
    mutated: tuple[str, ...] = ()
    has_value: bool = False
    sources: tuple[tuple[str, str], ...] = ()
    again: Callable[[Iterable[str]], Packed] | None = field(default=None, repr=False, compare=False)


def with_names(capture: Capture, names: Iterable[str]) -> Capture:
    """The same capture with more of the notebook's names, which items were found to refer to."""
    missing = sorted(set(names) - set(capture.packed.names))
    return replace(capture, packed=capture.again(missing)) if missing and capture.again else capture


def capture_cell(
    source: str,
    namespace: Mapping[str, object],
    *,
    map_expr: str = "",
    transform: Callable[[str], str] | None = None,
    filename: str = "<cell>",
    include: Iterable[str | Path] = (),
) -> Capture:
    """Capture a cell with all that it mentions.

    Args:
        source: the cell's text below the magic's line.
        namespace: the notebook's globals.
        map_expr: ``items``, ``x in xs`` or ``i, row in df.iterrows()``; "" when the cell runs once.
        transform: IPython's `shell.transform_cell`, for ``%`` and ``!`` lines.
        filename: name the cell has in tracebacks.
        include: files and folders that travel beside local modules.

    Raises:
        CaptureError: the cell cannot run elsewhere, and why.
    """
    if transform is not None:
        source = transform(source)
    target, expression = parse_map(map_expr) if map_expr.strip() else ("", "")
    capture = _capture(source, namespace, target, filename, [Path(path).resolve() for path in include])
    return replace(capture, items=_evaluate(map_expr, expression, namespace)) if target else capture


def _capture(source: str, namespace: Mapping[str, object], target: str, filename: str, include: list[Path]) -> Capture:
    tree = _parse(source, filename)
    names = cell_names(tree, bound=frozenset(_target_names(target)))
    _refuse_undefined(names, namespace)
    reads = {name: lines for name, lines in names.reads.items() if name in namespace and name not in OMITTED}
    packed = pack_names(reads, namespace, words=names.words)
    installed, roots = sources.split({*packed.modules, *names.imports})
    return Capture(
        source=source,
        filename=filename,
        target=target,
        items=None,
        packed=packed,
        modules=installed,
        bundle=sources.build(roots, include),
        entries=_entries(packed, reads, namespace),
        warnings=tuple(_warnings(names, target)),
        mutated=tuple(name for name in names.changes if name in reads and _changeable(namespace[name])),
        has_value=names.has_value,
        again=lambda more: pack_names({**reads, **dict.fromkeys(more, ())}, namespace, words=names.words),
    )


def capture_call(function: Callable[..., object], items: Iterable[object], *, namespace: Mapping[str, object]) -> Capture:
    """Capture ``function(item)`` for each item, as `capture_cell` does for a cell.

    Args:
        function: called with one item; may be a coroutine function.
        items: anything iterable.
        namespace: the caller's globals.
    """
    if not callable(function):
        raise CaptureError(f"{function!r} is not callable")
    name = getattr(function, "__name__", "")
    if not name.isidentifier() or name == "item" or namespace.get(name) is not function:
        name = "function"
        namespace = {**namespace, name: function}
    source = f"{'await ' if _is_async(function) else ''}{name}(item)\n"
    return replace(_capture(source, namespace, "item", "<burst.map>", []), items=_iterable(items, "items"))


def load_seconds(packed: Packed, *, rounds: int = 3) -> float:
    """How long a worker takes to load the in-band stream, measured here into a throwaway namespace."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        unpack(packed.stream, packed.buffers, home={"__name__": "__main__"})
        best = min(best, time.perf_counter() - start)
    return best


def parse_map(text: str) -> tuple[str, str]:
    """``--map``'s text as (target, expression).

    Raises:
        CaptureError: neither an expression nor ``target in expression``.
    """
    try:
        loop = ast.parse(f"for {text.strip()}: pass").body[0]
    except SyntaxError:
        loop = None
    if isinstance(loop, ast.For):
        if any(isinstance(part, (ast.Attribute, ast.Subscript)) for part in ast.walk(loop.target)):
            raise CaptureError(f"--map {text}: only names can be bound to items")
        return ast.unparse(loop.target).strip("()"), ast.unparse(loop.iter)
    try:
        return "item", ast.unparse(ast.parse(text.strip(), mode="eval").body)
    except SyntaxError as error:
        raise CaptureError(
            f"--map {text}: {error.msg}", way_out="an expression, or 'x in xs' as in a for loop"
        ) from None


def _target_names(target: str) -> set[str]:
    return targets(ast.parse(f"{target} = None")) if target else set()


def _parse(source: str, filename: str) -> ast.Module:
    try:
        tree = ast.parse(source, filename)
        compile(source, filename, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        text = (error.text or "").strip()
        raise CaptureError(f"syntax error in line {error.lineno}: {error.msg}", context=text) from None
    return tree


def _refuse_undefined(names: CellNames, namespace: Mapping[str, object]) -> None:
    known = {*namespace, *vars(builtins), *names.bound}
    for name, lines in names.reads.items():
        if name in known or names.star:
            continue
        near = difflib.get_close_matches(name, [other for other in known if not other.startswith("_")], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise CaptureError(f"{name!r} is not defined (line {lines[0]}){hint}")


def _evaluate(text: str, expression: str, namespace: Mapping[str, object]) -> Iterable[object]:
    try:
        value = eval(compile(expression, "<--map>", "eval", dont_inherit=True), _globals(namespace))  # noqa: S307
    except Exception as error:
        raise CaptureError(f"--map {text}: {type(error).__name__}: {error}") from error
    return _iterable(value, f"--map {text}")


def _globals(namespace: Mapping[str, object]) -> dict[str, object]:
    return namespace if isinstance(namespace, dict) else dict(namespace)


def _iterable(value: Any, text: str) -> Iterable[object]:
    try:
        iter(value)
    except TypeError:
        raise CaptureError(f"{text}: {type(value).__name__!r} object is not iterable") from None
    found: Iterable[object] = value
    return found


def _is_async(function: object) -> bool:
    code = getattr(function, "__code__", None)
    return bool(code and code.co_flags & 0x80)  # CO_COROUTINE


def _changeable(value: object) -> bool:
    return not isinstance(value, (*_FIXED, type, types.ModuleType, types.FunctionType))


def _entries(packed: Packed, reads: Mapping[str, tuple[int, ...]], home: Mapping[str, object]) -> tuple[Captured, ...]:
    return tuple(
        Captured(
            name=name,
            kind=kind_of(home[name]),
            type=type(home[name]).__name__,
            size=packed.sizes[name],
            lines=reads.get(name, ()),
            why=used_by(name, reads, packed.why),
        )
        for name in packed.names
    )


def _warnings(names: CellNames, target: str) -> list[str]:
    found = []
    if target and not names.has_value:
        found.append("the cell does not end in an expression, so every result will be None")
    return found
