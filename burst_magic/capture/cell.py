"""Turn a cell, or a function with its items, into a Capture: everything it needs to run elsewhere.

Everything that can be refused is refused here, before anything is stored or started.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import functools
import inspect
import keyword
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from burst_magic.capture import bundle, report, unseen
from burst_magic.capture.closure import Captured, pack_names, shown
from burst_magic.capture.drift import about_modules
from burst_magic.capture.kernel import as_on_a_worker
from burst_magic.capture.lines import rewrite
from burst_magic.capture.mapping import (
    CALL_FUNCTION,
    CALL_ITEM,
    ITEM,
    evaluate,
    iterable,
    parse_map,
    target_names,
)
from burst_magic.capture.names import CellNames, bound_names, cell_names
from burst_magic.capture.patched import about_attributes
from burst_magic.capture.settings import collect
from burst_magic.capture.steady import is_steady
from burst_magic.dataclass import dataclass
from burst_magic.errors import CaptureError
from burst_magic.payload import Envelope, Packed, nans
from burst_magic.payload.declared import module_of
from burst_magic.payload.mentions import set_by
from burst_magic.payload.notes import OMITTED, Changed, Needs
from burst_magic.payload.settings import Settings
from burst_magic.payload.texts import IMPORTERS, Looks, evaluates, may_look, modules_in, names_in, texts_of
from burst_magic.payload.walk import Found, closure, is_notebook

# Names that IPython keeps in the notebook's globals, and why a cell that runs elsewhere cannot use them.
_GUESSED = 3  # characters that a misspelt name must have: of a shorter one, another is easily "near"
_HISTORY = frozenset({"In", "Out", "_ih", "_oh", "_dh"})
_ASKED = frozenset({"pandas", "geopandas", "dask", "modin", "duckdb", "pandasql", "polars", "numexpr", "main__"})
_BUILT_IN_TOO = frozenset({"exit", "quit"})  # IPython's versions; a worker has Python's


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
        mutated: captured names whose objects the cell or a helper changes in place.
        has_value: the cell ends with an expression.
        settings: process-wide settings of the notebook that tasks get.
        sources: (file name, text) of other cells whose functions are sent, for tracebacks.
        home: the namespace it was captured from. `reads`, `include`, `imports` and `needs` (the items' needs) are the
            other inputs.
        unsure: those of `reads` that the cell may not need: it binds them on some paths, or only strings name them.
        looks: how the cell itself uses strings.
        spoken: name found in a string of the cell -> its lines, and whether it is marked as a name there.
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
    unsure: frozenset[str] = frozenset()
    looks: Looks = Looks.NOT
    spoken: Mapping[str, tuple[tuple[int, ...], bool]] = field(default_factory=dict, repr=False)
    needs: Needs = field(default_factory=Needs, repr=False)

    def envelope(self, *, blobs: tuple[tuple[str, int], ...] = (), bundle: str = "", folder: str = "") -> Envelope:
        """What travels of it, once its buffers and its bundle are stored.

        Args:
            blobs: (sha256, bytes) of each buffer, in order.
            bundle: sha256 of the bundle, or "".
            folder: where its tasks run, on a machine that has it.
        """
        return Envelope(
            source=self.source,
            stream=self.packed.stream,
            filename=self.filename,
            target=self.target,
            has_value=self.has_value,
            names=self.packed.names,
            modules=self.modules,
            bundle=bundle,
            blobs=blobs,
            sources=self.sources,
            settings=self.settings,
            folder=folder,
        )


def capture_cell(
    source: str,
    namespace: Mapping[str, object],
    *,
    map_expr: str = "",
    transform: Callable[[str], str] | None = None,
    filename: str = "<cell>",
    include: Iterable[str | Path] = (),
) -> Capture:
    """Capture a cell with everything it refers to.

    Args:
        source: the cell's text below the magic's line. Line numbers count from its first line.
        namespace: the notebook's globals.
        map_expr: ``items``, ``x in xs`` or ``i, row in df.iterrows()``; "" when the cell runs once.
        transform: IPython's `shell.transform_cell`, for ``%`` and ``!`` lines.
        filename: name the cell has in tracebacks.
        include: files and folders to send with local modules.

    Raises:
        CaptureError: the cell cannot run elsewhere; gives the reason.
    """
    target, expression = parse_map(map_expr) if map_expr.strip() else ("", "")
    text = source if transform is None else _transformed(source, transform)
    paths = tuple(bundle.included(path) for path in include)
    capture = _capture(text, namespace, target=target, filename=filename, include=paths)
    if not target:
        return _with_texts(capture, None)
    items = evaluate(map_expr, expression, namespace)
    capture = _with_texts(capture, items)
    said = *report.about_items(items), *report.about_rows(items, target, capture.packed, capture.home, capture.source)
    return replace(capture, items=items, warnings=(*capture.warnings, *said))


def capture_call(
    function: Callable[..., object], items: Iterable[object], *, namespace: Mapping[str, object]
) -> Capture:
    """Capture ``function(item)`` for each item, as `capture_cell` does for a cell.

    Args:
        function: called with one item; may be a coroutine function.
        items: anything iterable.
        namespace: the caller's globals.

    Raises:
        CaptureError: it cannot run elsewhere; gives the reason.
    """
    if not callable(function):
        raise CaptureError(f"{function!r} is not callable")
    name = _name_of(function, namespace)
    if name == CALL_FUNCTION:
        namespace = Changed(namespace, {**namespace, name: function})
    source = f"{'await ' if _is_async(function) else ''}{name}({CALL_ITEM})\n"
    capture = _with_texts(_capture(source, namespace, target=CALL_ITEM, filename="<burst.map>", include=()), items)
    return replace(capture, items=iterable(items, "items"))


def _name_of(function: object, namespace: Mapping[str, object]) -> str:
    """The notebook's name for it, for readable tracebacks, or one that shadows no name of the notebook."""
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name) or name in OMITTED:
        return CALL_FUNCTION
    return name if namespace.get(name) is function else CALL_FUNCTION


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(function.__call__)


