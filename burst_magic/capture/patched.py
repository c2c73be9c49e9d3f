"""Detect what the notebook changed in modules and in the objects that they hold: workers import modules anew.

Attributes show by an assignment such as ``np.mean = mine`` in a cell that was run, or by a function or class of the
notebook in a module that the code uses; registrations by a call such as ``Number.register(Mine)`` in a cell that was
run. Names of local modules are compared with their files instead (`drift`), which say nothing of the attributes of
their objects (``config.current.rate = 2``, ``config.current.configure(rate=2)``), nor of what their own functions leave
in them (``config.setup(2)``); settings of well-known libraries are sent (`settings`).
"""

from __future__ import annotations

import ast
import functools
import inspect
import logging
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import cast

from burst_magic.capture.drift import COMPARED, of_notebook, settled, text_of
from burst_magic.capture.history import cells_run
from burst_magic.capture.reach import Reached, reached
from burst_magic.capture.setters import changed_globals, keeps_arguments
from burst_magic.payload import live
from burst_magic.payload.mentions import CHANGING
from burst_magic.payload.settings import OF_JAX, adds_its_own

_REGISTERS = re.compile(r"(?:.*_)?register(?:_.*)?|add_(?:type|codec)|addLevelName")
_OWN_MATTER = frozenset({"atexit", "faulthandler", "IPython"})  # nothing that a task could find there
# Their attributes are process state: the part that matters to tasks is sent as settings.
_STATE_OF_THE_PROCESS = frozenset({"builtins", "os", "sys", "__main__"})
# Objects that are sent as settings - as a whole, or these attributes - besides those in `live`.
_SENT: Mapping[tuple[str, str], Collection[str] | None] = {
    ("pandas", "options"): None,
    ("logging", "root"): None,
    ("mpmath", "mp"): ("dps", "prec", "pretty"),
    ("jax", "config"): OF_JAX,
}
_LEVELS = frozenset({"level", "setLevel"})
_OF_LOGGERS = frozenset({"addHandler", "removeHandler", "addFilter", "removeFilter"})
_ITEM = "[…]"  # an item in a chain of names: that of ``a.b[0] = 1`` is ("a", "b", "[…]")
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
    held = {name: where for name, where in _set_in_objects(namespace, local, words) if name.partition(".")[0] in used}
    return [*_told(found, "set", local), *_told(called, "called", local), *_told_of_objects(held)]


def _told_of_objects(held: Mapping[str, str]) -> Iterator[str]:
    told = [name + where for name, where in held.items() if name.partition(".")[0] not in _STATE_OF_THE_PROCESS]
    if told:
        done = "called" if all(name.endswith("()") for name in held) else "set"
        yield f"{_listed(told)} {done} in this notebook; workers import the module anew: {_way_out(done, told)}"


def _listed(told: list[str]) -> str:
    more = f" and {len(told) - _FEW} more" if len(told) > _FEW else ""
    return f"{', '.join(told[:_FEW])}{more} {'were' if len(told) > 1 else 'was'}"


def _told(found: Mapping[str, str], done: str, local: Collection[str]) -> Iterator[str]:
    told = [name + where for name, where in found.items() if _is_installed(name.partition(".")[0], local)]
    if told:
        where = f"{_listed(told)} {done} in this notebook; workers use the module as installed"
        yield f"{where}: {_way_out(done, told)}"


def _way_out(done: str, told: list[str]) -> str:
    it = "them" if len(told) > 1 else "it"
    return f"{'call' if done == 'called' else 'set'} {it} in the cell if tasks need {it}"


def _is_installed(top: str, local: Collection[str]) -> bool:
    return top not in local and top not in _STATE_OF_THE_PROCESS


