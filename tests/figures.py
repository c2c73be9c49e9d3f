"""What the protocol costs, from the machines that run in production: simulated sessions in which nothing goes wrong.

python tests/figures.py             prints the tables
python tests/figures.py --write     and puts them into docs/simulation.md
"""

from __future__ import annotations

import argparse
import heapq
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import log2
from pathlib import Path
from statistics import median

from mutations import put

from burst_magic.plan import prices
from burst_magic.protocol.ranges import job_lanes
from burst_magic.protocol.wire import keys
from burst_magic.protocol.wire.model import SegmentKey
from burst_magic.testing.laws import Laws
from burst_magic.testing.scenario import Scenario
from burst_magic.testing.simclient import SimulatedClient
from burst_magic.testing.simworker import SimulatedWorker
from burst_magic.testing.weather import Weather
from burst_magic.testing.world import World

PAGE = Path(__file__).parent.parent / "docs" / "simulation.md"
LATENCY = 0.030  # seconds of a request, on average
INTERVAL, FLOOR = 20.0, 2.0  # S3's


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A session to be measured."""

    name: str
    tasks: int
    work: str
    task: float
    workers: int = 32
    draws: int = 1  # of its durations; what is shown are medians


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What it took: seconds, requests by kind, and what is in the log."""

    what: Work
    makespan: float
    busy: float
    ideal: float
    queue: float
    asked: dict[tuple[str, str], int]
    segments: int
    claims: int

    @property
    def requests(self) -> int:
        """All."""
        return sum(self.asked.values())

    @property
    def upkeep(self) -> int:
        """Heartbeats, looks at the fleet and at what is asked: they go on whether there is work or not."""
        return sum(count for (_, what), count in self.asked.items() if what in {"workers", "control"})


class Unwatched(Laws):
    """Laws that are proved elsewhere and would take long here."""

    def check_publish(self, worker: SimulatedWorker, jid: str, segment: SegmentKey) -> None:
        """Looks at every claim, each time."""

    def check_reader(self, client: SimulatedClient, asked_at: float) -> None:
        """Looks at every segment, each time."""


class Undisturbed(World):
    """A world without a trace."""

    def __init__(self, plan: Scenario) -> None:
        super().__init__(plan)
        self.laws = Unwatched(self)

    def tell(self, who: str, what: object) -> None:
        """Nobody will ask."""


def measure(what: Work, seed: int = 1) -> Cost:
    """Lives through one session, until ``final`` is written."""
    plan = Scenario(
        seed=seed,
        workers=what.workers,
        slots=1,
        tasks=what.tasks,
        interval=INTERVAL,
        floor=FLOOR,
        idle=300.0,
        lifetime=1e6,
        short=False,
        work=what.work,
        task=what.task,
        failing=0.0,
        boot=0.01,
        skew=0.0,
        reaps=False,
        weather=Weather(latency=LATENCY / 1.2),  # there and back, each 0.2 … 1 of it
        acts=(),
        calm=1e9,
    )
    world = Undisturbed(plan)
    world.submit(what.tasks, first=0)
    job = world.laws.keys.job("0")
    while job.final not in world.store.objects and world.clock.turn():
        pass
    each = [world.duration("0", task) for task in range(what.tasks)]
    return Cost(
        what=what,
        makespan=world.clock.now,
        busy=sum(each),
        ideal=max(sum(each) / what.workers, *each),
        queue=one_by_one(each, what.workers),
        asked=dict(world.store.asked),
        segments=len(world.store.names(job.results_folder)),
        claims=len([name for name, _ in world.store.names(job.claims_folder) if keys.parse_claim(name).start]) + 1,
    )


def one_by_one(each: Sequence[float], workers: int) -> float:
    """The makespan of a queue from which workers claim single tasks: two requests for each, the claim and the result."""
    free = [0.0] * workers
    for seconds in each:
        heapq.heappush(free, heapq.heappop(free) + seconds + 2 * LATENCY)
    return max(free)


