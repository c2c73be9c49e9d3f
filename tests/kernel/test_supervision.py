"""What user code does to its process, seen from a notebook: one session, real workers, every task right or told why."""

from __future__ import annotations

CELL = """%%burst --workers 2 --map "range(24)" --out out --timeout 2s
import ctypes, os, resource, signal, subprocess, sys, threading, time
deeds = {
    2: lambda: ctypes.string_at(0),
    4: lambda: os._exit(5),
    6: lambda: ctypes.PyDLL(None).sleep(600),
    8: lambda: (os.close(1), os.close(2)),
    10: lambda: (signal.signal(signal.SIGTERM, signal.SIG_IGN), signal.signal(signal.SIGCHLD, signal.SIG_IGN)),
    12: lambda: subprocess.Popen(["sleep", "600"]),
    14: lambda: os.environ.clear(),
    16: lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)),
    18: lambda: os.fork() or sys.exit(0),
    20: lambda: os.kill(os.getpid(), signal.SIGKILL),
    22: lambda: os.chdir("/"),
}
deeds.get(item, lambda: None)()
print("task", item) if item % 2 else None
(item, "PATH" in os.environ, os.getcwd() != "/", subprocess.run(["false"]).returncode) if item % 2 else item
"""


def test_tasks_that_break_their_process_leave_the_others_right(kernel):
    kernel.run(CELL)
    kernel.run("out.wait()")
    odd = [(item, True, True, 1) for item in range(1, 24, 2)]
    assert kernel.value("[out[item] for item in range(1, 24, 2)]") == odd
    assert kernel.value("[out[item] for item in (8, 10, 12, 14, 16, 18, 22)]") == [8, 10, 12, 14, 16, 18, 22]
    for task, error, said in (
        (2, "WorkerLost", "SIGSEGV"),
        (4, "WorkerLost", "exit code 5"),
        (6, "TaskTimeout", "longer than 2 s"),
        (20, "WorkerLost", "SIGKILL"),
    ):
        cell = kernel.fails(f"out[{task}]")
        assert cell.error == error
        assert said in cell.traceback
        assert f"task {task} (item {task})" in cell.traceback