def _assigned(namespace: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(dotted name, the cell that set it), for all cells that were run."""
    for number, cell in cells_run(namespace):
        for chain in _targets(cell):
            owner = _owner(namespace.get(chain[0]), chain[1:-1])
            if owner.partition(":")[0] in sys.modules and chain[-1] != _ITEM:
                yield f"{owner.replace(':', '.')}.{chain[-1]}", f" (cell {number})"


def _registered(namespace: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """(dotted name of the function, the cell that called it) of calls that register something with a module."""
    for number, cell in cells_run(namespace):
        for chain in _calls(cell):
            owner = _owner(namespace.get(chain[0]), chain[1:-1], of_functions=True)
            if owner.partition(":")[0] in sys.modules:
                yield f"{owner.replace(':', '.')}.{chain[-1]}", f" (cell {number})"


def _set_in_objects(
    namespace: Mapping[str, object], local: Collection[str], words: Collection[str]
) -> Iterator[tuple[str, str]]:
    """(dotted name, the cell that set it) of attributes and items of objects that modules hold."""
    held: Mapping[int, str] | None = None
    known = functools.cache(lambda: settled(local))
    met = functools.cache(lambda: reached(namespace, words, local))
    for number, cell in cells_run(namespace):
        for chain in _targets(cell):
            value = namespace.get(chain[0])
            if isinstance(value, ModuleType):
                name = _within(value, chain)
                name = "" if name.endswith(_ITEM) and name.removesuffix(f".{_ITEM}") in known() else name
            else:
                held = _held(local) if held is None else held
                told = id(value) in held and not _is_sent(value, chain[-1])
                name = ".".join([held[id(value)], *chain[1:]]) if told else ""
            if name:
                yield name.replace(f".{_ITEM}", _ITEM), f" (cell {number})"
        for chain in _methods(cell):
            held = _held(local) if held is None else held
            name = _keeper(namespace.get(chain[0]), chain, local, held)
            if name and name.rpartition(".")[0] not in known():
                yield f"{name}()", f" (cell {number})"
        for chain in _called(cell) if local else ():
            function = _function(namespace.get(chain[0]), chain[1:], local, words)
            if function is not None and _is_setter(function, words, known, met):
                yield f"{'.'.join(function[1:])}()", f" (cell {number})"


def _keeper(value: object, chain: tuple[str, ...], local: Collection[str], held: Mapping[int, str]) -> str:
    """The dotted name of a method that a cell calls, or "" unless it changes an object that a local module holds."""
    path = value.__name__ if isinstance(value, ModuleType) else held.get(id(value), "")
    for name in chain[1:-1]:
        value = getattr(value, "__dict__", {}).get(name)
        path = value.__name__ if isinstance(value, ModuleType) else path and f"{path}.{name}"
    if not path or path.partition(".")[0] not in local or isinstance(value, (ModuleType, type)):
        return ""
    if isinstance(value, COMPARED):
        return f"{path}.{chain[-1]}" if chain[-1] in CHANGING else ""
    method = inspect.getattr_static(type(value), chain[-1], None)
    told = isinstance(method, FunctionType) and keeps_arguments(method) and not _is_sent(value, chain[-1])
    return f"{path}.{chain[-1]}" if told else ""


def _function(
    value: object, names: Iterable[str], local: Collection[str], words: Collection[str]
) -> tuple[FunctionType, str, str] | None:
    """A function or class method of a local module, with its module and name; None if tasks call it themselves."""
    name = ""
    for name in names:
        part = inspect.getattr_static(value, name, None) if isinstance(value, (ModuleType, type)) else None
        value = part.__func__ if isinstance(part, classmethod) else part
    if not isinstance(value, FunctionType) or (name or value.__name__) in words:
        return None
    module = value.__module__ or ""
    return (value, module, value.__qualname__) if module.partition(".")[0] in local else None


def _is_setter(
    found: tuple[FunctionType, str, str],
    words: Collection[str],
    known: Callable[[], Collection[str]],
    met: Callable[[], Reached],
) -> bool:
    """Whether it changes what the cell, or code that the cell may call, reads; as far as that is not told otherwise."""
    function, module, name = found
    owner, _, method = name.rpartition(".")
    if method != name:
        return keeps_arguments(function) and not met().names.isdisjoint(owner.split("."))
    changed = [word for word in changed_globals(function) if f"{module}.{word}" not in known()]
    codes = [code for code in met().codes if code.co_name != name] if changed else []
    return any(word in words or any(word in code.co_names for code in codes) for word in changed)


def _within(module: ModuleType, chain: tuple[str, ...]) -> str:
    """The dotted name that a chain of names sets, or "" unless it leads through an object of the module."""
    path, value = module.__name__, cast("object", module)
    for name in chain[1:-1]:
        holder = isinstance(value, (ModuleType, type))
        value = vars(value).get(name) if holder else value
        path = value.__name__ if isinstance(value, ModuleType) else f"{path}.{name}"
    told = value is not None and not isinstance(value, (ModuleType, type))
    return f"{path}.{chain[-1]}" if told and not _is_sent(value, chain[-1]) else ""


def _is_sent(value: object, name: str) -> bool:
    """Whether what is set by this attribute, item or method is among the settings, wherever the object is held."""
    for (module, held), names in _SENT.items():
        if value is not None and getattr(sys.modules.get(module), "__dict__", {}).get(held) is value:
            return names is None or name in names
    if not isinstance(value, logging.Logger):
        return live.own(value) is not None
    return name in _LEVELS or (name in _OF_LOGGERS and not adds_its_own(value.name))


def _held(local: Collection[str]) -> dict[int, str]:
    """Objects of local modules, by id, to which functions of these refer; the notebook may hold them, too."""
    loaded = [(name, sys.modules[name]) for name in sorted(sys.modules) if name.partition(".")[0] in local]
    own = [(name, module) for name, module in loaded if str(getattr(module, "__file__", None)).endswith(".py")]
    texts = [text for _, module in own if (text := text_of(module)) is not None]
    read = {name for text in texts for code in text.codes for name in code.co_names}
    return {
        id(value): f"{name}.{key}"
        for name, module in own
        for key, value in vars(module).items()
        if key in read and not isinstance(value, (ModuleType, FunctionType, type, *COMPARED))
    }


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
    """Attributes and items that this text assigns to, as chains of names: ``a.b.c = 1`` gives ("a", "b", "c")."""
    if "setattr" not in cell and ("=" not in cell or ("." not in cell and "[" not in cell)):
        return ()
    try:
        tree = ast.parse(cell)
    except (SyntaxError, ValueError):
        return ()
    places = (node for node in ast.walk(tree) if isinstance(node, (ast.Attribute, ast.Subscript)))
    stored = [node for node in places if isinstance(node.ctx, ast.Store)]
    chains = (_chain(node) for node in (*stored, *_set_by_call(tree)))
    return tuple(chain for chain in chains if chain)


def _set_by_call(tree: ast.AST) -> Iterator[ast.expr]:
    """``a.b`` of ``setattr(a, "b", 1)``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setattr" and len(node.args) > 1:
            owner, name, *_ = node.args
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield ast.Attribute(value=owner, attr=name.value)


@functools.lru_cache(maxsize=4096)
def _methods(cell: str) -> tuple[tuple[str, ...], ...]:
    """Methods with arguments that this text calls: ``a.b.put(1)`` gives ("a", "b", "put")."""
    if "." not in cell or "(" not in cell:
        return ()
    try:
        tree = ast.parse(cell)
    except (SyntaxError, ValueError):
        return ()
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and (node.args or node.keywords))
    chains = (_chain(node.func) for node in calls if isinstance(node.func, ast.Attribute))
    return tuple(chain for chain in chains if chain and _ITEM not in chain)


@functools.lru_cache(maxsize=4096)
def _called(cell: str) -> tuple[tuple[str, ...], ...]:
    """Functions that this text calls, or uses as decorators: ``@a.put`` gives ("a", "put"), ``put(1)`` ("put",)."""
    if "(" not in cell and "@" not in cell:
        return ()
    try:
        tree = ast.parse(cell)
    except (SyntaxError, ValueError):
        return ()
    nodes = list(ast.walk(tree))
    marks = (mark for node in nodes for mark in getattr(node, "decorator_list", ()))
    chains = (_chain(node) for node in (*marks, *(node.func for node in nodes if isinstance(node, ast.Call))))
    return tuple(dict.fromkeys(chain for chain in chains if chain and _ITEM not in chain))


def _chain(node: ast.expr) -> tuple[str, ...]:
    names: list[str] = []
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        names.append(node.attr if isinstance(node, ast.Attribute) else _ITEM)
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
