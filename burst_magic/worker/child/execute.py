"""Run the user's cell: compiled once per job, in the process's real ``__main__``, task after task.

Each task starts as if it were the only one: fresh captured values, seeded generators, restored surroundings. Whatever
user code raises becomes that task's outcome and never ends the process.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import os
import resource
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from time import monotonic, process_time, time
from typing import Any

from burst_magic.payload import pack_error, pack_value, unpack_value
from burst_magic.payload.display import SHOWN
from burst_magic.payload.notes import Changed, Mode
from burst_magic.payload.pack import ATOMS, culprit_of, pack_atom
from burst_magic.payload.walk import functions_of
from burst_magic.protocol.wire import records
from burst_magic.protocol.wire.model import Outcome, OutcomeKind
from burst_magic.worker.channel.board import FAILED, NUDGE, TOLD, VALUE, Word
from burst_magic.worker.child import seeds
from burst_magic.worker.child.displays import follow_displays
from burst_magic.worker.child.failures import name_of, short_repr, text_of, traceback_of, type_name
from burst_magic.worker.child.isolation.attached import spare_attached
from burst_magic.worker.child.isolation.changes import ChangeDetector
from burst_magic.worker.child.isolation.descent import Threads, leave_fork, may_be_forked
from burst_magic.worker.child.isolation.held import HeldObjects, learn_local
from burst_magic.worker.child.isolation.import_hook import ImportHook
from burst_magic.worker.child.isolation.libraries import Libraries
from burst_magic.worker.child.isolation.prepared import PreparedModules
from burst_magic.worker.child.isolation.settings import NotebookSettings, variables
from burst_magic.worker.child.isolation.surroundings import Surroundings
from burst_magic.worker.child.output import OutputCapture
from burst_magic.worker.child.patience import impatient
from burst_magic.worker.child.program import Program
from burst_magic.worker.child.threads import LoadedLibraries, settled
from burst_magic.worker.slots.memory import Footprint, resident_mb

_close = os.close  # before `Surroundings` wraps it
PEAK_EVERY = 64  # very short tasks between two looks at the memory
_BRIEF = 0.0005  # seconds; a shorter task counts as all CPU time, since measuring may take longer than the task


class Stage:
    """The process, as seen by tasks. One program is active at a time.

    It is set up in the slot's own process; each runner has a copy.
    """

    def __init__(self, capture: OutputCapture, reals: memoryview[float], *, start_again: Callable[[], None]) -> None:
        main = types.ModuleType("__main__")
        self.home: dict[str, Any] = vars(main)
        self.home["__builtins__"] = builtins
        self._empty = dict(self.home)
        self._forked = False  # this process is a task's own fork
        os.register_at_fork(after_in_child=self._note_fork)
        sys.modules["__main__"] = main
        self._capture = capture
        self._import_hook = ImportHook()
        self.imports = self._import_hook.record  # installed modules that tasks imported
        self._seeder = seeds.Seeder(self._import_hook)
        self._surroundings = Surroundings(check_output=capture.check)
        self._libraries = Libraries(self._import_hook, self._spoil)
        self._program: Program | None = None
        self._detector: ChangeDetector | None = None
        self._held: HeldObjects | None = None  # objects of modules that the program's code changes
        self._import_hook.of_any(self._look_at)
        self._threads = Threads()
        self._numeric = LoadedLibraries()
        self._settings = NotebookSettings(self._surroundings, self._import_hook)
        self._import_hook.of("multiprocessing.shared_memory", spare_attached)
        follow_displays(self._import_hook)
        self._footprint = Footprint()
        self._files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._reals = reals  # of the board
        self._limit_mb = reals[Word.LIMIT]
        self._start_again = start_again
        self._peak = 0.0
        self._looked = 0
        self._cpu = self._cpu_at = 0.0  # time.process_time(), and time.monotonic() of that reading; 0: read again
        self._clock = 0.0  # time.time() minus time.monotonic(), read at the same moment
        self.spoiled = False  # tasks left something behind that only a new process removes
        self.ended = 0.0  # time.monotonic() at the end of the last task

    # --- in the slot's own process ------------------------------------------------------------------------

    def enter(self, program: Program) -> None:
        """Activate a job: its environment, folder and local modules."""
        if program is self._program:
            return
        if self._program is not None:
            self._program.forget()
        self._program, self._detector, self._held = program, None, None
        self._empty_home()
        job, folder = program.job, program.envelope.folder
        setenv, unset = variables(program.envelope.settings)
        setenv = (*setenv, *settled(job.setenv))
        self._surroundings.enter(setenv=setenv, unset=unset, folder=folder, bundle=job.bundle)
        with self._import_hook.aside():
            self._settings.enter(program.envelope.settings)
        self._numeric.follow(self._surroundings.variables, job.setenv)
        self._seeder.enter(job.bundle)
        self.imports.enter(job.bundle, (name for name, _ in program.envelope.modules))
        if program.problem is None:
            program.check_modules()

    def load(self, program: Program) -> None:
        """Load here what a runner had to load, so that the next runners inherit it unchanged."""
        modules, program.learnt = program.learnt or (), ()
        if not modules and (program.anew or program.loaded is not None):
            return
        self._seeder.seed_loading(program.job.seed)
        with contextlib.suppress(BaseException):  # a failure repeats in each task, which reports it
            copy_context().run(self._load, program, modules)
        self._empty_home()
        with contextlib.suppress(BaseException):
            self._surroundings.restore()
        self._capture.collect()  # the runner has reported this output

    def _load(self, program: Program, modules: tuple[str, ...]) -> None:
        for name in modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        learn_local(program.job.bundle)
        if program.problem is None and not program.anew:
            program.load(self.home)

    def prepare(self, program: Program, modules: Sequence[str], go_on: Callable[[int], bool]) -> bool:
        """Import modules in advance. False if a task might notice one: then this process must not run any.

        Args:
            program: a job without a cell, with the environment, folder and settings of the job that is to find them.
            modules: their names, each after those that it needs.
            go_on: called after each with the number so far; whether to import the next, too.
        """
        self.enter(program)
        hook, context = self._import_hook, copy_context()
        prepared = hook.prepared = PreparedModules(
            self._surroundings,
            self.imports,
            spoiled=lambda: self.spoiled,
            arrived=self._show_module,
            refuse=self._refuse,
        )
        before, self._seeder.watched = dict(context), True

        def unnoticed() -> bool:
            return (
                not self._seeder.drawn_by_import
                and not self._capture.collect()
                and all(value is before.get(key) or _is_default(value) for key, value in context.items())
                and may_be_forked()
                and not 0 < self._limit_mb < resident_mb()
            )

        def load() -> bool:
            self._apply_settings()
            for count, right in enumerate(prepared.load(modules, unnoticed), 1):
                if not right:
                    return False
                if not go_on(count):
                    break
            return True

        right = False
        with contextlib.suppress(BaseException):
            right = context.run(load)
        self._seeder.watched = False
        return right

    def _apply_settings(self) -> None:
        with self._import_hook.aside():
            self._settings.prepare()
        self._surroundings.accept()

    def _show_module(self, module: types.ModuleType) -> None:
        """Treat a module imported in advance as loaded now."""
        self._settings.arrived(module)
        self._look_at(module)

    def _refuse(self) -> None:
        if not self._forked:  # a task's own fork cannot start again
            self._start_again()

    # --- in a runner ----------------------------------------------------------------------------------------

    def become_runner(self, nudged: Callable[..., None]) -> None:
        """Turn this fork into the process that runs tasks; the supervisor may request outcomes on hold."""
        self._forked, self._cpu_at, self.spoiled = False, 0.0, False
        self.imports.forget()
        self._surroundings.listen(NUDGE, nudged)
        self._footprint.start()

    def detector(self, program: Program) -> ChangeDetector | None:
        """Record the values and modules of a program before its tasks run; None if there is nothing to watch."""
        if program.problem is not None:
            return None
        self._seeder.seed_loading(program.job.seed)
        home, job, self._detector, loaded = self.home, program.job, None, False
        try:
            copy_context().run(program.load, home)
            loaded = True
            found = ChangeDetector(
                Changed(home, home),
                {name: home[name] for name in program.envelope.names},
                shared=not program.anew,
                maps=program.shared_maps,
                bundle=job.bundle,
                imports=program.cell.imports,
            )
            held = HeldObjects(_codes(program, home), home, job.bundle)
            self._held = held if held.any else None
        except BaseException:  # noqa: BLE001 - a failure to load repeats in each task, which reports it
            program.alone = program.alone or loaded  # the values cannot be compared
            return None
        finally:
            self._empty_home()
            self._cpu_at = 0.0
            if program.anew:
                self._capture.collect()  # each task reports it
                SHOWN.take()
        self._detector = None if found.empty else found
        return self._detector

    def pause(self) -> None:
        """Exclude the current activity from task time."""
        self._cpu_at = 0.0

    def perform(self, task: int, entry: bytes | memoryview | None) -> tuple[int, bytes]:
        """Run one task of the active program: (kind of outcome, packed outcome). Never raises user exceptions."""
        program = self._program
        assert program is not None, "no program is on"  # noqa: S101 - the child enters one first
        if program.problem is not None:
            self.ended = monotonic()
            error, message = program.problem
            outcome = Outcome(task=task, kind=OutcomeKind.ERROR, error=error, message=message)
            return FAILED, records.pack_outcome(outcome)
        attempt = 0
        while True:
            attempt += 1
            began = monotonic()
            if began - self._cpu_at > _BRIEF:
                self._cpu, self._cpu_at, self._clock = process_time(), began, time() - began
            value, failure = self._attempt(program, task, entry)
            self._tidy()
            self.ended = ended = monotonic()
            wall = cpu = ended - began
            if wall > _BRIEF:
                cpu = self._cpu_since(began)
            printed = self._capture.collect()
            displays = SHOWN.take() if SHOWN.filled else ()
            if failure is None:
                if not printed and not displays:
                    peak = self._look(wall)
                    return VALUE, records.pack_value(task, value, self._clock + began, wall, cpu, peak, attempt)
                failure = {"task": task, "kind": OutcomeKind.VALUE, "value": value}
            elif failure["kind"] is OutcomeKind.ERROR and attempt <= program.job.retries:
                program.forget()  # the next attempt starts like the first
                self.spoiled = True  # and its values are never compared
                continue
            failure |= {"began": self._clock + began, "wall": wall, "cpu": cpu, "peak_mb": self._look(wall)}
            outcome = Outcome(**failure, attempts=attempt, output=printed, displays=displays)
            return FAILED if outcome.failed else TOLD, records.pack_outcome(outcome)

    def _cpu_since(self, began: float) -> float:
        """CPU seconds of this process since ``began``; the time between the last reading and ``began`` is brief."""
        before, self._cpu = self._cpu + began - self._cpu_at, process_time()
        self._cpu_at = self.ended
        return max(0.0, self._cpu - before)

    def _attempt(
        self, program: Program, task: int, entry: bytes | memoryview | None
    ) -> tuple[bytes, dict[str, Any] | None]:
        """The packed value, or the description of the failure."""
        try:
            if self._settings.wanted:
                self._apply_settings()
            result = copy_context().run(self._run, program, task, entry)
        except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt too are this task's failure
            if self._forked:
                leave_fork(error, program.envelope.filename)
            with impatient():
                return b"", self._failure(task, error, entry, program)
        if self._forked:
            leave_fork(None, program.envelope.filename)
        if type(result) in ATOMS:
            return pack_atom(result), None
        try:
            return pack_value(result, home=self.home), None
        except BaseException as error:  # noqa: BLE001 - a __reduce__ is user code
            with impatient():
                return b"", _unpicklable(task, result, error, self.home)

    def _tidy(self) -> None:
        """Drop what the task created, on its own time and with its own output; restore what it changed."""
        try:
            home = self.home
            for _ in range(len(home) - len(self._empty)):
                home.popitem()  # last in, first out: a __del__ still finds the modules that the cell imported
            if home != self._empty:
                self._empty_home()
            for look in self._libraries.looks:
                look()
            kept = False
            if self._held is not None and self._program is not None:
                self._held.restore()
                kept = self._held.irreversible
                self._program.alone = self._program.alone or kept
            if self._surroundings.restore() and not self._threads.left() and not kept:
                return
        except BaseException:  # noqa: BLE001, S110 - raised by a signal handler or timer of the task
            pass
        self.spoiled = True

    def _empty_home(self) -> None:
        self.home.clear()
        self.home.update(self._empty)

    def _note_fork(self) -> None:
        self._forked = True

    def _look_at(self, module: types.ModuleType) -> None:
        """Record a module that a task has just loaded, before the task can change it."""
        if self._detector is not None:
            self._detector.arrived(module)
        if self._held is not None:
            self._held.arrived(module.__name__)

    def _spoil(self) -> None:
        self.spoiled = True

    def _run(self, program: Program, task: int, entry: bytes | memoryview | None) -> object:
        """Run the task in its own context, as if it were the first."""
        settings, home = self._settings, self.home
        if settings.wanted:
            with self._import_hook.aside():
                settings.renew()
        self._seeder.seed(program.job.seed, task)
        if program.loaded is None:
            program.load(home)
        else:
            home.update(program.loaded)
        if settings.wanted:
            with self._import_hook.aside():
                settings.renew()
        if program.generators:
            self._seeder.seed_all(program.generators)
        if entry is not None:
            program.cell.bind(unpack_value(entry, home=home, parts=program.parts), home)
        return program.cell.run(home)

    def _look(self, wall: float) -> float:
        """Peak memory in MiB; measured only now and then for very short tasks."""
        self._looked += 1
        if wall > _BRIEF or self._looked % PEAK_EVERY == 1:
            self._reals[Word.PEAK] = self._peak = self._footprint.peak_mb()
            self.spoiled = self.spoiled or self._footprint.leaked(self._limit_mb) or self._short_of_files()
        return self._peak

    def _short_of_files(self) -> bool:
        """Whether tasks leaked too many open files."""
        try:
            free = os.dup(0)
            _close(free)
        except OSError:
            return True
        return free > self._files // 2

    def _failure(
        self, task: int, error: BaseException, entry: bytes | memoryview | None, program: Program
    ) -> dict[str, Any]:
        return {
            "task": task,
            "kind": OutcomeKind.ERROR,
            "error": name_of(error),
            "message": text_of(error),
            "traceback": traceback_of(error, program.envelope.filename),
            "item": "" if entry is None else self._item_text(entry, program),
            "value": self._packed_exception(error),
        }

    def _item_text(self, entry: bytes | memoryview, program: Program) -> str:
        """The item as it was before the task touched it."""
        try:
            return short_repr(unpack_value(entry, home=self.home, parts=program.parts))
        except BaseException:  # noqa: BLE001 - loading it may be what failed
            return ""

    def _packed_exception(self, error: BaseException) -> bytes:
        """The exception, or as much as can be pickled: at least its type, text and traceback."""
        try:
            return pack_error(error, home=self.home)
        except BaseException:  # noqa: BLE001 - a __reduce__ is user code
            return b""


def _codes(program: Program, home: dict[str, Any]) -> Iterator[types.CodeType]:
    """The cell's code, and that of the notebook's functions."""
    yield from program.cell.codes
    for name in program.envelope.names:
        yield from (function.__code__ for function in functions_of(home[name], home))


def _is_default(value: object) -> bool:
    """Whether a context variable's value is what code that asks for it finds anyway: decimal makes its context then."""
    try:
        return repr(value) == repr(type(value)())
    except Exception:  # noqa: BLE001 - it needs arguments
        return False


def _unpicklable(task: int, value: object, error: BaseException, home: dict[str, Any]) -> dict[str, Any]:
    path, reason = "", text_of(error) or name_of(error)
    with contextlib.suppress(BaseException):  # pickles again, which runs user code
        path, reason = culprit_of(value, error, home=home, mode=Mode.RESULT)
    kind = type_name(type(value))
    return {
        "task": task,
        "kind": OutcomeKind.UNPICKLABLE,
        "error": name_of(error),
        "message": f"the result's {path}: {reason} (the result is a {kind})"
        if path
        else f"the result, a {kind}, cannot be returned: {reason}",
    }
