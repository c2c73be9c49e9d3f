"""A job in a slot: the user's cell, compiled once, with its dependencies."""

from __future__ import annotations
import __future__

import ast
import importlib.util
import linecache
import mmap
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from burst_magic.errors import RecordError
from burst_magic.payload import Envelope, unpack
from burst_magic.payload.envelope import running_python
from burst_magic.payload.unpack import Namespace
from burst_magic.worker.channel.board import JobCode
from burst_magic.worker.child.failures import name_of, text_of

_FUTURES = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
_COROUTINE = 0x80  # inspect.CO_COROUTINE
_ITEM = "__burst_item__"


class Cell:
    """The compiled source.

    Args:
        envelope: source, file name and the target of ``--map``.
    """

    def __init__(self, envelope: Envelope) -> None:
        name, source = envelope.filename, envelope.source
        for file, text in (*envelope.sources, (name, source)):
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        tree = ast.parse(source, name)
        self.imports = frozenset(_imports(tree))  # modules that it imports, ``__builtins__`` as "builtins"
        last = tree.body[-1] if tree.body else None
        value = tree.body.pop() if envelope.has_value and isinstance(last, ast.Expr) else None
        body = _compiled(tree, name, "exec", 0)
        self._body = body if tree.body else None
        self._value = None
        if isinstance(value, ast.Expr):
            self._value = _compiled(ast.Expression(value.value), name, "eval", body.co_flags & _FUTURES)
        self.codes = [code for code in (self._body, self._value) if code is not None]
        self._awaits = any(code.co_flags & _COROUTINE for code in self.codes)
        self._name = envelope.target if envelope.target.isidentifier() else ""
        self._target = None
        if envelope.target and not self._name:
            self._target = compile(f"{envelope.target} = {_ITEM}", "<map>", "exec", dont_inherit=True)

    def bind(self, item: object, home: dict[str, Any]) -> None:
        """Bind the target of ``--map``."""
        if self._name:
            home[self._name] = item
        elif self._target is not None:
            home[_ITEM] = item
            exec(self._target, home)  # noqa: S102 - the user's names
            del home[_ITEM]

    def run(self, home: dict[str, Any]) -> object:
        """Run the cell; return the value of the last expression."""
        if self._awaits:
            import asyncio

            return asyncio.run(self._run_async(home))
        if self._body is not None:
            exec(self._body, home)  # noqa: S102 - the user's cell
        return None if self._value is None else eval(self._value, home)  # noqa: S307 - the user's cell

    async def _run_async(self, home: dict[str, Any]) -> object:
        value = None
        for code in self.codes:
            value = eval(code, home)  # noqa: S307
            if code.co_flags & _COROUTINE:
                value = await value
        return None if self._value is None else value


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
        elif isinstance(node, ast.Name) and node.id == "__builtins__":
            yield "builtins"


def _compiled(tree: ast.Module | ast.Expression, name: str, mode: str, flags: int) -> types.CodeType:
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: types.CodeType = compile(tree, name, mode, flags=flags, dont_inherit=True)
    return code


class Program:
    """A job in a slot: its cell, its captured values, its dependencies. The constructor never raises; see ``problem``.

    Args:
        job: as the supervisor sent it.
    """

    def __init__(self, job: JobCode) -> None:
        self.job = replace(job, envelope=b"")  # kept in ``envelope``
        self.problem: tuple[str, str] | None = None
        self.files: list[tuple[int, int]] = []
        self.loaded: Namespace | None = None  # captured values that all tasks share
        self.generators: list[tuple[str, Any]] = []  # random generators among the values loaded last
        self.parts: list[object] = []  # parts of these values that items refer to
        self.shared_maps: list[mmap.mmap] = []
        self.anew = False  # captured values are loaded for each task, since a task has changed them
        self.alone = False  # each task needs a process of its own
        self.learnt: tuple[str, ...] | None = None  # modules that its tasks load; None before the first runner
        self.envelope = Envelope(source="", stream=b"")
        try:
            self.envelope = Envelope.from_bytes(job.envelope)
            _check_python(self.envelope)
            self.cell = Cell(self.envelope)
            self.files.extend(blob.open() for blob in job.blobs)
        except Exception as error:  # noqa: BLE001 - becomes the outcome of each task
            self.problem = name_of(error), text_of(error)

    @property
    def code(self) -> JobCode:
        """As the supervisor sent it."""
        return replace(self.job, envelope=self.envelope.to_bytes())

    def forget(self) -> None:
        """Another program is active: drop the loaded values."""
        self.loaded, self.generators, self.parts, self.shared_maps = None, [], [], []

    def load(self, home: dict[str, Any]) -> None:
        """Load the captured values into ``home``: shared by all tasks, or fresh."""
        if self.loaded is not None:
            home.update(self.loaded)
            return
        if not self.envelope.stream:
            return
        maps = self.maps()
        found = unpack(self.envelope.stream, maps, home=home)
        self.generators, self.parts = found.generators, found.parts
        if not self.anew:
            self.loaded, self.shared_maps = found, maps

    def check_modules(self) -> None:
        """Check that the cell's modules exist. Not earlier: local modules are on the path only while the job is
        active."""
        for name, version in self.envelope.modules:
            if not _is_there(name):
                text = f"{name} ({version})" if version else name
                self.problem = "ModuleNotFoundError", f"module {text} is not installed on the worker"
                return

    def maps(self) -> list[mmap.mmap]:
        """The large buffers, each in a private copy-on-write mapping."""
        return [mmap.mmap(file, size, access=mmap.ACCESS_COPY) for file, size in self.files]


def _check_python(envelope: Envelope) -> None:
    here = running_python()
    if envelope.python and envelope.python != here:
        problem = f"the notebook runs Python {envelope.python} and the worker Python {here}"
        raise RecordError(problem, way_out="workers need the notebook's Python version: bytecode is not portable")


def _is_there(module: str) -> bool:
    top = module.partition(".")[0]
    if top in sys.modules:
        return True
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False
