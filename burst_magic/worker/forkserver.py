"""A small single-threaded process that forks slots for the supervisor.

It starts before the supervisor reads the session's key or imports obstore: forking the threads of a store client is
unsafe, and a key that was never in the template's memory is not in a task's. It receives requests through a socket,
records deaths of slots on their boards, and outlives the supervisor just long enough to end them.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from typing import TYPE_CHECKING

from burst_magic.errors import LaunchError
from burst_magic.worker import family, prctl
from burst_magic.worker.channel.board import FORK, KILL, MARK, NOTE, REQUEST, WAKE, Shared, Word
from burst_magic.worker.channel.wires import connect
from burst_magic.worker.slots import memory
from burst_magic.worker.slots.slot import Slot

if TYPE_CHECKING:
    import subprocess  # 7 ms, and only macOS needs it

_MIB = 1 << 20
_HOLD_TRIES, _HOLD_EVERY = (400, 0.0005) if sys.platform == "linux" else (1, 0.02)  # seconds
_CLOSING = 10.0  # seconds that the template may take to end
_ORPHANS = 1.5  # seconds that those of a slot may take to end while other slots wait
_STOPPED = os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT if sys.platform == "linux" else 0
# Another Python has its own packages. It imports only burst_magic from the supervisor's, so that both ends of a slot's
# pipe have the same version, whatever is installed there.
_OTHER_PYTHON = """\
import importlib.util, sys
sys.path[:] = [place for place in sys.path if place]
spec = importlib.util.spec_from_file_location("burst_magic", {package!r} + "/__init__.py")
sys.modules["burst_magic"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""
_NO_FORK = 71 << 8  # wait status of a process that ended with EX_OSERR


class Template:
    """The supervisor's side."""

    def __init__(self, control: socket.socket, pid: int, process: subprocess.Popen[bytes] | None) -> None:
        self._control, self._process = control, process
        self.pid = pid
        self._keys = 0
        self._slots: dict[int, Slot] = {}

    @classmethod
    def start(cls, cwd: str | None = None, *, python: str = "") -> Template:
        """Start it; tasks run in ``cwd``.

        It is a fork of this process where that is safe and cheap, otherwise a fresh interpreter: on macOS, and if
        string hashing is randomized (sets of strings must have the same order on all workers).

        Args:
            cwd: the folder, or None for this process's own.
            python: the interpreter that tasks run in, with its own packages; "" for this one. A process with threads
                must name an interpreter, since it cannot be forked.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        if not python and sys.platform == "linux" and not sys.flags.hash_randomization:
            pid = os.fork()
            if pid == 0:
                ours.close()
                _main(theirs, cwd)
            theirs.close()
            return cls(ours, pid, None)
        try:
            with theirs:
                process = _spawn(theirs.fileno(), cwd, python)
        except OSError as error:
            ours.close()
            raise LaunchError(f"the Python that tasks run in could not be started: {error}", context=python) from error
        return cls(ours, process.pid, process)

    def slot(self, number: int, *, limit_mb: float | None = None) -> Slot:
        """Fork a child process for slot ``number`` with a memory limit."""
        self._keys += 1
        key = self._keys
        wires, descriptors = connect()
        slot = Slot(number, kill=lambda turn: self._ask(KILL, key, turn=turn), wires=wires, limit_mb=limit_mb)
        try:
            self._ask(FORK, key, descriptors)
        except LaunchError:
            slot.close()
            raise
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._slots = {k: s for k, s in self._slots.items() if not s.closed} | {key: slot}
        return slot

    def fileno(self) -> int:
        """Readable only after the template has exited."""
        return self._control.fileno()

    def lost(self) -> bool:
        """True if the template has exited: no new slots, no more reports of deaths."""
        ready, _, _ = select.select([self._control], [], [], 0)
        return bool(ready)

    def wake(self) -> None:
        """Continue the template, should a task have stopped it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """End the template and all its slots, and wait for it."""
        if self.lost():
            for slot in self._slots.values():
                slot.kill_orphan()
        self._control.close()
        self.wake()
        if not self._has_ended(_CLOSING):
            family.end_descendants(self.pid)
            os.kill(self.pid, signal.SIGKILL)
            self._has_ended(_CLOSING)
        for slot in self._slots.values():
            slot.close()

    def _has_ended(self, within: float) -> bool:
        """Whether it ends in time; then it is reaped."""
        end = time.monotonic() + within
        while not self._reaped() and time.monotonic() < end:
            time.sleep(_HOLD_EVERY)
        return self._reaped()

    def _reaped(self) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        try:
            return bool(os.waitpid(self.pid, os.WNOHANG)[0])
        except ChildProcessError:
            return True

    def _ask(self, verb: int, key: int, descriptors: tuple[int, ...] = (), *, turn: int = 0) -> None:
        request = REQUEST.pack(verb, key, turn)
        try:
            if descriptors:
                socket.send_fds(self._control, [request], list(descriptors))
            else:
                self._control.sendall(request)
        except OSError as error:
            raise LaunchError("the fork server has exited", context=str(error)) from None


def _spawn(descriptor: int, cwd: str | None, python: str) -> subprocess.Popen[bytes]:
    import subprocess

    from burst_magic import config

    surroundings = {**config.environment(), "PYTHONHASHSEED": "0", "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES"}
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    prelude = _OTHER_PYTHON.format(package=package) if python else f"import sys; sys.path[:] = {sys.path!r}\n"
    code = f"{prelude}from burst_magic.worker import forkserver; forkserver.serve({descriptor}, {cwd!r})"
    return subprocess.Popen(
        [python or sys.executable, "-c", code],
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        env=surroundings,
        start_new_session=True,
    )


def serve(descriptor: int, cwd: str | None) -> None:
    """Main function of a template in its own interpreter. Never returns."""
    _main(socket.socket(fileno=descriptor), cwd)


def _main(control: socket.socket, cwd: str | None) -> None:
    """Never returns, whatever happens: below it is a copy of the supervisor's stack."""
    status = 1
    try:
        _Nursery(control, cwd).run()
        status = 0
    except BaseException:  # noqa: BLE001 - printed on stderr; the supervisor sees the socket close
        traceback.print_exc()
    finally:
        os._exit(status)


class _Child:
    """A live slot. ``notes`` is the write end of its pipe: a death must wake the supervisor."""

    __slots__ = ("key", "notes", "shared")

    def __init__(self, key: int, shared: Shared, notes: int) -> None:
        self.key, self.shared, self.notes = key, shared, notes


class _Nursery:
    """The template's own loop."""

    def __init__(self, control: socket.socket, cwd: str | None) -> None:
        self._control = control
        self._children: dict[int, _Child] = {}  # by pid
        self._ended_by_system = memory.ended_by_system()
        if os.getpid() != os.getsid(0):
            os.setsid()  # a signal to the supervisor's group must not kill the processes that clean up after it
        if cwd:
            os.chdir(cwd)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)  # the supervisor receives its key on stdin
        os.close(null)
        prctl.adopt_orphans()  # what a slot's tasks leave when it ends
        prctl.wake_when_parent_dies()  # a task may have stopped it
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_r, False)
        os.set_blocking(self._wake_w, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)

    def run(self) -> None:
        """Serve requests until the supervisor is gone."""
        gc.disable()
        from burst_magic.worker.child import keeper  # loaded once, here, for all slots

        keeper.warm_up()
        gc.freeze()  # the children's garbage collector must not visit, and so copy, shared objects
        while True:
            ready, _, _ = select.select([self._control.fileno(), self._wake_r], [], [])
            if self._wake_r in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_r, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._serve_one():
                break
        for pid, left in self._children.items():
            _kill(pid, left.shared)
        family.end_descendants(os.getpid())

    def _serve_one(self) -> bool:
        request, descriptors, _, _ = socket.recv_fds(self._control, REQUEST.size, 4)
        if len(request) < REQUEST.size:
            return False
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - received descriptors are inheritable
        verb, key, turn = REQUEST.unpack(request)
        if verb == FORK:
            self._fork(key, descriptors)
        elif verb == KILL:
            for pid, child in self._children.items():
                if child.key == key and (not turn or _hold(pid, child.shared, turn)):
                    _kill(pid, child.shared)
        return True

    def _fork(self, key: int, descriptors: list[int]) -> None:
        from burst_magic.worker.child import keeper

        control, notes, memory, output = descriptors
        ours, shared = os.getpid(), Shared(memory)
        Shared.seal(memory)
        os.close(memory)
        try:
            pid = os.fork()
        except OSError as error:  # no memory or no more processes; the supervisor sees a slot that died at once
            os.write(output, f"a process could not be started: {error}\n".encode())
            _tell_death(_Child(key, shared, notes), _NO_FORK, 0.0)
        else:
            if pid == 0:
                self._become_child(ours)
                keeper.main(socket.socket(fileno=control), notes, shared, output)
            shared.words[Word.PID] = pid
            self._children[pid] = _Child(key, shared, notes)
        os.close(control)
        os.close(output)

    def _become_child(self, parent: int) -> None:
        """Close everything of the template and of other slots in a new slot, which ends with the template."""
        prctl.die_with_parent()
        if os.getppid() != parent:
            os._exit(1)
        prctl.adopt_orphans()
        gc.enable()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in (self._control.fileno(), self._wake_r, self._wake_w):
            os.close(descriptor)
        self._control.detach()
        for other in self._children.values():
            os.close(other.notes)
            other.shared.close()

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:  # an orphan of a slot that has ended
                continue
            _kill_group(pid, child.shared)  # processes started by the task end with it
            family.end_descendants(os.getpid(), spare=self._children, within=_ORPHANS)
            if status == signal.SIGKILL:
                child.shared.words[Word.SYSTEM] = self._look_at_system()
            _tell_death(child, status, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / _MIB)

    def _look_at_system(self) -> int:
        """Whether the system killed processes for lack of memory since the last check."""
        before, self._ended_by_system = self._ended_by_system, memory.ended_by_system()
        if before is None or self._ended_by_system is None:
            return 0
        return 2 if self._ended_by_system > before else 1


