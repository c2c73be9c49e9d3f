"""Rounds of a real session whose processes are killed, stopped and terminated at random, kernels among them.

make chaos N=30 FROM=0              ends at the first result that is lost, changed or doubled

Unlike ``make sim`` the processes are real, so a seed says what is done to whom and when, and not what comes of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from burst_magic.launchers.local import process_birth

TASKS, WORKERS, NAP = 300, 3, 0.05  # seconds
KERNELS = 8  # deeds to kernels in a round: one that is killed each second never comes to start anything
LOST = "lost"
PATIENCE = 180.0  # seconds for a round
DEEDS = (signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM)
CLIENT, SUPERVISOR, TEMPLATE, SLOT = "kernel", "worker", "template", "slot"


@dataclass(slots=True)
class Round:
    """What was done in a round, by kind of process, and how many tasks ran more than once."""

    seed: int
    deeds: Counter[str] = field(default_factory=Counter)
    again: int = 0
    seconds: float = 0.0
    broken: str = ""


def main(first: int, count: int) -> int:
    """Plays the rounds ``first`` …; 0 when every result of each was right."""
    done: Counter[str] = Counter()
    for seed in range(first, first + count):
        played = play(seed)
        done += played.deeds
        said = ", ".join(f"{number} x {deed}" for deed, number in sorted(played.deeds.items()))
        fate = f"{played.broken or 'right'}; {played.again} tasks ran again, {played.seconds:.1f} s"
        print(f"round {seed}: {fate}; {said}", flush=True)
        if played.broken:
            return 1
    print(f"{count} rounds from {first}: all results right; {done.total()} deeds")
    return 0


def play(seed: int, *, tasks: int = TASKS) -> Round:
    """One session from its submission to its last result."""
    with tempfile.TemporaryDirectory(prefix="burst-chaos-", ignore_cleanup_errors=True) as home:
        played = Round(seed)
        began = time.monotonic()
        try:
            _play(played, Path(home), random.Random(seed), tasks)
        finally:
            for _, pid in _processes(home):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        played.seconds = time.monotonic() - began
        return played


def _play(played: Round, home: Path, chance: random.Random, tasks: int) -> None:
    environ = {
        **os.environ,
        "BURST_DATA_DIR": str(home / "data"),
        "BURST_CONFIG_DIR": str(home / "config"),
        "CHAOS_HOME": str(home),
    }
    command = [sys.executable, __file__, "client", str(tasks)]
    client = subprocess.Popen(command, env=environ)
    end, stopped = time.monotonic() + PATIENCE, dict[int, float]()
    while not (home / "results").exists():
        if time.monotonic() > end:
            played.broken = f"no end after {PATIENCE:.0f} s"
            break
        if client.poll() is not None:
            if client.returncode > 0:
                played.broken = f"the client failed with {client.returncode}"
                break
            client = subprocess.Popen(command, env=environ)
        time.sleep(chance.uniform(0.1, 0.8))
        _continue(stopped, time.monotonic())
        if (home / "session").exists():
            _harm(played, home, chance, stopped)
    _continue(stopped, float("inf"))
    client.kill()
    client.wait()
    played.broken = played.broken or _judge(played, home, tasks)


def _harm(played: Round, home: Path, chance: random.Random, stopped: dict[int, float]) -> None:
    kinds: dict[str, list[int]] = {}
    for kind, pid in _processes(str(home)):
        kinds.setdefault(kind, []).append(pid)
    if sum(number for deed, number in played.deeds.items() if deed.endswith(CLIENT)) >= KERNELS:
        kinds.pop(CLIENT, None)
    if not kinds:
        return
    kind = chance.choice(sorted(kinds))
    deed, pid = chance.choice(DEEDS), chance.choice(sorted(kinds[kind]))
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, deed)
        played.deeds[f"{deed.name} to a {kind}"] += 1
        if deed is signal.SIGSTOP:
            stopped[pid] = time.monotonic() + chance.uniform(0.2, 8.0)


def _continue(stopped: dict[int, float], now: float) -> None:
    for pid in [pid for pid, until in stopped.items() if until <= now]:
        del stopped[pid]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _processes(home: str) -> list[tuple[str, int]]:
    """This round's processes and what each is: they inherit the variable that names its folder.

    Supervisors hide their environment; the records of their starts name them.
    """
    marked = f"CHAOS_HOME={home}".encode()
    parents: dict[int, int] = {}
    clients = set()
    handles = [json.loads(path.read_text() or "{}") for path in Path(home, "data", "logs").glob("*.handle")]
    supervisors = {str(handle["data"]["pid"]): handle["data"]["born"] for handle in handles if handle}
    for path in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            known = path.name in supervisors and process_birth(int(path.name)) == supervisors[path.name]
            if known or (path.name.isdigit() and marked in (path / "environ").read_bytes().split(b"\0")):
                pid = int(path.name)
                parents[pid] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                if b"chaos.py" in (path / "cmdline").read_bytes():
                    clients.add(pid)
    return [(CLIENT if pid in clients else _kind(pid, parents, clients), pid) for pid in parents]


def _kind(pid: int, parents: dict[int, int], clients: set[int]) -> str:
    """A worker is a kernel's child or an orphan; its child is a template, whose children are slots."""
    depth = 0
    while parents.get(pid, 0) in parents.keys() - clients:
        pid, depth = parents[pid], depth + 1
    return (SUPERVISOR, TEMPLATE, SLOT)[min(depth, 2)]


def _judge(played: Round, home: Path, tasks: int) -> str:
    ran = Counter((home / "ran").read_text().split())
    played.again = sum(times - 1 for times in ran.values())
    found = json.loads((home / "results").read_text())
    wrong = [task for task, value in enumerate(found) if value not in (_value(task), LOST)]
    if len(found) != tasks or wrong:
        return f"{len(found)} results of {tasks}, wrong: {wrong[:10]}"
    ended = sum(played.deeds[f"{deed.name} to a {SLOT}"] for deed in (signal.SIGKILL, signal.SIGTERM))
    lost = found.count(LOST)  # who kills a slot has killed the task in it
    return f"{lost} tasks were lost with {ended} slots" if lost > ended else ""


def _value(task: int) -> int:
    return task * task + 7


def client(tasks: int) -> None:
    """A kernel: submits if nobody has, otherwise attaches, and waits for all results."""
    import burst_magic as burst
    from burst_magic.errors import NotRun, WorkerLost

    home = Path(os.environ["CHAOS_HOME"])
    known = home / "session"
    if known.exists():
        session = burst.attach(known.read_text())
    else:
        session = burst.map(_task, range(tasks), workers=WORKERS)
        (home / "new").write_text(session.id)
        (home / "new").rename(known)
    while True:
        answers = session.results().collect(errors="return")
        if not any(isinstance(answer, NotRun) for answer in answers):
            break
        session.scale(WORKERS)  # as status says: workers that die at once are not started for ever
    found = [LOST if isinstance(answer, WorkerLost) else answer for answer in answers]
    (home / "found").write_text(json.dumps(found))
    (home / "found").rename(home / "results")
    session.cleanup()


def _task(task: int) -> int:
    note = os.open(Path(os.environ["CHAOS_HOME"], "ran"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(note, b"%d\n" % task)
    os.close(note)
    time.sleep(NAP)
    return _value(task)


if __name__ == "__main__":
    if sys.argv[1] == "client":
        client(int(sys.argv[2]))
    else:
        sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
