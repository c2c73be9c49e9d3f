"""What a measured sample says about the whole: the time here, the time and cost of the fleet, which to choose. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from burst_magic.dataclass import dataclass
from burst_magic.plan import cost
from burst_magic.plan.planner import Plan, coarse
from burst_magic.units import format_money

_WORTH = 1.2  # times faster: below that a fleet saves too little to be worth its start


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A comparison; times in seconds, money in micro-dollars.

    Attributes:
        sample: seconds of each measured task, on this machine.
        cores: of this machine.
        start: seconds that the fleet's first worker usually takes to begin.
        here: all tasks on this machine's cores; None where their number is unknown.
        there: all tasks on the fleet, its start included, at the speed of this machine's cores.
        plan: of the fleet, made with this sample.
    """

    sample: tuple[float, ...]
    cores: int
    start: float
    here: float | None
    there: float | None
    plan: Plan

    @property
    def mean(self) -> float:
        """Seconds of a task."""
        return mean(self.sample)


def mean(sample: Sequence[float]) -> float:
    """Seconds of a task: what many of them take together, divided."""
    return sum(sample) / len(sample)


def judge(sample: Sequence[float], made: Plan, *, cores: int, start: float) -> Verdict:
    """Compare this machine with a fleet.

    Args:
        sample: seconds of each measured task.
        made: the plan, with the sample's mean.
        cores: of this machine.
        start: seconds until a worker of its launcher usually begins.
    """
    seconds = made.estimate.seconds
    here = None if made.tasks is None else cost.duration(made.tasks, mean(sample), lanes=cores)
    there = None if seconds is None else seconds + start
    return Verdict(sample=tuple(sample), cores=cores, start=start, here=here, there=there, plan=made)


def lines(verdict: Verdict) -> list[str]:
    """The comparison in words, one line a fact."""
    made, count = verdict.plan, len(verdict.sample)
    spread = f" ({_short(min(verdict.sample))} to {_short(max(verdict.sample))})" if count > 1 else ""
    said = [f"sample: {count} task{'s' * (count > 1)} ran here in {_short(verdict.mean)} each{spread}"]
    if not made.priced and verdict.there is None:
        return [*said, "number of tasks unknown; so is the price of the fleet"]
    if verdict.here is None or verdict.there is None:
        return [*said, f"number of tasks unknown; the fleet costs {format_money(made.estimate.hourly)} an hour"]
    said.append(f"here, on {verdict.cores} core{'s' * (verdict.cores > 1)}: ≈ {_short(verdict.here)}")
    if made.priced and not made.estimate.hourly:
        return said
    fleet = f"{made.starting} {made.launcher} worker{'s' * (made.starting > 1)}"
    about = "at most" if made.estimate.at_most else "≈"
    price = f"{about} {format_money(made.estimate.total or 0)}" if made.priced else "at an unknown price"
    said.append(f"on {fleet}: ≈ {_short(verdict.there)}, of which ≈ {_short(verdict.start)} to start, {price}")
    return [*said, f"verdict: {_choice(verdict.here, verdict.there)}"]


def _choice(here: float, there: float) -> str:
    if here > _WORTH * there:
        return f"the fleet is ≈ {here / there:.0f} × faster" if here > 2 * there else "the fleet is somewhat faster"
    if there > _WORTH * here:
        return "this machine is faster: --launcher local"
    return "no faster on the fleet: --launcher local costs nothing"


def _short(seconds: float) -> str:
    """Two digits are what a sample is good for."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s" if seconds < 10 else coarse(seconds)
