"""Runs the user's cell: compiled once per job, in the process's real ``__main__``, for one task after the other.

Each task starts as if it were the only one: captured values fresh, generators seeded, surroundings put back. What user
code raises, whatever it is, is that task's outcome and never ends the process.
"""

from __future__ import annotations

import __future__  # isort: skip
import ast
import builtins
import contextlib
import importlib.util
import linecache
import mmap
import os
import resource
import sys
import traceback
import types
from collections.abc import Coroutine
from time import monotonic, process_time
from typing import Any

from burst_magic.errors import CaptureError
from burst_magic.payload import Envelope, pack_value, unpack, unpack_value
from burst_magic.protocol import records
from burst_magic.protocol.model import Outcome, OutcomeKind
from burst_magic.worker import seeds
from burst_magic.worker.board import JobCode
from burst_magic.worker.output import Capture
from burst_magic.worker.surroundings import Surroundings

MESSAGE_CHARS = 10_000
TRACEBACK_CHARS = 40_000
ITEM_CHARS = 200
PEAK_EVERY = 64  # tasks too short to be worth a look at the memory

_OURS = tuple(os.path.join(os.path.dirname(os.path.dirname(__file__)), part) + os.sep for part in ("worker", "payload"))
_FUTURES = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
_COROUTINE = 0x80  # inspect.CO_COROUTINE; inspect is slow to import
_ITEM = "__burst_item__"
_MAXRSS_MB = 1 / (1 << 20) if sys.platform == "darwin" else 1 / 1024


def warm_up() -> None:
    """Does once, in the template, what the first task of every slot would do."""
    Program(JobCode(jid="", envelope=Envelope(source="0", has_value=True, stream=b"").to_bytes()))


class Unfit(Exception):  # noqa: N818 - not a user's error: this worker cannot run this job
    """Why no task of a job can run here: (type name, message)."""


class Cell:
    """The compiled source.

    Args:
        envelope: source, file name and what ``--map`` binds.
    """

    def __init__(self, envelope: Envelope) -> None:
        name, source = envelope.filename, envelope.source
        for file, text in (*envelope.sources, (name, source)):
            linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        tree = ast.parse(source, name)
        last = tree.body[-1] if tree.body else None
        value = tree.body.pop() if envelope.has_value and isinstance(last, ast.Expr) else None
        body = _compiled(tree, name, "exec", 0)
        self._body = body if tree.body else None
        self._value = None
        if isinstance(value, ast.Expr):
            self._value = _compiled(ast.Expression(value.value), name, "eval", body.co_flags & _FUTURES)
        self._awaits = any(code is not None and code.co_flags & _COROUTINE for code in (self._body, self._value))
        self._name = envelope.target if envelope.target.isidentifier() else ""
        self._target = None
        if envelope.target and not self._name:
            self._target = compile(f"{envelope.target} = {_ITEM}", "<map>", "exec", dont_inherit=True)

    def bind(self, item: object, home: dict[str, Any]) -> None:
        """What ``--map`` names gets its value."""
        if self._name:
            home[self._name] = item
        elif self._target is not None:
            home[_ITEM] = item
            exec(self._target, home)
            del home[_ITEM]

    def run(self, home: dict[str, Any]) -> object:
        """The value of the last expression."""
        if self._awaits:
            import asyncio

            return asyncio.run(self._run_async(home))
        if self._body is not None:
            exec(self._body, home)
        return None if self._value is None else eval(self._value, home)  # noqa: S307 - the user's cell

    async def _run_async(self, home: dict[str, Any]) -> object:
        value = None
        for code in (self._body, self._value):
            if code is not None:
                value = eval(code, home)  # noqa: S307
                if code.co_flags & _COROUTINE:
                    value = await value
        return None if self._value is None else value


def _compiled(tree: ast.Module | ast.Expression, name: str, mode: str, flags: int) -> types.CodeType:
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: types.CodeType = compile(tree, name, mode, flags=flags, dont_inherit=True)
    return code


