"""Local modules that this kernel holds otherwise than their files say: the files are what travels."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

_PLAIN = (type(None), bool, int, float, str)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def about_modules(roots: Iterable[Path]) -> list[str]:
    """A warning for each loaded module whose file would do something else.

    Args:
        roots: files and folders of the local sources that travel.
    """
    tops = {root.stem for root in roots}
    found: list[str] = []
    for name in sorted(name for name in sys.modules if name.partition(".")[0] in tops):
        module = sys.modules[name]
        file = getattr(module, "__file__", None)
        if file and file.endswith(".py"):
            found.extend(f"{name}: {text}" for text in _about(module, Path(file)))
    return found


def _about(module: ModuleType, file: Path) -> Iterator[str]:
    try:
        source = file.read_bytes()
        tree = ast.parse(source)
        code = compile(source, str(file), "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        yield f"{file.name} cannot be compiled as it is now, and that is what workers get"
        return
    written = set(_codes(code))
    if any(function.__code__ not in written for function in _functions(module)):
        yield f"{file.name} was changed since its import here: workers get the file (%autoreload or importlib.reload)"
        return
    home = vars(module)
    changed = [name for name, value in _constants(tree) if name in home and _differs(home[name], value)]
    if changed:
        yield f"{', '.join(changed)} was set here since the import: workers get what {file.name} says"


def _codes(code: CodeType) -> Iterator[CodeType]:
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield part
            yield from _codes(part)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Its own functions and methods, as far as they lie open."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    for value in own:
        parts = list(vars(value).values()) if isinstance(value, type) else [value]
        for part in parts:
            if isinstance(part, FunctionType) and part.__code__.co_filename == module.__file__:
                yield part


def _constants(tree: ast.Module) -> Iterator[tuple[str, object]]:
    """Names that the module sets once, to a plain value."""
    times = Counter(_stored(tree))
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target, value = node.target, node.value
        else:
            continue
        if isinstance(target, ast.Name) and times[target.id] == 1 and isinstance(value, ast.Constant):
            yield target.id, value.value


def _stored(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Name) and not isinstance(child.ctx, ast.Load):
            yield child.id
        if not isinstance(child, _SCOPES):
            yield from _stored(child)


def _differs(here: object, there: object) -> bool:
    """Whether plain values differ; what is loaded when it is first needed is no news."""
    plain = isinstance(here, _PLAIN) and isinstance(there, _PLAIN)
    return plain and (type(here) is not type(there) or here != there)
