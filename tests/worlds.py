"""More seeded worlds than the tests play, on all cores.

make sim N=5000 FROM=0              ends at the first broken law, with its story
python tests/worlds.py keep 17 "what it found"      keeps a world for ever, among the regressions
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from multiprocessing import get_context
from pathlib import Path

from burst_magic.testing import regressions
from burst_magic.testing.scenario import draw
from burst_magic.testing.simulator import Report, play

REGRESSIONS = Path(__file__).parent / "simulation" / "regressions.json"


def main(first: int, count: int) -> int:
    """Plays the seeds ``first`` … on all cores; 0 when every law held."""
    began = time.monotonic()
    failed, steps, requests = play_all(range(first, first + count))
    if failed is not None:
        tell(failed)
        return 1
    seconds = time.monotonic() - began
    print(
        f"{count} worlds from seed {first}: all laws held; {steps} steps, {requests} requests, "
        f"{seconds:.1f} s, {count / seconds:.0f} worlds a second"
    )
    return 0


def play_all(seeds: Iterable[int]) -> tuple[Report | None, int, int]:
    """Until one fails: that one, and the steps and requests of all."""
    requests = steps = 0
    with get_context("spawn").Pool() as pool:
        for report in pool.imap_unordered(play, seeds, chunksize=8):
            if report.broken:
                return report, steps, requests
            requests += report.requests
            steps += report.steps
    return None, steps, requests


def tell(report: Report) -> None:
    """The world that went wrong; it belongs among the regressions."""
    print(report.story)
    print(f"seed {report.seed}: {report.broken}", file=sys.stderr)
    print(f'python tests/worlds.py keep {report.seed} "what it found"', file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1] == "keep":
        regressions.keep(REGRESSIONS, sys.argv[3], draw(int(sys.argv[2])))
    else:
        sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