def formula(cost: Cost) -> float:
    """Requests of a session; docs/simulation.md explains the terms."""
    workers, time = cost.what.workers, cost.makespan
    idle = workers * time - cost.busy
    come_and_go = 7 * workers
    beats = 3 * workers * time / INTERVAL
    segments = 2 * cost.segments
    waiting = idle * (1 / (2 * FLOOR) - 1 / INTERVAL + 3 / (10 * FLOOR))
    hunts = 3 * workers * log2(1 + min(40, 4 * idle / workers / FLOOR))
    owners = cost.asked.get(("get", "claims"), 0)
    finer = 1.5 * (len(job_lanes(cost.what.tasks, workers)) - min(workers, cost.what.tasks))
    reader = time / min(5.0, max(FLOOR / 4, 0.01 * time)) + 2 * time / INTERVAL + workers
    return come_and_go + beats + segments + waiting + hunts + owners + finer + reader


TABLE = (
    Work(name="10 ms", tasks=10_000, work="equal", task=0.01),
    Work(name="1 s", tasks=10_000, work="equal", task=1.0),
    Work(name="exp(1 s)", tasks=10_000, work="exp", task=1.0),
    Work(name="exp(30 s)", tasks=1_000, work="exp", task=30.0, draws=9),
    Work(name="pareto(1.3), from 1 s", tasks=1_000, work="pareto", task=1 / 0.3, draws=9),
)
SCALE = (
    Work(name="10 ms", tasks=256_000, work="equal", task=0.01, workers=256),
    Work(name="1 s", tasks=25_600, work="equal", task=1.0, workers=256),
    Work(name="exp(1 s)", tasks=25_600, work="exp", task=1.0, workers=256),
    Work(name="exp(30 s)", tasks=2_560, work="exp", task=30.0, workers=256),
)


def main() -> int:
    """Prints what was asked for."""
    parser = argparse.ArgumentParser(description="What the protocol costs, simulated.")
    parser.add_argument("--write", action="store_true", help="the tables into docs/simulation.md")
    parser.add_argument("--only", choices=("table", "scale"), help="one of the two")
    asked = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        for mark, works, draw in (("table", TABLE, table), ("scale", SCALE, scale)):
            if asked.only in {None, mark}:
                runs = [(work, seed) for work in works for seed in range(1, 1 + work.draws)]
                costs = list(pool.map(measure, *zip(*runs, strict=True)))
                text = draw([[cost for cost in costs if cost.what == work] for work in works])
                print(text, end="\n\n")
                if asked.write:
                    put(PAGE, mark, text)
    return 0


def table(measured: list[list[Cost]]) -> str:
    """The design's table, regenerated."""
    rows = []
    for costs in measured:
        what = costs[0].what
        columns = (
            [cost.makespan / cost.ideal for cost in costs],
            [cost.makespan / cost.queue for cost in costs],
            [(cost.requests - cost.upkeep) / what.tasks for cost in costs],
            [cost.requests / what.tasks for cost in costs],
        )
        rows.append(f"| {_whole(what.tasks)} | {what.name} | {' | '.join(f'{median(each):.2f}' for each in columns)} |")
    head = "| tasks | each | makespan ÷ ideal | makespan ÷ one-task-per-claim queue | requests per task | with upkeep |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _whole(number: float) -> str:
    return f"{number:,.0f}".replace(",", " ")


def scale(measured: list[list[Cost]]) -> str:
    """Requests beside the formula, and in dollars."""
    price = prices.requests()
    rows = []
    for (cost,) in measured:
        dollars = sum(count * (price.read if kind == "get" else price.write) for (kind, _), count in cost.asked.items())
        rows.append(
            f"| {_whole(cost.what.tasks)} | {cost.what.name} | {cost.makespan:.0f} s | {_whole(cost.segments)} "
            f"| {_whole(cost.requests)} | {_whole(formula(cost))} | {cost.requests / formula(cost) - 1:+.0%} "
            f"| ${dollars:.2f} | ${dollars / cost.what.tasks * 1e6:.2f} |"
        )
    head = "| tasks | each | makespan | segments | requests | formula | | dollars | a million such tasks |"
    return "\n".join([head, "|---|---|---|---|---|---|---|---|---|", *rows])


if __name__ == "__main__":
    sys.exit(main())
