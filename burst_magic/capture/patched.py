"""Detect what the notebook changed in installed modules: workers import these modules as installed.

Attributes show by an assignment such as ``np.mean = mine`` in a cell that was run, or by a function or class of the
notebook in a module that the code uses; registrations by a call such as ``Number.register(Mine)`` in a cell that was
run. Local modules are compared with their files instead (`drift`), and settings of
well-known libraries are sent (`settings`).
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import FunctionType, ModuleType

from burst_magic.capture.drift import of_notebook

_REGISTERS = re.compile(r"(?:.*_)?register(?:_.*)?|add_(?:type|codec)|addLevelName")
_OWN_MATTER = frozenset({"atexit", "faulthandler", "IPython"})  # nothing that a task could find there
# Their attributes are process state: the part that matters to tasks is sent as settings.
_STATE_OF_THE_PROCESS = frozenset({"builtins", "os", "sys", "__main__"})
_FEW = 5  # attributes that the warning names


def about_attributes(
    namespace: Mapping[str, object], modules: Iterable[str], words: Collection[str], local: Collection[str]
) -> list[str]:
    """Return at most one warning about attributes and one about registrations; each names them.

    Args:
        namespace: the notebook's globals, with ``In`` where IPython keeps it.
        modules: dotted names that the captured code uses.
        words: names and attributes that it uses.
        local: top-level names of modules that are sent as source.
    """
    found = {**dict(_of_the_notebook(modules, words)), **dict(_assigned(namespace))}
    used = {name.partition(".")[0] for name in modules}
    called = {name: where for name, where in _registered(namespace) if name.partition(".")[0] in used - _OWN_MATTER}
    return [*_told(found, "set", local), *_told(called, "called", local)]


def _told(found: Mapping[str, str], done: str, local: Collection[str]) -> Iterator[str]:
    told = [name + where for name, where in found.items() if _is_installed(name.partition(".")[0], local)]
    if told:
        more = f" and {len(told) - _FEW} more" if len(told) > _FEW else ""
        named = f"{', '.join(told[:_FEW])}{more} {'were' if len(told) > 1 else 'was'}"
        it = {"set": "set it", "called": "call it"}[done]
        yield f"{named} {done} in this notebook; workers use the module as installed: {it} in the cell if tasks need it"


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


def _registered(namespace: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(dotted name of the function, the cell that called it) of calls that register something with a module."""
    history = namespace.get("In")
    for number, cell in enumerate(history if isinstance(history, list) else ()):
        for chain in _calls(cell) if isinstance(cell, str) else ():
            owner = _owner(namespace.get(chain[0]), chain[1:-1], of_functions=True)
            if owner.partition(":")[0] in sys.modules:
                yield f"{owner.replace(':', '.')}.{chain[-1]}", f" (cell {number})"


@functools.lru_cache(maxsize=4096)
def _calls(cell: str) -> tuple[tuple[str, ...], ...]:
    """Calls in this text of what registers: ``numbers.Number.register(A)`` gives ("numbers", "Number", "register")."""
    if "register" not in cell and "add_type" not in cell and "addLevelName" not in cell:
        return ()
    try:
        tree = ast.parse(cell)
    except (SyntaxError, ValueError):
        return ()
    called = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    decorators = (
        each
        for node in ast.walk(tree)
        for each in getattr(node, "decorator_list", ())
        if isinstance(each, ast.Attribute)
    )
    chains = (_chain(node) for node in (*called, *decorators))
    return tuple(chain for chain in chains if len(chain) > 1 and _REGISTERS.fullmatch(chain[-1]))


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


def _owner(value: object, names: Iterable[str], *, of_functions: bool = False) -> str:
    """``module`` or ``module:Class`` that these names lead to, or "" where they lead elsewhere.

    Args:
        value: of the first name.
        names: attributes of it, one after the other.
        of_functions: they may lead to a function, too.
    """
    for name in names:
        if not isinstance(value, (ModuleType, type)):
            return ""
        value = vars(value).get(name)
    if isinstance(value, ModuleType):
        return value.__name__
    kinds = (type, FunctionType) if of_functions else type
    return f"{value.__module__}:{value.__qualname__}" if isinstance(value, kinds) else ""


def _of_the_notebook(modules: Iterable[str], words: Collection[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(set(modules)):
        module = sys.modules.get(name)
        for word in sorted(vars(module).keys() & words) if isinstance(module, ModuleType) else ():
            if of_notebook(vars(module)[word]):
                yield f"{name}.{word}", ""