def _tell_death(child: _Child, status: int, peak_mb: float) -> None:
    words = child.shared.words
    words[Word.STATUS] = status
    child.shared.reals[Word.FINAL_PEAK] = peak_mb
    words[Word.DEAD] = 1
    os.set_blocking(child.notes, False)
    with contextlib.suppress(BlockingIOError, BrokenPipeError):  # a full pipe wakes the supervisor as well
        os.write(child.notes, NOTE.pack(MARK, WAKE, 0, 0, 0, 0, 0))
    os.close(child.notes)
    child.shared.close()


def _hold(pid: int, shared: Shared, turn: int) -> bool:
    """Stop a slot to check whether that turn is still running; if not, let it continue."""
    _stop(pid)
    words, reals = shared.words, shared.reals
    runner = words[Word.RUNNER] if family.is_child(words[Word.RUNNER], pid) else 0
    if runner:
        _stop_runner(runner)
    if words[Word.TURN] == turn and words[Word.TASK] and reals[Word.ENDED] <= reals[Word.SINCE]:
        return True
    for one in (runner, pid) if runner else (pid,):
        os.kill(one, signal.SIGCONT)
    return False


def _stop(pid: int) -> None:
    """Stop a child of this process: only this process reaps it, so the pid is its own."""
    os.kill(pid, signal.SIGSTOP)
    for _ in range(_HOLD_TRIES):
        if sys.platform == "linux" and os.waitid(os.P_PID, pid, _STOPPED) is not None:
            break
        time.sleep(_HOLD_EVERY)  # a process asleep in the kernel stops on waking, before it runs any code


def _stop_runner(pid: int) -> None:
    """Stop the runner of a slot that is itself stopped, and so cannot reap it."""
    os.kill(pid, signal.SIGSTOP)
    for _ in range(_HOLD_TRIES):
        if sys.platform == "linux" and family.state_of(pid) in "TtZX":
            break
        time.sleep(_HOLD_EVERY)


def _kill(pid: int, shared: Shared) -> None:
    """Kill an unreaped slot and the processes it started; a freshly forked one has no group yet."""
    _stop(pid)
    family.end_descendants(pid, within=_ORPHANS)
    _kill_group(pid, shared)
    os.kill(pid, signal.SIGKILL)


def _kill_group(pid: int, shared: Shared) -> None:
    """Kill a slot's process group, and its runner, which may have left the group."""
    if sys.platform != "linux":  # elsewhere, what it started is known
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    runner = shared.words[Word.RUNNER]
    if family.is_child(runner, pid):  # user code can write there
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(runner, signal.SIGKILL)