def with_needs(capture: Capture, needs: Needs) -> Capture:
    """Add what the items refer to.

    Args:
        capture: from `capture_cell` or `capture_call`; returned unchanged if nothing is missing.
        needs: collected by `pack_value`.
    """
    missing = {name for name in needs.names if name in capture.home and name not in capture.packed.sizes}
    more = replace(
        capture, imports=capture.imports | needs.modules, needs=needs, unsure=capture.unsure - set(needs.names)
    )
    if missing or needs.parts or not needs.words <= capture.packed.words or not needs.files <= capture.packed.files:
        return _packed(more, {**capture.reads, **dict.fromkeys(sorted(missing), ())}, capture.packed.words)
    return capture if needs.modules <= capture.imports else _with_modules(more)


def _with_texts(capture: Capture, items: object) -> Capture:
    """With what texts name, where code looks names or modules up in texts, and a word about texts that are not seen."""
    named = _imported_by_name(capture, items) - capture.imports
    if named:
        capture = _with_modules(replace(capture, imports=capture.imports | named))
    packed, home = capture.packed, capture.home
    by_value = any(evaluates(home[name]) or is_notebook(home[name], home) for name in packed.names)
    if not by_value and not may_look({*packed.words, *packed.modules, *capture.imports}):
        return capture
    asked = dict.fromkeys(capture.reads, "")
    looks = closure(asked, home, skip=frozenset(), omit=OMITTED, looks=capture.looks).looks
    if looks is Looks.NOT:
        return capture
    here = {name: lines for name, (lines, marked) in capture.spoken.items() if marked or looks is Looks.ALL}
    here.update(dict.fromkeys(set().union(*(names_in(text, looks) for text in texts_of(items))) - here.keys(), ()))
    here = {name: here[name] for name in sorted(here.keys() & home.keys() - asked.keys() - OMITTED)}
    found = closure({**asked, **dict.fromkeys(here, "")}, home, skip=frozenset(), omit=OMITTED, looks=looks)
    for name in sorted(found.spoken - here.keys()):  # in a captured string: reported with its lines
        here[name] = capture.reads.get(found.names[name], ())
    if here.keys() - packed.sizes.keys():
        capture = replace(capture, unsure=capture.unsure | here.keys())
        capture = _packed(capture, {**capture.reads, **here}, packed.words)
    return replace(capture, warnings=tuple(dict.fromkeys((*capture.warnings, *_about_texts(capture, items, found)))))


