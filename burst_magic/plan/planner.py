"""Turn a request into a plan: workers, size, rate, forecast, budget check. Pure; reads no settings file.

A fleet of this machine has the rate 0, so that a budget never refuses it; what Fargate would charge for the same is
said beside it. What differs between launchers comes in as their terms: nothing here knows one by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil
from typing import Protocol

from burst_magic.dataclass import dataclass
from burst_magic.errors import BudgetExceeded, PlanError
from burst_magic.plan import cost, prices
from burst_magic.plan.cost import Estimate, Rate
from burst_magic.plan.machine import Machine, crowding, slot_limit_mb
from burst_magic.plan.prices import Market, PriceList
from burst_magic.plan.shapes import Shape, choose
from burst_magic.units import format_duration, format_money

_DEAREST_ARCH = "x86_64"
S3_INTERVAL, S3_FLOOR = 20.0, 2.0  # the protocol's two intervals on S3


class FleetRequest(Protocol):
    """The part of ``config.Settings`` about a fleet, in the same units."""

    @property
    def workers(self) -> int:
        """Maximum number of workers."""

    @property
    def slots(self) -> int:
        """Tasks at a time in one worker."""

    @property
    def cpu(self) -> float | None:
        """vCPU, or None if unset."""

    @property
    def memory(self) -> int | None:
        """MiB, or None if unset."""

    @property
    def arch(self) -> str | None:
        """``x86_64`` or ``arm64``, or None if unset."""

    @property
    def env(self) -> str:
        """``sync``, ``image`` or ``image:URI``."""

    @property
    def budget(self) -> int | None:
        """Micro-dollars, or None for no limit."""

    @property
    def max_hourly_cost(self) -> int | None:
        """Micro-dollars an hour above which nothing starts, or None."""

    @property
    def cost_alert(self) -> int | None:
        """Micro-dollars an hour above which a plan warns, or None."""

    @property
    def store(self) -> str:
        """The store's URL."""

    @property
    def aws(self) -> Mapping[str, str]:
        """Where in the user's account workers start."""


