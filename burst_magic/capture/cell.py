"""A cell, or a function and its items, becomes a Capture: what has to travel so that it runs elsewhere.

Everything that can be refused is refused here, before anything is stored or started.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FunctionType

from burst_magic.capture import bundle, report
from burst_magic.capture.closure import Captured, pack_names
from burst_magic.capture.drift import about_modules
from burst_magic.capture.lines import rewrite
from burst_magic.capture.mapping import ITEM, evaluate, iterable, parse_map, target_names
from burst_magic.capture.names import CellNames, cell_names
from burst_magic.capture.settings import collect
from burst_magic.errors import CaptureError
from burst_magic.payload import Packed, unpack
from burst_magic.payload.notes import OMITTED
from burst_magic.payload.settings import Settings

# What IPython keeps for itself in the notebook's globals, and why it cannot be used in a cell that runs elsewhere.
_HISTORY = frozenset({"In", "Out", "_ih", "_oh", "_dh"})
_BUILT_IN_TOO = frozenset({"exit", "quit"})  # IPython's differ; a worker has Python's


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Everything a burst needs to know about its cell.

    Attributes:
        source: Python, to be compiled on the worker under `filename`.
        target: what each item is bound to; "" when the cell runs once.
        items: what ``--map`` evaluated to, or None.
        packed: the captured values.
        modules: (name, version) of modules that workers must have.
        bundle: zip of local sources, to be unpacked onto ``sys.path``, or b"".
        entries: one per captured name.
        warnings: sentences for the user.
        mutated: captured names whose objects the cell, or a helper, changes in place.
        has_value: the cell ends in an expression.
        settings: what the notebook has set process-wide and tasks get too.
        sources: (file name, text) of other cells whose functions travel, for tracebacks.
        home: the namespace it was captured from; `reads`, `include` and `imports` are what else went into it.
    """

    source: str
    filename: str
    target: str
    items: Iterable[object] | None
    packed: Packed
    modules: tuple[tuple[str, str], ...] = ()
    bundle: bytes = field(default=b"", repr=False)
    entries: tuple[Captured, ...] = ()
    warnings: tuple[str, ...] = ()
    mutated: tuple[str, ...] = ()
    has_value: bool = False
    settings: Settings = field(default_factory=dict, repr=False)
    sources: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    home: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)
    reads: Mapping[str, tuple[int, ...]] = field(default_factory=dict, repr=False)
    include: tuple[Path, ...] = ()
    imports: frozenset[str] = frozenset()


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
        source: the cell's text below the magic's line. Line numbers count from its first line.
        namespace: the notebook's globals.
        map_expr: ``items``, ``x in xs`` or ``i, row in df.iterrows()``; "" when the cell runs once.
        transform: IPython's `shell.transform_cell`, for ``%`` and ``!`` lines.
        filename: name the cell has in tracebacks.
        include: files and folders that travel beside local modules.

    Raises:
        CaptureError: the cell cannot run elsewhere, and why.
    """
    target, expression = parse_map(map_expr) if map_expr.strip() else ("", "")
    text = source if transform is None else _transformed(source, transform)
    paths = tuple(Path(path).resolve() for path in include)
    capture = _capture(text, namespace, target=target, filename=filename, include=paths)
    if not target:
        return capture
    items = evaluate(map_expr, expression, namespace)
    return replace(capture, items=items, warnings=(*capture.warnings, *report.about_items(items)))


def capture_call(
    function: Callable[..., object], items: Iterable[object], *, namespace: Mapping[str, object]
) -> Capture:
    """Capture ``function(item)`` for each item, as `capture_cell` does for a cell.

    Args:
        function: called with one item; may be a coroutine function.
        items: anything iterable.
        namespace: the caller's globals.

    Raises:
        CaptureError: it cannot run elsewhere, and why.
    """
    if not callable(function):
        raise CaptureError(f"{function!r} is not callable")
    name = getattr(function, "__name__", "")
    if not name.isidentifier() or name == ITEM or namespace.get(name) is not function:
        name = "function"
        namespace = {**namespace, name: function}
    source = f"{'await ' if inspect.iscoroutinefunction(function) else ''}{name}({ITEM})\n"
    capture = _capture(source, namespace, target=ITEM, filename="<burst.map>", include=())
    return replace(capture, items=iterable(items, "items"))


def with_names(capture: Capture, seen: Iterable[str], home: Mapping[str, object]) -> Capture:
    """The capture with what its items refer to added.

    Args:
        capture: from `capture_cell` or `capture_call`; returned as it is when it has all of it already.
        seen: what `pack_value` collected: names of `home`, and modules as "import name".
        home: the notebook's globals.
    """
    seen = set(seen)
    imports = {name.partition(" ")[2] for name in seen if name.startswith("import ")}
    missing = {name for name in seen if name in home and name not in capture.packed.sizes}
    if imports - capture.imports:
        capture = replace(capture, imports=capture.imports | imports)
        capture = capture if missing else _with_modules(capture)
    if not missing:
        return capture
    return _packed(capture, {**capture.reads, **dict.fromkeys(missing, ())}, capture.packed.words)


def load_seconds(packed: Packed, *, rounds: int = 3) -> float:
    """How long a worker takes to load the in-band stream, measured here into a throwaway namespace."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        unpack(packed.stream, packed.buffers, home={"__name__": "__main__"})
        best = min(best, time.perf_counter() - start)
    return best


