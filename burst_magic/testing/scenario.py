"""The scenario of a simulated world, drawn from its seed: sizes, durations, weather and a schedule of deeds."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from random import Random

from burst_magic.dataclass import dataclass
from burst_magic.protocol.client.starts import STARTING
from burst_magic.testing.cloud import CloudWeather
from burst_magic.testing.orders import ORDERS
from burst_magic.testing.weather import Weather


class Deed(str, Enum):
    """Something that happens to a world. ``Act.target`` chooses among workers or clients alive at that time."""

    CRASH = "a worker crashes"
    TERM = "a worker gets SIGTERM"
    PAUSE = "a worker is paused"
    SLEEP = "a client is paused"
    KERNEL_DIES = "a client crashes"
    ATTACH = "a client attaches"
    LOOK = "a client attaches without the key"
    CANCEL = "the session is cancelled"
    CANCEL_JOB = "a job is cancelled"
    CLOSE = "the session is closed"
    EXTEND = "the deadline is moved"
    SCALE = "the fleet is scaled"
    ADD = "a job is added"
    HALF_ADD = "a client dies while it adds a job"
    WAVE = "half the fleet gets SIGTERM"
    WAVE_AT_ONCE = "half the fleet crashes"
    LAPTOP = "the laptop sleeps: all workers and clients pause together"
    OUTAGE = "the store is down"
    CUT_OFF = "a worker is cut off from the store"
    MISTAKEN = "a living worker's .gone is written"
    JOIN = "a worker joins late"
    SPOT = "the cloud takes a worker back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One deed; ``size`` is a duration in seconds, or a number of workers or tasks, depending on the deed."""

    at: float
    deed: Deed
    target: int = 0
    size: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A world's parameters. Times are in seconds.

    Attributes:
        work: the distribution of task durations (exp, equal, pareto), or their order (``orders.ORDERS``).
        task: mean duration of a task.
        failing: the share of tasks that raise.
        skew: maximum error of a worker's wall clock.
        reaps: attached clients see ended processes and write their ``.gone``.
        lifetime: time until the deadline.
        short: the deadline comes in the middle of the work.
        calm: no deeds happen from then on, and a client that stays attaches.
        client_skew: maximum error of a client's wall clock.
        poison: tasks of the first job that kill their whole worker each time they run.
        tells_exit: a client that reaps a worker knows its exit code.
        rate: micro-dollars per worker and hour.
        budget: micro-dollars of the session; 0 is no limit.
        stutter: (every, still): every so many intervals, each worker pauses for so many, as on a swapping machine.
        sluggish: additional seconds that the first worker takes to start.
        cloud: behaviour of the cloud that starts workers; None: they start immediately, as on this machine.
        spare: behaviour of the fallback cloud.
        announced: so many workers are announced, and then the first client dies; None: it lives.
    """

    seed: int
    workers: int
    slots: int
    tasks: int
    interval: float
    floor: float
    idle: float
    lifetime: float
    short: bool
    work: str
    task: float
    failing: float
    boot: float
    skew: float
    reaps: bool
    weather: Weather
    acts: tuple[Act, ...]
    calm: float
    client_skew: float = 0.0
    poison: tuple[int, ...] = ()
    tells_exit: bool = True
    rate: int = 0
    budget: int = 0
    stutter: tuple[float, float] | None = None
    sluggish: float = 0.0
    cloud: CloudWeather | None = None
    spare: CloudWeather | None = None
    announced: int | None = None


_USUAL = (Deed.CRASH, Deed.CRASH, Deed.CRASH, Deed.TERM, Deed.PAUSE, Deed.KERNEL_DIES, Deed.ATTACH, Deed.LOOK, Deed.ADD)
_RARE = (Deed.SLEEP, Deed.CANCEL, Deed.CANCEL_JOB, Deed.CLOSE, Deed.EXTEND, Deed.SCALE, Deed.SCALE, Deed.HALF_ADD)
_HARD = (Deed.WAVE, Deed.WAVE_AT_ONCE, Deed.LAPTOP, Deed.OUTAGE, Deed.CUT_OFF, Deed.MISTAKEN, Deed.MISTAKEN, Deed.JOIN)


def draw(seed: int) -> Scenario:
    """The scenario of a seed."""
    rng = Random(seed)  # noqa: S311 - reproducible randomness
    slow = rng.random() < 0.3  # S3's pace or a folder's
    interval, floor = (20.0, 2.0) if slow else (1.0, rng.choice((0.05, 0.2)))
    workers, slots = rng.choice((1, 2, 2, 3, 4)), rng.choice((1, 1, 2))
    tasks = rng.choice((0, 1, 3, 10, 25, 60))
    task = rng.choice((0.01, 0.1, 0.5, 2.0)) * (interval if slow else 1.0) / rng.choice((1.0, 4.0))
    span = max(interval, min(40 * interval, tasks * task / max(1, workers * slots)))
    short = rng.random() < 0.05
    plan = Scenario(
        seed=seed,
        workers=workers,
        slots=slots,
        tasks=tasks,
        interval=interval,
        floor=floor,
        idle=interval * rng.choice((2.0, 6.0)),
        lifetime=span * rng.uniform(0.3, 2) if short else 4 * span + 200 * interval + 4 * (tasks + 60) * task,
        short=short,
        work=rng.choice(("exp", "equal", "pareto")),
        task=task,
        failing=rng.choice((0.0, 0.0, 0.1)),
        boot=rng.choice((0.05, 0.3, 1.0)) * interval,
        skew=rng.choice((0.0, 1.0, 5.0)),
        reaps=rng.random() < 0.5,
        weather=_weather(rng, interval),
        acts=_acts(rng, span, interval),
        calm=2 * span + 2 * interval,
    )
    return _interrupted(_in_the_cloud(_in_order(_harder(plan, span)), span))


def _interrupted(plan: Scenario) -> Scenario:
    """In some worlds, kill the first client while it announces workers."""
    rng = Random(f"{plan.seed} interrupted")  # noqa: S311 - reproducible randomness
    return replace(plan, announced=rng.randrange(plan.workers)) if rng.random() < 0.06 else plan


def _harder(plan: Scenario, span: float) -> Scenario:
    """Make some worlds harder, with separate randomness."""
    rng = Random(f"{plan.seed} harder")  # noqa: S311 - reproducible randomness
    interval = plan.interval
    hard = [rng.choice(_HARD) for _ in range(rng.choice((0, 0, 1, 2)))]
    if rng.random() < 0.05:  # two clients with different requests and different clocks
        hard += [Deed.ATTACH, Deed.SCALE, Deed.SCALE]
    acts = [_act(rng, deed, span, interval) for deed in hard]
    poison: tuple[int, ...] = ()
    if plan.tasks and rng.random() < 0.15:
        poison = tuple(sorted({rng.randrange(plan.tasks) for _ in range(rng.choice((1, 1, 2)))}))
    rate = budget = 0
    if rng.random() < 0.1:
        rate = 3_600_000  # a thousand micro-dollars a second
        budget = int(1000 * plan.workers * (span + 2 * interval) * rng.choice((0.2, 0.6, 1.5, 20.0)))
    stutter = rng.random() < 0.04 and not poison
    late = plan.weather.lateness if plan.weather.late else 0.0  # a dead worker may seem alive so long
    if stutter:  # tasks long enough that each is interrupted
        plan = replace(plan, tasks=min(plan.tasks, 3), workers=max(plan.workers, 2), task=40 * interval)
    more = 5 * STARTING + (300 * interval + 4 * late) * len(poison) + (2000 * interval if stutter else 0.0)
    plan = replace(
        plan,
        acts=tuple(sorted((*plan.acts, *acts), key=lambda act: act.at)),
        client_skew=600.0 if hard.count(Deed.SCALE) else rng.choice((0.0, 0.0, 5.0, 600.0)),
        poison=poison,
        tells_exit=rng.random() < 0.7,
        rate=rate,
        budget=budget,
        stutter=(30.0, 15.0) if stutter else None,
        sluggish=rng.choice((20.0, 150.0)) if rng.random() < 0.05 else 0.0,
        lifetime=plan.lifetime + (0.0 if plan.short else more),
    )
    if rng.random() < 0.04:
        upload = rng.choice((20.0, 90.0))
        longer = 0.0 if plan.short else 100 * upload * (1 + len(poison))
        plan = replace(plan, weather=replace(plan.weather, upload=upload), lifetime=plan.lifetime + longer)
    return plan


def _in_order(plan: Scenario) -> Scenario:
    """In some worlds, put long tasks where they do the most harm."""
    rng = Random(f"{plan.seed} order")  # noqa: S311 - reproducible randomness
    return replace(plan, work=rng.choice(tuple(ORDERS))) if rng.random() < 0.2 and not plan.stutter else plan


def _in_the_cloud(plan: Scenario, span: float) -> Scenario:
    """In some worlds, let a cloud start the workers: late, incompletely, and not for ever."""
    rng = Random(f"{plan.seed} cloud")  # noqa: S311 - reproducible randomness
    if plan.interval < 20.0 or rng.random() >= 0.4 or plan.short or plan.stutter:  # a cloud goes with S3
        return plan
    cloud, spare = _cloud(rng), _cloud(rng) if rng.random() < 0.3 else None
    slowest = max(each.boot[1] for each in (cloud, spare) if each is not None)
    storm = [Deed.SPOT] * rng.choice((0, 2, 6, 12))  # while workers come and go
    acts = [_act(rng, deed, span + slowest, plan.interval) for deed in storm]
    tasks = replace(plan, task=max(plan.task, plan.interval)) if storm and rng.random() < 0.5 else plan
    barren = _barren(plan.seed, slowest)
    return replace(
        tasks,
        cloud=replace(cloud, barren=barren),
        spare=spare and replace(spare, barren=barren),
        budget=0,
        acts=tuple(sorted((*plan.acts, *acts), key=lambda act: act.at)),
        calm=plan.calm + 2 * slowest,
        lifetime=plan.lifetime + 60 * (slowest + 300.0) + 10 * tasks.tasks * tasks.task + 2 * barren,
    )


def _barren(seed: int, slowest: float) -> float:
    """For how long no worker can be brought up, with separate randomness."""
    rng = Random(f"{seed} barren")  # noqa: S311 - reproducible randomness
    return rng.choice((2.0, 8.0)) * (slowest + 100.0) if rng.random() < 0.2 else 0.0


def _cloud(rng: Random) -> CloudWeather:
    shortest, longest = rng.choice(((5.0, 10.0), (45.0, 90.0), (60.0, 900.0), (900.0, 900.0)))
    bad = rng.choice((0.0, 0.1, 0.4))
    return CloudWeather(
        boot=(shortest, longest),
        refused=rng.choice((0.0, bad)),
        lost=rng.choice((0.0, bad)),
        stillborn=rng.choice((0.0, 0.0, bad / 2)),
        hidden=rng.choice((0.0, bad)),
    )


def _weather(rng: Random, interval: float) -> Weather:
    latency = rng.choice((0.001, 0.03)) * (1 if interval < 5 else 5)
    if rng.random() < 0.3:
        return Weather(latency=latency)
    bad = rng.choice((0.01, 0.05, 0.15))
    return Weather(
        latency=latency,
        slow=bad,
        slowness=rng.choice((0.3, 1.0)) * interval,
        conflict=rng.choice((0.0, bad)),
        doubled=rng.choice((0.0, bad)),
        lost=rng.choice((0.0, bad)),
        silent=rng.choice((0.0, bad)),
        late=rng.choice((0.0, bad)),
        lateness=rng.choice((5.0, 40.0, 600.0)),
        slips=rng.choice((0.0, 0.2)),
    )


def _acts(rng: Random, span: float, interval: float) -> tuple[Act, ...]:
    deeds = [rng.choice(_USUAL) for _ in range(rng.choice((0, 1, 2, 3, 5)))]
    deeds += [rng.choice(_RARE) for _ in range(rng.choice((0, 0, 1, 2)))]
    return tuple(sorted((_act(rng, deed, span, interval) for deed in deeds), key=lambda act: act.at))


def _act(rng: Random, deed: Deed, span: float, interval: float) -> Act:
    return Act(at=rng.uniform(0, 2 * span), deed=deed, target=rng.randrange(100), size=_size(rng, deed, interval))


def _size(rng: Random, deed: Deed, interval: float) -> float:
    if deed in {Deed.PAUSE, Deed.SLEEP, Deed.LAPTOP, Deed.CUT_OFF}:
        return interval * rng.choice((0.5, 3.0, 10.0))
    if deed is Deed.OUTAGE:
        return interval * rng.choice((2.0, 10.0, 40.0))
    if deed is Deed.EXTEND:
        return interval * rng.choice((1.0, 30.0))
    return float(rng.choice((1, 2, 4, 9)))