class Program:
    """A job in a slot: its cell, its captured values, what it needs. Never fails to be made: ``problem`` says why not.

    Args:
        job: as the supervisor sent it.
    """

    def __init__(self, job: JobCode) -> None:
        self.job = job
        self.problem: tuple[str, str] | None = None
        self.files: list[tuple[int, int]] = []
        self.generators: tuple[str, ...] | None = None
        self.loaded: dict[str, Any] | None = None
        self.envelope = Envelope(source="", stream=b"")
        try:
            self.envelope = Envelope.from_bytes(job.envelope)
            _check_python(self.envelope)
            self.cell = Cell(self.envelope)
            for path in job.blobs:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                self.files.append((file, os.fstat(file).st_size))
        except Exception as error:  # noqa: BLE001 - becomes the outcome of each of its tasks
            self.problem = _name_of(error), str(error)

    def check_modules(self) -> None:
        """Looks for the modules that the cell needs. Only now: the local ones are on the path while the job is on."""
        for name, version in self.envelope.modules:
            if not _is_there(name):
                text = f"{name} ({version})" if version else name
                self.problem = "ModuleNotFoundError", f"module {text} is not on the worker"
                return

    def maps(self) -> list[mmap.mmap]:
        """The big buffers, each over a private copy-on-write mapping."""
        return [mmap.mmap(file, size, access=mmap.ACCESS_COPY) for file, size in self.files]


def _check_python(envelope: Envelope) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if envelope.python and envelope.python != here:
        problem = f"the notebook runs Python {envelope.python} and the worker Python {here}"
        raise CaptureError(problem, way_out="workers need the notebook's Python: compiled code does not travel")


def _is_there(module: str) -> bool:
    top = module.partition(".")[0]
    if top in sys.modules:
        return True
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


class Stage:
    """The process as tasks see it. One program is on at a time."""

    def __init__(self, capture: Capture) -> None:
        main = types.ModuleType("__main__")
        self.home: dict[str, Any] = vars(main)
        self.home["__builtins__"] = builtins
        self._empty = dict(self.home)
        sys.modules["__main__"] = main
        self._capture = capture
        self._chance = seeds.Chance()
        self._surroundings = Surroundings()
        self._program: Program | None = None
        self._peak = 0.0
        self._looked = 0
        self.ended = 0.0  # time.monotonic() at the end of the last task

    @property
    def peak_mb(self) -> float:
        """The most that the process has occupied, as last looked at."""
        return self._peak

    def enter(self, program: Program) -> None:
        """Puts a job on: its environment and its local modules."""
        if program is self._program:
            return
        if self._program is not None:
            self._program.loaded = None
        self._program = program
        self.home.clear()
        self._surroundings.enter(setenv=program.job.setenv, bundle=program.job.bundle)
        if program.problem is None:
            program.check_modules()

    def perform(self, task: int, entry: memoryview | None) -> tuple[bool, bytes]:
        """Runs one task of the program that is on: (failed, packed outcome). Raises nothing of the user's."""
        program = self._program
        assert program is not None, "no program is on"  # noqa: S101 - the child enters one first
        if program.problem is not None:
            error, message = program.problem
            return True, records.pack_outcome(Outcome(task=task, kind=OutcomeKind.ERROR, error=error, message=message))
        attempt = 0
        while True:
            attempt += 1
            began, cpu = monotonic(), process_time()
            value, failure = b"", None
            try:
                self._prepare(program, task, again=attempt > 1)
                result = self._run(program, entry)
            except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt too are this task's failure
                failure = self._failure(task, error, entry, program)
            else:
                try:
                    value = pack_value(result, home=self.home)
                except BaseException as error:  # noqa: BLE001 - a __reduce__ is user code
                    failure = _unpicklable(task, result, error)
                del result
            cpu = process_time() - cpu
            self.ended = monotonic()
            wall = self.ended - began
            printed = self._capture.collect()
            if failure is None:
                if not printed:
                    return False, records.pack_value(
                        task, value, wall=wall, cpu=cpu, peak_mb=self._look(wall), attempts=attempt
                    )
                failure = {"task": task, "kind": OutcomeKind.VALUE, "value": value}
            elif failure["kind"] is OutcomeKind.ERROR and attempt <= program.job.retries:
                continue
            outcome = Outcome(
                **failure, wall=wall, cpu=cpu, peak_mb=self._look(wall), attempts=attempt, output=printed
            )
            return outcome.failed, records.pack_outcome(outcome)

    def _prepare(self, program: Program, task: int, *, again: bool) -> None:
        """As if this task were the first."""
        self._surroundings.restore()
        self._chance.seed(program.job.seed, task)
        home = self.home
        home.clear()
        home.update(self._empty)
        if program.envelope.names:
            self._load(program, again=again)
        if program.generators is None:
            program.generators = seeds.generators(home)
        if program.generators:
            self._chance.seed_captured((name, home[name]) for name in program.generators)

    def _load(self, program: Program, *, again: bool) -> None:
        if program.loaded is not None and not again:
            self.home.update(program.loaded)
            return
        found = unpack(program.envelope.stream, program.maps(), home=self.home)
        if not program.job.fresh:
            program.loaded = found

    def _run(self, program: Program, entry: memoryview | None) -> object:
        if entry is not None:
            program.cell.bind(unpack_value(entry, home=self.home), self.home)  # type: ignore[arg-type] # any buffer
        return program.cell.run(self.home)

    def _look(self, wall: float) -> float:
        """Peak memory in MiB; for very short tasks now and then only."""
        self._looked += 1
        if wall > 0.0005 or self._looked % PEAK_EVERY == 1:
            self._peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_MB
        return self._peak

    def _failure(
        self, task: int, error: BaseException, entry: memoryview | None, program: Program
    ) -> dict[str, Any]:
        return {
            "task": task,
            "kind": OutcomeKind.ERROR,
            "error": _name_of(error),
            "message": _text_of(error),
            "traceback": _traceback_of(error, program.envelope.filename),
            "item": "" if entry is None else self._item_text(entry),
            "value": self._packed_exception(error),
        }

    def _item_text(self, entry: memoryview) -> str:
        """The item as it was before the task touched it."""
        import reprlib

        short = reprlib.Repr()
        short.maxstring = short.maxother = short.maxlong = ITEM_CHARS
        short.maxlist = short.maxtuple = short.maxdict = short.maxset = 20
        try:
            return short.repr(unpack_value(entry, home=self.home))[:ITEM_CHARS]  # type: ignore[arg-type]
        except BaseException:  # noqa: BLE001 - a __repr__ is user code
            return "(its repr failed)"

    def _packed_exception(self, error: BaseException) -> bytes:
        """The exception, if it can be had back: those with an ``__init__`` of their own often cannot."""
        try:
            data = pack_value(error, home=self.home)
            back = unpack_value(data, home=self.home)
        except BaseException:  # noqa: BLE001 - its type, text and traceback travel in any case
            return b""
        return data if type(back).__name__ == type(error).__name__ else b""


