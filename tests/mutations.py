"""Plants bugs, one at a time in a copy of the package, and shows that each is found.

    make mutations                              the tables, and 1 if a mutant survives
    python tests/mutations.py --write           the same, and into docs/simulation.md
    python tests/mutations.py --only NAME       those with this in their names

Bugs in the protocol are found by the simulator and listed here; where drawn worlds would take too long, it plays one
arranged for the bug (``mutants/directed.py``). Those elsewhere are found by other tests and listed in
``mutants/table.py``. Each is a replacement of text that must occur exactly once: one that no longer applies is an
error, not a success.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mutants import planting
from mutants.directed import DIRECTED, world
from mutants.table import MUTANTS as ELSEWHERE

from burst_magic.testing.simulator import play_world

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "simulation.md"
MARK, MARK_ELSEWHERE = "mutations", "mutations elsewhere"
SEEDS = 6000  # played in search of a bug, at most


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: ``old`` becomes ``new`` in whichever module of the protocol holds it."""

    name: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Catch:
    """What became of a mutant: the law that caught it, after how many seeds; None when it survived."""

    mutant: Mutant
    law: int | None
    seeds: int
    said: str


MUTANTS = (
    Mutant(
        "an unknown outcome counts as success",
        "if event.wrote is not fx.Wrote.DONE:  # again",
        "if event.wrote is fx.Wrote.REFUSED:  # again",
    ),
    Mutant(
        "a segment with a long upload does not count",
        "if event.wrote is not fx.Wrote.DONE:  # again",
        "if event.wrote is not fx.Wrote.DONE or state.wall(now) - segment.at_ms / 1000 > 30.0:  # again",
    ),
    Mutant(
        "a refused claim is believed without its nonce",
        "elif body.nonce == one.nonce:",
        "elif True:",
    ),
    Mutant(
        "a claim that was created and then refused is given up",
        "elif body.nonce == one.nonce:",
        "elif False:",
    ),
    Mutant(
        "no fence: segments are published without a look",
        "        job.flushed = True\n        self.look(hold, now)\n",
        "        job.flushed = hold.busy = True\n        self._publish(hold, now)\n",
    ),
    Mutant(
        "the look notices cuts but not successors",
        "        if event.names:\n            found = keys.parse_claim(event.names[0][0])\n            if found.start ==",
        "        if event.names and keys.parse_claim(event.names[0][0]).start != hold.claim.start:\n"
        "            found = keys.parse_claim(event.names[0][0])\n            if found.start ==",
    ),
    Mutant(
        "a slot continues after a long task without a look",
        "            self._go_on_unanswered(hold, now)\n",
        "            self._go_on(hold, now)\n",
    ),
    Mutant(
        "no truncation after a split",
        "                self._cut_short(hold, found.start)\n",
        "                pass\n",
    ),
    Mutant(
        "a cut range ends one task too late",
        "                self._cut_short(hold, found.start)\n",
        "                self._cut_short(hold, found.start + 1)\n",
    ),
    Mutant(
        "a live owner's range is recovered",
        "or not state.fleet.dead(owner, patience):",
        "or False:",
    ),
    Mutant(
        "a laptop that wakes up considers the fleet dead",
        "self.watched += min(self.most, now - self.listed_at)",
        "self.watched += now - self.listed_at",
    ),
    Mutant(
        "two workers take a task from each other for ever",
        "patience = DEAD_AFTER * 2 ** min(claim.number, 4) * state.manifest.interval",
        "patience = DEAD_AFTER * state.manifest.interval",
    ),
    Mutant(
        "lazy flush after a recovery: poison is blamed on the first unpublished task",
        "fed = min(mine.stop, mine.start + poison.piece(0)) if one.claim.number else mine.stop",
        "fed = mine.stop",
    ),
    Mutant(
        "a suspected task runs beside others",
        "return claim.number >= poison.ALONE_FROM and not passed and bool(self._suspects(jid, claim))",
        "return False",
    ),
    Mutant(
        "two deaths are enough to give a task up",
        "DEATHS = 3  # deaths",
        "DEATHS = 2  # deaths",
    ),
    Mutant(
        "a clean exit without .gone counts as a death",
        "seen = [code for code in codes if code]",
        "seen = [code for code in codes if code is not None]",
    ),
    Mutant(
        "an external end counts against the running task",
        "BLAMED = frozenset({EndCause.CRASH, EndCause.MEMORY})",
        "BLAMED = frozenset({EndCause.CRASH, EndCause.MEMORY, EndCause.SPOT})",
    ),
    Mutant(
        "a worker writes its .gone while a heartbeat is under way",
        "if not self.done or state.writing or self.stage:",
        "if not self.done or self.stage:",
    ),
    Mutant(
        "poison is never given up",
        "        if poison.guilty(ends):",
        "        if False:",
    ),
    Mutant(
        "a reader lists only from the newest key that it saw",
        "self._after = max(self._after, keys.results_after(newest - int(WINDOW * 1000)))",
        "self._after = max(self._after, keys.results_after(newest))",
    ),
    Mutant(
        "a client believes its own final",
        "            self._questions.read(event.key, Final)  # done or refused",
        '            self._adopt(make_final(self.job.jid, self.cover, 0.0, by="client"))  # done or refused',
    ),
    Mutant(
        "final is written one task too early",
        "        if job.cover.whole:",
        "        if job.cover.covered >= job.cover.tasks - 1:",
    ),
    Mutant(
        "a client reports that no worker lives without a second look",
        "if not job.looked_again]",
        "if False]",
    ),
    Mutant(
        "tasks start after a cancel was read",
        "            state.close(state.jobs[jid])\n            for hold in state.of(jid):\n"
        "                state.stop(hold, kill=True)\n",
        "            pass\n",
    ),
    Mutant(
        "control entries are ordered by clients' clocks",
        "scales = [(c.revision, c.at, c.workers)",
        "scales = [(c.at, c.revision, c.workers)",
    ),
    Mutant(
        "the last requested deadline counts, not the latest",
        "deadline=max((c.deadline or 0.0 for c in controls), default=0.0),",
        "deadline=next((c.deadline for c in controls if c.deadline), 0.0),",
    ),
    Mutant(
        "a start is retried with another token",
        "for token in due.again:\n            self._start(token, now)",
        'for token in due.again:\n            self._start(f"{token}x", now)',
    ),
    Mutant(
        "a worker that was replaced is replaced again",
        "owed = [token for token in tokens if token not in announced]",
        "owed = [replacement_token(sid, f'{token} {now}') if token in announced else token for token in tokens]",
    ),
    Mutant(
        "the budget is ignored",
        "if budget is None or listed_at is None:",
        "if True:",
    ),
    Mutant(
        "a worker that died long ago is billed until now",
        "if gone is None and beat + silence >= wall - unheard:",
        "if gone is None:\n            return wall + ahead\n        if False:",
    ),
    Mutant(
        "the deadline is ignored",
        "(EndCause.DEADLINE, now >= max(deadline, sure_at)),",
        "(EndCause.DEADLINE, False),",
    ),
    Mutant(
        "idle workers stay for ever",
        "(EndCause.IDLE, not busy and now >= idle_at and not self._kept(now)),",
        "(EndCause.IDLE, False),",
    ),
    Mutant(
        "all workers stay for an unfinished job",
        "(self._blind() or self._rank() < KEPT)",
        "True",
    ),
    Mutant(
        "an idle worker exits without a last look",
        "if self._state.ending is EndCause.IDLE:\n            self.stage",
        "if False:\n            self.stage",
    ),
    Mutant(
        "outcomes are held until the range is done",
        "at_once = ended or hold.paused or hold.stopping or not job.flushed or hold.held >= MAX_HELD",
        "at_once, due = ended or bool(hold.stopping), float('inf')",
    ),
)

