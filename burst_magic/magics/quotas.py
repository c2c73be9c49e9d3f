"""``%burst_quota``: how many workers the account may run at a time, what is in use, and requests for more."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from burst_magic import config as configuration
from burst_magic import launchers
from burst_magic.errors import BurstError, OptionError, PlanError
from burst_magic.plan.quota import QuotaIncrease, QuotaReading, VcpuQuota, describe, suggest
from burst_magic.plan.shapes import choose

if TYPE_CHECKING:
    from burst_magic.aws.quotas import Quotas
    from burst_magic.config import Settings
    from burst_magic.magics import calls

_SHOWN = 5  # requests of each quota, newest first


def shown(call: calls.QuotaCall, settings: Settings) -> str:
    """Every quota with its use, and the latest requests."""
    quotas = _quotas(call)
    account, cpu = _account(settings), _cpu(settings)
    read: dict[str, QuotaReading] = {}
    problems: dict[str, BurstError] = {}
    for name, quota in quotas.items():
        try:
            read[name] = account.read(quota)
        except BurstError as error:
            problems[name] = error
    if problems and not read:
        raise next(iter(problems.values()))
    increases, unread = _history(account, read)
    if call.json:
        return json.dumps([_record(name, each, cpu, increases.get(name, [])) for name, each in read.items()], indent=1)
    return "\n".join(
        [
            *_table(read, cpu),
            *(f"{name}: {error.problem}" for name, error in problems.items()),
            *(f"{name}: the use cannot be read: {each.problem}" for name, each in read.items() if each.problem),
            *(line for name, found in increases.items() for line in _requests(read[name].quota, found)),
            *unread,
        ]
    )


def requested(call: calls.QuotaCall, settings: Settings) -> str:
    """Ask AWS for a larger quota of the launcher."""
    settings = configuration.load(call.settings) if call.settings else settings
    quotas = _quotas(call)
    name = next((each for each in launchers.parse(settings.launcher) if each in quotas), next(iter(quotas)))
    quota, account = quotas[name], _account(settings)
    reading = account.read(quota)
    wanted = call.wanted or suggest(settings.workers * _cpu(settings))
    if wanted <= reading.limit:
        raise PlanError(
            f"the account may already run {reading.limit:g} vCPU of {name}",
            context=f"{quota.name}, {quota.code}",
            way_out=f"%burst_quota request N, with N above {reading.limit:g}",
        )
    waiting = next((each for each in account.increases(quota) if each.is_open), None)
    if waiting is not None:
        raise PlanError(
            f"{waiting.wanted:g} vCPU of {name} were requested on {_day(waiting.created)}: AWS takes one at a time",
            context=f"{quota.name}, {quota.code}, request {waiting.ident}",
            way_out=f"wait for AWS: {describe(waiting)}",
        )
    made = account.request(quota, wanted)
    return (
        f"asked AWS for {wanted:g} vCPU of {name} instead of {reading.limit:g} ({quota.name}, {quota.code})\n"
        f"request {made.ident}: {describe(made)}"
    )


def _account(settings: Settings) -> Quotas:
    from burst_magic.aws.patience import READING
    from burst_magic.aws.quotas import Quotas

    return Quotas(settings.aws.get("region", ""), retry=READING)


def _quotas(call: calls.QuotaCall) -> dict[str, VcpuQuota]:
    """Of each launcher that has one, by its name; of the call's own, if it names some.

    Raises:
        OptionError: they have none.
    """
    named = {name: launchers.traits(name)[name].quota for name in launchers.names()}
    quotas = {name: quota for name, quota in named.items() if quota is not None}
    wanted = call.settings.get("launcher", "")
    found = {name: quota for name, quota in quotas.items() if not wanted or name in launchers.parse(wanted)}
    if not found:
        raise OptionError(
            f"--launcher {wanted}: no quota of an AWS account limits it", way_out=f"--launcher {' or '.join(quotas)}"
        )
    return found


def _cpu(settings: Settings) -> float:
    return choose(settings.cpu, settings.memory, slots=settings.slots).cpu


def _history(account: Quotas, read: dict[str, QuotaReading]) -> tuple[dict[str, list[QuotaIncrease]], list[str]]:
    """The latest requests of each, and what could not be read."""
    found: dict[str, list[QuotaIncrease]] = {}
    for name, reading in read.items():
        try:
            found[name] = account.increases(reading.quota)[:_SHOWN]
        except BurstError as error:  # the others are refused for the same reason
            return found, [f"requests cannot be read: {error.problem}"]
    return found, []


def _table(read: dict[str, QuotaReading], cpu: float) -> list[str]:
    from burst_magic.ui.text import table

    head = ("launcher", "code", "limit", "in use", "free", f"workers of {cpu:g} vCPU")
    rows = [
        (
            name,
            each.quota.code,
            f"{each.limit:g}",
            "?" if each.used is None else f"{each.used:g}",
            f"{each.free:g}",
            f"{each.room(cpu)} more now, {int(each.limit // cpu)} in all",
        )
        for name, each in read.items()
    ]
    return [table(head, rows, right=(2, 3, 4))]


def _requests(quota: VcpuQuota, found: list[QuotaIncrease]) -> list[str]:
    return [f"{_day(each.created)}  {quota.code}  {each.wanted:g} vCPU  {describe(each)}" for each in found]


def _record(name: str, reading: QuotaReading, cpu: float, found: list[QuotaIncrease]) -> dict[str, object]:
    return {
        "launcher": name,
        "code": reading.quota.code,
        "name": reading.quota.name,
        "limit": reading.limit,
        "used": reading.used,
        "workers_now": reading.room(cpu),
        "requests": [
            {"id": each.ident, "wanted": each.wanted, "state": each.state, "created": _day(each.created)}
            for each in found
        ],
    }


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d")