def _about_texts(capture: Capture, items: object, found: Found) -> Iterator[str]:
    bound = target_names(capture.target)

    def is_text(name: str) -> bool:
        return any(True for _ in texts_of(items if name in bound else capture.home.get(name)))

    def looks_up(name: str) -> bool:
        value = capture.home.get(name)
        if name in bound or value is None or isinstance(value, ModuleType):
            return True
        return any(module_of(base).partition(".")[0].lstrip("_") in _ASKED for base in type(value).__mro__)

    tree = ast.parse(capture.source)
    yield from unseen.in_cell(tree, is_text, looks_up, exists={*capture.home, *bound, *bound_names(tree)}.__contains__)
    for function, name in found.functions:
        yield from (f"{shown(name)}: {text}" for text in unseen.walks_in_code(function.__code__))
        if not unseen.is_given_seen(tree, name, is_text):
            yield from (f"{shown(name)}: {text}" for text in unseen.in_code(function.__code__))


def _capture(
    source: str, namespace: Mapping[str, object], *, target: str, filename: str, include: tuple[Path, ...]
) -> Capture:
    namespace = as_on_a_worker(namespace)
    bound = target_names(target)
    tree = _parse(source, filename)
    rewritten = rewrite(tree, source, lambda name: name in namespace or name in bound or name in bound_names(tree))
    if rewritten.source != source:
        source = rewritten.source
        tree = _parse(source, filename)
    main = frozenset(name for name, value in namespace.items() if is_notebook(value, namespace))
    names = cell_names(tree, bound=bound, steady=lambda manager, local: is_steady(manager, namespace, local), main=main)
    _refuse(names, namespace, target=target)
    reads = {name: lines for name, lines in names.reads.items() if name in namespace and name not in OMITTED}
    blank = Capture(
        source=source,
        filename=filename,
        target=target,
        items=None,
        packed=Packed(stream=b""),
        warnings=(*rewritten.notes, *report.about_cell(tree, names, namespace, is_mapped=bool(target))),
        mutated=tuple(name for name in names.changes if name in reads),
        has_value=names.has_value,
        home=namespace,
        include=include,
        imports=frozenset(names.imports),
        unsure=frozenset(reads) - names.surely,
        looks=names.looks,
        spoken={name: (lines, name in names.marked) for name, lines in names.spoken.items() if name in namespace},
    )
    return _packed(blank, reads, names.words)


def _packed(capture: Capture, reads: Mapping[str, tuple[int, ...]], words: Iterable[str]) -> Capture:
    """Add the values of these names and their dependencies."""
    home = capture.home
    words = {*words, *capture.needs.words}
    packed, left_out = pack_names(reads, home, words=words, unsure=capture.unsure, parts=capture.needs.parts)
    packed = replace(
        packed,
        omitted=tuple({**capture.needs.omitted, **dict(packed.omitted)}.items()),
        files=packed.files | capture.needs.files,
    )
    entries = report.entries(packed, reads, home)
    mutated = report.mutated((*capture.mutated, *sorted(packed.changes)), packed, home)
    said = (*report.about_entries(entries, packed, home), *report.about_views(packed, home, capture.source, mutated))
    return _with_modules(
        replace(
            capture,
            packed=packed,
            reads=reads,
            entries=entries,
            mutated=mutated,
            warnings=tuple(dict.fromkeys((*capture.warnings, *left_out, *said))),
            sources=report.sources_of(packed),
        )
    )


