"""Detect local modules that differ from their files in this kernel: workers get the files.

This compares values whose expression can be evaluated (`capture.literal`), functions and methods, class attributes, and
names that exist only here or only in the file. It ignores anything that the modules may have changed themselves:
containers that code of a local module changes, or passes on during its import; attributes that local modules set in
each other; results of their own calls, decorators, metaclasses and ``__init_subclass__``; and a ``None`` that became an
object or is set by a function of the module (lazy loading).
"""

from __future__ import annotations

import abc
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType

from burst_magic.capture.literal import Instance, same
from burst_magic.capture.stated import ClassText, FileText, is_plain, read
from burst_magic.dataclass import dataclass

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
COMPARED = (*_PLAIN, list, dict, set, tuple, frozenset, bytearray, range)
_METACLASSES = (type, abc.ABCMeta)
_MISSING = object()


def about_modules(roots: Iterable[Path]) -> list[str]:
    """One warning per loaded module that differs from its file.

    Args:
        roots: files and folders of the local sources to send.
    """
    tops = {root.stem for root in roots}
    return [f"{module.__name__}: {told}" for module, text, own in _compared(tops) for told in _about(module, text, own)]


def settled(tops: Collection[str]) -> frozenset[str]:
    """Dotted names of these packages' modules that `about_modules` tells, or that are surely as in the file."""
    found: set[str] = set()
    for module, text, own in _compared(tops):
        if text is not None:
            alike = (name for name, there in text.values.items() if same(vars(module).get(name, _MISSING), there))
            found.update(f"{module.__name__}.{name}" for name in (*alike, *_changed(module, text, own)))
    return frozenset(found)


