"""What a session has cost, line by line: its workers by rate, and the store's requests. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from burst_magic.plan import cost, prices
from burst_magic.plan.cost import UNPRICED
from burst_magic.protocol import money
from burst_magic.protocol.money import Life
from burst_magic.protocol.snapshot import Snapshot
from burst_magic.protocol.wire.model import Manifest
from burst_magic.ui.words import about, count, duration
from burst_magic.units import format_money


def bill_text(seen: Snapshot, manifest: Manifest) -> str:
    """The bill of a session so far; of free workers, what Fargate would have charged.

    Args:
        seen: one of its jobs.
        manifest: the session.
    """
    if not manifest.priced:
        return f"session {seen.sid}: {UNPRICED}\n{_lived(seen)}"
    if not manifest.rate:
        rate = format_money(manifest.fargate_rate)
        fleet = f"{seen.started} worker{'s' * (seen.started != 1)}"
        return (
            f"session {seen.sid}: {format_money(seen.spend)} so far ({manifest.launcher} workers)\n"
            f"on Fargate: {format_money(seen.fargate_spend)} ({fleet} at {rate} an hour each)"
            f"{_to_come(seen, manifest)}"
        )
    minimum = f" (a worker is billed for {duration(manifest.minimum)} at least)" if manifest.minimum else ""
    head = f"session {seen.sid}: {format_money(seen.spend)} so far, {_basis(seen, manifest)}{minimum}"
    return "\n".join([head, *_workers(seen, manifest), _requests(seen, manifest)]) + _to_come(seen, manifest)


def _to_come(seen: Snapshot, manifest: Manifest) -> str:
    """A line about what is left, from the pace so far; "" while that is unknown, and once nothing is left."""
    if seen.ended is not None or seen.eta is None:
        return ""
    alive = [each for each in seen.workers if each.alive]
    hourly = sum(each.rate for each in alive) if manifest.rate else len(alive) * manifest.fargate_rate
    total = (seen.spend if manifest.rate else seen.fargate_spend) + round(hourly * seen.eta / cost.HOUR)
    where = "" if manifest.rate else " on Fargate"
    return f"\nto come: {about(seen.eta)}, then ≈ {format_money(total)}{where} in all, idle time not included"


def _lived(seen: Snapshot) -> str:
    lived = duration(sum(each.seen - each.started for each in seen.workers))
    return f"  {len(seen.workers)} workers, {lived} together; `burst cost --refresh` asks AWS for its prices"


def _basis(seen: Snapshot, manifest: Manifest) -> str:
    """Where the rates come from; of Spot, whose price AWS does not publish, also what it costs at most."""
    if manifest.ceiling <= manifest.rate:
        return "at list price"
    most = round(money.spend([*_heard(seen), *seen.unheard], rate=manifest.ceiling, minimum=manifest.minimum))
    share = f"{prices.fargate_spot_share():.0%} of the list price"  # a rate has a public address in it, too
    return f"at most {format_money(most)}: AWS publishes no price of Spot, which is counted at {share}"


def _heard(seen: Snapshot) -> list[Life]:
    return [Life(since=each.started, until=each.seen, rate=each.rate) for each in seen.workers]


def _workers(seen: Snapshot, manifest: Manifest) -> list[str]:
    """One line a rate: a session may have workers of two."""
    return [
        _line([life for life in lives if life.rate == rate], rate, manifest.minimum) + note
        for lives, note in ((_heard(seen), ""), (seen.unheard, " (ended before they could work)"))
        for rate in sorted({life.rate for life in lives})
    ]


def _line(lives: Sequence[Life], rate: int, minimum: float) -> str:
    seconds = [life.until - life.since for life in lives]
    lived, billed = duration(sum(seconds)), duration(sum(max(each, minimum) for each in seconds))
    time = lived if lived == billed else f"{lived} billed as {billed}"
    price = format_money(round(money.spend(lives, minimum=minimum)))
    return f"  {len(lives)} × {format_money(rate)} an hour, {time}: {price}"


def _requests(seen: Snapshot, manifest: Manifest) -> str:
    """Nobody counts them; the protocol bounds them."""
    counted = cost.count_requests(
        seen.done,
        (seen.finished_at or seen.now) - seen.created,
        workers=max(1, seen.started),
        slots=manifest.slots,
        interval=manifest.interval,
        floor=manifest.floor,
    )
    price = format_money(cost.price_requests(counted, prices.requests()))
    return f"  not included: up to {count(counted.writes + counted.reads, gap=' ')} store requests of this job, {price}"