def _unpicklable(task: int, value: object, error: BaseException) -> dict[str, Any]:
    reason = _text_of(error) or _name_of(error)
    return {
        "task": task,
        "kind": OutcomeKind.UNPICKLABLE,
        "error": _name_of(error),
        "message": f"the result, a {_type_name(type(value))}, cannot be sent back: {reason}",
    }


def _type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ in {"builtins", "__main__"} else f"{kind.__module__}.{kind.__qualname__}"


def _name_of(error: BaseException) -> str:
    return _type_name(type(error))


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:MESSAGE_CHARS]
    except BaseException:  # noqa: BLE001 - a __str__ is user code
        return "(its text failed)"


def _traceback_of(error: BaseException, filename: str) -> str:
    """The traceback from the cell on, with none of our frames."""
    text = ""
    with contextlib.suppress(BaseException):  # a __str__ or a __repr__ is user code
        text = "".join(traceback.format_exception(type(error), error, _trimmed(error.__traceback__, filename)))
    if len(text) > TRACEBACK_CHARS:
        half = TRACEBACK_CHARS // 2
        text = f"{text[:half]}\n  …\n{text[-half:]}"
    return text


def _trimmed(trace: types.TracebackType | None, filename: str) -> types.TracebackType | None:
    frames = []
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    files = [frame.tb_frame.f_code.co_filename for frame in frames]
    first = files.index(filename) if filename in files else 0
    kept = None
    for frame, file in zip(reversed(frames[first:]), reversed(files[first:]), strict=True):
        if not file.startswith(_OURS):
            kept = types.TracebackType(kept, frame.tb_frame, frame.tb_lasti, frame.tb_lineno)
    return kept
