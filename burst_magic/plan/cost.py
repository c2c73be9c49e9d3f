"""The cost of a fleet, by the second, in whole micro-dollars. Pure arithmetic.

Fargate bills each worker by the second with a minimum of one minute (aws.amazon.com/fargate/pricing).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, log

from burst_magic.dataclass import dataclass
from burst_magic.plan import prices
from burst_magic.plan.prices import FargatePrice, Market, RequestPrice
from burst_magic.plan.shapes import Shape
from burst_magic.protocol import money
from burst_magic.units import MIB_PER_GB, MICRO

HOUR = 3600
MINIMUM = 60  # minimum billed seconds
UNPRICED = "the price of its workers is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A forecast for a whole fleet; money is micro-dollars.

    Attributes:
        hourly: while all workers are running.
        seconds: until the last task is done, None if the duration of a task is unknown.
        total: until then, None if unknown; a fleet without a rate always costs 0.
        requests: the part of ``total`` for store requests.
        at_most: money is an upper bound, because nobody tells the price of what will probably run.
    """

    hourly: int
    seconds: float | None
    total: int | None
    requests: int = 0
    at_most: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Number of store requests: writes are PUT and LIST, reads are GET."""

    writes: int
    reads: int


Rate = Callable[[Shape, Market], int | None]  # micro-dollars an hour of one worker; None: its price is not known


def rate(shape: Shape, price: FargatePrice) -> int:
    """Micro-dollars per hour for one worker."""
    return round(MICRO * (shape.cpu * price.vcpu + shape.memory / MIB_PER_GB * price.gb))


def free(shape: Shape, market: Market) -> int:  # noqa: ARG001 - one signature for all launchers
    """The rate of free workers."""
    return 0


def on_fargate(shape: Shape, market: Market) -> int | None:
    """Micro-dollars an hour of one worker on Fargate."""
    return None if market.fargate is None else rate(shape, market.fargate)


def on_fargate_spot(shape: Shape, market: Market) -> int | None:
    """Micro-dollars an hour of one worker on Fargate Spot, at the smallest discount that is reported for it."""
    ceiling = on_fargate(shape, market)
    return None if ceiling is None else round(ceiling * prices.fargate_spot_share())


def no_address(options: Mapping[str, str]) -> int:  # noqa: ARG001 - one signature for all launchers
    """The rate of workers without a public address."""
    return 0


def public_address(options: Mapping[str, str]) -> int:
    """Micro-dollars an hour of the public IPv4 address of one worker, which ``public_ip = "false"`` spares."""
    return 0 if options.get("public_ip", "true").lower() == "false" else round(MICRO * prices.address())


def charge(rate: int, seconds: float) -> int:
    """Micro-dollars for one worker that lived so long; one that never lived costs nothing."""
    return round(money.charge(rate, ceil(seconds), minimum=MINIMUM))


def duration(tasks: int, sample: float, *, lanes: int) -> float:
    """Seconds for ``tasks`` of ``sample`` seconds each, ``lanes`` at a time."""
    return ceil(tasks / lanes) * sample


def count_requests(tasks: int, seconds: float, *, workers: int, slots: int, interval: float, floor: float) -> Requests:
    """An upper estimate from the protocol's own rules (flush rule, heartbeats, claims).

    Args:
        tasks: of the job.
        seconds: of the whole run.
        workers: in the fleet.
        slots: in each worker.
        interval: between heartbeats, seconds.
        floor: shortest time between two flushes of a slot, seconds.
    """
    lanes = workers * slots
    flushes = min(tasks, lanes * ceil(_flushes(seconds, max(floor, floor * workers / 32))))
    beats = workers * (1 + ceil(seconds / interval))
    started = 2 * workers + lanes  # .next, .gone and one claim per lane
    submitted = 8  # manifest, control, payload, items, job.json, final and two LISTs
    return Requests(writes=2 * (flushes + beats) + started + submitted, reads=flushes + 4 * workers)


def price_requests(requests: Requests, price: RequestPrice) -> int:
    """Micro-dollars for that many requests."""
    return round(MICRO * (requests.writes * price.write + requests.reads * price.read))


def _flushes(seconds: float, floor: float) -> float:
    """How often one slot flushes: every min(30 s, max(floor, 2 % of elapsed)), integrated over the run."""
    steady, slow = 50 * floor, 1500.0
    count = min(seconds, steady) / floor
    if seconds > steady:
        count += 50 * log(max(1.0, min(seconds, slow) / steady))
    return count + max(0.0, seconds - max(slow, steady)) / 30
