"""``python -m benchmarks``: one command, one table, beside the peers that are installed.

Each measurement is a process of its own. What is shown are medians; the first run of each is thrown away (it compiles
modules and fills the page cache).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import sys
import time
from pathlib import Path

from benchmarks import table
from benchmarks.calls import calls_table
from benchmarks.process import ROOT, CaseFailed, Figures, measure

README = Path(__file__).with_name("README.md")
RAW = ROOT / "build" / "bench.json"
BEGIN, END = "<!-- python -m benchmarks --write -->\n", "<!-- end -->\n"


def main() -> int:
    """Measures and prints; 0 when everything could be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each of ours (5)")
    parser.add_argument("--peer-runs", type=int, default=3, help="of each of the peers'; 0: none (3)")
    parser.add_argument(
        "--only",
        default="",
        metavar="REGEX",
        help="work whose name matches, e.g. cold|joblib; the rest is shown as last measured",
    )
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    parser.add_argument("--tiny", action="store_true", help="next to nothing to do: tries the plumbing")
    options = parser.parse_args()
    measured: dict[str, list[Figures]] = {}
    failed, loads = [], [os.getloadavg()[0]]
    for name, work, runs in plan(options):
        try:
            measured[name] = repeat(name, table.tiny(work) if options.tiny else work, runs)
        except CaseFailed as error:
            failed.append(f"{name}: {error}")
        loads.append(os.getloadavg()[0])
    if options.only and not options.tiny and RAW.exists():
        measured = json.loads(RAW.read_text()) | measured
    text = report(measured, loads)
    print(text)
    if not options.tiny:
        RAW.parent.mkdir(exist_ok=True)
        RAW.write_text(json.dumps(measured, indent=1))
    if options.write:
        write(text)
    print(*failed, sep="\n", end="\n" if failed else "", file=sys.stderr)
    return 1 if failed else 0


def plan(options: argparse.Namespace) -> list[tuple[str, table.Work, int]]:
    """(name, work, runs) of all that is asked for and can run here."""
    planned = [(name, work, options.runs) for name, work in table.WORKS.items()]
    for peer in table.PEER_NAMES if options.peer_runs else ():
        if importlib.util.find_spec(peer.partition(".")[0]) is not None:
            planned += [(name, work, options.peer_runs) for name, work in table.peer_works(peer).items()]
    wanted = re.compile(options.only).search
    return [step for step in planned if wanted(step[0]) and (not step[1].folder or os.access(step[1].folder, os.W_OK))]


def repeat(name: str, work: table.Work, runs: int) -> list[Figures]:
    """So many runs, and one before them that does not count."""
    if work.runs is not None:
        draws = [{"draw": number} if "draw" in work.arguments else {} for number in range(min(runs, work.runs))]
        return [measure(work.module, work.case, folder=work.folder, **{**work.arguments, **draw}) for draw in draws]
    found: list[Figures] = []
    for number in range(runs + 1):
        if sys.stderr.isatty():
            print(f"\r\033[K{name} {number}/{runs}", end="\r", file=sys.stderr, flush=True)
        figures = measure(work.module, work.case, folder=work.folder, **work.arguments)
        if number:
            found.append(figures)
        elif figures.get("wall", 0.0) > 20:  # what takes this long has warmed up on the way
            return [figures]
    return found


def report(measured: dict[str, list[Figures]], loads: list[float]) -> str:
    """All tables, and the machine they come from."""
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    busy = f"load of the machine while measuring {min(loads):.1f} – {max(loads):.1f}, its own work included"
    parts = [
        f"{time.strftime('%Y-%m-%d')}: {machine}; {busy}.",
        "\n".join(table.targets_table(measured)),
        "\n".join(table.peers_table(measured)),
        "\n".join(table.requests_table(measured)),
        "\n".join(calls_table(measured)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def write(text: str) -> None:
    """Replaces what stands between the two marks of the README."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    README.write_text(before + BEGIN + "\n" + text + "\n" + END + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