def _capture(
    source: str, namespace: Mapping[str, object], *, target: str, filename: str, include: tuple[Path, ...]
) -> Capture:
    namespace = _own(namespace)
    bound = target_names(target)
    tree = _parse(source, filename)
    local = cell_names(tree, bound=bound).bound
    rewritten = rewrite(tree, source, lambda name: name in namespace or name in local)
    if rewritten.source != source:
        source = rewritten.source
        tree = _parse(source, filename)
    names = cell_names(tree, bound=bound)
    _refuse(names, namespace, mapped=bool(target))
    reads = {name: lines for name, lines in names.reads.items() if name in namespace and name not in OMITTED}
    blank = Capture(
        source=source,
        filename=filename,
        target=target,
        items=None,
        packed=Packed(stream=b""),
        warnings=(*rewritten.notes, *report.about_cell(tree, names, is_mapped=bool(target))),
        mutated=tuple(name for name in names.changes if name in reads),
        has_value=names.has_value,
        home=namespace,
        include=include,
        imports=frozenset(names.imports),
    )
    return _packed(blank, reads, names.words)


def _own(namespace: Mapping[str, object]) -> Mapping[str, object]:
    """Without what IPython puts in place of a builtin (its ``open`` guards its own files): a worker has the builtin."""
    theirs = {
        name
        for name in vars(builtins).keys() & namespace.keys()
        if isinstance(value := namespace[name], FunctionType)
        and value.__globals__.get("__name__", "").partition(".")[0] == "IPython"
    }
    return {name: value for name, value in namespace.items() if name not in theirs} if theirs else namespace


def _packed(capture: Capture, reads: Mapping[str, tuple[int, ...]], words: Iterable[str]) -> Capture:
    """With the values of these names, and what they need."""
    home = capture.home
    packed = pack_names(reads, home, words=words)
    entries = report.entries(packed, reads, home)
    return _with_modules(
        replace(
            capture,
            packed=packed,
            reads=reads,
            entries=entries,
            mutated=report.mutated((*capture.mutated, *sorted(packed.changes)), packed, home),
            warnings=tuple(dict.fromkeys((*capture.warnings, *report.about_entries(entries, packed, home)))),
            sources=report.sources_of(packed),
        )
    )


def _with_modules(capture: Capture) -> Capture:
    installed, roots = bundle.split({*capture.packed.modules, *capture.imports})
    zipped = bundle.build(roots, capture.include)
    found = collect(capture.source, capture.packed.stream, zipped)
    warnings = dict.fromkeys((*capture.warnings, *about_modules(roots), *found.told))
    return replace(capture, modules=installed, bundle=zipped, settings=found.settings, warnings=tuple(warnings))


def _transformed(source: str, transform: Callable[[str], str]) -> str:
    """IPython drops blank lines at the top; line numbers must stay those of the cell."""
    first = next((number for number, line in enumerate(source.split("\n")) if line.strip()), 0)
    try:
        return "\n" * first + transform(source)
    except SyntaxError as error:
        raise _syntax(error) from None


def _parse(source: str, filename: str) -> ast.Module:
    try:
        tree = ast.parse(source, filename)
        compile(source, filename, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        raise _syntax(error) from None
    except ValueError as error:  # a null byte
        raise CaptureError(f"the cell is not Python: {error}") from None
    return tree


def _syntax(error: SyntaxError) -> CaptureError:
    return CaptureError(f"syntax error in line {error.lineno}: {error.msg}", context=(error.text or "").strip())


def _refuse(names: CellNames, namespace: Mapping[str, object], *, mapped: bool) -> None:
    """Names that mean nothing on a worker, and names that mean nothing at all."""
    known = {*namespace, *vars(builtins), *names.bound}
    for name, lines in names.reads.items():
        if name == "get_ipython":
            raise CaptureError(
                f"get_ipython() cannot be used (line {lines[0]})", way_out="there is no IPython on a worker"
            )
        if name in _HISTORY and name in namespace:
            raise CaptureError(
                f"{name!r} is the notebook's history and does not travel (line {lines[0]})",
                way_out="give the value that you need a name of its own, in another cell",
            )
        if name in known or names.star or name in _BUILT_IN_TOO:
            continue
        if name == ITEM and not mapped:
            raise CaptureError(
                f"{name!r} is not defined (line {lines[0]})", way_out=f"{name} is what --map binds: write --map xs"
            )
        visible = [other for other in known if not other.startswith("_") or name.startswith("_")]
        near = difflib.get_close_matches(name, visible, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise CaptureError(f"{name!r} is not defined (line {lines[0]}){hint}")
