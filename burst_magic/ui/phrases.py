"""The facts of a frame in words, for text and HTML. Durations are counted until the frame was drawn. Pure."""

from __future__ import annotations

from burst_magic.plan.cost import UNPRICED
from burst_magic.protocol.snapshot import WaitCause
from burst_magic.ui.frame import FailureClass, FailureView, Frame, Money
from burst_magic.ui.words import about, clock, count, dollars, duration

GAP = " "  # a terminal font may lack the narrow space


def elapsed(shown: Frame) -> float:
    """Seconds from the job's start to its end, or until now."""
    return max(0.0, (shown.at if shown.ended is None else shown.ended) - shown.created)


def left(shown: Frame) -> str:
    """The remaining time: ``≈ 3 min left``, or ""; past the forecast, no number is better than a wrong one."""
    if shown.forecast is None:
        return ""
    return f"{about(shown.forecast - shown.at)} left" if shown.forecast > shown.at else "longer than expected"


def done(shown: Frame) -> int:
    """Number of tasks with an outcome."""
    return shown.counts.completed + shown.counts.failed


def done_of(shown: Frame) -> str:
    """``412 of 1 000``."""
    return f"{count(done(shown), gap=GAP)} of {count(shown.counts.total, gap=GAP)}"


def counts(shown: Frame) -> list[tuple[str, int]]:
    """Tasks by state: (word, number), in a fixed order; after the end, without what is then always 0."""
    numbers = shown.counts
    rest = (
        [("not run", numbers.not_run)] if shown.over else [("running", numbers.running), ("pending", numbers.pending)]
    )
    found = [("completed", numbers.completed), ("failed", numbers.failed), *rest]
    return [*found, ("reused", numbers.reused)] if numbers.reused else found


def workers(shown: Frame, *, alive: int | None = None) -> str:
    """The workers in one line.

    Args:
        shown: the frame.
        alive: how many are alive although the job is over; None: that is not known later, and not said.
    """
    facts = shown.workers
    if shown.over and alive is None:
        return f"{facts.started} started"
    lines = [f"{facts.alive if alive is None else alive} alive, {facts.started} started, {facts.wanted} wanted"]
    coming = "" if shown.waiting else coming_workers(shown)
    return "; ".join(filter(None, [*lines, coming, facts.refused, facts.lost]))


def coming_workers(shown: Frame) -> str:
    """Workers that are being brought up: ``2 provisioning for 40 s``."""
    return ", ".join(
        f"{each.count} {each.phase} for {max(0.0, shown.at - each.since):.0f} s" for each in shown.workers.coming
    )


def waiting(shown: Frame) -> str:
    """Why nothing runs, with how long, or ""."""
    wait = shown.waiting
    if wait is None:
        return ""
    if wait.since is not None:
        return f"{wait.words} for {max(0.0, shown.at - wait.since):.0f} s"
    coming = coming_workers(shown) if wait.cause in {WaitCause.REFUSED, WaitCause.STARTING} else ""
    if wait.cause is WaitCause.STARTING and coming:
        return f"workers: {coming}"
    return f"{wait.words}; workers: {coming}" if coming else wait.words


def stale(shown: Frame) -> str:
    """How old the facts are and why, or ""."""
    if shown.stale is None:
        return ""
    why = f" ({shown.stale.why})" if shown.stale.why else ""
    return f"as of {duration(shown.at - shown.stale.since)} ago: the store does not answer{why}"


def longest(shown: Frame) -> str:
    """The longest running task, or ""."""
    found = shown.longest
    if found is None:
        return ""
    return f"task {count(found.task, gap=GAP)} for {duration(shown.at - found.since)} on {found.worker}"


def cost(money: Money, *, at: float, over: bool) -> str:
    """What it costs, or "" where workers are free."""
    if not money.priced:
        return UNPRICED
    if money.free:
        return ""
    spent = dollars(grown(money.spent, money, at), gap=GAP)
    said = spent if over and not money.hourly else f"{spent} so far"
    limit = "" if money.budget is None else f" of a budget of {dollars(money.budget, gap=GAP)}"
    if money.job is None:
        return f"{said}{limit}"
    job = money.job if over else grown(money.job, money, at)
    return f"{said}{limit} (whole session; {dollars(job, gap=GAP)} while this cell ran)"


def kept(money: Money) -> str:
    """The workers that are kept for the next cell: ``2 kept, $0.08 an hour until 2026-11-21 09:20 at the latest``."""
    if money.kept is None:
        return ""
    hourly = f", {dollars(money.kept.hourly, gap=GAP)} an hour" if money.priced else ""
    return f"{count(money.kept.count, gap=GAP)} kept{hourly} until {clock(money.kept.until)} at the latest"


def on_fargate(money: Money, at: float) -> str:
    """What Fargate would have charged for free workers, or ""."""
    if not money.free:
        return ""
    amount = money.fargate + money.fargate_hourly * max(0.0, at - money.at) / 3600
    return f"no charge; on Fargate this would be {dollars(round(amount), gap=GAP)}"


def grown(amount: int, money: Money, at: float) -> int:
    """An amount at a later instant, in micro-dollars."""
    return round(amount + money.hourly * max(0.0, at - money.at) / 3600)


def failure(view: FailureView) -> str:
    """A group of failures without its count: ``KeyError: 'x' at line 4, 4 different messages; first: task 17``."""
    if view.kind is FailureClass.NOT_RUN:
        return f"not run: {view.message}; first: task {count(view.first, gap=GAP)}"
    said = ": ".join(part for part in (view.type, view.message) if part) or view.kind.value
    line = "" if view.line is None else f" at line {view.line}"
    messages = "" if view.messages < 2 else f", {count(view.messages, gap=GAP)} different messages"
    first = "" if view.count < 2 else f"; first: task {count(view.first, gap=GAP)}"
    return f"{said}{line}{messages}{first}"
