"""Detect process changes through the standard library when they happen, and restore them after the task.

Checking everything after every task would cost more than most tasks. Changes by C code are not detected.
"""

from __future__ import annotations

import functools
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from burst_magic.worker.child.isolation.offspring import end_strangers

_LIMITS = tuple(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_FOR_GOOD = ("chroot", "nice", "setpriority", "setgid", "setuid", "setegid", "seteuid", "setregid", "setreuid",
             "setresgid", "setresuid", "setgroups", "unshare", "setns", "setsid", "setpgid", "setpgrp",
             "sched_setscheduler", "sched_setparam")  # fmt: skip

Undo = Callable[[], None]


class Touched:
    """Signals, timers, limits and the like of a clean process, and which of them were changed."""

    def __init__(self, check_output: Undo, go_back: Undo, restore_environment: Undo) -> None:
        self._check_output, self._go_back, self._restore_environment = check_output, go_back, restore_environment
        self.chdir, self._read_zone = os.chdir, time.tzset
        self.undo: dict[Callable[[], None], None] = {}  # functions to call; an ordered set
        self._handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        self._limits = [(limit, resource.getrlimit(limit)) for limit in _LIMITS]
        self._mask = os.umask(0)
        os.umask(self._mask)
        self._depth, self._switch = sys.getrecursionlimit(), sys.getswitchinterval()
        self._thresholds, self._tracing = gc.get_threshold(), gc.get_debug()
        self._flags = sys.getdlopenflags()
        self._processors = os.sched_getaffinity(0) if sys.platform == "linux" else None
        self._accepted: frozenset[Callable[[], None]] = frozenset()
        self.spoiled = False  # something cannot be restored
        self._watch_all()

    def listen(self, number: int, handler: Callable[..., None]) -> None:
        """Make a signal handler part of the clean state, with all changes so far."""
        signal.signal(number, handler)
        self._handlers[signal.Signals(number)] = handler
        self.undo.clear()
        self.spoiled = False

    def accept(self) -> None:
        """Take changes of these kinds for accepted from now on."""
        self._accepted = frozenset(self.undo)

    @property
    def beyond_environment(self) -> bool:
        """Something not accepted was changed since ``restore``, other than variables, files and processes."""
        others = {self._check_output, self._restore_environment, self._end_offspring, self._read_zone}
        return bool(self.undo.keys() - others - self._accepted)

    def restore(self) -> None:
        """Undo changes since the last call."""
        while self.undo:
            undo = next(iter(self.undo))
            try:
                undo()
            except (OSError, ValueError):  # a hard limit that only root may lift
                self.spoiled = True
            del self.undo[undo]  # not reached if a signal handler of the task raises: then undone again

    def _watch_all(self) -> None:
        self._watch(self._restore_handlers, signal, "signal", "siginterrupt")
        self._watch(self._stop_timers, signal, "alarm", "setitimer")
        self._watch(self._unblock, signal, "pthread_sigmask")
        self._watch(self._restore_limits, resource, "setrlimit", "prlimit")
        self._watch(self._restore_numbers, sys, "setrecursionlimit", "setswitchinterval", "setdlopenflags")
        self._watch(self._restore_numbers, gc, "disable", "set_threshold", "set_debug")
        self._watch(self._restore_numbers, os, "umask", "sched_setaffinity")
        self._watch(self._read_zone, time, "tzset")
        self._watch(self._go_back, os, "chdir", "fchdir")
        self._watch(self._restore_environment, os, "putenv", "unsetenv")
        self._watch(self._check_output, os, "close", "closerange", "dup2")
        self._watch(self._spoil, os, *_FOR_GOOD)
        os.register_at_fork(after_in_parent=lambda: self.undo.update({self._end_offspring: None}))
        self._watch(self._end_offspring, os, "posix_spawn", "posix_spawnp")
        import _posixsubprocess  # before subprocess is loaded, which takes it from there

        self._watch(self._end_offspring, _posixsubprocess, "fork_exec")

    def _watch(self, undo: Callable[[], None], module: Any, *names: str) -> None:
        for name in names:
            original = getattr(module, name, None)
            if original is not None:
                setattr(module, name, self._watched(original, module.__name__, undo))

    def _watched(self, original: Callable[..., Any], module: str, undo: Callable[[], None]) -> Callable[..., Any]:
        @functools.wraps(original)
        def watched(*args: Any, **options: Any) -> Any:
            self.undo[undo] = None
            return original(*args, **options)

        watched.__module__ = module  # so that it can be pickled by name
        return watched

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            if handler is not None and signal.getsignal(number) != handler:
                signal.signal(number, handler)

    def _stop_timers(self) -> None:
        for timer in _TIMERS:
            signal.setitimer(timer, 0)

    def _unblock(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked)

    def _restore_limits(self) -> None:
        for limit, values in self._limits:
            if resource.getrlimit(limit) != values:
                resource.setrlimit(limit, values)

    def _restore_numbers(self) -> None:
        sys.setrecursionlimit(self._depth)
        sys.setswitchinterval(self._switch)
        gc.enable()
        gc.set_threshold(*self._thresholds)
        gc.set_debug(self._tracing)
        sys.setdlopenflags(self._flags)
        os.umask(self._mask)
        if self._processors is not None:
            os.sched_setaffinity(0, self._processors)

    def _spoil(self) -> None:
        self.spoiled = True

    def _end_offspring(self) -> None:
        if not end_strangers():
            self.spoiled = True
