"""Runs the user's cell: compiled once per job, in the process's real ``__main__``, for one task after the other.

Each task starts as if it were the only one: captured values fresh, generators seeded, surroundings put back. What user
code raises, whatever it is, is that task's outcome and never ends the process.
"""

from __future__ import annotations

import builtins
import os
import resource
import sys
import types
from contextvars import copy_context
from time import monotonic, process_time
from typing import Any

from burst_magic.payload import pack_value, unpack, unpack_value
from burst_magic.protocol import records
from burst_magic.protocol.model import Outcome, OutcomeKind
from burst_magic.worker import seeds
from burst_magic.worker.descent import Threads, leave_fork
from burst_magic.worker.failures import name_of, short_repr, text_of, traceback_of, type_name
from burst_magic.worker.memory import Footprint
from burst_magic.worker.output import Capture
from burst_magic.worker.program import Program
from burst_magic.worker.settings import NotebookSettings, variables
from burst_magic.worker.surroundings import Surroundings
from burst_magic.worker.threads import LoadedLibraries, settled

PEAK_EVERY = 64  # tasks too short to be worth a look at the memory


class Stage:
    """The process as tasks see it. One program is on at a time."""

    def __init__(self, capture: Capture, *, limit_mb: float = 0.0) -> None:
        main = types.ModuleType("__main__")
        self.home: dict[str, Any] = vars(main)
        self.home["__builtins__"] = builtins
        self._empty = dict(self.home)
        self._pid = os.getpid()
        sys.modules["__main__"] = main
        self._capture = capture
        self._chance = seeds.Chance()
        self._surroundings = Surroundings(check_output=capture.check)
        self._program: Program | None = None
        self._threads = Threads()
        self._libraries = LoadedLibraries()
        self._settings = NotebookSettings(self._surroundings)
        self._footprint = Footprint()
        self._files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._limit_mb = limit_mb
        self._peak = 0.0
        self._looked = 0
        self.spoiled = False  # tasks left something behind that only a new process is rid of
        self.ended = 0.0  # time.monotonic() at the end of the last task

    @property
    def peak_mb(self) -> float:
        """The most that the process has occupied, as last looked at."""
        return self._peak

    def enter(self, program: Program) -> None:
        """Puts a job on: its environment, its folder and its local modules."""
        if program is self._program:
            return
        if self._program is not None:
            self._program.loaded = None
        self._program = program
        self._footprint.start()
        self.home.clear()
        job, folder = program.job, program.envelope.folder
        setenv, unset = variables(program.envelope.settings)
        setenv = (*setenv, *settled(job.setenv))
        self._surroundings.enter(setenv=setenv, unset=unset, folder=folder, bundle=job.bundle)
        self._settings.enter(program.envelope.settings)
        self._libraries.follow(job.setenv)
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
                self._settings.prepare()
                context = copy_context()
                context.run(self._prepare, program, task, again=attempt > 1)
                result = context.run(self._run, program, entry)
            except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt too are this task's failure
                leave_fork(self._pid, error, program.envelope.filename)
                failure = self._failure(task, error, entry, program)
            else:
                leave_fork(self._pid, None, program.envelope.filename)
                try:
                    value = pack_value(result, home=self.home)
                except BaseException as error:  # noqa: BLE001 - a __reduce__ is user code
                    failure = _unpicklable(task, result, error)
                del result
            self._tidy()
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
            outcome = Outcome(**failure, wall=wall, cpu=cpu, peak_mb=self._look(wall), attempts=attempt, output=printed)
            return outcome.failed, records.pack_outcome(outcome)

    def _prepare(self, program: Program, task: int, *, again: bool) -> None:
        """As if this task were the first."""
        self._settings.renew()
        self._chance.seed(program.job.seed, task)
        home = self.home
        home.update(self._empty)
        if program.envelope.names:
            self._load(program, again=again)
            self._settings.renew()
        if program.generators is None:
            program.generators = seeds.generators(home)
        if program.generators:
            self._chance.seed_captured((name, home[name]) for name in program.generators)

    def _tidy(self) -> None:
        """What the task made goes, on its own time and into its own output; what it changed is put back."""
        try:
            for _ in range(len(self.home)):
                self.home.popitem()  # the last first: a __del__ finds the modules that the cell imported before
            self.home.clear()
            if self._surroundings.restore() and not self._threads.left():
                return
        except BaseException:  # noqa: BLE001, S110 - of a signal handler or a timer that the task set
            pass
        self.spoiled = True

    def _load(self, program: Program, *, again: bool) -> None:
        if program.loaded is not None and not again:
            self.home.update(program.loaded)
            return
        found = unpack(program.envelope.stream, program.maps(), home=self.home)
        if not program.job.fresh:
            program.loaded = found

    def _run(self, program: Program, entry: memoryview | None) -> object:
        if entry is not None:
            program.cell.bind(unpack_value(entry, home=self.home), self.home)
        return program.cell.run(self.home)

    def _look(self, wall: float) -> float:
        """Peak memory in MiB; for very short tasks now and then only."""
        self._looked += 1
        if wall > 0.0005 or self._looked % PEAK_EVERY == 1:
            self._peak = self._footprint.peak_mb()
            self.spoiled = self.spoiled or self._footprint.leaked(self._limit_mb) or self._short_of_files()
        return self._peak

    def _short_of_files(self) -> bool:
        """Whether tasks left so many files open that the next ones would suffer."""
        try:
            free = os.dup(0)
            os.close(free)
        except OSError:
            return True
        return free > self._files // 2

    def _failure(self, task: int, error: BaseException, entry: memoryview | None, program: Program) -> dict[str, Any]:
        return {
            "task": task,
            "kind": OutcomeKind.ERROR,
            "error": name_of(error),
            "message": text_of(error),
            "traceback": traceback_of(error, program.envelope.filename),
            "item": "" if entry is None else self._item_text(entry),
            "value": self._packed_exception(error),
        }

    def _item_text(self, entry: memoryview) -> str:
        """The item as it was before the task touched it."""
        try:
            return short_repr(unpack_value(entry, home=self.home))
        except BaseException:  # noqa: BLE001 - loading it may be what failed
            return ""

    def _packed_exception(self, error: BaseException) -> bytes:
        """The exception, if it can be had back: those with an ``__init__`` of their own often cannot."""
        try:
            data = pack_value(error, home=self.home)
            back = unpack_value(data, home=self.home)
        except BaseException:  # noqa: BLE001 - its type, text and traceback travel in any case
            return b""
        return data if type(back).__name__ == type(error).__name__ else b""


def _unpicklable(task: int, value: object, error: BaseException) -> dict[str, Any]:
    reason = text_of(error) or name_of(error)
    return {
        "task": task,
        "kind": OutcomeKind.UNPICKLABLE,
        "error": name_of(error),
        "message": f"the result, a {type_name(type(value))}, cannot be sent back: {reason}",
    }
