"""More seeded worlds than the tests play: `make sim N=5000 FROM=0`. Ends at the first broken law, with its story."""

from __future__ import annotations

import sys
import time
from multiprocessing import get_context

from burst_magic.testing.simulator import Report, play


def main(first: int, count: int) -> int:
    """Plays the seeds ``first`` … on all cores; 0 when every law held."""
    began = time.monotonic()
    requests = steps = 0
    with get_context("spawn").Pool() as pool:
        for report in pool.imap_unordered(play, range(first, first + count)):
            if report.broken:
                tell(report)
                return 1
            requests += report.requests
            steps += report.steps
    seconds = time.monotonic() - began
    print(f"{count} worlds from seed {first}: all laws held; {steps} steps, {requests} requests, {seconds:.1f} s")
    return 0


def tell(report: Report) -> None:
    """The world that went wrong; its seed belongs among the regressions."""
    print(report.story)
    print(f"seed {report.seed}: {report.broken}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