def _compared(tops: Collection[str]) -> Iterator[tuple[ModuleType, FileText | None, _Own]]:
    """The loaded modules of these packages, with their files."""
    if not tops:
        return
    modules = [sys.modules[name] for name in sorted(sys.modules) if name.partition(".")[0] in tops]
    with_file = (module for module in modules if str(getattr(module, "__file__", None)).endswith(".py"))
    texts = [(module, text_of(module)) for module in with_file]
    known = [text for _, text in texts if text is not None]
    own = _Own(
        stored=frozenset().union(*(text.stored for text in known)),
        restless=frozenset().union(*(text.restless for text in known)),
    )
    yield from ((module, text, own) for module, text in texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """What local modules do to each other: the attributes they set and the names they change in place."""

    stored: frozenset[str]
    restless: frozenset[str]


def text_of(module: ModuleType) -> FileText | None:
    """The contents of a module's file, or None where it cannot be read or compiled."""
    file = str(module.__file__)
    try:
        return read(Path(file).read_bytes(), file)
    except (OSError, SyntaxError, ValueError):
        return None


def _about(module: ModuleType, text: FileText | None, own: _Own) -> Iterator[str]:
    file = Path(str(module.__file__))
    if text is None:
        yield f"{file.name} cannot be compiled in its current state, which is what workers load"
        return
    if any(function.__code__ not in text.codes for function in _functions(module)):
        yield (
            f"{file.name} has changed since it was imported here: workers load the file as it is now "
            "(use %autoreload or importlib.reload)"
        )
        return
    for names, what in (
        (_changed(module, text, own), "was set here after the import"),
        (_only_here(module, text, own), "exists here only"),
        (sorted(text.sure - vars(module).keys()), "was deleted here"),
    ):
        if told := ", ".join(dict.fromkeys(names)):
            yield f"{told} {what}: workers load {file.name} as it is on disk"


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """The module's own functions and methods, as far as they are accessible."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    for value in own:
        parts = list(vars(value).values()) if isinstance(value, type) else [value]
        for part in parts:
            if isinstance(part, FunctionType) and part.__code__.co_filename == module.__file__:
                yield part


def _changed(module: ModuleType, text: FileText, own: _Own) -> Iterator[str]:
    for name, here in list(vars(module).items()):
        if _is_known(name, text) and of_notebook(here):
            yield name
        elif name in text.values:
            if _is_set(name, here, text.values[name], own) and not (text.values[name] is None and name in text.outside):
                yield name
        elif name in text.functions:
            calm = name not in text.outside and name not in own.stored and text.names is not None
            if calm and not _is_written(here, name, text.functions[name], module):
                yield name
        elif name in text.imported:
            if name not in own.stored and _is_other(here, *text.imported[name], module):
                yield name
        elif name in text.classes:
            yield from _in_class(name, here, text.classes[name], own, module)


def _is_known(name: str, text: FileText) -> bool:
    """Whether the file defines it, not the notebook."""
    return (text.names is None or name in text.names) and text.imported.get(name, ("", ""))[0] != "__main__"


def _is_set(name: str, here: object, there: object, own: _Own) -> bool:
    own_doing = name in own.stored or (name in own.restless and not is_plain(there))
    return not own_doing and _differs(here, there)


def _only_here(module: ModuleType, text: FileText, own: _Own) -> Iterator[str]:
    if text.names is None:
        return
    for name, here in list(vars(module).items()):
        if name in text.classes and isinstance(here, type):
            yield from _more_in_class(name, here, text.classes[name], own)
        submodule = isinstance(here, ModuleType) and f"{module.__name__}.{name}" in sys.modules
        public = name.isidentifier() and not (name.startswith("__") and name.endswith("__"))
        if name not in text.names and public and not submodule and name not in own.stored:
            yield name


def _differs(here: object, there: object) -> bool:
    """Whether this differs from the file; lazily loaded objects don't count."""
    lazy = there is None and not isinstance(here, _PLAIN)
    return not lazy and not same(here, there)


def of_notebook(value: object) -> bool:
    """Whether only the notebook can have put it there."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    elif isinstance(value, property):
        value = value.fget
    return isinstance(value, (FunctionType, type)) and value.__module__ == "__main__"


def _is_written(here: object, name: str, line: int, module: ModuleType) -> bool:
    """Whether this is the function that the file defines in this line."""
    if isinstance(here, (staticmethod, classmethod)):
        here = here.__func__
    elif isinstance(here, property):
        here = here.fget
    if not isinstance(here, FunctionType):
        return False
    code = here.__code__
    return (code.co_name, code.co_firstlineno, code.co_filename) == (name, line, module.__file__)


def _is_other(here: object, source: str, name: str, module: ModuleType) -> bool:
    """Whether a name that the file imports refers to something else here."""
    package = module.__name__ if hasattr(module, "__path__") else module.__name__.rpartition(".")[0]
    level = len(source) - len(source.lstrip("."))
    parts = package.split(".")[: len(package.split(".")) - level + 1] if level else []
    owner = sys.modules.get(".".join([*parts, *filter(None, [source.lstrip(".")])]))
    there = vars(owner).get(name, _MISSING) if owner is not None else _MISSING
    plain = isinstance(here, _PLAIN) and isinstance(there, _PLAIN)
    return plain and not same(here, there) and name not in _set_in(owner)


def _set_in(owner: ModuleType | None) -> set[str]:
    """Attributes set in the module of origin, reported for that module."""
    text = None if owner is None or not str(getattr(owner, "__file__", None)).endswith(".py") else text_of(owner)
    if owner is None or text is None:
        return set()
    return {name for name, there in text.values.items() if _differs(vars(owner).get(name, _MISSING), there)}


# classes


def _in_class(name: str, here: object, said: ClassText, own: _Own, module: ModuleType) -> Iterator[str]:
    if not said.plain or type(here) not in _METACLASSES:
        return
    if not isinstance(here, type) or here.__name__ != name:
        yield name
        return
    attributes = vars(here)
    for method, line in said.methods.items():
        part = attributes.get(method)
        calm = method not in own.stored and not _is_remade(here)
        plain_name = method[method.index("__") :] if method.startswith(f"_{name.lstrip('_')}__") else method
        if of_notebook(part) or (calm and not _is_written(part, plain_name, line, module)):
            yield f"{name}.{method}"
    for key, there in said.values.items():
        value = attributes.get(key, _MISSING)
        told = isinstance(value, COMPARED) or value is _MISSING or isinstance(there, Instance)
        if told and _is_set(key, value, there, own):
            yield f"{name}.{key}"


def _more_in_class(name: str, here: type, said: ClassText, own: _Own) -> Iterator[str]:
    """Attributes that the notebook added to the class: its own definitions, and plain data."""
    if not said.plain or _is_remade(here) or type(here) not in _METACLASSES:
        return
    for key, part in vars(here).items():
        foreign = not key.startswith("_") and key not in said.names and key not in own.stored
        if foreign and (of_notebook(part) or isinstance(part, COMPARED)):
            yield f"{name}.{key}"


def _is_remade(kind: type) -> bool:
    """Whether a base class influences how the class is built."""
    return any("__init_subclass__" in vars(base) for base in kind.__mro__[1:-1])