class Terms(Protocol):
    """What ``launchers.Traits`` say about place and price."""

    @property
    def here(self) -> bool:
        """Workers share the kernel's machine."""

    @property
    def stores(self) -> tuple[str, ...]:
        """Kinds of stores that its workers can reach, by scheme; empty: all."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Settings of ``[aws]`` without which no worker starts."""

    @property
    def refuses(self) -> Mapping[str, str]:
        """Options that it cannot satisfy, each with the reason."""

    @property
    def syncs(self) -> bool:
        """Its workers can begin in a bare Python and install the kernel's packages."""

    @property
    def rate(self) -> Rate:
        """What one worker costs an hour."""

    @property
    def ceiling(self) -> Rate | None:
        """What it costs at most, where ``rate`` is a guess."""

    @property
    def address(self) -> Callable[[Mapping[str, str]], int]:
        """Micro-dollars an hour of the public address of one worker, by the settings of ``[aws]``."""

    @property
    def minimum(self) -> float:
        """Seconds that are billed of a worker at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Options that only a cloud can satisfy: ``--gpus``, ``--instance-type``."""

    gpus: int = 0
    instance_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A fleet that may start.

    Attributes:
        workers: the requested number; later jobs of the session may need them all.
        starting: number to start for this job; never more than there are tasks.
        shape: size of one worker.
        rate: micro-dollars an hour of one worker with this launcher; 0 if nothing is known of its price.
        ceiling: the same at most, of whatever launcher starts it; limits by the hour count this.
        priced: whether all prices are known.
        fallback: the launcher that starts workers when the first has no room for them, or empty.
        fallback_rate: micro-dollars an hour of one worker of that.
        minimum: seconds that are billed of a worker at least.
        arch: of the workers, "" for that of the account's own settings where these could not be read.
        waves: tasks per slot, None if the number of tasks is unknown.
        estimate: with this launcher, or its fallback where that costs more.
        fargate_rate: micro-dollars an hour of one worker on Fargate.
        fargate: the estimate on Fargate.
        region: of these two prices: the default one if those of the configured region are not known.
        env: what ``--env`` asks for.
        syncs: its workers begin in a bare Python and install the kernel's packages.
        wishes: options that only a cloud can satisfy.
        options: the settings that its launchers start workers with.
    """

    launcher: str
    workers: int
    starting: int
    slots: int
    shape: Shape
    arch: str
    tasks: int | None
    waves: int | None
    rate: int
    estimate: Estimate
    fargate_rate: int
    fargate: Estimate
    region: str
    ceiling: int = 0
    priced: bool = True
    fallback: str = ""
    fallback_rate: int = 0
    minimum: float = 0.0
    warnings: tuple[str, ...] = ()
    env: str = "sync"
    syncs: bool = False
    wishes: Wishes = Wishes()
    options: tuple[tuple[str, str], ...] = ()
    slot_limit_mb: float | None = None  # what a slot of this machine may occupy


_NO_WISHES = Wishes()


def plan(
    asked: FleetRequest,
    terms: Mapping[str, Terms],
    *,
    tasks: int | None,
    sample: float | None = None,
    wishes: Wishes = _NO_WISHES,
    starts: bool = True,
    own_arch: str = "",
    price_list: PriceList | None = None,
    machine: Machine | None = None,
) -> Plan:
    """Make a plan, or refuse before anything starts.

    Args:
        asked: the settings.
        terms: of the launcher and, if there is one, of its fallback, by name.
        tasks: number of tasks, None if unknown (a generator).
        sample: measured seconds per task, if known.
        wishes: options that only a cloud can satisfy.
        starts: something will be started; without, what a launcher lacks is a warning of the plan.
        own_arch: the architecture of workers for which none is asked; "" if unknown: they are priced as x86_64.
        price_list: the prices; by default, those that come with this version.
        machine: where workers start that share the kernel's; without, they have no limit there.

    Raises:
        PlanError: no such worker size, an option that this launcher cannot satisfy, a setting that it lacks.
        BudgetExceeded: the estimate is above the budget or the limit per hour, or there is one and no price is known.
    """
    launcher, *others = terms
    for name, each in terms.items():
        refuse(name, each, wishes, env=asked.env)
    lacks = [why for name, each in terms.items() if (why := _lack(name, each, asked))]
    if lacks and starts:
        raise lacks[0]
    region = asked.aws.get("region", "")
    shape = choose(asked.cpu, asked.memory, slots=asked.slots)
    starting = asked.workers if tasks is None else max(1, min(asked.workers, ceil(tasks / asked.slots)))
    syncs = asked.env == "sync" and all(each.syncs for each in terms.values())
    arch = asked.arch or own_arch or (_DEAREST_ARCH if syncs else "")  # packages are of one architecture
    listed = price_list or prices.shipped()
    priced_as = arch or _DEAREST_ARCH
    example = listed.example(priced_as, region)
    fargate_rate = cost.on_fargate(shape, example) or 0
    market = listed.market(priced_as, region)
    rates = _rates(terms, shape, market, asked.aws)
    rate, *more = (each or 0 for each in rates.usual)
    dearest = max(each or 0 for each in rates.most)
    fargate = _estimate(fargate_rate, tasks, sample, workers=starting, slots=asked.slots)
    free = Estimate(hourly=0, seconds=fargate.seconds, total=None if None in rates.most else 0)
    estimate = _estimate(dearest, tasks, sample, workers=starting, slots=asked.slots) if dearest else free
    estimate = replace(estimate, at_most=dearest > rate)
    unknown = [] if None not in rates.most else [f"{_unknown(launcher, market)}; the run will show no cost"]
    crowd, limit = _on(machine if all(each.here for each in terms.values()) else None, starting, asked)
    made = Plan(
        launcher=launcher,
        workers=asked.workers,
        starting=starting,
        slots=asked.slots,
        shape=shape,
        arch=arch,
        tasks=tasks,
        waves=None if tasks is None else ceil(tasks / (starting * asked.slots)),
        rate=rate,
        estimate=estimate,
        fargate_rate=fargate_rate,
        fargate=fargate,
        region=example.region,
        ceiling=dearest,
        priced=None not in rates.most,
        fallback="".join(others),
        fallback_rate=sum(more),
        minimum=max(each.minimum for each in terms.values()),
        warnings=(
            *(lack.problem for lack in lacks),
            *(_warnings(asked, shape, estimate) if dearest else ()),
            *unknown,
            *crowd,
        ),
        env=asked.env,
        syncs=syncs and not lacks,
        wishes=wishes,
        options=tuple(asked.aws.items()) if any(each.needs for each in terms.values()) else (),
        slot_limit_mb=limit,
    )
    if not made.priced:
        _check_unpriced(launcher, market, asked)
    check_budget(made.estimate, asked.budget)
    check_least(made, asked.budget)
    check_hourly(made.estimate.hourly, asked.max_hourly_cost)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rates:
    """What one worker of each launcher costs an hour, as a rule and at most; None: not known."""

    usual: tuple[int | None, ...]
    most: tuple[int | None, ...]


def _rates(terms: Mapping[str, Terms], shape: Shape, market: Market, aws: Mapping[str, str]) -> _Rates:
    def whole(each: Terms, rate: Rate) -> int | None:
        alone = rate(shape, market)
        return None if alone is None else alone + each.address(aws)

    usual = tuple(whole(each, each.rate) for each in terms.values())
    return _Rates(usual=usual, most=tuple(whole(each, each.ceiling or each.rate) for each in terms.values()))


def _unknown(launcher: str, market: Market) -> str:
    return f"no price is known for {market.arch} workers of {launcher} in {market.region}"


def _check_unpriced(launcher: str, market: Market, asked: FleetRequest) -> None:
    """A limit that nobody can keep is a reason not to start."""
    limits = {"budget": asked.budget, "max_hourly_cost": asked.max_hourly_cost}
    for name, limit in limits.items():
        if limit is not None:
            raise BudgetExceeded(
                f"{_unknown(launcher, market)}, so the {name} of {format_money(limit)} cannot be kept",
                context="nothing was started",
                way_out=f"`burst cost --refresh` asks AWS for its prices; or start without {name}",
            )


def threads(lanes: int, *, here: bool, slots: int, cores: int, cpu: float) -> int:
    """The number of threads a task may use for BLAS, OpenMP and similar libraries, so that concurrent tasks get as
    many.

    Args:
        lanes: tasks at a time in the whole fleet.
        here: workers share this machine's cores; others have their own.
        slots: of them in one worker.
        cores: usable on this machine.
        cpu: vCPU of a worker.
    """
    return max(1, cores // max(1, lanes) if here else int(cpu) // slots)


def refuse(launcher: str, terms: Terms, wishes: Wishes, *, env: str) -> None:
    """Raise ``PlanError`` for the first option that this launcher cannot satisfy, with its reason."""
    image = env if env.startswith("image:") else ""
    asked = {
        "gpus": ("--gpus", bool(wishes.gpus)),
        "instance_type": ("--instance-type", bool(wishes.instance_type)),
        "image": (f"--env {image}", bool(image)),
    }
    for name, (option, is_asked) in asked.items():
        if is_asked and name in terms.refuses:
            raise PlanError(f"{option}: {launcher} {terms.refuses[name]}")


def _lack(launcher: str, terms: Terms, asked: FleetRequest) -> PlanError | None:
    """A setting that this launcher lacks, or that its workers could not reach the store."""
    missing = [f"aws.{name}" for name in terms.needs if not asked.aws.get(name)]
    if missing:
        return PlanError(
            f"{launcher} is not set up: no {', '.join(missing)}",
            context="nothing was started",
            way_out="burst sandbox starts a stand-in for AWS and prints what to export",
        )
    scheme = asked.store.partition("://")[0]
    if terms.stores and scheme not in terms.stores:
        ways = " or ".join(f"--store {each}://…" for each in terms.stores)
        return PlanError(f"{launcher} workers cannot reach {asked.store}", context="nothing was started", way_out=ways)
    return None


def check_budget(estimate: Estimate, budget: int | None) -> None:
    """Raise ``BudgetExceeded`` if the forecast is known and above ``budget`` (micro-dollars)."""
    if budget is None or estimate.total is None or estimate.total <= budget:
        return
    raise BudgetExceeded(
        f"the estimate is {format_money(estimate.total)}, the budget {format_money(budget)}",
        context="nothing was started",
        way_out="use fewer items, smaller workers, or a larger --budget",
    )


def check_least(made: Plan, budget: int | None) -> None:
    """Raise ``BudgetExceeded`` if what is billed of the workers at least is above ``budget`` (micro-dollars)."""
    least = made.starting * cost.charge(made.rate, made.minimum)
    if budget is None or least <= budget:
        return
    workers = f"{made.starting} worker{'s' * (made.starting > 1)}"
    raise BudgetExceeded(
        f"{workers} cost at least {format_money(least)}, as each is billed for {format_duration(made.minimum)}; "
        f"the budget is {format_money(budget)}",
        context="nothing was started",
        way_out="use fewer or smaller workers, or a larger --budget",
    )


def check_hourly(hourly: int, limit: int | None) -> None:
    """Raise ``BudgetExceeded`` if a fleet costs more than ``limit`` an hour (micro-dollars)."""
    if limit is None or hourly <= limit:
        return
    raise BudgetExceeded(
        f"the workers cost {format_money(hourly)} an hour, and max_hourly_cost is {format_money(limit)}",
        context="nothing was started",
        way_out="use fewer or smaller workers, or %burst_config max_hourly_cost=DOLLARS",
    )


def summary(made: Plan) -> str:
    """One line for display: the fleet, its price, and Fargate's price if it differs."""
    few = f" of {made.workers}" if made.starting < made.workers else ""
    parts = [f"{made.starting}{few} {made.launcher} worker{'s' * (made.workers > 1)}"]
    if made.fallback:
        parts[0] += f" ({made.fallback} where there is no room)"
    if made.slots > 1:
        parts[0] += f" × {made.slots} slots"
    if not made.priced:
        parts.append(f"{made.shape}, price unknown")
    elif not made.estimate.hourly:
        parts.append(f"on Fargate ({made.shape}, {made.region}) {_forecast(made.fargate)}")
    else:
        parts.append(f"{made.shape}, {made.region}, {_forecast(made.estimate)}")
    return "; ".join(parts)


