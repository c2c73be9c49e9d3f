"""Law: what user code does to its process hurts its own task only, whose outcome says what it was. Real processes.

Each test runs four tasks of which the second misbehaves; the others must come to the right values, as if alone.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import textwrap
import threading
import time
from pathlib import Path

import pytest

from burst_magic.protocol.wire.model import OutcomeKind
from burst_magic.worker.slots import memory
from burst_magic.worker.slots.deaths import Died, death_outcome
from burst_magic.worker.slots.items import AskedTasks
from burst_magic.worker.slots.slot import PackedOutcomes, Ready

VALUE, ERROR, CRASHED, TIMEOUT = OutcomeKind.VALUE, OutcomeKind.ERROR, OutcomeKind.CRASHED, OutcomeKind.TIMEOUT
IMPORTS = "import ctypes, os, resource, signal, subprocess, sys, threading, time\n"


class Work:
    """Tasks in a slot that is replaced when its process ends, as the supervisor does it."""

    def __init__(self, bench, source, tasks=4, *, limit_mb=None, **job) -> None:
        self.bench, self.source, self.job, self.limit_mb = bench, source, job, limit_mb
        self.outcomes, self.deaths, self.alone = [], [], False
        while len(self.outcomes) < tasks:
            self._go_on(range(len(self.outcomes), tasks))

    def _go_on(self, tasks) -> None:
        slot = self.bench.slot(limit_mb=self.limit_mb)
        self.bench.run(slot, self.bench.load(slot, self.source, **self.job), tasks, first=tasks[0], alone=self.alone)
        found = []
        self.bench.wait(slot, lambda: any(isinstance(m, Ready | Died) for m in found), found, watch=True)
        self.outcomes += self.bench.told(found)
        if isinstance(found[-1], Died):
            self.alone = found[-1].task is not None and found[-1].task > len(self.outcomes)
            if found[-1].culprit and not self.alone:
                self.outcomes.append(death_outcome(found[-1]))
            if not self.alone:
                self.deaths.append(found[-1])
        slot.close()

    @property
    def kinds(self):
        return [outcome.kind for outcome in self.outcomes]

    @property
    def values(self):
        return [pickle.loads(outcome.value) for outcome in self.outcomes if not outcome.failed]


def misbehave(bench, act, look="item", **options):
    """Task 1 does ``act``; the value of all is ``look``."""
    act = textwrap.indent(textwrap.dedent(act).strip(), "    ")
    work = Work(bench, f"{IMPORTS}if item == 1:\n{act}\n{look}", **options)
    assert [outcome.task for outcome in work.outcomes] == list(range(4))
    assert {work.kinds[0], work.kinds[2], work.kinds[3]} == {VALUE}, work.outcomes
    return work


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("ctypes.string_at(0)", "SIGSEGV"),
        ("os.abort()", "SIGABRT"),
        ("os._exit(0)", "exit code 0"),
        ("ctypes.CDLL(None).exit(9)", "exit code 9"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("signal.setitimer(signal.ITIMER_PROF, 0.01)\nwhile True: pass", "SIGPROF"),
        ("resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass", "SIGXCPU"),
        ("class D:\n    def __del__(self): os._exit(9)\nd = D()", "exit code 9"),
        ("os.closerange(3, 4096)", "broke the process"),
    ],
)
def test_the_end_of_a_process_is_the_outcome_of_the_task_that_ran(bench, act, said):
    work = misbehave(bench, act)
    assert work.values == [0, 2, 3]
    crash = work.outcomes[1]
    assert (crash.kind, crash.error, crash.item) == (CRASHED, "WorkerLost", "1")
    assert said in crash.message
    assert crash.peak_mb > 1
    assert len(work.deaths) == 1


CONTAGIOUS = {
    "a folder that is gone": (
        "import tempfile; os.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())",
        f"os.getcwd() == {str(Path.cwd())!r}",
    ),
    "closed descriptors": ("os.close(1); os.close(2)", "print(item) is None"),
    "a closed file over a descriptor": ("open(1, 'w').close()", "print(item) is None"),
    "a closed file over the other descriptor": ("open(2, 'w').close()", "print(item, file=sys.stderr) is None"),
    "descriptors led elsewhere": ("os.dup2(os.open(os.devnull, 1), 1); os.dup2(1, 2)", "print(item) is None"),
    "a closed sys.stdout": ("sys.stdout.close(); sys.stderr.close()", "print(item) is None"),
    "a detached sys.stdout": ("sys.stdout.detach()", "print(item) is None"),
    "no sys.stdout": ("sys.stdout = sys.__stdout__ = None", "print(item) is None"),
    "no os.environ": ("del os.environ", "'PATH' in os.environ"),
    "another os.environ": ("os.environ = {}", "'PATH' in os.environ"),
    "an empty os.environ": ("os.environ.clear()", "'PATH' in os.environ"),
    "a time zone": ("os.environ['TZ'] = 'Asia/Tokyo'; time.tzset()", "time.tzname[0] != 'JST'"),
    "SIGCHLD ignored": (
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        "subprocess.run(['false'], check=False).returncode == 1",
    ),
    "signals blocked": (
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})",
        "not signal.pthread_sigmask(signal.SIG_BLOCK, [])",
    ),
    "a handler that raises again and again": (
        "signal.signal(signal.SIGALRM, lambda *_: 1 / 0); signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)",
        "time.sleep(0.01) is None",
    ),
    "a timer of the profiler": ("signal.setitimer(signal.ITIMER_PROF, 0.05)", "sum(range(5_000_000)) > 0"),
    "a soft limit": (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (9, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
        "resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 9",
    ),
    "a hard limit": (
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))",
        "resource.getrlimit(resource.RLIMIT_AS)[1] != 1 << 30",
    ),
    "niceness": ("os.nice(5)", f"os.nice(0) == {os.nice(0)}"),
    "a mask of modes": ("os.umask(0o777)", "os.umask(0o22) == 0o22"),
    "a recursion limit": ("sys.setrecursionlimit(60)", "sys.getrecursionlimit() > 60"),
    "no collector": ("import gc; gc.disable()", "__import__('gc').isenabled()"),
    "all descriptors taken": (
        "sys.kept = []\ntry:\n    while True: sys.kept.append(os.open('/', 0))\nexcept OSError: pass",
        "os.close(os.open('/', 0)) is None",
    ),
    "input closed": ("os.close(0)", "open(0, closefd=False).read() == ''"),
    "a child left behind": (
        "sys.left = subprocess.Popen(['sleep', '600'])",
        "not hasattr(sys, 'left') or sys.left.poll() is not None",
    ),
    "a pool left behind": (
        "import multiprocessing; sys.pool = multiprocessing.get_context('fork').Pool(1)",
        "not hasattr(sys, 'pool')",
    ),
    "an atexit that raises": ("import atexit; atexit.register(lambda: 1 / 0)", "True"),
}


@pytest.mark.parametrize("name", CONTAGIOUS)
def test_what_a_task_does_to_its_process_is_not_seen_by_the_next(bench, name):
    act, look = CONTAGIOUS[name]
    work = misbehave(bench, act, look)
    assert [pickle.loads(work.outcomes[task].value) for task in (0, 2, 3)] == [True, True, True]
    if look.startswith("print"):
        assert [work.outcomes[task].output for task in (0, 2, 3)] == ["0\n", "2\n", "3\n"]


def test_a_thread_of_the_notebook_that_goes_on_is_not_heard_in_the_next_task(bench):
    work = misbehave(
        bench,
        """
        def shout():
            while True:
                print("noise")
                time.sleep(0.001)
        threading.Thread(target=shout).start()
        """,
        "time.sleep(0.05) or item",
    )
    assert "noise" in work.outcomes[1].output
    assert [work.outcomes[task].output for task in (0, 2, 3)] == ["", "", ""]


def test_what_a_thread_prints_as_it_ends_is_heard_in_its_own_task(bench):
    """Names go when the task ends, and threads that use them end of that."""
    work = misbehave(
        bench,
        """
        def tell(args, sleep=time.sleep, say=print):
            ending.set()
            sleep(0.2)
            say("my last words")
        threading.excepthook, ending = tell, threading.Event()
        threading.Thread(target=lambda: 1 / 0).start()
        ending.wait()
        """,
        "time.sleep(0.3) if item == 2 else item",
    )
    assert work.outcomes[1].output == "my last words\n"
    assert work.outcomes[2].output == ""
    assert work.deaths == []


def test_idle_threads_of_libraries_cost_no_new_process(bench):
    act = "from concurrent.futures import ThreadPoolExecutor\nsys.pool = ThreadPoolExecutor(2)\nsys.pool.submit(id, 1)"
    assert misbehave(bench, act).deaths == []


def test_a_child_that_a_task_waited_for_costs_no_new_process(bench):
    assert misbehave(bench, "subprocess.run(['true'], check=True)").deaths == []


def test_a_del_that_raises_is_told_in_the_output_of_its_own_task(bench):
    work = misbehave(bench, "class D:\n    def __del__(self): raise ValueError(sys.argv)\nd = D()")
    assert "ValueError: ['']" in work.outcomes[1].output, "the modules of the cell are there to the last"
    assert [work.outcomes[task].output for task in (0, 2, 3)] == ["", "", ""]


@pytest.mark.parametrize(
    ("child", "status", "said"),
    [("sys.exit(3)", 3, ""), ("sys.exit('no')", 1, "no"), ("1 / 0", 1, "ZeroDivisionError"), ("pass", 0, "")],
)
def test_a_fork_that_comes_back_ends_like_a_program(bench, child, status, said):
    work = misbehave(
        bench,
        f"""
        print("before", flush=True)
        pid = os.fork()
        if pid == 0:
            {child}
        else:
            item = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        """,
    )
    assert pickle.loads(work.outcomes[1].value) == status
    assert work.outcomes[1].output.startswith("before\n")
    assert said in work.outcomes[1].output
    assert "burst_magic" not in work.outcomes[1].output
    assert work.deaths == []


# --- time


def test_code_that_holds_the_interpreter_is_ended_at_its_limit(bench):
    work = misbehave(bench, "ctypes.PyDLL(None).sleep(600)", timeout=0.2)
    assert work.kinds[1] is TIMEOUT
    assert 0.2 <= work.outcomes[1].wall < 20.0
    assert work.outcomes[1].item == "1"


def test_a_stopped_process_is_ended_at_its_limit(bench):
    assert misbehave(bench, "os.kill(os.getpid(), signal.SIGSTOP)", timeout=0.2).kinds[1] is TIMEOUT


def test_limits_end_no_task_but_the_one_that_ran_too_long(bench):
    """Tasks that end just about when their time does: each has its value or its timeout, and no death is another's.

    A few take long, so that some are ended however the looks and the ends of tasks fall together.
    """
    source = "import time\ntime.sleep(0.0080 + item % 9 * 0.001 + item % 50 // 49 * 0.1)\nitem"
    work = Work(bench, source, 300, timeout=0.01)
    assert [outcome.task for outcome in work.outcomes] == list(range(300))
    assert {death.culprit is not None for death in work.deaths} <= {True}
    assert work.kinds.count(TIMEOUT) == len(work.deaths)
    assert {VALUE, TIMEOUT} == set(work.kinds)
    assert work.values == [outcome.task for outcome in work.outcomes if outcome.kind is VALUE]


def test_an_order_to_end_a_task_that_is_over_is_not_carried_out(bench, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slot = bench.slot()
    jid = bench.load(slot, f"item and open({str(gate)!r}).read()")
    bench.run(slot, jid, [0, 1])
    bench.wait(slot, lambda: (slot.now_running() or ("", 0))[1] == 1)
    turn = slot._running()[0]
    for old in (turn - 2, turn - 1, turn + 2):
        slot._ask_kill(old)
    bench.until(bench.slot(), Ready)  # the template does one thing after the other: by now it has looked
    threading.Thread(target=gate.write_text, args=("open",), daemon=True).start()  # blocks for ever if the slot is gone
    assert [o.task for o in bench.outcomes(slot)] == [1]


def test_a_crash_after_an_order_that_was_not_carried_out_is_a_crash(bench, tmp_path):
    gates = [tmp_path / "0", tmp_path / "1"]
    for gate in gates:
        os.mkfifo(gate)
    slot = bench.slot()
    jid = bench.load(
        slot, f"import os\nopen(f'{tmp_path}/{{item}}').read()\nitem and os.kill(os.getpid(), 9)", timeout=60
    )
    bench.run(slot, jid, [0, 1])
    bench.wait(slot, lambda: (slot.now_running() or ("", 1))[1] == 0)
    os.kill(bench.template.pid, signal.SIGSTOP)  # the template, which carries orders out, is late
    try:
        slot.enforce(time.monotonic() + 61)
        gates[0].write_text("open")
        bench.wait(slot, lambda: (slot.now_running() or ("", 0))[1] == 1)
    finally:
        os.kill(bench.template.pid, signal.SIGCONT)
    gates[1].write_text("open")
    death = bench.until(slot, Died)[-1]
    assert death.culprit == (jid, 1)
    assert death_outcome(death).kind is CRASHED


def test_a_task_that_has_ended_and_is_being_told_is_not_overdue(bench):
    """Its large value waits for a reader longer than the limit."""
    slot = bench.slot()
    bench.run(slot, bench.load(slot, "b'x' * 30_000_000", timeout=0.2), [0])
    bench.wait(slot, lambda: slot._running() and slot._running()[4])
    slot.enforce(time.monotonic() + 60)
    found = []
    bench.wait(slot, lambda: any(isinstance(m, Ready | Died) for m in found), found)
    assert isinstance(found[0], PackedOutcomes)
    assert isinstance(found[-1], Ready)


# --- memory

GROW = "kept = []\nwhile True:\n    kept.append(b'x' * (1 << 20))\n    time.sleep(0.0005)"


def test_a_task_above_the_limit_of_its_slot_is_out_of_memory_with_its_peak(bench):
    work = misbehave(bench, GROW, limit_mb=150)
    outcome = work.outcomes[1]
    assert (outcome.kind, outcome.error) == (CRASHED, "OutOfMemory")
    assert "150 MB" in outcome.message
    assert 150 < outcome.peak_mb < 600
    assert max(work.outcomes[task].peak_mb for task in (0, 2, 3)) < 100


def test_what_a_task_starts_counts_as_its_memory(bench):
    act = f"subprocess.run([sys.executable, '-c', {('import time' + chr(10) + GROW)!r}])"
    work = misbehave(bench, act, limit_mb=150)
    assert work.outcomes[1].error == "OutOfMemory"


def test_pages_of_files_are_not_counted_as_memory(bench, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(bytes(200 << 20))
    act = f"import mmap; view = mmap.mmap(os.open({str(big)!r}, 0), 0, access=1); sum(view[::4096]); time.sleep(0.2)"
    assert misbehave(bench, act, limit_mb=150).kinds[1] is VALUE


def test_without_a_limit_a_task_may_use_what_there_is(bench):
    assert misbehave(bench, "x = b'x' * (300 << 20); time.sleep(0.1)").kinds[1] is VALUE


def test_a_leak_is_gone_with_its_process_before_the_next_task(bench):
    look = "int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE') >> 20"
    work = misbehave(bench, "sys.leak = b'x' * (800 << 20)", look)
    assert work.values[1] > 800
    assert max(work.values[2:]) < 100


def test_a_leak_goes_sooner_where_memory_is_limited(bench):
    act, look = "threading.current_thread().leak = b'x' * (100 << 20)", "os.getpid()"
    assert len(set(misbehave(bench, act, look, limit_mb=200).values)) == 2
    assert len(set(misbehave(bench, act, look).values)) == 1


def test_a_peak_is_that_of_its_own_task(bench):
    work = misbehave(bench, "x = b'x' * (200 << 20)", "time.sleep(0.002) or item")
    assert work.deaths == []
    assert work.outcomes[1].peak_mb > 200
    assert max(work.outcomes[task].peak_mb for task in (0, 2, 3)) < 100


@pytest.mark.parametrize(
    ("system", "error", "said"),
    [
        (True, "OutOfMemory", "out of memory at 812 MB: the system killed its process"),
        (False, "WorkerLost", "SIGKILL"),
        (None, "WorkerLost", "most likely out of memory (it had reached 812 MB)"),
    ],
)
def test_a_kill_is_out_of_memory_when_the_system_says_so(system, error, said):
    died = Died(exit_code=None, signal=signal.SIGKILL, jid="j", task=3, peak_mb=812.4, system=system)
    outcome = death_outcome(died)
    assert (outcome.kind, outcome.error) == (CRASHED, error)
    assert said in outcome.message


def test_a_worker_that_ends_a_task_for_its_memory_says_that_it_did():
    died = Died(exit_code=None, signal=signal.SIGKILL, jid="j", task=3, peak_mb=812.4, over_mb=400.0)
    said = "out of memory at 812 MB: its worker ended it, since a slot has 400 MB (fewer --workers have more)"
    assert death_outcome(died).message == said


def test_a_slot_is_first_to_go_when_memory_runs_out(bench, template):
    slot = bench.slot()
    bench.until(slot, Ready)
    scores = {}
    for pid in (slot.pid, template.pid, os.getpid()):
        scores[pid] = int(Path(f"/proc/{pid}/oom_score_adj").read_text())
    assert scores[slot.pid] > max(scores[template.pid], scores[os.getpid()])


def test_the_system_counts_what_it_ends():
    assert memory.ended_by_system() >= 0


# --- what is left, and what is told


def test_what_a_task_left_ends_with_it_though_the_slot_lives_on(bench):
    work = misbehave(bench, "item = subprocess.Popen(['sleep', '600']).pid")
    with pytest.raises(ProcessLookupError):
        os.kill(work.values[1], 0)
    assert work.deaths == []


def test_an_outcome_says_what_its_task_cost(bench):
    spin = "end = time.process_time() + 0.05\nwhile time.process_time() < end: pass\ntime.sleep(0.05)"
    outcome = misbehave(bench, spin).outcomes[1]
    assert outcome.cpu >= 0.05
    assert outcome.wall >= 0.1
    assert outcome.wall > outcome.cpu


@pytest.mark.parametrize(
    ("item", "text"),
    [(7, "7"), (("a", [1.5, None]), "('a', [1.5, None])"), ({"k": b"v"}, "{'k': b'v'}"), (select.select, "")],
)
def test_plain_items_of_a_crash_are_told_and_others_are_not_loaded(bench, item, text):
    slot = bench.slot()
    bench.run(slot, bench.load(slot, "__import__('os')._exit(1)"), [item])
    assert bench.until(slot, Died)[-1].item == text


def test_an_item_is_found_behind_those_that_are_done():
    entries = [pickle.dumps(task * 10) for task in range(5)]
    body = b"".join(len(entry).to_bytes(4, "little") for entry in entries) + b"".join(entries)
    asked = AskedTasks("j", 100, 5, body)
    assert [asked.text("j", task) for task in (99, 100, 104, 105)] == ["", "0", "40", ""]
    assert asked.text("k", 100) == ""