def _with_modules(capture: Capture) -> Capture:
    used = {*capture.packed.modules, *capture.imports}
    installed, roots = bundle.split(used)
    zipped = bundle.build(roots, capture.include)
    packed = capture.packed
    may_ask = (nans.is_in(packed.stream) or capture.target) and not nans.asks(packed.words, ())
    if may_ask and (named := nans.named_in(zipped)):  # local code is not among the words
        return _packed(capture, capture.reads, {*packed.words, named})
    found = collect(capture.source, capture.packed.stream, zipped)
    patched = about_attributes(capture.home, used, capture.packed.words, {root.stem for root in roots})
    warnings = dict.fromkeys((*capture.warnings, *about_modules(roots), *patched, *found.told))
    return replace(capture, modules=installed, bundle=zipped, settings=found.settings, warnings=tuple(warnings))


def _imported_by_name(capture: Capture, items: object = None) -> frozenset[str]:
    """Modules that texts name - the cell's, captured ones, items - where the code imports by name."""
    words = capture.packed.words
    if IMPORTERS.isdisjoint(words):
        return frozenset()
    nodes = ast.walk(ast.parse(capture.source))
    spoken = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    values = (items, *(capture.home[name] for name in capture.packed.names))
    return modules_in(spoken.union(*map(texts_of, values)), words)


def _transformed(source: str, transform: Callable[[str], str]) -> str:
    """Transform with IPython, keeping line numbers: IPython drops blank lines at the top."""
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
        raise CaptureError(f"the cell is not valid Python: {error}") from None
    return tree


def _syntax(error: SyntaxError) -> CaptureError:
    return CaptureError(f"syntax error in line {error.lineno}: {error.msg}", context=(error.text or "").strip())


def _refuse(names: CellNames, namespace: Mapping[str, object], *, target: str) -> None:
    """Refuse names that don't exist on a worker, or at all."""
    known = {*namespace, *vars(builtins), *names.bound}
    made = functools.cache(lambda: _made_by_functions(names, namespace))
    for name, lines in names.reads.items():
        if name == "get_ipython":
            raise CaptureError(f"get_ipython() cannot be used (line {lines[0]})", way_out="workers don't run IPython")
        if name in _HISTORY and name in namespace:
            raise CaptureError(
                f"{name!r} is the notebook's history and is not sent to workers (line {lines[0]})",
                way_out="assign the value you need to a variable in another cell",
            )
        if name in known or names.star or name in _BUILT_IN_TOO or name in made():
            continue
        if name == ITEM:
            way_out = f"--map binds {target} here, not item" if target else f"--map binds {name}: add --map xs"
            raise CaptureError(f"{name!r} is not defined (line {lines[0]})", way_out=way_out)
        visible = [other for other in known if not other.startswith("_") or name.startswith("_")]
        near = difflib.get_close_matches(name, visible, n=1) if len(name) >= _GUESSED else []
        hint = f"; did you mean {near[0]!r}?" if near else ""
        each = "" if target or near else f'if {name} is to be each item of something: --map "{name} in …"'
        raise CaptureError(f"{name!r} is not defined (line {lines[0]}){hint}", way_out=each)


def _made_by_functions(names: CellNames, namespace: Mapping[str, object]) -> frozenset[str]:
    """Names that functions of the notebook bind by a ``global`` statement, as far as the cell may call them."""
    asked = {**names.reads, **names.spoken} if names.looks is not Looks.NOT else names.reads
    found = closure(dict.fromkeys(asked, ""), namespace, skip=frozenset(), omit=OMITTED, looks=names.looks)
    return frozenset().union(*(set_by(function.__code__) for function, _ in found.functions))
