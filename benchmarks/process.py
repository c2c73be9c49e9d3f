"""A case in a process of its own, and what it cost: the seam between the table and what is measured.

``measure`` starts ``python -m MODULE CASE ARGUMENTS`` in an empty folder; there ``serve`` runs the case and prints
its figures as the last line of stdout.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT = 600  # seconds; ends a hang, times nothing
_TICKS = os.sysconf("SC_CLK_TCK")
_BYTECODE = ROOT / "build" / "bytecode"  # everybody's modules are compiled, as after an installation

Figures = dict[str, float]
Case = Callable[..., Figures]


class CaseFailed(Exception):
    """A case ended without figures; the text is what it said."""


def measure(module: str, case: str, *, folder: str = "", **arguments: object) -> Figures:
    """One run of a case: in a fresh process, with directories of its own below ``folder``."""
    home = Path(tempfile.mkdtemp(prefix="burst-bench-", dir=folder or None))
    strange = ("BURST_", "AWS_", "PYTHON", "OMP_", "OPENBLAS_", "MKL_")  # what a user or a machine set for its own ends
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    own = {f"BURST_{name.upper()}_DIR": str(home / name) for name in ("config", "data")}
    own |= {"IPYTHONDIR": str(home / "ipython"), "BENCH_HOME": str(home)}
    own["PYTHONPYCACHEPREFIX"] = str(_BYTECODE)
    command = [sys.executable, "-m", module, case, json.dumps(arguments)]
    try:
        ran = subprocess.run(
            command, cwd=ROOT, env=inherited | own, capture_output=True, text=True, timeout=_TIMEOUT, check=False
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)
    lines = ran.stdout.splitlines()
    if ran.returncode or not lines:
        raise CaseFailed(f"{case} {arguments}: exit code {ran.returncode}\n{ran.stderr[-2000:]}")
    figures: Figures = json.loads(lines[-1])
    return figures


def serve(cases: Mapping[str, Case]) -> None:
    """The main of a module with cases."""
    figures = cases[sys.argv[1]](**json.loads(sys.argv[2]))
    print(json.dumps(figures), flush=True)


@contextmanager
def timed(figures: dict[str, Any]) -> Iterator[None]:
    """Adds the block's wall seconds, the CPU seconds of this process, its children and their children, and how many
    cores the rest of the machine kept busy meanwhile (``others``)."""
    before, busy, mine, began = descendants(), _busy(), time.process_time(), time.perf_counter()
    yield
    figures["wall"] = time.perf_counter() - began
    busy_now = _busy()
    figures["client_cpu"] = time.process_time() - mine
    for pid, (depth, cpu) in descendants().items():
        name = "children_cpu" if depth == 1 else "slots_cpu"
        figures[name] = figures.get(name, 0.0) + cpu - before.get(pid, (depth, 0.0))[1]
    ours = sum(figures.get(name, 0.0) for name in ("client_cpu", "children_cpu", "slots_cpu"))
    figures["others"] = max(0.0, busy_now - busy - ours) / figures["wall"]


def _busy() -> float:
    """CPU seconds that this machine has worked so far, for anybody; 0 where there is no /proc."""
    place = Path("/proc/stat")
    ticks = [int(word) for word in place.read_text().split("\n", 1)[0].split()[1:9]] if place.exists() else []
    return (sum(ticks) - sum(ticks[3:5])) / _TICKS  # all but idle and waiting for a disk


def descendants() -> dict[int, tuple[int, float]]:
    """Living processes below this one: pid -> (how far below, CPU seconds so far). Empty where there is no /proc."""
    parents, cpu = {}, {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        pid = int(place.parent.name)
        parents[pid], cpu[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICKS
    found = {}
    for pid in parents:
        depth, above = 0, pid
        while above in parents and above != os.getpid():
            depth, above = depth + 1, parents[above]
        if depth and above == os.getpid():
            found[pid] = (depth, cpu[pid])
    return found


def forget_peak() -> None:
    """From now on ``memory("VmHWM")`` is the peak since this call."""
    Path("/proc/self/clear_refs").write_text("5")


def memory(what: str, pid: int | str = "self") -> float:
    """MB that a process occupies (``VmRSS``), of its own (``RssAnon``), or occupied at most (``VmHWM``)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * 1024 / 1e6
    raise KeyError(what)