def _estimate(rate: int, tasks: int | None, sample: float | None, *, workers: int, slots: int) -> Estimate:
    if tasks is None or sample is None:
        return Estimate(hourly=rate * workers, seconds=None, total=None)
    seconds = cost.duration(tasks, sample, lanes=workers * slots)
    counted = cost.count_requests(tasks, seconds, workers=workers, slots=slots, interval=S3_INTERVAL, floor=S3_FLOOR)
    requests = cost.price_requests(counted, prices.requests())
    total = workers * cost.charge(rate, seconds) + requests
    return Estimate(hourly=rate * workers, seconds=seconds, total=total, requests=requests)


def _forecast(estimate: Estimate) -> str:
    about = "at most" if estimate.at_most else "≈"
    if estimate.total is None or estimate.seconds is None:
        return f"{about} {format_money(estimate.hourly)} an hour, time unknown"
    return f"{about} {format_money(estimate.total)} in {coarse(estimate.seconds)}"


def coarse(seconds: float) -> str:
    """Round to the precision of a forecast."""
    unit = 1 if seconds < 120 else 60 if seconds < 7200 else 3600
    return format_duration(max(1, round(seconds / unit)) * unit)


def _on(machine: Machine | None, starting: int, asked: FleetRequest) -> tuple[list[str], float | None]:
    """Warnings about a fleet of this machine, and what one slot may occupy there."""
    if machine is None:
        return [], None
    crowd = crowding(machine, workers=starting, slots=asked.slots)
    return [crowd] * bool(crowd), slot_limit_mb(machine, workers=asked.workers, slots=asked.slots)


def _warnings(asked: FleetRequest, shape: Shape, estimate: Estimate) -> tuple[str, ...]:
    """Warnings about plans that may surprise, where they cost money."""
    said = []
    if asked.slots > shape.cpu:
        said.append(f"{asked.slots} slots share {shape.cpu:g} vCPU")
    if asked.budget is not None and estimate.total is None:
        lasts = coarse(asked.budget * cost.HOUR / estimate.hourly)
        said.append(f"the run time is unknown; the budget of {format_money(asked.budget)} lasts {lasts}")
    if asked.cost_alert is not None and estimate.hourly > asked.cost_alert:
        said.append(
            f"the workers cost {format_money(estimate.hourly)} an hour, more than the cost_alert of "
            f"{format_money(asked.cost_alert)}"
        )
    return tuple(said)
