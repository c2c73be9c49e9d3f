"""Detect attributes that the notebook set on installed modules: workers import these modules as installed.

Two signs tell: an assignment such as ``np.mean = mine`` in a cell that was run, and a function or class of the notebook
found in a module that the code uses. Local modules are compared with their files instead (`drift`), and settings of
well-known libraries are sent (`settings`).
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import ModuleType

from burst_magic.capture.drift import of_notebook

# Their attributes are process state: the part that matters to tasks is sent as settings.
_STATE_OF_THE_PROCESS = frozenset({"builtins", "os", "sys", "__main__"})
_FEW = 5  # attributes that the warning names


def about_attributes(
    namespace: Mapping[str, object], modules: Iterable[str], words: Collection[str], local: Collection[str]
) -> list[str]:
    """Return at most one warning, which names the attributes.

    Args:
        namespace: the notebook's globals, with ``In`` where IPython keeps it.
        modules: dotted names that the captured code uses.
        words: names and attributes that it uses.
        local: top-level names of modules that are sent as source.
    """
    found = {**dict(_of_the_notebook(modules, words)), **dict(_assigned(namespace))}
    told = [name + where for name, where in found.items() if _is_installed(name.partition(".")[0], local)]
    if not told:
        return []
    more = f" and {len(told) - _FEW} more" if len(told) > _FEW else ""
    named = f"{', '.join(told[:_FEW])}{more} {'were' if len(told) > 1 else 'was'}"
    return [f"{named} set in this notebook; workers use the module as installed: set it in the cell if tasks need it"]


def _is_installed(top: str, local: Collection[str]) -> bool:
    return top not in local and top not in _STATE_OF_THE_PROCESS


def _assigned(namespace: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(dotted name, the cell that set it), for all cells that were run."""
    history = namespace.get("In")
    if not isinstance(history, list):
        return
    for number, cell in enumerate(history):
        for chain in _targets(cell) if isinstance(cell, str) else ():
            owner = _owner(namespace.get(chain[0]), chain[1:-1])
            if owner.partition(":")[0] in sys.modules:
                yield f"{owner.replace(':', '.')}.{chain[-1]}", f" (cell {number})"


@functools.lru_cache(maxsize=4096)
def _targets(cell: str) -> tuple[tuple[str, ...], ...]:
    """Attributes that this text assigns to, as chains of names: ``a.b.c = 1`` gives ("a", "b", "c")."""
    if "." not in cell or "=" not in cell:
        return ()
    try:
        tree = ast.parse(cell)
    except (SyntaxError, ValueError):
        return ()
    stored = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    return tuple(chain for node in stored if (chain := _chain(node)))


def _chain(node: ast.expr) -> tuple[str, ...]:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


def _owner(value: object, names: Iterable[str]) -> str:
    """``module`` or ``module:Class`` that these names lead to, or "" where they lead elsewhere."""
    for name in names:
        if not isinstance(value, (ModuleType, type)):
            return ""
        value = vars(value).get(name)
    if isinstance(value, ModuleType):
        return value.__name__
    return f"{value.__module__}:{value.__qualname__}" if isinstance(value, type) else ""


def _of_the_notebook(modules: Iterable[str], words: Collection[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(set(modules)):
        module = sys.modules.get(name)
        for word in sorted(vars(module).keys() & words) if isinstance(module, ModuleType) else ():
            if of_notebook(vars(module)[word]):
                yield f"{name}.{word}", ""