_HUNT = """
import sys
from burst_magic.testing.simulator import play_world
from mutants.directed import world
bug, *seeds = sys.argv[1:]
for seed in map(int, seeds):
    report = play_world(world(bug, seed))
    if report.broken:
        print(seed + 1, report.broken)
        break
"""


def sources(package: Path) -> dict[Path, str]:
    """The modules of the protocol."""
    return {path: path.read_text() for path in sorted((package / "protocol").rglob("*.py"))}


def planted(mutant: Mutant, modules: dict[Path, str]) -> tuple[Path, str]:
    """The module that the bug is in, and its text with the bug.

    Raises:
        LookupError: the text to replace is not there, or not once.
    """
    found = [path for path, text in modules.items() if mutant.old in text]
    if len(found) != 1 or modules[found[0]].count(mutant.old) != 1:
        raise LookupError(f"{mutant.name}: not once in burst_magic/protocol, but in {[path.name for path in found]}")
    return found[0], modules[found[0]].replace(mutant.old, mutant.new)


def caught_before() -> dict[str, int]:
    """The world in which each bug was caught when the page was written: most are caught there again, at once."""
    page = PAGE.read_text().partition(f"<!-- {MARK} -->")[2].partition(f"<!-- /{MARK} -->")[0]
    return {
        name: int(worlds) - 1 for name, worlds in re.findall(r"^\| (.+) \| \d \| (\d+)\b.* \|$", page, re.MULTILINE)
    }


def hunt(mutant: Mutant, seeds: int = SEEDS, *, first: int = 0) -> Catch:
    """Plays seeds over a copy with the bug in it until a law is broken; ``first`` before the others."""
    worlds = [first, *(seed for seed in range(seeds) if seed != first)]
    with tempfile.TemporaryDirectory() as copy:
        package = Path(copy) / "burst_magic"
        shutil.copytree(ROOT / "burst_magic", package, ignore=shutil.ignore_patterns("__pycache__"))
        path, text = planted(mutant, sources(package))
        path.write_text(text)
        done = subprocess.run(
            [sys.executable, "-c", _HUNT, mutant.name, *map(str, worlds)],
            cwd=copy,  # first on the path, before what is installed
            env={**os.environ, "PYTHONPATH": os.pathsep.join((copy, str(ROOT / "tests")))},
            check=True,
            capture_output=True,
            text=True,
        )
    caught = re.match(r"(\d+) law (\d): (.*)", done.stdout)
    if caught is None:
        return Catch(mutant, None, seeds, "")
    sound = play_world(world(mutant.name, int(caught[1]) - 1))
    if sound.broken is not None:
        raise RuntimeError(f"seed {sound.seed} breaks a law without any bug planted: {sound.broken}")
    return Catch(mutant, int(caught[2]), int(caught[1]), caught[3])


def table(catches: list[Catch]) -> str:
    """What the page shows."""
    rows = [
        f"| {catch.mutant.name} | {catch.law or 'survives'} | {catch.seeds}{directed(catch.mutant)} |"
        for catch in catches
    ]
    return "\n".join(["| planted | caught by law | seeds until then |", "|---|---|---|", *rows])


def directed(mutant: Mutant) -> str:
    """Tells the seeds of a directed world from those of drawn ones."""
    return ", directed" if mutant.name in DIRECTED else ""


def put(page: Path, mark: str, text: str) -> None:
    """Puts it between the marks of a page."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(end)
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}")


def main() -> int:
    """0 when all are caught."""
    parser = argparse.ArgumentParser(description="Plants bugs and shows that they are found.")
    parser.add_argument("--write", action="store_true", help="the table into docs/simulation.md")
    parser.add_argument("--only", default="", help="those with this in their names")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="worlds for each, at most")
    asked = parser.parse_args()
    began = time.monotonic()
    mutants = [mutant for mutant in MUTANTS if asked.only in mutant.name]
    elsewhere = [mutant for mutant in ELSEWHERE if asked.only in mutant.name]
    before = caught_before()
    if elsewhere and (broken := planting.fails_anyway(elsewhere)):
        print(f"fails without any bug planted: {broken}")
        return 1
    catches, verdicts = [], []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for catch in pool.map(lambda mutant: hunt(mutant, asked.seeds, first=before.get(mutant.name, 0)), mutants):
            catches.append(catch)
            law = f"law {catch.law}" if catch.law else "SURVIVES"
            seeds = f"{catch.seeds:5}{directed(catch.mutant)}"
            print(f"{seeds} {law:8} {catch.mutant.name}: {catch.said[:100]}", flush=True)
        for verdict in pool.map(planting.hunt, elsewhere):
            verdicts.append(verdict)
            print(f"{verdict.seconds:4.0f} s {verdict.mutant.name}: {verdict.caught_by or 'SURVIVES'}", flush=True)
    print(f"{len(catches) + len(verdicts)} mutants, {time.monotonic() - began:.0f} s")
    if asked.write:
        put(PAGE, MARK, table(catches))
        put(PAGE, MARK_ELSEWHERE, planting.table(verdicts))
    return int(not all([*(catch.law for catch in catches), *(verdict.caught_by for verdict in verdicts)]))


if __name__ == "__main__":
    sys.exit(main())
